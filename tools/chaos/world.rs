//! An installation of pongpong that checks targets and is broken and repaired; and what must hold afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use runtime::Clock;
use serde_json::{Value, json};
use tokio::{process::Command, sync::oneshot, task::JoinSet};

use crate::{
    broker::{Cluster, Mischief},
    channels::{self, Channels, Messages},
    disk::Disk,
    ledger::{DAY, HOUR, Ledger, Letter, Page},
    network::Namespace,
    owner::{self, SlowOwner},
    plan::{ENDPOINTS, Fault, Kind, Outage, Phase},
    postgres::Postgres,
    process::{Log, Process, program},
    proxy::{Mode, Proxy},
    request::{Request, Sent},
    sites::Site,
};

/// How long recovery from all faults may take, in real time.
const TIMEOUT: Duration = Duration::from_secs(90);
const SUMMARY: &str = "the summary";

const REGION: &str = "here";
/// An engine takes at most 8 s to complete running work after SIGTERM, and a moment longer for the databases.
const GRACE: Duration = Duration::from_secs(10);
/// The longest interval of an endpoint, except in a crowd.
const MAX_INTERVAL: i64 = 25;
/// A region outage lasts at most 15 minutes; a blackout of this length ends before.
const SHORT: TimeDelta = TimeDelta::minutes(13);

/// An endpoint, and what chaos expects of it.
struct Watched {
    id: i64,
    name: String,
    interval: i64,
    thresholds: (usize, usize),
    first_check_at: i64,
    site: Site,
    down: bool,
    outages: usize,
    /// Its possible tags: more than one after a change that was not answered.
    tags: Vec<String>,
    /// The last scheduled time for which it failed alone.
    blip: i64,
    /// At the last point when everything was as expected: scheduled times without a result, and the number of
    /// missed checks.
    unseen: BTreeSet<i64>,
    missed: i64,
}

/// Expected messages about the region.
#[derive(Default)]
struct RegionOutages {
    started: usize,
    recovered: usize,
    still_failing: usize,
    /// Since when the region fails while alerts must be held.
    held_since: Option<DateTime<Utc>>,
}

/// A user's requests, through the gateway where there is one.
#[derive(Clone)]
pub enum Person {
    OfEngine { client: reqwest::Client, url: String, headers: HeaderMap },
    OfFunctions { cluster: Arc<Cluster>, headers: HeaderMap },
}

impl Person {
    pub async fn call(
        &self,
        function: &'static str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let answer = match self {
            Self::OfFunctions { cluster, headers } => {
                cluster.call(function, method, path, headers.clone(), body).await?
            }
            Self::OfEngine { client, headers, .. } => {
                let url = self.url(function, path).await?;
                let answer = client.request(method, url).headers(headers.clone()).body(body).send().await?;
                let (status, body) = (answer.status(), answer.bytes().await?);
                anyhow::ensure!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
                body
            }
        };
        Ok(serde_json::from_slice(&answer)?)
    }

    /// The current URL of a function.
    async fn url(&self, function: &'static str, path: &str) -> Result<String> {
        match self {
            Self::OfFunctions { cluster, .. } => {
                Ok(format!("http://127.0.0.1:{}{path}", cluster.wake(function).await?))
            }
            Self::OfEngine { url, .. } => {
                let service = functions::find(function).context("a function")?.service;
                Ok(format!("{url}/{service}{}", path.strip_prefix("/public").context("a public path")?))
            }
        }
    }

    fn headers(&self) -> &HeaderMap {
        match self {
            Self::OfFunctions { headers, .. } | Self::OfEngine { headers, .. } => headers,
        }
    }
}

/// A requested change of an endpoint: the endpoint's index, its new tags, and the outcome.
type Asked = (usize, String, Sent);

enum System {
    Engine { program: PathBuf, settings: Vec<(String, String)>, process: Option<Box<Process>>, halted: bool },
    Cluster(Arc<Cluster>),
}

pub struct World<'a> {
    pub kind: Kind,
    postgres: &'a Postgres,
    pub log: Arc<Log>,
    clock: Clock,
    system: System,
    database: Option<(String, Proxy)>,
    /// Connections that were taken so that none is left for others.
    occupied: Vec<sqlx::PgConnection>,
    ledger: Ledger,
    channels: Channels,
    endpoints: Vec<Watched>,
    /// The gateway's key, or the identity headers that it would send to functions.
    identity: HeaderMap,
    /// Identity of another account.
    neighbour: HeaderMap,
    slow_owner: Option<SlowOwner>,
    dump: Option<sqlx::PgConnection>,
    client: reqwest::Client,
    began: DateTime<Utc>,
    /// Number of current faults that may prevent a start.
    excused: usize,
    region_outages: RegionOutages,
    /// Endpoints and scheduled times that failed alone.
    blips: Vec<(i64, i64)>,
    /// Checks that were too late, at the last point when everything was as expected.
    too_late: i64,
    /// Current faults.
    active: Vec<Fault>,
    /// Faults of this phase that lasted longer than the broker retries: messages that a channel missed
    /// because of them are retried.
    outlasted: Vec<Fault>,
    /// Dead letters of earlier phases.
    known_letters: BTreeSet<i64>,
    disk: Option<Disk>,
    namespace: Option<Namespace>,
    _folder: tempfile::TempDir,
}

/// The outcome of an inspection.
enum Finding {
    Fine,
    /// It may become fine.
    NotYet(String),
    Never(String),
}

/// The totals of an installation.
#[derive(Debug, Default)]
pub struct Tally {
    pub results: usize,
    pub missed: i64,
    pub messages: usize,
    /// The number of planned blips, and of those that were seen.
    pub blips: usize,
    pub blips_seen: usize,
}

