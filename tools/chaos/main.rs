//! Breaks pongpong and checks that nothing was lost: see docs/chaos.md.
//!
//! | file | content |
//! |---|---|
//! | `plan.rs` | what a round does, drawn from the seed |
//! | `world.rs` | an installation, its faults, and what must hold afterwards |
//! | `ledger.rs` | pongpong's stored data |
//! | `request.rs` | a request that reports when the server took it |
//! | `broker.rs`, `process.rs` | functions and engine as processes, with Knative's part between them |
//! | `proxy.rs`, `postgres.rs`, `disk.rs`, `network.rs` | infrastructure that can be broken |
//! | `afterwards.rs` | cleanup, even if chaos is killed |
//! | `load.rs` | ten minutes of twice the load |
//! | `sites.rs`, `channels.rs` | the targets, and the recipients of messages |
//! | `owner.rs` | another owner, whose targets and webhook are slow |

mod afterwards;
mod broker;
mod channels;
mod disk;
mod ledger;
mod load;
mod network;
mod owner;
mod plan;
mod postgres;
mod process;
mod proxy;
mod request;
mod sites;
mod world;

#[expect(dead_code, clippy::unwrap_used, reason = "the tests' own")]
#[path = "../../functions/tests/it/listener.rs"]
mod listener;
#[expect(dead_code, clippy::unwrap_used, reason = "the tests' own")]
#[path = "../../functions/tests/it/smtp.rs"]
mod smtp;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};

use afterwards::Afterwards;
use plan::{Deck, Kind, Round, Subject};
use postgres::Postgres;
use process::Log;
use world::{Tally, World};

/// Break pongpong in rounds, and check after each that nothing was lost
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    load: Option<Instead>,
    /// Seed; the same seed makes the same faults [default: random]
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 300)]
    rounds: u64,
    /// No round begins after this time [seconds]
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// What to break [default: everything]
    #[arg(long, value_delimiter = ',')]
    only: Vec<Subject>,
    /// Run as many rounds as it takes for each kind of fault to occur once in each installation (channels and
    /// clock in one installation only)
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "together"])]
    once: bool,
    /// Rounds of one installation before the next kind of installation follows
    #[arg(long, default_value_t = 8)]
    together: u64,
    /// Folder for the logs
    #[arg(long, default_value = "target/chaos")]
    logs: PathBuf,
}

