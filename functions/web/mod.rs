//! `GET /`: what a person sees who comes with a browser.
//!
//! Pages are written here and work without a script; what they show and do goes through the public
//! API, by the gateway, with the key of whoever looks at them.
//!
//! | file | pages |
//! |---|---|
//! | `home.rs` | what a visitor sees first; what is not there |
//! | `account.rs` | sign up, log in and out, forgotten password; language and theme |
//! | `dashboard.rs` | every endpoint at a glance |
//!
//! | file | what they stand on |
//! |---|---|
//! | `visitor.rs` | who looks: key, language, forms |
//! | `api.rs` | the public API |
//! | `page.rs` | the frame of every page |
//! | `assets.rs` | stylesheet, script, icon |

mod account;
mod api;
mod assets;
mod dashboard;
mod home;
mod page;
mod visitor;

use axum::{
    extract::Request,
    middleware::{self, Next},
    response::Response,
    routing::{any, get, post},
};
use http::{HeaderValue, StatusCode, header};
use runtime::Function;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;

pub const FUNCTION: Function = Function::new("web", "web", "pages for people; everything that is no API")
    .http(|| {
        OpenApiRouter::new()
            .route("/", get(home::show))
            .route("/demo", post(home::demo))
            .route("/signup", get(account::signup_form).post(account::signup))
            .route("/login", get(account::login_form).post(account::login))
            .route("/logout", post(account::logout))
            .route("/password/forgot", get(account::forgot_form).post(account::forgot))
            .route("/password/reset", get(account::reset_form).post(account::reset))
            .route("/preferences", get(account::preferences))
            .route("/dashboard", get(dashboard::show))
            .route("/assets/{name}", get(assets::handle))
            .route("/{*path}", any(home::nowhere))
            .layer(middleware::from_fn(guarded))
            .layer(CompressionLayer::new())
    })
    .without_database()
    .reads(runtime::settings!(api::Gateway, crate::links::PublicUrl));

/// Only over HTTPS, where a browser came by it.
async fn guarded(request: Request, next: Next) -> Response {
    let https = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let mut response = next.run(request).await;
    if https && response.status() != StatusCode::NOT_FOUND {
        let always = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, always);
    }
    response
}
