//! `GET /private/v1/endpoints`: endpoints with their owners, for other functions.
//! `GET /private/v1/endpoint_briefs`: selected endpoints, with few fields.
//! `GET /private/v1/endpoint_labels`: metric labels of enabled endpoints, up to 1000 at a time.

use axum::{Json, extract::State};
use futures::future::try_join_all;
use runtime::{
    Context, Error, Function, Items, List, Paging, Query, Result,
    db::{JsonText, On, ids_of, page_of, readable},
    error::ErrorBody,
    input, on, sql,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{OwnedEndpoint, SERVICE, columns};
use crate::words;
use contract::Status;

pub const NAME: &str = "endpoint-private-list";

pub const FUNCTION: Function =
    Function::new(NAME, SERVICE, "lists endpoints with their owners, for other functions")
        .http(runtime::http!(handle, handle_briefs, handle_labels));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    user_id: Option<i64>,
}

#[utoipa::path(
    get, path = "/private/v1/endpoints", tag = "endpoints", params(Filter, Paging),
    responses(
        (status = 200, description = "A page of endpoints", body = List<OwnedEndpoint>),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<OwnedEndpoint>>> {
    sql!(COUNT = "SELECT COUNT(*) FROM endpoints WHERE $1 IS NULL OR user_id = $1");
    sql!(
        SELECT = concat!(
            "SELECT user_id, ",
            columns!(),
            " FROM endpoints WHERE $1 IS NULL OR user_id = $1 ORDER BY id LIMIT $2 OFFSET $3"
        )
    );
    let db = context.db()?;
    let total = on!(db.read(), db => sqlx::query_scalar(COUNT).bind(filter.user_id).fetch_one(db).await)?;
    let (endpoints, found) = on!(db.read(), db => {
        let select = sqlx::query(SELECT).bind(filter.user_id).bind(paging.per_page).bind(paging.offset());
        select.fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(endpoints, found, total))
}

/// The fields of an endpoint that other resources need.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct EndpointBrief {
    #[schema(example = 7)]
    pub id: i64,
    #[schema(example = 1)]
    pub user_id: i64,
    #[schema(example = "Shop")]
    pub name: String,
    #[schema(example = "https://example.com/health")]
    pub url: String,
    #[sqlx(try_from = "String")]
    pub status: Status,
    pub enabled: bool,
    #[schema(example = 1)]
    pub revision: i64,
}

#[derive(Serialize, Deserialize, ToSchema)]
struct EndpointBriefs {
    #[schema(value_type = Vec<EndpointBrief>)]
    items: Items<EndpointBrief>,
    /// Ids of all endpoints that exist, including those whose rows cannot be read.
    #[schema(example = json!([7]))]
    found: Vec<i64>,
}

/// Endpoints that exist.
pub struct Briefs {
    pub items: Vec<EndpointBrief>,
    /// Ids of endpoints whose rows cannot be read: they exist, but are not in `items`.
    pub unreadable: Vec<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Ids {
    /// Comma-separated ids, at most 1000.
    #[param(example = "7,8")]
    ids: String,
}

/// Returns those of the endpoints that exist, of any user.
pub async fn briefs(context: &Context, ids: &[i64]) -> Result<Briefs> {
    let asked = ids.chunks(MAX_IDS).map(async |ids| {
        let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let path = format!("/private/v1/endpoint_briefs?ids={ids}");
        context.outbound().get::<EndpointBriefs>(NAME, &path).await
    });
    let mut all = Briefs { items: Vec::new(), unreadable: Vec::new() };
    for EndpointBriefs { items, found } in try_join_all(asked).await? {
        let is_read = |id: &i64| items.iter().any(|endpoint| endpoint.id == *id);
        all.unreadable.extend(found.into_iter().filter(|id| !is_read(id)));
        all.items.extend(items);
    }
    Ok(all)
}

const MAX_IDS: usize = 1000;

#[utoipa::path(
    get, path = "/private/v1/endpoint_briefs", tag = "endpoints", params(Ids),
    responses(
        (status = 200, description = "Those that are there, by id", body = EndpointBriefs),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
    )
)]
async fn handle_briefs(
    State(context): State<Context>,
    Query(asked): Query<Ids>,
) -> Result<Json<EndpointBriefs>> {
    macro_rules! select {
        ($ids:literal) => {
            concat!(
                "SELECT id, user_id, name, url, CASE WHEN enabled THEN status ELSE 'paused' END AS status, enabled, \
                 revision FROM endpoints WHERE id ",
                $ids,
                " ORDER BY id"
            )
        };
    }
    let ids = input::ids(&asked.ids, MAX_IDS).ok_or_else(|| {
        let what = words::MUST_BE_AT_MOST_1000_IDS;
        Error::field("ids", what)
    })?;
    let (found, items) = match context.db()?.read() {
        On::Sqlite(db) => {
            let select = sqlx::query(select!("IN (SELECT value FROM json_each($1))"));
            let rows = select.bind(JsonText(ids)).fetch_all(db).await?;
            (ids_of(&rows), readable(rows))
        }
        On::Postgres(db) => {
            let rows = sqlx::query(select!("= ANY($1)")).bind(ids).fetch_all(db).await?;
            (ids_of(&rows), readable(rows))
        }
    };
    Ok(Json(EndpointBriefs { items: Items(items), found }))
}

