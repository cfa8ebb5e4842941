//! The content of a file, in the terms of the API; endpoints are referred to by name.

use contract::Assertion;
use fields::Field;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_norway::Mapping;

use crate::{
    api::{self, Kind, Value},
    endpoint::kind_of,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Endpoints,
    Notifications,
    StatusPages,
    Maintenances,
}

impl Section {
    /// In the order of creation: a section comes after those it refers to.
    pub const ALL: [Self; 4] = [Self::Endpoints, Self::Notifications, Self::StatusPages, Self::Maintenances];

    pub fn key(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Notifications => "notifications",
            Self::StatusPages => "status_pages",
            Self::Maintenances => "maintenances",
        }
    }

    pub fn kind(self) -> &'static Kind {
        match self {
            Self::Endpoints => &api::ENDPOINT,
            Self::Notifications => &api::NOTIFICATION,
            Self::StatusPages => &api::STATUS_PAGE,
            Self::Maintenances => &api::MAINTENANCE,
        }
    }

    /// The object's name or title in a file.
    pub fn name_of(self, object: &Mapping) -> &str {
        let field = if matches!(self, Self::Endpoints | Self::Notifications) { "name" } else { "title" };
        object.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// An absent field means its default, so the file describes the whole object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    pub name: String,
    pub url: String,
    /// Empty: the kind of the URL's scheme.
    pub kind: String,
    pub config: Mapping,
    pub interval_seconds: u32,
    pub timeout_ms: u32,
    #[serde(deserialize_with = "contract::strict_assertions")]
    pub assertions: Vec<Assertion>,
    /// `None`: the kind's default for this config.
    pub retries: Option<u32>,
    pub failure_threshold: u32,
    pub success_threshold: u32,
    pub enabled: bool,
    pub tags: Vec<String>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            kind: String::new(),
            config: Mapping::new(),
            interval_seconds: 60,
            timeout_ms: 10_000,
            assertions: Vec::new(),
            retries: None,
            failure_threshold: 2,
            success_threshold: 1,
            enabled: true,
            tags: Vec::new(),
        }
    }
}

impl Endpoint {
    /// Without fields that have their default. Fields that only the server knows are kept.
    pub fn brief(mut self) -> Mapping {
        if let Some(kind) = kind_of(&self.kind, &self.url) {
            brief_config(kind.fields, &mut self.config);
            let config = serde_json::to_value(&self.config).unwrap_or_default();
            if self.retries == Some(kind.default_retries(&config).into()) {
                self.retries = None;
            }
            if kind_of("", &self.url).is_some_and(|usual| usual.name == kind.name) {
                self.kind.clear();
            }
        }
        brief(&self)
    }
}

