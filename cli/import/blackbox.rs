//! Prometheus with the blackbox exporter: the scrape jobs of `/probe`, and the exporter's modules.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use contract::{Assertion, Comparison};

use super::{Imported, basic_auth, duration, is_on, milliseconds, parsed, status_ranges, whole_seconds};
use crate::{api::Value, apply::document::Endpoint, output::plain};

/// The two that come with the exporter, for whoever does not give the modules.
const USUAL: &str = "{http_2xx: {prober: http}, http_post_2xx: {prober: http, http: {method: POST}}}";

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
        // Its path is up to people, the parameter is not.
        let module = plain(&job["params"]["module"][0]);
        if module.is_empty() {
            imported.skip(format!("job {name}"), "it has no parameter `module`: it does not probe");
            continue;
        }
        let others = job.as_mapping().into_iter().flatten().filter_map(|(key, _)| key.as_str());
        for discovery in others.filter(|key| key.ends_with("_sd_configs")) {
            imported.skip(format!("job {name}"), format!("targets of {discovery} are not in the file"));
        }
        let Some(template) = of_module(&module, &modules[module.as_str()], &mut imported) else {
            imported.skip(format!("job {name}"), format!("its module {module} is not of HTTP, or not known"));
            continue;
        };
        let setting =
            |field: &str| job[field].as_str().or(config["global"][field].as_str()).and_then(duration);
        for group in job["static_configs"].as_sequence().into_iter().flatten() {
            for target in group["targets"].as_sequence().into_iter().flatten().map(plain) {
                let mut endpoint = template.endpoint.clone();
                // As the exporter does.
                endpoint.url =
                    if target.contains("://") { target.clone() } else { format!("http://{target}") };
                let bare = endpoint.url.split_once("://").map_or("", |(_, rest)| rest);
                endpoint.name = bare.trim_end_matches('/').to_owned();
                endpoint.interval_seconds = setting("scrape_interval").map_or(60, whole_seconds);
                if !template.has_timeout {
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

struct Template {
    endpoint: Endpoint,
    has_timeout: bool,
    needs_tls: bool,
}

fn of_module(name: &str, module: &Value, imported: &mut Imported) -> Option<Template> {
    if module["prober"].as_str() != Some("http") {
        return None;
    }
    let label = format!("module {name}");
    let mut endpoint = Endpoint { expected_status: "200-299".to_owned(), ..Endpoint::default() };
    let timeout = module["timeout"].as_str().and_then(duration);
    if let Some(seconds) = timeout {
        endpoint.timeout_ms = milliseconds(seconds);
    }
    let mut needs_tls = false;
    for (field, value) in module["http"].as_mapping().into_iter().flatten() {
        let field = field.as_str().unwrap_or_default();
        match field {
            "method" => endpoint.method = plain(value).to_uppercase(),
            "valid_status_codes" => {
                let codes: BTreeSet<u16> = value
                    .as_sequence()
                    .into_iter()
                    .flatten()
                    .filter_map(|code| code.as_u64()?.try_into().ok())
                    .collect();
                if !codes.is_empty() {
                    endpoint.expected_status = status_ranges(&codes);
                }
            }
            "headers" => {
                let headers = value.as_mapping().into_iter().flatten();
                endpoint.headers.extend(headers.map(|(name, value)| (plain(name), plain(value))));
            }
            "body" => endpoint.body = Some(plain(value)),
            "follow_redirects" => endpoint.follow_redirects = is_on(value),
            "no_follow_redirects" => endpoint.follow_redirects = !is_on(value),
            "fail_if_not_ssl" => needs_tls = is_on(value),
            "tls_config" => tls(value, &label, &mut endpoint, imported),
            "basic_auth" if value.get("password_file").is_none() => {
                let (user, password) = (plain(&value["username"]), plain(&value["password"]));
                endpoint.headers.insert("Authorization".to_owned(), basic_auth(&user, &password));
            }
            "bearer_token" => {
                endpoint.headers.insert("Authorization".to_owned(), format!("Bearer {}", plain(value)));
            }
            "authorization" if value.get("credentials").is_some() => {
                let kind = value["type"].as_str().unwrap_or("Bearer");
                endpoint
                    .headers
                    .insert("Authorization".to_owned(), format!("{kind} {}", plain(&value["credentials"])));
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
                        imported.differs(&label, format!("the header {header} has to be there"));
                    }
                    if regex.contains(['^', '$']) {
                        let why = format!("several headers {header} are one here, joined by commas");
                        imported.differs(&label, why);
                    }
                    endpoint.assertions.push(Assertion::of_header(&header, comparison(field), regex));
                }
            }
            // How it gets there, not whether it is fine.
            "preferred_ip_protocol" | "ip_protocol_fallback" | "enable_http2" | "enable_http3" => {}
            "fail_if_ssl" if !is_on(value) => {}
            "valid_http_versions" if value.as_sequence().is_some_and(|list| list.is_empty()) => {}
            other => imported.differs(&label, format!("http.{other} is left out")),
        }
    }
    Some(Template { endpoint, has_timeout: timeout.is_some(), needs_tls })
}

fn comparison(field: &str) -> Comparison {
    if field.contains("_not_") { Comparison::Matches } else { Comparison::NotMatches }
}

fn tls(config: &Value, label: &str, endpoint: &mut Endpoint, imported: &mut Imported) {
    for (field, value) in config.as_mapping().into_iter().flatten() {
        match field.as_str().unwrap_or_default() {
            "insecure_skip_verify" => endpoint.verify_tls = !is_on(value),
            "min_version" => endpoint.legacy_tls = matches!(plain(value).as_str(), "TLS10" | "TLS11"),
            other => imported.differs(label, format!("tls_config.{other} is left out")),
        }
    }
}
