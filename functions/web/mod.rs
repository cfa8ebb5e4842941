//! `GET /`: the pages for browsers.
//!
//! Pages are rendered here and work without a script. They read and change data through the public API,
//! via the gateway, with the visitor's key.
//!
//! | file | pages |
//! |---|---|
//! | `home.rs` | the home page; the page for unknown paths |
//! | `account.rs` | sign-up, login, logout, forgotten password; language and theme |
//! | `dashboard.rs` | the list of endpoints |
//! | `endpoint.rs` | one endpoint: figures, chart, incidents, results, badges; check, pause, delete |
//! | `endpoint_form.rs` | creates, changes and tests an endpoint |
//! | `addresses.rs` | links in mails: confirm or unsubscribe an address |
//! | `notifications.rs` | notifications, tests, the delivery log |
//! | `reports.rs`, `export.rs` | results and incidents by date; the same as CSV |
//! | `maintenances.rs` | planned work |
//! | `status_pages.rs`, `announcements.rs` | the user's status pages, and the announcements on them |
//! | `profile.rs` | email, password, keys, deleting the account |
//! | `docs.rs` | the API documentation |
//! | `status.rs`, `feeds.rs` | public status pages |
//! | `badges.rs` | an endpoint's status, for other sites |
//!
//! | file | shared code |
//! |---|---|
//! | `visitor.rs` | the visitor: key, language, forms |
//! | `api.rs` | the public API |
//! | `page.rs` | the frame of every page |
//! | `form.rs` | errors, the choice of endpoints, dates |
//! | `public.rs` | responses that are the same for all visitors |
//! | `assets.rs` | stylesheet, script, icon |
//! | `history.rs` | the history of endpoints in buckets: bars and sparklines |
//! | `chart.rs` | charts of response times |
//! | `parts.rs`, `figures.rs` | paging of lists; formats for people |

mod account;
mod addresses;
mod announcements;
mod api;
mod assets;
mod badges;
mod chart;
mod config;
mod dashboard;
mod docs;
mod endpoint;
mod endpoint_form;
mod export;
mod feeds;
mod figures;
mod form;
mod history;
mod home;
mod maintenances;
mod notifications;
mod page;
mod parts;
mod profile;
mod public;
mod reports;
mod status;
mod status_pages;
mod visitor;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::{any, get},
};
use http::{HeaderValue, header};
use runtime::{Function, Routes};
use tower_http::compression::CompressionLayer;

pub const FUNCTION: Function = Function::new("web", "web", "serves the web pages")
    .http(Routes::undescribed(|| {
        Router::new()
            .route("/", get(home::show))
            .route("/demo", get(home::show).post(home::demo))
            .route("/signup", get(account::signup_form).post(account::signup))
            .route("/login", get(account::login_form).post(account::login))
            .route("/logout", get(home::show).post(account::logout))
            .route("/password/forgot", get(account::forgot_form).post(account::forgot))
            .route("/password/reset", get(account::reset_form).post(account::reset))
            .route("/preferences", get(account::preferences))
            .route("/dashboard", get(dashboard::show))
            .route("/endpoints/new", get(endpoint_form::create_form).post(endpoint_form::create))
            .route("/endpoints/{id}", get(endpoint::show))
            .route("/endpoints/{id}/edit", get(endpoint_form::edit_form).post(endpoint_form::edit))
            .route("/endpoints/{id}/check", get(endpoint::back).post(endpoint::check))
            .route("/endpoints/{id}/pause", get(endpoint::back).post(endpoint::pause))
            .route("/endpoints/{id}/badge", get(endpoint::back).post(endpoint::badge))
            .route("/endpoints/{id}/delete", get(endpoint::delete_form).post(endpoint::delete))
            .route("/notifications", get(notifications::list).post(notifications::create))
            .route("/notifications/new", get(notifications::blank))
            .route("/notifications/{id}", get(notifications::show).post(notifications::change))
            .route("/deliveries/{id}/retry", get(notifications::list).post(notifications::retry))
            .route("/mail/confirm", get(addresses::confirm_form).post(addresses::confirm))
            .route("/mail/unsubscribe", get(addresses::unsubscribe_form).post(addresses::unsubscribe))
            .route("/reports", get(reports::show))
            .route("/reports.csv", get(export::download))
            .route("/maintenance", get(maintenances::list).post(maintenances::create))
            .route("/maintenance/new", get(maintenances::blank))
            .route("/maintenance/{id}", get(maintenances::show).post(maintenances::change))
            .route("/status-pages", get(status_pages::list).post(status_pages::create))
            .route("/status-pages/new", get(status_pages::blank))
            .route("/status-pages/{id}", get(status_pages::show).post(status_pages::change))
            .route(
                "/status-pages/{id}/announcements/new",
                get(announcements::blank).post(announcements::create),
            )
            .route(
                "/status-pages/{id}/announcements/{announcement}",
                get(announcements::show).post(announcements::change),
            )
            .route("/profile", get(profile::show).post(profile::change))
            .route("/docs", get(docs::show))
            .route("/openapi.yaml", get(docs::specification))
            .route("/status/{slug}", get(status::show))
            .route("/status/{slug}/feed.xml", get(feeds::rss))
            .route("/status/{slug}/feed.json", get(feeds::json))
            .route("/badges/{token}/{file}", get(badges::status))
            .route("/badges/{token}/{what}/{file}", get(badges::figure))
            .route("/assets/{name}", get(assets::handle))
            .route("/favicon.ico", get(assets::favicon))
            .route("/site.webmanifest", get(assets::manifest))
            .route("/robots.txt", get(assets::robots))
            .route("/metrics", any(home::no_metrics))
            .route("/{*path}", any(home::nowhere))
            .layer(middleware::from_fn(guarded))
            .layer(CompressionLayer::new())
    }))
    .asks_strangers_at(|path| {
        let is_endpoint = ["/new", "/edit", "/check", "/pause"].iter().any(|end| path.ends_with(end));
        path == "/demo"
            || path.starts_with("/endpoints/") && is_endpoint
            || path.starts_with("/notifications/")
    })
    .without_database()
    .reads(runtime::settings!(api::Gateway, crate::links::PublicUrl));

/// Default headers of a response: not cached, and not run as a page.
async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "private, no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
