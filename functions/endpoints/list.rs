//! `GET /public/v1/endpoints`: the caller's endpoints, searched by `q`, `tag` and `status`, sorted.

use axum::{Json, extract::State};
use runtime::{Caller, Context, Fields, Function, List, Paging, Query, Result, error::ErrorBody, on, text};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Endpoint, SERVICE, columns};
use crate::contract::Status;

pub const FUNCTION: Function = Function::new(
    "endpoint-list",
    SERVICE,
    "the caller's endpoints, searched by `q`, `tag` and `status`, sorted",
)
.http(runtime::http!(handle));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Part of the name or the URL, in any case.
    q: Option<String>,
    tag: Option<String>,
    status: Option<Status>,
    #[serde(default)]
    #[param(inline, required = false)]
    sort: Sort,
}

/// A `-` before it reverses the order.
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
    /// The worst first: down, pending, up, paused.
    Status,
    #[serde(rename = "-status")]
    StatusReversed,
    /// Those that were never checked come first.
    LastCheckedAt,
    #[serde(rename = "-last_checked_at")]
    LastCheckedAtReversed,
}

impl Sort {
    fn select(self) -> &'static str {
        // The id last: pages need an order without ties.
        match self {
            Self::CreatedAt => select!("id"),
            Self::CreatedAtReversed => select!("id DESC"),
            Self::Name => select!("LOWER(name), id"),
            Self::NameReversed => select!("LOWER(name) DESC, id DESC"),
            Self::Status => select!(rank!(), ", id"),
            Self::StatusReversed => select!(rank!(), " DESC, id DESC"),
            Self::LastCheckedAt => select!("COALESCE(last_checked_at, 0), id"),
            Self::LastCheckedAtReversed => select!("COALESCE(last_checked_at, 0) DESC, id DESC"),
        }
    }
}

macro_rules! matching {
    () => {
        "FROM endpoints WHERE user_id = $1 \
         AND ($2 IS NULL OR LOWER(name) LIKE $2 ESCAPE '!' OR LOWER(url) LIKE $2 ESCAPE '!') \
         AND ($3 IS NULL OR tags LIKE $3 ESCAPE '!') \
         AND ($4 IS NULL OR CASE WHEN enabled THEN status ELSE 'paused' END = $4)"
    };
}
use matching;

macro_rules! select {
    ($($order:expr),+) => {
        concat!("SELECT ", columns!(), " ", matching!(), " ORDER BY ", $($order,)+ " LIMIT $5 OFFSET $6")
    };
}
use select;

macro_rules! rank {
    () => {
        "CASE WHEN NOT enabled THEN 3 WHEN status = 'down' THEN 0 WHEN status = 'up' THEN 2 ELSE 1 END"
    };
}
use rank;

#[utoipa::path(
    get, path = "/public/v1/endpoints", tag = "endpoints", security(("apikey" = [])), params(Search, Paging),
    responses(
        (status = 200, description = "A page of endpoints", body = List<Endpoint>),
        (status = 400, description = "A parameter is not acceptable", body = ErrorBody),
        (status = 401, description = "Not logged in", body = ErrorBody),
    )
)]
async fn handle(
    caller: Caller,
    State(context): State<Context>,
    Query(search): Query<Search>,
    paging: Paging,
) -> Result<Json<List<Endpoint>>> {
    static COUNT: &str = concat!("SELECT COUNT(*) ", matching!());
    let mut fields = Fields::default();
    let fits = |text: &Option<String>, most: usize| text.as_ref().is_none_or(|t| t.chars().count() <= most);
    fields.check(fits(&search.q, 200), "q", || {
        text("must have at most 200 characters", "200자 이하여야 합니다")
    });
    fields.check(fits(&search.tag, 50), "tag", || {
        text("must have at most 50 characters", "50자 이하여야 합니다")
    });
    fields.finish()?;
    let db = context.db()?;
    let q = search.q.map(|q| format!("%{}%", escaped(&q.to_lowercase())));
    // Tags stand in JSON text, between quotes that no tag can hold.
    let tag = search.tag.map(|tag| format!("%\"{}\"%", escaped(&tag)));
    let status = search.status.map(Status::as_str);
    let count = on!(db.read(), db => {
        let count = sqlx::query_scalar(COUNT).bind(caller.user_id).bind(&q).bind(&tag).bind(status);
        count.fetch_one(db).await
    })?;
    let endpoints = on!(db.read(), db => {
        let select = sqlx::query_as(search.sort.select()).bind(caller.user_id).bind(&q).bind(&tag).bind(status);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await
    })?;
    Ok(paging.list(endpoints, count))
}

/// Text that LIKE takes as it is.
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
