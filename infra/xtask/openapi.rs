//! OpenAPI 3.1, merged from what the operations say of themselves.

use anyhow::{Result, ensure};
use runtime::{Function, error::ErrorBody};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Response,
        ResponseBuilder, Schema, Server,
        path::Operation,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use crate::{examples, kong::gateway_path};

pub fn public(table: &[Function]) -> Result<String> {
    let about =
        "What people call, through the gateway. Log in, or make a key, and send it as the header `apikey`.";
    let mut spec = merged(table, "pongpong", about, "/public/", gateway_path)?;
    spec.servers = Some(vec![Server::new("http://localhost:8000")]);
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("apikey")));
    spec.components.get_or_insert_with(Components::new).add_security_scheme("apikey", scheme);
    yaml(&spec)
}

pub fn private(table: &[Function]) -> Result<String> {
    let about = "What functions ask of one another. Never reached through the gateway.";
    yaml(&merged(table, "pongpong, between functions", about, "/private/", |_, path| path.to_owned())?)
}

fn yaml(spec: &OpenApi) -> Result<String> {
    let mut spec = serde_norway::to_value(spec)?;
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
        let Some(routes) = function.http else { continue };
        let own = routes().into_openapi();
        let mut has_one = false;
        for (n, (path, mut item)) in
            own.paths.paths.into_iter().filter(|(path, _)| path.starts_with(start)).enumerate()
        {
            has_one = true;
            for operation in operations(&mut item) {
                complete(function, n, operation);
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
            // Two types of one name would each be described as the other.
            ensure!(schemas.get(&name).is_none_or(|there| *there == schema), "two schemas are called {name}");
            schemas.insert(name, schema);
        }
    }
    let schemas = &mut all.components.get_or_insert_with(Components::new).schemas;
    let parts: Vec<String> = schemas.values().flat_map(part_of_another).collect();
    for part in parts {
        // Alone it may refuse what it does not know; as a part of another it must not.
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

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// What holds for every operation, so that none has to say it.
fn complete(function: &Function, n: usize, operation: &mut Operation) {
    let name = function.name;
    operation.operation_id = Some(if n == 0 { name.to_owned() } else { format!("{name}-{n}") });
    operation.summary = Some(function.does.to_owned());
    let responses = &mut operation.responses.responses;
    if operation.request_body.is_some() {
        responses.entry("413".into()).or_insert_with(|| error("The body is too large").into());
        responses.entry("415".into()).or_insert_with(|| error("The body is not JSON").into());
    }
    if function.per_minute.is_some() {
        let text = "Too many calls; Retry-After says when to try again. From the gateway, without `code`";
        responses.entry("429".into()).or_insert_with(|| error(text).into());
    }
    responses.entry("500".into()).or_insert_with(|| error("Something went wrong on our side").into());
    responses
        .entry("503".into())
        .or_insert_with(|| error("Something that this needs does not answer now").into());
}

fn error(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}
