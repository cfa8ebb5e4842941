//! What people do, in the order in which they do it.



use super::driver::{Browser, Visitor};
use crate::{
    story::{Engine, Story},
    world::Database,
};

/// A story with a visitor who has signed up.
struct Scene {
    story: Story,
    engine: Engine,
    browser: Browser,
}

impl Scene {
    async fn with(visitor: Visitor) -> Self {
        let story = Story::new(Database::Sqlite).await;
        let engine = story.home.start();
        let browser = Browser::start(&engine.url, visitor).await;
        Self { story, engine, browser }
    }

    async fn signed_up(visitor: Visitor) -> Self {
        let scene = Self::with(visitor).await;
        scene.sign_up("me@example.com").await;
        scene
    }

    async fn sign_up(&self, email: &str) {
        self.browser.open("/signup").await;
        self.browser.fill("email", email).await;
        self.browser.fill("password", "a good password").await;
        self.browser.find("main button").await.click().await.unwrap();
        self.browser.is_at("/dashboard").await;
    }

    /// An endpoint, by the form.
    async fn add(&self, name: &str, url: &str) {
        self.browser.open("/endpoints/new").await;
        self.browser.fill("name", name).await;
        self.browser.fill("url", url).await;
        self.browser.fill("interval_seconds", "10").await;
        self.browser.find("main button[name='action'][value='save']").await.click().await.unwrap();
        self.browser.sees(name).await;
    }

    /// Lets time go by until a page says this.
    async fn until(&mut self, path: &str, css: &str, what: &str) {
        for _ in 0..120 {
            self.browser.open(path).await;
            if self.browser.has(css).await && self.browser.find(css).await.text().await.unwrap().contains(what) {
                return;
            }
            self.story.home.advance(&mut self.engine, 5);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{path} never says {what:?} at {css}:\n{}", self.browser.text().await);
    }

    async fn end(self) {
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
    scene.browser.sees("Nothing is watched yet").await;
    let url = scene.story.site.url.clone();
    scene.add("Shop", &url).await;
    scene.until("/dashboard", "main .status.up", "Up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_script() {
    let scene = Scene::signed_up(Visitor { script: false, ..Visitor::default() }).await;
    scene.browser.sees("Nothing is watched yet").await;
    scene.browser.press("Log out").await;
    scene.browser.sees("You are logged out.").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_korean() {
    let scene = Scene::signed_up(Visitor { language: "ko-KR", ..Visitor::default() }).await;
    assert_eq!(scene.browser.find("html").await.attr("lang").await.unwrap().as_deref(), Some("ko"));
    scene.browser.sees("아직 지켜보는 곳이 없습니다").await;
    // The switch counts more than what the browser asks for.
    scene.browser.press("English").await;
    scene.browser.sees("Nothing is watched yet").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_that_has_ended() {
    let scene = Scene::signed_up(Visitor::default()).await;
    let cookie = scene.browser.client.get_named_cookie("pongpong_key").await.unwrap();
    assert_eq!((cookie.http_only(), cookie.same_site().map(|s| s.to_string())), (Some(true), Some("Lax".into())));
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
