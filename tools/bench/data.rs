//! Rows as the functions would have written them, made by the database itself: a million endpoints
//! cannot be added one by one.

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Body};
use chrono::{DateTime, Utc};
use http::Request;
use http_body_util::BodyExt;
use runtime::{Clock, Context, Db, Env, on, outbound::Outbound, secret::Random};
use tower::ServiceExt;

/// A context of its own over a new database, with the tables of all functions.
pub async fn context(database_url: &str, clock: Clock) -> Result<Context> {
    let env: Env = [
        ("DATABASE_URL", database_url),
        ("DATABASE_MAX_CONNECTIONS", "4"),
        ("GATEWAY_TOKEN", GATEWAY_TOKEN),
        ("RETENTION_RAW_DAYS", "365"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .collect();
    let outbound = Outbound::http(&env);
    let context = Context::new(env, clock, Random::System, outbound);
    functions::migrate(context.db()?, context.env()).await?;
    Ok(context)
}

pub const GATEWAY_TOKEN: &str = "the gateway's";

/// A function, called as the gateway would, on behalf of a user.
pub struct Called(Router);

impl Called {
    pub fn of(context: &Context, function: &str) -> Result<Self> {
        let function = functions::find(function).with_context(|| format!("there is no {function}"))?;
        Ok(Self(runtime::serve::router(function, context)))
    }

    pub async fn call(&self, user: i64, call: Call<'_>) -> Result<Vec<u8>> {
        let request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header("x-gateway-token", GATEWAY_TOKEN)
            .header("x-consumer-custom-id", user)
            .header("x-credential-identifier", "bench")
            .header("content-type", "application/json")
            .body(Body::from(call.body))?;
        self.send(request).await.with_context(|| call.path.to_owned())
    }

    pub async fn send(&self, request: Request<Body>) -> Result<Vec<u8>> {
        let answer = self.0.clone().oneshot(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body.to_vec())
    }
}

/// What is asked of one.
pub struct Call<'a> {
    pub method: &'static str,
    pub path: &'a str,
    pub body: String,
}

impl<'a> Call<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: String::new() }
    }

    pub fn post(path: &'a str, body: String) -> Self {
        Self { method: "POST", path, body }
    }
}

/// Endpoints to add.
pub struct Endpoints<'a> {
    pub count: i64,
    /// `None`: a thousand for each of many.
    pub user: Option<i64>,
    /// `{n}` is replaced by the number of each.
    pub url: &'a str,
    /// The first scheduled time; they are spread over the minute after it.
    pub first_check_at: i64,
    /// Some up, some down, as if they had been checked; otherwise pending.
    pub settled: bool,
    pub at: DateTime<Utc>,
}

pub async fn add_endpoints(db: &Db, endpoints: &Endpoints<'_>) -> Result<()> {
    const ADD: &str = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
        INSERT INTO endpoints (user_id, name, url, kind, config, interval_seconds, timeout_ms, assertions, retries, failure_threshold, success_threshold, enabled, tags,
            status, next_check_at, last_checked_at, created_at, updated_at)
        SELECT COALESCE($2, 1 + n / 1000), 'Endpoint ' || n, REPLACE($3, '{n}', CAST(n AS TEXT)), 'http', '{}', 60, 10000, '[]', 0, 2, 1, TRUE, '[\"team-' || (n % 20) || '\",\"prod\"]',
            CASE WHEN NOT $5 THEN 'pending' WHEN n % 50 = 0 THEN 'down' WHEN n % 97 = 0 THEN 'pending' ELSE 'up' END,
            $4 + n % 60, CASE WHEN $5 THEN $4 - 60 + n % 60 END, $6, $6
        FROM numbers";
    on!(db.write(), db => {
        let add = sqlx::query(ADD).bind(endpoints.count).bind(endpoints.user).bind(endpoints.url);
        let add = add.bind(endpoints.first_check_at).bind(endpoints.settled).bind(endpoints.at);
        add.execute(db).await.map(drop)
    })?;
    analyze(db).await
}

/// As autovacuum would have done meanwhile.
pub async fn analyze(db: &Db) -> Result<()> {
    on!(db.write(), db => sqlx::query("ANALYZE").execute(db).await.map(drop))?;
    Ok(())
}

/// A result's id is its scheduled time, in seconds since then, and its series.
pub const FIRST_TIME: i64 = 1_735_689_600;
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// Of an overview of a day.
const BUCKET: i64 = 960;

/// A day of every endpoint: the last hour and a half as results, what is older as the sums that an
/// overview reads.
pub async fn add_history(db: &Db, user: i64, endpoints: i64, now: DateTime<Utc>) -> Result<()> {
    const SERIES: &str = "INSERT INTO report_series (user_id, endpoint_id, region) \
         SELECT user_id, id, 'local' FROM endpoints WHERE user_id = $1 ORDER BY id";
    const RESULTS: &str = "
        WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 89)
        INSERT INTO report_results (id, series_id, checked_after_ms, up, status_code, dns_ms, connect_ms, tls_ms,
            first_byte_ms, transfer_ms, total_ms, response_bytes)
        SELECT ($1 + n * 60 + s.id % 60 - 1735689600) * 8388608 + s.id, s.id, 300, s.id % 50 <> 0,
            CASE WHEN s.id % 50 = 0 THEN 500 ELSE 200 END, 4, 12, 25, 40 + (s.id + n * 7) % 90, 3,
            84 + (s.id + n * 7) % 90, 1234
        FROM numbers CROSS JOIN report_series s ORDER BY 1";
    const TIMES: &str = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 92)
        INSERT INTO report_buckets (series_id, start, checks, up, sum_ms)
        SELECT s.id, $1 - n * 960, 16, CASE WHEN s.id % 50 = 0 THEN 2 ELSE 16 END, 1900 + (s.id + n) % 70
        FROM numbers CROSS JOIN report_series s ORDER BY 1, 2";
    const STATE: &str = "INSERT INTO report_state (name, value) VALUES ('hours_until', $1), ('buckets_until', $2), \
         ('days_until', $3), ('raw_from', $3) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    const KNOWN: &str = "SELECT COUNT(*) FROM report_series WHERE user_id = $1";
    let now = now.timestamp();
    let first = now - 89 * 60 - 59;
    let hours_until = (now - 30 * 60) / HOUR * HOUR;
    let buckets_until = hours_until / BUCKET * BUCKET;
    for day in first / DAY..=now / DAY {
        add_partition(db, day * DAY).await?;
    }
    on!(db.write(), db => {
        sqlx::query(SERIES).bind(user).execute(db).await?;
        sqlx::query(RESULTS).bind(first).execute(db).await?;
        sqlx::query(TIMES).bind(buckets_until).execute(db).await?;
        let state = sqlx::query(STATE).bind(hours_until).bind(buckets_until).bind(now / DAY * DAY - DAY);
        state.execute(db).await?;
        let known: i64 = sqlx::query_scalar(KNOWN).bind(user).fetch_one(db).await?;
        ensure!(known == endpoints, "{known} series are there, not {endpoints}");
    });
    Ok(())
}

/// As `report-record` makes it when the first result of a day comes; SQLite has none.
pub async fn add_partition(db: &Db, scheduled_at: i64) -> Result<Option<String>> {
    let Db::Postgres(pool) = db else { return Ok(None) };
    let day = (scheduled_at - FIRST_TIME) / DAY;
    let name = format!("report_results_d{day}");
    let (from, to) = ((day * DAY) << 23, ((day + 1) * DAY) << 23);
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {name} PARTITION OF report_results FOR VALUES FROM ({from}) TO ({to})"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(pool).await?;
    Ok(Some(name))
}
