//! The broker's durable state, in `engine.db`.
//!
//! One task writes. Steps that arrive during a commit share the next transaction, so that many events need
//! few commits.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::event::Event;
use crate::store::Store;

/// A step, which is done once it is committed.
#[derive(Debug)]
pub enum Step {
    /// An event arrived.
    Accept(Stored),
    /// A delivery succeeded; the subscriber's reply is stored in the same commit.
    Acknowledge { delivery: i64, reply: Option<Stored> },
    /// A delivery failed and will be retried.
    Postpone { delivery: i64, attempts: u32, due: DateTime<Utc> },
    /// A delivery is given up and goes to the dead-letter sink.
    Bury { delivery: i64, queue: String, due: DateTime<Utc>, error: DeliveryError },
}

/// An event and the queues that it goes to.
#[derive(Debug)]
pub struct Stored {
    pub event: Event,
    pub queues: Vec<String>,
    pub due: DateTime<Utc>,
}

/// Why a delivery was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryError {
    pub destination: String,
    /// `None`: no answer.
    pub code: Option<u16>,
    pub data: String,
}

/// A waiting delivery.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Waiting {
    pub id: i64,
    pub event_id: i64,
    pub owner: String,
    pub attempts: u32,
    #[sqlx(rename = "due_at")]
    due_micros: i64,
    error: Option<String>,
}

impl Waiting {
    #[cfg(test)]
    pub fn of_attempts(attempts: u32, due: DateTime<Utc>) -> Self {
        Self {
            id: 1,
            event_id: 1,
            owner: String::new(),
            attempts,
            due_micros: due.timestamp_micros(),
            error: None,
        }
    }

    pub fn due(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.due_micros).unwrap_or(DateTime::UNIX_EPOCH)
    }

    pub fn error(&self) -> Option<DeliveryError> {
        self.error.as_deref().and_then(|error| serde_json::from_str(error).ok())
    }
}

type Task = (Step, oneshot::Sender<bool>);

/// Sends steps to the writing task.
#[derive(Clone, Debug)]
pub struct Journal {
    read: SqlitePool,
    tasks: mpsc::Sender<Task>,
}

/// The writing task.
pub struct Writer {
    write: SqlitePool,
    tasks: mpsc::Receiver<Task>,
}

const TOGETHER: usize = 256;

impl Journal {
    pub fn new(store: &Store) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(TOGETHER);
        let writer = Writer { write: store.write.clone(), tasks: receiver };
        (Self { read: store.read.clone(), tasks: sender }, writer)
    }

    /// Returns when the step is committed. False: it failed, and nothing of it was committed.
    pub async fn take(&self, step: Step) -> bool {
        let (done, is_done) = oneshot::channel();
        self.tasks.send((step, done)).await.is_ok() && is_done.await.unwrap_or(false)
    }

    /// The first deliveries of each owner that are not under way, by due time.
    pub async fn first(&self, queue: &str, under_way: &[i64], max: usize) -> sqlx::Result<Vec<Waiting>> {
        // Owners are found one by one in the index, so the rows of an owner with many are not read.
        static SELECT: &str = "WITH RECURSIVE owners (owner) AS (\
                SELECT MIN(owner) FROM delivery WHERE queue = $1 \
                UNION ALL \
                SELECT (SELECT MIN(d.owner) FROM delivery d WHERE d.queue = $1 AND d.owner > owners.owner) \
                FROM owners WHERE owners.owner IS NOT NULL) \
            SELECT d.id, d.event_id, d.owner, d.attempts, d.due_at, d.error \
            FROM owners CROSS JOIN delivery d ON d.id IN (\
                SELECT id FROM delivery WHERE queue = $1 AND owner = owners.owner \
                    AND id NOT IN (SELECT value FROM json_each($2)) \
                ORDER BY due_at, id LIMIT $3) \
            ORDER BY d.due_at, d.id";
        let under_way = serde_json::to_string(under_way).map_err(|e| sqlx::Error::Encode(e.into()))?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        sqlx::query_as(SELECT).bind(queue).bind(under_way).bind(max).fetch_all(&self.read).await
    }

    pub async fn event(&self, id: i64) -> anyhow::Result<Event> {
        static SELECT: &str = "SELECT headers, body FROM event WHERE id = $1";
        let (headers, body): (String, Vec<u8>) =
            sqlx::query_as(SELECT).bind(id).fetch_one(&self.read).await?;
        Ok(Event { headers: serde_json::from_str(&headers)?, body: Bytes::from(body) })
    }

    pub async fn any_due(&self, now: DateTime<Utc>) -> sqlx::Result<bool> {
        static SELECT: &str = "SELECT EXISTS (SELECT 1 FROM delivery WHERE due_at <= $1)";
        sqlx::query_scalar(SELECT).bind(now.timestamp_micros()).fetch_one(&self.read).await
    }

    /// Number of deliveries by queue.
    pub async fn queued(&self) -> sqlx::Result<Vec<(String, i64)>> {
        static SELECT: &str = "SELECT queue, COUNT(*) FROM delivery GROUP BY queue ORDER BY queue";
        sqlx::query_as(SELECT).fetch_all(&self.read).await
    }
}