/// Removes fields that are empty or have the kind's default.
pub fn brief_config(fields: &[Field], config: &mut Mapping) {
    let is_usual = |field: &Field, value: &Value| {
        let is_empty = *value == "" || value.as_mapping().is_some_and(Mapping::is_empty);
        let value = serde_json::to_value(value).ok();
        value.as_ref().is_some_and(serde_json::Value::is_null)
            || !field.is_required && is_empty
            || value.is_some() && value == field.default.value()
    };
    config.retain(|name, value| {
        let field = fields.iter().find(|field| *name == *field.name);
        field.is_none_or(|field| !is_usual(field, value))
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notification {
    pub name: String,
    pub kind: String,
    pub config: Mapping,
    /// `None`: all endpoints.
    pub endpoints: Option<Vec<String>>,
    pub send_degraded: bool,
    pub enabled: bool,
}

impl Default for Notification {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: String::new(),
            config: Mapping::new(),
            endpoints: None,
            send_degraded: true,
            enabled: true,
        }
    }
}

impl Notification {
    /// Without fields that have their default.
    pub fn brief(mut self) -> Mapping {
        if let Some(kind) = channels::Kind::find(&self.kind) {
            brief_config(kind.fields, &mut self.config);
        }
        brief(&self)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusPage {
    pub title: String,
    /// `None`: the server makes one.
    pub slug: Option<String>,
    pub description: String,
    pub groups: Vec<Group>,
    pub published: bool,
}

impl Default for StatusPage {
    fn default() -> Self {
        Self {
            title: String::new(),
            slug: None,
            description: String::new(),
            groups: Vec::new(),
            published: true,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    pub name: String,
    pub endpoints: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Maintenance {
    pub title: String,
    pub description: String,
    /// `None`: at once.
    pub starts_at: Option<String>,
    pub ends_at: String,
    pub endpoints: Option<Vec<String>>,
}

/// All fields, including those that have their default.
pub fn whole(object: &impl Serialize) -> Mapping {
    match serde_norway::to_value(object) {
        Ok(Value::Mapping(fields)) => fields,
        // `object` is always a struct.
        _ => Mapping::new(),
    }
}

/// Without fields that have their default.
pub fn brief<T: Serialize + Default>(object: &T) -> Mapping {
    let defaults = whole(&T::default());
    whole(object).into_iter().filter(|(name, value)| defaults.get(name) != Some(value)).collect()
}

/// Only the fields that `T` has: the API returns more fields than can be set.
pub fn known<T: DeserializeOwned + Serialize + Default>(object: &Value) -> Result<T, serde_norway::Error> {
    let names = whole(&T::default());
    let fields = object.as_mapping().cloned().unwrap_or_default();
    let fields: Mapping = fields.into_iter().filter(|(name, _)| names.contains_key(name)).collect();
    serde_norway::from_value(Value::Mapping(fields))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// A field that a file leaves out gets the API's default: the two must agree.
    #[test]
    fn the_defaults_are_those_of_the_api() {
        let spec = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/public-spec.yaml"));
        let spec: Value = serde_norway::from_str(&spec.unwrap()).unwrap();
        let settings = spec["components"]["schemas"]["Settings"]["properties"].as_mapping().unwrap().clone();
        let ours = whole(&Endpoint::default());
        let names = |of: &Mapping| {
            of.keys().map(|name| name.as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&ours), names(&settings));
        for (name, schema) in &settings {
            if let Some(default) = schema.get("default") {
                assert_eq!(&ours[name], default, "{name:?}");
            }
        }
    }

    #[test]
    fn a_brief_object_reads_as_the_whole() {
        let endpoint = Endpoint { name: "Shop".into(), retries: Some(0), ..Endpoint::default() };
        let brief = endpoint.clone().brief();
        assert_eq!(brief.len(), 2);
        assert_eq!(serde_norway::from_value::<Endpoint>(Value::Mapping(brief)).unwrap(), endpoint);
    }

    fn brief_of(yaml: &str) -> Value {
        let endpoint: Endpoint = serde_norway::from_str(yaml).unwrap();
        Value::Mapping(endpoint.brief())
    }

    #[test]
    fn brief_leaves_out_the_defaults_of_the_kind() {
        for (whole, brief) in [
            ("{url: 'https://a/', kind: http, retries: 1}", "{url: 'https://a/'}"),
            ("{url: 'tcp://a:1', kind: tcp, config: {}, retries: 1}", "{url: 'tcp://a:1'}"),
            ("{url: 'tcp://a:1', kind: http}", "{url: 'tcp://a:1', kind: http}"),
            (
                "{url: 'https://a/', config: {method: GET, headers: {}, secret_headers: {}, body: null, \
                  expected_status: 200-399, follow_redirects: true, verify_tls: true, legacy_tls: false, \
                  certificate_warning_days: 14}}",
                "{url: 'https://a/'}",
            ),
            (
                "{url: 'https://a/', config: {method: POST, secret_headers: {A: …}, verify_tls: false, \
                  certificate_warning_days: 0}}",
                "{url: 'https://a/', config: {method: POST, secret_headers: {A: …}, verify_tls: false, \
                  certificate_warning_days: 0}}",
            ),
            // Fields of a kind that only the server knows.
            (
                "{url: 'fax://a', kind: fax, config: {paper: a4, copies: null}, retries: 1}",
                "{url: 'fax://a', kind: fax, config: {paper: a4, copies: null}, retries: 1}",
            ),
            // The variable is substituted later.
            ("{url: '${URL}/x', config: {method: GET}}", "{url: '${URL}/x'}"),
        ] {
            assert_eq!(brief_of(whole), serde_norway::from_str::<Value>(brief).unwrap(), "{whole}");
        }
    }

    #[test]
    fn default_retries_depend_on_the_method() {
        for (method, retries, is_left_out) in
            [("GET", 1, true), ("GET", 0, false), ("POST", 0, true), ("POST", 1, false), ("DELETE", 0, true)]
        {
            let yaml = format!("{{url: 'https://a/', config: {{method: {method}}}, retries: {retries}}}");
            assert_eq!(brief_of(&yaml).get("retries").is_none(), is_left_out, "{method} {retries}");
        }
    }
}
