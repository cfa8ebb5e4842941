//! What a round does, drawn from the seed before it begins: who goes down in which way, and what breaks
//! meanwhile, when, and for how long.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use crate::{broker::Mischief, channels, proxy::Mode};

/// What is broken: an installation of pongpong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The engine on SQLite, its folder on a small disk of its own.
    Sqlite,
    /// The engine on PostgreSQL.
    Postgres,
    /// Each function a process of its own, on PostgreSQL.
    Functions,
    /// The engine on SQLite, in a network namespace of its own.
    Namespace,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Sqlite, Self::Functions, Self::Postgres, Self::Namespace];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "engine on SQLite",
            Self::Postgres => "engine on PostgreSQL",
            Self::Functions => "functions on PostgreSQL",
            Self::Namespace => "engine behind a bad network",
        }
    }

    /// What can be broken of it.
    pub fn subjects(self) -> &'static [Subject] {
        use Subject::{Broker, Channels, Clock, Database, Disk, Engine, Functions, Network, Sigterm};
        match self {
            Self::Sqlite => &[Engine, Sigterm, Disk, Channels, Clock],
            Self::Postgres => &[Engine, Sigterm, Database, Channels, Clock],
            Self::Functions => &[Functions, Functions, Sigterm, Database, Channels, Broker, Clock],
            Self::Namespace => &[Network],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    Engine,
    Functions,
    Sigterm,
    Database,
    Disk,
    Channels,
    Broker,
    Clock,
    Network,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `kill -9` of the engine, so many milliseconds after the clock moved; started again at the end.
    KillEngine(u64),
    /// SIGTERM, under whatever load there is.
    StopEngine(u64),
    KillFunction(&'static str, u64),
    StopFunction(&'static str, u64),
    /// Not started while this lasts.
    Away(&'static str),
    /// Answered 404 without a word, as by an ingress that does not know it.
    Unknown(&'static str),
    /// `pg_ctl stop -m immediate`, and started again.
    DatabaseDown,
    DatabaseFull,
    Database(Mode),
    DiskFull,
    /// By its place among the channels.
    Channel(usize, Mode),
    Answer(usize, u16),
    /// Refuses for longer than the broker tries.
    Exhaust(usize),
    Broker(Mischief),
    /// Seconds; back, when they are negative: then the clock is right again at the end.
    Clock(i64),
    /// Of a hundred packets to the targets.
    Loss(u32),
}

/// At which step a fault begins, and at which it is over.
#[derive(Clone, Debug)]
pub struct Planned {
    pub fault: Fault,
    pub from: usize,
    pub until: usize,
}

/// How a target is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    Status(u16),
    Connection(Mode),
}

#[derive(Clone, Debug)]
pub struct Phase {
    /// Seconds that the clock moves at each step, and milliseconds of real time after it.
    pub steps: Vec<(i64, u64)>,
    pub faults: Vec<Planned>,
}

/// Some endpoints go down, and come back: a phase each.
#[derive(Clone, Debug)]
pub struct Round {
    pub down: Vec<(usize, Outage)>,
    pub phases: [Phase; 2],
}

/// Whom a check and its news pass on their way.
const ON_THE_WAY: [&str; 14] = [
    "check-schedule",
    "endpoint-private-claim",
    "check-run",
    "check-run",
    "report-record",
    "endpoint-observe",
    "notification-evaluate",
    "incident-record",
    "notification-dispatch",
    "endpoint-private-get",
    "delivery-record",
    "email-send",
    "slack-send",
    "webhook-send",
];

impl Round {
    pub fn draw(rng: &mut StdRng, kind: Kind, subjects: &[Subject], endpoints: usize) -> Self {
        let mut down: Vec<_> = (0..endpoints).filter(|_| rng.random_bool(0.4)).collect();
        if down.is_empty() {
            down.push(rng.random_range(0..endpoints));
        }
        let down = down.into_iter().map(|endpoint| (endpoint, outage(rng))).collect();
        let phase = |rng: &mut StdRng| {
            let steps = rng.random_range(4..10);
            // With packets lost time is real: they are sent again after a second.
            let pause = |rng: &mut StdRng| match kind {
                Kind::Namespace => rng.random_range(20..200),
                _ => rng.random_range(3..45),
            };
            let faults = (0..rng.random_range(1..4)).filter_map(|_| {
                let from = rng.random_range(0..steps);
                let until = (from + rng.random_range(0..4)).min(steps - 1);
                let subject = *subjects.choose(rng)?;
                Some(Planned { fault: fault(rng, kind, subject), from, until })
            });
            let faults = faults.collect();
            // There each slot in its turn: no interval is as short as that.
            let longest = if kind == Kind::Namespace { 10 } else { 12 };
            Phase { steps: (0..steps).map(|_| (rng.random_range(1..longest), pause(rng))).collect(), faults }
        };
        Self { down, phases: [phase(rng), phase(rng)] }
    }
}

fn outage(rng: &mut StdRng) -> Outage {
    match rng.random_range(0..6) {
        0 => Outage::Connection(Mode::Refuse),
        1 => Outage::Connection(Mode::Garbage),
        2 => Outage::Connection(Mode::BreakOff(9)),
        3 => Outage::Connection(Mode::HalfClosed),
        4 => Outage::Status(404),
        _ => Outage::Status(503),
    }
}

fn fault(rng: &mut StdRng, kind: Kind, subject: Subject) -> Fault {
    let after = rng.random_range(0..40);
    match subject {
        Subject::Engine => Fault::KillEngine(after),
        Subject::Sigterm if kind == Kind::Functions => Fault::StopFunction(on_the_way(rng), after),
        Subject::Sigterm => Fault::StopEngine(after),
        Subject::Functions => match rng.random_range(0..6) {
            0 => Fault::Away(on_the_way(rng)),
            1 => Fault::Unknown(on_the_way(rng)),
            _ => Fault::KillFunction(on_the_way(rng), after),
        },
        Subject::Database => match rng.random_range(0..6) {
            0 => Fault::DatabaseDown,
            1 => Fault::DatabaseFull,
            2 => Fault::Database(Mode::Refuse),
            3 => Fault::Database(Mode::Hang),
            4 => Fault::Database(Mode::Slow(Duration::from_millis(rng.random_range(2..40)))),
            _ => Fault::Database(Mode::BreakOff(rng.random_range(0..2000))),
        },
        Subject::Disk => Fault::DiskFull,
        Subject::Channels => {
            let which = rng.random_range(0..channels::NAMES.len());
            match rng.random_range(0..8) {
                6 => Fault::Exhaust(which),
                0 => Fault::Channel(which, Mode::Hang),
                1 => Fault::Channel(which, Mode::Slow(Duration::from_millis(rng.random_range(2..60)))),
                2 => Fault::Channel(which, Mode::HalfClosed),
                3 => Fault::Channel(which, Mode::Garbage),
                4 => Fault::Channel(which, Mode::BreakOff(rng.random_range(0..200))),
                5 if which > 0 => Fault::Answer(which, *[429, 500, 503].choose(rng).unwrap_or(&503)),
                _ => Fault::Channel(which, Mode::Refuse),
            }
        }
        Subject::Broker => {
            let mut often = || if rng.random_bool(0.5) { rng.random_range(10..60) } else { 0 };
            let (duplicate, reorder, redeliver, deaf) = (often(), often(), often(), often());
            Fault::Broker(Mischief { duplicate, reorder, redeliver, deaf })
        }
        Subject::Clock => match rng.random_range(0..4) {
            0 => Fault::Clock(-rng.random_range(1..90)),
            1 => Fault::Clock(-rng.random_range(600..4 * 3600)),
            2 => Fault::Clock(rng.random_range(30..600)),
            _ => Fault::Clock(rng.random_range(1..9) * 3600),
        },
        Subject::Network => Fault::Loss(*[20, 50, 100, 100].choose(rng).unwrap_or(&100)),
    }
}

fn on_the_way(rng: &mut StdRng) -> &'static str {
    ON_THE_WAY.choose(rng).copied().unwrap_or("check-run")
}
