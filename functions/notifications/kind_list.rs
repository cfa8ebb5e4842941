//! GET /public/v1/notification_kinds: the kinds of notifications, with the fields of their configs.

use axum::{Json, extract::State};
use channels::{CHANNELS, Kind};
use contract::KindInfo;
use runtime::{Caller, Context, Function, List, Paging, Result, error::ErrorBody, language};

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("notification-kind-list", SERVICE, "lists the notification kinds with their fields")
        .http(runtime::http!(handle))
        .without_database();

/// Labels and help are in the language of `Accept-Language`.
#[utoipa::path(
    get, path = "/public/v1/notification_kinds", tag = "notifications", security(("apikey" = [])), params(Paging),
    responses((status = 200, body = List<KindInfo>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)),
)]
async fn handle(
    State(_context): State<Context>,
    _caller: Caller,
    paging: Paging,
) -> Result<Json<List<KindInfo>>> {
    Ok(paging.of_table(CHANNELS, info))
}

fn said(pair: (&'static str, &'static str)) -> String {
    language::current().choose(pair).to_owned()
}

fn info(kind: &Kind) -> KindInfo {
    KindInfo {
        kind: kind.name.to_owned(),
        label: said(kind.label),
        about: said(kind.about),
        fields: kind.fields.iter().map(|field| field.info(said)).collect(),
    }
}
