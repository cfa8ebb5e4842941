//! OpenAPI 3.1, merged from the declarations of the operations.

use anyhow::{Result, ensure};
use runtime::{Function, error::ErrorBody};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Ref,
        RefOr, Response, ResponseBuilder, Schema, Server, Type,
        path::{Operation, Parameter},
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use serde_norway::Value;

use crate::{examples, kong::gateway_path};

/// The gateway's own refusals.
const REFUSAL: &str = "GatewayRefusal";

pub fn public(table: &[Function]) -> Result<String> {
    let about =
        "What people call, through the gateway. Log in, or make a key, and send it as the header `apikey`.";
    let mut spec = merged(table, "pongpong", about, "/public/", gateway_path)?;
    spec.servers = Some(vec![Server::new("http://localhost:8000")]);
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("apikey")));
    let components = spec.components.get_or_insert_with(Components::new);
    components.add_security_scheme("apikey", scheme);
    components.schemas.insert(REFUSAL.to_owned(), refusal().into());
    for operation in spec.paths.paths.values_mut().flat_map(operations) {
        refused_by_the_gateway(operation);
    }
    yaml(&spec)
}

pub fn private(table: &[Function]) -> Result<String> {
    let about = "What functions ask of one another. Never reached through the gateway.";
    yaml(&merged(table, "pongpong, between functions", about, "/private/", |_, path| path.to_owned())?)
}

fn yaml(spec: &OpenApi) -> Result<String> {
    let mut spec = serde_norway::to_value(spec)?;
    changes(&mut spec);
    bounds(&mut spec);
    examples::add(&mut spec);
    Ok(serde_norway::to_string(&spec)?)
}

fn merged(
    table: &[Function],
    title: &str,
    about: &str,
    start: &str,
    shown: impl Fn(&Function, &str) -> String,
) -> Result<OpenApi> {
    let info = InfoBuilder::new().title(title).description(Some(about)).version(runtime::log::VERSION);
    let mut all = OpenApiBuilder::new().info(info.build()).build();
    let schemas = &mut all.components.insert(Components::new()).schemas;
    schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    for function in table {
        let own = function.openapi();
        let mut has_one = false;
        for (n, (path, mut item)) in
            own.paths.paths.into_iter().filter(|(path, _)| path.starts_with(start)).enumerate()
        {
            has_one = true;
            for operation in operations(&mut item) {
                complete(function, n, operation);
                if path.starts_with("/public/") {
                    limited(function, operation);
                }
            }
            let path = shown(function, &path);
            match all.paths.paths.get_mut(&path) {
                Some(there) => there.merge_operations(item),
                None => drop(all.paths.paths.insert(path, item)),
            }
        }
        if !has_one {
            continue;
        }
        for (name, schema) in own.components.unwrap_or_default().schemas {
            let schemas = &mut all.components.get_or_insert_with(Components::new).schemas;
            // Two types with the same name would be described by one schema.
            ensure!(schemas.get(&name).is_none_or(|there| *there == schema), "two schemas are called {name}");
            schemas.insert(name, schema);
        }
    }
    let schemas = &mut all.components.get_or_insert_with(Components::new).schemas;
    let parts: Vec<String> = schemas.values().flat_map(part_of_another).collect();
    for part in parts {
        // As a part of another schema it must accept unknown fields, even if it refuses them alone.
        if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(&part) {
            object.additional_properties = None;
        }
    }
    Ok(all)
}

/// The names of the schemas that this one is composed of.
fn part_of_another(schema: &RefOr<Schema>) -> Vec<String> {
    let RefOr::T(Schema::AllOf(all_of)) = schema else { return Vec::new() };
    let name = |part: &RefOr<Schema>| match part {
        RefOr::Ref(part) => part.ref_location.rsplit('/').next().map(str::to_owned),
        RefOr::T(_) => None,
    };
    all_of.items.iter().filter_map(name).collect()
}

/// Describes the answers that the gateway gives instead of the function.
fn refused_by_the_gateway(operation: &mut Operation) {
    let needs_key = operation.security.as_ref().is_some_and(|needed| !needed.is_empty());
    for status in ["401", "413", "429"].into_iter().filter(|status| *status != "401" || needs_key) {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(REFUSAL))).build();
            response.content.insert("application/json".to_owned(), content.into());
        }
    }
}

fn refusal() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let what = "From the gateway, which names the request; or from the function behind it, with a code.";
    let object = ObjectBuilder::new().description(Some(what)).property("message", text()).required("message");
    object.property("code", text()).property("request_id", text()).build().into()
}

