//! Prometheus with the blackbox exporter: the scrape jobs of `/probe`, and the exporter's modules.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use contract::{Assertion, Comparison};
use fields::{Foreign, Tool};

use super::imported::{
    Imported, basic_auth, duration, has_header, is_on, labels, milliseconds, parsed, set, set_header,
    status_ranges, whole_seconds,
};
use crate::{api::Value, apply::document::Endpoint, output::plain};

/// Used without `--modules`: those modules of the exporter's default file that can be converted.
const USUAL: &str = "{http_2xx: {prober: http}, http_post_2xx: {prober: http, http: {method: POST}}, tcp_connect: {prober: tcp}}";

pub fn read(text: &str, modules: Option<&str>) -> Result<Imported> {
    let config = parsed(text)?;
    let Some(jobs) = config["scrape_configs"].as_sequence() else { bail!("it has no scrape_configs") };
    let modules = match modules {
        Some(text) => parsed(text)?["modules"].clone(),
        None => parsed(USUAL)?,
    };
    if !modules.is_mapping() {
        bail!("the file of --modules has no modules");
    }
    let mut imported = Imported::default();
    for job in jobs {
        let name = plain(&job["job_name"]);
        // The job's path can be changed; the parameter `module` cannot.
        let module = plain(&job["params"]["module"][0]);
        if module.is_empty() {
            imported.skip(format!("job {name}"), "it has no parameter `module`: it does not probe");
            continue;
        }
        let others = job.as_mapping().into_iter().flatten().filter_map(|(key, _)| key.as_str());
        for discovery in others.filter(|key| key.ends_with("_sd_configs")) {
            imported.skip(format!("job {name}"), format!("targets of {discovery} are not in the file"));
        }
        let Some(template) = Template::of(&module, &modules[module.as_str()], &mut imported) else {
            imported.skip(format!("job {name}"), format!("its module {module} is not known"));
            continue;
        };
        let setting =
            |field: &str| job[field].as_str().or(config["global"][field].as_str()).and_then(duration);
        for group in job["static_configs"].as_sequence().into_iter().flatten() {
            for target in group["targets"].as_sequence().into_iter().flatten().map(plain) {
                let Some(mut endpoint) = template.endpoint(&target, &mut imported) else {
                    let prober = &template.prober;
                    let why = format!("its module {module} is of {prober}: pongpong checks {}", labels());
                    imported.skip(format!("job {name}"), why);
                    continue;
                };
                let bare = endpoint.url.split_once("://").map_or("", |(_, rest)| rest);
                endpoint.name = bare.trim_end_matches('/').to_owned();
                endpoint.interval_seconds = setting("scrape_interval").map_or(60, whole_seconds);
                if template.timeout.is_none() {
                    endpoint.timeout_ms = setting("scrape_timeout").map_or(10_000, milliseconds);
                }
                endpoint.tags.push(name.clone());
                for (label, value) in group["labels"].as_mapping().into_iter().flatten() {
                    endpoint.tags.push(format!("{}:{}", plain(label), plain(value)));
                }
                if template.needs_tls && endpoint.url.starts_with("http://") {
                    imported.differs(&endpoint.name, "that it must end up at https is left out");
                }
                imported.endpoints.push(endpoint);
            }
        }
    }
    Ok(imported)
}

/// The endpoint settings that a module gives to each target.
struct Template {
    prober: String,
    /// The module's own settings, under the name of its prober.
    settings: Value,
    /// Used for HTTP.
    endpoint: Endpoint,
    timeout: Option<f64>,
    needs_tls: bool,
}

impl Template {
    fn of(name: &str, module: &Value, imported: &mut Imported) -> Option<Self> {
        let prober = module["prober"].as_str()?.to_owned();
        let settings = module[prober.as_str()].clone();
        let timeout = module["timeout"].as_str().and_then(duration);
        let (mut endpoint, mut needs_tls) = (Endpoint::default(), false);
        let label = format!("module {name}");
        match prober.as_str() {
            "http" => needs_tls = http(&settings, &label, &mut endpoint, imported),
            "tcp" => tcp(&settings, &label, imported),
            _ => {}
        }
        Some(Self { prober, settings, endpoint, timeout, needs_tls })
    }