impl<'a> World<'a> {
    pub async fn make(
        kind: Kind,
        seed: u64,
        postgres: &'a Postgres,
        log: Arc<Log>,
        disks: bool,
    ) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir()?;
        let namespace = if kind == Kind::Namespace { Some(Namespace::make()?) } else { None };
        let host = namespace.as_ref().map_or("127.0.0.1".to_owned(), |namespace| namespace.host.to_string());
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let disk = if kind == Kind::Sqlite && disks { Some(Disk::mount(data.clone(), 64)?) } else { None };
        let channels = Channels::start(&host).await?;
        let minutes = rng.random_range(0..60 * 24 * 28);
        let began =
            DateTime::parse_from_rfc3339("2026-03-01T00:00:30Z")?.to_utc() + TimeDelta::minutes(minutes);
        let clock = Clock::manual(began);
        let mut settings: Vec<(String, String)> =
            channels.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut set = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
        set("LOG_LEVEL", "warn");
        set("REGION", REGION);
        set("CHECK_CONCURRENCY", owner::CHECK_CONCURRENCY);
        // Independent of the port: a message that is sent again must be identical.
        set("PUBLIC_URL", "http://localhost");
        let (mut database, mut ledger) =
            (None, Ledger { url: format!("sqlite:{}/pongpong.db", data.display()), journal: None });
        if kind.has_postgres() {
            let name = postgres.database().await?;
            let proxy = Proxy::start("127.0.0.1", ([127, 0, 0, 1], postgres.port).into()).await?;
            set("DATABASE_URL", &postgres.url(proxy.address.port(), &name));
            ledger.url = postgres.url(postgres.port, &name);
            database = Some((name, proxy));
        }
        let program_ = program("examples/engine_with_clock")?;
        let system = if kind.has_functions() {
            for (name, value) in [
                ("GATEWAY_TOKEN", "a-token-that-only-chaos-knows"),
                ("ENCRYPTION_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"),
                ("CHECK_PRIVATE_NETWORKS", "allow"),
            ] {
                set(name, value);
            }
            migrate(&settings).await?;
            System::Cluster(Cluster::start(program_, settings, clock.clone(), Arc::clone(&log), seed).await?)
        } else {
            set("DATA_DIR", data.to_str().context("a path that is text")?);
            ledger.journal = Some(data.join("engine.db"));
            System::Engine { program: program_, settings, process: None, halted: false }
        };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?;
        let mut world = Self {
            kind,
            postgres,
            log,
            clock,
            system,
            database,
            occupied: Vec::new(),
            ledger,
            channels,
            endpoints: Vec::new(),
            identity: HeaderMap::new(),
            neighbour: HeaderMap::new(),
            slow_owner: None,
            dump: None,
            client,
            began,
            excused: 0,
            region_outages: RegionOutages::default(),
            blips: Vec::new(),
            too_late: 0,
            active: Vec::new(),
            outlasted: Vec::new(),
            known_letters: BTreeSet::new(),
            disk,
            namespace: None,
            _folder: folder,
        };
        world.set_up(&mut rng, &host).await.context("before anything was broken")?;
        if namespace.is_some() {
            // The checks of a new endpoint before the schedule takes over are not in any account: one that
            // waits for lost packets would be evaluated after the next one.
            while world.endpoints.iter().any(|watched| watched.first_check_at > world.now().timestamp()) {
                world.advance(1).await;
                world.keep_order().await?;
            }
            world.settle().await?;
            // Objects are created from outside the namespace.
            world.stop_engine().await?;
            world.namespace = namespace;
            world.start_engine().await?;
        }
        Ok(world)
    }

    async fn set_up(&mut self, rng: &mut StdRng, host: &str) -> Result<()> {
        if let System::Engine { .. } = self.system {
            self.start_engine().await?;
            self.engine_url().await?;
            self.identity = self.sign_up("me@example.com").await?;
            self.neighbour = self.sign_up("neighbour@example.com").await?;
        } else {
            for (identity, id) in [(&mut self.identity, "1"), (&mut self.neighbour, "2")] {
                for (name, value) in [
                    ("x-gateway-token", "a-token-that-only-chaos-knows"),
                    ("x-consumer-custom-id", id),
                    ("x-credential-identifier", "a-credential"),
                ] {
                    identity.insert(name, HeaderValue::from_static(value));
                }
            }
        }
        for body in self.channels.bodies() {
            self.call("notification-create", Method::POST, "/public/v1/notifications", Some(body)).await?;
        }
        let confirmation = self.channels.confirmation()?;
        let path = "/public/v1/addresses/confirm";
        self.call("address-confirm", Method::POST, path, Some(confirmation)).await?;
        let is_crowd = self.kind.is_crowd();
        for n in 1..=if is_crowd { 16 } else { ENDPOINTS } {
            let site = Site::start(host).await?;
            let name = format!("shop{n}");
            let mut interval = rng.random_range(10..=MAX_INTERVAL);
            if self.kind == Kind::Namespace {
                // So short that a failure triggers no early check. An early check that waits for lost packets
                // would come after the next regular one and be ignored, although in the order of scheduled
                // times it comes before it.
                interval = 10;
            }
            // At every second endpoint, a single failure that was counted twice would cause an alert.
            let failures = if n % 2 == 0 { 2 } else { rng.random_range(1..4) };
            let mut thresholds = (failures, rng.random_range(1..3));
            if is_crowd {
                // Down after at least a minute and a half: by then all endpoints were checked and are known
                // to fail.
                interval = rng.random_range(15..40);
                thresholds.0 = usize::try_from(90 / interval)? + 2;
            }
            let body = json!({
                "name": name, "url": format!("http://{}/", site.address()), "interval_seconds": interval,
                "failure_threshold": thresholds.0, "success_threshold": thresholds.1, "retries": 0,
                "timeout_ms": if self.kind == Kind::Namespace { 1500 } else { 5000 },
            });
            let made = self.call("endpoint-create", Method::POST, "/public/v1/endpoints", Some(body)).await?;
            let id = made["id"].as_i64().context("an id")?;
            let page = self.ledger.read().await?;
            let first_check_at = page.endpoints.get(&id).context("the endpoint")?.next_check_at;
            let tags = vec!["[]".to_owned()];
            let (unseen, missed, blip) = (BTreeSet::new(), 0, 0);
            let (down, outages) = (false, 0);
            self.endpoints.push(Watched {
                id,
                name,
                interval,
                thresholds,
                first_check_at,
                site,
                down,
                outages,
                tags,
                blip,
                unseen,
                missed,
            });
        }
        self.settle().await.map(drop)
    }

    async fn sign_up(&mut self, email: &str) -> Result<HeaderMap> {
        let person = json!({"email": email, "password": "a good password"});
        let person = self.call("user-signup", Method::POST, "/public/v1/signup", Some(person)).await?;
        let key = person["key"].as_str().context("a key")?;
        Ok(HeaderMap::from_iter([(HeaderName::from_static("apikey"), key.parse()?)]))
    }

    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Ends the installation in its current state; fails if anything went wrong since the last inspection.
    pub async fn end(mut self) -> Result<()> {
        if let System::Cluster(cluster) = &self.system {
            cluster.stop().await;
        }
        self.kill_engine().await;
        if let Some(fault) = self.log.faults().first() {
            bail!("{fault}");
        }
        match &self.database {
            Some((name, _)) => self.postgres.drop_database(name).await,
            None => Ok(()),
        }
    }

    // The engine as a process.

    async fn start_engine(&mut self) -> Result<()> {
        let System::Engine { program, settings, process, halted } = &mut self.system else { return Ok(()) };
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &namespace.name]).arg(&*program);
                command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
                command
            }
            None => {
                let mut command = Command::new(&*program);
                command.env_clear();
                command
            }
        };
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        command.env("NOW", self.clock.now().to_rfc3339());
        *process = Some(Box::new(Process::spawn(command, "engine", &self.log)?));
        *halted = false;
        Ok(())
    }

    /// Starts an engine again that has ended, as an operator's supervisor does.
    async fn keep_running(&mut self) -> Result<()> {
        let System::Engine { halted, .. } = &self.system else { return Ok(()) };
        if *halted || self.is_running() {
            return Ok(());
        }
        self.start_engine().await
    }

    /// Whether the engine runs. Ending by itself is a fault, unless a current fault may cause it.
    fn is_running(&mut self) -> bool {
        let System::Engine { process: Some(process), .. } = &mut self.system else { return false };
        let ended = process.ended();
        if let Some(status) = ended
            && self.excused == 0
        {
            self.log.fault(&format!("the engine ended by itself: {status}"));
        }
        ended.is_none()
    }

    async fn unhalt(&mut self) -> Result<()> {
        if let System::Engine { halted, .. } = &mut self.system {
            *halted = false;
        }
        self.keep_running().await
    }

    /// The gateway's URL, when it is up.
    async fn engine_url(&mut self) -> Result<String> {
        let System::Engine { process: Some(process), .. } = &mut self.system else { bail!("no engine") };
        let mut listening = process.listening.clone();
        let url = tokio::time::timeout(Duration::from_secs(30), listening.wait_for(Option::is_some)).await;
        let url = url.context("the engine does not listen")?.context("the engine ended")?;
        url.clone().context("an address")
    }

    async fn kill_engine(&mut self) {
        self.is_running();
        let System::Engine { process, halted, .. } = &mut self.system else { return };
        if let Some(process) = process {
            process.kill().await;
        }
        (*process, *halted) = (None, true);
    }

    /// SIGTERM; the engine must end without an error and in time. Skips an engine that is starting during a
    /// fault.
    async fn stop_engine(&mut self) -> Result<()> {
        let (is_running, excused) = (self.is_running(), self.excused > 0);
        let System::Engine { process, halted, .. } = &mut self.system else { return Ok(()) };
        *halted = true;
        let Some(mut process) = process.take() else { return Ok(()) };
        let was_up = process.listening.borrow().is_some();
        if !is_running {
            return Ok(());
        }
        process.terminate()?;
        let ended = process.wait(GRACE).await.context("the engine at SIGTERM")?;
        if was_up && !excused && !ended.success() {
            self.log.fault(&format!("the engine at SIGTERM: {ended}"));
        }
        Ok(())
    }

    /// Advances the clock of all processes.
    async fn advance(&mut self, seconds: i64) {
        if let System::Cluster(cluster) = &self.system {
            return cluster.advance(seconds).await;
        }
        self.clock.set(self.clock.now() + TimeDelta::seconds(seconds));
        if let System::Engine { process: Some(process), .. } = &mut self.system {
            process.advance(seconds).await;
        }
    }

    async fn person(&mut self) -> Result<Person> {
        self.person_with(self.identity.clone()).await
    }

    async fn person_with(&mut self, mut headers: HeaderMap) -> Result<Person> {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let System::Cluster(cluster) = &self.system {
            return Ok(Person::OfFunctions { cluster: Arc::clone(cluster), headers });
        }
        Ok(Person::OfEngine { client: self.client.clone(), url: self.engine_url().await?, headers })
    }

    async fn call(
        &mut self,
        function: &'static str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value> {
        self.person().await?.call(function, method, path, body).await
    }

    /// Keeps everything busy at once: endpoints are due, their targets are slow, and users read and write.
    /// Returns the users' requests when at least one of them is under way.
    async fn make_busy(&mut self) -> Result<JoinSet<Option<Asked>>> {
        let mut asked = JoinSet::new();
        if let System::Engine { process, .. } = &self.system
            && process.as_ref().is_none_or(|process| process.listening.borrow().is_none())
        {
            return Ok(asked);
        }
        self.endpoints.iter().for_each(|watched| watched.site.slow(true));
        self.advance(MAX_INTERVAL).await;
        let (person, stamp) = (self.person().await?, format!("t{}", self.now().timestamp()));
        let (held, is_taken) = oneshot::channel();
        let mut held = Some(held);
        for (at, watched) in self.endpoints.iter().enumerate() {
            let path = format!("/public/v1/endpoints/{}", watched.id);
            let request = Request {
                method: Method::PATCH,
                url: person.url("endpoint-update", &path).await?,
                headers: person.headers().clone(),
                body: json!({"tags": [&stamp]}).to_string(),
            };
            let (person, tags, held) = (person.clone(), json!([&stamp]).to_string(), held.take());
            asked.spawn(async move {
                let sent = request.send(held).await;
                // Reading the changed object keeps the process busy for longer.
                let _ = person.call("endpoint-get", Method::GET, &path, None).await;
                Some((at, tags, sent))
            });
        }
        let log = Arc::clone(&self.log);
        asked.spawn(async move {
            // An endpoint that is never checked. Whatever happens to it, it is counted while it exists.
            let body = json!({"name": "for a moment", "url": "http://localhost/", "enabled": false});
            let made = person.call("endpoint-create", Method::POST, "/public/v1/endpoints", Some(body)).await;
            log.say(&format!("chaos: one more endpoint: {:?}", made.as_ref().map(|made| &made["id"])));
            if let Ok(made) = made {
                let path = format!("/public/v1/endpoints/{}", made["id"]);
                let _ = person.call("endpoint-delete", Method::DELETE, &path, None).await;
            }
            None
        });
        let is_taken = is_taken.await.is_ok();
        anyhow::ensure!(
            is_taken || !self.is_all_else_well(),
            "a request is not taken, though nothing is broken"
        );
        Ok(asked)
    }

    /// Whether the fault that begins now is the only one.
    fn is_all_else_well(&self) -> bool {
        self.active.len() == 1
    }

    /// An answered change must be stored; an unanswered one may be stored, unless it was not even taken.
    async fn see_answers(&mut self, mut asked: JoinSet<Option<Asked>>) -> Result<()> {
        let (mut made, mut refused, mut others) = (0, 0, Vec::new());
        while let Some(asked) = asked.join_next().await {
            let Some((at, tags, sent)) = asked? else { continue };
            let of_endpoint = &mut self.endpoints[at].tags;
            match sent {
                Sent::Answered(200) => {
                    *of_endpoint = vec![tags];
                    made += 1;
                }
                Sent::NotTaken => refused += 1,
                Sent::Answered(status) => {
                    of_endpoint.push(tags);
                    others.push(format!("answered {status}"));
                }
                Sent::BrokenOff(why) => {
                    of_endpoint.push(tags);
                    others.push(format!("broken off: {why}"));
                }
            }
        }
        self.endpoints.iter().for_each(|watched| watched.site.slow(false));
        let became = format!("{made} changes made, {refused} refused, {others:?}");
        self.log.say(&format!("chaos: SIGTERM amid requests: {became}"));
        if !others.is_empty() && self.is_all_else_well() {
            self.log.fault(&format!("SIGTERM dropped requests that were taken: {became}"));
        }
        Ok(())
    }

    // The steps of a round.

    /// Takes endpoints down. In a blackout, they are reported only when the region outage is given up.
    pub fn take_down(&mut self, which: &[(usize, Outage)], blackout: Option<bool>) {
        for (endpoint, how) in which {
            let watched = &mut self.endpoints[*endpoint];
            watched.site.down(*how);
            if blackout != Some(false) {
                (watched.down, watched.outages) = (true, watched.outages + 1);
            }
        }
        let Some(is_long) = blackout else { return };
        self.region_outages.started += 1;
        if is_long {
            self.region_outages.still_failing += 1;
        } else {
            self.region_outages.held_since = Some(self.clock.now());
        }
    }

    pub async fn bring_back(&mut self) -> Result<()> {
        for watched in &mut self.endpoints {
            watched.site.up().await?;
            watched.down = false;
        }
        if let Some(since) = self.region_outages.held_since.take() {
            let held = self.clock.now() - since;
            anyhow::ensure!(held < SHORT, "chaos itself let a blackout of minutes last for {held}");
            self.region_outages.recovered += 1;
        }
        Ok(())
    }

    /// Lets time pass during the faults, repairs all of them, and waits until everything is as expected.
    pub async fn go_through(&mut self, phase: &Phase) -> Result<Tally> {
        self.outlasted.clear();
        for (n, (seconds, pause)) in phase.steps.iter().enumerate() {
            self.keep_running().await?;
            self.advance(*seconds).await;
            for planned in phase.faults.iter().filter(|planned| planned.from == n) {
                self.log.say(&format!("chaos: {} {:?} begins", self.now(), planned.fault));
                self.active.push(planned.fault.clone());
                let blip = if planned.fault.repeats() { self.begin_blip(planned.blip).await? } else { None };
                self.begin(&planned.fault).await?;
                if let Some((at, scheduled_at)) = blip {
                    self.end_blip(at, scheduled_at).await?;
                }
            }
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            self.keep_order().await?;
            for planned in phase.faults.iter().filter(|planned| planned.until == n) {
                self.log.say(&format!("chaos: {} {:?} is over", self.now(), planned.fault));
                self.finish(&planned.fault).await?;
                self.active.retain(|fault| *fault != planned.fault);
            }
        }
        self.settle().await
    }

    /// Makes one endpoint, which one failure does not make down, fail for its next scheduled time. `None`:
    /// the check before it may have failed too, so the failure might not be the only one.
    async fn begin_blip(&mut self, (which, how): (usize, Outage)) -> Result<Option<(usize, i64)>> {
        if self.kind.is_crowd() || self.kind == Kind::Namespace {
            return Ok(None);
        }
        let may = |watched: &Watched| !watched.down && watched.thresholds.0 > 1;
        let all: Vec<_> = (0..self.endpoints.len()).filter(|at| may(&self.endpoints[*at])).collect();
        let Some(at) = all.get(which % all.len().max(1)).copied() else { return Ok(None) };
        let Watched { id, interval, first_check_at, blip, .. } = self.endpoints[at];
        let now = self.now().timestamp();
        if now < blip {
            // The clock was set back: no checks are made.
            return Ok(None);
        }
        // The check before must not be one that failed as well.
        let after = now.max(blip + interval);
        let scheduled_at = first_check_at + ((after - first_check_at).div_euclid(interval) + 1) * interval;
        loop {
            let left = scheduled_at - 1 - self.now().timestamp();
            if left <= 0 {
                break;
            }
            self.advance(left.min(5)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let is_well = |page: &Page| page.judged.get(&id) == Some(&(scheduled_at - interval));
        if !self.comes_to_be(Duration::from_millis(500), is_well).await {
            self.log.say(&format!("chaos: {} nobody fails for one check: others are not judged", self.now()));
            return Ok(None);
        }
        let watched = &mut self.endpoints[at];
        watched.site.down(how);
        watched.blip = scheduled_at;
        self.log.say(&format!("chaos: {} {} fails for one check: {how:?}", self.clock.now(), watched.name));
        self.blips.push((id, scheduled_at));
        self.advance(1).await;
        Ok(Some((at, scheduled_at)))
    }

    /// Ends the blip when its check was seen, or after a few seconds, and before the next scheduled time.
    async fn end_blip(&mut self, at: usize, scheduled_at: i64) -> Result<()> {
        let id = self.endpoints[at].id;
        let is_seen =
            |page: &Page| page.results.get(&id).is_some_and(|results| results.contains_key(&scheduled_at));
        for _ in 0..4 {
            let is_gone = matches!(self.system, System::Engine { process: None, .. });
            if is_gone || self.comes_to_be(Duration::from_millis(100), is_seen).await {
                break;
            }
            // A retry comes after one second, and the next one after two more.
            self.advance(1).await;
        }
        self.endpoints[at].site.up().await
    }

    /// Whether the condition comes true within this real time, while the clock stands still.
    async fn comes_to_be(&self, timeout: Duration, is_so: impl Fn(&Page) -> bool) -> bool {
        let looked = async {
            while !self.ledger.read().await.is_ok_and(|page| is_so(&page)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(timeout, looked).await.is_ok()
    }

    /// A check that waits for a lost packet takes real time, during which the clock must not reach the next
    /// scheduled time: results that are evaluated out of order are ignored if they are late, and then the
    /// expected incidents could not be derived from the results. In a crowd without faults, the ten endpoints
    /// that are known to fail must not be ten results of one endpoint.
    async fn keep_order(&mut self) -> Result<()> {
        // In a crowd, deliveries that a broker holds back wait for the clock.
        let timeout = if self.kind == Kind::Namespace { 30 } else { 5 };
        let until = Instant::now() + Duration::from_secs(timeout);
        let is_wanted = self.kind == Kind::Namespace || self.kind.is_crowd() && self.active.is_empty();
        while is_wanted && Instant::now() < until {
            // The database may have no free connection for a moment.
            let Ok(page) = self.ledger.read().await else { continue };
            let uncounted = self.endpoints.iter().map(|watched| self.uncounted(watched, &page).max(0));
            let too_late = self.log.too_late.load(Ordering::SeqCst) - self.too_late;
            let is_seen = |watched: &Watched| {
                let newest = self.went_by(watched, &page).last();
                newest.is_none_or(|scheduled_at| !self.unseen(watched, &page).contains(&scheduled_at))
            };
            let is_judged = self.kind != Kind::Namespace
                || self.endpoints.iter().all(is_seen)
                    && page.results.iter().all(|(id, results)| results.keys().last() <= page.judged.get(id));
            if uncounted.sum::<i64>() <= too_late && is_judged {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn begin(&mut self, fault: &Fault) -> Result<()> {
        let pause = |ms: u64| tokio::time::sleep(Duration::from_millis(ms));
        match fault {
            Fault::KillEngine(after) => {
                // Another fault may have ended it: then it must be started for this one.
                self.unhalt().await?;
                pause(*after).await;
                self.kill_engine().await;
            }
            Fault::StopEngine(after) => {
                if self.excused == 0 {
                    // Another fault may have ended it: then it must be started for this one.
                    self.unhalt().await?;
                    self.engine_url().await?;
                }
                let asked = self.make_busy().await?;
                pause(*after).await;
                self.stop_engine().await?;
                self.see_answers(asked).await?;
            }
            Fault::KillFunction(name, after) => {
                self.wake(name).await?;
                pause(*after).await;
                let killed = self.cluster()?.kill(name).await;
                self.log.say(&format!("chaos: {name} {}", if killed { "killed" } else { "did not run" }));
            }
            Fault::StopFunction(name, after) => {
                self.wake(name).await?;
                let asked = self.make_busy().await?;
                pause(*after).await;
                self.cluster()?.terminate(name).await?;
                self.see_answers(asked).await?;
            }
            Fault::Away(name) => {
                self.cluster()?.set_away(name, true);
                self.cluster()?.kill(name).await;
            }
            Fault::Unknown(name) => self.cluster()?.set_unknown(name, true),
            Fault::DatabaseDown => {
                self.excused += 1;
                tokio::task::block_in_place(|| self.postgres.down())?;
            }
            Fault::DatabaseFull => {
                self.excused += 1;
                let name = &self.database.as_ref().context("a database")?.0;
                self.occupied.extend(self.postgres.occupy(name).await);
            }
            Fault::Database(mode) => {
                self.excused += 1;
                self.database.as_ref().context("a database")?.1.set(*mode);
            }
            Fault::DiskFull => {
                self.excused += 1;
                match &self.disk {
                    Some(disk) => disk.fill()?,
                    None => self.postgres.fill_disk().await?,
                }
            }
            Fault::Channel(which, mode) => self.channels.set(*which, *mode),
            Fault::Exhaust(which) => self.channels.set(*which, Mode::Refuse),
            Fault::Answer(which, status) => self.channels.answer(*which, Some(*status)),
            Fault::Broker(mischief) => self.cluster()?.set_mischief(*mischief),
            Fault::Clock(seconds) | Fault::ClockAhead(seconds) => self.advance(*seconds).await,
            Fault::Dump => {
                let name = self.database.as_ref().context("a database")?.0.clone();
                match self.postgres.dump(&name).await {
                    Ok(dump) => self.dump = Some(dump),
                    // A broken database cannot be dumped.
                    Err(error) if self.is_all_else_well() => return Err(error),
                    Err(_) => return Ok(()),
                }
                let to_midnight = DAY - self.now().timestamp().rem_euclid(DAY);
                self.advance(to_midnight + 30).await;
                self.must_record("a dump runs").await?;
            }
            Fault::SlowOwner => {
                self.unhalt().await?;
                let neighbour = self.neighbour.clone();
                let mut owner = SlowOwner::new("127.0.0.1").await?;
                let started = match self.person_with(neighbour).await {
                    Ok(person) => owner.start(&person).await,
                    Err(error) => Err(error),
                };
                self.slow_owner = Some(owner);
                match started {
                    Ok(()) => {}
                    Err(error) if self.is_all_else_well() => return Err(error),
                    Err(_) => return Ok(()),
                }
                // All hanging checks and messages have begun.
                for _ in 0..3 {
                    self.advance(10).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.must_record("another owner is slow").await?;
            }
            Fault::Loss(percent) => {
                let namespace = self.namespace.as_ref().context("a namespace")?;
                for watched in &self.endpoints {
                    namespace.lose(watched.site.address().port(), *percent)?;
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::KillEngine(_) | Fault::StopEngine(_) => {
                self.unhalt().await?;
            }
            Fault::KillFunction(..) | Fault::StopFunction(..) => {}
            Fault::Away(name) => self.cluster()?.set_away(name, false),
            Fault::Unknown(name) => self.cluster()?.set_unknown(name, false),
            Fault::DatabaseDown => {
                tokio::task::block_in_place(|| self.postgres.mend())?;
                self.excuse_no_longer();
            }
            Fault::DatabaseFull => {
                self.occupied.clear();
                self.excuse_no_longer();
            }
            Fault::Database(_) => {
                self.database.as_ref().context("a database")?.1.set(Mode::Pass);
                self.excuse_no_longer();
            }
            Fault::DiskFull => {
                match &self.disk {
                    Some(disk) => disk.clear()?,
                    None => tokio::task::block_in_place(|| self.postgres.mend())?,
                }
                self.excuse_no_longer();
            }
            Fault::Channel(which, _) => self.channels.set(*which, Mode::Pass),
            Fault::Exhaust(which) => {
                // Until there is a message to send; then one step for each retry, 1, 2, 4, ... 512 seconds
                // apart.
                for seconds in [10; 12].into_iter().chain((0..14).map(|try_| (1 << try_).min(600))) {
                    self.advance(seconds).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.channels.set(*which, Mode::Pass);
                self.outlasted.extend(self.active.iter().cloned());
            }
            Fault::Answer(which, _) => self.channels.answer(*which, None),
            Fault::Broker(_) => self.cluster()?.set_mischief(Mischief::default()),
            Fault::Clock(seconds) if *seconds < 0 => self.advance(-seconds).await,
            Fault::Clock(_) => {}
            Fault::ClockAhead(seconds) => self.advance(-seconds).await,
            Fault::Dump => self.dump = None,
            Fault::SlowOwner => {
                if let Some(owner) = &self.slow_owner {
                    owner.let_go();
                }
            }
            Fault::Loss(_) => self.namespace.as_ref().context("a namespace")?.deliver()?,
        }
        Ok(())
    }

    /// While only this fault is active, a check of each endpoint that is due from now on is made and
    /// recorded.
    async fn must_record(&mut self, while_: &str) -> Result<()> {
        let since = self.now().timestamp();
        let ids: Vec<_> = self.endpoints.iter().map(|watched| watched.id).collect();
        let has_new =
            |page: &Page, id| page.results.get(id).is_some_and(|of| of.range(since..).next().is_some());
        let all_have = |page: &Page| ids.iter().all(|id| has_new(page, id));
        for _ in 0..3 * MAX_INTERVAL / 5 {
            self.advance(5).await;
            if self.comes_to_be(Duration::from_millis(500), all_have).await {
                return Ok(());
            }
        }
        let what = format!("checks are not recorded while {while_}");
        if self.is_all_else_well() {
            self.log.fault(&what);
        } else {
            self.log.say(&format!("chaos: {what}, and more is broken"));
        }
        Ok(())
    }

    /// All its objects are deleted when everything is repaired.
    async fn end_slow_owner(&mut self) -> Result<()> {
        let Some(mut owner) = self.slow_owner.take() else { return Ok(()) };
        let until = Instant::now() + TIMEOUT;
        loop {
            let neighbour = self.neighbour.clone();
            let ended = match self.person_with(neighbour).await {
                Ok(person) => owner.end(&person).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(error.context("the slow owner's")),
                Err(_) => {
                    self.keep_running().await?;
                    self.advance(1).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// A start that failed during a fault is not the engine's fault; the next failed start is.
    fn excuse_no_longer(&mut self) {
        self.excused = self.excused.saturating_sub(1);
        if let System::Engine { process, .. } = &mut self.system
            && process.as_mut().is_some_and(|process| process.ended().is_some())
        {
            *process = None;
        }
    }

    /// Starts a function, so that there is a process to end; another fault may prevent the start.
    async fn wake(&self, function: &'static str) -> Result<()> {
        let woken = self.cluster()?.wake(function).await;
        if self.active.contains(&Fault::Away(function)) { Ok(()) } else { woken.map(drop) }
    }

    fn cluster(&self) -> Result<&Arc<Cluster>> {
        match &self.system {
            System::Cluster(cluster) => Ok(cluster),
            System::Engine { .. } => bail!("there are no single functions"),
        }
    }

    // The conditions that must hold.

    /// Lets time pass until everything is as expected, or says what is not.
    async fn settle(&mut self) -> Result<Tally> {
        self.end_slow_owner().await?;
        let until = Instant::now() + TIMEOUT;
        let mut seconds = 2;
        let mut waits_for_rollup = 0;
        loop {
            let mut finding = Finding::Fine;
            for _ in 0..8 {
                self.keep_running().await?;
                let (found, page) = self.look().await;
                finding = found;
                match &finding {
                    Finding::Fine => match self.ask_the_summary(&page).await? {
                        Finding::Fine => {
                            self.keep_account(&page);
                            return Ok(self.tally(&page));
                        }
                        other => finding = other,
                    },
                    Finding::Never(why) => bail!("{why}"),
                    Finding::NotYet(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if let Finding::NotYet(why) = &finding {
                self.log.say(&format!("chaos: {} not yet: {why}", self.now()));
                if Instant::now() > until {
                    bail!("it does not become well again: {why}");
                }
            }
            if !self.outlasted.is_empty() {
                self.press_again().await;
            }
            let waits = matches!(&finding, Finding::NotYet(why) if why.starts_with(SUMMARY));
            waits_for_rollup += usize::from(waits);
            // Late results, after the clock was set back, are rolled up with the next hour.
            let rollup = (HOUR + 360 - self.now().timestamp() % HOUR) % HOUR;
            self.advance(if waits && waits_for_rollup == 3 { rollup } else { seconds }).await;
            self.keep_order().await?;
            seconds = (seconds + 1).min(if self.kind == Kind::Namespace { 9 } else { 12 });
        }
    }

    /// Losses that are accounted for must not excuse later ones.
    fn keep_account(&mut self, page: &Page) {
        self.known_letters.extend(page.letters.iter().map(|letter| letter.id));
        self.too_late = self.log.too_late.load(Ordering::SeqCst);
        let unseen: Vec<_> = self.endpoints.iter().map(|watched| self.unseen(watched, page)).collect();
        for (watched, unseen) in self.endpoints.iter_mut().zip(unseen) {
            watched.unseen = unseen;
            watched.missed = page.endpoints.get(&watched.id).map_or(0, |row| row.missed_checks);
        }
    }

    /// Retries messages that failed or wait, as a user does.
    async fn press_again(&mut self) {
        let Ok(page) = self.ledger.read().await else { return };
        for delivery in
            page.deliveries.iter().filter(|delivery| ["failed", "pending"].contains(&&*delivery.status))
        {
            let path = format!("/public/v1/deliveries/{}/retry", delivery.id);
            // A retry that is refused now is tried again later.
            let _ = self.call("delivery-retry", Method::POST, &path, None).await;
        }
    }

    async fn look(&mut self) -> (Finding, Page) {
        let page = match self.ledger.read().await {
            Ok(page) => page,
            Err(error) => return (Finding::NotYet(format!("the database: {error:#}")), Page::default()),
        };
        (self.judge(&page), page)
    }

    fn judge(&mut self, page: &Page) -> Finding {
        let faults = self.log.faults();
        if let Some(fault) = faults.first() {
            return Finding::Never(fault.clone());
        }
        let expected: Vec<_> = self.endpoints.iter().map(|watched| self.expected(watched, page)).collect();
        let mut not_yet = None;
        let mut later = |why: String| {
            not_yet.get_or_insert(why);
        };
        if let System::Cluster(cluster) = &self.system {
            if let Some(waiting) = cluster.waiting().first() {
                later(format!("a delivery waits: {waiting:?}"));
            }
            if cluster.is_ticking() {
                later("the schedule's run is not over".to_owned());
            }
        }
        if let Some((queue, count)) = page.waiting.first() {
            later(format!("{count} deliveries wait for {queue}"));
        }
        let mut letters = page.letters.iter().filter(|letter| !self.known_letters.contains(&letter.id));
        if let Some(letter) = letters.find(|letter| !self.explains(letter)) {
            let Letter { kind, error, .. } = letter;
            return Finding::Never(format!("{kind} was given up by {}: {error:?}", letter.function()));
        }
        if let Some(scheduled_at) = page.twice.first() {
            return Finding::Never(format!(
                "there are two results of one endpoint and scheduled time: {scheduled_at:?}"
            ));
        }
        if let Some((user, kept, count)) = page.miscounted.first() {
            return Finding::Never(format!(
                "user {user} has {count} endpoints, and {kept} as is kept of them"
            ));
        }
        let mut too_late = self.log.too_late.load(Ordering::SeqCst) - self.too_late;
        for (watched, (outages, open)) in self.endpoints.iter().zip(&expected) {
            let Watched { id, name, .. } = watched;
            let Some(row) = page.endpoints.get(id) else { return Finding::Never(format!("{name} is gone")) };
            if row.next_check_at <= self.clock.now().timestamp() {
                later(format!("{name}: nobody asks for its check at {}", row.next_check_at));
            }
            if !watched.tags.contains(&row.tags) {
                return Finding::Never(format!("{name} has the tags {}, not {:?}", row.tags, watched.tags));
            }
            let wanted = if *open { "down" } else { "up" };
            if row.status != wanted {
                later(format!("{name} is {wanted}, and shown as {}", row.status));
            }
            // Each scheduled time has a result, is counted as missed, or is in a dead letter.
            let newest = self.went_by(watched, page).last();
            if let Some(scheduled_at) =
                newest.filter(|scheduled_at| self.unseen(watched, page).contains(scheduled_at))
            {
                // In a crowd, the check could become an incident of its own if it saw the old state after the
                // others are up.
                later(format!("{name}: its check at {scheduled_at} is under way"));
            }
            let uncounted = self.uncounted(watched, page);
            if uncounted > 0 {
                too_late -= uncounted;
                if too_late < 0 {
                    later(format!(
                        "{name}: {uncounted} checks have no result, and are not counted as missed"
                    ));
                }
            }
            let (incidents, open_ones) = page.incidents.get(id).copied().unwrap_or_default();
            let mut seen = format!("{name}: {incidents} incidents ({open_ones} open) of {outages} outages");
            if self.kind == Kind::Namespace {
                let results = page.results.get(id).into_iter().flatten();
                let told = results.map(|(scheduled_at, up)| {
                    format!(" {}{}", if *up { "up" } else { "DOWN" }, scheduled_at % 10_000)
                });
                seen.push_str(&told.collect::<String>());
            }
            if incidents > *outages {
                return Finding::Never(seen);
            }
            if (incidents, open_ones) != (*outages, usize::from(*open)) {
                later(seen);
            }
        }
        let is_watched = |id: i64| id == 0 || self.endpoints.iter().any(|watched| watched.id == id);
        for delivery in page.deliveries.iter().filter(|delivery| is_watched(delivery.endpoint_id)) {
            match delivery.status.as_str() {
                // A later message reports a superseded change.
                "delivered" | "superseded" => {}
                "failed" if self.outlasted.iter().any(|fault| is_of_channel(fault, &delivery.kind)) => {
                    later(format!("a message is given up: {delivery:?}"))
                }
                "failed" => return Finding::Never(format!("a message was not sent: {delivery:?}")),
                _ => later(format!("a message is not sent yet: {delivery:?}")),
            }
        }
        for (endpoint, start, checks) in &page.hours {
            let results = page.results.get(endpoint);
            let count = results.map_or(0, |results| results.range(*start..start + HOUR).count());
            if count as i64 != *checks {
                later(format!("the hour {start} of {endpoint} has {count} results, and sums up {checks}"));
            }
        }
        let mut told = BTreeMap::new();
        for (watched, (outages, open)) in self.endpoints.iter().zip(&expected) {
            for channel in channels::NAMES {
                told.insert((channel, "down", watched.name.clone()), *outages);
                told.insert((channel, "up", watched.name.clone()), outages - usize::from(*open));
            }
        }
        let RegionOutages { started, recovered, still_failing, .. } = self.region_outages;
        for (what, count) in
            [("region outage", started), ("recovered", recovered), ("still failing", still_failing)]
        {
            told.extend(channels::NAMES.map(|channel| ((channel, what, format!("Region {REGION}")), count)));
        }
        let heard = self.channels.heard();
        for (message, Messages { sent, .. }) in heard {
            let expected = told.get(message).copied().unwrap_or_default();
            if sent.len() > expected {
                let count = sent.len();
                return Finding::Never(format!("told {message:?} {count} times of {expected}: {sent:?}"));
            }
        }
        for (message, expected) in &told {
            let count = heard.get(message).map_or(0, |messages| messages.taken.len());
            if count < *expected {
                later(format!("told {message:?} {count} times of {expected}"));
            }
        }
        not_yet.map_or(Finding::Fine, Finding::NotYet)
    }

    /// Only faults that lasted longer than the broker retries excuse a dead letter, and nothing excuses an
    /// event that was refused.
    fn explains(&self, letter: &Letter) -> bool {
        let of_all = |name: &str| functions::find(name).is_some_and(|f| f.subscriptions.is_empty());
        let is_excuse = |fault: &Fault| match fault {
            Fault::Away(name) | Fault::Unknown(name) => letter.function() == *name || of_all(name),
            Fault::DatabaseDown | Fault::DatabaseFull | Fault::Database(_) | Fault::DiskFull => true,
            Fault::Broker(mischief) => mischief.deaf > 0,
            channel => {
                letter.function().strip_suffix("-send").is_some_and(|name| is_of_channel(channel, name))
            }
        };
        !letter.is_refused() && self.outlasted.iter().any(is_excuse)
    }

    /// Scheduled times that passed and were handed out. Those due now are under way.
    fn went_by(&self, watched: &Watched, page: &Page) -> impl Iterator<Item = i64> + use<> {
        let until = self.clock.now().timestamp() + 1;
        let next = page.endpoints.get(&watched.id).map_or(until, |row| row.next_check_at.min(until));
        (watched.first_check_at..next).step_by(watched.interval as usize)
    }

    /// Scheduled times without a result, and in no dead letter.
    fn unseen(&self, watched: &Watched, page: &Page) -> BTreeSet<i64> {
        let (results, given_up) = (page.results.get(&watched.id), page.given_up.get(&watched.id));
        let is_unseen = |scheduled_at: &i64| {
            !results.is_some_and(|results| results.contains_key(scheduled_at))
                && !given_up.is_some_and(|given_up| given_up.contains(scheduled_at))
        };
        self.went_by(watched, page).filter(is_unseen).collect()
    }

    /// The number of unseen scheduled times since everything was last as expected, minus those counted as
    /// missed since then.
    fn uncounted(&self, watched: &Watched, page: &Page) -> i64 {
        let lost = self.unseen(watched, page).difference(&watched.unseen).count() as i64;
        let missed = page.endpoints.get(&watched.id).map_or(0, |row| row.missed_checks);
        lost - (missed - watched.missed)
    }

    /// The number of incidents, and whether one is open: by chaos' own actions, or, where the network decides
    /// what a check sees, by the stored results.
    fn expected(&self, watched: &Watched, page: &Page) -> (usize, bool) {
        if self.kind != Kind::Namespace {
            return (watched.outages, watched.down);
        }
        let (mut down, mut outages, mut row, mut last) = (None, 0, 0, None);
        for up in page.results.get(&watched.id).into_iter().flat_map(BTreeMap::values) {
            row = if last == Some(*up) { row + 1 } else { 1 };
            last = Some(*up);
            let enough = if *up { watched.thresholds.1 } else { watched.thresholds.0 };
            if row >= enough && down != Some(!up) {
                down = Some(!up);
                outages += usize::from(!up);
            }
        }
        (outages, down == Some(true))
    }

    /// The summary that users see must match the stored results.
    async fn ask_the_summary(&mut self, page: &Page) -> Result<Finding> {
        if self.kind == Kind::Namespace {
            return Ok(Finding::Fine);
        }
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let range = format!(
            "from={}&to={}",
            // Also covers a clock that was set back.
            text(self.began - TimeDelta::hours(6)),
            text(self.now() + TimeDelta::seconds(1))
        );
        for at in 0..self.endpoints.len() {
            let id = self.endpoints[at].id;
            let path = format!("/public/v1/summaries/{id}?{range}");
            let Ok(summary) = self.call("report-summary", Method::GET, &path, None).await else {
                return Ok(Finding::NotYet("the summary cannot be asked for".to_owned()));
            };
            // Results of a clock that was ahead are shown when their time comes.
            let now = self.now().timestamp();
            let results = page.results.get(&id).into_iter().flatten().filter(|(at, _)| **at <= now);
            let (stored, up) =
                results.fold((0, 0), |(all, up), (_, is_up)| (all + 1, up + u64::from(*is_up)));
            if (summary["checks"].as_u64(), summary["up"].as_u64()) != (Some(stored), Some(up)) {
                let shown = format!("{} checks, {} up", summary["checks"], summary["up"]);
                return Ok(Finding::NotYet(format!(
                    "{SUMMARY} of endpoint {id} says {shown}; stored are {stored}, {up} up"
                )));
            }
        }
        Ok(Finding::Fine)
    }

    fn tally(&mut self, page: &Page) -> Tally {
        let was_seen = |(endpoint, scheduled_at): &&(i64, i64)| {
            page.results.get(endpoint).is_some_and(|results| results.get(scheduled_at) == Some(&false))
        };
        Tally {
            results: page.results.values().map(BTreeMap::len).sum(),
            missed: page.endpoints.values().map(|endpoint| endpoint.missed_checks).sum(),
            messages: self.channels.heard().values().map(|messages| messages.sent.len()).sum(),
            blips: self.blips.len(),
            blips_seen: self.blips.iter().filter(was_seen).count(),
        }
    }
}

fn is_of_channel(fault: &Fault, channel: &str) -> bool {
    matches!(fault, Fault::Exhaust(which) | Fault::Channel(which, _) | Fault::Answer(which, _)
        if channels::NAMES[*which] == channel)
}

async fn migrate(settings: &[(String, String)]) -> Result<()> {
    let mut command = Command::new(program("function")?);
    command.arg("migrate").env_clear().envs(settings.iter().map(|(name, value)| (name, value)));
    let output = command.output().await?;
    anyhow::ensure!(output.status.success(), "migrate: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
