//! From sign-up to recovery, as a customer experiences it.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::{Value, json};

use crate::{
    Run,
    api::{Answer, Failure},
    people::Person,
    refusals,
    report::Failed,
};

/// How long a revoked key may still work: other nodes of the gateway learn of it later.
pub const REVOCATION: Duration = Duration::from_secs(10);

/// A status that a target answering 200 never sends.
const NEVER: &str = "418";

pub async fn tell(run: &Run) -> Result<(), Failed> {
    let Run { report, people, api, .. } = run;
    report.step("the gateway is there, and asks for a key", gateway(run)).await?;
    let me = report.step("signs up", people.sign_up(api)).await?;
    let key = report.step("logs in", log_in(run, &me)).await?;
    let named = report.step("makes a key, which is good at once", make_key(run, &me, &key)).await?;
    report.step("the target answers, as seen from the deployment", target(run, &key)).await?;
    let channel = report.step("adds a channel to be told on", add_channel(run, &me, &key)).await?;
    let what = if channel.delivers {
        "a test message goes out"
    } else {
        "an address that nobody confirmed gets no test"
    };
    report.step(what, test_message(run, &key, &channel)).await?;
    let endpoint = report.step("adds an endpoint", add_endpoint(run, &key)).await?;
    let story = Story { run, key, endpoint, channel };

    report.step("the first result is there, and it is up", story.is_up_at_first()).await?;
    report
        .step("the target fails from now on (another status is expected)", story.expect_status(NEVER))
        .await?;
    // While the schedule reaches the endpoint.
    refusals::all(run, &me, &story.key, story.endpoint).await?;
    report.step("it goes down", story.becomes("down")).await?;
    report.step("an incident is open", story.incident_is_open()).await?;
    report.step("a message says so", story.delivered("down")).await?;
    report.step("the target is well again", story.expect_status("200-399")).await?;
    report.step("it is up again", story.becomes("up")).await?;
    report.step("the incident is closed", story.incident_is_closed()).await?;
    report.step("a message says so", story.delivered("up")).await?;

    report.step("reports: filters, pages, one alone", story.reports()).await?;
    report.step("the summary adds up", story.summary()).await?;
    report.step("changes the endpoint, and finds it by its tag", story.change()).await?;
    report.step("pauses it", story.pause()).await?;
    report.step("deletes it, and its history goes with it", story.delete_endpoint()).await?;
    report.step("deletes the channel", story.delete_channel()).await?;
    report.step("deletes the key, which is good no longer", delete_key(run, &story.key, &named)).await?;
    report.step("logs out, and that key is good no longer", log_out(run, &story.key)).await?;
    report.step("deletes the account; nobody can log in to it", delete_account(run, &me)).await
}

/// Tries again, at growing intervals, until it succeeds, cannot succeed any more, or the timeout ends.
pub async fn until<T, F: Future<Output = Result<T, Failure>>>(
    timeout: Duration,
    look: impl FnMut() -> F,
) -> Result<T, Failure> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_factor(1.5)
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_total_delay(Some(timeout));
    look.retry(pauses).when(|failure: &Failure| failure.may_change).await.map_err(|failure| {
        if !failure.may_change {
            return failure;
        }
        let expected = format!("{}, within {}", failure.expected, humantime::format_duration(timeout));
        Failure { expected, ..failure }
    })
}

async fn gateway(run: &Run) -> Result<(), Failure> {
    let answer = run.api.get("/user-service/v1/user").expect(401).await;
    answer.map(drop).map_err(|failure| Failure {
        expected: format!("{}: is pongpong's gateway at {}?", failure.expected, run.api.base()),
        ..failure
    })
}

async fn log_in(run: &Run, me: &Person) -> Result<String, Failure> {
    let answer = run.api.post("/user-service/v1/login", me.credentials()).expect(200).await?;
    let key = answer.json()["key"].as_str().unwrap_or_default().to_owned();
    answer.check(!key.is_empty() && key != me.key, "a new key")?;
    Ok(key)
}

