//! CPU time of processes, for the benchmarks.

use std::path::Path;

pub fn cpu_of_this() -> f64 {
    cpu(Path::new("/proc/self"))
}

/// Of all processes of a name, those that ended since not counted.
pub fn cpu_of(name: &str) -> f64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let named =
        |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    processes.filter(|path| named(path)).map(|path| cpu(&path)).sum()
}

/// The time that a process's threads were on a CPU, in seconds. The first number of `schedstat` is in
/// nanoseconds; those of `stat` are too coarse for one batch.
fn cpu(process: &Path) -> f64 {
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}
