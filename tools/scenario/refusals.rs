//! Requests that must be refused. A failed step does not stop the others.

use backon::{ConstantBuilder, Retryable};
use http::Method;
use serde_json::json;

use crate::{
    Run,
    api::{Answer, Failure},
    people::Person,
    report::Failed,
};

/// `endpoint` belongs to `me`.
pub async fn all(run: &Run, me: &Person, key: &str, endpoint: i64) -> Result<(), Failed> {
    let Run { report, people, api, .. } = run;
    let stranger = report.step("refused: somebody else signs up, to be refused", people.sign_up(api)).await?;
    // Each step reports its own failure.
    let _ = report.step("refused: no key, a wrong key, an unknown path", keys(run)).await;
    let _ =
        report.step("refused: a wrong password, an e-mail address that is taken", credentials(run, me)).await;
    let _ = report.step("refused: what is not valid, with the name of the field", fields(run, key)).await;
    let _ = report.step("refused: what is another user's", other_users(run, &stranger, me, endpoint)).await;
    let _ = report.step("refused: identity by headers of one's own", spoofed(run, &stranger, me, key)).await;
    let _ = report.step("refused: private paths, in every spelling", private(run, key)).await;
    let _ = report.step("refused: a body that is too large", too_large(run, key)).await;
    let _ = report.step("refused: too many in a minute, and only those", rate(run, &stranger)).await;
    let _ = report.step("browsers may ask from anywhere (CORS)", cors(run, key)).await;
    let _ = report.step("errors are told in Korean to who asks for it", korean(run, me)).await;
    let _ = report.step("each answer has the id of its request", request_id(run)).await;
    Ok(())
}

async fn keys(run: &Run) -> Result<(), Failure> {
    let api = &run.api;
    for path in [
        "/user-service/v1/user",
        "/endpoint-service/v1/endpoints",
        "/report-service/v1/reports",
        "/notification-service/v1/deliveries",
    ] {
        let answer = api.get(path).expect(401).await?;
        answer.check(answer.json()["message"].is_string(), "a message")?;
        api.get(path).key("pp_not-a-key").expect(401).await?;
        // A key must be in the header: URLs are written to many logs.
        api.get(&format!("{path}?apikey=pp_not-a-key")).expect(401).await?;
    }
    api.get("/user-service/v1/no-such-thing").expect(404).await?;
    api.ask(Method::PUT, "/no-such-service/v1/endpoints").expect(404).await.map(drop)
}

async fn credentials(run: &Run, me: &Person) -> Result<(), Failure> {
    let wrong = json!({"email": me.email, "password": "not the password"});
    let unknown = json!({"email": format!("nobody-{}", me.email), "password": me.password});
    let mut messages = Vec::new();
    for body in [wrong, unknown] {
        let answer = run.api.post("/user-service/v1/login", body).expect(401).await?;
        is_error(&answer, "INVALID_LOGIN")?;
        messages.push(answer);
    }
    messages[1]
        .check(messages[0].body == messages[1].body, "the same for an unknown address as for a known one")?;
    is_error(&run.api.post("/user-service/v1/signup", me.credentials()).expect(409).await?, "EMAIL_TAKEN")
}

fn is_error(answer: &Answer, code: &str) -> Result<(), Failure> {
    let error = answer.json();
    answer.check(
        error["code"] == code && error["message"].is_string(),
        format!("the code {code}, and a message"),
    )
}

async fn fields(run: &Run, key: &str) -> Result<(), Failure> {
    let endpoints = "/endpoint-service/v1/endpoints";
    let notifications = "/notification-service/v1/notifications";
    let mail = json!({"name": "x", "kind": "email", "config": {"to": ["nobody"]}});
    for (path, body, field) in [
        (endpoints, json!({"url": "not a url"}), "url"),
        (endpoints, json!({"url": "file:///etc/passwd"}), "url"),
        (endpoints, json!({"name": "no URL"}), "url"),
        (endpoints, json!({"url": "https://example.com/", "interval_seconds": 1}), "interval_seconds"),
        (endpoints, json!({"url": "https://example.com/", "colour": "red"}), "colour"),
        (notifications, mail, "config.to[0]"),
        ("/user-service/v1/signup", json!({"email": "nobody", "password": "long enough"}), "email"),
    ] {
        let answer = run.api.post(path, body).key(key).expect(400).await?;
        is_error(&answer, "VALIDATION_FAILED")?;
        answer.check(answer.json()["fields"][field].is_string(), format!("the field {field} named"))?;
    }
    let answer = run.api.get("/report-service/v1/reports?per_page=101").key(key).expect(400).await?;
    answer.check(answer.json()["fields"]["per_page"].is_string(), "the field per_page named")?;
    let broken = run.api.ask(Method::POST, endpoints).raw("{").key(key);
    is_error(&broken.expect(400).await?, "MALFORMED_JSON")
}