struct NamedKey {
    id: i64,
    key: String,
}

async fn make_key(run: &Run, me: &Person, key: &str) -> Result<NamedKey, Failure> {
    let answer =
        run.api.post("/user-service/v1/keys", json!({"name": "scenario"})).key(key).expect(201).await?;
    let made = answer.json();
    let id = made["id"].as_i64().ok_or_else(|| answer.wrong("an id"))?;
    let named = made["key"].as_str().ok_or_else(|| answer.wrong("a key"))?.to_owned();
    let answer = run.api.get("/user-service/v1/user").key(&named).expect(200).await?;
    let user = answer.json();
    answer.check(user["id"] == me.id && user["email"] == me.email.as_str(), format!("the user {}", me.id))?;
    let answer = run.api.get("/user-service/v1/keys").key(key).expect(200).await?;
    let item = &answer.json()["items"][0];
    answer.check(item["id"] == id && item.get("key").is_none(), "the key on the list, without its secret")?;
    Ok(NamedKey { id, key: named })
}

/// First: if the prober cannot reach the target, this says so and what to do about it.
async fn target(run: &Run, key: &str) -> Result<(), Failure> {
    let answer =
        run.api.post("/endpoint-check/v1/checks", json!({"url": run.target})).key(key).expect(200).await?;
    let outcome = answer.json();
    let advice = match outcome["error"]["code"].as_str() {
        None if outcome["status"] == "up" => return Ok(()),
        Some("BLOCKED_ADDRESS") => {
            "it has a private network address, and this deployment does not connect to those: give --target \
             a public URL, or set CHECK_PRIVATE_NETWORKS there"
        }
        Some("STATUS_MISMATCH") => "give --target a URL that answers 200",
        _ => "it must be reachable from the deployment, too: give --target a URL that is",
    };
    Err(answer.wrong(format!("{} is up; {advice}", run.target)))
}

struct Channel {
    id: i64,
    /// Only for a webhook.
    secret: String,
    /// Whether messages can be delivered: for email, whether the address will be confirmed.
    delivers: bool,
}

/// The log and a test message say this about an address that is not confirmed.
const NOT_CONFIRMED: &str = "not confirmed";

async fn add_channel(run: &Run, me: &Person, key: &str) -> Result<Channel, Failure> {
    let (channel, config) = match &run.receiver {
        Some(receiver) => ("webhook", json!({"url": receiver.url})),
        None => ("email", json!({"to": [run.email.as_ref().unwrap_or(&me.email)]})),
    };
    let body = json!({"name": "scenario", "kind": channel, "config": config});
    let path = "/notification-service/v1/notifications";
    let answer = run.api.post(path, body).key(key).expect(201).await?;
    let made = answer.json();
    let id = made["id"].as_i64().ok_or_else(|| answer.wrong("an id"))?;
    let secret = made["config"]["secret"].as_str().unwrap_or_default().to_owned();
    answer.check((channel == "webhook") != secret.is_empty(), "a secret, for a webhook only")?;
    let answer = run.api.get(&format!("{path}/{id}")).key(key).expect(200).await?;
    answer.check(answer.json()["config"]["secret"] != secret.as_str(), "no secret that is readable")?;
    let delivers = run.receiver.is_some() || run.email.is_some();
    if let Some(email) = &run.email {
        until(run.timeout, || async {
            let answer = run.api.get(&format!("{path}/{id}")).key(key).expect(200).await?;
            if answer.json()["addresses"][email] == "confirmed" {
                return Ok(());
            }
            Err(answer.not_yet(format!("{email} confirmed (open the link that was mailed there)")))
        })
        .await?;
    }
    Ok(Channel { id, secret, delivers })
}

