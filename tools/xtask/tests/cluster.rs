//! Checks everything that an operator applies, without a cluster: the API server accepts every object of
//! every overlay and component, and every reference points to an existing object.

mod kinds;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde::Deserialize;
use serde_norway::Value;

/// A copy of the manifests, with secrets, which are not in the repository.
static COPY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let copy = tempfile::tempdir().expect("a directory");
    run(Command::new("cp").arg("-a").args(["knative", "infra"]).arg(copy.path()).current_dir(xtask::root()));
    for overlay in OVERLAYS {
        run(Command::new(copy.path().join("infra/secrets"))
            .arg(overlay)
            .env("POSTGRES", "db.example.com:5432")
            .env("SMTP_URL", "smtps://me:secret@mail.example.com"));
    }
    copy
});

const OVERLAYS: &[&str] = &["dev", "prod"];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn tool(name: &str) -> Command {
    let path = xtask::root().join("target/test-tools/bin").join(name);
    assert!(path.exists(), "{} is not there: run `make test-packages`", path.display());
    Command::new(path)
}

fn render(folder: &Path) -> String {
    run(tool("kubectl").arg("kustomize").arg(folder))
}

/// Every folder that can be applied by itself.
fn appliable() -> Vec<PathBuf> {
    folders("kind: Kustomization")
}

/// Every folder with a kustomization of a kind.
fn folders(kind: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            // Folders that tests created are not part of the project.
            if entry.is_dir() && !entry.ends_with("with") {
                walk(&entry, kind, found);
            } else if entry.file_name().is_some_and(|name| name == "kustomization.yaml") {
                let text = fs::read_to_string(&entry).expect("text");
                if text.contains(kind) {
                    found.push(folder.to_owned());
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(COPY.path(), kind, &mut found);
    found.sort();
    found
}

/// An overlay with a component added to it, as an operator would.
fn with_component(overlay: &str, component: &Path) -> PathBuf {
    let name =
        component.strip_prefix(COPY.path()).expect("in the copy").display().to_string().replace('/', "-");
    let folder = COPY.path().join("with").join(format!("{overlay}-{name}"));
    fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../knative/overlays/{overlay}]\n\
         components: [../../{}]\n",
        component.strip_prefix(COPY.path()).expect("in the copy").display()
    );
    fs::write(folder.join("kustomization.yaml"), text).expect("writes");
    folder
}

fn documents(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text).map(|d| Value::deserialize(d).expect("YAML")).collect()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    let found = path.split('/').try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_str).unwrap_or_default()
}

fn is(object: &Value, api_version: &str, kind: &str) -> bool {
    text(object, "apiVersion") == api_version && text(object, "kind") == kind
}

fn overlay(name: &str) -> Vec<Value> {
    documents(&render(&COPY.path().join("knative/overlays").join(name)))
}