#[derive(clap::Subcommand)]
enum Instead {
    /// Break nothing, but run twice the rated load
    Load(load::Load),
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::install_crypto();
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000_000));
    if cli.load.is_none() {
        println!("chaos: seed {seed}");
    }
    let broken = async {
        std::fs::create_dir_all(&cli.logs)?;
        let _afterwards = Afterwards::prepare(&network::Namespace::own_name())?;
        match &cli.load {
            None => run(&cli, seed).await,
            Some(Instead::Load(load)) => load::run(load, &Log::at(&cli.logs.join("load.log"))?).await,
        }
    };
    let ended = tokio::select! {
        ended = broken => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: FAILED with seed {seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli, seed: u64) -> Result<()> {
    let asked = |kind: Kind| {
        let subjects = kind.subjects().iter().copied();
        subjects.filter(|subject| cli.only.is_empty() || cli.only.contains(subject)).collect::<Vec<_>>()
    };
    let mut kinds: Vec<(Kind, Vec<Subject>)> = Kind::ALL.map(|kind| (kind, asked(kind))).into();
    let disks = skip_if(&mut kinds, Subject::Disk, disk::Disk::obstacle())?;
    skip_if(&mut kinds, Subject::Network, network::Namespace::obstacle())?;
    if cli.once {
        let mut met = Vec::new();
        for (_, subjects) in &mut kinds {
            subjects.retain(|subject| !met.contains(subject));
            met.extend(subjects.iter().filter(|s| matches!(s, Subject::Channels | Subject::Clock)));
        }
    }
    kinds.retain(|(_, subjects)| !subjects.is_empty());
    anyhow::ensure!(!kinds.is_empty(), "there is nothing to break");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut decks: Vec<_> =
        kinds.into_iter().map(|(kind, subjects)| Deck::new(&mut rng, kind, subjects, cli.once)).collect();
    let postgres = Postgres::start(disks)?;
    let (began, mut done) = (Instant::now(), 0);
    let is_over =
        |done| !cli.once && (done == cli.rounds || began.elapsed() > Duration::from_secs(cli.seconds));
    let (mut n, mut blips, mut seen): (u64, usize, usize) = (0, 0, 0);
    while !is_over(done) && (!cli.once || n < decks.len() as u64) {
        let kinds = decks.len() as u64;
        let deck = &mut decks[(n % kinds) as usize];
        let log = Log::at(&cli.logs.join(format!("world-{n}.log")))?;
        let place = format!("{}; what was said is in {}", deck.kind.name(), log.path.display());
        let told = || place.clone();
        let world_seed = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::make(deck.kind, world_seed, &postgres, log, disks).await.with_context(told)?;
        let (mut of_world, mut tally) = (0, Tally::default());
        while !is_over(done) && if cli.once { !deck.is_done(of_world) } else { of_world < cli.together } {
            (done, of_world) = (done + 1, of_world + 1);
            let rng = StdRng::seed_from_u64(seed ^ done.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let round = Round::draw(rng, deck, world.endpoints(), of_world);
            tally = go_through(&mut world, round, done).await.with_context(told)?;
        }
        world.end().await.with_context(told)?;
        n += 1;
        (blips, seen) = (blips + tally.blips, seen + tally.blips_seen);
    }
    // If no blip is ever seen, this test does not prove that a single failure is not alerted.
    anyhow::ensure!(blips < 10 || seen > 0, "none of {blips} single failures was seen by a check");
    println!(
        "chaos: {done} rounds in {:.0} s, nothing lost, {seen} single failures not told; seed {seed}",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Warns about faults that cannot be made on this machine; with STRICT, fails.
fn skip_if(kinds: &mut [(Kind, Vec<Subject>)], subject: Subject, obstacle: Option<String>) -> Result<bool> {
    let Some(why) = obstacle else { return Ok(true) };
    if kinds.iter().any(|(_, subjects)| subjects.contains(&subject)) {
        let is_strict = std::env::var("STRICT").is_ok_and(|strict| !matches!(strict.as_str(), "" | "no"));
        anyhow::ensure!(!is_strict, "{subject:?} cannot be broken here, and STRICT is set: {why}");
        println!("chaos: SKIPPED {subject:?}: {why}");
    }
    kinds.iter_mut().for_each(|(_, subjects)| subjects.retain(|other| *other != subject));
    Ok(false)
}

async fn go_through(world: &mut World<'_>, round: Round, number: u64) -> Result<Tally> {
    let Round { down, blackout, phases: [first, second] } = round;
    let faults = |phase: &plan::Phase| {
        let faults = phase.faults.iter().map(|planned| format!("{:?}", planned.fault));
        faults.collect::<Vec<_>>().join(", ")
    };
    let until = blackout.map_or("", |is_long| if is_long { " until it is given up" } else { " for minutes" });
    let plan = format!(
        "{} of {} down{until}: {}; up: {}",
        down.len(),
        world.endpoints(),
        faults(&first),
        faults(&second)
    );
    let began = Instant::now();
    world.log.say(&format!("chaos: round {number}: {plan}; {down:?}"));
    world.take_down(&down, blackout);
    world.go_through(&first).await.with_context(|| format!("round {number}, going down: {plan}"))?;
    world.bring_back().await?;
    let tally =
        world.go_through(&second).await.with_context(|| format!("round {number}, coming back: {plan}"))?;
    println!(
        "round {number:3} {}: {plan}. {:.1} s; {} results, {} missed, {} messages",
        world.kind.name(),
        began.elapsed().as_secs_f64(),
        tally.results,
        tally.missed,
        tally.messages
    );
    Ok(tally)
}