    fn endpoint(&self, target: &str, imported: &mut Imported) -> Option<Endpoint> {
        let mut endpoint = if self.prober == "http" {
            // As the exporter does.
            let url = if target.contains("://") { target.to_owned() } else { format!("http://{target}") };
            Endpoint { url, ..self.endpoint.clone() }
        } else {
            let mut settings = serde_json::to_value(&self.settings).unwrap_or_default();
            if !settings.is_object() {
                settings = serde_json::json!({});
            }
            settings["target"] = target.into();
            let foreign = Foreign { tool: Tool::Blackbox, kind: &self.prober, settings: &settings };
            imported.endpoint(target, &foreign)?
        };
        if let Some(seconds) = self.timeout {
            endpoint.timeout_ms = milliseconds(seconds);
        }
        Some(endpoint)
    }
}

/// Only the connection itself is checked; other settings are left out.
fn tcp(settings: &Value, label: &str, imported: &mut Imported) {
    for (field, value) in settings.as_mapping().into_iter().flatten() {
        match field.as_str().unwrap_or_default() {
            // Affects how the connection is made, not the result.
            "preferred_ip_protocol" | "ip_protocol_fallback" => {}
            "tls" if !is_on(value) => {}
            other => imported.differs(label, format!("tcp.{other} is left out")),
        }
    }
}

/// Returns whether the final URL must be https.
fn http(settings: &Value, label: &str, endpoint: &mut Endpoint, imported: &mut Imported) -> bool {
    set(endpoint, "expected_status", "200-299");
    let (mut needs_tls, mut authorization) = (false, None);
    for (field, value) in settings.as_mapping().into_iter().flatten() {
        let field = field.as_str().unwrap_or_default();
        match field {
            "method" => set(endpoint, "method", plain(value).to_uppercase()),
            "valid_status_codes" => {
                let codes: BTreeSet<u16> = value
                    .as_sequence()
                    .into_iter()
                    .flatten()
                    .filter_map(|code| code.as_u64()?.try_into().ok())
                    .collect();
                if !codes.is_empty() {
                    set(endpoint, "expected_status", status_ranges(&codes));
                }
            }
            "headers" => {
                let headers = value.as_mapping().into_iter().flatten();
                headers.for_each(|(name, value)| set_header(endpoint, &plain(name), plain(value)));
            }
            "body" => set(endpoint, "body", plain(value)),
            "follow_redirects" => set(endpoint, "follow_redirects", is_on(value)),
            "no_follow_redirects" => set(endpoint, "follow_redirects", !is_on(value)),
            "fail_if_not_ssl" => needs_tls = is_on(value),
            "tls_config" => tls(value, label, endpoint, imported),
            "basic_auth" if value.get("password_file").is_none() => {
                let (user, password) = (plain(&value["username"]), plain(&value["password"]));
                authorization = Some(basic_auth(&user, &password));
            }
            "bearer_token" => authorization = Some(format!("Bearer {}", plain(value))),
            "authorization" if value.get("credentials").is_some() => {
                let kind = value["type"].as_str().unwrap_or("Bearer");
                authorization = Some(format!("{kind} {}", plain(&value["credentials"])));
            }
            "fail_if_body_not_matches_regexp" | "fail_if_body_matches_regexp" => {
                let comparison = comparison(field);
                let regexes = value.as_sequence().into_iter().flatten().map(plain);
                endpoint.assertions.extend(regexes.map(|regex| Assertion::of("body", comparison, regex)));
            }
            "fail_if_header_not_matches" | "fail_if_header_matches" => {
                for spec in value.as_sequence().into_iter().flatten() {
                    let (header, regex) = (plain(&spec["header"]), plain(&spec["regexp"]));
                    if is_on(&spec["allow_missing"]) {
                        imported.differs(label, format!("the header {header} has to be there"));
                    }
                    if regex.contains(['^', '$']) {
                        let why = format!("several headers {header} are one here, joined by commas");
                        imported.differs(label, why);
                    }
                    endpoint.assertions.push(Assertion::of_header(&header, comparison(field), regex));
                }
            }
            // Affects how the connection is made, not the result.
            "preferred_ip_protocol" | "ip_protocol_fallback" | "enable_http2" | "enable_http3" => {}
            "fail_if_ssl" if !is_on(value) => {}
            "valid_http_versions" if value.as_sequence().is_some_and(|list| list.is_empty()) => {}
            other => imported.differs(label, format!("http.{other} is left out")),
        }
    }
    // As in the exporter, an explicit header takes precedence.
    if let (Some(authorization), false) = (authorization, has_header(endpoint, "Authorization")) {
        set_header(endpoint, "Authorization", authorization);
    }
    needs_tls
}

