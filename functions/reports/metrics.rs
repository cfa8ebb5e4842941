//! `GET /public/v1/metrics`: the newest result of each of the caller's endpoints, for Prometheus.
//! `GET /private/v1/metrics`: the same for the endpoints of all users, for the operator.
//!
//! Names and meanings are those of blackbox_exporter, so that its dashboards and alerts work; docs/metrics.md
//! describes each metric. A result that is older than three intervals is omitted: if it were repeated, it would look
//! like a new one.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http::header;
use runtime::{
    Caller, Context, Db, Error, Function, Result,
    db::{JsonText, On},
    sql,
    telemetry::TEXT_FORMAT,
};

use super::{
    SERVICE,
    moment::{self, DAY},
};
use crate::endpoints::private_list::{self, EndpointLabels};
use crate::words;

pub const FUNCTION: Function =
    Function::new("report-metrics", SERVICE, "exports the newest results to Prometheus")
        .http(runtime::http!(handle, handle_private))
        .per_minute(60);

/// Extra seconds for a late check, and for the restart of a process.
const GRACE: i64 = 600;

/// Shows the newest result of each of the caller's endpoints, for Prometheus.
#[utoipa::path(
    get, path = "/public/v1/metrics", tag = "reports", security(("apikey" = [])),
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain",
            example = "probe_success{id=\"7\",name=\"Shop\",region=\"default\",tags=\"shop\",user=\"1\"} 1\n"),
        (status = 401, description = "Not logged in", body = runtime::error::ErrorBody),
        (status = 429, description = "Too many calls, or TOO_MANY_AT_ONCE", body = runtime::error::ErrorBody),
    )
)]
async fn handle(State(context): State<Context>, caller: Caller) -> Result<Response> {
    exposition(&context, Some(caller.user_id)).await
}

#[utoipa::path(
    get, path = "/private/v1/metrics", tag = "reports",
    responses((status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"))
)]
async fn handle_private(State(context): State<Context>) -> Result<Response> {
    exposition(&context, None).await
}

async fn exposition(context: &Context, user_id: Option<i64>) -> Result<Response> {
    let place =
        user_id.map(|user_id| context.shared(|_| Ok(UnderWay::default()))?.place(user_id)).transpose()?;
    let mut exposition = Exposition::new(context.clone(), user_id, place);
    // Before the response begins, a failed call is still reported as an error. Later, it interrupts the response.
    let first = exposition.next().await?;
    let rest = stream::try_unfold(exposition, async |mut exposition| {
        Ok::<_, Error>(exposition.next().await?.map(|part| (part, exposition)))
    });
    let body = Body::from_stream(stream::iter(first.map(Ok)).chain(rest));
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], body).into_response())
}

/// Maximum number of concurrent responses to one user: each keeps its probes in memory until its client has read it.
const MAX_PER_USER: usize = 4;

/// The users with concurrent responses: each response holds a place.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<i64, Weak<()>>>);

type Place = Arc<()>;

impl UnderWay {
    fn place(&self, user_id: i64) -> Result<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| place.strong_count() > 0);
        let place = places.get(&user_id).and_then(Weak::upgrade).unwrap_or_default();
        // The count includes this response.
        if Arc::strong_count(&place) > MAX_PER_USER {
            return Err(too_many_at_once());
        }
        places.insert(user_id, Arc::downgrade(&place));
        Ok(place)
    }
}

fn too_many_at_once() -> Error {
    let message = words::TOO_MANY_METRICS_AT_ONCE;
    Error::too_many_requests("TOO_MANY_AT_ONCE", message, Duration::from_secs(1))
}

/// The newest result of an endpoint in one region.
struct Probe {
    /// Labels in the text format.
    labels: String,
    newest: Newest,
}

/// Number of probes that are written at once.
const PART_LEN: usize = 500;

/// The text to write, and the position in it. All lines of a metric family must be contiguous: the first family is
/// written page by page while the probes are loaded, the others from memory.
struct Exposition {
    context: Context,
    user_id: Option<i64>,
    /// The last endpoint that was loaded; `None`: all are loaded.
    after: Option<i64>,
    probes: Vec<Probe>,
    /// The current family, how many of its probes are written, and whether any of them had a value.
    family: usize,
    written: usize,
    is_begun: bool,
    _place: Option<Place>,
}

