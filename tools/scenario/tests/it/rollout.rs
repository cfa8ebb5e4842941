//! Runs infra/rollout/rollout.sh with a kubectl that simulates a cluster. In each state that the script
//! leaves a Service, Knative's webhook must accept it, and only revisions that have started may serve.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Every function runs version 0.1.0.
    fn with(functions: &[&str]) -> Self {
        let cluster = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["bin", "services", "revisions", "history"] {
            fs::create_dir(cluster.path(folder)).unwrap();
        }
        let kubectl = cluster.path("bin/kubectl");
        fs::write(&kubectl, include_str!("kubectl.sh")).unwrap();
        fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
        cluster.answers(r#"HTTP/1.1 200 OK ... [{"endpoint_id":0,"outcome":{"status":"up"}}]"#);
        for function in functions {
            cluster.apply(function, "0.1.0");
        }
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the answer of a candidate at its own URL.
    fn answers(&self, text: &str) {
        fs::write(self.path("answer"), text).unwrap();
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> (bool, String) {
        let path = std::env::var("PATH").unwrap();
        let kubectl =
            std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|file| file.exists());
        let kubectl = kubectl.expect("these tests need kubectl: it works the patches out");
        let output = Command::new(program)
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("CLUSTER", self.folder.path())
            .env("KUBECTL", kubectl)
            .output()
            .unwrap();
        let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
        (output.status.success(), text)
    }

    fn rollout(&self, arguments: &str) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/rollout/rollout.sh");
        let told = self.run(&script, &arguments.split(' ').collect::<Vec<_>>());
        self.check_history();
        told
    }

    /// Must succeed; returns the output.
    fn does(&self, arguments: &str) -> String {
        let (ok, text) = self.rollout(arguments);
        assert!(ok, "{arguments}: {text}");
        text
    }

    /// Must fail; returns the output.
    fn refuses(&self, arguments: &str) -> String {
        let (ok, text) = self.rollout(arguments);
        assert!(!ok, "{arguments}: {text}");
        text
    }

    /// As `kubectl apply` does: our manifests do not set traffic, so it stays.
    fn apply(&self, function: &str, tag: &str) {
        let file = self.path(&format!("services/{function}.json"));
        let mut service = fs::read(&file).map_or_else(
            |_| {
                fs::write(self.path(&format!("{function}.template")), "").unwrap();
                json!({
                    "apiVersion": "serving.knative.dev/v1", "kind": "Service",
                    "metadata": {"name": function, "annotations": {"serving.knative.dev/creator": "somebody"}},
                    "spec": {"traffic": [{"latestRevision": true, "percent": 100}]},
                })
            },
            |bytes| serde_json::from_slice(&bytes).unwrap(),
        );
        service["spec"]["template"] = json!({
            "metadata": {"annotations": {"autoscaling.knative.dev/initial-scale": "0"}},
            "spec": {"containers": [{
                "image": format!("registry.example.com:5000/team/pongpong:{tag}"), "args": [function],
                "env": [{"name": "LOG_LEVEL", "value": "warn"}],
            }]},
        });
        fs::write(&file, service.to_string()).unwrap();
        let (ok, text) =
            self.run(&self.path("bin/kubectl"), &["--namespace", "pongpong", "create", "ksvc", function]);
        assert!(ok, "{text}");
    }

    fn service(&self, function: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(&format!("services/{function}.json"))).unwrap()).unwrap()
    }

    fn traffic(&self, function: &str) -> Value {
        self.service(function)["spec"]["traffic"].clone()
    }

    /// Checks the rules of Knative's webhook (validateTrafficList), and ours.
    fn check_history(&self) {
        for entry in fs::read_dir(self.path("history")).unwrap() {
            let service: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
            let (mut sum, mut tags) = (0, BTreeSet::new());
            for target in service["spec"]["traffic"].as_array().unwrap() {
                for name in target.as_object().unwrap().keys() {
                    let known = ["tag", "percent", "revisionName", "latestRevision"].contains(&name.as_str());
                    assert!(known, "{name} in {service}");
                }
                let percent = target["percent"].as_i64().unwrap();
                assert!((0..=100).contains(&percent), "{service}");
                sum += percent;
                let revision = target["revisionName"].as_str();
                assert_ne!(revision.is_some(), target["latestRevision"] == true, "one of the two: {service}");
                assert!(target["tag"].as_str().is_none_or(|tag| tags.insert(tag.to_owned())), "{service}");
                if let Some(revision) = revision {
                    let starts = fs::read_to_string(self.path("revisions").join(revision)).unwrap();
                    assert_eq!(starts.trim(), "yes", "{revision} does not start: {service}");
                }
            }
            assert_eq!(sum, 100, "{service}");
            assert!(service["spec"]["template"]["metadata"]["name"].is_null(), "{service}");
            let container = &service["spec"]["template"]["spec"]["containers"][0];
            assert!(container["args"][0] == service["metadata"]["name"] && container["env"][0].is_object());
        }
    }
}

