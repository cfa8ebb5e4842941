//! `make bench`: measures how fast pongpong is, compared with alternatives.
//!
//! | file | what it measures |
//! |---|---|
//! | `prober.rs` | checks, compared with blackbox_exporter, check_http and a bare client |
//! | `engine.rs` | from schedule to stored and evaluated; memory; the growth of both |
//! | `store.rs` | storing results |
//! | `claim.rs` | claiming due endpoints |
//! | `shares.rs` | how one owner's slow targets and channels affect others |
//! | `reports.rs` | queries over a hundred million results |
//! | `pages.rs` | lists and pages under load, and the cost of the gateway |
//! | `alone.rs` | start and memory of every function, size of the image |
//!
//! | file | what the measurements use |
//! |---|---|
//! | `measure.rs` | CPU time and memory of processes; rounds |
//! | `record.rs`, `chart.rs` | the stored figures, and the documentation made of them |
//! | `targets.rs` | targets of checks |
//! | `data.rs` | rows by the million |
//! | `outside.rs` | Debian's programs, PostgreSQL, plain HTTP |

mod alone;
mod chart;
mod claim;
mod data;
mod engine;
mod measure;
mod outside;
mod pages;
mod prober;
mod record;
mod reports;
mod shares;
mod store;
mod targets;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use runtime::log;

use self::record::{Measured, Ratio, Record};

/// Measure how fast pongpong is, and write docs/benchmarks.md
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the ratios again; fail if one is more than 20 percent worse than recorded
    Check { subjects: Vec<Subject> },
    #[command(hide = true)]
    Targets,
    #[command(hide = true)]
    Engine(engine::Work),
    #[command(hide = true)]
    Owners(shares::Work),
    /// Named differently from the subject `pages`.
    #[command(hide = true)]
    Load(pages::Work),
}

#[derive(Args)]
pub struct Options {
    /// Subjects to measure [default: all]
    subjects: Vec<Subject>,
    /// Measurements of each side
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Do less in each round
    #[arg(long)]
    quick: bool,
    /// Results that `reports` queries; 60 million take 10 GB of disk
    #[arg(long, default_value_t = 100_000_000)]
    results: i64,
    /// Endpoints that `claim` claims
    #[arg(long, default_value_t = 1_000_000)]
    due: i64,
    /// Numbers of endpoints for `growth`
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000,100000")]
    endpoints: Vec<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Checks, compared with other probers
    Prober,
    /// From schedule to stored and evaluated
    Pipeline,
    /// The same with a growing number of endpoints
    Growth,
    /// Storing results
    Store,
    /// Claiming due endpoints
    Claim,
    /// How one owner's slow targets and channels affect others
    Shares,
    /// Queries over many results
    Reports,
    /// Lists and pages under load
    Pages,
    /// Start and memory of every function
    Functions,
}

const TITLES: [(&str, &str); 9] = [
    ("prober", "The prober"),
    ("pipeline", "The whole pipeline"),
    ("growth", "Growth"),
    ("store", "Storing"),
    ("claim", "Claiming"),
    ("shares", "Shares"),
    ("reports", "Reports"),
    ("pages", "Lists, pages and the gateway"),
    ("functions", "Functions and their image"),
];
/// The subjects that have ratios.
const CHECKED: [Subject; 8] = [
    Subject::Prober,
    Subject::Pipeline,
    Subject::Store,
    Subject::Claim,
    Subject::Shares,
    Subject::Reports,
    Subject::Pages,
    Subject::Functions,
];
const RECORD: &str = "tools/bench/ratios.json";
/// How much worse a ratio may become.
const SLACK: f64 = 1.2;

impl Subject {
    fn name(self) -> &'static str {
        TITLES[self as usize].0
    }

    fn measure(self, options: &Options) -> Result<Measured> {
        let began = Instant::now();
        eprintln!("{}", self.name());
        let measured = match self {
            Self::Prober => prober::measure(options),
            Self::Pipeline => engine::pipeline(options),
            Self::Growth => engine::growth(options),
            Self::Store => store::measure(options),
            Self::Claim => claim::measure(options),
            Self::Shares => shares::measure(options),
            Self::Reports => reports::measure(options),
            Self::Pages => pages::measure(options),
            Self::Functions => alone::measure(options),
        };
        let mut measured = measured.with_context(|| format!("measuring {}", self.name()))?;
        measured.machine = machine();
        measured.command = command();
        eprintln!("{}: {:.0} s", self.name(), began.elapsed().as_secs_f64());
        Ok(measured)
    }
}

