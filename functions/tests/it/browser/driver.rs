//! A real Chromium (Debian's `chromium` and `chromium-driver`), controlled by WebDriver.

use std::{path::Path, process::Stdio, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A browser with a new profile; it ends when this is dropped.
pub struct Browser {
    pub client: Client,
    /// The URL of the pages.
    pub site: String,
    _driver: Child,
    _profile: tempfile::TempDir,
}

/// A host name that resolves to this machine.
pub const INSECURE: &str = "pongpong.test";

/// The settings of a visitor's browser.
pub struct Visitor {
    pub language: &'static str,
    pub width: u32,
    pub height: u32,
    pub script: bool,
    /// The system's colour scheme.
    pub dark: bool,
    /// The system's time zone.
    pub zone: &'static str,
}

impl Default for Visitor {
    fn default() -> Self {
        Self { language: "en-US", width: 1280, height: 900, script: true, dark: false, zone: "UTC" }
    }
}

/// A browser is another process: its work takes real time.
const LOOK_AGAIN: Duration = Duration::from_millis(30);
const TIMEOUT: Duration = Duration::from_secs(20);

/// chromedriver takes a free port of IPv4, and ends if another process has that port of IPv6: then it is
/// started again.
async fn chromedriver(zone: &str) -> (Child, Lines<BufReader<ChildStdout>>, String) {
    for _ in 0..5 {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .env("TZ", zone)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut driver = command.spawn().expect("chromium-driver is not installed: run make test-packages");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return (driver, lines, port.trim_end_matches('.').to_owned());
            }
        }
    }
    panic!("chromedriver does not start");
}

impl Browser {
    pub async fn start(site: &str, visitor: Visitor) -> Self {
        let (driver, mut lines, port) = chromedriver(visitor.zone).await;
        // Read on, so that a full pipe never blocks it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().unwrap();
        let mut client = ClientBuilder::new(HttpConnector::new());
        let Value::Object(capabilities) = capabilities(&visitor, profile.path()) else { unreachable!() };
        let client = client.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.expect("Chromium starts");
        client.set_window_size(visitor.width, visitor.height).await.unwrap();
        Self { client, site: site.to_owned(), _driver: driver, _profile: profile }
    }

    pub async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.site)).await.unwrap();
    }

    /// The path and query of the current page.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
    }

    /// The first element that matches this CSS selector, once it exists.
    pub async fn find(&self, css: &str) -> Element {
        let there = async {
            loop {
                match self.client.find(Locator::Css(css)).await {
                    Ok(element) => return element,
                    Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
                }
            }
        };
        match tokio::time::timeout(TIMEOUT, there).await {
            Ok(element) => element,
            Err(_) => panic!("{css} is not on {}:\n{}", self.path().await, self.text().await),
        }
    }

    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// The visible text of the page.
    pub async fn text(&self) -> String {
        // The page may be replaced meanwhile.
        for _ in 0..10 {
            if let Ok(body) = self.client.find(Locator::Css("body")).await
                && let Ok(text) = body.text().await
            {
                return text;
            }
        }
        panic!("there is no page at {}", self.path().await);
    }

    /// Waits until the condition holds; on a timeout, fails with the page that is shown instead.
    async fn wait(&self, caller: &std::panic::Location<'_>, what: &str, is_so: impl AsyncFn() -> bool) {
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(TIMEOUT, waiting).await.is_err() {
            panic!("{caller}: waited for {what} on {}:\n{}", self.path().await, self.text().await);
        }
    }

    /// Waits until the page contains this text, after a click or by a script.
    #[track_caller]
    pub fn sees(&self, what: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.wait(caller, &format!("{what:?}"), async || self.text().await.contains(what)).await;
        }
    }

    /// Waits until this page is shown.
    #[track_caller]
    pub fn is_at(&self, path: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.wait(caller, path, async || self.path().await == path).await;
        }
    }

    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.find(&format!("main [name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Clicks the button or link with this text, as soon as it is shown.
    #[track_caller]
    pub fn press(&self, what: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let said = format!(
            "//main//*[self::button or self::a or self::summary][not(@aria-hidden)][normalize-space()=\"{what}\"] | //header//*[self::button or self::a][normalize-space()=\"{what}\"]"
        );
        async move {
            self.wait(caller, &format!("a button or link {what:?}"), async || {
                self.press_if_shown(&said).await
            })
            .await;
        }
    }

    /// An element of a page that is being replaced counts as absent.
    async fn press_if_shown(&self, xpath: &str) -> bool {
        for element in self.client.find_all(Locator::XPath(xpath)).await.unwrap_or_default() {
            if element.is_displayed().await.unwrap_or(false) {
                match element.click().await {
                    Ok(()) => return true,
                    Err(e) if e.is_stale_element_reference() => return false,
                    Err(e) => panic!("{xpath}: {e}"),
                }
            }
        }
        false
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// Whether an element is visible without scrolling, and no fixed element covers it.
    pub async fn is_in_sight(&self, css: &str) -> bool {
        let script = format!(
            "const at = document.querySelector({css:?}).getBoundingClientRect();
             const header = document.querySelector('header.top');
             const stays = header && getComputedStyle(header).position === 'sticky';
             return at.top >= (stays ? header.getBoundingClientRect().bottom : 0) && at.bottom <= innerHeight
                 && at.left >= 0 && at.right <= innerWidth;"
        );
        self.run(&script).await == json!(true)
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub fn until(&self, script: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            self.wait(caller, script, async || self.run(script).await == json!(true)).await;
        }
    }

    /// The relevant findings of axe-core: each rule and its elements.
    pub async fn axe(&self) -> Vec<String> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/axe.min.js");
        let axe = std::fs::read_to_string(tools).expect("axe-core is not there: run make test-packages");
        self.client.execute(&axe, vec![]).await.unwrap();
        let run = "const done = arguments[arguments.length - 1];
            axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then((found) =>
                done(found.violations.filter((v) => ['serious', 'critical', 'moderate'].includes(v.impact)).map((v) =>
                    `${v.impact} ${v.id}: ` + v.nodes.map((n) => n.target.join(' ') + ' | ' + n.failureSummary).join('; '))));";
        let found = self.client.execute_async(run, vec![]).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    /// Whether the page is wider than the window, so that a phone scrolls sideways.
    pub async fn overflows(&self) -> bool {
        self.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth").await
            == json!(true)
    }

    pub async fn close(self) {
        self.client.close().await.unwrap();
    }
}

fn capabilities(visitor: &Visitor, profile: &Path) -> Value {
    let mut arguments = vec![
        "--headless=new".to_owned(),
        // Tests run as root in containers; the pages are our own.
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--no-first-run".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--force-color-profile=srgb".to_owned(),
        // A host without TLS: features that browsers restrict to secure pages are missing.
        format!("--host-resolver-rules=MAP {INSECURE} 127.0.0.1"),
        format!("--user-data-dir={}", profile.display()),
        format!("--lang={}", visitor.language),
        format!("--window-size={},{}", visitor.width, visitor.height),
    ];
    if visitor.dark {
        arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut preferences = json!({ "intl.accept_languages": visitor.language });
    if !visitor.script {
        preferences["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    let mut options = json!({ "args": arguments, "prefs": preferences });
    if visitor.width < 500 {
        // A window has a minimum width, so a phone is emulated.
        let metrics = json!({ "width": visitor.width, "height": visitor.height, "pixelRatio": 2.0 });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    json!({ "browserName": "chrome", "pageLoadStrategy": "normal", "goog:chromeOptions": options })
}
