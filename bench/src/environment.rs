//! Where a run took place: what a reader needs to judge the figures.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::references;

/// Processors, memory, kernel, disk and the versions of what is measured.
pub(crate) fn describe(program: &Path, folder: &Path) -> Value {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let line_of = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let version =
        |names: &[&str], argument: &str| references::version(names, argument).unwrap_or_else(|| "none".to_owned());
    let program_name = program.to_string_lossy();
    json!({
        "at": crate::scenarios::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "processors": thread::available_parallelism().map_or(0, usize::from),
        "processor": line_of(&file("/proc/cpuinfo"), "model name"),
        "memory": line_of(&file("/proc/meminfo"), "MemTotal"),
        "kernel": file("/proc/sys/kernel/osrelease").trim(),
        "load_at_start": file("/proc/loadavg").trim(),
        "disk": disk(folder),
        "tollbell": version(&[&program_name], "--version"),
        "php": version(references::PHP_FPM, "-v"),
        "nginx": version(&["nginx"], "-v"),
        "mariadb": version(&["mariadbd", "mysqld"], "--version"),
        "redis": version(&["redis-server"], "--version"),
        "webhook": version(&["webhook"], "-version"),
        "strace": version(&["strace"], "--version"),
    })
}

/// The file system below a folder: device, kind and options.
fn disk(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let parts = mounts.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let around = parts.filter(|parts| parts.len() > 3 && folder.starts_with(parts[1]));
    around.max_by_key(|parts| parts[1].len()).map_or_else(String::new, |parts| parts[..4].join(" "))
}
