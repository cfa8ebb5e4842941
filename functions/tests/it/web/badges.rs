//! Badges, as a README shows them.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Shown, Site};

fn json(shown: &Shown) -> Value {
    serde_json::from_str(&shown.html).unwrap()
}

async fn with_a_badge() -> (Site, String) {
    let site = Site::with_an_owner().await;
    let id = site.unchecked("Shop").await;
    site.past(id, &[false, true, true, true]).await;
    let made = site.make("/status-service/v1/badges", json!({"endpoint_id": id})).await;
    site.forget_cookies();
    (site, made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_says_what_it_is_asked() {
    let (site, token) = with_a_badge().await;
    for (path, label, message, color) in [
        ("status", "status", "paused", "lightgrey"),
        ("uptime/24h", "uptime 24h", "100%", "brightgreen"),
        ("uptime/7d", "uptime 7d", "75.00%", "red"),
        ("uptime/90d", "uptime 90d", "75.00%", "red"),
        ("response_time/30d", "response time 30d", "120 ms", "green"),
    ] {
        let picture = site.get(&format!("/badges/{token}/{path}.svg")).await;
        assert_eq!(picture.status, 200, "{path}: {}", picture.html);
        assert_eq!(picture.headers["content-type"], "image/svg+xml; charset=utf-8");
        assert_eq!(picture.headers["cache-control"], "public, max-age=60");
        picture.says(&format!("<title>{label}: {message}</title>"));
        assert!(!picture.html.contains("Shop") && !picture.headers.contains_key("set-cookie"));
        let shields = site.get(&format!("/badges/{token}/{path}.json")).await;
        assert_eq!(shields.headers["content-type"], "application/json");
        assert_eq!(
            json(&shields),
            json!({"schemaVersion": 1, "label": label, "message": message, "color": color})
        );
    }
    let own = site.get(&format!("/badges/{token}/status.svg?label=%3Cshop%3E")).await;
    own.says("<title>&#60;shop&#62;: paused</title>");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let (site, token) = with_a_badge().await;
    let unknown = "x".repeat(43);
    for path in [
        format!("{unknown}/status"),
        format!("{unknown}/uptime/24h"),
        format!("{token}/uptime/1y"),
        format!("{token}/colour/24h"),
        format!("{token}/colour"),
    ] {
        let picture = site.get(&format!("/badges/{path}.svg")).await;
        assert_eq!(
            (picture.status, picture.headers["content-type"].as_bytes()),
            (StatusCode::NOT_FOUND, &b"image/svg+xml; charset=utf-8"[..])
        );
        picture.says("<title>badge: not found</title>");
        let shields = site.get(&format!("/badges/{path}.json")).await;
        assert_eq!(shields.status, 404);
        assert_eq!(
            json(&shields),
            json!({
                "schemaVersion": 1, "label": "badge", "message": "not found", "color": "lightgrey", "isError": true,
            })
        );
    }
}
