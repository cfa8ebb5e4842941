//! `GET /public/v1/endpoint_kinds`: the kinds of checks, with the fields of their configs and their facts.

use ::checks::{CHECKS, Kind, facts::Fact};
use axum::{Json, extract::State};
use contract::{CheckKindInfo, FactInfo};
use runtime::{Caller, Context, Function, List, Paging, Result, error::ErrorBody, language};

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("endpoint-kind-list", SERVICE, "lists the check kinds with their fields and facts")
        .http(runtime::http!(handle))
        .without_database();

/// Labels and help are in the language of `Accept-Language`.
#[utoipa::path(
    get, path = "/public/v1/endpoint_kinds", tag = "endpoints", security(("apikey" = [])), params(Paging),
    responses((status = 200, body = List<CheckKindInfo>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)),
)]
async fn handle(
    State(_context): State<Context>,
    _caller: Caller,
    paging: Paging,
) -> Result<Json<List<CheckKindInfo>>> {
    Ok(paging.of_table(CHECKS, info))
}

fn said(pair: (&'static str, &'static str)) -> String {
    language::current().choose(pair).to_owned()
}

fn info(kind: &Kind) -> CheckKindInfo {
    CheckKindInfo {
        kind: kind.name.to_owned(),
        label: said(kind.label),
        about: said(kind.about),
        schemes: kind.schemes.iter().map(|scheme| (*scheme).to_owned()).collect(),
        example: kind.example.to_owned(),
        fields: kind.fields.iter().map(|field| field.info(said)).collect(),
        facts: kind.facts().map(fact_info).collect(),
    }
}

fn fact_info(fact: &Fact) -> FactInfo {
    FactInfo {
        name: fact.name.to_owned(),
        label: said(fact.label),
        comparisons: fact
            .shape
            .comparisons()
            .iter()
            .map(|comparison| comparison.as_str().to_owned())
            .collect(),
    }
}
