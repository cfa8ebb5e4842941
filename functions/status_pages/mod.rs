//! Status pages: public pages that show selected endpoints of a user; announcements on them; badges.
//!
//! | file | content |
//! |---|---|
//! | `create.rs`, `list.rs`, `get.rs`, `update.rs`, `delete.rs` | a user's own pages |
//! | `show.rs` | a page, as the public sees it |
//! | `announcements/` | a user's announcements on a page |
//! | `badges/` | one endpoint's state, by a token |
//! | `forget.rs` | deletes the data of deleted users and endpoints |
//! | `upstream.rs` | requests to other resources |
//! | `cache.rs` | caches responses that many visitors request |

pub mod announcements;
pub mod badges;
mod cache;
pub mod create;
pub mod delete;
pub mod forget;
pub mod get;
pub mod list;
pub mod show;
pub mod update;
mod upstream;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use runtime::{
    Context, Db, Error, Fields, Result,
    db::{JsonText, On, Transaction},
    on,
    secret::Random,
    sql,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::words;

pub const SERVICE: &str = "status-service";

/// The settings of a status page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusPageSettings)]
pub struct Settings {
    /// The address of the page: `/status/{slug}`. Default: 12 random letters.
    #[serde(default)]
    #[schema(example = "shop", min_length = 3, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$")]
    pub slug: Option<String>,
    #[schema(example = "Shop", min_length = 1, max_length = 100)]
    pub title: String,
    /// Plain text; may contain several lines.
    #[serde(default)]
    #[schema(example = "All that customers see.", max_length = 2000)]
    pub description: String,
    #[serde(default)]
    #[schema(max_items = 20)]
    pub groups: Vec<Group>,
    /// Whether the page is public.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub published: bool,
}

fn yes() -> bool {
    true
}

/// Endpoints under a heading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StatusPageGroup)]
pub struct Group {
    /// The heading; empty: no heading.
    #[serde(default)]
    #[schema(example = "Website", max_length = 100)]
    pub name: String,
    /// In the order in which they are shown. An endpoint is on a page at most once.
    #[schema(example = json!([7, 8]))]
    pub endpoint_ids: Vec<i64>,
}

/// A status page, as its user sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
pub struct StatusPage {
    #[schema(example = 1)]
    pub id: i64,
    #[schema(example = "shop")]
    pub slug: String,
    #[schema(example = "Shop")]
    pub title: String,
    #[schema(example = "All that customers see.")]
    pub description: String,
    #[schema(value_type = Vec<Group>)]
    pub groups: JsonText<Vec<Group>>,
    pub published: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl StatusPage {
    pub fn endpoints(&self) -> usize {
        ids(&self.groups.0).count()
    }
}

/// The columns of [`StatusPage`], for a static SELECT.
macro_rules! columns {
    () => {
        "id, slug, title, description, groups, published, created_at, updated_at"
    };
}
pub(crate) use columns;

const MAX_GROUPS: usize = 20;
const MAX_ENDPOINTS: usize = 200;

impl Settings {
    /// Validates every field except the owners of the endpoints.
    fn checked(mut self) -> Result<Self> {
        self.title = self.title.trim().to_owned();
        self.description = lines(&self.description);
        let mut fields = Fields::default();
        if let Some(slug) = &self.slug {
            fields.check(is_slug(slug), "slug", || words::MUST_BE_A_SLUG);
        }
        fields.check_line("title", &self.title, 1..=100);
        fields.check_text("description", &self.description, 0..=2000, &['\n']);
        fields.check(self.groups.len() <= MAX_GROUPS, "groups", || words::must_be_at_most_groups(MAX_GROUPS));
        let count: usize = self.groups.iter().map(|group| group.endpoint_ids.len()).sum();
        fields.check(count <= MAX_ENDPOINTS, "groups", || words::must_have_at_most_endpoints(MAX_ENDPOINTS));
        let mut seen = HashSet::new();
        for (at, group) in self.groups.iter_mut().enumerate().take(MAX_GROUPS) {
            group.name = group.name.trim().to_owned();
            fields.check_line(&format!("groups[{at}].name"), &group.name, 0..=100);
            let twice = group.endpoint_ids.iter().find(|id| !seen.insert(**id));
            if let Some(id) = twice {
                fields.add(format!("groups[{at}].endpoint_ids"), words::endpoint_is_on_the_page_twice(id));
            }
        }
        fields.finish()?;
        Ok(self)
    }
}

/// Refuses endpoints in `groups` that are not in `known` and do not belong to the user.
async fn check_endpoints(context: &Context, user_id: i64, groups: &[Group], known: &[Group]) -> Result<()> {
    let known: HashSet<i64> = ids(known).collect();
    let new: Vec<i64> = ids(groups).filter(|id| !known.contains(id)).collect();
    let own = upstream::endpoints(context, user_id, &new).await?;
    let own: HashSet<i64> = own.into_iter().map(|endpoint| endpoint.id).collect();
    let mut fields = Fields::default();
    for (at, group) in groups.iter().enumerate() {
        let strange = group.endpoint_ids.iter().find(|id| !known.contains(id) && !own.contains(id));
        if let Some(id) = strange {
            fields.add(format!("groups[{at}].endpoint_ids"), no_endpoint(*id));
        }
    }
    Ok(fields.finish()?)
}

fn no_endpoint(id: i64) -> runtime::Text {
    words::no_such_endpoint(id).into()
}

fn ids(groups: &[Group]) -> impl Iterator<Item = i64> {
    groups.iter().flat_map(|group| group.endpoint_ids.iter().copied())
}

fn is_slug(slug: &str) -> bool {
    (3..=63).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !slug.starts_with('-')
        && !slug.ends_with('-')
}

/// Cannot be guessed: a page may be meant only for people who know its address.
fn random_slug(random: &Random) -> String {
    random.bytes::<12>().map(|byte| char::from(b'a' + byte % 26)).iter().collect()
}

fn slug_taken() -> Error {
    Error::conflict("SLUG_TAKEN", words::SLUG_IS_TAKEN)
}

/// Browsers send lines that end with `\r\n`; they are stored with `\n`.
fn lines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}

/// Finds a page of this user. Pages of other users are not found.
async fn own(db: &Db, user_id: i64, id: i64) -> Result<StatusPage> {
    sql!(SELECT = concat!("SELECT ", columns!(), " FROM status_page_rows WHERE id = $1 AND user_id = $2"));
    on!(db.read(), db => sqlx::query_as(SELECT).bind(id).bind(user_id).fetch_one(db).await)
        .map_err(Error::not_found_if_no_row)
}

/// Runs in the transaction that creates or changes the page.
async fn save_groups(transaction: &mut Transaction, id: i64, groups: Vec<Group>) -> Result<StatusPage> {
    const CLEAR: [&str; 2] = [
        "DELETE FROM status_page_endpoints WHERE status_page_id = $1",
        "DELETE FROM status_page_groups WHERE status_page_id = $1",
    ];
    const SQLITE: [&str; 2] = [
        "INSERT INTO status_page_groups (status_page_id, position, name)
        SELECT $1, key, value ->> 'name' FROM json_each($2)",
        "INSERT INTO status_page_endpoints (status_page_id, endpoint_id, group_position, position)
        SELECT $1, e.value, g.key, e.key FROM json_each($2) AS g, json_each(g.value, '$.endpoint_ids') AS e",
    ];
    const POSTGRES: [&str; 2] = [
        "INSERT INTO status_page_groups (status_page_id, position, name)
        SELECT $1, g.n - 1, g.value ->> 'name' FROM json_array_elements($2::json) WITH ORDINALITY AS g (value, n)",
        "INSERT INTO status_page_endpoints (status_page_id, endpoint_id, group_position, position)
        SELECT $1, e.value::bigint, g.n - 1, e.n - 1
        FROM json_array_elements($2::json) WITH ORDINALITY AS g (value, n),
            json_array_elements_text(g.value -> 'endpoint_ids') WITH ORDINALITY AS e (value, n)",
    ];
    sql!(SELECT = concat!("SELECT ", columns!(), " FROM status_page_rows WHERE id = $1"));
    let insert = match transaction {
        On::Sqlite(_) => SQLITE,
        On::Postgres(_) => POSTGRES,
    };
    let groups = JsonText(groups);
    Ok(on!(transaction.connection(), db => {
        for clear in CLEAR {
            sqlx::query(clear).bind(id).execute(&mut *db).await?;
        }
        for insert in insert {
            sqlx::query(insert).bind(id).bind(&groups).execute(&mut *db).await?;
        }
        sqlx::query_as(SELECT).bind(id).fetch_one(db).await
    })?)
}

/// Locks the user until the transaction ends: no other transaction creates or deletes this user's data here.
async fn lock_user(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    sql!(POSTGRES_LOCK = "SELECT pg_advisory_xact_lock(hashtext('status_pages'), hashint8($1))");
    // SQLite has one writer at a time.
    if let On::Postgres(db) = transaction.connection() {
        sqlx::query(POSTGRES_LOCK).bind(user_id).execute(db).await?;
    }
    Ok(())
}

/// Refuses a deleted user, whose key the gateway may still accept for a moment. Runs under [`lock_user`].
async fn refuse_the_gone(transaction: &mut Transaction, user_id: i64) -> Result<()> {
    sql!(GONE = "SELECT EXISTS (SELECT 1 FROM status_user_tombstones WHERE user_id = $1)");
    let gone: bool = on!(transaction.connection(), db =>
        sqlx::query_scalar(GONE).bind(user_id).fetch_one(db).await)?;
    if gone { Err(Error::unauthorized()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_fits_an_address() {
        for good in ["abc", "a-b", "shop-2", &"a".repeat(63), &random_slug(&Random::System)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "ab", "Abc", "a_b", "-ab", "ab-", "a b", "a/b", "äbc", &"a".repeat(64)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