fn share(revision: &str, percent: u32) -> Value {
    json!({"revisionName": revision, "percent": percent})
}

fn candidate(revision: &str, percent: u32) -> Value {
    json!({"revisionName": revision, "percent": percent, "tag": "candidate"})
}

fn latest() -> Value {
    json!([{"latestRevision": true, "percent": 100}])
}

#[test]
fn a_canary_is_promoted() {
    let cluster = Cluster::with(&["check-run", "web"]);
    let said = cluster.does("canary web 0.2.0");
    assert!(said.contains("web-00001 90 %, candidate web-00002 10 %"), "{said}");
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 90), candidate("web-00002", 10)]));
    assert_eq!(cluster.traffic("check-run"), latest(), "only what was asked for");
    let template = &cluster.service("web")["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], "registry.example.com:5000/team/pongpong:0.2.0");
    assert_eq!(template["metadata"]["annotations"]["autoscaling.knative.dev/initial-scale"], "1");

    // Again with a larger share: the candidate keeps its traffic in between.
    let before = fs::read_dir(cluster.path("history")).unwrap().count();
    cluster.does("canary web 0.2.0 50");
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 50), candidate("web-00002", 50)]));
    assert_eq!(fs::read_dir(cluster.path("history")).unwrap().count(), before + 1);
    assert!(cluster.refuses("canary web 0.3.0").contains("has a candidate already"));
    assert!(cluster.refuses("hold web").contains("has a candidate"));
    assert!(cluster.does("status all").contains("web-00001 50 %, candidate web-00002 50 %"));

    let said = cluster.does("promote web");
    assert!(said.contains("web-00002 100 % (before: web-00001)"), "{said}");
    assert_eq!(cluster.traffic("web"), latest());
    assert!(cluster.does("canary web 0.2.0").contains("has 0.2.0 already"));
    assert!(cluster.refuses("promote web").contains("has no candidate"));
    assert!(cluster.refuses("canary nothing 0.2.0").contains("not found"));
}

#[test]
fn a_roll_back_takes_a_candidate_back_once() {
    let cluster = Cluster::with(&["check-run", "web"]);
    cluster.does("canary all 0.2.0");
    cluster.does("promote all");
    cluster.does("canary all 0.3.0");
    let said = cluster.does("rollback all");
    assert!(said.contains("web-00002 100 % (candidate web-00003 had 10 %)"), "{said}");
    assert!(said.contains("Taken back."), "{said}");
    assert_eq!(cluster.traffic("web"), json!([share("web-00002", 100)]));
    let said = cluster.does("rollback all");
    assert!(said.contains("web-00002 100 %: there is nothing to take back"), "{said}");
    assert_eq!(cluster.traffic("check-run"), json!([share("check-run-00002", 100)]));
    let said = cluster.does("status web");
    assert!(said.contains("held there: web-00003 gets nothing"), "{said}");

    // A new revision serves no traffic before its canary.
    cluster.apply("web", "0.3.1");
    assert_eq!(cluster.traffic("web"), json!([share("web-00002", 100)]));
    cluster.does("canary web 0.3.1");
    assert_eq!(cluster.traffic("web"), json!([share("web-00002", 90), candidate("web-00004", 10)]));
    cluster.does("promote web");
    assert_eq!(cluster.traffic("web"), latest());
}

#[test]
fn a_roll_back_takes_back_what_was_promoted() {
    let cluster = Cluster::with(&["check-run", "web"]);
    cluster.does("canary all 0.2.0");
    cluster.does("promote web");
    let said = cluster.does("rollback all");
    assert!(said.contains("web-00001 100 % (web-00002 had it)"), "{said}");
    assert!(said.contains("check-run-00001 100 % (candidate check-run-00002 had 10 %)"), "{said}");
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 100)]));
    assert!(cluster.refuses("rollback web").contains("nothing to take back"), "once");

    // The same version once more.
    cluster.does("canary all 0.2.0");
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 90), candidate("web-00002", 10)]));
    cluster.does("promote all");
    fs::remove_file(cluster.path("revisions/web-00001")).unwrap();
    fs::remove_dir_all(cluster.path("history")).unwrap();
    fs::create_dir(cluster.path("history")).unwrap();
    let said = cluster.refuses("rollback all");
    assert!(said.contains("web-00001 is no more: canary web with the tag that it had"), "{said}");
    assert_eq!(
        cluster.traffic("check-run"),
        json!([share("check-run-00001", 100)]),
        "the others are taken back"
    );
}

#[test]
fn two_versions_are_not_taken_back_at_once() {
    let cluster = Cluster::with(&["check-run", "web"]);
    cluster.does("canary all 0.2.0");
    cluster.does("promote all");
    cluster.does("canary web 0.3.0");
    let said = cluster.refuses("rollback all");
    assert!(said.contains("1 0.2.0") && said.contains("1 0.3.0"), "{said}");
    assert_eq!(cluster.traffic("check-run"), latest(), "nothing is touched");
    cluster.does("rollback web");
    assert_eq!(cluster.traffic("web"), json!([share("web-00002", 100)]));
}

