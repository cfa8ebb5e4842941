//! Paging of lists: `?page=1&per_page=20`.

use axum::extract::FromRequestParts;
use contract::words;
use http::request::Parts;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use crate::{Error, Fields, Query, items::read_items};

const MAX_PER_PAGE: i64 = 100;
/// A high page number costs the database all rows before it.
const LAST_PAGE: i64 = 100_000;

/// The requested page of a list.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Starts at 1.
    #[serde(default = "first")]
    #[param(minimum = 1, maximum = 100_000, default = 1, required = false)]
    pub page: i64,
    #[serde(default = "twenty")]
    #[param(minimum = 1, maximum = 100, default = 20, required = false)]
    pub per_page: i64,
}

fn first() -> i64 {
    1
}

fn twenty() -> i64 {
    20
}

impl Paging {
    pub fn offset(self) -> i64 {
        (self.page - 1) * self.per_page
    }

    /// A page of a constant table.
    pub fn of_table<T, U>(self, table: &[T], show: impl Fn(&T) -> U) -> axum::Json<List<U>> {
        let skipped = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let items: Vec<_> = table.iter().skip(skipped).take(self.per_page as usize).map(show).collect();
        let found = items.len();
        self.list(items, found, table.len() as i64)
    }

    /// `found`: the number of rows on the page, including unreadable ones that were skipped.
    pub fn list<T>(self, items: Vec<T>, found: usize, total_count: i64) -> axum::Json<List<T>> {
        let unreadable_count = found.saturating_sub(items.len()) as i64;
        let page = Page { current_page: self.page, total_count, per_page: self.per_page, unreadable_count };
        axum::Json(List { items, page })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(paging) = Query::<Self>::from_request_parts(parts, state).await?;
        let mut fields = Fields::default();
        fields.check((1..=LAST_PAGE).contains(&paging.page), "page", || words::must_be_from_to(1, LAST_PAGE));
        fields.check((1..=MAX_PER_PAGE).contains(&paging.per_page), "per_page", || {
            words::must_be_from_to(1, MAX_PER_PAGE)
        });
        fields.finish()?;
        Ok(paging)
    }
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// One page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub struct List<T> {
    // Items from another function that this version cannot read are skipped.
    #[serde(deserialize_with = "read_items")]
    pub items: Vec<T>,
    pub page: Page,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    #[schema(example = 1)]
    pub current_page: i64,
    #[schema(example = 1)]
    pub total_count: i64,
    #[schema(example = 20)]
    pub per_page: i64,
    /// Items of this page that the server cannot read: missing in `items`, counted in `total_count`. See
    /// its log.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schema(required = false, example = 0)]
    pub unreadable_count: i64,
}