async fn test_message(run: &Run, key: &str, channel: &Channel) -> Result<(), Failure> {
    let path = format!("/notification-service/v1/notifications/{}/test", channel.id);
    let answer = run.api.ask(http::Method::POST, &path).key(key).expect(200).await?;
    let advice = match run.receiver {
        Some(_) => "status ok (is --webhook-url reachable from the deployment?)",
        None => "status ok (can the deployment send mail to --email?)",
    };
    if !channel.delivers {
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        return answer.check(message.contains(NOT_CONFIRMED), "fail, for the address is not confirmed");
    }
    answer.check(answer.json()["status"] == "ok", advice)?;
    if let Some(receiver) = &run.receiver {
        until(REVOCATION, || async { receiver.told("test", &channel.secret) }).await?;
    }
    Ok(())
}

async fn add_endpoint(run: &Run, key: &str) -> Result<i64, Failure> {
    let body = json!({"name": "Scenario", "url": run.target, "interval_seconds": 10});
    let answer = run.api.post("/endpoint-service/v1/endpoints", body).key(key).expect(201).await?;
    let made = answer.json();
    answer.check(
        made["status"] == "pending" && made["failure_threshold"] == 2,
        "status pending, threshold 2",
    )?;
    made["id"].as_i64().ok_or_else(|| answer.wrong("an id"))
}

struct Story<'a> {
    run: &'a Run,
    key: String,
    endpoint: i64,
    channel: Channel,
}

