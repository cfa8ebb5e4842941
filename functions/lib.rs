//! The function table of pongpong: every operation is one small function, in a file of its own.
//!
//! Folder = resource, file = verb: `users/login.rs` handles login. Each resource owns its tables. It gets
//! other resources' data through their private APIs, or from events. Texts for people are in
//! `words/en.ftl` and `words/ko.ftl`.

pub mod checks;
pub mod dead_letter;
pub mod endpoints;
pub mod gateway;
mod id_list;
mod links;
pub mod notifications;
pub mod prober;
mod purge;
pub mod reports;
pub mod roles;
pub mod status_pages;
pub mod users;
pub mod web;
mod words;
mod zones;

use anyhow::Context as _;
use runtime::{Db, Env, FromEnv, Function, caller::GatewayConfig, secret::Sealer};

/// Every function, once. Routing, OpenAPI, Knative Services, Kong's routes and the one-machine engine
/// derive from this table.
pub static ALL: &[Function] = &[
    users::signup::FUNCTION,
    users::login::FUNCTION,
    users::logout::FUNCTION,
    users::me::FUNCTION,
    users::update::FUNCTION,
    users::delete::FUNCTION,
    users::forget::FUNCTION,
    users::get::FUNCTION,
    users::forgot::FUNCTION,
    users::reset::FUNCTION,
    users::key_create::FUNCTION,
    users::key_list::FUNCTION,
    users::key_delete::FUNCTION,
    users::private_list::FUNCTION,
    users::private_get::FUNCTION,
    users::purge::FUNCTION,
    endpoints::create::FUNCTION,
    endpoints::list::FUNCTION,
    endpoints::totals::FUNCTION,
    endpoints::kind_list::FUNCTION,
    endpoints::get::FUNCTION,
    endpoints::update::FUNCTION,
    endpoints::delete::FUNCTION,
    endpoints::private_list::FUNCTION,
    endpoints::private_get::FUNCTION,
    endpoints::claim::FUNCTION,
    endpoints::complete::FUNCTION,
    endpoints::confirm::FUNCTION,
    endpoints::observe::FUNCTION,
    endpoints::forget::FUNCTION,
    endpoints::announce::FUNCTION,
    endpoints::maintenances::create::FUNCTION,
    endpoints::maintenances::list::FUNCTION,
    endpoints::maintenances::get::FUNCTION,
    endpoints::maintenances::update::FUNCTION,
    endpoints::maintenances::delete::FUNCTION,
    endpoints::maintenances::private_list::FUNCTION,
    checks::schedule::FUNCTION,
    checks::run::FUNCTION,
    checks::now::FUNCTION,
    checks::demo::FUNCTION,
    reports::record::FUNCTION,
    reports::create::FUNCTION,
    reports::list::FUNCTION,
    reports::get::FUNCTION,
    reports::summary::FUNCTION,
    reports::metrics::FUNCTION,
    reports::overview::FUNCTION,
    reports::private_overview::FUNCTION,
    reports::incident_record::FUNCTION,
    reports::incident_list::FUNCTION,
    reports::forget::FUNCTION,
    reports::rollup::FUNCTION,
    reports::purge::FUNCTION,
    notifications::kind_list::FUNCTION,
    notifications::create::FUNCTION,
    notifications::list::FUNCTION,
    notifications::get::FUNCTION,
    notifications::update::FUNCTION,
    notifications::delete::FUNCTION,
    notifications::test::FUNCTION,
    notifications::private_list::FUNCTION,
    notifications::private_get::FUNCTION,
    notifications::private_call::FUNCTION,
    notifications::evaluate::FUNCTION,
    notifications::dispatch::FUNCTION,
    notifications::forget::FUNCTION,
    notifications::observe::FUNCTION,
    notifications::addresses::confirm::FUNCTION,
    notifications::addresses::unsubscribe::FUNCTION,
    notifications::purge::FUNCTION,
    notifications::deliveries::list::FUNCTION,
    notifications::deliveries::retry::FUNCTION,
    notifications::deliveries::record::FUNCTION,
    notifications::deliveries::resume::FUNCTION,
    notifications::senders::email::FUNCTION,
    notifications::senders::slack::FUNCTION,
    notifications::senders::webhook::FUNCTION,
    notifications::senders::channel::FUNCTION,
    status_pages::create::FUNCTION,
    status_pages::list::FUNCTION,
    status_pages::get::FUNCTION,
    status_pages::update::FUNCTION,
    status_pages::delete::FUNCTION,
    status_pages::show::FUNCTION,
    status_pages::announcements::create::FUNCTION,
    status_pages::announcements::list::FUNCTION,
    status_pages::announcements::get::FUNCTION,
    status_pages::announcements::update::FUNCTION,
    status_pages::announcements::delete::FUNCTION,
    status_pages::badges::create::FUNCTION,
    status_pages::badges::list::FUNCTION,
    status_pages::badges::delete::FUNCTION,
    status_pages::badges::show::FUNCTION,
    status_pages::forget::FUNCTION,
    dead_letter::FUNCTION,
    dead_letter::resume::FUNCTION,
    dead_letter::purge::FUNCTION,
    web::FUNCTION,
];

pub fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

/// Validates all settings at startup, so that a bad value fails immediately instead of at first use. For
/// a process that has the settings of all functions.
pub fn check_settings(env: &Env) -> anyhow::Result<()> {
    check_optional_settings(env)?;
    check::<Sealer>(env)?;
    check::<GatewayConfig>(env)?;
    check::<users::kong::Kong>(env)?;
    check::<links::PublicUrl>(env)
}

/// Validates only the settings with defaults, for a function that runs alone: it does not have the
/// required settings of other functions.
pub fn check_optional_settings(env: &Env) -> anyhow::Result<()> {
    check::<checks::RegionConfig>(env)?;
    check::<prober::ProbeSettings>(env)?;
    check::<checks::demo::DemoSettings>(env)?;
    check::<endpoints::QuotaConfig>(env)?;
    check::<notifications::region_outage::Settings>(env)?;
    check::<reports::purge::Retention>(env)?;
    check::<notifications::senders::email::Mailer>(env)?;
    check::<users::LoginConfig>(env)?;
    check::<net::trust::ExtraRoots>(env)
}

fn check<T: FromEnv>(env: &Env) -> anyhow::Result<()> {
    T::from_env(env).map(drop)
}

/// Exports counters with few label values as zero, because Prometheus does not see an increase in the
/// first value of a series. For a process that Prometheus scrapes; pushed metrics carry their start time.
pub fn count_from_zero() {
    endpoints::requests::count_requested(checks::schedule::NAME, 0);
    checks::count_from_zero();
    reports::record::count_from_zero();
    notifications::evaluate::count_from_zero();
    notifications::senders::metrics::count_from_zero();
    dead_letter::count_from_zero();
}

/// Migrates the database's tables and roles. Safe to run twice and concurrently.
pub async fn migrate(db: &Db, env: &Env) -> anyhow::Result<()> {
    match db {
        Db::Sqlite { write, .. } => {
            sqlx::migrate!("migrations/sqlite").run(write).await.context("migrating the database")?;
        }
        Db::Postgres(pool) => {
            // On a separate connection: a migration of large tables takes longer than the statement
            // time-out.
            let mut connection = pool.acquire().await?.detach();
            sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut connection).await?;
            let migrated = sqlx::migrate!("migrations/postgres").run(&mut connection).await;
            migrated.context("migrating the database")?;
            sqlx::Connection::close(connection).await?;
            roles::grant(pool, env).await.context("giving the roles their tables")?;
        }
    }
    users::respell(db).await.context("spelling addresses")
}
