//! `GET /reports.csv`: results by date, for a spreadsheet.

use std::collections::HashMap;

use axum::{body::Body, extract::Query, response::Response};
use chrono::{DateTime, SecondsFormat, Utc};
use contract::Language;
use futures::stream;
use http::{HeaderValue, header};
use runtime::{List, input::is_invisible};

use super::{
    api::{Api, Refusal},
    figures::encoded,
    form::{self, Endpoints},
    reports::{Filter, MAX_ROWS, Report},
    visitor::User,
};
use crate::reports::moment;

const COLUMNS: [&str; 19] = [
    "checked_at",
    "endpoint_id",
    "endpoint_name",
    "url",
    "status",
    "status_code",
    "error_code",
    "error_message",
    "dns_ms",
    "connect_ms",
    "tls_ms",
    "first_byte_ms",
    "transfer_ms",
    "total_ms",
    "ip",
    "certificate_expires_at",
    "response_bytes",
    "region",
    "maintenance",
];

pub async fn download(User(visitor): User, Query(filter): Query<Filter>) -> Response {
    let filter = filter.complete(visitor.zone, visitor.now);
    let chosen: Vec<i64> = filter.id().into_iter().collect();
    // Fetches the first page before responding, so that an error is shown like on any page.
    let begun = async {
        let endpoints = Endpoints::of(&visitor.api, "", &chosen).await?;
        let mut export = Export::new(visitor.api.clone(), filter.in_zone(visitor.zone), &endpoints);
        let first = export.next().await?;
        Ok((endpoints, export, first))
    };
    match begun.await {
        Ok((endpoints, export, first)) => {
            let body = Body::from_stream(rows(export, first.unwrap_or_default(), visitor.language));
            let mut response = Response::new(body);
            let name = filter.id().map(|id| endpoints.name(id)).unwrap_or_default();
            let name = file_name(&name, &filter);
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
            );
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if let Ok(value) = HeaderValue::from_str(&name) {
                headers.insert(header::CONTENT_DISPOSITION, value);
            }
            response
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

/// `attachment` with an ASCII name, and a UTF-8 name for clients that support it (RFC 6266).
fn file_name(endpoint: &str, filter: &Filter) -> String {
    let to = if filter.from == filter.to { "" } else { &filter.to };
    let name = |is_kept: fn(char) -> bool| {
        let parts = ["pongpong", endpoint, &filter.status, &filter.from, to];
        let words = parts.iter().flat_map(|part| part.split(|c| !is_kept(c)));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-") + ".csv"
    };
    let (ascii, utf8) = (name(|c| c.is_ascii_alphanumeric()), name(char::is_alphanumeric));
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", encoded(&utf8))
}

/// The rows as they are fetched. An error aborts the response: a response that ends normally is complete.
fn rows(
    export: Export,
    first: Vec<Report>,
    language: Language,
) -> impl futures::Stream<Item = anyhow::Result<Vec<u8>>> {
    stream::try_unfold(Some((export, Some(first))), move |state| async move {
        let Some((mut export, first)) = state else { return Ok(None) };
        let mut csv = Vec::new();
        let page = match first {
            Some(first) => {
                if language == Language::Korean {
                    // Without this mark, Excel would read the file as CP949.
                    csv.extend_from_slice("\u{feff}".as_bytes());
                }
                write(&mut csv, [COLUMNS.map(str::to_owned)])?;
                Some(first)
            }
            None => export.next().await.map_err(|refusal| {
                anyhow::anyhow!("the API answered {} in the middle: {}", refusal.status, refusal.message)
            })?,
        };
        let Some(page) = page else { return Ok(None) };
        let last = page.is_empty();
        let mut lines = Vec::with_capacity(page.len());
        for report in &page {
            let named = export.named(report.endpoint_id).await;
            lines.push(line(report, &named));
        }
        write(&mut csv, lines)?;
        Ok(Some((csv, (!last).then_some((export, None)))))
    })
}

/// Fetches results page by page, from the newest to the oldest.
///
/// Not by page number: a high page number costs all rows before it, and new results would shift rows from
/// one page to the next.
struct Export {
    api: Api,
    filter: Filter,
    named: HashMap<i64, (String, String)>,
    /// Only results before this time.
    to: String,
    page: i64,
    last_id: i64,
    left: i64,
    is_over: bool,
}

const PER_PAGE: i64 = 100;

impl Export {
    fn new(api: Api, filter: Filter, endpoints: &Endpoints) -> Self {
        let named = endpoints.items().iter().map(|item| (item.id, (item.name.clone(), item.url.clone())));
        let to = filter.to.clone();
        let named = named.collect();
        Self { api, filter, named, to, page: 1, last_id: i64::MAX, left: MAX_ROWS, is_over: false }
    }

    async fn next(&mut self) -> Result<Option<Vec<Report>>, Refusal> {
        while !self.is_over && self.left > 0 {
            let filter = Filter { to: self.to.clone(), ..self.filter.clone() };
            let path = format!(
                "/report-service/v1/reports?{}&page={}&per_page={PER_PAGE}",
                filter.query(),
                self.page
            );
            let mut rows = self.api.get::<List<Report>>(&path).await?.items;
            self.is_over = (rows.len() as i64) < PER_PAGE;
            if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
                let (newest, oldest) = (moment::scheduled_at_of(first.id), moment::scheduled_at_of(last.id));
                if newest == oldest {
                    // One moment has more results than a page.
                    self.page += 1;
                } else {
                    // Results of this moment are fetched again, and skipped.
                    let to = DateTime::<Utc>::from_timestamp(oldest + 1, 0).unwrap_or_default();
                    (self.to, self.page) = (to.to_rfc3339_opts(SecondsFormat::Secs, true), 1);
                }
            }
            rows.retain(|row| row.id < self.last_id);
            rows.truncate(usize::try_from(self.left).unwrap_or_default());
            if let Some(last) = rows.last() {
                self.last_id = last.id;
                self.left -= rows.len() as i64;
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }

    /// The name and URL of an endpoint.
    async fn named(&mut self, id: i64) -> (String, String) {
        if let Some(named) = self.named.get(&id) {
            return named.clone();
        }
        let named = form::one(&self.api, id).await.map(|one| (one.name, one.url)).unwrap_or_default();
        self.named.insert(id, named.clone());
        named
    }
}

fn write<const N: usize>(
    csv: &mut Vec<u8>,
    rows: impl IntoIterator<Item = [String; N]>,
) -> anyhow::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(csv);
    for row in rows {
        writer.write_record(&row)?;
    }
    Ok(writer.flush()?)
}

fn line(report: &Report, (name, url): &(String, String)) -> [String; 19] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let timings = &report.timings_ms;
    [
        time(report.checked_at),
        report.endpoint_id.to_string(),
        defused(name),
        defused(url),
        report.status.as_str().to_owned(),
        text(report.status_code),
        report.error.as_ref().map(|error| error.code.as_str().to_owned()).unwrap_or_default(),
        report.error.as_ref().map(|error| defused(&error.message)).unwrap_or_default(),
        text(timings.dns),
        text(timings.connect),
        text(timings.tls),
        text(timings.first_byte),
        text(timings.transfer),
        timings.total.to_string(),
        text(report.ip.as_deref()),
        text(report.certificate_expires_at.map(time)),
        report.response_bytes.to_string(),
        defused(&report.region),
        report.maintenance.to_string(),
    ]
}

/// Escapes text so that a spreadsheet does not read it as a formula.
fn defused(text: &str) -> String {
    let seen = text.trim_start_matches(is_invisible);
    let is_formula = seen.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        || text.starts_with(['\t', '\r', '\n']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures::TryStreamExt;
    use runtime::outbound::Outbound;
    use serde_json::{Value, json};

    use super::*;
    use crate::reports::moment;

    /// A fake API with results of these scheduled times, newest first; fails after `answers` responses.
    fn api(times: Vec<(i64, i64)>, answers: usize) -> Api {
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let outbound = Outbound::new(Arc::new(move |_, request: http::Request<Bytes>| {
            let n = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let query: HashMap<String, String> =
                serde_html_form::from_str(request.uri().query().unwrap_or_default()).expect("a query");
            let to = query.get("to").and_then(|to| to.parse::<DateTime<Utc>>().ok());
            let fits = |scheduled_at: i64| to.is_none_or(|to| scheduled_at < to.timestamp());
            let skipped = (query["page"].parse::<usize>().expect("a page") - 1) * 100;
            let items: Vec<Value> = times
                .iter()
                .filter(|(scheduled_at, _)| fits(*scheduled_at))
                .skip(skipped)
                .take(100)
                .map(|(scheduled_at, series)| json!({
                    "id": moment::id_of(*scheduled_at, *series), "endpoint_id": 7, "region": "here", "status": "down",
                    "checked_at": moment::time_of(*scheduled_at), "timings_ms": {"total": 12}, "response_bytes": 0,
                    "error": {"code": "TIMEOUT", "message": "=1+1, \"late\""},
                }))
                .collect();
            let status = if n < answers { 200 } else { 500 };
            let page = json!({"current_page": 1, "total_count": 0, "per_page": 100});
            let body = json!({"items": items, "page": page}).to_string();
            Box::pin(async move { Ok(http::Response::builder().status(status).body(Bytes::from(body))?) })
        }));
        Api { outbound, key: None, language: Language::English, forwarded: None, is_https: false }
    }

    async fn exported(times: Vec<(i64, i64)>, answers: usize) -> anyhow::Result<String> {
        let filter = Filter { from: "2026-03-01".into(), to: "2026-03-02".into(), ..Filter::default() };
        let named = HashMap::from([(7, ("Shop, \"new\"".to_owned(), "https://example.com".to_owned()))]);
        let (api, to) = (api(times, answers), filter.to.clone());
        let mut export =
            Export { api, filter, named, to, page: 1, last_id: i64::MAX, left: MAX_ROWS, is_over: false };
        let first = export.next().await.map_err(|refusal| anyhow::anyhow!("{}", refusal.status))?;
        let parts: Vec<Vec<u8>> =
            rows(export, first.unwrap_or_default(), Language::English).try_collect().await?;
        Ok(String::from_utf8(parts.concat())?)
    }

    /// Many results at one moment, as with many endpoints, and then one at a time.
    fn times() -> Vec<(i64, i64)> {
        let at = |n: i64| moment::FIRST_TIME + 10_000 - n;
        let crowd = (1..=250).rev().map(|series| (at(0), series));
        crowd.chain((1..=333).flat_map(|n| [(at(n), 2), (at(n), 1)])).collect()
    }

    #[tokio::test]
    async fn every_row_is_there_once_and_in_order() {
        let csv = exported(times(), usize::MAX).await.expect("a file");
        assert!(csv.contains("\r\n") && csv.ends_with("\r\n"));
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(reader.headers().expect("a header"), COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
        assert_eq!(rows.len(), 250 + 666);
        let times: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
        assert!(times.is_sorted_by(|a, b| a >= b));
        assert_eq!(&rows[0][0], "2025-01-01T02:46:40.000Z");
        assert_eq!((&rows[0][2], &rows[0][7]), ("Shop, \"new\"", "'=1+1, \"late\""));
    }

    #[tokio::test]
    async fn nothing_gives_a_header() {
        assert_eq!(exported(Vec::new(), 1).await.expect("a file").lines().count(), 1);
    }

    #[tokio::test]
    async fn what_breaks_in_the_middle_does_not_end_well() {
        let error = exported(times(), 3).await.expect_err("breaks off");
        assert!(error.to_string().contains("500"), "{error}");
    }

    #[test]
    fn formulas_are_defused() {
        for text in ["=cmd()", "+1", "-1", "@x", " =1", "\t=1", "＝1"] {
            assert_eq!(defused(text), format!("'{text}"));
        }
        for invisible in ['\u{200B}', '\u{200C}', '\u{2060}', '\u{FEFF}', '\u{AD}', '\u{3164}', '\u{202E}'] {
            let text = format!(" {invisible}=1");
            assert_eq!(defused(&text), format!("'{text}"));
        }
        assert_eq!(defused("a=b - c"), "a=b - c");
    }

    #[test]
    fn a_file_has_a_name_that_says_what_is_in_it() {
        let filter = Filter {
            from: "2026-03-01".into(),
            to: "2026-03-02".into(),
            status: "down\"\r\nx".into(),
            ..Filter::default()
        };
        let name = file_name("상점 \"A\" / B", &filter);
        let (ascii, utf8) = name.split_once("; filename*=UTF-8''").expect("two names");
        assert_eq!(ascii, "attachment; filename=\"pongpong-A-B-down-x-2026-03-01-2026-03-02.csv\"");
        assert!(utf8.starts_with("pongpong%2D%EC%83%81%EC%A0%90%2DA%2DB%2D"), "{utf8}");
    }
}
