//! A shop whose script does as a file says, and messages with any bytes.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tollbell_channels::model::RawRequest;

use crate::support::gateway::{Setup, World, get, wait_for};
use crate::support::php_fpm::{Options, PhpFpm};

/// Notes order, state and event ids of each run, and does what the file `mode` beside it says.
pub(super) const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_POST['trade_status'] . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
switch (trim(@file_get_contents(__DIR__ . '/mode'))) {
    case 'fail': exit('fail');
    case 'wait': while (trim(file_get_contents(__DIR__ . '/mode')) === 'wait') { usleep(10000); } echo 'success'; break;
    case 'shout': error_log("\x1b]0;owned\x07\x1b[31m" . $_POST['body']); echo "\x1b[2Jnot now"; break;
    case 'endless': echo 'success'; flush(); while (true) { usleep(10000); }
    default: echo 'success';
}
"#;

pub(super) struct Shop {
    pub(super) fpm: PhpFpm,
    pub(super) script: PathBuf,
}

impl Shop {
    pub(super) fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        Self { fpm, script }
    }

    pub(super) fn setup(&self) -> Setup {
        Setup::new(&self.fpm.address(), &self.script)
    }

    pub(super) fn world(&self) -> World {
        World::new(&self.setup())
    }

    pub(super) fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode.new"), mode).unwrap();
        fs::rename(self.fpm.root().join("mode.new"), self.fpm.root().join("mode")).unwrap();
    }

    pub(super) fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

pub(super) fn all_delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

pub(super) fn is_success(world: &World, request: &RawRequest) -> bool {
    world.send(request).is_some_and(|reply| reply.status == 200 && reply.body == b"success")
}

/// Another process that holds the write lock of the inbox until it is told to let go.
pub(super) struct Lock(pub(super) Child);

impl Lock {
    pub(super) fn take(world: &World) -> Self {
        let program = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=20)\n\
                       c.execute('BEGIN EXCLUSIVE')\nprint('held',flush=True)\nsys.stdin.read()\nc.execute('ROLLBACK')\n";
        Self::by(world, program)
    }

    pub(super) fn by(world: &World, program: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(world.path("tollbell.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = [0; 4];
        child.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
        Self(child)
    }

    pub(super) fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

pub(super) fn metric(world: &World, name: &str) -> u64 {
    let text = get(world.admin, "/metrics").map(|reply| reply.text()).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}