fn main() -> Result<()> {
    runtime::install_crypto();
    let Cli { command, options } = Cli::parse();
    // Functions in this process log only errors: more logging would cost time.
    let level = std::env::var("LOG_LEVEL").unwrap_or_else(|_| "error".to_owned());
    let counts = matches!(&command, Some(Command::Engine(work)) if work.requests);
    if !counts {
        log::init(&[("LOG_LEVEL".to_owned(), level)].into_iter().collect(), log::Format::Text)?;
    }
    match command {
        None => measure(&options),
        Some(Command::Check { subjects }) => check(&subjects),
        Some(Command::Targets) => {
            runtime::process::prepare();
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(targets::serve())
        }
        // As in the engine's own `main`.
        Some(Command::Engine(work)) => {
            runtime::process::prepare();
            tokio::runtime::Runtime::new()?.block_on(engine::work(work))
        }
        Some(Command::Owners(work)) => {
            runtime::process::prepare();
            tokio::runtime::Runtime::new()?.block_on(shares::work(work))
        }
        Some(Command::Load(work)) => {
            runtime::process::prepare();
            tokio::runtime::Runtime::new()?.block_on(pages::work(work))
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let file = Path::new(RECORD);
    ensure!(file.parent().is_some_and(Path::exists), "this runs in the root of the repository: make bench");
    ensure!(options.rounds > 0, "there is at least one round");
    let all = Subject::value_variants();
    let subjects = if options.subjects.is_empty() { all } else { &options.subjects };
    let mut failed = Vec::new();
    for subject in subjects {
        // Save the measurements before the next subject, which may fail.
        match subject.measure(options) {
            Ok(measured) => {
                let mut record = Record::read(file)?;
                record.put(subject.name(), measured);
                record.write(file)?;
                record.write_docs(Path::new("docs"), &TITLES)?;
                record.write_figures(Path::new("README.md"), &TITLES)?;
            }
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(subject.name());
            }
        }
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    eprintln!("docs/benchmarks.md is written");
    Ok(())
}

fn check(subjects: &[Subject]) -> Result<()> {
    let record = Record::read(Path::new(RECORD))?;
    let options = Options { subjects: vec![], rounds: 3, quick: true, results: 0, due: 0, endpoints: vec![] };
    let mut worse = Vec::new();
    for subject in if subjects.is_empty() { &CHECKED } else { subjects } {
        let recorded = record.ratios(subject.name());
        ensure!(!recorded.is_empty(), "there are no ratios of {} in {RECORD}", subject.name());
        let mut found = regressions(recorded, &subject.measure(&options)?.ratios, &[])?;
        if !found.is_empty() {
            // Another process may have disturbed the measurement: measure once more, and take the better
            // value.
            eprintln!("{} ratios are worse; once more", found.len());
            found = regressions(recorded, &subject.measure(&options)?.ratios, &found)?;
        }
        worse.extend(found);
    }
    for Regression { name, what, was, is } in &worse {
        println!("worse: {name} was {was:.3}, is {is:.3} ({what})");
    }
    ensure!(worse.is_empty(), "{} ratios are more than 20 percent worse than in {RECORD}", worse.len());
    println!("no ratio is more than 20 percent worse than in {RECORD}");
    Ok(())
}

#[derive(Debug)]
struct Regression {
    name: String,
    what: String,
    was: f64,
    is: f64,
}

/// The ratios that became worse; with `before`, only those that were already in it.
fn regressions(recorded: &[Ratio], measured: &[Ratio], before: &[Regression]) -> Result<Vec<Regression>> {
    let mut found = Vec::new();
    if let Some(new) = measured.iter().find(|now| recorded.iter().all(|ratio| ratio.name != now.name)) {
        bail!("{} is measured, and was not recorded: make bench", new.name);
    }
    for ratio in recorded {
        let Some(now) = measured.iter().find(|now| now.name == ratio.name) else {
            bail!("{} was recorded, and is not measured any more", ratio.name);
        };
        let earlier = before.iter().find(|regression| regression.name == ratio.name);
        if !before.is_empty() && earlier.is_none() {
            continue;
        }
        let is = earlier.map_or(now.value.median, |earlier| earlier.is.min(now.value.median));
        let was = ratio.value.median;
        // A value that is not a number counts as worse.
        if is.is_nan() || is > was * SLACK {
            found.push(Regression { name: ratio.name.clone(), what: ratio.what.clone(), was, is });
        }
    }
    Ok(found)
}

/// The command line, which shows reduced rounds or work.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments = arguments.join(" ");
    if arguments.is_empty() { "make bench".to_owned() } else { format!("make bench ARGS=\"{arguments}\"") }
}

fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let model =
        field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let kilobytes = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let gigabytes =
        kilobytes.trim_end_matches(" kB").parse::<f64>().map_or(f64::NAN, |kb| kb / 1024.0 / 1024.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let today = chrono::Utc::now().date_naive();
    format!("{cores} cores ({model}), {gigabytes:.0} GiB, Linux, {today}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spread;

    fn ratios(values: &[(&str, f64)]) -> Vec<Ratio> {
        values.iter().map(|(name, value)| Ratio::new(name, "", Spread::one(*value))).collect()
    }

    #[test]
    fn a_ratio_that_is_worse_twice_is_a_regression() {
        let recorded = ratios(&[("a", 1.0), ("b", 2.0), ("c", 3.0)]);
        let first =
            regressions(&recorded, &ratios(&[("a", 1.19), ("b", 2.5), ("c", 9.0)]), &[]).expect("compared");
        assert_eq!(first.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
        let again = ratios(&[("a", 7.0), ("b", 2.3), ("c", 4.0)]);
        let second = regressions(&recorded, &again, &first).expect("compared");
        assert_eq!(second.iter().map(|r| (r.name.as_str(), r.is)).collect::<Vec<_>>(), [("c", 4.0)]);
        regressions(&recorded, &ratios(&[("a", 1.0)]), &[]).expect_err("b is gone");
        regressions(&recorded[..1], &ratios(&[("a", 1.0), ("b", 1.0)]), &[]).expect_err("b is new");
        assert_eq!(regressions(&recorded[..1], &ratios(&[("a", f64::NAN)]), &[]).expect("compared").len(), 1);
    }

    #[test]
    fn every_subject_has_its_title() {
        let names = Subject::value_variants().iter().map(|subject| subject.name());
        let clap = Subject::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        assert!(names.zip(clap).all(|(name, value)| value.get_name() == name));
    }
}
