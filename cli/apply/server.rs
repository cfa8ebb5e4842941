//! Converts the server's objects to a file's form, and back.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value as Json, json};
use serde_norway::Mapping;

use super::{
    document::{Endpoint, Group, Maintenance, Notification, Section, StatusPage, brief, known, whole},
    read::normal_time,
};
use crate::{
    api::{Api, Value, id_of},
    endpoint::kind_of,
    error::{Exit, Failure},
    output::plain,
};

/// An object on the server.
#[derive(Debug)]
pub struct Existing {
    pub id: i64,
    pub name: String,
    /// Only of status pages; it identifies the page before the title does.
    pub slug: Option<String>,
    pub fields: Mapping,
}

/// Endpoints by name and by id.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<String, Vec<i64>>,
    names: HashMap<i64, String>,
}

impl Names {
    pub fn add(&mut self, name: &str, id: i64) {
        self.ids.entry(name.to_owned()).or_default().push(id);
        self.names.insert(id, name.to_owned());
    }

    fn of(&self, ids: &Value) -> Option<Vec<String>> {
        let ids = ids.as_sequence()?.iter().filter_map(Value::as_i64);
        // An endpoint that was just deleted has no name.
        Some(ids.filter_map(|id| self.names.get(&id).cloned()).collect())
    }

    fn id(&self, name: &str) -> Result<i64, Failure> {
        match self.ids.get(name).map(Vec::as_slice) {
            Some([id]) => Ok(*id),
            Some(ids) => Err(ambiguous("endpoint", name, ids)),
            None => Err(Failure::usage(format!("there is no endpoint `{name}`"))
                .hint("It must be among the file's endpoints, or on the server")),
        }
    }
}

pub fn ambiguous(kind: &str, name: &str, ids: &[i64]) -> Failure {
    let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
    Failure::usage(format!("the server has {} of {kind} `{name}`: names must tell them apart", ids.len()))
        .hint(format!(
            "Rename or delete some, as in: pong {} edit {} --name ...",
            kind.replace(' ', "-"),
            ids.join(" or ")
        ))
}

/// `None` if the server does not know this section.
pub async fn fetch(api: &Api, section: Section, names: &mut Names) -> Result<Option<Vec<Existing>>> {
    let items = match api.list(section.kind().path, &[], None).await.map_err(Failure::of) {
        Ok(items) => items,
        Err(failure) if failure.exit == Exit::Unsupported => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    let mut existing = Vec::new();
    for item in &items {
        // A maintenance that ended is history, not configuration.
        if section == Section::Maintenances && item["status"].as_str() == Some("ended") {
            continue;
        }
        let fields = fields_of(section, item, names)
            .with_context(|| format!("what the server says of its {}", section.key()))?;
        let name = section.name_of(&fields).to_owned();
        let id = id_of(item).unwrap_or_default();
        if section == Section::Endpoints {
            names.add(&name, id);
        }
        let slug = item.get("slug").and_then(Value::as_str).map(str::to_owned);
        existing.push(Existing { id, name, slug, fields });
    }
    Ok(Some(existing))
}

fn fields_of(section: Section, item: &Value, names: &Names) -> Result<Mapping> {
    Ok(match section {
        Section::Endpoints => known::<Endpoint>(item)?.brief(),
        Section::Notifications => {
            let mut notification: Notification = known(item)?;
            notification.endpoints = sorted(names.of(&item["endpoint_ids"]));
            notification.brief()
        }
        Section::StatusPages => {
            let groups = item["groups"].as_sequence().cloned().unwrap_or_default();
            let page = StatusPage {
                title: plain(&item["title"]),
                slug: item["slug"].as_str().map(str::to_owned),
                description: plain(&item["description"]),
                groups: groups
                    .iter()
                    .map(|group| Group {
                        name: plain(&group["name"]),
                        endpoints: names.of(&group["endpoint_ids"]).unwrap_or_default(),
                    })
                    .collect(),
                published: item["published"].as_bool().unwrap_or_default(),
            };
            brief(&page)
        }
        Section::Maintenances => brief(&Maintenance {
            title: plain(&item["title"]),
            description: plain(&item["description"]),
            starts_at: item["starts_at"].as_str().and_then(normal_time),
            ends_at: item["ends_at"].as_str().and_then(normal_time).unwrap_or_default(),
            endpoints: sorted(names.of(&item["endpoint_ids"])),
        }),
    })
}

fn sorted(names: Option<Vec<String>>) -> Option<Vec<String>> {
    let mut names = names?;
    names.sort();
    Some(names)
}

/// As the API expects it: all fields, endpoints by id.
pub fn body_of(section: Section, fields: &Mapping, names: &Names) -> Result<Map<String, Json>> {
    let of = |fields: &Mapping| Value::Mapping(fields.clone());
    let whole = match section {
        Section::Endpoints => {
            let mut endpoint: Endpoint = serde_norway::from_value(of(fields))?;
            // Without a kind in the file, the kind depends on the URL, which may have changed.
            if let Some(kind) = kind_of(&endpoint.kind, &endpoint.url) {
                kind.name.clone_into(&mut endpoint.kind);
            }
            whole(&endpoint)
        }
        Section::Notifications => whole(&serde_norway::from_value::<Notification>(of(fields))?),
        Section::StatusPages => whole(&serde_norway::from_value::<StatusPage>(of(fields))?),
        Section::Maintenances => whole(&serde_norway::from_value::<Maintenance>(of(fields))?),
    };
    let mut body: Map<String, Json> = serde_norway::from_value(Value::Mapping(whole))?;
    let ids = |list: &Json| -> Result<Json> {
        let Some(list) = list.as_array() else { return Ok(Json::Null) };
        let ids: Result<Vec<_>, _> =
            list.iter().map(|name| names.id(name.as_str().unwrap_or_default())).collect();
        Ok(json!(ids?))
    };
    if let Some(list) = body.remove("endpoints") {
        body.insert("endpoint_ids".to_owned(), ids(&list)?);
    }
    for group in body.get_mut("groups").and_then(Json::as_array_mut).into_iter().flatten() {
        let list = group["endpoints"].take();
        *group = json!({"name": group["name"], "endpoint_ids": ids(&list)?});
    }
    // Leave out fields that the server chooses.
    body.retain(|name, value| match name.as_str() {
        "slug" | "starts_at" => !value.is_null(),
        "kind" => *value != "",
        _ => true,
    });
    Ok(body)
}
