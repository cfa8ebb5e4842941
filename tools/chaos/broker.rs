//! Functions as separate processes, as on a cluster: started by the first request to their name. Between
//! them, a small broker that keeps Knative's rules and makes use of everything that they allow.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Bytes, extract::Request, response::Response};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use runtime::{Clock, Function};
use tokio::{process::Command, sync::OnceCell, task::JoinSet};

use crate::{
    postgres::free_port,
    process::{Log, Process},
};

/// Rare behaviour that a broker's contract allows, each with its probability in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mischief {
    /// An event is delivered twice.
    pub duplicate: u32,
    /// A delivery waits for up to half a minute, so that others overtake it.
    pub reorder: u32,
    /// A handled event is delivered again, and its reply is accepted again.
    pub redeliver: u32,
    /// The answer is lost, including its reply.
    pub deaf: u32,
}

/// As the Triggers say: ten retries, after 1, 2, 4, ... seconds.
const RETRIES: u32 = 10;
/// Functions take at most 25 s to complete running work after SIGTERM, and then end.
const GRACE: Duration = Duration::from_secs(27);
/// Timeout for an answer; a batch waits for its scheduled times while the clock stands still.
const TIMEOUT: Duration = Duration::from_secs(120);

pub struct Cluster {
    program: PathBuf,
    settings: Vec<(String, String)>,
    clock: Clock,
    log: Arc<Log>,
    client: reqwest::Client,
    running: tokio::sync::Mutex<HashMap<&'static str, Running>>,
    tasks: Mutex<JoinSet<()>>,
    /// Processes that were sent SIGTERM.
    ending: Mutex<JoinSet<()>>,
    state: Mutex<State>,
}

struct Running {
    process: Process,
    port: u16,
    /// Set when the process listens; other callers wait for it.
    listens: Arc<OnceCell<()>>,
}

struct State {
    mischief: Mischief,
    rng: StdRng,
    /// Functions that are not started on request.
    away: BTreeSet<&'static str>,
    /// Functions that are answered with 404, as by an ingress that does not know them yet.
    unknown: BTreeSet<&'static str>,
    waiting: BTreeMap<u64, Waiting>,
    deliveries: u64,
    /// Ticks whose run is not over.
    ticking: BTreeSet<&'static str>,
    ticked: DateTime<Utc>,
}

