//! The cost of processes: CPU time and memory, and comparisons of several ways to do the same thing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process, user and system, including ended threads.
pub fn cpu_of_this() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of ended children of this process, in steps of hundredths of a second.
pub fn cpu_of_children() -> Duration {
    ended_children(Path::new("/proc/self"))
}

/// CPU time of another running process without its children.
pub fn cpu_of(pid: u32) -> Duration {
    running(&process(pid))
}

/// CPU time of another process and its children, including ended ones.
pub fn cpu_of_family(pid: u32) -> Duration {
    let parent = process(pid);
    loop {
        let ended = ended_children(&parent);
        let children = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let children = children.filter(|path| stat(path, 1) == Some(u64::from(pid)));
        let total = running(&parent) + ended + children.map(|path| running(&path)).sum::<Duration>();
        // A child that ended in the meantime would be counted twice or not at all: read again.
        if ended_children(&parent) == ended {
            return total;
        }
    }
}

/// The parent of a process.
pub fn parent_of(pid: u32) -> Option<u32> {
    stat(&process(pid), 1)?.try_into().ok()
}

/// Resident bytes: current, maximum so far, and current anonymous bytes.
pub fn resident(pid: u32) -> Result<Resident> {
    let status = fs::read_to_string(process(pid).join("status"))?;
    let field = |name: &str| -> Result<u64> {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| name.to_owned())?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    };
    Ok(Resident { now: field("VmRSS:")?, max: field("VmHWM:")?, anonymous: field("RssAnon:")? })
}

/// A note for tables.
pub const ANONYMOUS: &str = "What is not anonymous are pages of the program's file, which all processes of it share; \
     how many of them the kernel maps is its own affair.";

#[derive(Clone, Copy, Debug)]
pub struct Resident {
    pub now: u64,
    pub max: u64,
    pub anonymous: u64,
}

fn process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// The first number of `schedstat` is in nanoseconds; those of `stat` are too coarse for a single answer.
fn running(process: &Path) -> Duration {
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn ended_children(process: &Path) -> Duration {
    let ticks = stat(process, 13).unwrap_or_default() + stat(process, 14).unwrap_or_default();
    // Linux reports hundredths of a second here, whatever the kernel's tick rate is.
    Duration::from_millis(10 * ticks)
}

/// A field of `stat`, counted from the one after the name.
fn stat(process: &Path, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(field)?.parse().ok()
}

/// The measurements of one run of a side.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Number of operations.
    pub count: u64,
    pub cpu: Duration,
    pub wall: Duration,
}

impl Sample {
    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count as f64
    }
}

/// Runs something, and takes the CPU time that `cpu` returns before and after.
pub fn sample(cpu: impl Fn() -> Duration, run: impl FnOnce() -> Result<u64>) -> Result<Sample> {
    let (before, began) = (cpu(), Instant::now());
    let count = run()?;
    ensure!(count > 0, "nothing was done");
    Ok(Sample { count, cpu: cpu().saturating_sub(before), wall: began.elapsed() })
}

/// One way of doing the operation.
pub struct Side<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut() -> Result<Sample> + 'a>,
}

impl<'a> Side<'a> {
    pub fn new(name: &'static str, run: impl FnMut() -> Result<Sample> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// The samples of all rounds of a side.
#[derive(Clone, Debug)]
pub struct Rounds {
    pub name: &'static str,
    pub samples: Vec<Sample>,
}

/// Runs the sides in turn, several times: a temporary disturbance of the machine affects all of them.
pub fn interleaved(rounds: usize, mut sides: Vec<Side>) -> Result<Vec<Rounds>> {
    let mut all: Vec<_> = sides.iter().map(|side| Rounds { name: side.name, samples: Vec::new() }).collect();
    for round in 1..=rounds {
        for (side, kept) in sides.iter_mut().zip(&mut all) {
            let sample = (side.run)().with_context(|| side.name)?;
            eprintln!(
                "  {round}/{rounds} {:44} {:>9.1} µs of CPU each ({} in {:.1} s)",
                side.name,
                sample.cpu_micros(),
                sample.count,
                sample.wall.as_secs_f64()
            );
            kept.samples.push(sample);
        }
    }
    Ok(all)
}

impl Rounds {
    /// Operations per second of CPU time.
    pub fn per_cpu_second(&self) -> Spread {
        Spread::of(self.samples.iter().map(|sample| 1e6 / sample.cpu_micros()))
    }

    pub fn cpu_micros(&self) -> Spread {
        Spread::of(self.samples.iter().map(Sample::cpu_micros))
    }

    /// The factor by which this takes more CPU time than `other`, round by round.
    pub fn cost_beside(&self, other: &Self) -> Spread {
        let pairs = self.samples.iter().zip(&other.samples);
        Spread::of(pairs.map(|(this, other)| this.cpu_micros() / other.cpu_micros()))
    }
}

/// The median, minimum and maximum of several values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
        Self { median, min: at(0), max: at(last) }
    }

    /// The spread of a single value.
    pub fn one(value: f64) -> Self {
        Self::of([value])
    }

    pub fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self::of([change(self.min), change(self.median), change(self.max)])
    }

    /// For example `18,700 (18,400 to 19,200)`.
    pub fn text(&self) -> String {
        if self.min == self.max {
            return number(self.median);
        }
        format!("{} ({} to {})", number(self.median), number(self.min), number(self.max))
    }
}

/// Three significant digits, with commas between thousands.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    let size = value.abs();
    if size >= 99.95 {
        let scale = 10_f64.powi((size.log10().floor() as i32 - 2).max(0));
        let digits = format!("{:.0}", (size / scale).round() * scale);
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return if value < 0.0 { format!("-{text}") } else { text };
    }
    let decimals = if size >= 9.995 {
        1
    } else if size >= 0.1 || size == 0.0 {
        2
    } else {
        4
    };
    format!("{value:.decimals$}")
}

/// Bytes as megabytes.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        let texts = [1_234_567.0, 18_749.0, 999.6, 99.96, 12.345, 1.0, 0.05, -2.0, f64::NAN].map(number);
        assert_eq!(texts, ["1,230,000", "18,700", "1,000", "100", "12.3", "1.00", "0.0500", "-2.00", "none"]);
    }

    #[test]
    fn a_spread_is_its_median_and_its_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 2.0]).median, 3.0);
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn what_a_process_costs_is_counted() {
        let began = Instant::now();
        let before = cpu_of_this();
        while cpu_of_this() - before < Duration::from_millis(20) {
            assert!(began.elapsed() < Duration::from_secs(60), "no CPU time passes");
        }
        let this = std::process::id();
        // The kernel counts in ticks.
        assert!(cpu_of(this) >= Duration::from_millis(10));
        assert!(cpu_of_family(this) >= cpu_of(this) - Duration::from_millis(20));
        let resident = resident(this).expect("a status");
        assert!(resident.now > 0 && resident.max >= resident.now);
    }
}
