//! Processor time and memory of processes and their children, from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The unit of /proc/PID/stat, a hundredth of a second on every Linux that one meets.
const TICK: Duration = Duration::from_millis(10);

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

/// What the living threads of a process have used, in nanoseconds where the kernel offers them, and what its
/// children had used that it has waited for.
fn used(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let children = TICK * u32::try_from(ticks(13) + ticks(14)).unwrap_or(u32::MAX);
    let mut own = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        match text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()) {
            Some(nanos) => own += Duration::from_nanos(nanos),
            None => return Some(TICK * u32::try_from(ticks(11) + ticks(12)).unwrap_or(u32::MAX) + children),
        }
    }
    Some(own + children)
}
