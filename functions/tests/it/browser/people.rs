//! The steps of a user, in order.

use std::sync::atomic::Ordering;

use fantoccini::Locator;
use serde_json::json;

use super::driver::{Browser, Visitor};
use crate::{
    listener::Listener,
    story::{Engine, Story},
    world::Database,
};

/// A story with a visitor who has signed up.
pub(super) struct Scene {
    pub story: Story,
    pub engine: Engine,
    pub browser: Browser,
}

impl Scene {
    pub async fn with(visitor: Visitor) -> Self {
        let story = Story::new(Database::Sqlite).await;
        let engine = story.home.start();
        let browser = Browser::start(&engine.url, visitor).await;
        Self { story, engine, browser }
    }

    pub async fn signed_up(visitor: Visitor) -> Self {
        let scene = Self::with(visitor).await;
        scene.sign_up("me@example.com").await;
        scene
    }

    pub async fn sign_up(&self, email: &str) {
        self.browser.open("/signup").await;
        self.browser.fill("email", email).await;
        self.browser.fill("password", "a good password").await;
        self.browser.find("main button").await.click().await.unwrap();
        self.browser.is_at("/dashboard").await;
    }

    /// Adds an endpoint with the form; returns its page.
    pub async fn add(&self, name: &str, url: &str) -> String {
        self.browser.open("/endpoints/new").await;
        self.browser.fill("name", name).await;
        self.browser.fill("url", url).await;
        self.browser.fill("interval_seconds", "10").await;
        self.browser.fill("failure_threshold", "1").await;
        self.browser.fill("retries", "0").await;
        self.browser.press("Add").await;
        self.browser.sees("Check now").await;
        self.browser.path().await
    }