async fn other_users(run: &Run, stranger: &Person, me: &Person, endpoint: i64) -> Result<(), Failure> {
    let (api, key) = (&run.api, stranger.key.as_str());
    let path = format!("/endpoint-service/v1/endpoints/{endpoint}");
    api.get(&path).key(key).expect(404).await?;
    api.patch(&path, json!({"name": "mine"})).key(key).expect(404).await?;
    api.delete(&path).key(key).expect(404).await?;
    api.post("/endpoint-check/v1/checks", json!({"endpoint_id": endpoint})).key(key).expect(404).await?;
    api.get(&format!("/report-service/v1/summaries/{endpoint}")).key(key).expect(404).await?;
    api.get(&format!("/user-service/v1/users/{}", me.id)).key(key).expect(403).await?;
    for list in
        ["/report-service/v1/reports", "/report-service/v1/incidents", "/notification-service/v1/deliveries"]
    {
        let answer = api.get(&format!("{list}?endpoint_id={endpoint}")).key(key).expect(200).await?;
        answer.check(answer.json()["page"]["total_count"] == 0, "nothing")?;
    }
    Ok(())
}

/// Only the gateway may identify the user.
async fn spoofed(run: &Run, stranger: &Person, me: &Person, key: &str) -> Result<(), Failure> {
    let id = stranger.id.to_string();
    let claim = || {
        let names =
            ["x-consumer-id", "x-consumer-custom-id", "x-consumer-username", "x-credential-identifier"];
        let ask = run.api.get("/user-service/v1/user").header("x-gateway-token", "a guess");
        names.into_iter().fold(ask, |ask, name| ask.header(name, &id))
    };
    claim().expect(401).await?;
    let answer = claim().key(key).expect(200).await?;
    answer.check(answer.json()["id"] == me.id, format!("the user {}, whose key it is", me.id))?;
    // A header named in `Connection` is dropped by the gateway: 401 is correct too.
    let names = "close, X-Consumer-Custom-ID, X-Gateway-Token";
    let answer = claim().key(key).header("connection", names).send().await?;
    let fine = answer.status == 401 || answer.json()["id"] == me.id;
    answer.check(fine, format!("the user {}, or 401 Unauthorized", me.id))
}

/// With a key, so that the refusal is not for lack of one.
async fn private(run: &Run, key: &str) -> Result<(), Failure> {
    for path in [
        "/private/v1/users",
        "//private/v1/users",
        "/public/v1/user",
        "/user-service/private/v1/users",
        "/endpoint-service/private/v1/endpoints",
        "/endpoint-service/v1/private/v1/endpoints",
        "/user-service/v1/../../private/v1/users",
        "/user-service/v1/user/../../../private/v1/users",
        "/user-service/v1/%2e%2e/%2e%2e/private/v1/users",
        "/user-service/v1/.%2e/.%2e/private/v1/users",
        "/user-service/v1/%252e%252e/%252e%252e/private/v1/users",
        "/user-service/v1/users/..%2f..%2f..%2fprivate%2fv1%2fusers",
        "/user-service/v1/users/..%5c..%5cprivate%5cv1%5cusers",
        "/user-service%2fprivate/v1/users",
        "/endpoint-service/v1/endpoints/..%2f..%2f..%2fprivate%2fv1%2fendpoints",
        "/private%2fv1%2fusers",
        "/PRIVATE/v1/users",
        "/private/v1/dead_letters",
        "/consumers",
    ] {
        let answer = run.api.get(path).key(key).send().await?;
        let refused =
            matches!(answer.status.as_u16(), 400 | 401 | 404) && answer.json().get("items").is_none();
        answer.check(refused, "400, 401 or 404, and nothing private")?;
    }
    for (path, body) in [
        ("/private/v1/emails", json!({"to": "a@example.com", "subject": "x", "content": "x"})),
        ("/notification-service/private/v1/webhooks", json!({"url": "https://example.com/", "content": "x"})),
        (
            "/endpoint-service/private/v1/endpoints/claim",
            json!({"until": "2026-01-01T00:00:00Z", "limit": 1}),
        ),
        ("/consumers", json!({"username": "scenario"})),
    ] {
        run.api.post(path, body).key(key).expect(404).await?;
    }
    Ok(())
}

