//! GET /public/v1/notification_kinds: the kinds of notifications, with the fields of their configs.

use axum::{Json, extract::State};
use channels::{CHANNELS, Kind};
use contract::KindInfo;
use runtime::{
    Caller, Context, Function, List, Paging, Result,
    error::{ErrorBody, Language},
    text,
};

use super::SERVICE;

pub const FUNCTION: Function =
    Function::new("notification-kind-list", SERVICE, "lists the notification kinds and their fields")
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
    let (skipped, total) = (usize::try_from(paging.offset()).unwrap_or(usize::MAX), CHANNELS.len());
    let kinds: Vec<_> = CHANNELS.iter().skip(skipped).take(paging.per_page as usize).map(info).collect();
    let found = kinds.len();
    Ok(paging.list(kinds, found, total as i64))
}

fn said((en, ko): (&'static str, &'static str)) -> String {
    Language::current().read(&text(en, ko)).to_owned()
}

fn info(kind: &Kind) -> KindInfo {
    KindInfo {
        kind: kind.name.to_owned(),
        label: said(kind.label),
        about: said(kind.about),
        fields: kind.fields.iter().map(|field| field.info(said)).collect(),
    }
}
