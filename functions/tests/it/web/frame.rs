//! Common parts of all pages.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use runtime::{
    Clock, Context, Env,
    outbound::{Outbound, To},
    secret::Random,
};
use tower::ServiceExt as _;

use super::Site;

#[tokio::test]
async fn a_page_says_what_a_browser_may_do_with_it() {
    let site = Site::start().await;
    let home = site.get("/").await;
    assert_eq!(home.status, 200);
    let policy = home.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(home.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(home.headers[header::CACHE_CONTROL], "private, no-store");
    for forbidden in ["<style", " style=", " onclick=", "<script>", "http://", "//cdn"] {
        assert!(!home.html.replace("placeholder=\"https://", "").contains(forbidden), "{forbidden}");
    }
    let missing = site.get("/nothing/here").await;
    assert_eq!(missing.status, 404);
    missing.says("Not found");
    let program =
        site.ask(Method::GET, "/nothing/here", &[("accept", "application/json")], String::new()).await;
    assert_eq!(program.status, 404);
}

#[tokio::test]
async fn the_first_page_is_small_and_its_parts_are_kept() {
    let site = Site::start().await;
    let packed = [("accept-encoding", "gzip, br")];
    let home = site.ask(Method::GET, "/", &packed, String::new()).await;
    assert_eq!(home.headers[header::CONTENT_ENCODING], "gzip");
    let plain = site.get("/").await.html;
    let length =
        |shown: &super::Shown| shown.headers[header::CONTENT_LENGTH].to_str().unwrap().parse::<usize>();
    let mut bytes = home.html.len();
    for part in plain.split(['"', '\'']).filter(|part| part.starts_with("/assets/")) {
        let asset = site.ask(Method::GET, part, &packed, String::new()).await;
        assert_eq!(
            (asset.status, &asset.headers[header::CONTENT_ENCODING]),
            (StatusCode::OK, &"br".parse().unwrap())
        );
        assert_eq!(asset.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        bytes += length(&asset).unwrap();
        let unpacked = site.ask(Method::GET, part, &[("accept-encoding", "identity")], String::new()).await;
        assert!(unpacked.html.len() > length(&asset).unwrap(), "{part}");
    }
    assert!(bytes < 50_000, "{bytes} bytes over the wire");
    assert_eq!(site.get("/assets/style.000000000000.css").await.status, 404);
}

#[tokio::test]
async fn a_form_counts_only_from_a_page_of_ours() {
    let site = Site::start().await;
    let form = [("email", "me@example.com"), ("password", "a good password")];
    let bare = site.send("/signup", &[], &form).await;
    assert_eq!(bare.status, 403);
    let csrf = site.get("/signup").await.hidden("csrf");
    let proved = [&form[..], &[("csrf", &csrf)]].concat();
    for elsewhere in ["cross-site", "same-site"] {
        assert_eq!(site.send("/signup", &[("sec-fetch-site", elsewhere)], &proved).await.status, 403);
    }
    let other = Site::start().await.get("/signup").await.hidden("csrf");
    let foreign = [&form[..], &[("csrf", &other)]].concat();
    assert_eq!(site.send("/signup", &[], &foreign).await.status, 403, "another browser's token");
    assert_eq!(site.send("/signup", &[("sec-fetch-site", "same-origin")], &proved).await.status, 303);
    // From here on the token is bound to the login: the earlier token is invalid.
    assert_eq!(site.send("/logout", &[], &[("csrf", &csrf)]).await.status, 403);
    assert_eq!(site.post("/dashboard", "/logout", &[]).await.location(), "/");
    assert!(site.cookie("pongpong_key").is_none());
    assert_eq!(site.get("/dashboard").await.location(), "/login?next=%2Fdashboard");
}

#[tokio::test]
async fn what_was_wrong_stands_beside_its_field() {
    let site = Site::start().await;
    let again = site.post("/signup", "/signup", &[("email", "\"><script>"), ("password", "short")]).await;
    assert_eq!(again.status, 400);
    again
        .says("id=\"email-error\"")
        .says("id=\"password-error\"")
        .says("value=\"&#34;&#62;&#60;script&#62;\"");
    site.sign_up("me@example.com").await;
    site.forget_cookies();
    let taken = site
        .post("/signup", "/signup", &[("email", "me@example.com"), ("password", "a good password")])
        .await;
    assert_eq!(taken.status, 409);
    let wrong =
        site.post("/login", "/login", &[("email", "me@example.com"), ("password", "wrong password")]).await;
    assert_eq!(wrong.status, 401);
    wrong.says("role=\"alert\"").says("value=\"me@example.com\"");
}

#[tokio::test]
async fn a_login_leads_on_but_nowhere_else() {
    let site = Site::start().await;
    site.sign_up("me@example.com").await;
    for (next, to) in [
        ("/reports?page=2", "/reports?page=2"),
        ("", "/dashboard"),
        ("//evil.test", "/"),
        ("https://evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/\t/evil.test", "/"),
    ] {
        site.forget_cookies();
        let form = [("email", "me@example.com"), ("password", "a good password"), ("next", next)];
        assert_eq!(site.post("/login", "/login", &form).await.location(), to, "{next}");
    }
    assert_eq!(site.get("/preferences?lang=ko&next=//evil.test").await.location(), "/");
    site.get("/").await;
    assert_eq!(site.cookie("pongpong_language").as_deref(), Some("ko"));
}

#[tokio::test]
async fn the_cookie_of_the_key_is_for_this_site_alone() {
    let site = Site::with([("PUBLIC_URL", "https://pongpong.test")]).await;
    site.get("/signup").await;
    let csrf = site.get("/signup").await.hidden("csrf");
    let form = [("csrf", csrf.as_str()), ("email", "me@example.com"), ("password", "a good password")];
    let answer = site.send("/signup", &[], &form).await;
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter().map(|c| c.to_str().unwrap());
    let key = cookies.into_iter().find(|c| c.starts_with("__Host-pongpong_key=")).unwrap();
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(key.contains(attribute), "{attribute}: {key}");
    }
}

#[tokio::test]
async fn a_limit_by_address_is_the_visitors() {
    let site = Site::start().await;
    let form = [("email", "nobody@example.com"), ("password", "a wrong password")];
    let mut last = StatusCode::OK;
    for _ in 0..21 {
        last = site.post("/login", "/login", &form).await.status;
    }
    assert_eq!(last, 429);
    // Counted by the gateway for this visitor, who is refused at the API as well.
    let url = format!("http://{}/user-service/v1/login", site.engine.address);
    let direct = site.client.post(url).json(&serde_json::json!({"email": "a@b.test", "password": "x"}));
    assert_eq!(direct.send().await.unwrap().status(), 429);
}

#[tokio::test]
async fn what_is_refused_says_nothing_back() {
    let site = Site::signed_up().await;
    for path in [
        "/endpoints/%3Cscript%3E",
        "/endpoints/%3Cscript%3E/edit",
        "/preferences?theme=%3Cscript%3E",
        "/login?next=a&next=b",
    ] {
        let refused = site.get(path).await;
        assert!(refused.status.is_client_error(), "{path}");
        assert_eq!(refused.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(refused.headers[header::CACHE_CONTROL], "private, no-store", "{path}");
        assert!(
            !refused.html.contains("<script>")
                || !refused.headers[header::CONTENT_TYPE].to_str().unwrap().contains("html"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_form_of_a_thousand_groups_is_no_page_of_a_thousand_lists() {
    let site = Site::signed_up().await;
    site.endpoint("Shop", "http://127.0.0.1:9/").await;
    let mut form = vec![("title", "x"), ("act", "add")];
    form.extend(std::iter::repeat_n(("group", ""), 1000));
    let shown = site.post("/status-pages/new", "/status-pages", &form).await;
    // One more than allowed, plus the added one: the API refuses it when it is saved.
    assert_eq!(shown.html.matches("name=\"group\"").count(), 22);
}

/// With `infra/kong/tls` every route of Kong is for https only, and calls from within use plain HTTP. Kong
/// 3.9.3 answered 308 to such a call without `X-Forwarded-Proto: https`.
#[tokio::test]
async fn pages_ask_a_gateway_that_takes_https_only() {
    runtime::install_crypto();
    for (public_url, status) in [("https://pongpong.test", 404), ("http://pongpong.test", 502)] {
        let env: Env = [("PUBLIC_URL".to_owned(), public_url.to_owned())].into_iter().collect();
        let outbound = Outbound::new(Arc::new(|to, request: Request<Bytes>| {
            assert_eq!(to, To::Gateway);
            let is_https = request.headers().get("x-forwarded-proto").is_some_and(|proto| proto == "https");
            let answer = Response::builder().status(if is_https { 404 } else { 308 });
            Box::pin(async { Ok(answer.body(Bytes::new())?) })
        }));
        let context = Context::new(env, Clock::System, Random::System, outbound);
        let web = runtime::serve::router(functions::find("web").unwrap(), &context);
        let answer = web.oneshot(Request::get("/status/shop").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{public_url}");
    }
}

#[tokio::test]
async fn programs_find_what_they_look_for() {
    let site = Site::start().await;
    for (path, kind) in [
        ("/favicon.ico", "image/x-icon"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/site.webmanifest", "application/manifest+json"),
    ] {
        let shown = site.get(path).await;
        assert_eq!(
            (shown.status, &shown.headers[header::CONTENT_TYPE]),
            (StatusCode::OK, &kind.parse().unwrap())
        );
        assert_eq!(shown.headers[header::CACHE_CONTROL], "public, max-age=86400", "{path}");
    }
    let manifest: serde_json::Value =
        serde_json::from_str(&site.get("/site.webmanifest").await.html).unwrap();
    let icon = manifest["icons"][0]["src"].as_str().unwrap();
    assert_eq!(site.get(icon).await.status, 200);
    let home = site.get("/").await;
    home.says("<link rel=\"manifest\" href=\"/site.webmanifest\">");
    let policy = home.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("manifest-src 'self';"), "{policy}");
}

#[tokio::test]
async fn the_address_of_the_demo_is_kept() {
    let site = Site::start().await;
    let target = crate::checks::Site::start().await;
    let refused = site.post("/", "/demo", &[("url", &target.url)]).await;
    assert_eq!(refused.status, 400);
    refused.says("private addresses are not allowed here");
    assert!(!refused.html.contains("status down"), "{}", refused.html);
    let signup = format!(
        "/signup?url={}",
        percent_encoding::utf8_percent_encode(&target.url, percent_encoding::NON_ALPHANUMERIC)
    );
    refused.says(&signup);
    site.get(&signup).await.says(&target.url).says("Your first endpoint:");
    // An error in the account's data does not lose the URL.
    let short = [("email", "me@example.com"), ("password", "short"), ("url", &target.url)];
    let again = site.post("/signup", "/signup", &short).await;
    assert_eq!(again.hidden("url"), target.url);
    let form = [("email", "me@example.com"), ("password", "a good password"), ("url", &target.url)];
    assert_eq!(site.post("/signup", "/signup", &form).await.location(), "/endpoints/1");
    site.get("/endpoints/1").await.says("Endpoint added. First check is running.").says(&target.url);
    site.forget_cookies();
    // An endpoint that cannot be added is shown in the form.
    let form = [("email", "you@example.com"), ("password", "a good password"), ("url", "ftp://x")];
    let to = site.post("/signup", "/signup", &form).await;
    assert_eq!(to.location(), "/endpoints/new?url=ftp%3A%2F%2Fx");
    site.get(to.location()).await.says("value=\"ftp://x\"");
}
