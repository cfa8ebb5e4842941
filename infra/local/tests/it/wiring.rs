//! The engine refuses anything that it does not understand, and names the place.

use runtime::Clock;

use crate::world::{files, settings};

/// The error of an engine that starts after one text was replaced by another.
async fn refusal(of: &str, from: &str, to: &str) -> String {
    let mut files = files();
    let file = match of {
        "kong" => &mut files.kong,
        "eventing" => &mut files.eventing[0],
        _ => &mut files.cron[0],
    };
    assert!(file.text.contains(from), "{from}");
    file.text = file.text.replacen(from, to, 1).into();
    let data = tempfile::tempdir().unwrap();
    match pongpong::start(settings(&data, files, Clock::System)).await {
        Ok(_) => panic!("it starts after {from:?} became {to:?}"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn kong_yml() {
    for (from, to, says) in [
        ("name: cors", "name: acl", "unknown variant `acl`"),
        ("max_age: 3600", "max_old: 3600", "unknown field `max_old`"),
        ("minute: 5", "hour: 5", "unknown field `hour`"),
        ("latency_metrics: true", "per_consumer: true", "unknown field `per_consumer`"),
        ("retries: 1", "write_timeout: 1", "unknown field `write_timeout`"),
        ("policy: local", "policy: redis", "unknown variant `redis`"),
        ("origins: [\"*\"]", "origins: [\"https://x\"]", "origins: only [\"*\"] is understood"),
        ("key_in_query: false", "key_in_query: true", "key_in_query: only false"),
        ("hide_credentials: true", "hide_credentials: false", "hide_credentials: only true"),
        ("strip_path: false", "strip_path: true", "route \"open\": strip_path"),
        ("http://echo.", "http://nobody.", "service \"echo\": url: there is no function \"nobody\""),
        ("http://echo.", "https://echo.", "is not understood"),
        ("~/test/v1/open$", "~/test/(v1/open$", "route \"open\": paths"),
        ("$(uri_captures.id)", "$(headers.x)", "$(headers.x) is not understood"),
        ("$(uri_captures.id)", "$(uri_captures.nope)", "no group \"nope\""),
        ("${GATEWAY_TOKEN}", "${OTHER}", "X-Gateway-Token: holds a variable"),
        ("_format_version: \"3.0\"", "_format_version: \"1.1\"", "unknown variant `1.1`"),
        ("services:", "consumers: []\nservices:", "unknown field `consumers`"),
        ("- name: thing\n", "- name: open\n", "route \"open\": a second one of this name"),
    ] {
        let said = refusal("kong", from, to).await;
        assert!(said.starts_with("kong.yml, document 1") && said.contains(says), "{to}: {said}");
    }
}

#[tokio::test]
async fn triggers() {
    for (from, to, says) in [
        ("kind: Broker", "kind: Channel", "unknown variant `Channel`"),
        ("attributes: {type: a}", "prefix: {type: a}", "unknown field `prefix`"),
        ("name: first}", "name: nobody}", "spec.subscriber.ref: there is no function \"nobody\""),
        ("name: first}", "name: echo}", "does not answer POST /"),
        ("name: dead-letter}", "name: nobody}", "deadLetterSink.ref"),
        ("broker: default", "broker: other", "spec.broker names no Broker"),
        ("backoffDelay: PT1S", "backoffDelay: 1s", "\"1s\" is not a duration"),
        ("retry: 3", "retries: 3", "unknown field `retries`"),
        ("name: second-b", "name: first-a", "a second Trigger of this name"),
    ] {
        let said = refusal("eventing", from, to).await;
        assert!(said.starts_with("eventing.yaml, document ") && said.contains(says), "{to}: {said}");
    }
}

#[tokio::test]
async fn cron_jobs() {
    for (from, to, says) in [
        ("* * * * *", "* * * *", "spec.schedule: \"* * * *\" is not a schedule"),
        ("* * * * *", "* * * * * *", "spec.schedule"),
        ("Etc/UTC", "Asia/Seoul", "unknown variant `Asia/Seoul`"),
        ("concurrencyPolicy: Forbid", "concurrencyPolicy: Allow", "unknown variant `Allow`"),
        ("[trigger, ticker]", "[ticker]", "must be [trigger, FUNCTION]"),
        ("[trigger, ticker]", "[trigger, nobody]", "there is no function \"nobody\""),
        (
            "restartPolicy: Never",
            "restartPolicy: Never\n          hostNetwork: true",
            "unknown field `hostNetwork`",
        ),
        ("timeZone: Etc/UTC", "suspend: true", "unknown field `suspend`"),
    ] {
        let said = refusal("cron", from, to).await;
        assert!(said.starts_with("cron.yaml, document 1") && said.contains(says), "{to}: {said}");
    }
}

#[tokio::test]
async fn a_second_engine_on_the_same_folder_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let first = pongpong::start(settings(&data, files(), Clock::System)).await.unwrap();
    let second = pongpong::start(settings(&data, files(), Clock::System)).await;
    let said = second.err().map(|error| format!("{error:#}")).unwrap();
    assert!(said.contains("another pongpong runs on"), "{said}");
    first.stop().await.unwrap();
    pongpong::start(settings(&data, files(), Clock::System)).await.unwrap();
}

#[tokio::test]
async fn a_setting_that_is_not_acceptable_is_refused_at_start() {
    runtime::install_crypto();
    let data = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("CHECK_CONCURRENCY", "abc"),
        ("CHECK_PRIVATE_NETWORKS", "nonsense"),
        ("ENCRYPTION_KEY", "short"),
        ("GATEWAY_TOKEN", "with\na line"),
        ("LOGIN_KEY_TTL_SECONDS", "x"),
        ("MAX_ENDPOINTS_PER_USER", "0"),
        ("REGION", "a region with a name that is too long"),
        ("RETENTION_RAW_DAYS", "x"),
        ("SMTP_FROM", "nobody"),
        ("SMTP_URL", "bogus"),
    ] {
        let mut settings = crate::world::settings(&data, crate::world::files(), Default::default());
        settings.env = [(name.to_owned(), value.to_owned())].into_iter().collect();
        let refused = pongpong::start(settings).await.err().expect(name);
        assert!(format!("{refused:#}").contains(name), "{name}: {refused:#}");
    }
}
