//! Scripts in every displayed field, in every part of an address, and in everything that a target sends must
//! stay text: on pages, status pages, feeds, badges, in CSV and in emails.

use std::time::Duration;

use http::header;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::forms;
use crate::{
    smtp::link_token,
    web::{Shown, Site},
};

const EVIL: &str = "'\"--></title></script></textarea><script>alert(1)</script><svg/onload=alert(2)>";
/// Sent by a target, and by a webhook's receiver.
const SAID: &str = "'\"--></title></script></textarea><script>alert(3)</script><svg/onload=alert(4)>";
/// A spreadsheet would evaluate this.
const FORMULA: &str = "=HYPERLINK(\"http://evil.test\")";
/// Must not be in a page: there it would be a tag, or would end an attribute.
const LIVE: [&str; 4] = ["<script>alert", "<svg/onload", "'\"-->", "</textarea><"];
/// All query parameters of pages and API.
const PARAMETERS: [&str; 27] = [
    "q",
    "tag",
    "status",
    "sort",
    "page",
    "per_page",
    "from",
    "to",
    "range",
    "next",
    "email",
    "token",
    "name",
    "url",
    "channel",
    "endpoint_id",
    "endpoint_ids",
    "find",
    "found",
    "label",
    "lang",
    "language",
    "theme",
    "open",
    "error",
    "scope",
    "x",
];

fn assert_text(where_from: &str, text: &str) {
    for live in LIVE {
        assert!(!text.contains(live), "{live} is live in {where_from}:\n{}", around(text, live));
    }
}

fn around<'a>(text: &'a str, what: &str) -> &'a str {
    let at = text.find(what).unwrap_or_default();
    let from = (0..=at.saturating_sub(200)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let to = (at + 200..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    &text[from..to]
}

/// Whether a browser displays it as a page, and so runs its scripts.
fn is_page(shown: &Shown) -> bool {
    let kind = shown.headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
    match kind.split(';').next().unwrap() {
        "text/html" | "application/rss+xml" | "application/xml" | "text/xml" | "image/svg+xml" => true,
        "application/json"
        | "application/feed+json"
        | "application/manifest+json"
        | "image/x-icon"
        | "text/csv"
        | "application/yaml"
        | "text/yaml"
        | "text/css"
        | "text/javascript"
        | "text/plain"
        | "" => false,
        other => panic!("is {other} a page to a browser?"),
    }
}

/// A target, and a webhook's receiver: sends the same text in the status line, in headers and in JSON, and
/// also what the path asks for.
async fn talker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = vec![0; 1 << 16];
                let read = stream.read(&mut asked).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
                let (status, header) = match asked.split('/').nth(1).unwrap_or_default() {
                    "moved" => (302, format!("Location: javascript:{SAID}\r\n")),
                    "packed" => (200, format!("Content-Encoding: {SAID}\r\n")),
                    "refused" => (400, String::new()),
                    _ => (200, String::new()),
                };
                let body = json!({"said": SAID, "error": SAID}).to_string();
                let head = format!("HTTP/1.1 {status} {SAID}\r\nX: {SAID}\r\n{header}Connection: close\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                // Unread data would reset the connection before the answer is read.
                while let Ok(1..) = stream.read(&mut [0; 4096]).await {}
            });
        }
    });
    url
}

struct Stage {
    site: Site,
    slug: String,
    badge: String,
}

/// Waits until all messages are sent. A sender tries again after a second; the clock advances for that here.
/// Slack itself is not reachable.
async fn settle(site: &Site) {
    let idle = site.engine.idle();
    tokio::pin!(idle);
    loop {
        tokio::select! {
            idle = &mut idle => return idle.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                site.engine.context().clock().advance(Duration::from_secs(1));
            }
        }
    }
}

