//! nginx and PHP-FPM.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use super::{is_root, program, sockets, text};
use crate::servers::{Running, free_address};

/// Names under which distributions install PHP-FPM.
pub(crate) const PHP_FPM: &[&str] = &["php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1", "php-fpm"];

/// How a pool is set up.
#[derive(Clone, Debug)]
pub(crate) struct PoolSetup {
    /// `pm.max_children`, all started at once.
    pub(crate) children: usize,
    /// The socket of the database, for the scripts.
    pub(crate) database: Option<PathBuf>,
}

/// A running PHP-FPM with one static pool.
pub(crate) struct Pool {
    pub(crate) running: Running,
    pub(crate) socket: PathBuf,
    /// Holds the scripts.
    pub(crate) root: PathBuf,
    _folder: TempDir,
}

impl Pool {
    /// Starts one with these scripts and files.
    pub(crate) fn start(setup: &PoolSetup, files: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = sockets()?;
        let root = folder.path().join("root");
        fs::create_dir(&root)?;
        for (name, content) in files {
            fs::write(root.join(name), content)?;
        }
        let socket = folder.path().join("fpm.sock");
        let mut config = format!(
            "[global]\nerror_log = {0}/fpm.log\ndaemonize = no\n[pool]\nlisten = {1}\nlisten.backlog = 4096\npm = static\n\
             pm.max_children = {2}\npm.max_requests = 0\nphp_admin_value[opcache.enable] = 1\n\
             php_admin_value[opcache.validate_timestamps] = 0\nphp_admin_value[display_errors] = 1\n",
            text(folder.path()),
            text(&socket),
            setup.children
        );
        if let Some(database) = &setup.database {
            writeln!(config, "env[DATABASE_SOCKET] = {}", text(database))?;
        }
        let mut command = Command::new(program(PHP_FPM)?);
        command.arg("--nodaemonize").arg("--fpm-config").arg(folder.path().join("fpm.conf"));
        if is_root() {
            config += "user = root\ngroup = root\n";
            command.arg("--allow-to-run-as-root");
        }
        fs::write(folder.path().join("fpm.conf"), config)?;
        let log = folder.path().join("out");
        let mut running = Running::start(&mut command, &log)?;
        running.wait(&log, || UnixStream::connect(&socket).is_ok()).context("PHP-FPM")?;
        Ok(Self { running, socket, root, _folder: folder })
    }

    /// As a target's `address`.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", text(&self.socket))
    }
}

/// A running nginx before a pool.
pub(crate) struct Nginx {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one that hands every request to one script, and keeps so many connections to the pool; with none it
    /// closes each after its request. Kept ones hold children, also those that another worker of nginx would need:
    /// with them there is one worker.
    pub(crate) fn start(pool: &Pool, script: &Path, kept: usize) -> anyhow::Result<Self> {
        let folder = sockets()?;
        let address = free_address()?;
        let (keep_upstream, keep_connection) = if kept == 0 {
            (String::new(), "off")
        } else {
            (format!("keepalive {kept}; keepalive_requests 1000000000;"), "on")
        };
        let workers = if kept == 0 { "auto" } else { "1" };
        let user = if is_root() { "user root;" } else { "" };
        let config = format!(
            "{user}\nworker_processes {workers};\npid {0}/nginx.pid;\nerror_log {0}/error.log warn;\nevents {{ worker_connections 4096; }}\n\
             http {{\naccess_log off;\nclient_body_temp_path {0}/body;\nproxy_temp_path {0}/proxy;\nfastcgi_temp_path {0}/fastcgi;\n\
             uwsgi_temp_path {0}/uwsgi;\nscgi_temp_path {0}/scgi;\nkeepalive_requests 1000000000;\nclient_body_buffer_size 64k;\n\
             upstream php {{ server unix:{1}; {keep_upstream} }}\n\
             server {{\nlisten {address} backlog=4096;\nlocation / {{\ninclude /etc/nginx/fastcgi_params;\n\
             fastcgi_param SCRIPT_FILENAME {2};\nfastcgi_keep_conn {keep_connection};\nfastcgi_pass php;\n}}\n}}\n}}\n",
            text(folder.path()),
            text(&pool.socket),
            text(script),
        );
        let path = folder.path().join("nginx.conf");
        fs::write(&path, config)?;
        let log = folder.path().join("out");
        let mut command = Command::new(program(&["nginx"])?);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&path).args(["-g", "daemon off;"]);
        let mut running = Running::start(&mut command, &log)?;
        running.wait_for_port(&log, address).context("nginx")?;
        Ok(Self { running, address, _folder: folder })
    }
}