fn comparison(field: &str) -> Comparison {
    if field.contains("_not_") { Comparison::Matches } else { Comparison::NotMatches }
}

fn tls(config: &Value, label: &str, endpoint: &mut Endpoint, imported: &mut Imported) {
    for (field, value) in config.as_mapping().into_iter().flatten() {
        match field.as_str().unwrap_or_default() {
            "insecure_skip_verify" => set(endpoint, "verify_tls", !is_on(value)),
            "min_version" => {
                set(endpoint, "legacy_tls", matches!(plain(value).as_str(), "TLS10" | "TLS11"));
            }
            other => imported.differs(label, format!("tls_config.{other} is left out")),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn ports_are_turned_and_what_they_cannot_hold_is_told() {
        let config = "
scrape_configs:
- {job_name: ports, scrape_timeout: 4s, params: {module: [tcp_connect]}, static_configs: [{targets: ['db:5432', '[::1]:22']}]}
- {job_name: mail, params: {module: [smtp]}, static_configs: [{targets: ['mail:25']}]}
- {job_name: ping, params: {module: [icmp]}, static_configs: [{targets: [a, b]}]}
- {job_name: odd, params: {module: [odd]}, static_configs: [{targets: [a]}]}
";
        let modules = "
modules:
  tcp_connect: {prober: tcp, tcp: {preferred_ip_protocol: ip4, tls: false}}
  smtp: {prober: tcp, timeout: 5s, tcp: {tls: true, query_response: [{expect: '^220'}]}}
  icmp: {prober: icmp}
";
        let imported = read(config, Some(modules)).unwrap();
        let endpoint = |at: usize| {
            let Endpoint { name, url, kind, timeout_ms, .. } = &imported.endpoints[at];
            (name.as_str(), url.as_str(), kind.as_str(), *timeout_ms)
        };
        assert_eq!(endpoint(0), ("db:5432", "tcp://db:5432", "tcp", 4_000));
        assert_eq!(endpoint(1), ("[::1]:22", "tcp://[::1]:22", "tcp", 4_000));
        assert_eq!(endpoint(2), ("mail:25", "tcp://mail:25", "tcp", 5_000));
        assert_eq!(imported.endpoints.len(), 3);
        let notes: Vec<_> =
            imported.notes.iter().map(|note| format!("{}: {}", note.what, note.why)).collect();
        assert_eq!(
            notes,
            [
                "module smtp: tcp.tls is left out",
                "module smtp: tcp.query_response is left out",
                "job ping: its module icmp is of icmp: pongpong checks HTTP, TCP",
                "job odd: its module odd is not known",
            ]
        );
        let usual = read(config, None).unwrap();
        assert_eq!(usual.endpoints.len(), 2, "tcp_connect comes with the exporter");
    }
}