impl Story<'_> {
    async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.run.api.get(path).key(&self.key).expect(200).await
    }

    fn endpoint(&self) -> String {
        format!("/endpoint-service/v1/endpoints/{}", self.endpoint)
    }

    async fn change_to(&self, change: Value) -> Result<Value, Failure> {
        let answer = self.run.api.patch(&self.endpoint(), change.clone()).key(&self.key).expect(200).await?;
        let changed = answer.json();
        for (name, value) in change.as_object().into_iter().flatten() {
            answer.check(has(&changed[name], value), format!("\"{name}\":{value}"))?;
        }
        Ok(changed)
    }

    async fn is_up_at_first(&self) -> Result<(), Failure> {
        let path = format!("/report-service/v1/reports?endpoint_id={}", self.endpoint);
        until(self.run.timeout, || async {
            let answer = self.get(&path).await?;
            let report = &answer.json()["items"][0];
            if report.is_null() {
                return Err(answer.not_yet("a result"));
            }
            let complete = report["status"] == "up"
                && report["status_code"] == 200
                && report["error"].is_null()
                && report["timings_ms"]["total"].is_u64();
            answer.check(complete, "a result: up, 200, without an error, with timings")
        })
        .await?;
        self.becomes("up").await
    }

    async fn expect_status(&self, status: &str) -> Result<(), Failure> {
        self.change_to(json!({"config": {"expected_status": status}})).await.map(drop)
    }

    async fn becomes(&self, status: &str) -> Result<(), Failure> {
        until(self.run.timeout, || async {
            let answer = self.get(&self.endpoint()).await?;
            let endpoint = answer.json();
            if endpoint["status"] != status {
                return Err(answer.not_yet(format!("status {status}")));
            }
            answer.check(endpoint["last_checked_at"].is_string(), "last_checked_at")
        })
        .await
    }

    async fn incidents(&self, open: bool) -> Result<(Answer, Value), Failure> {
        let path = format!("/report-service/v1/incidents?endpoint_id={}&open={open}", self.endpoint);
        let answer = self.get(&path).await?;
        let incident = answer.json()["items"][0].clone();
        if incident.is_null() {
            return Err(answer.not_yet(if open { "an open incident" } else { "a closed incident" }));
        }
        Ok((answer, incident))
    }

    async fn incident_is_open(&self) -> Result<(), Failure> {
        let (answer, incident) = until(self.run.timeout, || self.incidents(true)).await?;
        let cause = incident["cause"]["code"] == "STATUS_MISMATCH";
        answer.check(cause && incident["ended_at"].is_null(), "no end yet, and the cause STATUS_MISMATCH")
    }

    async fn incident_is_closed(&self) -> Result<(), Failure> {
        let (answer, incident) = until(self.run.timeout, || self.incidents(false)).await?;
        let ended = incident["ended_at"].as_str() > incident["started_at"].as_str();
        answer.check(ended, "an end behind the start")?;
        let path = format!("/report-service/v1/incidents?endpoint_id={}", self.endpoint);
        let answer = self.get(&path).await?;
        answer.check(answer.json()["page"]["total_count"] == 1, "one incident in all")
    }

    /// Checks the delivery log, and the received messages where they can be seen.
    async fn delivered(&self, what: &str) -> Result<(), Failure> {
        let path = format!("/notification-service/v1/deliveries?endpoint_id={}", self.endpoint);
        until(self.run.timeout, || async {
            let answer = self.get(&path).await?;
            let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
            let told: Vec<_> = items.iter().filter(|item| item["alert"]["what"] == what).collect();
            let [delivery] = told[..] else {
                return Err(answer.not_yet(format!("one delivery of `{what}`")));
            };
            let is_refused = delivery["error"].as_str().is_some_and(|error| error.contains(NOT_CONFIRMED));
            match delivery["status"].as_str() {
                Some("delivered") if self.channel.delivers => Ok(()),
                Some("failed") if !self.channel.delivers && is_refused => Ok(()),
                Some("pending") => Err(answer.not_yet(format!("`{what}` delivered"))),
                _ => {
                    Err(answer.wrong(format!("`{what}` delivered; the channel says: {}", delivery["error"])))
                }
            }
        })
        .await?;
        let Some(receiver) = &self.run.receiver else { return Ok(()) };
        let event = receiver.told(what, &self.channel.secret)?;
        let data = &event["data"];
        let text = data["text"].as_str().unwrap_or_default();
        let complete = event["specversion"] == "1.0"
            && event["type"] == "io.pongpong.alert.v1"
            && data["endpoint_id"] == self.endpoint
            && data["endpoint_name"] == "Scenario"
            && data["cause"]["code"] == "STATUS_MISMATCH"
            && text.contains("Scenario");
        if complete {
            return Ok(());
        }
        Err(Failure {
            asked: format!("webhook at {}", receiver.url),
            expected: format!("an alert about endpoint {}, with its cause, in words too", self.endpoint),
            came: event.to_string(),
            ..Failure::default()
        })
    }

    async fn reports(&self) -> Result<(), Failure> {
        let list = format!("/report-service/v1/reports?endpoint_id={}", self.endpoint);
        let answer = self.get(&format!("{list}&status=down")).await?;
        let page = answer.json();
        let down = page["page"]["total_count"].as_i64().unwrap_or_default();
        answer.check(down >= 2, "two failed results or more")?;
        let only = page["items"].as_array().is_some_and(|items| items.iter().all(|r| r["status"] == "down"));
        answer.check(only, "only failed results")?;

        let answer = self.get(&format!("{list}&to=2020-01-01")).await?;
        answer.check(answer.json()["page"]["total_count"] == 0, "nothing from before it was made")?;

        let newest = until(self.run.timeout, || self.pages(&list)).await?;
        let answer = self.get(&format!("/report-service/v1/reports/{}", newest["id"])).await?;
        answer.check(answer.json() == newest, "the same as on the list")
    }

    /// Checks that two pages follow each other; returns the newest report.
    async fn pages(&self, list: &str) -> Result<Value, Failure> {
        let first = self.get(&format!("{list}&per_page=2&page=1")).await?;
        let second = self.get(&format!("{list}&per_page=2&page=2")).await?;
        let (one, two) = (first.json(), second.json());
        first.check(
            one["page"]["current_page"] == 1 && one["page"]["per_page"] == 2,
            "the first page, of 2",
        )?;
        let items = [&one["items"], &two["items"]].into_iter().filter_map(Value::as_array).flatten();
        let ids: Vec<_> = items.filter_map(|item| item["id"].as_i64()).collect();
        let in_order = ids.len() >= 3 && ids.windows(2).all(|pair| pair[0] > pair[1]);
        if !in_order {
            // A result may have arrived in between.
            return Err(second.not_yet(format!("what follows the first page, the newest first, not {ids:?}")));
        }
        Ok(one["items"][0].clone())
    }

    async fn summary(&self) -> Result<(), Failure> {
        let answer = self.get(&format!("/report-service/v1/summaries/{}", self.endpoint)).await?;
        let summary = answer.json();
        let (checks, up) = (summary["checks"].as_i64().unwrap_or(0), summary["up"].as_i64().unwrap_or(0));
        answer
            .check(up >= 2 && checks >= up + 2, "two checks or more that were up, and two that were not")?;
        let uptime = summary["uptime_percent"].as_f64().unwrap_or_default();
        let exact = up as f64 * 100.0 / checks as f64;
        answer.check((uptime - exact).abs() < 0.001, format!("uptime_percent {exact:.3}"))?;
        let complete = summary["latency_ms"]["p95"].is_number() && summary["apdex"].is_number();
        answer.check(complete && !summary["series"][0].is_null(), "latencies, apdex and a series")
    }

    async fn change(&self) -> Result<(), Failure> {
        let tag = format!("scenario-{}", self.endpoint);
        self.change_to(json!({"name": "Scenario, renamed", "tags": [tag], "timeout_ms": 5000})).await?;
        let answer = self.get(&format!("/endpoint-service/v1/endpoints?tag={tag}")).await?;
        let list = answer.json();
        let found = list["page"]["total_count"] == 1 && list["items"][0]["id"] == self.endpoint;
        answer.check(found, format!("the endpoint {}", self.endpoint))?;
        answer.check(
            list["items"][0]["config"]["expected_status"] == "200-399",
            "what was not changed as it was",
        )
    }

    async fn pause(&self) -> Result<(), Failure> {
        self.change_to(json!({"enabled": false})).await?;
        self.becomes("paused").await
    }

    async fn delete_endpoint(&self) -> Result<(), Failure> {
        self.run.api.delete(&self.endpoint()).key(&self.key).expect(204).await?;
        self.run.api.get(&self.endpoint()).key(&self.key).expect(404).await?;
        for list in ["/report-service/v1/reports", "/report-service/v1/incidents"] {
            let path = format!("{list}?endpoint_id={}", self.endpoint);
            until(self.run.timeout, || async {
                let answer = self.get(&path).await?;
                let gone = answer.json()["page"]["total_count"] == 0;
                if gone { Ok(()) } else { Err(answer.not_yet("nothing left")) }
            })
            .await?;
        }
        Ok(())
    }

    async fn delete_channel(&self) -> Result<(), Failure> {
        let path = format!("/notification-service/v1/notifications/{}", self.channel.id);
        self.run.api.delete(&path).key(&self.key).expect(204).await?;
        self.run.api.get(&path).key(&self.key).expect(404).await.map(drop)
    }
}

