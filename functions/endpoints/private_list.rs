//! `GET /private/v1/endpoints`: endpoints with their owners, for other functions.
//! `GET /private/v1/endpoint_labels`: what is watched now, briefly, and many at a time.

use axum::{Json, extract::State};
use runtime::{
    Context, Error, Function, List, Paging, Query, Result,
    db::{JsonText, page_of, readable},
    error::ErrorBody,
    input, on, text,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{OwnedEndpoint, SERVICE, columns};

pub const FUNCTION: Function =
    Function::new("endpoint-private-list", SERVICE, "endpoints with their owners, for other functions")
        .http(runtime::http!(handle, labels));

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    user_id: Option<i64>,
    /// Ids with commas between them, at most 1000.
    ids: Option<String>,
}

#[utoipa::path(
    get, path = "/private/v1/endpoints", tag = "endpoints", params(Filter, Paging),
    responses(
        (status = 200, description = "A page of endpoints", body = List<OwnedEndpoint>),
        (status = 400, description = "A parameter is not acceptable", body = ErrorBody),
    )
)]
async fn handle(
    State(context): State<Context>,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Json<List<OwnedEndpoint>>> {
    macro_rules! matching {
        ($ids:literal) => {
            concat!(
                "FROM endpoints WHERE ($1 IS NULL OR user_id = $1) AND ($2 IS NULL OR id IN (",
                $ids,
                "))"
            )
        };
    }
    macro_rules! select {
        ($ids:literal) => {
            concat!("SELECT user_id, ", columns!(), " ", matching!($ids), " ORDER BY id LIMIT $3 OFFSET $4")
        };
    }
    macro_rules! count {
        ($ids:literal) => {
            concat!("SELECT COUNT(*) ", matching!($ids))
        };
    }
    // The list of ids travels as one JSON text.
    let db = context.db()?;
    let count = db.pick(
        count!("SELECT value FROM json_each($2)"),
        count!("SELECT value::bigint FROM json_array_elements_text($2::json)"),
    );
    let select = db.pick(
        select!("SELECT value FROM json_each($2)"),
        select!("SELECT value::bigint FROM json_array_elements_text($2::json)"),
    );
    let ids = filter.ids.as_deref().map(parse_ids).transpose()?.map(JsonText);
    let total = on!(db.read(), db => {
        sqlx::query_scalar(count).bind(filter.user_id).bind(&ids).fetch_one(db).await
    })?;
    let (endpoints, found) = on!(db.read(), db => {
        let select = sqlx::query(select).bind(filter.user_id).bind(&ids);
        select.bind(paging.per_page).bind(paging.offset()).fetch_all(db).await.map(page_of)
    })?;
    Ok(paging.list(endpoints, found, total))
}

/// What the metrics of an endpoint are known by.
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

/// A list that goes on after the last id of it, until one is empty.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LabelsOfMany {
    pub items: Vec<EndpointLabels>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    user_id: Option<i64>,
    /// Those with greater ids.
    #[serde(default)]
    #[param(required = false)]
    after: i64,
}

#[utoipa::path(
    get, path = "/private/v1/endpoint_labels", tag = "endpoints", params(Which),
    responses(
        (status = 200, description = "At most 1000 that are not paused, by id", body = LabelsOfMany),
        (status = 400, description = "A parameter is not acceptable", body = ErrorBody),
    )
)]
async fn labels(State(context): State<Context>, Query(which): Query<Which>) -> Result<Json<LabelsOfMany>> {
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
    // Two, so that a user's are looked for by their own index: SQLite has one plan for all values. PostgreSQL's
    // would walk everybody's for one who has fewer than most, so it plans for each user anew.
    let items = on!(context.db()?.read(), db => match which.user_id {
        Some(user_id) => {
            let query = sqlx::query(select!(" AND user_id = $2")).persistent(false);
            query.bind(which.after).bind(user_id).fetch_all(db).await.map(readable)
        }
        None => sqlx::query(select!("")).bind(which.after).fetch_all(db).await.map(readable),
    })?;
    Ok(Json(LabelsOfMany { items }))
}

fn parse_ids(ids: &str) -> Result<Vec<i64>> {
    input::ids(ids, 1000).ok_or_else(|| {
        let what = text(
            "must be at most 1000 ids with commas between them",
            "쉼표로 구분한 1000개 이하의 id여야 합니다",
        );
        Error::field("ids", what)
    })
}
