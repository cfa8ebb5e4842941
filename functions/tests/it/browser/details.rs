//! Details of the pages that users of other monitors expect.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{
    driver::{Browser, INSECURE, Visitor},
    people::Scene,
};
use crate::listener::Listener;

/// A window so low that pages have to be scrolled.
fn low() -> Visitor {
    Visitor { height: 560, ..Visitor::default() }
}

/// Triggers the next refresh now.
const REFRESH: &str = "dispatchEvent(new Event('online'))";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_in_sight() {
    let scene = Scene::signed_up(low()).await;
    scene.browser.open("/profile").await;
    scene.browser.fill("name", "laptop").await;
    scene.browser.press("Create key").await;
    scene.browser.find("#key").await;
    assert!(scene.browser.is_in_sight("#key").await);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_scrolled_to_is_under_the_header() {
    let scene = Scene::signed_up(low()).await;
    let url = scene.story.site.url.clone();
    let endpoint = scene.add("Shop", &url).await;
    scene.browser.press("Check now").await;
    scene.browser.find("#result .status.up").await;
    assert!(scene.browser.is_in_sight("#result .status").await);
    scene.browser.press("Failed").await;
    scene.browser.is_at(&format!("{endpoint}?only=down")).await;
    assert!(scene.browser.is_in_sight("#results h2").await);
    scene.browser.open(&format!("{endpoint}/edit")).await;
    scene.browser.press("Test").await;
    scene.browser.find("#result .status.up").await;
    assert!(scene.browser.is_in_sight("#result .status").await);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_checked_on_the_first_page_becomes_the_first_endpoint() {
    let scene = Scene::with(Visitor::default()).await;
    let url = scene.story.site.url.clone();
    scene.browser.open("/").await;
    scene.browser.fill("url", &url).await;
    scene.browser.press("Check now").await;
    scene.browser.sees("private addresses are not allowed here").await;
    assert!(!scene.browser.has("#result .status").await, "it was not checked");
    scene.browser.press("Sign up to monitor it").await;
    scene.browser.sees(&url).await;
    scene.browser.fill("email", "me@example.com").await;
    scene.browser.fill("password", "a good password").await;
    scene.browser.find("main button").await.click().await.unwrap();
    scene.browser.is_at("/endpoints/1").await;
    scene.browser.sees(&url).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_without_tls() {
    let scene = Scene::with(Visitor::default()).await;
    let site = scene.engine.url.replace("127.0.0.1", INSECURE);
    let browser = Browser::start(&site, Visitor::default()).await;
    browser.open("/signup").await;
    browser.fill("email", "me@example.com").await;
    browser.fill("password", "a good password").await;
    browser.find("main button").await.click().await.unwrap();
    browser.is_at("/dashboard").await;
    browser.open("/profile").await;
    assert_eq!(browser.run("return navigator.clipboard === undefined").await, json!(true));
    browser.fill("name", "laptop").await;
    browser.press("Create key").await;
    let key = browser.find("#key").await.text().await.unwrap();
    browser.press("Copy").await;
    browser.sees("Copied").await;
    let name = browser.find("#key-name").await;
    name.send_keys("\u{e009}v\u{e000}").await.unwrap();
    assert_eq!(name.prop("value").await.unwrap(), Some(key));
    browser.close().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_time_zone() {
    let visitor = Visitor { zone: "Pacific/Kiritimati", ..Visitor::default() };
    let mut scene = Scene::signed_up(visitor).await;
    let url = scene.story.site.url.clone();
    let endpoint = scene.add("Shop", &url).await;
    scene.until("/dashboard", "main .watched .status", "Up").await;
    scene.story.home.advance(&mut scene.engine, 60);
    scene.browser.open(&endpoint).await;
    // In UTC it is still noon of the previous day.
    scene.browser.sees("Time zone: Pacific/Kiritimati (UTC+14:00)").await;
    assert_eq!(scene.browser.text().await.matches("UTC").count(), 1, "{}", scene.browser.text().await);
    let said = "return [...document.querySelectorAll('main time, .chart title, .bar title')]
        .map((said) => said.textContent).filter((said) => !/^2026-03-0[12] (2[0-3]|0[0-2]):|^2026-03-01/.test(said))";
    assert_eq!(scene.browser.run(said).await, json!([]));
    let axis = scene.browser.run("return document.querySelector('.chart').textContent").await;
    assert!(axis.as_str().unwrap().contains("03-02"), "midnight is on the axis: {axis}");
    scene.browser.open("/reports").await;
    let from = scene.browser.find("#from").await.prop("value").await.unwrap();
    assert_eq!(from.as_deref(), Some("2026-03-02"));
    scene.end().await;
    // Also on the first page that is opened.
    let scene = Scene::with(Visitor { zone: "Asia/Seoul", ..Visitor::default() }).await;
    scene.sign_up("me@example.com").await;
    scene.browser.sees("Time zone: Asia/Seoul (UTC+09:00)").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_go_on_and_disturb_nobody() {
    let mut scene = Scene::signed_up(Visitor::default()).await;
    let url = scene.story.site.url.clone();
    let endpoint = scene.add("Shop", &url).await;
    scene.browser.open(&endpoint).await;
    scene.browser.until("return document.querySelectorAll('#results li').length === 1 || void dispatchEvent(new Event('online'))").await;
    scene
        .browser
        .run(
            "document.querySelector('#results summary').click();
             document.querySelector('main form button').focus();
             getSelection().selectAllChildren(document.querySelector('.where a'));",
        )
        .await;
    for results in 1..4 {
        scene.story.home.advance(&mut scene.engine, 10);
        let shown = format!("return document.querySelectorAll('#results li').length > {results}");
        scene.browser.until(&format!("{REFRESH}; {shown}")).await;
    }
    let left = "return [document.activeElement.textContent, getSelection().toString().startsWith('http'),
        document.querySelectorAll('#results details[open]').length]";
    assert_eq!(scene.browser.run(left).await, json!(["Check now", true, 1]));
    scene.story.site.status.store(503, Ordering::SeqCst);
    scene.story.home.advance(&mut scene.engine, 10);
    // A tab's title shows the page's status.
    scene.browser.until(&format!("{REFRESH}; return document.title.startsWith('Down · Shop')")).await;
    scene
        .browser
        .until("return document.querySelector('link[rel=icon]').href.includes('favicon-down')")
        .await;
    assert_eq!(scene.browser.run(left).await, json!(["Check now", true, 1]));
    scene.browser.open("/dashboard").await;
    scene.browser.until("return document.title.startsWith('1 of 1 down · ')").await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_lost_its_server_says_so() {
    let scene = Scene::signed_up(Visitor::default()).await;
    let url = scene.story.site.url.clone();
    scene.add("Shop", &url).await;
    let Scene { story, engine, browser } = scene;
    engine.stop();
    browser.run(REFRESH).await;
    browser.sees("pongpong is not responding. Last updated at ").await;
    let said = browser.find("[role=status]#live").await.text().await.unwrap();
    let time = said.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
    assert_eq!(time.matches(':').count(), 2, "{said}");
    // Recovery is not tested: a restarted engine would have another port.
    drop(story);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_sends_nothing_again() {
    let scene = Scene::signed_up(Visitor::default()).await;
    let target = Listener::start(200, "fine").await;
    let endpoint = scene.add("Shop", &target.url).await;
    // The first check of a new endpoint comes at any moment; the clock stands still, so there is no other.
    target.until_asked().await;
    scene.browser.press("Check now").await;
    scene.browser.sees("checked at").await;
    assert_eq!(scene.browser.path().await, endpoint);
    assert_eq!(target.asked().len(), 1);
    scene.browser.client.refresh().await.unwrap();
    scene.browser.sees("Check now").await;
    assert!(!scene.browser.has("#result").await);
    assert_eq!(target.asked().len(), 0);

    scene.browser.open("/endpoints/new").await;
    scene.browser.fill("url", &target.url).await;
    scene.browser.press("Test").await;
    scene.browser.sees("checked just now").await;
    assert_eq!(scene.browser.find("#url").await.prop("value").await.unwrap().as_deref(), Some(&*target.url));
    assert_eq!(target.asked().len(), 1);
    scene.browser.client.refresh().await.unwrap();
    assert!(!scene.browser.has("#result").await);
    assert_eq!(target.asked().len(), 0);

    scene.browser.open("/notifications/new?kind=webhook").await;
    scene.browser.fill("name", "On call").await;
    scene.browser.fill("config.url", &target.url).await;
    scene.browser.fill("config.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await;
    scene.browser.press("Save").await;
    scene.browser.press("Send test").await;
    scene.browser.sees("Test message accepted.").await;
    target.asked();
    scene.browser.client.refresh().await.unwrap();
    scene.browser.sees("On call").await;
    assert_eq!(target.asked().len(), 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_everything_has_its_place() {
    let scene = Scene::signed_up(Visitor { width: 360, height: 740, ..Visitor::default() }).await;
    let url = scene.story.site.url.clone();
    scene.add("Shop", &url).await;
    let touching = "const boxes = [...document.querySelectorAll('main .card, main .notice, main .flash, main .tiles, main .watched')];
        return boxes.flatMap((box, n) => boxes.slice(n + 1).filter((other) => !box.contains(other) && !other.contains(box)).map((other) => {
            const a = box.getBoundingClientRect(), b = other.getBoundingClientRect();
            const beside = a.right <= b.left || b.right <= a.left;
            return beside || b.top - a.bottom >= 8 || a.top - b.bottom >= 8 ? null : `${box.className} touches ${other.className}`;
        })).filter(Boolean)";
    for path in ["/dashboard", "/notifications", "/reports", "/maintenance", "/status-pages"] {
        scene.browser.open(path).await;
        assert!(scene.browser.is_in_sight(".top nav [aria-current]").await, "{path}");
    }
    for path in super::people::PAGES {
        scene.browser.open(path).await;
        assert_eq!(scene.browser.run(touching).await, json!([]), "{path}");
    }
    scene.end().await;
}