/// Deletes the deliveries of a queue that no longer exists, as deleting a Trigger does.
pub async fn forget(store: &Store, queue: &str) -> sqlx::Result<()> {
    static DELIVERIES: &str = "DELETE FROM delivery WHERE queue = $1";
    static EVENTS: &str = "DELETE FROM event WHERE id NOT IN (SELECT event_id FROM delivery)";
    let mut transaction = store.write.begin().await?;
    sqlx::query(DELIVERIES).bind(queue).execute(&mut *transaction).await?;
    sqlx::query(EVENTS).execute(&mut *transaction).await?;
    transaction.commit().await
}

impl Writer {
    /// Writes until `stopping`, and then the steps that still wait. Calls `committed` after every commit,
    /// with `None` after a failed one.
    pub async fn run(mut self, stopping: impl Future<Output = ()>, committed: impl Fn(Option<&[Step]>)) {
        tokio::pin!(stopping);
        let mut stopped = false;
        loop {
            let first = if stopped {
                self.tasks.try_recv().ok()
            } else {
                tokio::select! {
                    biased;
                    task = self.tasks.recv() => task,
                    () = &mut stopping => { stopped = true; continue }
                }
            };
            let Some(first) = first else { return };
            let (mut steps, mut waiting) = (vec![first.0], vec![first.1]);
            while steps.len() < TOGETHER
                && let Ok((step, done)) = self.tasks.try_recv()
            {
                steps.push(step);
                waiting.push(done);
            }
            let result = self.commit(&steps).await;
            match &result {
                Ok(()) => committed(Some(&steps)),
                Err(error) => {
                    committed(None);
                    tracing::error!(%error, "the broker cannot write");
                }
            }
            for done in waiting {
                // The caller may have been cancelled.
                let _ = done.send(result.is_ok());
            }
        }
    }

    async fn commit(&self, steps: &[Step]) -> sqlx::Result<()> {
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        for step in steps {
            apply(&mut transaction, step).await?;
        }
        transaction.commit().await
    }
}

async fn apply(db: &mut SqliteConnection, step: &Step) -> sqlx::Result<()> {
    static POSTPONE: &str = "UPDATE delivery SET attempts = $2, due_at = $3 WHERE id = $1";
    static BURY: &str = "UPDATE delivery SET queue = $2, attempts = 0, due_at = $3, error = $4 WHERE id = $1";
    static FINISH: &str = "DELETE FROM delivery WHERE id = $1 RETURNING event_id";
    static FORGET: &str =
        "DELETE FROM event WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE event_id = $1)";
    match step {
        Step::Accept(stored) => accept(db, stored).await?,
        Step::Acknowledge { delivery, reply } => {
            let event: Option<i64> =
                sqlx::query_scalar(FINISH).bind(delivery).fetch_optional(&mut *db).await?;
            if let Some(event) = event {
                if let Some(reply) = reply {
                    accept(db, reply).await?;
                }
                sqlx::query(FORGET).bind(event).execute(db).await?;
            }
        }
        Step::Postpone { delivery, attempts, due } => {
            let update = sqlx::query(POSTPONE).bind(delivery).bind(attempts).bind(due.timestamp_micros());
            update.execute(db).await?;
        }
        Step::Bury { delivery, queue, due, error } => {
            let error = serde_json::to_string(error).map_err(|e| sqlx::Error::Encode(e.into()))?;
            let update = sqlx::query(BURY).bind(delivery).bind(queue).bind(due.timestamp_micros());
            update.bind(error).execute(db).await?;
        }
    }
    Ok(())
}

async fn accept(db: &mut SqliteConnection, stored: &Stored) -> sqlx::Result<()> {
    static EVENT: &str = "INSERT INTO event (headers, body) VALUES ($1, $2)";
    // An event of several owners counts for the owner with the fewest waiting deliveries, so that an owner
    // with many does not delay events that others share.
    static DELIVERY: &str = "INSERT INTO delivery (event_id, queue, due_at, owner) VALUES ($1, $2, $3, \
        COALESCE((SELECT value FROM json_each($4) ORDER BY (SELECT COUNT(*) FROM (\
            SELECT 1 FROM delivery WHERE queue = $2 AND owner = value LIMIT 1000)) LIMIT 1), ''))";
    let Stored { event, queues, due } = stored;
    if queues.is_empty() {
        return Ok(());
    }
    let headers = serde_json::to_string(&event.headers).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let owners: Vec<_> = event.attribute("owners").into_iter().flat_map(|owners| owners.split(',')).collect();
    let owners = serde_json::to_string(&owners).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let inserted = sqlx::query(EVENT).bind(headers).bind(&event.body[..]).execute(&mut *db).await?;
    for queue in queues {
        let insert = sqlx::query(DELIVERY).bind(inserted.last_insert_rowid()).bind(queue);
        insert.bind(due.timestamp_micros()).bind(&owners).execute(&mut *db).await?;
    }
    Ok(())
}