#[test]
fn every_object_is_one_that_its_server_takes() {
    let mut wrong: Vec<_> = appliable().iter().flat_map(|folder| refused_of(folder)).collect();
    for file in BY_HAND {
        wrong.extend(refused(file, &fs::read_to_string(COPY.path().join(file)).expect(file)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_component_fits_the_overlays() {
    let components = folders("kind: Component");
    assert!(!components.is_empty());
    for overlay in OVERLAYS {
        // Production's Broker uses Kafka already.
        let others = components.iter().filter(|c| !(*overlay == "prod" && c.ends_with("kafka/broker")));
        let wrong: Vec<_> =
            others.flat_map(|component| refused_of(&with_component(overlay, component))).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

fn refused_of(folder: &Path) -> Vec<String> {
    refused(&folder.strip_prefix(COPY.path()).expect("in the copy").display().to_string(), &render(folder))
}

/// Files that no kustomization lists.
const BY_HAND: &[&str] = &[
    "infra/gitops/dev.yaml",
    "infra/gitops/prod.yaml",
    "infra/istio/fault.yaml",
    "infra/knative/eventing-observability.yaml",
    "infra/knative/serving-autoscaler.yaml",
    "infra/knative/serving-features.yaml",
    "infra/knative/serving-observability.yaml",
];

/// The reasons for which a server would refuse these objects.
fn refused(place: &str, yaml: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut own = String::new();
    for object in documents(yaml) {
        let (version, kind) = (text(&object, "apiVersion"), text(&object, "kind"));
        match kinds::check_of(version, kind) {
            // knative/base has no settings and no image: the overlays add them.
            Some(_) if place.starts_with("knative/base") => {}
            Some(check) => {
                if let Err(error) = check(&object) {
                    wrong.push(format!("{place}: {kind} {}: {error}", text(&object, "metadata/name")));
                }
            }
            // As JSON: the validator reads YAML's `off` as false.
            None => own += &format!("---\n{}\n", serde_json::to_string(&object).expect("JSON")),
        }
    }
    if !own.is_empty() {
        let file = COPY.path().join(format!("own-{}.yaml", place.replace('/', "-")));
        fs::write(&file, own).expect("writes");
        let output = tool("kubernetes-validate").arg("--strict").arg(&file).output().expect("runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        wrong.extend(said.lines().filter(|l| !l.starts_with("INFO")).map(|line| format!("{place}: {line}")));
    }
    wrong
}

/// A patch can replace more than intended if it names a whole list or map.
#[test]
fn components_add_to_an_overlay_and_keep_the_rest() {
    let folder = tempfile::tempdir_in(COPY.path().parent().expect("a parent")).expect("a directory");
    let copy = COPY.path().file_name().and_then(|name| name.to_str()).expect("a name");
    let together = format!(
        "resources: [../{copy}/knative/overlays/prod]
components: [../{copy}/infra/istio/sidecars, ../{copy}/infra/gitops/waves]"
    );
    fs::write(folder.path().join("kustomization.yaml"), together).expect("writes");
    let yaml = render(folder.path());
    assert_eq!(refused("together", &yaml), Vec::<String>::new());
    let objects = documents(&yaml);
    let annotation = |object: &Value, name: &str| {
        let found = object.get("metadata").and_then(|m| m.get("annotations")?.get(name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    for object in &objects {
        let kind = text(object, "kind");
        let hook = annotation(object, "argocd.argoproj.io/hook");
        assert_eq!(hook, if kind == "Job" { "Sync" } else { "" }, "{object:?}");
        if kind == "Broker" {
            assert_eq!(annotation(object, "eventing.knative.dev/broker.class"), "Kafka");
            assert_eq!(annotation(object, "argocd.argoproj.io/sync-wave"), "3");
        }
        if kind == "Namespace" {
            assert_eq!(text(object, "metadata/labels/istio-injection"), "enabled");
        }
    }
    let around: Vec<_> = objects
        .iter()
        .filter(|object| {
            let template =
                object.get("spec").and_then(|s| s.get("template")?.get("metadata")?.get("annotations"));
            template.is_some_and(|a| a.get("traffic.sidecar.istio.io/includeOutboundIPRanges").is_some())
        })
        .map(|object| text(object, "metadata/name"))
        .collect();
    let probes = |function: &&runtime::Function| {
        let mut read = function.reads.iter().copied().flatten();
        read.any(|name| ["CHECK_CONCURRENCY", "DEMO_CHECKS"].contains(name))
    };
    let mut probers: Vec<_> = functions::ALL.iter().filter(probes).map(|function| function.name).collect();
    probers.sort_unstable();
    assert_eq!(around, probers);
}

/// ConfigMaps and Secrets with their keys.
fn kept(objects: &[Value]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut kept = BTreeMap::new();
    for object in objects {
        let kind = text(object, "kind");
        if kind == "ConfigMap" || kind == "Secret" {
            let keys = ["data", "binaryData", "stringData"]
                .iter()
                .filter_map(|part| object.get(part)?.as_mapping())
                .flat_map(|map| map.keys().filter_map(Value::as_str).map(str::to_owned));
            kept.insert((kind.to_owned(), text(object, "metadata/name").to_owned()), keys.collect());
        }
    }
    kept
}

/// Every reference to a ConfigMap or a Secret: its name, the keys, and whether it is optional.
fn references(value: &Value, found: &mut Vec<(String, String, Vec<String>, bool)>) {
    if let Value::Mapping(map) = value {
        for (key, inner) in map {
            let (kind, name) = match key.as_str().unwrap_or_default() {
                "configMapKeyRef" | "configMapRef" | "configMap" => ("ConfigMap", "name"),
                "secretKeyRef" | "secretRef" => ("Secret", "name"),
                "secret" => ("Secret", "secretName"),
                _ => ("", ""),
            };
            let named = if kind.is_empty() { "" } else { text(inner, name) };
            if !named.is_empty() {
                let items = inner.get("items").and_then(Value::as_sequence).cloned().unwrap_or_default();
                let keys = items.iter().chain([inner]).map(|item| text(item, "key").to_owned());
                let optional = inner.get("optional").and_then(Value::as_bool).unwrap_or(false);
                let keys = keys.filter(|key| !key.is_empty()).collect();
                found.push((kind.to_owned(), named.to_owned(), keys, optional));
            }
            references(inner, found);
        }
    } else if let Value::Sequence(items) = value {
        items.iter().for_each(|item| references(item, found));
    }
}

#[test]
fn what_is_referred_to_exists() {
    let mut wrong = Vec::new();
    let whole = ["knative/overlays/dev", "knative/overlays/prod", "infra/monitoring", "infra/logging"];
    for name in whole {
        let objects = documents(&render(&COPY.path().join(name)));
        let kept = kept(&objects);
        for object in &objects {
            let place = format!("{name}: {} {}", text(object, "kind"), text(object, "metadata/name"));
            let mut found = Vec::new();
            references(object, &mut found);
            for (kind, named, keys, optional) in found {
                match kept.get(&(kind.clone(), named.clone())) {
                    None if optional && keys.is_empty() => {}
                    None => wrong.push(format!("{place}: there is no {kind} {named}")),
                    Some(there) => wrong.extend(
                        keys.iter()
                            .filter(|key| !optional && !there.contains(*key))
                            .map(|key| format!("{place}: {kind} {named} has no {key}")),
                    ),
                }
            }
        }
        // Settings that no function reads: typing mistakes.
        let settings = kept.iter().find(|((_, name), _)| name.starts_with("pongpong-"));
        let Some((_, settings)) = settings else { continue };
        let names: BTreeSet<_> = functions::ALL.iter().flat_map(|f| f.settings()).collect();
        let others = [
            "DOMAIN",
            "FUNCTION_URL",
            "LOG_LEVEL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
        ];
        let unknown =
            settings.iter().filter(|key| !names.contains(key.as_str()) && !others.contains(&key.as_str()));
        wrong.extend(unknown.map(|key| format!("{name}: no function has a setting {key}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_has_one_service_and_triggers_and_jobs_call_those() {
    for name in OVERLAYS {
        let objects = overlay(name);
        let of =
            |version: &str, kind: &str| objects.iter().filter(|o| is(o, version, kind)).collect::<Vec<_>>();
        let mut services: Vec<_> = of("serving.knative.dev/v1", "Service")
            .iter()
            .map(|o| text(o, "metadata/name").to_owned())
            .collect();
        services.sort();
        let mut all: Vec<_> = functions::ALL.iter().map(|f| f.name.to_owned()).collect();
        all.sort();
        assert_eq!(services, all, "{name}");
        let triggers = of("eventing.knative.dev/v1", "Trigger");
        assert_eq!(triggers.len(), functions::ALL.iter().map(|f| f.subscriptions.len()).sum::<usize>());
        for trigger in triggers {
            for sink in ["spec/subscriber/ref/name", "spec/delivery/deadLetterSink/ref/name"] {
                assert!(services.iter().any(|s| s == text(trigger, sink)), "{name}: {trigger:?}");
            }
        }
        // kong.yml is in a ConfigMap, for the Job that loads it.
        let files =
            objects.iter().find(|o| text(o, "metadata/name").starts_with("kong-files")).expect("kong.yml");
        let routes = &documents(text(files, "data/kong.yml"))[0];
        for service in routes.get("services").and_then(Value::as_sequence).expect("services") {
            let url = text(service, "url");
            let function =
                url.strip_prefix("http://").and_then(|u| u.strip_suffix(".pongpong.svc.cluster.local"));
            assert!(services.iter().any(|s| Some(s.as_str()) == function), "{name}: {url}");
        }
        let jobs = of("batch/v1", "CronJob");
        let mut triggered: Vec<_> = jobs
            .iter()
            .map(|job| {
                let pod = job
                    .get("spec")
                    .and_then(|s| s.get("jobTemplate")?.get("spec")?.get("template")?.get("spec"));
                let args =
                    pod.and_then(|p| p.get("containers")?.get(0)?.get("args")?.as_sequence()).expect("args");
                args.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            })
            .collect();
        triggered.sort();
        let cron = functions::ALL.iter().filter(|f| f.cron.is_some());
        let mut expected: Vec<_> = cron.map(|f| format!("trigger {}", f.name)).collect();
        expected.sort();
        assert_eq!(triggered, expected, "{name}");
    }
}

fn scale(service: &Value, which: &str) -> u32 {
    let key = format!("autoscaling.knative.dev/{which}");
    let annotations =
        service.get("spec").and_then(|s| s.get("template")?.get("metadata")?.get("annotations"));
    annotations.and_then(|a| a.get(key.as_str())?.as_str()?.parse().ok()).expect("a number")
}

fn visibility(service: &Value) -> Option<&str> {
    service.get("metadata")?.get("labels")?.get("networking.knative.dev/visibility")?.as_str()
}

#[test]
fn who_asks_nobody_who_they_are_is_reached_from_within_only() {
    for service in overlay("dev").iter().filter(|o| is(o, "serving.knative.dev/v1", "Service")) {
        let public = ["api", "web"].contains(&text(service, "metadata/labels/type"));
        assert_eq!(visibility(service), (!public).then_some("cluster-local"), "{service:?}");
    }
}

#[test]
fn production_is_closed_and_its_alarms_are_warm() {
    let services = |name| overlay(name).into_iter().filter(|o| is(o, "serving.knative.dev/v1", "Service"));
    for (service, base) in services("prod").zip(services("dev")) {
        let name = text(&service, "metadata/name");
        assert_eq!(name, text(&base, "metadata/name"));
        assert_eq!(visibility(&service), Some("cluster-local"), "{name}");
        // Production must not flood a mail server either.
        assert_eq!(scale(&service, "max-scale"), scale(&base, "max-scale"), "{name}");
        let warm = match text(&service, "metadata/labels/type") {
            "prober" | "sender" | "event" => 2,
            _ if ["endpoint-private-claim", "endpoint-list", "user-login", "web"].contains(&name) => 2,
            _ if name == "check-schedule" => 1,
            _ => 0,
        };
        assert_eq!(scale(&service, "min-scale"), warm, "{name}");
    }
}

/// With a socket, PgBouncer would not start: its folder is not writable.
#[test]
fn pgbouncer_has_no_socket() {
    let ini = fs::read_to_string(xtask::root().join("infra/pgbouncer/pgbouncer.ini")).expect("the file");
    assert!(ini.lines().any(|line| line.trim() == "unix_socket_dir ="));
}

#[test]
fn no_image_is_of_whatever_version() {
    fn images(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Mapping(map) => map.iter().for_each(|(key, inner)| {
                if let (Some("image"), Some(image)) = (key.as_str(), inner.as_str()) {
                    found.insert(image.to_owned());
                }
                images(inner, found);
            }),
            Value::Sequence(items) => items.iter().for_each(|item| images(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    appliable().iter().flat_map(|folder| documents(&render(folder))).for_each(|o| images(&o, &mut found));
    for image in found.iter().filter(|image| *image != "pongpong") {
        let (name, tag) = image.rsplit_once(':').unwrap_or((image, ""));
        assert!(name.contains('/') && !tag.is_empty() && !tag.starts_with("latest"), "{image}");
    }
}
