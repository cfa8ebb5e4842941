//! The one-machine engine: replaces in one process what a cluster provides for the functions.
//!
//! | file | what it replaces |
//! |---|---|
//! | `wiring/` | reads and checks the files that are applied to a cluster |
//! | `gateway/` | Kong: routes, keys, limits |
//! | `admin.rs`, `consumers.rs` | Kong's Admin API and its data; the functions' private API |
//! | `broker/` | Knative's Broker and Triggers, durable |
//! | `cron.rs` | Kubernetes' CronJobs |
//! | `metrics.rs` | the OpenTelemetry collector, as Prometheus scrapes it |
//! | `apps.rs` | the functions, and the network between them |
//! | `server.rs`, `framing.rs`, `answers.rs`, `life.rs` | HTTP with limits; the end of tasks |
//! | `readiness.rs` | the readiness probe |
//! | `data.rs`, `store.rs` | the data folder, its secrets, `engine.db` |
//!
//! [`start`] starts all of it; `main` and the tests call it.

mod admin;
mod answers;
mod apps;
mod broker;
mod consumers;
mod cron;
mod data;
pub mod framing;
mod gateway;
mod life;
mod metrics;
mod readiness;
mod server;
mod store;
pub mod wiring;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body, extract::Request};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::{Clock, Context, Env, Function, secret::Random};
use tokio::net::TcpListener;
use tower::ServiceExt;

use self::{
    apps::Apps,
    consumers::Consumers,
    cron::Schedule,
    data::Data,
    gateway::Gateway,
    life::Life,
    readiness::Readiness,
    store::Store,
    wiring::{Files, Wiring},
};
pub use self::{
    broker::{Broker, Event, Mode},
    gateway::router,
    server::Limits,
};

/// Docker kills after ten seconds. Deliveries that are cut off are not lost: the broker has stored them.
pub const GRACE: Duration = Duration::from_secs(8);

/// The settings of an engine.
#[derive(Clone)]
pub struct Settings {
    /// Address of the gateway; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Address of the admin API.
    pub admin_listen: SocketAddr,
    pub data: PathBuf,
    /// `None`: SQLite in the data folder.
    pub database_url: Option<String>,
    /// Settings of the functions; the engine overrides those that it knows itself (`KONG_ADMIN_URL`, ...).
    pub env: Env,
    pub clock: Clock,
    pub random: Random,
    pub functions: &'static [Function],
    pub files: Files,
    /// Limits of the gateway for one client.
    pub limits: Limits,
    pub broker: Mode,
    /// How long running work may take to finish when the engine stops.
    pub grace: Duration,
}

impl Settings {
    /// All functions with the committed files, on free ports: for tests.
    pub fn at(data: impl Into<PathBuf>) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: anywhere,
            admin_listen: anywhere,
            data: data.into(),
            database_url: None,
            env: Env::default(),
            clock: Clock::System,
            random: Random::System,
            functions: functions::ALL,
            files: Files::default(),
            limits: Limits::default(),
            broker: Mode::Durable,
            grace: GRACE,
        }
    }
}

/// A running engine. Dropping it ends it at once, like a kill; see [`Engine::stop`].
pub struct Engine {
    /// Addresses of the gateway and the admin API.
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    apps: Arc<Apps>,
    broker: Broker,
    schedule: Schedule,
    store: Store,
    /// The tasks that accept work, those that do it, and those that both need; they end in this order.
    lives: [Life; 3],
    grace: Duration,
    _data: Data,
}

pub async fn start(settings: Settings) -> Result<Engine> {
    let Settings { clock, random, functions, limits, grace, .. } = settings;
    let data = Data::open(&settings.data)?;
    let secrets = data.secrets(&random)?.or_given(&settings.env)?;
    let wiring = Wiring::read(&settings.files, functions, &secrets.gateway_token)?;
    let store = Store::open(&data.path.join("engine.db")).await?;
    let listen = async |address: SocketAddr| {
        let bound = TcpListener::bind(address).await;
        bound.with_context(|| format!("listening on {address}"))
    };
    let (listener, admin_listener) = (listen(settings.listen).await?, listen(settings.admin_listen).await?);
    let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);

    let admin_token = secrets.admin_token.clone();
    let env = environment(&settings.env, settings.database_url, &data, secrets, address, admin_address)?;
    functions::check_settings(&env)?;
    functions::count_from_zero();
    server::count_from_zero();
    let lives = [Life::default(), Life::default(), Life::default()];
    let [front, middle, back] = &lives;
    let readiness = Readiness::default();
    let broker =
        Broker::open(settings.broker, wiring.triggers, &store, clock.clone(), readiness.clone(), back)
            .await?;
    let apps = Apps::new(functions, env, clock.clone(), random.clone())?;
    let _ = apps.broker.set(broker.carry(&apps));
    functions::migrate(apps.context().db()?, apps.context().env()).await?;

    let consumers = Consumers::new(store.clone());
    let guard = admin::Guard { token: admin_token, loopback: admin_address.ip().is_loopback() };
    let private = admin::private(functions, &apps).merge(metrics::router(&apps));
    let admin = admin::router(consumers.clone(), clock.clone(), random.clone(), private, guard);
    // Functions of this process call it too: from one address, and without a limit.
    let unlimited = Limits { per_address: 0, ..limits.clone() };
    back.spawn(server::serve(admin_listener, back.clone(), unlimited, move |request, _, _| {
        ask(admin.clone(), request)
    }));
    broker.run(&apps, middle);
    let schedule =
        Schedule::start(wiring.jobs, &apps, store.clone(), clock.clone(), readiness.clone(), front).await?;
    let gateway =
        Arc::new(Gateway::new(wiring.routes, Arc::clone(&apps), consumers, limits.clone(), clock, random));
    let _ = apps.gateway.set(gateway.carry());
    let context = apps.context().clone();
    front.spawn(server::serve(listener, front.clone(), limits, move |request, peer, local| {
        let (gateway, readiness, context) = (Arc::clone(&gateway), readiness.clone(), context.clone());
        async move {
            if request.method() == Method::GET && request.uri().path() == "/ready" {
                return readiness.answer(&context).await;
            }
            gateway.handle(request, peer, local).await
        }
    }));
    Ok(Engine { address, admin_address, apps, broker, schedule, store, lives, grace, _data: data })
}

