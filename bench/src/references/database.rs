//! `MariaDB` and Redis, each with its log flushed before it answers.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::{is_root, program, sockets, text};
use crate::servers::{Running, folder};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    MariaDb,
    Redis,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "nginx + PHP-FPM + MariaDB",
            Self::Redis => "nginx + PHP-FPM + Redis",
        }
    }

    /// The script that writes into it.
    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::MariaDb => include_str!("../../php/mariadb.php"),
            Self::Redis => include_str!("../../php/redis.php"),
        }
    }
}

/// A running database with its data on the disk that the run was given.
pub(crate) struct Database {
    pub(crate) running: Running,
    pub(crate) socket: PathBuf,
    kind: Kind,
    _sockets: TempDir,
    _data: TempDir,
}

impl Database {
    pub(crate) fn start(kind: Kind, parent: &Path) -> anyhow::Result<Self> {
        match kind {
            Kind::MariaDb => Self::start_mariadb(parent),
            Kind::Redis => Self::start_redis(parent),
        }
    }

    fn start_mariadb(parent: &Path) -> anyhow::Result<Self> {
        let (data, sockets) = (folder(parent, "mariadb")?, sockets()?);
        let datadir = data.path().join("data");
        let (socket, log) = (sockets.path().join("db.sock"), data.path().join("log"));
        let mut install = Command::new(program(&["mariadb-install-db", "mysql_install_db"])?);
        install.arg("--no-defaults").arg(format!("--datadir={}", text(&datadir)));
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]);
        let mut server = Command::new(program(&["mariadbd", "mysqld"])?);
        server
            .arg("--no-defaults")
            .arg(format!("--datadir={}", text(&datadir)))
            .arg(format!("--socket={}", text(&socket)));
        // As Debian sets it up, and as the durability of a commit asks: one flush with each, which is its default.
        server.args(["--skip-networking", "--innodb-flush-log-at-trx-commit=1", "--max-connections=300"]);
        server.arg(format!("--pid-file={}", text(&sockets.path().join("pid"))));
        if is_root() {
            install.arg("--user=root");
            server.arg("--user=root");
        }
        let output = install.stdin(Stdio::null()).output().context("run mariadb-install-db")?;
        ensure!(output.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&output.stderr));
        let mut running = Running::start(&mut server, &log)?;
        running.wait(&log, || UnixStream::connect(&socket).is_ok()).context("MariaDB")?;
        let database = Self { running, socket, kind: Kind::MariaDb, _sockets: sockets, _data: data };
        database.ask(include_str!("../../php/schema.sql"))?;
        Ok(database)
    }

    fn start_redis(parent: &Path) -> anyhow::Result<Self> {
        let (data, sockets) = (folder(parent, "redis")?, sockets()?);
        let (socket, log) = (sockets.path().join("db.sock"), data.path().join("log"));
        let mut server = Command::new(program(&["redis-server"])?);
        server.args(["--port", "0", "--unixsocket"]).arg(&socket).arg("--dir").arg(data.path());
        server.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        let mut running = Running::start(&mut server, &log)?;
        running.wait(&log, || UnixStream::connect(&socket).is_ok()).context("Redis")?;
        Ok(Self { running, socket, kind: Kind::Redis, _sockets: sockets, _data: data })
    }

    /// Forgets all rows.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        match self.kind {
            Kind::MariaDb => self.ask("TRUNCATE shop.notifications")?,
            Kind::Redis => self.ask("FLUSHALL")?,
        };
        Ok(())
    }

    /// Rows that it holds.
    pub(crate) fn stored(&self) -> anyhow::Result<u64> {
        let said = match self.kind {
            Kind::MariaDb => self.ask("SELECT COUNT(*) FROM shop.notifications")?,
            Kind::Redis => self.ask("LLEN notifications")?,
        };
        said.trim().parse().with_context(|| format!("a count of rows: {said}"))
    }

    fn ask(&self, text: &str) -> anyhow::Result<String> {
        let mut client = match self.kind {
            Kind::MariaDb => {
                let mut client = Command::new(program(&["mariadb", "mysql"])?);
                client
                    .args(["--no-defaults", "--user=root", "--skip-column-names", "--batch", "--socket"])
                    .arg(&self.socket);
                client.args(["--execute", text]);
                client
            }
            Kind::Redis => {
                let mut client = Command::new(program(&["redis-cli"])?);
                client.arg("-s").arg(&self.socket).args(text.split(' '));
                client
            }
        };
        let output = client.stdin(Stdio::null()).output().context("ask the database")?;
        ensure!(output.status.success(), "the database: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
