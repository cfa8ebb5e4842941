//! `pong apply` and `pong export`.

use crate::world::{Ran, World};

const FILE: &str = r##"
x-common: &common
  interval_seconds: 30
  enabled: false
endpoints:
- name: Shop
  url: https://shop.example.com/
  <<: *common
  tags: [shop]
  assertions:
  - {fact: body, comparison: contains, value: Welcome}
  - {fact: json, path: $.status, comparison: equals, value: {deep: [1, true, null]}}
- name: Blog
  url: https://blog.example.com/${BLOG_PATH:-}
  enabled: false
  config:
    headers: {Accept: text/html}
    secret_headers: {Authorization: 'Bearer ${SLACK}', X-Key: k1}
    body: a price of $${5}
- name: Database
  url: tcp://db.example.com:5432
  enabled: false
notifications:
- name: chat
  kind: slack
  config: {channel: '#ops', token: '${SLACK}'}
  endpoints: [Shop, Blog]
- name: mail
  kind: email
  config: {to: [a@example.com]}
- name: hook
  kind: webhook
  config: {url: https://example.com/hook}
  enabled: false
status_pages:
- title: Everything
  slug: everything
  description: |
    All of it.
  groups:
  - {name: Front, endpoints: [Shop]}
  - {name: Back, endpoints: [Blog]}
- title: Without a slug
  published: false
maintenances:
- title: Database
  starts_at: 2190-01-01T09:00:00+09:00
  ends_at: 2190-01-01T02:00:00Z
  endpoints: [Shop]
- title: Long ago
  ends_at: 2020-01-01T00:00:00Z
"##;

impl World {
    async fn apply(&self, text: &str, more: &[&str]) -> Ran {
        let file = self.write("monitors.yaml", text);
        let mut command = self.pong(["apply", "-f"]);
        command.arg(file).args(more).env("SLACK", "xoxb-1234567890-abcd");
        self.run(command, "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_applied_once() {
    let world = World::new().await;
    let dry = world.apply(FILE, &["--dry-run"]).await;
    assert!(dry.err.contains("maintenance Long ago is over"), "{}", dry.err);
    let dry = dry.does();
    for part in [
        "+ endpoint Shop\n    +name: Shop\n    +url: https://shop.example.com/\n    +interval_seconds: 30\n",
        "+ notification chat\n",
        "token: (a new secret)",
        "Authorization: (a new secret)",
        "+ status page Everything\n",
        "+ maintenance Database\n",
        "Dry run: 9 to add, 0 to change, 0 to delete, 0 unchanged\n",
    ] {
        assert!(dry.contains(part), "{part} is missing: {dry}");
    }
    assert!(!dry.contains("1234567890"), "{dry}");
    assert_eq!(world.json("endpoint list").await, serde_json::json!([]), "nothing was done");
    assert_eq!(world.apply(FILE, &["--dry-run", "--exit-code"]).await.code, 5);

    assert!(
        world.apply(FILE, &[]).await.does().ends_with("Done: 9 added, 0 changed, 0 deleted, 0 unchanged\n")
    );
    let again = world.apply(FILE, &[]).await.does();
    assert_eq!(again, "Nothing to change: 9 as they should be\n");
    assert_eq!(world.apply(FILE, &["--dry-run", "--exit-code", "--prune"]).await.code, 0);
    let blog = world.json("endpoint show Blog").await;
    assert_eq!(
        (&blog["config"]["body"], &blog["url"]),
        (&"a price of ${5}".into(), &"https://blog.example.com/".into())
    );
    let page = world.json("status-page show everything").await;
    assert_eq!(page["groups"][1], serde_json::json!({"name": "Back", "endpoint_ids": [blog["id"]]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_shown_and_changed() {
    let world = World::new().await;
    world.apply(FILE, &[]).await.does();
    let changed = FILE
        .replace("interval_seconds: 30", "interval_seconds: 45")
        .replace("tags: [shop]", "")
        .replace("'${SLACK}'", "xoxb-1234567890-other")
        .replace("  endpoints: [Shop, Blog]\n", "  endpoints: [Blog]\n")
        .replace("published: false", "published: true")
        .replace("T02:00:00Z", "T03:00:00Z");
    let said = world.apply(&changed, &[]).await.does();
    for part in [
        "~ endpoint Shop\n",
        "    -interval_seconds: 30\n    +interval_seconds: 45\n",
        "-tags:\n    -- shop\n",
        "-  token: xoxb-…abcd\n    +  token: (a new secret)\n",
        "~ status page Without a slug\n",
        "-ends_at: 2190-01-01T02:00:00Z\n    +ends_at: 2190-01-01T03:00:00Z\n",
        "Done: 0 added, 4 changed, 0 deleted, 5 unchanged\n",
    ] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    let shop = world.json("endpoint show Shop").await;
    assert_eq!((&shop["interval_seconds"], &shop["tags"]), (&45.into(), &serde_json::json!([])));
    assert_eq!(world.json("notification show chat").await["config"]["token"], "xoxb-…ther");
    assert!(world.apply(&changed, &[]).await.does().starts_with("Nothing to change"));

    // A secret that matches its mask counts as unchanged.
    let fits = changed.replace("xoxb-1234567890-other", "xoxb-0987654321-other");
    assert!(world.apply(&fits, &["--dry-run"]).await.does().starts_with("Nothing to change"));
    assert!(world.apply(&fits, &["--send-secrets"]).await.does().contains("2 changed"));
    let plan: serde_json::Value =
        serde_json::from_str(&world.apply(FILE, &["--dry-run", "--output", "json"]).await.does()).unwrap();
    assert_eq!((&plan[0]["action"], &plan[0]["name"]), (&"change".into(), &"Shop".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_deletes_what_the_sections_do_not_hold() {
    let world = World::new().await;
    world.apply(FILE, &[]).await.does();
    let less =
        "endpoints:\n- {name: Shop, url: 'https://shop.example.com/', enabled: false}\nstatus_pages: []\n";
    let plan = world.apply(less, &["--dry-run"]).await.does();
    assert!(plan.contains("0 to delete"), "{plan}");
    world.apply(less, &["--prune"]).await.fails(2, &["Delete 4 with their history?", "--yes"]);
    let done = world.apply(less, &["--prune", "--yes"]).await.does();
    assert!(done.contains("- endpoint Blog\n") && done.contains("- status page Everything\n"), "{done}");
    assert_eq!(world.json("endpoint list").await.as_array().unwrap().len(), 1);
    assert_eq!(world.json("status-page list").await, serde_json::json!([]));
    // The file has no such section.
    assert_eq!(world.json("notification list").await.as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_there() {
    let world = World::new().await;
    assert_eq!(world.does("export").await, "endpoints: []\n");
    world.apply(FILE, &[]).await.does();
    let exported = world.does("export").await;
    assert!(
        exported.starts_with("# Secrets are masked") && exported.contains("body: a price of $${5}"),
        "{exported}"
    );
    assert!(exported.contains("    secret_headers:\n      Authorization: …\n      X-Key: …\n"), "{exported}");
    assert!(
        exported.contains("- name: Database\n  url: tcp://db.example.com:5432\n  enabled: false\n"),
        "{exported}"
    );
    assert!(!exported.contains("timeout_ms"), "defaults go without saying: {exported}");
    for text in [exported.clone(), world.does("export --output json").await] {
        let said = world.apply(&text, &["--prune"]).await.does();
        assert_eq!(said, "Nothing to change: 9 as they should be\n");
    }
    let file = world.path("out.yaml");
    world.does(&format!("export -o {}", file.display())).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), exported);
    let piped = world.pong(["apply", "-f", "-"]);
    assert!(world.run(piped, &exported).await.does().starts_with("Nothing to change"));

    // On a server without objects, a masked secret matches nothing.
    let other = World::new().await;
    let masked = other.apply(&exported, &[]).await;
    masked.fails(2, &["endpoint Blog: a secret is masked", "${SLACK_TOKEN}"]);
    let without_headers =
        exported.replace("Authorization: …", "Authorization: a").replace("X-Key: …", "X-Key: b");
    let masked = other.apply(&without_headers, &[]).await;
    masked.fails(2, &["notification chat: a secret is masked"]);
    let whole = without_headers
        .replace("xoxb-…abcd", "xoxb-1234567890-abcd")
        .lines()
        .filter(|line| !line.contains("whsec_"))
        .fold(String::new(), |text, line| text + line + "\n");
    other.apply(&whole, &[]).await.does();
    assert!(other.apply(&whole, &["--prune"]).await.does().starts_with("Nothing to change"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_headers_stay_unless_they_are_sent() {
    let world = World::new().await;
    let file = |secrets: &str, method: &str| {
        let config = format!("{{method: {method}, secret_headers: {{{secrets}}}}}");
        format!(
            "endpoints:\n- {{name: a, url: 'https://a.example.com/', enabled: false, config: {config}}}\n"
        )
    };
    world.apply(&file("A: first, B: second", "GET"), &[]).await.does();
    for same in [file("A: first, B: second", "GET"), file("A: …, B: …", "GET"), file("A: other, B: …", "GET")]
    {
        assert!(world.apply(&same, &[]).await.does().starts_with("Nothing to change"), "{same}");
    }
    // Masked secrets stay when others change; new ones are not shown.
    let said = world.apply(&file("A: …, B: …, C: third", "HEAD"), &[]).await.does();
    assert!(said.contains("+    C: (a new secret)") && !said.contains("third"), "{said}");
    let shown = world.json("endpoint show a").await["config"].clone();
    assert_eq!(shown["secret_headers"], serde_json::json!({"A": "…", "B": "…", "C": "…"}));
    assert_eq!(shown["method"], "HEAD");
    let unknown = world.apply(&file("A: …, D: …", "HEAD"), &[]).await;
    unknown.fails(2, &["endpoint a: a secret is masked, and the server has none"]);
    let sent = file("A: other, B: …, C: …", "HEAD");
    assert!(world.apply(&sent, &["--send-secrets"]).await.does().contains("1 changed"));
    let said = world.apply(&file("B: …, C: …", "HEAD"), &[]).await.does();
    assert!(said.contains("-    A: …"), "{said}");
    assert!(world.apply(&world.does("export").await, &["--prune"]).await.does().starts_with("Nothing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_url_may_be_another_kind() {
    let world = World::new().await;
    let file = |rest: &str| format!("endpoints:\n- {{name: a, enabled: false, {rest}}}\n");
    world.apply(&file("url: 'https://a/', config: {method: POST}"), &[]).await.does();
    let port = file("url: 'tcp://a:80'");
    world.apply(&port, &[]).await.does();
    let shown = world.json("endpoint show a").await;
    assert_eq!(
        (&shown["kind"], &shown["config"], &shown["retries"]),
        (&"tcp".into(), &serde_json::json!({}), &1.into())
    );
    assert!(world.apply(&port, &[]).await.does().starts_with("Nothing to change"));
    let said = file("url: 'tcp://a:80', kind: tcp, config: {}, retries: 1");
    assert!(world.apply(&said, &[]).await.does().starts_with("Nothing to change"));
    world.apply(&file("url: 'https://a/'"), &[]).await.does();
    assert_eq!(world.json("endpoint show a").await["config"]["method"], "GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_by_file_object_and_field() {
    let world = World::new().await;
    world.apply("endpoints:\n- name: [", &[]).await.fails(2, &["monitors.yaml: ", "line "]);
    let wrong = "endpoints:\n- {name: a, url: u, intervall: 1}\n- {name: b}\nothers: []\n";
    world.apply(wrong, &[]).await.fails(
        2,
        &[
            "monitors.yaml is invalid",
            "endpoints[0] (a) intervall: unknown field `intervall`, expected one of",
            "endpoints[1] (b) url: is missing",
            "others: is not known here",
        ],
    );
    world.apply("endpoints:\n- {name: a, url: '${NOT_SET}'}\n", &[]).await.fails(2, &["NOT_SET is not set"]);
    world.says("apply -f /nowhere.yaml").await.fails(2, &["cannot read /nowhere.yaml"]);
    world.says("apply").await.fails(2, &["--file"]);

    // An error that only the server can find; the other objects are applied all the same.
    let refused = "endpoints:\n- {name: bad, url: 'tcp://a/', retries: 9}\n- {name: good, url: 'https://a/', enabled: false}\nnotifications:\n- {name: n, kind: email, config: {to: [a@example.com]}, endpoints: [nobody]}\n";
    world.apply(refused, &[]).await.fails(
        2,
        &[
            "monitors.yaml: endpoint bad: Some fields",
            "  retries: must be",
            "  url: ",
            "monitors.yaml: notification n: there is no endpoint `nobody`",
        ],
    );
    assert_eq!(world.json("endpoint list").await[0]["name"], "good");

    world.does("endpoint add https://b/ --name good --paused").await;
    let twice = "endpoints:\n- {name: good, url: 'https://a/', enabled: false}\n";
    world.apply(twice, &[]).await.fails(2, &["the server has 2 of endpoint `good`", "pong endpoint edit"]);
    world.says("export").await.fails(2, &["the server has 2 of endpoint `good`"]);
}