impl Exposition {
    fn new(context: Context, user_id: Option<i64>, place: Option<Place>) -> Self {
        let (family, written, is_begun) = (0, 0, false);
        let (after, probes) = (Some(0), Vec::new());
        Self { context, user_id, after, probes, family, written, is_begun, _place: place }
    }

    /// Returns the next part of the text; `None` after the last part.
    async fn next(&mut self) -> Result<Option<String>> {
        while let Some(family) = FAMILIES.get(self.family) {
            if self.written < self.probes.len() {
                let part = &self.probes[self.written..(self.written + PART_LEN).min(self.probes.len())];
                self.written += part.len();
                let text = family.text(part, self.is_begun);
                if !text.is_empty() {
                    self.is_begun = true;
                    return Ok(Some(text));
                }
            } else if let Some(after) = self.after {
                self.after = self.load(after).await?;
            } else {
                (self.family, self.written, self.is_begun) = (self.family + 1, 0, false);
            }
        }
        Ok(None)
    }

    /// Loads a page of probes. Returns its last endpoint, if there was any.
    async fn load(&mut self, after: i64) -> Result<Option<i64>> {
        let (db, now) = (self.context.db()?, self.context.clock().now().timestamp());
        let page = private_list::labels(&self.context, self.user_id, after).await?;
        let last = page.last().map(|endpoint| endpoint.id);
        let endpoints: HashMap<i64, EndpointLabels> = page.into_iter().map(|e| (e.id, e)).collect();
        let newest = newest_of(db, endpoints.keys().copied().collect(), now - 3 * DAY - GRACE).await?;
        self.probes.extend(newest.into_iter().filter_map(|newest| {
            let endpoint = endpoints.get(&newest.endpoint_id)?;
            let oldest = now - 3 * i64::from(endpoint.interval_seconds) - GRACE;
            let is_told = moment::scheduled_at_of(newest.id) >= oldest && newest.user_id == endpoint.user_id;
            is_told.then(|| Probe { labels: labels(endpoint, &newest.region), newest })
        }));
        Ok(last)
    }
}

