//! Calls every public function without a key, with forged identity headers, with a revoked and an expired
//! key; uses every id of another user; calls every private function, and sends events, from outside.

use std::collections::{BTreeMap, BTreeSet};

use contract::kind;
use runtime::function::Operation;
use serde_json::{Value, json};

use super::{House, Person, on_both};

/// The public operations and their paths at the gateway.
fn public() -> impl Iterator<Item = (Operation, String)> {
    let of = |f: &'static runtime::Function| f.operations().into_iter().map(move |o| (f.service, o));
    let public = functions::ALL.iter().flat_map(of).filter(|(_, o)| o.path.starts_with("/public/"));
    public.map(|(service, o)| {
        let path = format!("/{service}{}", o.path.trim_start_matches("/public"));
        (o, path)
    })
}

fn keyed() -> Vec<(&'static str, String)> {
    public().filter(|(o, _)| o.needs_key).map(|(o, path)| (o.method, path)).collect()
}

/// One object of each kind that a user can have, by the word before its id in a path.
struct Belongings(BTreeMap<&'static str, String>);

impl Belongings {
    async fn of(house: &House, who: &Person) -> Self {
        let make = async |path: &str, body: Value| house.make(who, path, body).await["id"].clone();
        let nobody = crate::listener::nobody().await;
        // So that an outage causes a message.
        let notification = json!({"name": "mail", "kind": "email", "config": {"to": ["a@example.com"]}});
        let notification = make("/notification-service/v1/notifications", notification).await;
        let endpoint = json!({"name": "shop", "url": nobody, "retries": 0, "failure_threshold": 1, "interval_seconds": 86_400});
        let endpoint = make("/endpoint-service/v1/endpoints", endpoint).await;
        house.engine.idle().await.unwrap();
        let plan =
            json!({"title": "later", "starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-04-01T01:00:00Z"});
        let maintenance = make("/endpoint-service/v1/maintenances", plan).await;
        let group = json!([{"name": "all", "endpoint_ids": [endpoint]}]);
        let page = make("/status-service/v1/status_pages", json!({"title": "page", "groups": group})).await;
        let announcement = json!({"status_page_id": page, "title": "slow"});
        let announcement = make("/status-service/v1/announcements", announcement).await;
        let badge = make("/status-service/v1/badges", json!({"endpoint_id": endpoint})).await;
        let key = make("/user-service/v1/keys", json!({"name": "laptop"})).await;
        let first = async |path: &str| {
            house.call(who, "GET", path, Value::Null).await.json(200)["items"][0]["id"].clone()
        };
        let all = [
            ("announcements", announcement),
            ("badges", badge),
            ("deliveries", first("/notification-service/v1/deliveries").await),
            ("endpoints", endpoint.clone()),
            ("keys", key),
            ("maintenances", maintenance),
            ("notifications", notification),
            ("reports", first("/report-service/v1/reports").await),
            ("status_pages", page),
            ("summaries", endpoint),
            ("users", json!(who.id)),
        ];
        Self(
            all.map(|(name, id)| {
                (name, id.as_i64().map_or_else(|| id.as_str().unwrap().to_owned(), |id| id.to_string()))
            })
            .into(),
        )
    }

    fn id(&self, of: &str) -> &str {
        self.0.get(of).unwrap_or_else(|| panic!("nothing is made that {of} names: add it"))
    }

    fn number(&self, of: &str) -> i64 {
        self.id(of).parse().unwrap()
    }

    /// A path with these ids inserted.
    fn path(&self, pattern: &str) -> String {
        let mut parts: Vec<&str> = pattern.split('/').collect();
        for n in 1..parts.len() {
            if parts[n].starts_with('{') {
                parts[n] = self.id(parts[n - 1]);
            }
        }
        parts.join("/")
    }

    /// Everything that their owner sees of them.
    async fn seen(&self, house: &House, who: &Person) -> BTreeMap<String, Value> {
        let mut seen = BTreeMap::new();
        for (_, pattern) in keyed().iter().filter(|(method, _)| *method == "GET") {
            let mut path = self.path(pattern);
            if path.ends_with("/overviews") {
                path = format!("{path}?range=24h&endpoint_ids={}", self.id("endpoints"));
            }
            seen.insert(pattern.clone(), house.call(who, "GET", &path, Value::Null).await.json(200));
        }
        seen
    }
}

/// Identity headers that a client may forge.
fn spoofed(id: i64) -> Vec<(&'static str, String)> {
    let mut headers: Vec<_> = [
        "x-consumer-id",
        "x-consumer-custom-id",
        "x-consumer-username",
        "x-credential-identifier",
        "x_consumer_custom_id",
        "x-authenticated-userid",
        "x-user-id",
    ]
    .map(|name| (name, id.to_string()))
    .into();
    headers.push(("x-gateway-token", "guessed".into()));
    headers.push(("x-anonymous-consumer", "true".into()));
    headers.push(("x-forwarded-for", "127.0.0.1".into()));
    headers.push(("forwarded", "for=127.0.0.1".into()));
    headers.push(("x-original-url", "/private/v1/users".into()));
    headers.push(("x-rewrite-url", "/private/v1/users".into()));
    headers.push(("x-http-method-override", "DELETE".into()));
    headers
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

on_both! {
    async fn nobody_comes_in_without_a_good_key(house: House) {
        let me = house.sign_up("me@example.com").await;
        let mine = Belongings::of(&house, &me).await;
        let key = async |body: Value| house.make(&me, "/user-service/v1/keys", body).await;
        let revoked = key(json!({"name": "revoked"})).await;
        let path = format!("/user-service/v1/keys/{}", revoked["id"]);
        assert_eq!(house.call(&me, "DELETE", &path, Value::Null).await.status, 204);
        let expired = key(json!({"name": "expired", "ttl_seconds": 60})).await;
        let gone = house.sign_up("gone@example.com").await;
        let current = json!({"current_password": "a good password"});
        let deleted = house.call(&gone, "DELETE", "/user-service/v1/user", current).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text);
        house.next_minute();
        let before = mine.seen(&house, &me).await;
        let text = |key: &Value| key["key"].as_str().unwrap().to_owned();
        let cookie = format!("pongpong_key={}", me.key);
        let bearer = format!("Bearer {}", me.key);
        let mut ways: Vec<(&str, Vec<(&str, String)>)> = vec![
            ("without a key", vec![]),
            ("with headers of one's own", spoofed(me.id)),
            ("with an empty key", vec![("apikey", String::new())]),
            ("with a revoked key", vec![("apikey", text(&revoked))]),
            ("with an expired key", vec![("apikey", text(&expired))]),
            ("with a deleted user's key", vec![("apikey", gone.key.clone())]),
            ("with a part of a key", vec![("apikey", me.key[..me.key.len() - 1].to_owned())]),
            ("with a key in capitals", vec![("apikey", me.key.to_uppercase())]),
            ("with two keys", vec![("apikey", me.key.clone()), ("apikey", me.key.clone())]),
            ("with a key elsewhere", vec![("cookie", cookie), ("authorization", bearer), ("x-api-key", me.key.clone())]),
        ];
        ways[3].1.extend(spoofed(me.id));
        ways[4].1.extend(spoofed(me.id));
        let operations = keyed();
        assert!(operations.len() > 30);
        for (method, pattern) in &operations {
            let path = mine.path(pattern);
            for (how, headers) in &ways {
                let body = (*method != "GET").then(|| json!({}));
                let answer = house.ask(method, &path, &borrowed(headers), body.as_ref()).await;
                assert_eq!(answer.status, 401, "{method} {path} {how}: {}", answer.text);
                assert!(!answer.text.contains("shop") && !answer.text.contains("example.com"), "{path}: {}", answer.text);
            }
            let query = house.ask(method, &format!("{path}?apikey={}", me.key), &[], None).await;
            assert_eq!(query.status, 401, "{method} {path} with a key in the query");
        }
        assert_eq!(mine.seen(&house, &me).await, before);
    }

    async fn what_needs_no_key_is_the_same_whoever_one_claims_to_be(house: House) {
        let me = house.sign_up("me@example.com").await;
        let all: Vec<_> = public().filter(|(o, _)| !o.needs_key).collect();
        assert!(all.len() >= 7);
        for (operation, path) in all {
            let path = path.replace("{slug}", "none").replace("{token}", "none");
            let body = (operation.method != "GET").then(|| json!({}));
            let plain = house.ask(operation.method, &path, &[], body.as_ref()).await;
            let claims = house.ask(operation.method, &path, &borrowed(&spoofed(me.id)), body.as_ref()).await;
            assert!(matches!(plain.status.as_u16(), 400 | 404), "{path}: {}", plain.status);
            assert_eq!((plain.status, plain.text), (claims.status, claims.text), "{path}");
        }
    }

    async fn another_users_ids_are_nobodys(house: House) {
        let me = house.sign_up("me@example.com").await;
        let mine = Belongings::of(&house, &me).await;
        let stranger = house.sign_up("stranger@example.com").await;
        let theirs = Belongings::of(&house, &stranger).await;
        let (before, theirs_before) = (mine.seen(&house, &me).await, theirs.seen(&house, &stranger).await);
        let claims: Vec<_> = spoofed(me.id).into_iter().chain([("apikey", stranger.key.clone())]).collect();
        let claims = borrowed(&claims);

        // In paths.
        let with_id: Vec<_> = keyed().into_iter().filter(|(_, path)| path.contains('{')).collect();
        assert!(with_id.len() > 20);
        for (method, pattern) in &with_id {
            let path = mine.path(pattern);
            // A body that would be valid for one's own object.
            let body = match pattern.split('/').nth(3) {
                _ if *method != "PATCH" => json!({}),
                Some("endpoints" | "notifications") => json!({"name": "taken"}),
                Some("maintenances") => json!({"title": "taken", "ends_at": "2026-04-02T00:00:00Z"}),
                Some("announcements") => json!({"title": "taken", "status_page_id": theirs.number("status_pages")}),
                _ => json!({"title": "taken"}),
            };
            let answer = house.ask(method, &path, &claims, (*method != "GET").then_some(&body)).await;
            let expected = if pattern.ends_with("/users/{id}") { 403 } else { 404 };
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
            for odd in ["0", "-1", "9223372036854775807", "9223372036854775808", "1e3", "%00", "1%2f2", "x'--"] {
                let path = path.replace(mine.id(path.split('/').nth(3).unwrap()), odd);
                let answer = house.ask(method, &path, &claims, (*method != "GET").then_some(&body)).await;
                assert!(matches!(answer.status.as_u16(), 400 | 403 | 404), "{method} {path}: {}", answer.text);
            }
        }
        let who = house.ask("GET", "/user-service/v1/user", &claims, None).await.json(200);
        assert_eq!(who["id"], stranger.id, "the key says who it is, not a header");

        // In queries: nothing is found.
        let (endpoint, page, channel) = (mine.id("endpoints"), mine.id("status_pages"), mine.id("notifications"));
        let mut tried = BTreeSet::new();
        for (path, name, id) in [
            ("/report-service/v1/reports", "endpoint_id", endpoint),
            ("/report-service/v1/incidents", "endpoint_id", endpoint),
            ("/report-service/v1/overviews", "endpoint_ids", endpoint),
            ("/notification-service/v1/deliveries", "endpoint_id", endpoint),
            ("/notification-service/v1/deliveries", "notification_id", channel),
            ("/status-service/v1/badges", "endpoint_id", endpoint),
            ("/status-service/v1/announcements", "status_page_id", page),
        ] {
            tried.insert(format!("GET {path} {name}"));
            let range = if name == "endpoint_ids" { "&range=24h" } else { "" };
            let answer = house.ask("GET", &format!("{path}?{name}={id}{range}"), &claims, None).await.json(200);
            assert_eq!(answer["items"], json!([]), "{path} {answer}");
        }

        // In bodies, also for one's own objects.
        let id = mine.number("endpoints");
        let own = |kind: &str| theirs.id(kind).to_owned();
        let mail = json!({"name": "x", "kind": "email", "config": {"to": ["x@example.com"]}, "endpoint_ids": [id]});
        let plan = json!({"title": "x", "ends_at": "2026-03-02T00:00:00Z", "endpoint_ids": [id]});
        let groups = json!({"title": "x", "groups": [{"name": "x", "endpoint_ids": [id]}]});
        let news = json!({"title": "x", "status_page_id": mine.number("status_pages")});
        for (method, pattern, own, field, body) in [
            ("POST", "/endpoint-check/v1/checks", "", "endpoint_id", json!({"endpoint_id": id})),
            ("POST", "/status-service/v1/badges", "", "endpoint_id", json!({"endpoint_id": id})),
            ("POST", "/notification-service/v1/notifications", "", "endpoint_ids", mail),
            ("PATCH", "/notification-service/v1/notifications/{id}", &own("notifications"), "endpoint_ids", json!({"endpoint_ids": [id]})),
            ("POST", "/endpoint-service/v1/maintenances", "", "endpoint_ids", plan.clone()),
            ("PATCH", "/endpoint-service/v1/maintenances/{id}", &own("maintenances"), "endpoint_ids", plan),
            ("POST", "/status-service/v1/status_pages", "", "endpoint_ids", groups.clone()),
            ("PATCH", "/status-service/v1/status_pages/{id}", &own("status_pages"), "endpoint_ids", groups),
            ("POST", "/status-service/v1/announcements", "", "status_page_id", news.clone()),
            ("PATCH", "/status-service/v1/announcements/{id}", &own("announcements"), "status_page_id", news),
        ] {
            tried.insert(format!("{method} {pattern} {field}"));
            let path = pattern.replace("{id}", own);
            let answer = house.ask(method, &path, &claims, Some(&body)).await;
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{method} {path} {body}: {} {}", answer.status, answer.text);
            assert!(!answer.text.contains("shop"), "{}", answer.text);
        }
        assert_eq!(tried, ids_elsewhere(), "an operation takes an id that this test does not try");

        assert_eq!(mine.seen(&house, &me).await, before);
        assert_eq!(theirs.seen(&house, &stranger).await, theirs_before);
    }

    async fn nothing_private_is_reached_from_outside(house: House) {
        let me = house.sign_up("me@example.com").await;
        let claims: Vec<_> = spoofed(me.id).into_iter().chain([("apikey", me.key.clone())]).collect();
        let admin = reqwest::Client::new();
        let mut tried = 0;
        for function in functions::ALL {
            for operation in function.operations() {
                let path = operation.path.replace("{id}", &me.id.to_string());
                let rest = path.trim_start_matches('/');
                let body = (operation.method != "GET").then(|| json!({}));
                if operation.path.starts_with("/private/") {
                    let url = format!("http://{}{path}", house.engine.admin_address);
                    for token in ["", "guessed"] {
                        let ask = admin.request(operation.method.parse().unwrap(), &url).header("kong-admin-token", token);
                        let answer = ask.header("host", "127.0.0.1").json(&json!({})).send().await.unwrap();
                        assert_eq!(answer.status(), 401, "{path} at the admin port");
                    }
                }
                if !operation.path.starts_with("/private/") && !operation.path.starts_with("/public/") {
                    continue;
                }
                let service = function.service;
                for spelling in [
                    path.clone(),
                    format!("//{rest}"),
                    format!("/.//{rest}"),
                    format!("/{service}/{rest}"),
                    format!("/{service}/v1/{rest}"),
                    format!("/{service}/v1/../../{rest}"),
                    format!("/user-service/v1/%2e%2e/%2e%2e/{rest}"),
                    format!("/user-service/v1/users/..%2f..%2f..%2f{}", rest.replace('/', "%2f")),
                    format!("/user-service/v1/users/..%5c..%5c..%5c{}", rest.replace('/', "%5c")),
                    format!("/user-service/v1/users/%252e%252e%252f%252e%252e%252f{rest}"),
                    format!("/status-service/v1/status/..%2f..%2f..%2f{}", rest.replace('/', "%2f")),
                    path.replace('/', "%2f").replacen("%2f", "/", 1),
                    path.to_uppercase(),
                    format!("{path}/"),
                    format!("{path};.js"),
                ] {
                    let answer = house.ask(operation.method, &spelling, &borrowed(&claims), body.as_ref()).await;
                    assert!(
                        matches!(answer.status.as_u16(), 400 | 403 | 404 | 405),
                        "{} {spelling}: {} {}", operation.method, answer.status, answer.text
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 500);
    }

    async fn public_function_takes_no_event_by_any_url(house: House) {
        let me = house.sign_up("me@example.com").await;
        let mine = Belongings::of(&house, &me).await;
        let before = mine.seen(&house, &me).await;
        let mut kinds: Vec<_> =
            functions::ALL.iter().flat_map(|f| f.subscriptions).map(|subscription| subscription.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert!(kinds.len() > 5, "{kinds:?}");
        let body = json!({"user_id": me.id, "endpoint_id": mine.number("endpoints")});
        let is_public = |f: &&runtime::Function| {
            f.name == "web" || f.operations().iter().any(|o| o.path.starts_with("/public/"))
        };
        // Directly at the function's own URL, without a gateway in front.
        for function in functions::ALL.iter().filter(is_public) {
            let paths = function.operations().into_iter().map(|o| {
                mine.path(&o.path.replace("{slug}", "none").replace("{token}", "none"))
            });
            for path in paths.chain(["/".to_owned(), "/events".to_owned(), format!("/{}", function.name)]) {
                for kind in &kinds {
                    let structured =
                        json!({"specversion": "1.0", "id": "1", "source": "/x", "type": kind, "data": body});
                    for (content, body) in
                        [("application/json", &body), ("application/cloudevents+json", &structured)]
                    {
                        let request = http::Request::post(&path)
                            .header("content-type", content)
                            .header("ce-specversion", "1.0")
                            .header("ce-id", "1")
                            .header("ce-source", "/x")
                            .header("ce-type", *kind)
                            .body(axum::body::Body::from(body.to_string()))
                            .unwrap();
                        let router = runtime::serve::router(function, house.engine.context());
                        let status = tower::ServiceExt::oneshot(router, request).await.unwrap().status();
                        assert!(status.is_client_error(), "{} {path} {kind}: {status}", function.name);
                    }
                }
            }
        }
        assert_eq!(mine.seen(&house, &me).await, before);
    }

    async fn no_function_takes_a_check_for_an_event_or_a_private_call(house: House) {
        let event = json!({"specversion": "1.0", "id": "1", "source": "/x", "type": kind::USER_DELETED, "data": {"user_id": 1}});
        let mut tried = 0;
        for function in functions::ALL {
            let private = function.operations().into_iter().filter(|o| o.path.starts_with("/private/"));
            let paths: Vec<_> = private.map(|o| (o.method, o.path.replace("{id}", "1"))).collect();
            for (method, path) in paths.into_iter().chain(function.trigger.map(|_| ("POST", "/".to_owned()))) {
                let request = http::Request::builder()
                    .method(method)
                    .uri(&path)
                    .header("content-type", "application/cloudevents+json")
                    .header(net::OUTBOUND, "check")
                    .body(axum::body::Body::from(event.to_string()))
                    .unwrap();
                let router = runtime::serve::router(function, house.engine.context());
                let status = tower::ServiceExt::oneshot(router, request).await.unwrap().status();
                assert_eq!(status, 403, "{} {path}", function.name);
                tried += 1;
            }
        }
        assert!(tried > 40, "{tried}");
    }

    async fn nobody_outside_sends_events(house: House) {
        let me = house.sign_up("me@example.com").await;
        let mine = Belongings::of(&house, &me).await;
        let before = mine.seen(&house, &me).await;
        let body = json!({"user_id": me.id, "endpoint_ids": [mine.number("endpoints")]});
        let structured = json!({
            "specversion": "1.0", "id": "1", "source": "/pongpong/user-delete", "type": kind::USER_DELETED, "data": body,
        });
        let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x"), ("ce-type", kind::USER_DELETED)];
        for function in functions::ALL.iter().filter(|f| f.trigger.is_some()) {
            let host = format!("{}.pongpong.svc.cluster.local", function.name);
            let (service, name) = (function.service, function.name);
            for path in [
                "/".to_owned(),
                format!("/{name}"),
                format!("/{service}"),
                format!("/{service}/"),
                format!("/{service}/v1/"),
                format!("/{service}/v1/.."),
                "/pongpong/default".to_owned(),
                "/default".to_owned(),
            ] {
                for (kind, body) in [("application/json", &body), ("application/cloudevents+json", &structured)] {
                    let mut headers = vec![("host", host.as_str()), ("apikey", &me.key), ("content-type", kind)];
                    headers.extend(binary);
                    let url = format!("http://{}{path}", house.engine.address);
                    let mut request = house.client.post(url).body(body.to_string());
                    for (name, value) in headers {
                        request = request.header(name, value);
                    }
                    let status = request.send().await.unwrap().status().as_u16();
                    assert!(matches!(status, 400 | 403 | 404 | 405), "{path} for {name}: {status}");
                }
            }
        }
        assert!(house.engine.broker().queued().await.unwrap().iter().all(|(_, waiting)| *waiting == 0));
        house.engine.idle().await.unwrap();
        assert_eq!(mine.seen(&house, &me).await, before);
    }
}

/// Every operation with a key that takes an id besides those in its path, according to its own description.
fn ids_elsewhere() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for function in functions::ALL {
        let spec = serde_json::to_value(function.openapi()).unwrap();
        for (path, item) in spec["paths"].as_object().unwrap() {
            for (method, operation) in
                item.as_object().unwrap().iter().filter(|(_, o)| o["security"].is_array())
            {
                let mut names = BTreeSet::new();
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let name = parameter["name"].as_str().unwrap();
                    if parameter["in"] == "query" && is_id(name) {
                        names.insert(name.to_owned());
                    }
                }
                properties(&spec, &operation["requestBody"], &mut names);
                let path = path.trim_start_matches("/public");
                let shown = |name| format!("{} /{}{path} {name}", method.to_uppercase(), function.service);
                found.extend(names.into_iter().map(shown));
            }
        }
    }
    found
}

fn is_id(name: &str) -> bool {
    name.ends_with("_id") || name.ends_with("_ids")
}

/// The properties of a schema that are ids, at any depth.
fn properties(spec: &Value, schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                properties(spec, spec.pointer(reference.trim_start_matches('#')).unwrap(), names);
            }
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().filter(|name| is_id(name)).cloned());
            }
            fields.values().for_each(|value| properties(spec, value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| properties(spec, value, names)),
        _ => {}
    }
}