/// A delivery that is not done.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub subscriber: &'static str,
    pub attempts: u32,
    pub said: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Cluster {
    pub async fn start(
        program: PathBuf,
        settings: Vec<(String, String)>,
        clock: Clock,
        log: Arc<Log>,
        seed: u64,
    ) -> Result<Arc<Self>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let ingress = format!("http://{}", listener.local_addr()?);
        let mut settings = settings;
        settings.push(("FUNCTION_URL".to_owned(), format!("{ingress}/fn/{{name}}")));
        settings.push(("K_SINK".to_owned(), format!("{ingress}/broker")));
        let state = State {
            mischief: Mischief::default(),
            rng: StdRng::seed_from_u64(seed),
            away: BTreeSet::new(),
            unknown: BTreeSet::new(),
            waiting: BTreeMap::new(),
            deliveries: 0,
            ticking: BTreeSet::new(),
            ticked: clock.now(),
        };
        let cluster = Arc::new(Self {
            program,
            settings,
            clock,
            log,
            client: reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?,
            running: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
            ending: Mutex::default(),
            state: Mutex::new(state),
        });
        let serving = Arc::downgrade(&cluster);
        let app = Router::new().fallback(async move |request: Request| match serving.upgrade() {
            Some(cluster) => cluster.ingress(request).await,
            None => bare(StatusCode::SERVICE_UNAVAILABLE),
        });
        cluster.spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(cluster)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ends all processes at once, except those that were sent SIGTERM: waits for them.
    pub async fn stop(&self) {
        let ending = std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        ending.join_all().await;
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for (function, mut running) in std::mem::take(&mut *self.running.lock().await) {
            self.has_ended(function, &mut running);
            running.process.kill().await;
        }
    }

    /// A function that ends by itself is a fault.
    fn has_ended(&self, function: &str, running: &mut Running) -> bool {
        let ended = running.process.ended();
        if let Some(status) = ended {
            self.log.fault(&format!("{function} ended by itself: {status}"));
        }
        ended.is_some()
    }

    pub fn set_mischief(&self, mischief: Mischief) {
        self.state().mischief = mischief;
    }

    pub fn set_away(&self, function: &'static str, away: bool) {
        put(&mut self.state().away, function, away);
    }

    pub fn set_unknown(&self, function: &'static str, unknown: bool) {
        put(&mut self.state().unknown, function, unknown);
    }

    /// Deliveries that are not done, except batches of checks, which wait for their scheduled times.
    pub fn waiting(&self) -> Vec<Waiting> {
        let state = self.state();
        state.waiting.values().filter(|waiting| waiting.subscriber != "check-run").cloned().collect()
    }

    pub fn is_ticking(&self) -> bool {
        !self.state().ticking.is_empty()
    }

    /// `kill -9`. False: the function is not running.
    pub async fn kill(&self, function: &'static str) -> bool {
        let Some(mut running) = self.running.lock().await.remove(function) else { return false };
        let is_hit = !self.has_ended(function, &mut running);
        running.process.kill().await;
        is_hit
    }

    /// Sends SIGTERM: later requests go to a new process. Skips a process that is starting: it has no work
    /// yet.
    pub async fn terminate(self: &Arc<Self>, function: &'static str) -> Result<()> {
        let mut all = self.running.lock().await;
        if all.get(function).is_none_or(|running| !running.listens.initialized()) {
            return Ok(());
        }
        let Some(mut running) = all.remove(function) else { return Ok(()) };
        if self.has_ended(function, &mut running) {
            return Ok(());
        }
        let (mut process, log) = (running.process, Arc::clone(&self.log));
        process.terminate()?;
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            match process.wait(GRACE).await {
                Ok(status) if status.success() => {}
                ended => log.fault(&format!("{function} at SIGTERM: {ended:?}")),
            }
        });
        Ok(())
    }

    /// Advances the clock of all processes; then the schedule's ticks are due.
    pub async fn advance(self: &Arc<Self>, seconds: i64) {
        let mut all = self.running.lock().await;
        // With the lock held: otherwise a process started in the meantime would begin at the new time and be
        // advanced again.
        self.clock.set(self.clock.now() + TimeDelta::seconds(seconds));
        for running in all.values_mut() {
            running.process.advance(seconds).await;
        }
        drop(all);
        let now = self.clock.now();
        let ticked = std::mem::replace(&mut self.state().ticked, now).max(now - TimeDelta::days(2));
        for function in functions::ALL {
            if function.cron.is_some_and(|cron| is_due(cron, ticked, now))
                && self.state().ticking.insert(function.name)
            {
                self.spawn(Arc::clone(self).tick(function));
            }
        }
    }

    /// One run, retried like a Job's pod.
    async fn tick(self: Arc<Self>, function: &'static Function) {
        for attempt in 0..3 {
            let answer = self.ask(function.name, Method::POST, "/", HeaderMap::new(), Bytes::new()).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                break;
            }
            self.clock.sleep(Duration::from_secs(10 << attempt)).await;
        }
        self.state().ticking.remove(function.name);
    }

    /// Returns the port of a function, and starts the function if necessary.
    pub async fn wake(&self, function: &'static str) -> Result<u16> {
        let (port, listens) = self.running_or_started(function).await?;
        let connect = async || {
            let connects = async {
                while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), connects).await.context("it does not listen")
        };
        listens.get_or_try_init(connect).await?;
        Ok(port)
    }

    async fn running_or_started(&self, function: &'static str) -> Result<(u16, Arc<OnceCell<()>>)> {
        let mut all = self.running.lock().await;
        if let Some(running) = all.get_mut(function) {
            if !self.has_ended(function, running) {
                return Ok((running.port, Arc::clone(&running.listens)));
            }
            all.remove(function);
        }
        anyhow::ensure!(!self.state().away.contains(function), "{function} is kept away");
        let port = free_port()?;
        let mut command = Command::new(&self.program);
        command.arg(function).env_clear().envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.env("PORT", port.to_string()).env("NOW", self.clock.now().to_rfc3339());
        let process = Process::spawn(command, function, &self.log)?;
        // The lock is held: the clock cannot move until this process is in the list of those to advance.
        let listens = Arc::new(OnceCell::new());
        all.insert(function, Running { process, port, listens: Arc::clone(&listens) });
        Ok((port, listens))
    }

    async fn ask(
        &self,
        function: &'static str,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        if self.state().unknown.contains(function) {
            return Ok(Answer {
                status: StatusCode::NOT_FOUND,
                headers: HeaderMap::new(),
                body: Bytes::new(),
            });
        }
        let url = format!("http://127.0.0.1:{}{path}", self.wake(function).await?);
        let answer = self.client.request(method, url).headers(headers).body(body).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await? })
    }

    async fn ingress(self: &Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return bare(StatusCode::BAD_REQUEST) };
        let (mut headers, body) = (parts.headers, body.to_bytes());
        headers.remove("host");
        headers.remove("content-length");
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if path == "/broker" {
            self.accept(headers, body);
            return bare(StatusCode::ACCEPTED);
        }
        let Some((name, path)) = path.strip_prefix("/fn/").and_then(|rest| rest.split_once('/')) else {
            return bare(StatusCode::NOT_FOUND);
        };
        let Some(function) = functions::find(name) else { return bare(StatusCode::NOT_FOUND) };
        match self.ask(function.name, parts.method, &format!("/{path}"), headers, body).await {
            Ok(Answer { status, mut headers, body }) => {
                headers.remove("transfer-encoding");
                let mut response = Response::new(body.into());
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
                response
            }
            Err(_) => bare(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// A user's request, as it comes through the gateway.
    pub async fn call(
        &self,
        function: &'static str,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes> {
        let answer = self.ask(function, method, path, headers, body).await?;
        let said = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!(answer.status.is_success(), "{function}: {} {said}", answer.status);
        Ok(answer.body)
    }

    fn chance(&self, of: impl Fn(&Mischief) -> u32) -> bool {
        let mut state = self.state();
        let percent = of(&state.mischief);
        percent > 0 && state.rng.random_range(0..100) < percent
    }

    /// From here on, chaos is responsible for delivering the event.
    fn accept(self: &Arc<Self>, headers: HeaderMap, body: Bytes) {
        let attribute = |name: &str| headers.get(format!("ce-{name}")).and_then(|value| value.to_str().ok());
        for function in functions::ALL {
            if function.subscriptions.iter().any(|subscription| subscription.wants(attribute)) {
                let times = if self.chance(|m| m.duplicate) { 2 } else { 1 };
                (0..times).for_each(|_| self.enqueue(function.name, headers.clone(), body.clone(), None));
            }
        }
    }

    fn enqueue(
        self: &Arc<Self>,
        subscriber: &'static str,
        headers: HeaderMap,
        body: Bytes,
        why: Option<String>,
    ) {
        let delivery = {
            let mut state = self.state();
            state.deliveries += 1;
            let delivery = state.deliveries;
            state.waiting.insert(delivery, Waiting { subscriber, attempts: 0, said: String::new() });
            delivery
        };
        self.spawn(Arc::clone(self).deliver(delivery, subscriber, headers, body, why.is_some()));
    }

    fn deliver(
        self: Arc<Self>,
        delivery: u64,
        subscriber: &'static str,
        headers: HeaderMap,
        body: Bytes,
        dead: bool,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if !dead && self.chance(|m| m.reorder) {
                let pause = self.state().rng.random_range(1..30);
                self.clock.sleep(Duration::from_secs(pause)).await;
            }
            let mut attempts = 0;
            loop {
                let answer = self.ask(subscriber, Method::POST, "/", headers.clone(), body.clone()).await;
                attempts += 1;
                let answer = answer.map_err(|error| format!("{error:#}"));
                let (again, said) = match &answer {
                    Ok(answer) if answer.status.is_success() && self.chance(|m| m.deaf) => {
                        (true, "the answer was lost".to_owned())
                    }
                    Ok(answer) if answer.status.is_success() => {
                        if answer.headers.contains_key("ce-type") {
                            self.accept(kept(&answer.headers), answer.body.clone());
                        }
                        if !dead && self.chance(|m| m.redeliver) {
                            self.enqueue(subscriber, headers, body, None);
                        }
                        break;
                    }
                    Ok(answer) => {
                        let again = answer.status.is_server_error()
                            || matches!(answer.status.as_u16(), 404 | 408 | 409 | 429);
                        (again, format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)))
                    }
                    Err(error) => (true, error.clone()),
                };
                self.log.say(&format!("chaos: {subscriber} did not take {:?}: {said}", headers.get("ce-id")));
                if let Some(waiting) = self.state().waiting.get_mut(&delivery) {
                    (waiting.attempts, waiting.said) = (attempts, said.clone());
                }
                if !dead && (!again || attempts > RETRIES) {
                    let mut letter = headers;
                    let code = answer.ok().filter(|answer| !answer.status.is_success());
                    let code = code.map_or("-1".to_owned(), |answer| answer.status.as_u16().to_string());
                    for (name, value) in [
                        ("ce-knativeerrordest", subscriber),
                        ("ce-knativeerrorcode", &code),
                        ("ce-knativeerrordata", said.trim()),
                    ] {
                        let value = value.replace(|c: char| !c.is_ascii_graphic(), " ");
                        letter.extend(
                            HeaderValue::from_str(&value)
                                .ok()
                                .map(|value| (http::HeaderName::from_static(name), value)),
                        );
                    }
                    self.enqueue("dead-letter", letter, body, Some(said));
                    break;
                }
                self.clock.sleep(Duration::from_secs(1 << (attempts - 1).min(9))).await;
            }
            self.state().waiting.remove(&delivery);
        })
    }
}

fn put(set: &mut BTreeSet<&'static str>, function: &'static str, is_in: bool) {
    if is_in {
        set.insert(function);
    } else {
        set.remove(function);
    }
}

/// The headers of a reply that belong to its event.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let own = |name: &str| name.starts_with("ce-") || name == "content-type" || name == "traceparent";
    let headers = headers.iter().filter(|(name, _)| own(name.as_str()));
    headers.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    response
}

/// Whether a minute of the schedule (`M H * * *`, with numbers or stars) lies in `(after, until]`.
fn is_due(cron: &str, after: DateTime<Utc>, until: DateTime<Utc>) -> bool {
    let mut fields = cron.split(' ').map(|field| field.parse::<u32>().ok());
    let (minute, hour) = (fields.next().flatten(), fields.next().flatten());
    let mut at = after.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(after);
    loop {
        at += TimeDelta::minutes(1);
        if at > until {
            return false;
        }
        if minute.is_none_or(|m| m == at.minute()) && hour.is_none_or(|h| h == at.hour()) {
            return true;
        }
    }
}
