//! `GET /public/v1/endpoints`: the caller's endpoints, filtered by `q`, `tag` and `status`, sorted.

use axum::{Json, extract::State};
use runtime::{
    Caller, Context, Fields, Function, List, Paging, Query, Result, db::page_of, error::ErrorBody, on, sql,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{COUNT, Endpoint, SERVICE, columns};
use crate::words;
use contract::Status;

pub const FUNCTION: Function = Function::new(
    "endpoint-list",
    SERVICE,
    "lists the caller's endpoints; search by `q`, `tag` and `status`; sorted",
)
.http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Part of the name or the URL, case-insensitive.
    q: Option<String>,
    tag: Option<String>,
    status: Option<Status>,
    #[serde(default)]
    #[param(inline, required = false)]
    sort: Sort,
}

/// A `-` prefix reverses the order.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    CreatedAt,
    #[serde(rename = "-created_at")]
    CreatedAtReversed,
    Name,
    #[serde(rename = "-name")]
    NameReversed,
    /// The worst first: down, degraded, pending, up, paused.
    Status,
    #[serde(rename = "-status")]
    StatusReversed,
    /// Endpoints that were never checked come first.
    LastCheckedAt,
    #[serde(rename = "-last_checked_at")]
    LastCheckedAtReversed,
}

impl Sort {
    fn select(self, filtered: bool) -> &'static str {
        // The id is the last key: pages need an order without ties.
        match self {
            Self::CreatedAt => select!(filtered, "id"),
            Self::CreatedAtReversed => select!(filtered, "id DESC"),
            Self::Name => select!(filtered, "LOWER(name), id"),
            Self::NameReversed => select!(filtered, "LOWER(name) DESC, id DESC"),
            Self::Status => select!(filtered, rank!(), ", id"),
            Self::StatusReversed => select!(filtered, rank!(), " DESC, id DESC"),
            Self::LastCheckedAt => select!(filtered, "COALESCE(last_checked_at, 0), id"),
            Self::LastCheckedAtReversed => select!(filtered, "COALESCE(last_checked_at, 0) DESC, id DESC"),
        }
    }
}

/// Without a filter, an index alone finds a page of ids.
macro_rules! all {
    () => {
        "FROM endpoints WHERE user_id = $1"
    };
}
use all;

macro_rules! matching {
    () => {
        "FROM endpoints WHERE user_id = $1 \
         AND ($2 IS NULL OR LOWER(name) LIKE $2 ESCAPE '!' OR LOWER(url) LIKE $2 ESCAPE '!') \
         AND ($3 IS NULL OR tags LIKE $3 ESCAPE '!') \
         AND ($4 IS NULL OR CASE WHEN enabled THEN status ELSE 'paused' END = $4)"
    };
}
use matching;

/// Reads whole rows only for the page itself: only ids are sorted and skipped.
macro_rules! page {
    ($from:expr, $limit:literal, $($order:expr),+) => {
        concat!(
            "SELECT ", columns!(), " FROM endpoints WHERE id IN (SELECT id ", $from, " ORDER BY ", $($order,)+ $limit,
            ") ORDER BY ", $($order),+
        )
    };
}
use page;

macro_rules! select {
    ($filtered:ident, $($order:expr),+) => {
        if $filtered {
            page!(matching!(), " LIMIT $5 OFFSET $6", $($order),+)
        } else {
            page!(all!(), " LIMIT $2 OFFSET $3", $($order),+)
        }
    };
}
use select;

macro_rules! rank {
    () => {
        "CASE WHEN NOT enabled THEN 4 WHEN status = 'down' THEN 0 WHEN status = 'degraded' THEN 1 \
         WHEN status = 'up' THEN 3 ELSE 2 END"
    };
}
use rank;

#[utoipa::path(
    get, path = "/public/v1/endpoints", tag = "endpoints", security(("apikey" = [])), params(Search, Paging),
    responses(
        (status = 200, description = "A page of endpoints", body = List<Endpoint>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Query(search): Query<Search>,
    paging: Paging,
) -> Result<Json<List<Endpoint>>> {
    sql!(COUNT_MATCHING = concat!("SELECT COUNT(*) ", matching!()));
    let mut fields = Fields::default();
    let fits = |text: &Option<String>, max: usize| text.as_ref().is_none_or(|t| t.chars().count() <= max);
    fields.check(fits(&search.q, 200), "q", || words::must_have_at_most_characters(200));
    fields.check(fits(&search.tag, 50), "tag", || words::must_have_at_most_characters(50));
    fields.finish()?;
    let db = context.db()?;
    let q = search.q.map(|q| format!("%{}%", escaped(&q.to_lowercase())));
    // Tags are stored in JSON text, between quotes, which a tag cannot contain.
    let tag = search.tag.map(|tag| format!("%\"{}\"%", escaped(&tag)));
    let status = search.status.map(Status::as_str);
    let filtered = q.is_some() || tag.is_some() || status.is_some();
    let count = on!(db.read(), db => {
        let count = sqlx::query_scalar(if filtered { COUNT_MATCHING } else { COUNT }).bind(caller.user_id);
        let count = if filtered { count.bind(&q).bind(&tag).bind(status) } else { count };
        count.fetch_one(db).await
    })?;
    let (endpoints, found): (Vec<Endpoint>, usize) = on!(db.read(), db => {
        let select = sqlx::query(search.sort.select(filtered)).bind(caller.user_id);
        let select = if filtered { select.bind(&q).bind(&tag).bind(status) } else { select };
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    let endpoints = endpoints.into_iter().map(Endpoint::shown).collect();
    Ok(paging.list(endpoints, found, count))
}

/// Escapes text for LIKE.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(c);
    }
    escaped
}
