//! `pong endpoint`.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{World, pong, run};

#[tokio::test(flavor = "multi_thread")]
async fn every_verb() {
    let world = World::new().await;
    let said = world.says("endpoint list").await;
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert!(said.err.contains("pong endpoint add"), "{}", said.err);

    let url = format!("{}/health", world.url);
    let add = world.pong([
        "endpoint",
        "add",
        &url,
        "--name",
        "Shop front",
        "--interval",
        "30",
        "--method",
        "post",
        "--body",
        "{}",
        "--header",
        "Accept: text/plain",
        "--secret-header",
        "Authorization: Bearer abc",
        "--certificate-warning-days",
        "30",
        "--timeout",
        "5000",
        "--expected-status",
        "200-299",
        "--retries",
        "0",
        "--failure-threshold",
        "3",
        "--success-threshold",
        "2",
        "--tags",
        "shop,web",
        "--follow-redirects",
        "false",
        "--verify-tls",
        "false",
        "--legacy-tls",
        "true",
        "--contains",
        "ok",
        "--lacks",
        "no",
        "--matches",
        "^o",
        "--assert",
        "json $.a.b >= 3",
        "--assert",
        "header content-type contains text",
        "--assert",
        "total_ms < 900",
        "--paused",
        "--output",
        "json",
    ]);
    let made: serde_json::Value = serde_json::from_str(&world.run(add, "").await.does()).unwrap();
    for (field, value) in [
        ("name", "\"Shop front\""),
        ("kind", "\"http\""),
        ("interval_seconds", "30"),
        ("timeout_ms", "5000"),
        ("retries", "0"),
        ("failure_threshold", "3"),
        ("success_threshold", "2"),
        ("enabled", "false"),
        ("status", "\"paused\""),
        ("tags", r#"["shop","web"]"#),
    ] {
        assert_eq!(made[field].to_string(), value, "{field}");
    }
    assert_eq!(
        made["config"],
        json!({
            "method": "POST", "expected_status": "200-299", "headers": {"Accept": "text/plain"},
            "secret_headers": {"Authorization": "…"}, "body": "{}", "follow_redirects": false,
            "verify_tls": false, "certificate_warning_days": 30, "legacy_tls": true,
        })
    );
    assert_eq!(made["assertions"].as_array().unwrap().len(), 6);
    assert_eq!(made["assertions"][3]["comparison"], "greater_or_equal");

    world.does("endpoint add https://example.com/ --name Blog --paused").await;
    assert_eq!(world.json("endpoint show Blog").await["id"], 2);
    assert_eq!(world.json("endpoint show 2").await["name"], "Blog");
    let edit = world.pong([
        "endpoint",
        "edit",
        "Blog",
        "--name",
        "News",
        "--interval",
        "120",
        "--url",
        "https://example.com/news",
    ]);
    assert_eq!(world.run(edit, "").await.does(), "Changed endpoint News (2)\n");
    let news = world.json("endpoint show News").await;
    assert_eq!((&news["interval_seconds"], &news["url"]), (&120.into(), &"https://example.com/news".into()));
    world.does("endpoint edit News --reset interval_seconds,tags").await;
    assert_eq!(world.json("endpoint show News").await["interval_seconds"], 60);
    world.says("endpoint edit News").await.fails(2, &["nothing to change was given"]);

    assert_eq!(world.does("endpoint resume News").await, "Resumed endpoint News (2)\n");
    assert_eq!(world.json("endpoint show News").await["enabled"], true);
    world.does("endpoint pause News").await;
    assert_eq!(world.json("endpoint list --status paused").await.as_array().unwrap().len(), 2);
    assert_eq!(world.json("endpoint list --tag shop").await[0]["name"], "Shop front");
    assert_eq!(world.json("endpoint list news").await[0]["name"], "News");
    assert_eq!(world.json("endpoint list --sort -name").await[0]["name"], "Shop front");
    assert_eq!(world.json("endpoint list --limit 1").await.as_array().unwrap().len(), 1);

    world.says("endpoint rm News").await.fails(2, &["Delete endpoint News (2)?", "--yes"]);
    world.says("endpoint rm News Nobody --yes").await.fails(6, &["there is no endpoint `Nobody`"]);
    assert_eq!(world.does("endpoint rm News --yes").await, "Deleted endpoint News (2)\n");
    world.says("endpoint show News").await.fails(6, &["there is no endpoint `News`", "pong endpoint list"]);
    world.says("endpoint show 999").await.fails(6, &["there is no endpoint `999`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_have_fields_of_their_own() {
    let world = World::new().await;
    let kinds = world.does("endpoint kinds").await;
    assert!(kinds.contains("tcp") && kinds.contains("secret_headers"), "{kinds}");

    world.does("endpoint add tcp://db.example.com:5432 --name db --paused").await;
    world.does("endpoint add https://example.com/ --name Shop --kind http --method post --paused").await;
    let db = world.json("endpoint show db").await;
    assert_eq!((&db["kind"], &db["config"]), (&"tcp".into(), &json!({})));
    assert!(world.does("endpoint list").await.contains("  tcp   tcp://db.example.com:5432"));
    for line in [
        "endpoint add tcp://a:1 --method GET",
        "endpoint add https://a/ --kind tcp --method GET",
        "endpoint edit db --method GET",
        "endpoint edit Shop --url tcp://a:1 --method GET",
    ] {
        world.says(line).await.fails(2, &["--method is no field of tcp", "tcp has no fields of its own"]);
    }
    world.says("endpoint add https://a/ --kind tcp").await.fails(2, &["url: must begin with tcp://"]);
    world.says("endpoint add https://a/ --kind fax").await.fails(2, &["kind: must be one of http, tcp"]);
    let unknown = world.says("endpoint add https://a/ --kind fax --set paper=a4").await;
    unknown.fails(2, &["there is no kind `fax`", "There is http, tcp"]);
    world
        .says("endpoint add fax://a --set paper=a4")
        .await
        .fails(2, &["url: must begin with one of https://"]);

    // Another URL gives another kind: nothing is left of the old config.
    world.does("endpoint edit Shop --url tcp://shop.example.com:80").await;
    let shop = world.json("endpoint show Shop").await;
    assert_eq!((&shop["kind"], &shop["config"], &shop["retries"]), (&"tcp".into(), &json!({}), &1.into()));
    world.does("endpoint edit Shop --url https://shop.example.com --kind http --verify-tls false").await;
    let shop = world.json("endpoint show Shop").await;
    assert_eq!((&shop["config"]["verify_tls"], &shop["config"]["method"]), (&false.into(), &"GET".into()));
}

/// A server with a kind that this client does not know: returns that kind and endpoint 1, and echoes other
/// requests.
async fn newer_server(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let (head, body) = loop {
        stream.read_buf(&mut request).await?;
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let field = |name: &str, input: &str, choices: Value| {
        json!({"name": name, "label": name, "help": "", "example": "", "input": input, "choices": choices,
            "is_required": false, "is_secret": false, "is_generated": false})
    };
    let kind = json!({"kind": "fax", "label": "Fax", "about": "", "schemes": ["fax"], "example": "fax://a", "facts": [],
        "fields": [field("paper", "choice", json!(["a4", "letter"])), field("copies", "number", json!([])),
            field("extra", "something_new", json!([]))]});
    let answer = match head.split(['?', ' ']).nth(1) {
        Some("/endpoint-service/v1/endpoint_kinds") => {
            json!({"items": [kind], "page": {"total_count": 1}}).to_string()
        }
        Some("/endpoint-service/v1/endpoints/1") if head.starts_with("GET") => {
            json!({"id": 1, "kind": "fax", "config": {"paper": "a4", "secret": "…"}}).to_string()
        }
        _ => body,
    };
    let length = answer.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
    stream.write_all(answer.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_kind_that_only_the_server_knows_are_set() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(newer_server(stream));
        }
    });
    let says = |line: &str| {
        let mut command = pong(home.path());
        command.args(line.split_whitespace()).env("PONG_API_URL", &url).env("PONG_API_KEY", "some");
        run(command, "")
    };
    let config = async |line: &str| {
        let sent = says(&format!("{line} --output json")).await.does();
        serde_json::from_str::<Value>(&sent).unwrap()
    };
    assert_eq!(
        config("endpoint add fax://a --set paper=A4 --set copies=2 --set extra=[1]").await,
        json!({"url": "fax://a", "config": {"paper": "a4", "copies": 2, "extra": [1]}})
    );
    assert_eq!(
        config("endpoint edit 1 --set copies=3 --set paper=").await,
        json!({"config": {"copies": 3, "secret": "…"}})
    );
    let known = "fax has --set paper=..., --set copies=..., --set extra=...";
    says("endpoint edit 1 --method GET").await.fails(2, &["--method is no field of fax", known]);
    says("endpoint add fax://a --set colour=red").await.fails(2, &["--set colour is no field of fax", known]);
    says("endpoint add dns://a --set copies=1").await.fails(2, &["url: must begin with one of fax://"]);
    says("endpoint add fax://a --set copies=some").await.fails(2, &["--set copies: must be a whole number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_keeps_the_rest_of_the_config() {
    let world = World::new().await;
    let mut add = world.pong(["endpoint", "add", "https://example.com/", "--name", "Shop", "--paused"]);
    add.args(["--secret-header", "X-Key: abc", "--header", "Accept: a/b", "--body", "{}", "--method", "PUT"]);
    world.run(add, "").await.does();
    let config = async || world.json("endpoint show Shop").await["config"].clone();
    let before = config().await;
    world.does("endpoint edit Shop --verify-tls false").await;
    let mut expected = before.clone();
    expected["verify_tls"] = false.into();
    assert_eq!(config().await, expected);
    assert_eq!(expected["secret_headers"], json!({"X-Key": "…"}));

    world.does("endpoint edit Shop --reset body,verify_tls --certificate-warning-days 0").await;
    let mut expected = before.clone();
    expected.as_object_mut().unwrap().remove("body");
    expected["certificate_warning_days"] = 0.into();
    assert_eq!(config().await, expected);
    world.does("endpoint edit Shop --header=").await;
    assert!(config().await.get("headers").is_none());
    assert_eq!(config().await["secret_headers"], json!({"X-Key": "…"}));

    world.does("endpoint edit Shop --reset config --method head").await;
    let reset = config().await;
    assert_eq!((&reset["method"], reset.get("secret_headers")), (&"HEAD".into(), None));
    world.does("endpoint edit Shop --reset config").await;
    assert_eq!(config().await["method"], "GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acceptable_is_told_by_field() {
    let world = World::new().await;
    world
        .says("endpoint add ftp://example.com")
        .await
        .fails(2, &["  url: must begin with https://, http:// or tcp"]);
    let refused = world.says("endpoint add tcp://example.com --interval 5 --timeout 1").await;
    refused
        .fails(2, &["error: ", "  interval_seconds: must be from 10 to 86400", "  timeout_ms: ", "  url: "]);
    world
        .says("endpoint add https://example.com --assert nonsense")
        .await
        .fails(2, &["a condition is written with blanks"]);
    world.says("endpoint add").await.fails(2, &["Usage: pong endpoint add"]);
    world.says("endpoint add https://example.com --body @/nowhere").await.fails(2, &["--body: /nowhere"]);
    for (flag, what) in [
        ("--header nonsense", "a header is written as 'Name: value'"),
        ("--certificate-warning-days soon", "must be a whole number"),
        (
            "--certificate-warning-days 366",
            "config.certificate_warning_days: must be a whole number from 0 to 365",
        ),
        ("--method fetch", "possible values: GET, HEAD"),
    ] {
        world.says(&format!("endpoint add https://example.com {flag}")).await.fails(2, &[what]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_one_name_are_told_apart_by_id() {
    let world = World::new().await;
    for _ in 0..2 {
        world.does("endpoint add https://example.com/ --name Twin --paused").await;
    }
    world.says("endpoint rm Twin --yes").await.fails(2, &["there are 2 of endpoint `Twin`", "1, 2"]);
    world.does("endpoint rm 1 --yes").await;
    world.does("endpoint rm Twin --yes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_fetched() {
    let world = World::new().await;
    let list: String = (0..230)
        .map(|n| format!("- {{name: e{n:03}, url: 'https://example.com/{n}', enabled: false}}\n"))
        .collect();
    let file = world.write("many.yaml", &format!("endpoints:\n{list}"));
    world.does(&format!("apply -f {}", file.display())).await;
    assert_eq!(world.json("endpoint list").await.as_array().unwrap().len(), 230);
    assert_eq!(world.json("endpoint list --limit 150").await.as_array().unwrap().len(), 150);
}
