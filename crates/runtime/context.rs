//! The context of a function: each part is built when it is first used, so that a function pays only for
//! what it needs.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    Clock, Db, Env, Error, FromEnv, Outgoing, Result, outbound::Outbound, secret::Random, trace::Trace,
};

/// How long a request waits for work that can continue in the background.
const MAX_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    env: Env,
    clock: Clock,
    random: Random,
    outbound: Outbound,
    db: OnceLock<Db>,
    /// A separate pool for work that clients wait for.
    db_for_clients: OnceLock<Db>,
    background: TaskTracker,
    stopping: CancellationToken,
    shared: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

tokio::task_local! {
    static FOR_CLIENT: ();
}

/// Runs work that a client waits for, in a process that also has other work: it uses only the database
/// connections reserved for clients.
pub async fn for_client<F: Future>(work: F) -> F::Output {
    FOR_CLIENT.scope((), work).await
}

/// The same for synchronous work.
pub fn for_client_sync<T>(work: impl FnOnce() -> T) -> T {
    FOR_CLIENT.sync_scope((), work)
}

impl Context {
    pub fn new(env: Env, clock: Clock, random: Random, outbound: Outbound) -> Self {
        Self(Arc::new(Inner {
            env,
            clock,
            random,
            outbound,
            db: OnceLock::new(),
            db_for_clients: OnceLock::new(),
            background: TaskTracker::new(),
            stopping: CancellationToken::new(),
            shared: Mutex::default(),
        }))
    }

    /// For a function that runs alone: environment of the process, system clock.
    pub fn of_process(env: Env) -> Self {
        let outbound = Outbound::http(&env);
        Self::new(env, Clock::System, Random::System, outbound)
    }

    /// For one of several functions in a process: with its own settings, transports and database; clock,
    /// randomness and background work are shared.
    pub fn of_function(&self, env: Env, outbound: Outbound, db: Option<Db>) -> Self {
        let Inner { clock, random, background, stopping, .. } = &*self.0;
        Self(Arc::new(Inner {
            env,
            clock: clock.clone(),
            random: random.clone(),
            outbound,
            db: db.map_or_else(OnceLock::new, OnceLock::from),
            db_for_clients: OnceLock::new(),
            background: background.clone(),
            stopping: stopping.clone(),
            shared: Mutex::default(),
        }))
    }

    pub fn env(&self) -> &Env {
        &self.0.env
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn random(&self) -> &Random {
        &self.0.random
    }

    pub fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    /// Runs work without delaying the response; the process waits for it before it ends.
    pub fn background(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.background.spawn(Trace::current().scope(work).instrument(tracing::Span::current()));
    }

    /// Waits at most two seconds for work, because a broker may be slow. After that, the work continues
    /// in the background, and `late` is called with its error, if any.
    pub async fn briefly<F>(
        &self,
        work: impl Future<Output = Result<()>> + Send + 'static,
        late: impl FnOnce(Error) -> F + Send + 'static,
    ) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (done, is_done) = oneshot::channel();
        self.background(async move {
            if let Err(Err(error)) = done.send(work.await) {
                late(error).await;
            }
        });
        match tokio::time::timeout(MAX_WAIT, is_done).await {
            Ok(Ok(result)) => result,
            Ok(Err(closed)) => Err(Error::internal(closed)),
            Err(_) => Ok(()),
        }
    }

    /// Publishes an event, [briefly](Self::briefly). For events that are published again if they have no
    /// effect. If the caller must know that the broker accepted the event, use [`Outbound::publish`].
    pub async fn publish(&self, event: Outgoing) -> Result<()> {
        self.publish_or(event, || async {}).await
    }

    /// Like [`Context::publish`]; `refused` runs if the event is refused after this has returned.
    pub async fn publish_or<F>(
        &self,
        event: Outgoing,
        refused: impl FnOnce() -> F + Send + 'static,
    ) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let outbound = self.outbound().clone();
        let late = |error| async move {
            tracing::error!(%error, "an event was lost: the broker refused it after a while");
            refused().await;
        };
        self.briefly(async move { outbound.publish(event).await }, late).await
    }

    /// Returns when the process is asked to end: a caller that is only waiting then stops, and another
    /// process continues.
    pub async fn stopping(&self) {
        self.0.stopping.cancelled().await;
    }

    pub fn stop(&self) {
        self.0.stopping.cancel();
    }

    /// Returns when all background work is done.
    pub async fn finish(&self) {
        self.0.background.close();
        self.0.background.wait().await;
    }

    /// The database; connects at the first query.
    pub fn db(&self) -> Result<&Db> {
        let db = match self.0.db.get() {
            Some(db) => db,
            None => {
                let db = Db::from_env(&self.0.env)?;
                self.0.db.get_or_init(|| db)
            }
        };
        let is_for_client = FOR_CLIENT.try_with(|()| ()).is_ok();
        Ok(if is_for_client { self.0.db_for_clients.get_or_init(|| db.apart()) } else { db })
    }

    /// Closes all connections to the database.
    pub async fn close_db(&self) {
        let open = [&self.0.db_for_clients, &self.0.db].into_iter().filter_map(OnceLock::get);
        futures::future::join_all(open.map(Db::close)).await;
    }

    /// The settings of one concern, read once.
    pub fn config<T: FromEnv>(&self) -> Result<Arc<T>> {
        self.shared(|context| Ok(T::from_env(&context.0.env)?))
    }

    /// The only instance of a type in this process, such as the prober or the mailer.
    pub fn shared<T: Send + Sync + 'static>(&self, make: impl FnOnce(&Self) -> Result<T>) -> Result<Arc<T>> {
        let lock = || self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = TypeId::of::<T>();
        if let Some(found) = lock().get(&kind).cloned() {
            return found
                .downcast()
                .map_err(|_| Error::internal(anyhow::anyhow!("another type under this id")));
        }
        // Built outside the lock, because building one may need another.
        let made = Arc::new(make(self)?);
        let kept = lock().entry(kind).or_insert(made).clone();
        kept.downcast().map_err(|_| Error::internal(anyhow::anyhow!("another type under this id")))
    }
}

impl FromRequestParts<Context> for Clock {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        _: &mut Parts,
        context: &Context,
    ) -> std::result::Result<Self, Self::Rejection> {
        Ok(context.clock().clone())
    }
}
