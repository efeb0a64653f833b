//! Processor time and memory of processes and their children, from /proc.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

/// What a process has used, and what its children had used that it has waited for. Of two counts the larger: the
/// process's own has hundredths of a second, its living threads' has nanoseconds and misses threads that ended.
fn used(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
    let whole = TICK * (ticks(11) + ticks(12));
    let threads: Duration =
        fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().map(|task| run_by(&task.path())).sum();
    Some(whole.max(threads) + TICK * (ticks(13) + ticks(14)))
}

/// What a thread has used; nothing where the kernel does not say.
fn run_by(task: &Path) -> Duration {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_time_of_threads_and_children_that_ended_counts() {
        let own = std::process::id();
        let before = used_by_trees(&[own]);
        let spins = || {
            let until = Instant::now() + Duration::from_millis(60);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
        };
        while used_by_trees(&[own]) < before + Duration::from_millis(100) {
            std::thread::spawn(spins).join().unwrap();
        }
        let before = used_by_trees(&[own]);
        while used_by_trees(&[own]) < before + Duration::from_millis(100) {
            assert!(
                Command::new("sh")
                    .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        assert!(tree(own).contains(&own));
        assert!(memory(own) > 0 && peak_memory(own) >= memory(own));
    }
}