impl Stage {
    /// Everything that has a name gets this name.
    async fn set(name: &str) -> Self {
        let site = Site::signed_up().await;
        let talker = talker().await;
        let mail = json!({"name": name, "kind": "email", "config": {"to": ["a@example.com"]}});
        site.make("/notification-service/v1/notifications", mail).await;
        let token = json!({"token": link_token(&site.mails()[0], "/mail/confirm?token=")});
        site.make("/notification-service/v1/addresses/confirm", token).await;
        let refused = format!("{talker}/refused/?{name}");
        for (channel, config) in [
            ("webhook", json!({"url": refused})),
            ("slack", json!({"webhook_url": refused})),
            ("slack", json!({"domain": "shop", "channel": name, "token": "xoxb-1234567890-abcd"})),
        ] {
            let hook = json!({"name": name, "kind": channel, "config": config});
            site.make("/notification-service/v1/notifications", hook).await;
        }
        let mut endpoint = Value::Null;
        for (path, assertion) in [
            ("json", json!({"fact": "json", "path": "$.said", "comparison": "equals", "value": name})),
            ("header", json!({"fact": "header", "name": "x", "comparison": "equals", "value": name})),
            (
                "text",
                json!({"fact": "body", "comparison": "contains", "value": format!("{name} is not there")}),
            ),
            ("packed", json!({"fact": "body", "comparison": "contains", "value": name})),
            ("moved", json!({"fact": "body", "comparison": "contains", "value": name})),
        ] {
            endpoint = site.make("/endpoint-service/v1/endpoints", json!({
                "name": name, "url": format!("{talker}/{path}/{name}?{name}#{name}"), "tags": ["shop"],
                "config": {"method": "POST", "body": name, "headers": {"X-Evil": name}}, "retries": 0, "failure_threshold": 1,
                "interval_seconds": 86_400,
                "assertions": [assertion],
            })).await["id"].clone();
        }
        settle(&site).await;
        let plan = json!({"title": name, "description": name, "ends_at": "2026-03-02T00:00:00Z", "endpoint_ids": [endpoint]});
        site.make("/endpoint-service/v1/maintenances", plan).await;
        let groups = json!([{"name": name, "endpoint_ids": [endpoint]}]);
        let page = json!({"title": name, "description": name, "groups": groups});
        let page = site.make("/status-service/v1/status_pages", page).await;
        let news = json!({"status_page_id": page["id"], "title": name, "text": name});
        site.make("/status-service/v1/announcements", news).await;
        let badge = site.make("/status-service/v1/badges", json!({"endpoint_id": endpoint})).await;
        site.make("/user-service/v1/keys", json!({"name": name})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { slug: text(&page["slug"]), badge: text(&badge["token"]), site }
    }

    /// The paths of all pages.
    fn paths(&self) -> Vec<String> {
        let of_routes = forms::routes("get").into_iter();
        let filled = |path: String| {
            path.replace("{announcement}", "1")
                .replace("{slug}", &self.slug)
                .replace("{token}", &self.badge)
                .replace("{name}", "x")
                .replace("{*path}", "nothing")
        };
        let mut paths = Vec::new();
        // There are four kinds of notifications, and as many assertions of endpoints.
        let ids = |path: String| -> Vec<_> {
            let last = if path.contains("{id}") { 5 } else { 1 };
            (1..=last).map(|id| path.replace("{id}", &id.to_string())).collect()
        };
        for path in of_routes.flat_map(ids).map(filled) {
            if !path.contains("{file}") {
                paths.push(path);
            } else {
                for what in ["uptime", "response", "latency"] {
                    for file in ["badge.svg", "status.svg", "24h.svg", "7d.svg", "status.json", "24h.json"] {
                        paths.push(path.replace("{what}", what).replace("{file}", file));
                    }
                }
            }
        }
        paths
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_shown_as_text() {
    let stage = Stage::set(EVIL).await;
    let (mut shown, mut badges, mut said) = (0, 0, Vec::new());
    for path in stage.paths() {
        let page = stage.site.get(&path).await;
        let sniffed = page.headers.get(header::X_CONTENT_TYPE_OPTIONS).map(|v| v.as_bytes());
        assert_eq!(sniffed, Some(&b"nosniff"[..]), "{path}");
        if is_page(&page) {
            let policy =
                page.headers.get(header::CONTENT_SECURITY_POLICY).map_or("", |v| v.to_str().unwrap());
            let unsafe_script =
                policy.split(';').any(|of| of.contains("script-src") && of.contains("unsafe"));
            assert!(policy.starts_with("default-src 'none'") && !unsafe_script, "{path}: {policy}");
            assert_text(&path, &page.html);
            badges += usize::from(path.contains(".svg") && page.status == 200);
        }
        shown += usize::from(page.status == 200 && page.html.contains("alert(1)"));
        if page.html.contains("alert(3)") {
            // Anonymous readers must not see what a target sends.
            assert!(!path.starts_with("/status/") && !path.starts_with("/badges/"), "{path}: {}", page.html);
            said.push(path);
        }
    }
    assert!(shown > 10 && badges > 0, "it was shown on {shown} pages, and {badges} badges were looked at");
    for path in ["/endpoints/1", "/reports", "/reports.csv"] {
        assert!(
            said.iter().any(|shown| shown == path),
            "what the target said is not on {path}, but on {said:?}"
        );
    }
    let all = stage.site.get("/reports").await.html;
    for why in
        ["Assertion 1 failed ($.said", "Assertion 1 failed (header x", "the body begins with", "redirects to"]
    {
        assert!(all.contains(why), "{why} is not in\n{all}");
    }
    stage.site.get("/notifications").await.says("The webhook answered 400 Bad Request.");
    for id in 1..=5 {
        let page = format!("/endpoints/{id}");
        let sent = stage.site.post(&page, &format!("{page}/check"), &[]).await;
        assert_eq!(sent.location(), format!("{page}#result"), "{}", sent.html);
        let checked = stage.site.get(&page).await;
        checked.says("alert(3)");
        assert_text(&page, &checked.html);
    }
    // Emails, which were written to files.
    let (mut mails, mut telling) = (0, 0);
    for mail in stage.site.mails() {
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.matches("Subject:").count(), 1, "{head}");
        assert_eq!(head.matches("To:").count(), 1, "{head}");
        let html = mail.split("text/html").nth(1).unwrap_or_default().replace("=\r\n", "");
        assert_text("a mail", &html);
        mails += 1;
        telling += usize::from(html.contains("alert(3)"));
    }
    assert!(telling >= 5, "{telling} of {mails} mails hold what a target said");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_address_says_is_shown_as_text() {
    let stage = Stage::set("shop").await;
    let evil = percent_encoding::utf8_percent_encode(EVIL, percent_encoding::NON_ALPHANUMERIC).to_string();
    let all: Vec<_> = PARAMETERS.iter().map(|name| format!("{name}={evil}")).collect();
    let mut queries = vec![all.join("&"), format!("{evil}={evil}")];
    // Pages that refuse parameters name only the first: each parameter is tried alone too.
    queries.extend(all);
    for path in stage.paths() {
        let few = if path.contains("badges/") { 2 } else { queries.len() };
        for query in &queries[..few] {
            let path = format!("{path}?{query}");
            let page = stage.site.get(&path).await;
            assert!(page.status.as_u16() < 500, "{path}: {}", page.status);
            if is_page(&page) {
                assert_text(&path, &page.html);
            }
            for value in page.headers.values() {
                assert!(!value.as_bytes().windows(7).any(|part| part == b"<script"), "{path}: {value:?}");
            }
        }
        let behind = format!("{path}/{evil}");
        let missing = stage.site.get(&behind).await;
        assert!(missing.status.as_u16() < 500, "{behind}");
        if is_page(&missing) {
            assert_text(&behind, &missing.html);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cell_of_a_spreadsheet_is_worked_out() {
    for formula in [FORMULA, "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "＝1+1"] {
        let site = Site::signed_up().await;
        let body = json!({"name": formula.trim(), "url": crate::listener::nobody().await, "retries": 0,
            "failure_threshold": 1, "interval_seconds": 86_400});
        site.make("/endpoint-service/v1/endpoints", body).await;
        site.engine.idle().await.unwrap();
        let file = site.get("/reports.csv?from=2026-03-01&to=2026-03-02").await.html;
        let mut reader = csv::Reader::from_reader(file.trim_start_matches('\u{feff}').as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert!(!rows.is_empty(), "{file}");
        for cell in rows.iter().flatten() {
            let first = cell.chars().next().unwrap_or(' ');
            assert!(!matches!(first, '=' | '+' | '-' | '@' | '\t' | '\r' | '＝'), "{cell}");
        }
    }
}