async fn ask(router: Router, request: Request<Body>) -> http::Response<Body> {
    router.oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// The functions' environment: the settings, and values that only the engine knows.
fn environment(
    env: &Env,
    database_url: Option<String>,
    data: &Data,
    secrets: data::Secrets,
    address: SocketAddr,
    admin_address: SocketAddr,
) -> Result<Env> {
    let folder = data.path.to_str().context("the path of the data folder is not UTF-8")?;
    // A path may contain characters that have a meaning in a URL.
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    let sqlite = || format!("sqlite:{}/pongpong.db", utf8_percent_encode(folder, KEPT));
    let unless_set = [
        ("CHECK_PRIVATE_NETWORKS", "allow".to_owned()),
        ("OUTBOX_DIR", format!("{folder}/outbox")),
        ("PUBLIC_URL", public_url(address)),
        ("REGION", "local".to_owned()),
    ];
    let set = [
        ("DATABASE_URL", database_url.unwrap_or_else(sqlite)),
        ("ENCRYPTION_KEY", secrets.encryption_key),
        ("GATEWAY_TOKEN", secrets.gateway_token),
        ("KONG_ADMIN_TOKEN", secrets.admin_token),
        ("KONG_ADMIN_URL", format!("http://{}", reachable(admin_address))),
    ];
    let unless_set = unless_set.into_iter().filter(|(name, _)| env.get(name).is_none());
    Ok(env.with(unless_set.chain(set).map(|(name, value)| (name.to_owned(), value))))
}

/// Matches the README: a browser does not share cookies between `localhost` and 127.0.0.1.
fn public_url(address: SocketAddr) -> String {
    let here: [IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    if here.contains(&address.ip()) {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// Replaces an unspecified address by the loopback address: not every system can connect to the former.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

impl Engine {
    /// The functions' context.
    pub fn context(&self) -> &Context {
        self.apps.context()
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Waits until no tick of the schedule is due, no run is under way, and the broker has delivered all due
    /// events.
    pub async fn idle(&self) -> Result<()> {
        loop {
            self.schedule.idle().await;
            self.broker.idle().await?;
            if self.schedule.is_idle() {
                return Ok(());
            }
        }
    }

    /// Like [`Self::idle`] for the schedule alone, while the broker cannot deliver.
    pub async fn schedule_idle(&self) {
        self.schedule.idle().await;
    }

    /// Accepts no more work and completes what runs. Work that does not end within the grace period is cut
    /// off (its event is delivered again at the next start).
    pub async fn stop(self) -> Result<()> {
        // Reserve a moment for each group of tasks, as part of the grace period, even if an earlier group
        // takes all of its time.
        let moment = Duration::from_millis(500);
        let moments = moment * u32::try_from(self.lives.len()).unwrap_or_default();
        let until = tokio::time::Instant::now() + self.grace.saturating_sub(moments);
        self.context().stop();
        for (n, life) in self.lives.iter().enumerate() {
            if n == 1 {
                // Complete the work that requests left after their answers, while the tasks that it needs
                // still run.
                let _ = tokio::time::timeout_at(until, self.context().finish()).await;
            }
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if !life.stop(left.max(moment)).await {
                tracing::warn!("what still ran is cut off, and done again at the next start");
            }
            life.kill();
        }
        // In parallel: each takes a second if its server does not answer.
        tokio::join!(self.context().close_db(), self.store.close());
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.lives.iter().for_each(Life::kill);
    }
}

/// A random id in Kong's form.
fn uuid(random: &Random) -> String {
    uuid::Builder::from_random_bytes(random.bytes()).into_uuid().to_string()
}