async fn delete_key(run: &Run, key: &str, named: &NamedKey) -> Result<(), Failure> {
    let path = format!("/user-service/v1/keys/{}", named.id);
    run.api.delete(&path).key(key).expect(204).await?;
    is_revoked(run, &named.key).await
}

async fn log_out(run: &Run, key: &str) -> Result<(), Failure> {
    run.api.ask(http::Method::POST, "/user-service/v1/logout").key(key).expect(200).await?;
    is_revoked(run, key).await
}

async fn is_revoked(run: &Run, key: &str) -> Result<(), Failure> {
    until(REVOCATION, || async {
        let answer = run.api.get("/user-service/v1/user").key(key).send().await?;
        if answer.status == 401 { Ok(()) } else { Err(answer.not_yet("401 Unauthorized")) }
    })
    .await
}

async fn delete_account(run: &Run, me: &Person) -> Result<(), Failure> {
    run.api.delete("/user-service/v1/user").key(&me.key).expect(204).await?;
    run.api.post("/user-service/v1/login", me.credentials()).expect(401).await?;
    is_revoked(run, &me.key).await
}

/// Whether an object has the fields that were set; it may have more.
fn has(shown: &Value, set: &Value) -> bool {
    match set.as_object() {
        Some(fields) => fields.iter().all(|(name, value)| has(&shown[name], value)),
        None => shown == set,
    }
}