fn labels(endpoint: &EndpointLabels, region: &str) -> String {
    let mut tags: Vec<_> = endpoint.tags.0.iter().map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    let escaped = |text: &str| text.replace('\\', r"\\").replace('\n', r"\n").replace('"', r#"\""#);
    let (name, region, tags) = (escaped(&endpoint.name), escaped(region), escaped(&tags.join(",")));
    let EndpointLabels { id, user_id, .. } = endpoint;
    format!(r#"id="{id}",name="{name}",region="{region}",tags="{tags}",user="{user_id}""#)
}

#[derive(sqlx::FromRow)]
struct Newest {
    endpoint_id: i64,
    user_id: i64,
    region: String,
    id: i64,
    up: bool,
    status_code: Option<i32>,
    dns_ms: Option<i32>,
    connect_ms: Option<i32>,
    tls_ms: Option<i32>,
    first_byte_ms: Option<i32>,
    transfer_ms: Option<i32>,
    total_ms: i32,
    ip: Option<Vec<u8>>,
    certificate_expires: Option<i64>,
}

async fn newest_of(db: &Db, endpoints: Vec<i64>, from: i64) -> Result<Vec<Newest>> {
    macro_rules! select {
        ($from:literal) => {
            concat!(
                "SELECT s.endpoint_id, s.user_id, s.region, r.id, r.up, r.status_code, r.dns_ms, r.connect_ms, \
                 r.tls_ms, r.first_byte_ms, r.transfer_ms, r.total_ms, r.ip, r.certificate_expires FROM ",
                $from
            )
        };
    }
    sql!(
        IN_SQLITE = select!(
            "report_series s CROSS JOIN report_results r
        WHERE s.endpoint_id IN (SELECT value FROM json_each($1)) AND NOT s.forgotten AND r.id =
            (SELECT id FROM report_results WHERE series_id = s.id AND id >= $2 ORDER BY id DESC LIMIT 1)
        ORDER BY s.endpoint_id, s.region"
        )
    );
    // Searches partition by partition, from the newest.
    sql!(
        IN_POSTGRES = select!(
            "report_series s CROSS JOIN LATERAL (SELECT * FROM report_results
            WHERE series_id = s.id AND id >= $2 ORDER BY id DESC LIMIT 1) AS r
        WHERE s.endpoint_id = ANY($1) AND NOT s.forgotten ORDER BY s.endpoint_id, s.region"
        )
    );
    let first = moment::first_id(from);
    Ok(match db.read() {
        On::Sqlite(db) => {
            sqlx::query_as(IN_SQLITE).bind(JsonText(endpoints)).bind(first).fetch_all(db).await?
        }
        On::Postgres(db) => sqlx::query_as(IN_POSTGRES).bind(endpoints).bind(first).fetch_all(db).await?,
    })
}

/// The label `phase`, if there is one, and the value; `None`: omitted.
type Series = (Option<&'static str>, fn(&Newest) -> Option<f64>);

struct Family {
    name: &'static str,
    help: &'static str,
    series: &'static [Series],
}

static FAMILIES: [Family; 8] = [
    Family {
        name: "probe_success",
        help: "Whether the check succeeded",
        series: &[(None, |newest| Some(f64::from(newest.up)))],
    },
    Family {
        name: "probe_duration_seconds",
        help: "How long the check took",
        series: &[(None, |newest| spent(Some(newest.total_ms)))],
    },
    Family {
        name: "probe_dns_lookup_time_seconds",
        help: "How long it took to resolve names",
        series: &[(None, |newest| spent(newest.dns_ms))],
    },
    Family {
        name: "probe_http_duration_seconds",
        help: "How long each phase took, summed over redirects",
        series: &[
            (Some("resolve"), |newest| spent(newest.dns_ms)),
            (Some("connect"), |newest| spent(newest.connect_ms)),
            (Some("tls"), |newest| spent(newest.tls_ms)),
            (Some("processing"), |newest| spent(newest.first_byte_ms)),
            (Some("transfer"), |newest| spent(newest.transfer_ms)),
        ],
    },
    Family {
        name: "probe_http_status_code",
        help: "Status of the response, 0 if there was none",
        series: &[(None, |newest| Some(newest.status_code.unwrap_or(0).into()))],
    },
    Family {
        name: "probe_http_ssl",
        help: "Whether the response came by TLS",
        series: &[(None, |newest| Some((newest.tls_ms.is_some() && newest.status_code.is_some()).into()))],
    },
    Family {
        name: "probe_ssl_earliest_cert_expiry",
        help: "When the first certificate of the server's chain expires, in Unix time",
        series: &[(None, |newest| newest.certificate_expires.map(|at| at as f64))],
    },
    Family {
        name: "probe_ip_protocol",
        help: "4 or 6: which kind of address answered; 0 if none did",
        series: &[(None, |newest| {
            Some(newest.ip.as_ref().map_or(0.0, |ip| if ip.len() == 4 { 4.0 } else { 6.0 }))
        })],
    },
];

/// A phase that was not reached took zero seconds.
fn spent(ms: Option<i32>) -> Option<f64> {
    Some(f64::from(ms.unwrap_or_default()) / 1000.0)
}

impl Family {
    /// The text for a part of all probes. Probes without a value are omitted.
    fn text(&self, probes: &[Probe], is_begun: bool) -> String {
        let Self { name, help, series } = self;
        let mut text = String::new();
        for Probe { labels, newest } in probes {
            for (phase, value) in *series {
                let Some(value) = value(newest) else { continue };
                if text.is_empty() && !is_begun {
                    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
                }
                let _ = match phase {
                    Some(phase) => writeln!(text, r#"{name}{{{labels},phase="{phase}"}} {value}"#),
                    None => writeln!(text, "{name}{{{labels}}} {value}"),
                };
            }
        }
        text
    }
}
