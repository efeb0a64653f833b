//! Processor time and memory of processes and their children, from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The processor time that these processes and everything below them have used, living processes only: compare
/// two readings of the same trees.
pub(crate) fn used_by_trees(roots: &[u32]) -> Duration {
    let all: BTreeSet<u32> = roots.iter().flat_map(|root| tree(*root)).collect();
    all.into_iter().filter_map(used).sum()
}

/// The largest resident memory of a process so far, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// The resident memory of a process now, in bytes.
pub(crate) fn memory(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

fn status(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// A process and its descendants.
pub(crate) fn tree(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                if found.insert(child) {
                    open.push(child);
                }
            }
        }
    }
    found
}

/// User and system time in clock ticks of a hundredth of a second; schedstat has nanoseconds and is taken
/// where the kernel offers it.
fn used(pid: u32) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        match text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()) {
            Some(nanos) => sum += Duration::from_nanos(nanos),
            None => return ticks(pid),
        }
    }
    Some(sum)
}

fn ticks(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = text.rsplit_once(')')?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