    /// Lets time pass until a page contains this.
    pub async fn until(&mut self, path: &str, css: &str, what: &str) {
        for n in 0..120 {
            // The clock of the browser stands still: without a new URL it would show its cached copy.
            self.browser.open(&format!("{path}?look={n}")).await;
            if self.browser.has(css).await
                && self.browser.find(css).await.text().await.unwrap().contains(what)
            {
                return;
            }
            self.story.home.advance(&mut self.engine, 5);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{path} never says {what:?} at {css}:\n{}", self.browser.text().await);
    }

    /// The problems of these pages: accessibility errors, and content wider than a phone.
    pub async fn look_at(&self, paths: &[&str], phone: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for path in paths {
            self.browser.open(path).await;
            wrong.extend(self.browser.axe().await.into_iter().map(|found| format!("{path}: {found}")));
            if phone && self.browser.overflows().await {
                wrong.push(format!("{path} is wider than the window"));
            }
        }
        wrong
    }

    pub async fn end(self) {
        self.browser.close().await;
        self.engine.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sign_up_to_recovery_in_a_browser() {
    let mut scene = Scene::with(Visitor::default()).await;
    scene.browser.open("/").await;
    scene.browser.press("Sign up").await;
    scene.browser.is_at("/signup").await;
    scene.sign_up("me@example.com").await;
    scene.browser.sees("Add your first endpoint").await;
    let url = scene.story.site.url.clone();
    let endpoint = scene.add("Shop", &url).await;
    scene.until("/dashboard", "main .watched .status", "Up").await;

    scene.browser.open("/status-pages/new").await;
    scene.browser.fill("title", "All our shops").await;
    scene.browser.fill("slug", "shops").await;
    scene.browser.find("main [name='endpoint']").await.click().await.unwrap();
    scene.browser.press("Save").await;
    scene.browser.sees("View page").await;
    scene.until("/status/shops", "main .watched-head .status", "Up").await;
    assert!(!scene.browser.client.source().await.unwrap().contains(&url), "a public page tells no URL");

    scene.story.site.status.store(503, Ordering::SeqCst);
    scene.until("/dashboard", "main .watched .status", "Down").await;
    scene.browser.sees("Expected status 200-399, got 503").await;
    scene.until("/status/shops", "main .watched-head .status", "Down").await;
    scene.browser.sees("Outage").await;
    scene.browser.open(&endpoint).await;
    scene.browser.sees("ongoing").await;

    scene.story.site.status.store(200, Ordering::SeqCst);
    scene.until("/dashboard", "main .watched .status", "Up").await;
    scene.until("/status/shops", "main .watched-head .status", "Up").await;
    scene.browser.open(&endpoint).await;
    scene.browser.press("Check now").await;
    scene.browser.sees("First byte").await;
    assert!(!scene.browser.text().await.contains("ongoing"));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tried_out() {
    let scene = Scene::signed_up(Visitor::default()).await;
    let hook = Listener::start(500, "no").await;
    scene.browser.open("/notifications").await;
    scene.browser.press("Add the first channel").await;
    scene.browser.press("Webhook").await;
    scene.browser.fill("name", "On call").await;
    scene.browser.fill("config.url", "not a URL").await;
    scene.browser.press("Save").await;
    assert!(!scene.browser.find("#config-url-error").await.text().await.unwrap().is_empty());
    assert_eq!(scene.browser.find("#name").await.prop("value").await.unwrap().as_deref(), Some("On call"));
    scene.browser.fill("config.url", &hook.url).await;
    scene.browser.press("Save").await;
    scene.browser.sees("Shown only once").await;
    scene.browser.press("Send test").await;
    scene.browser.sees("Not sent").await;
    hook.answers(200, "");
    scene.browser.press("Send test").await;
    scene.browser.sees("Test message accepted.").await;
    let asked = hook.asked();
    assert!(asked.last().unwrap().headers.contains_key("webhook-signature"), "{asked:?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_has_its_effect_once() {
    let scene = Scene::signed_up(Visitor::default()).await;
    scene.browser.open("/endpoints/new").await;
    scene.browser.fill("name", "Shop").await;
    scene.browser.fill("url", &scene.story.site.url).await;
    // Like an impatient user without our script: submits the same form three times at once.
    let statuses = scene
        .browser
        .client
        .execute_async(
            "const done = arguments[arguments.length - 1];
             const form = document.querySelector('main form');
             const send = () => { const data = new FormData(form); data.append('action', 'save');
                 return fetch(form.getAttribute('action'), { method: 'POST', body: new URLSearchParams(data) }).then((a) => a.status); };
             Promise.all([send(), send(), send()]).then(done, (error) => done(String(error)));",
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(statuses, json!([200, 200, 200]));
    scene.browser.open("/dashboard").await;
    let rows = scene.browser.client.find_all(Locator::Css("main .watched > li:not(.titles)")).await.unwrap();
    assert_eq!(rows.len(), 1, "{}", scene.browser.text().await);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn script_in_a_name_is_text() {
    let mut scene = Scene::signed_up(Visitor::default()).await;
    let name = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">";
    let url = scene.story.site.url.clone();
    let endpoint = scene.add(name, &url).await;
    scene.until("/dashboard", "main .watched .status", "Up").await;
    for path in [
        "/dashboard",
        &endpoint,
        "/reports",
        "/notifications/new?kind=email",
        "/maintenance/new",
        "/status-pages/new",
    ] {
        scene.browser.open(path).await;
        assert_ne!(scene.browser.client.title().await.unwrap(), "taken", "{path}");
        assert!(!scene.browser.has("main img[src='x']").await, "{path}");
    }
    scene.browser.open(&endpoint).await;
    scene.browser.sees(name).await;
    scene.end().await;
}

/// The pages of a user.
pub(super) const PAGES: [&str; 18] = [
    "/dashboard",
    "/dashboard?q=nothing",
    "/endpoints/new",
    "/endpoints/1",
    "/endpoints/1/edit",
    "/endpoints/1/delete",
    "/notifications",
    "/notifications/new",
    "/notifications/new?kind=email",
    "/notifications/new?kind=slack",
    "/notifications/new?kind=webhook",
    "/reports",
    "/maintenance",
    "/maintenance/new",
    "/status-pages",
    "/status-pages/new",
    "/profile",
    "/nothing",
];

async fn every_page_is_usable(visitor: Visitor) {
    let phone = visitor.width < 500;
    let mut scene = Scene::with(visitor).await;
    let outside = [
        "/",
        "/signup",
        "/login",
        "/password/forgot",
        "/password/reset?token=x",
        "/mail/confirm?token=x",
        "/mail/unsubscribe?token=x",
    ];
    let mut wrong = scene.look_at(&outside, phone).await;
    scene.sign_up("me@example.com").await;
    wrong.extend(scene.look_at(&["/dashboard"], phone).await);
    let url = scene.story.site.url.clone();
    scene.add("A name that is as long as names of endpoints can be in the worst of cases, with_no_space_in_it_at_all", &url).await;
    scene.story.site.status.store(503, Ordering::SeqCst);
    scene.until("/dashboard", "main .watched .status", "Down").await;
    wrong.extend(scene.look_at(&PAGES, phone).await);
    scene.browser.open("/status-pages/new").await;
    scene.browser.fill("title", "All our shops").await;
    scene.browser.fill("slug", "shops").await;
    scene.browser.find("main [name='endpoint']").await.click().await.unwrap();
    scene.browser.press("Save").await;
    scene.browser.sees("View page").await;
    let more = ["/status/shops", "/status-pages/1", "/status-pages/1/announcements/new", "/docs"];
    wrong.extend(scene.look_at(&more, phone).await);
    assert!(wrong.is_empty(), "{wrong:#?}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_usable_with_a_screen_reader() {
    every_page_is_usable(Visitor::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_usable_in_the_dark() {
    every_page_is_usable(Visitor { dark: true, ..Visitor::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_usable_on_a_phone() {
    every_page_is_usable(Visitor { width: 360, height: 740, ..Visitor::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_explained_and_tried_out() {
    let scene = Scene::with(Visitor::default()).await;
    scene.browser.open("/docs").await;
    scene.browser.sees("/endpoint-service/v1/endpoints").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_follow_the_system_until_they_are_chosen() {
    let scene = Scene::with(Visitor { dark: true, ..Visitor::default() }).await;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    scene.browser.open("/").await;
    let dark = scene.browser.run(ground).await;
    scene.browser.open("/preferences?theme=light&next=/").await;
    let light = scene.browser.run(ground).await;
    assert_eq!((dark, light), (json!("rgb(14, 17, 22)"), json!("rgb(246, 247, 249)")));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script() {
    let mut scene = Scene::signed_up(Visitor { script: false, ..Visitor::default() }).await;
    let url = scene.story.site.url.clone();
    scene.add("Shop", &url).await;
    scene.until("/dashboard", "main .watched .status", "Up").await;
    scene.browser.press("Shop").await;
    scene.browser.press("Delete").await;
    scene.browser.sees("Shop").await;
    scene.browser.find("main form button.danger").await.click().await.unwrap();
    scene.browser.sees("Add your first endpoint").await;
    scene.browser.press("Log out").await;
    scene.browser.sees("Logged out.").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_korean() {
    let scene = Scene::signed_up(Visitor { language: "ko-KR", ..Visitor::default() }).await;
    assert_eq!(scene.browser.find("html").await.attr("lang").await.unwrap().as_deref(), Some("ko"));
    scene.browser.sees("첫 엔드포인트를 추가하세요").await;
    // The language switch takes precedence over the browser's language.
    scene.browser.press("English").await;
    scene.browser.sees("Add your first endpoint").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_that_has_ended() {
    let scene = Scene::signed_up(Visitor::default()).await;
    let cookie = scene.browser.client.get_named_cookie("pongpong_key").await.unwrap();
    assert_eq!(
        (cookie.http_only(), cookie.same_site().map(|s| s.to_string())),
        (Some(true), Some("Lax".into()))
    );
    let logout = format!("{}/user-service/v1/logout", scene.engine.url);
    let ended = reqwest::Client::new().post(logout).header("apikey", cookie.value()).send().await.unwrap();
    assert_eq!(ended.status(), 200);
    scene.browser.open("/dashboard?status=down").await;
    scene.browser.is_at("/login?next=%2Fdashboard%3Fstatus%3Ddown").await;
    scene.browser.sees("Please log in again.").await;
    scene.browser.fill("email", "me@example.com").await;
    scene.browser.fill("password", "a good password").await;
    scene.browser.find("main button").await.click().await.unwrap();
    scene.browser.is_at("/dashboard?status=down").await;
    scene.end().await;
}