/// The labels of an endpoint in metrics.
#[derive(Debug, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct EndpointLabels {
    #[schema(example = 7)]
    pub id: i64,
    #[schema(example = 1)]
    pub user_id: i64,
    #[schema(example = "Shop")]
    pub name: String,
    #[schema(value_type = Vec<String>, example = json!(["shop"]))]
    pub tags: JsonText<Vec<String>>,
    #[schema(example = 60)]
    pub interval_seconds: i32,
}

/// One page of labels, by id. Request the next page with the last id, until a page is empty.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct LabelsOfMany {
    #[schema(value_type = Vec<EndpointLabels>)]
    items: Items<EndpointLabels>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    user_id: Option<i64>,
    /// Only endpoints with greater ids.
    #[serde(default)]
    #[param(required = false)]
    after: i64,
}

/// One page of labels of enabled endpoints, of one user or of all users.
pub async fn labels(context: &Context, user_id: Option<i64>, after: i64) -> Result<Vec<EndpointLabels>> {
    let of_user = user_id.map(|id| format!("&user_id={id}")).unwrap_or_default();
    let path = format!("/private/v1/endpoint_labels?after={after}{of_user}");
    Ok(context.outbound().get::<LabelsOfMany>(NAME, &path).await?.items.0)
}

#[utoipa::path(
    get, path = "/private/v1/endpoint_labels", tag = "endpoints", params(Which),
    responses(
        (status = 200, description = "At most 1000 that are not paused, by id", body = LabelsOfMany),
        (status = 400, description = "A parameter is invalid", body = ErrorBody),
    )
)]
async fn handle_labels(
    State(context): State<Context>,
    Query(which): Query<Which>,
) -> Result<Json<LabelsOfMany>> {
    macro_rules! select {
        ($of:literal) => {
            concat!(
                "SELECT id, user_id, name, tags, interval_seconds FROM endpoints \
                 WHERE id > $1 AND enabled",
                $of,
                " ORDER BY id LIMIT 1000"
            )
        };
    }
    // Two statements, so that one user's endpoints are found by the index on users: SQLite has one plan for all
    // values. PostgreSQL's cached plan would scan the rows of all users for a user with few endpoints, so it plans
    // anew for each user (`persistent(false)`).
    let items = on!(context.db()?.read(), db => match which.user_id {
        Some(user_id) => {
            let query = sqlx::query(select!(" AND user_id = $2")).persistent(false);
            query.bind(which.after).bind(user_id).fetch_all(db).await.map(readable)
        }
        None => sqlx::query(select!("")).bind(which.after).fetch_all(db).await.map(readable),
    })?;
    Ok(Json(LabelsOfMany { items: Items(items) }))
}