/// A PATCH has the fields of the POST, but none of them is required.
fn changes(spec: &mut Value) {
    fn reference(operation: &Value) -> Option<&str> {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()
    }
    let items = |spec: &Value| -> Vec<Value> {
        spec["paths"].as_mapping().into_iter().flat_map(|paths| paths.values().cloned()).collect()
    };
    let made: Vec<String> =
        items(spec).iter().filter_map(|i| reference(&i["post"]).map(str::to_owned)).collect();
    let paths = spec["paths"].as_mapping_mut().into_iter().flat_map(|paths| paths.iter_mut());
    let mut changed = Vec::new();
    for (_, item) in paths {
        let Some(whole) = reference(&item["patch"]).filter(|whole| made.iter().any(|m| m == whole)) else {
            continue;
        };
        let whole = whole.to_owned();
        item["patch"]["requestBody"]["content"]["application/json"]["schema"]["$ref"] =
            format!("{whole}Changes").into();
        changed.push(whole);
    }
    for whole in changed {
        let Some(name) = whole.rsplit('/').next() else { continue };
        let mut part = spec["components"]["schemas"][name].clone();
        if let Some(part) = part.as_mapping_mut() {
            let required = part.remove("required").unwrap_or_default();
            let is_required =
                |name: &Value| required.as_sequence().is_some_and(|required| required.contains(name));
            let properties = part.get_mut("properties").and_then(Value::as_mapping_mut);
            for (_, property) in properties.into_iter().flatten().filter(|(name, _)| !is_required(name)) {
                or_null(property);
            }
            part.insert(
                "description".into(),
                "What is given is changed, the rest stays; null is the default.".into(),
            );
        }
        spec["components"]["schemas"][format!("{name}Changes").as_str()] = part;
    }
}

fn or_null(property: &mut Value) {
    let null = Value::from("null");
    match property.get("type").cloned() {
        Some(Value::Sequence(kinds)) if kinds.contains(&null) => {}
        Some(Value::Sequence(kinds)) => property["type"] = [kinds, vec![null]].concat().into(),
        Some(kind) => property["type"] = vec![kind, null].into(),
        None => {
            let null = Value::Mapping([("type".into(), null)].into_iter().collect());
            let either = vec![null, std::mem::take(property)];
            *property = Value::Mapping([("oneOf".into(), either.into())].into_iter().collect());
        }
    }
}

/// Adds the bounds of ids, so that no operation has to repeat them.
fn bounds(spec: &mut Value) {
    let paths = spec["paths"].as_mapping_mut().into_iter().flat_map(|paths| paths.iter_mut());
    for (_, item) in paths {
        for (_, operation) in item.as_mapping_mut().into_iter().flatten() {
            // Between functions, an id outside the bounds is allowed.
            let is_public = operation.get("security").is_some();
            let parameters = operation.get_mut("parameters").and_then(Value::as_sequence_mut);
            for parameter in parameters.into_iter().flatten() {
                let is_integer = parameter["schema"]["type"] == "integer";
                let names_one = parameter["name"].as_str().is_some_and(|name| name.ends_with("_id"));
                if is_integer && (parameter["in"] == "path" || (is_public && names_one)) {
                    parameter["schema"]["minimum"] = 1.into();
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Adds what every operation has, so that none has to repeat it.
fn complete(function: &Function, n: usize, operation: &mut Operation) {
    let name = function.name;
    operation.operation_id = Some(if n == 0 { name.to_owned() } else { format!("{name}-{n}") });
    operation.summary = Some(function.does.to_owned());
    let responses = &mut operation.responses.responses;
    let is_id = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.name == "id" || parameter.name.ends_with("_id"),
        RefOr::Ref(_) => false,
    };
    if operation.parameters.iter().flatten().any(is_id) {
        responses.entry("400".into()).or_insert_with(|| error("The id is none").into());
    }
    if operation.request_body.is_some() {
        responses.entry("413".into()).or_insert_with(|| error("The body is too large").into());
        responses.entry("415".into()).or_insert_with(|| error("The body is not JSON").into());
    }
    responses.entry("500".into()).or_insert_with(|| error("Something went wrong on our side").into());
    responses
        .entry("503".into())
        .or_insert_with(|| error("Something that this needs does not answer now").into());
}

/// Adds the gateway's rate limit.
fn limited(function: &Function, operation: &mut Operation) {
    let needs_key = operation.security.as_ref().is_some_and(|needed| !needed.is_empty());
    if function.limit(needs_key).is_some() {
        let text = "Too many calls; Retry-After says when to try again. From the gateway, without `code`";
        operation.responses.responses.entry("429".into()).or_insert_with(|| error(text).into());
    }
}

fn error(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}