#[test]
fn what_does_not_start_gets_nothing() {
    let cluster = Cluster::with(&["check-run", "web"]);
    let said = cluster.refuses("canary all broken");
    assert!(
        said.contains("broken does not start, and gets nothing: container exited with 1 (ImagePullBackOff:"),
        "{said}"
    );
    assert!(said.contains("Stopped."), "{said}");
    assert_eq!(cluster.traffic("check-run"), json!([share("check-run-00001", 100)]));
    assert_eq!(cluster.traffic("web"), latest(), "it stopped at the first one");
    cluster.does("canary all 0.2.0");
    assert_eq!(
        cluster.traffic("check-run"),
        json!([share("check-run-00001", 90), candidate("check-run-00003", 10)])
    );
}

#[test]
fn what_is_applied_while_it_is_held_is_the_candidate() {
    let cluster = Cluster::with(&["check-run", "web"]);
    cluster.does("hold all");
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 100)]));
    cluster.apply("web", "0.2.0");
    cluster.apply("check-run", "0.2.0");
    // Knative started no pod of it, so the script sends a request itself.
    cluster.answers("HTTP/1.1 503 Service Unavailable");
    assert!(cluster.refuses("canary web 0.2.0").contains("does not answer as it should: HTTP/1.1 503"));
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 100)]));
    cluster.answers(r#"HTTP/1.1 200 OK ... "status":"up""#);
    cluster.does("canary all 0.2.0 20");
    assert_eq!(
        fs::read_to_string(cluster.path("asked")).unwrap().lines().last().unwrap(),
        "http://candidate-web.pongpong.svc.cluster.local/ready"
    );
    assert_eq!(cluster.traffic("web"), json!([share("web-00001", 80), candidate("web-00002", 20)]));
    cluster.apply("web", "0.2.1");
    let said = cluster.refuses("promote all");
    assert!(said.contains("was changed after the candidate web-00002 was made (web-00003)"), "{said}");
    assert_eq!(cluster.traffic("check-run"), latest());
}

#[test]
fn the_prober_is_tried_by_its_own_url_before_it_gets_anything() {
    let cluster = Cluster::with(&["check-run", "web"]);
    let said = cluster.does("blue-green check-run 0.2.0");
    assert!(said.contains("check-run-00001 100 %, candidate check-run-00002 0 %"), "{said}");
    assert!(said.contains("the candidate answers as it should"), "{said}");
    assert!(said.contains("check-run-00002 100 % (before: check-run-00001)"), "{said}");
    assert_eq!(cluster.traffic("check-run"), latest());

    let asked = fs::read_to_string(cluster.path("asked")).unwrap();
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!(asked.last(), Some(&"http://candidate-check-run.pongpong.svc.cluster.local/"), "{asked:?}");
    assert!(asked.contains(&"ce-type: io.pongpong.check.requested.v1"), "{asked:?}");
    let data = asked.iter().position(|argument| *argument == "--data").unwrap();
    let checks: Value = serde_json::from_str(asked[data + 1]).unwrap();
    assert_eq!(checks[0]["target"]["url"], "https://example.com/");
    let pod: Value = serde_json::from_slice(&fs::read(cluster.path("pod.json")).unwrap()).unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "{pod}");
    assert!(
        containers[0]["image"].is_string() && pod["spec"]["securityContext"]["runAsNonRoot"] == true,
        "{pod}"
    );
    assert_eq!(containers[0]["securityContext"]["readOnlyRootFilesystem"], true);

    cluster.answers("curl: (28) Operation timed out");
    let said = cluster.refuses("blue-green check-run 0.3.0");
    assert!(said.contains("does not answer as it should: curl: (28) Operation timed out"), "{said}");
    assert_eq!(cluster.traffic("check-run"), json!([share("check-run-00002", 100)]));
}

#[test]
fn who_calls_it_wrongly_is_told_how() {
    let cluster = Cluster::with(&["web"]);
    for arguments in ["", "status", "canary web", "canary web 0.2.0 100", "canary web 0.2.0 ten", "fly web"] {
        assert!(cluster.refuses(arguments).contains("usage: "), "{arguments}");
    }
    assert_eq!(cluster.traffic("web"), latest());
}

/// Only where shellcheck is installed (it is one of the test packages).
#[test]
fn shellcheck_finds_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = [
        "../../infra/rollout/rollout.sh",
        "../../infra/deploy",
        "../../infra/undeploy",
        "tests/it/kubectl.sh",
    ];
    let scripts = scripts.map(|script| folder.join(script));
    match Command::new("shellcheck").args(scripts).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("not checked: {error}"),
    }
}
