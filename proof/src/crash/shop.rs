//! The shop: a script that keeps the books before it confirms, in a real PHP-FPM that is restarted and hung.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::gateway::TERMINATE_SECONDS;
use super::notes::{Hang, now_ns};
use super::plan::NEVER_CONFIRMED;
use crate::php_fpm::{Options, PhpFpm};
use crate::random::Random;

/// Workers: more than the gateway's connections, so that runs whose gateway was killed do not make the next
/// ones wait in PHP-FPM's queue.
const CHILDREN: u32 = 16;

/// Marks are single appended writes, before the answer: `run` when it begins, `end` with what it is about to
/// answer. What it does depends on the seed, the order and the attempt, so that a seed does it again.
const SCRIPT: &str = r#"<?php
function mark(...$words) {
    file_put_contents('@BOOK@', implode("\t", $words) . "\n", FILE_APPEND);
}
$run = getmypid() . '-' . hrtime(true);
$body = file_get_contents('php://input');
$order = $_SERVER['TOLLBELL_ORDER_NO'] ?? '-';
$attempt = $_SERVER['TOLLBELL_ATTEMPT'];
$kinds = $_SERVER['TOLLBELL_EVENT_KINDS'];
mark('run', $run, hrtime(true), $_SERVER['TOLLBELL_DELIVERY'], $attempt, $_SERVER['TOLLBELL_EVENT_IDS'],
    $kinds, $order, hash('sha256', $body));
function answer($how, $status, $words) {
    global $run;
    mark('end', $run, hrtime(true), $how);
    http_response_code($status);
    echo $words;
    exit;
}
$success = $_SERVER['TOLLBELL_CHANNEL'] === 'alipay' ? 'success' : '{"code":"SUCCESS","message":"OK"}';
if (str_ends_with($order, '@NEVER@')) {
    answer('wrong', 500, 'never');
}
$chance = hexdec(substr(hash('sha256', "@SEED@/$order/$kinds/$attempt"), 0, 6)) % 100;
if ($chance < 8) {
    answer('wrong', 500, 'not now');
} elseif ($chance < 12) {
    $is_form = $_SERVER['TOLLBELL_CHANNEL'] === 'alipay';
    answer('wrong', $is_form ? 200 : 500, '<br /><b>Warning</b>: Undefined variable $x success');
} elseif ($chance < 15) {
    mark('end', $run, hrtime(true), 'died');
    exec('kill -9 ' . getmypid());
} elseif ($chance < 18) {
    sleep(30);
} elseif ($chance < 25) {
    usleep(850000);
    answer('confirmed', 200, $success);
} elseif ($chance < 40) {
    usleep(200000 + ($chance - 25) * 25000);
    answer('confirmed', 200, $success);
} elseif ($chance < 60) {
    usleep(20000);
}
answer('confirmed', 200, $success);
"#;

/// The shop.
pub struct Shop {
    fpm: Mutex<PhpFpm>,
    script: PathBuf,
    address: String,
    hangs: Mutex<Vec<Hang>>,
}

impl Shop {
    /// Opens it; the script writes its marks into `book`.
    ///
    /// # Errors
    /// When the script cannot be written.
    pub fn open(seed: u64, book: &Path) -> anyhow::Result<Self> {
        let fpm = PhpFpm::start(&Options {
            children: CHILDREN,
            pool_lines: vec![format!("request_terminate_timeout = {TERMINATE_SECONDS}s")],
            ..Options::default()
        });
        let source = SCRIPT
            .replace("@BOOK@", &book.display().to_string())
            .replace("@SEED@", &seed.to_string())
            .replace("@NEVER@", &format!("-{NEVER_CONFIRMED}"));
        let script = fpm.root().join("notify.php");
        fs::write(&script, source).context("write the script")?;
        let address = fpm.address();
        Ok(Self { fpm: Mutex::new(fpm), script, address, hangs: Mutex::default() })
    }

    /// The script's path.
    pub fn script(&self) -> &Path {
        &self.script
    }

    /// Where PHP-FPM listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// When it was hung.
    pub fn hangs(&self) -> Vec<Hang> {
        lock(&self.hangs).clone()
    }

    /// Restarts and hangs it now and then, until told to end; it is well afterwards. Returns how often.
    pub fn disturb(&self, random: &mut Random, is_over: &AtomicBool) -> usize {
        let mut disturbances = 0;
        loop {
            let pause = random.between(Duration::from_millis(200), Duration::from_millis(2500));
            if !rest(pause, is_over) {
                return disturbances;
            }
            disturbances += 1;
            let mut fpm = lock(&self.fpm);
            match random.below(4) {
                0 => fpm.restart(),
                1 => {
                    fpm.stop();
                    rest(random.between(Duration::ZERO, Duration::from_millis(400)), is_over);
                    fpm.launch();
                }
                _ => {
                    let length = random.between(Duration::from_millis(200), Duration::from_millis(1500));
                    self.hang(&fpm, length, is_over);
                }
            }
        }
    }

    fn hang(&self, fpm: &PhpFpm, length: Duration, is_over: &AtomicBool) {
        let numbers = std::iter::once(fpm.master()).chain(fpm.workers());
        let processes: Vec<Pid> = numbers.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect();
        let tell = |signal| {
            for pid in &processes {
                // A worker may have ended in the meantime, and that is all that can go wrong.
                let _gone = kill_process(*pid, signal);
            }
        };
        let from = now_ns();
        tell(Signal::STOP);
        rest(length, is_over);
        tell(Signal::CONT);
        lock(&self.hangs).push(Hang { from, to: now_ns() });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits; false when all is over before.
fn rest(pause: Duration, is_over: &AtomicBool) -> bool {
    const STEP: Duration = Duration::from_millis(20);
    let until = std::time::Instant::now() + pause;
    while std::time::Instant::now() < until {
        if is_over.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(STEP);
    }
    true
}