async fn too_large(run: &Run, key: &str) -> Result<(), Failure> {
    let body = json!({"url": "https://example.com/", "config": {"body": "x".repeat(1_200_000)}});
    let ask = || run.api.post("/endpoint-service/v1/endpoints", body.clone()).key(key).expect(413);
    // A server that refuses without reading the whole body may close before the answer was read.
    ask.retry(ConstantBuilder::default()).when(|failure| failure.is_broken_off).await.map(drop)
}

/// Uses a route whose limit is per user, so that only this user is locked out.
async fn rate(run: &Run, stranger: &Person) -> Result<(), Failure> {
    // Each node of a gateway may count for itself.
    const NODES: u32 = 10;
    let key = stranger.key.as_str();
    let ask = || run.api.ask(Method::POST, "/notification-service/v1/notifications/0/test").key(key).send();
    let first = ask().await?;
    first.check(first.status == 400, "400 Bad Request")?;
    let limit: u32 =
        first.header("ratelimit-limit").parse().map_err(|_| first.wrong("a header RateLimit-Limit"))?;
    let mut asked = 1;
    let refused = loop {
        let answer = ask().await?;
        asked += 1;
        if answer.status == 429 {
            break answer;
        }
        answer.check(answer.status == 400, "400 Bad Request, or 429 Too Many Requests")?;
        answer.check(asked < limit * NODES, format!("429 after {limit} in a minute (these were {asked})"))?;
    };
    refused.check(asked > limit, format!("429 after {limit}, not after {}", asked - 1))?;
    let retry_after: u32 = refused.header("retry-after").parse().unwrap_or_default();
    let told = (1..=60).contains(&retry_after) && refused.json()["message"].is_string();
    refused.check(told, "Retry-After (1 to 60), and a message")?;
    run.api.get("/user-service/v1/user").key(key).expect(200).await.map(drop)
}

async fn cors(run: &Run, key: &str) -> Result<(), Failure> {
    let origin = "https://elsewhere.example";
    let preflight = run
        .api
        .ask(Method::OPTIONS, "/endpoint-service/v1/endpoints")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "apikey,content-type")
        .expect(200)
        .await?;
    let allows = |name, what: &str| preflight.header(name).to_lowercase().contains(what);
    let fine = matches!(preflight.header("access-control-allow-origin"), "*" | "https://elsewhere.example")
        && allows("access-control-allow-methods", "post")
        && allows("access-control-allow-headers", "apikey");
    preflight
        .check(fine, format!("leave for {origin} to POST with an apikey, not {:?}", preflight.headers))?;
    let answer = run.api.get("/user-service/v1/user").key(key).header("origin", origin).expect(200).await?;
    let fine = !answer.header("access-control-allow-origin").is_empty();
    answer.check(fine, format!("Access-Control-Allow-Origin, not {:?}", answer.headers))
}

async fn korean(run: &Run, me: &Person) -> Result<(), Failure> {
    let body = json!({"email": me.email, "password": "not the password"});
    let ask =
        run.api.post("/user-service/v1/login", body).header("accept-language", "ko-KR,ko;q=0.9,en;q=0.8");
    let answer = ask.expect(401).await?;
    is_error(&answer, "INVALID_LOGIN")?;
    let error = answer.json();
    let is_hangul = |c: char| ('가'..='힣').contains(&c);
    answer
        .check(error["message"].as_str().is_some_and(|text| text.contains(is_hangul)), "a message in Korean")
}

async fn request_id(run: &Run) -> Result<(), Failure> {
    let id = format!("scenario-{:016x}", rand::random::<u64>());
    let answer = run.api.get("/user-service/v1/user").header("x-request-id", &id).expect(401).await?;
    answer.check(answer.header("x-request-id") == id, format!("X-Request-ID: {id}"))?;
    let answer = run.api.get("/user-service/v1/user").expect(401).await?;
    answer.check(!answer.header("x-request-id").is_empty(), "an X-Request-ID, though none was sent")
}
