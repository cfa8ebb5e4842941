//! The plan of a round, drawn from the seed before it begins: which endpoints go down and how, and which
//! faults occur meanwhile, when, and for how long.

use std::{ops::Range, time::Duration};

use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use crate::{broker::Mischief, channels, proxy::Mode};

/// An installation of pongpong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The engine on SQLite, its folder on a small disk of its own.
    Sqlite,
    /// The engine on PostgreSQL.
    Postgres,
    /// Each function in a separate process, on PostgreSQL.
    Functions,
    /// The engine on SQLite, in a network namespace of its own.
    Namespace,
    /// The engine on SQLite, with enough endpoints for a region outage.
    Crowd,
    /// As many endpoints, with functions on PostgreSQL.
    FunctionsCrowd,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Sqlite, Self::Functions, Self::Postgres, Self::Crowd, Self::Namespace, Self::FunctionsCrowd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "engine on SQLite",
            Self::Postgres => "engine on PostgreSQL",
            Self::Functions => "functions on PostgreSQL",
            Self::Namespace => "engine behind a bad network",
            Self::Crowd => "engine with many endpoints",
            Self::FunctionsCrowd => "functions with many endpoints",
        }
    }

    pub fn is_crowd(self) -> bool {
        matches!(self, Self::Crowd | Self::FunctionsCrowd)
    }

    pub fn has_functions(self) -> bool {
        matches!(self, Self::Functions | Self::FunctionsCrowd)
    }

    pub fn has_postgres(self) -> bool {
        self == Self::Postgres || self.has_functions()
    }

    /// What can be broken in it.
    pub fn subjects(self) -> &'static [Subject] {
        use Subject::{
            Broker, Channels, Clock, Database, Disk, Engine, Functions, Network, Owner, RegionOutage, Sigterm,
        };
        match self {
            Self::Sqlite => &[Engine, Sigterm, Disk, Channels, Clock, Owner],
            Self::Postgres => &[Engine, Sigterm, Database, Disk, Channels, Clock, Owner],
            Self::Functions => &[Functions, Sigterm, Database, Disk, Channels, Broker, Clock, Owner],
            Self::Namespace => &[Network],
            Self::Crowd | Self::FunctionsCrowd => &[RegionOutage],
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
    Owner,
    RegionOutage,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// `kill -9` of the engine, this many milliseconds after the clock moved; started again at the end.
    KillEngine(u64),
    /// SIGTERM, with checks, events and requests under way.
    StopEngine(u64),
    KillFunction(&'static str, u64),
    StopFunction(&'static str, u64),
    /// The function is not started while this lasts.
    Away(&'static str),
    /// Answered with an empty 404, as by an ingress that does not know the function.
    Unknown(&'static str),
    /// `pg_ctl stop -m immediate`; started again.
    DatabaseDown,
    DatabaseFull,
    Database(Mode),
    /// The locks of `pg_dump`, held past midnight.
    Dump,
    DiskFull,
    /// By the index of the channel.
    Channel(usize, Mode),
    Answer(usize, u16),
    /// Fails for longer than the broker retries.
    Exhaust(usize),
    Broker(Mischief),
    /// Moves the clock by this many seconds. If negative, the clock is corrected at the end.
    Clock(i64),
    /// Moves the clock ahead by this many seconds; corrected at the end.
    ClockAhead(i64),
    /// Another owner's hanging and failing endpoints, and a hanging webhook that gets messages about them.
    SlowOwner,
    /// Lost packets to the targets, in percent.
    Loss(u32),
}

impl Fault {
    /// Whether completed work may be repeated because of this fault.
    pub fn repeats(&self) -> bool {
        match self {
            Self::KillEngine(_)
            | Self::KillFunction(..)
            | Self::Away(_)
            | Self::Unknown(_)
            | Self::DatabaseDown
            | Self::DatabaseFull
            | Self::Database(_)
            | Self::DiskFull
            | Self::Broker(_) => true,
            // They move the clock, or cause no repetition.
            Self::StopEngine(_)
            | Self::StopFunction(..)
            | Self::Channel(..)
            | Self::Answer(..)
            | Self::Exhaust(_)
            | Self::Dump
            | Self::Clock(_)
            | Self::ClockAhead(_)
            | Self::SlowOwner
            | Self::Loss(_) => false,
        }
    }
}

/// A fault, and the steps at which it begins and ends.
#[derive(Clone, Debug)]
pub struct Planned {
    pub fault: Fault,
    pub from: usize,
    pub until: usize,
    /// At the beginning, this endpoint fails for one scheduled time in this way; chosen from those that one
    /// failure does not make down.
    pub blip: (usize, Outage),
}

/// The kinds of faults of an installation: each occurs once before any occurs again.
pub struct Deck {
    pub kind: Kind,
    subjects: Vec<Subject>,
    left: Vec<Fault>,
    once: bool,
}

impl Deck {
    /// `once`: the deck is empty when all faults have occurred.
    pub fn new(rng: &mut StdRng, kind: Kind, subjects: Vec<Subject>, once: bool) -> Self {
        let mut deck = Self { kind, subjects, left: Vec::new(), once };
        deck.refill(rng);
        deck
    }

    fn refill(&mut self, rng: &mut StdRng) {
        self.left = self.subjects.iter().flat_map(|subject| faults(rng, self.kind, *subject)).collect();
        self.left.shuffle(rng);
    }

    /// After this many rounds. A crowd needs one region outage that ends and one that is given up.
    pub fn is_done(&self, rounds: u64) -> bool {
        self.left.is_empty() && rounds >= if self.kind.is_crowd() { 2 } else { 1 }
    }

    fn draw(&mut self, rng: &mut StdRng) -> Option<Fault> {
        if self.left.is_empty() && !self.once {
            self.refill(rng);
        }
        self.left.pop()
    }
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

/// Some endpoints go down and come back, in two phases.
#[derive(Clone, Debug)]
pub struct Round {
    pub down: Vec<(usize, Outage)>,
    /// Set if the number of endpoints makes it a region outage: whether it lasts until the region outage is
    /// given up.
    pub blackout: Option<bool>,
    pub phases: [Phase; 2],
}

/// Seconds of the first steps of a blackout, and the number of steps until it is reported.
const FIRST: (i64, usize) = (8, 18);
/// Steps until each endpoint is known to fail; faults begin afterwards.
const QUIET: usize = 8;

/// Endpoints of an installation: few, so that their failures do not look like a failure of pongpong's own
/// network.
pub const ENDPOINTS: usize = 4;

/// The functions that a check, and the messages about it, pass through.
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
    "endpoint-private-list",
    "delivery-record",
    "email-send",
    "slack-send",
    "webhook-send",
];

impl Round {
    /// `number`: the round's number within the installation.
    pub fn draw(mut rng: StdRng, deck: &mut Deck, endpoints: usize, number: u64) -> Self {
        let rng = &mut rng;
        if deck.kind.is_crowd() {
            return Self::blackout(rng, deck, endpoints, number);
        }
        let mut down: Vec<_> = (0..endpoints).filter(|_| rng.random_bool(0.4)).collect();
        if down.is_empty() {
            down.push(rng.random_range(0..endpoints));
        }
        let down = down.into_iter().map(|endpoint| (endpoint, outage(rng))).collect();
        let mut phase = || {
            let steps = rng.random_range(4..10);
            // In a namespace every scheduled time must come in turn: steps are shorter than the shortest
            // interval.
            let longest = if deck.kind == Kind::Namespace { 10 } else { 12 };
            Phase {
                faults: planned(rng, deck, 0..steps, 1),
                steps: (0..steps).map(|_| (rng.random_range(1..longest), pause(rng, deck.kind))).collect(),
            }
        };
        Self { down, blackout: None, phases: [phase(), phase()] }
    }

    /// Nearly all endpoints become unreachable at once (an answer, however bad, is no sign of a region
    /// outage). Faults then occur while their alerts are held.
    fn blackout(rng: &mut StdRng, deck: &mut Deck, endpoints: usize, number: u64) -> Self {
        let is_long = number.is_multiple_of(2);
        // Each deck lasts for one short and one long blackout.
        let phases = if is_long { 2 } else { 4 };
        let (how, working) = (Outage::Connection(Mode::Refuse), rng.random_range(0..3));
        let down = (working..endpoints).map(|endpoint| (endpoint, how)).collect();
        let mut steps = vec![(FIRST.0, 20); FIRST.1];
        let (more, longest) = if is_long { (33, 31) } else { (rng.random_range(6..12), 30) };
        let shortest = if is_long { 28 } else { 10 };
        steps.extend((0..more).map(|_| (rng.random_range(shortest..longest), pause(rng, deck.kind))));
        let held = Phase { faults: planned(rng, deck, QUIET..steps.len(), phases), steps };
        let steps = rng.random_range(4..10);
        let over = Phase {
            faults: planned(rng, deck, 0..steps, phases - 1),
            steps: (0..steps).map(|_| (rng.random_range(1..20), pause(rng, deck.kind))).collect(),
        };
        Self { down, blackout: Some(is_long), phases: [held, over] }
    }
}

fn pause(rng: &mut StdRng, kind: Kind) -> u64 {
    match kind {
        // With lost packets real time matters: they are sent again after a second.
        Kind::Namespace => rng.random_range(20..200),
        _ => rng.random_range(3..45),
    }
}

/// One to three faults at some of these steps. With `once`, as many as are needed to make all of them in
/// `phases` phases.
fn planned(rng: &mut StdRng, deck: &mut Deck, steps: Range<usize>, phases: usize) -> Vec<Planned> {
    let share = deck.left.len().div_ceil(phases).min(3);
    let count = if deck.once { share } else { rng.random_range(1..4) };
    let faults: Vec<_> = (0..count).filter_map(|_| deck.draw(rng)).collect();
    let planned = faults.into_iter().map(|fault| {
        let from = rng.random_range(steps.clone());
        let until = (from + rng.random_range(0..4)).min(steps.end - 1);
        Planned { fault, from, until, blip: (rng.random_range(0..ENDPOINTS), outage(rng)) }
    });
    planned.collect()
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

/// Every kind of fault of a subject; those that affect everything occur more than once.
fn faults(rng: &mut StdRng, kind: Kind, subject: Subject) -> Vec<Fault> {
    let mut after = || rng.random_range(0..40);
    match subject {
        Subject::Engine => {
            vec![Fault::KillEngine(after()), Fault::KillEngine(after()), Fault::KillEngine(after())]
        }
        Subject::Sigterm if kind.has_functions() => {
            let after = [after(), after()];
            vec![
                Fault::StopFunction("endpoint-update", after[0]),
                Fault::StopFunction(on_the_way(rng), after[1]),
            ]
        }
        Subject::Sigterm => vec![Fault::StopEngine(after()), Fault::StopEngine(after())],
        Subject::Functions => {
            let after = [after(), after(), after(), after()];
            let killed = after.map(|after| Fault::KillFunction(on_the_way(rng), after));
            [killed.into(), vec![Fault::Away(on_the_way(rng)), Fault::Unknown(on_the_way(rng))]].concat()
        }
        Subject::Database => vec![
            Fault::DatabaseDown,
            Fault::DatabaseFull,
            Fault::Database(Mode::Refuse),
            Fault::Database(Mode::Hang),
            Fault::Database(Mode::Freeze),
            Fault::Dump,
            Fault::Database(Mode::Slow(Duration::from_millis(rng.random_range(2..40)))),
            Fault::Database(Mode::BreakOff(rng.random_range(0..2000))),
        ],
        Subject::Disk => vec![Fault::DiskFull],
        Subject::Channels => {
            let slow = Mode::Slow(Duration::from_millis(rng.random_range(2..60)));
            let modes = [
                Mode::Refuse,
                Mode::Hang,
                slow,
                Mode::HalfClosed,
                Mode::Garbage,
                Mode::BreakOff(rng.random_range(0..200)),
            ];
            let mut any = || rng.random_range(0..channels::NAMES.len());
            let mut faults: Vec<_> = modes.into_iter().map(|mode| Fault::Channel(any(), mode)).collect();
            faults.push(Fault::Exhaust(any()));
            faults.extend(
                [429, 500, 503]
                    .map(|status| Fault::Answer(rng.random_range(1..channels::NAMES.len()), status)),
            );
            // Status codes of SMTP.
            faults.extend([421, 451, 452].choose(rng).map(|status| Fault::Answer(0, *status)));
            faults
        }
        Subject::Broker => {
            let mut often = || rng.random_range(10..60);
            let (none, all) = (Mischief::default(), [often(), often(), often(), often()]);
            vec![
                Fault::Broker(Mischief { duplicate: often(), ..none }),
                Fault::Broker(Mischief { reorder: often(), ..none }),
                Fault::Broker(Mischief { redeliver: often(), ..none }),
                Fault::Broker(Mischief { deaf: often(), ..none }),
                Fault::Broker(Mischief {
                    duplicate: all[0],
                    reorder: all[1],
                    redeliver: all[2],
                    deaf: all[3],
                }),
            ]
        }
        Subject::Clock => vec![
            Fault::Clock(-rng.random_range(1..90)),
            Fault::Clock(-rng.random_range(600..4 * 3600)),
            Fault::Clock(rng.random_range(30..600)),
            Fault::Clock(rng.random_range(1..40) * 3600),
            // An event that is dated over an hour ahead would be refused until it is given up.
            Fault::ClockAhead(2400),
        ],
        Subject::Owner => vec![Fault::SlowOwner],
        Subject::Network => [20, 50, 100].map(Fault::Loss).into(),
        Subject::RegionOutage if kind.has_functions() => {
            let killed = ["notification-evaluate", "notification-dispatch", on_the_way(rng)];
            let killed = killed.map(|name| Fault::KillFunction(name, rng.random_range(0..40)));
            let broker = faults(rng, kind, Subject::Broker);
            [killed.into(), faults(rng, kind, Subject::Sigterm), broker].concat()
        }
        Subject::RegionOutage => {
            [faults(rng, kind, Subject::Engine), faults(rng, kind, Subject::Sigterm)].concat()
        }
    }
}

fn on_the_way(rng: &mut StdRng) -> &'static str {
    ON_THE_WAY.choose(rng).copied().unwrap_or("check-run")
}
