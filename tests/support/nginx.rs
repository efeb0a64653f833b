//! An nginx of one's own for a test: a real master and worker on a configuration made of given lines.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::gateway::wait_for;

/// A running nginx; ended with the test.
pub(crate) struct Nginx {
    folder: tempfile::TempDir,
    address: SocketAddr,
    document_root: PathBuf,
    master: Child,
}

impl Nginx {
    /// Starts one that serves `document_root`, with these lines around and inside its one server.
    pub(crate) fn start(address: SocketAddr, document_root: PathBuf, outside: &str, inside: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |text: String| fs::write(folder.path().join("nginx.conf"), text).expect("write nginx.conf");
        write(configuration(folder.path(), address, &document_root, outside, inside));
        let master = command(folder.path()).args(["-g", "daemon off;"]).spawn().expect("nginx is installed");
        let nginx = Self { folder, address, document_root, master };
        wait_for("nginx to listen", || TcpStream::connect(address).ok());
        nginx
    }

    /// Checks new lines as `nginx -t` does, and reloads.
    pub(crate) fn reload(&self, outside: &str, inside: &str) {
        let text = configuration(self.folder.path(), self.address, &self.document_root, outside, inside);
        fs::write(self.folder.path().join("nginx.conf"), text).expect("write nginx.conf");
        let tested = command(self.folder.path()).arg("-t").stderr(Stdio::piped()).output().expect("nginx -t");
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let before = self.workers();
        assert!(command(self.folder.path()).args(["-s", "reload"]).status().expect("nginx -s").success());
        wait_for("nginx's old workers to end", || {
            let now = self.workers();
            (!now.is_empty() && now.iter().all(|pid| !before.contains(pid))).then_some(())
        });
    }

    fn workers(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.master.id());
        fs::read_to_string(path).unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _stopped = command(self.folder.path()).args(["-s", "stop"]).status();
        let _status = self.master.wait();
    }
}

fn command(folder: &std::path::Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn configuration(
    folder: &std::path::Path,
    address: SocketAddr,
    document_root: &std::path::Path,
    outside: &str,
    inside: &str,
) -> String {
    let folder = folder.display();
    // As root the workers would become nobody, who may not see the test's folders.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log info;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n{outside}\nserver {{\nlisten {address};\nroot {};\n{inside}\n}}\n}}\n",
        document_root.display()
    )
}
