//! A router for a function, and a server for one or several functions.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use contract::{Language, words};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{
    Context, Env, Error, FromEnv, Function, lambda, language, log::VERSION, telemetry, telemetry::Incoming,
    trace::Trace,
};

/// The limit for requests of people; check bodies (64 KiB) fit easily.
const BODY_LIMIT: usize = 256 * 1024;
/// The limit for events: a batch.
const EVENT_LIMIT: usize = 16 * 1024 * 1024;

/// All routes of one function.
pub fn router(function: &'static Function, context: &Context) -> Router {
    let mut router = operations(function, context);
    if let Some(trigger) = function.trigger {
        let triggered = Router::new().route("/", trigger().layer(DefaultBodyLimit::max(EVENT_LIMIT)));
        let triggered = triggered.layer(middleware::from_fn(refuse_outbound));
        router = router.merge(told(function, context, triggered));
    }
    finished(router, context, function.uses_database)
}

fn operations(function: &'static Function, context: &Context) -> Router {
    let routes = function.http.map_or_else(Router::new, |routes| (routes.router)());
    let routes = routes.layer(DefaultBodyLimit::max(BODY_LIMIT));
    let routes = routes.layer(middleware::from_fn(refuse_outbound_to_private));
    told(function, context, routes)
}

/// Refuses requests from checks and webhooks: if private addresses are allowed, a user's URL may point to
/// a function.
async fn refuse_outbound(request: Request, next: Next) -> Response {
    if request.headers().contains_key(net::OUTBOUND) {
        return Error::forbidden().into_response();
    }
    next.run(request).await
}

/// The same, but allows public paths: a user may check pongpong itself.
async fn refuse_outbound_to_private(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/private/") {
        return refuse_outbound(request, next).await;
    }
    next.run(request).await
}

fn told(function: &'static Function, context: &Context, routes: Router<Context>) -> Router {
    // Inside the logging layer, so that panics are logged like any other 5xx.
    let panicked = |cause: Box<dyn std::any::Any + Send>| {
        Error::internal(anyhow::anyhow!("panicked: {}", net::panic_message(&*cause))).into_response()
    };
    routes
        .method_not_allowed_fallback(async || {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", words::METHOD_NOT_ALLOWED)
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state((function, context.clone()), tell))
        .with_state(context.clone())
}

fn finished(router: Router, context: &Context, uses_database: bool) -> Router {
    let ready = Router::new()
        .route("/health", get(async || "ok"))
        .route("/ready", get(move |State(context): State<Context>| ready(context, uses_database)))
        .with_state(context.clone());
    router
        .merge(ready)
        .fallback(async |headers: HeaderMap| Error::not_found().render(language::accepted(&headers)))
}

async fn ready(context: Context, uses_database: bool) -> Response {
    if !uses_database {
        return "ok".into_response();
    }
    let answer = tokio::time::timeout(Duration::from_secs(2), async { context.db()?.ping().await }).await;
    match answer {
        Ok(Ok(())) => "ok".into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer").into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer in time").into_response(),
    }
}

/// Wraps every request: trace, language and log line.
async fn tell(
    State((function, context)): State<(&'static Function, Context)>,
    request: Request,
    next: Next,
) -> Response {
    let mut trace = Trace::of(request.headers(), context.random());
    let incoming = telemetry::counts().then(|| Incoming::new(function, &request));
    if let Some(incoming) = &incoming {
        trace = trace.child(|| incoming.span(function, &request));
    }
    let language = language::accepted(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // At a level that every `LOG_LEVEL` includes, because its fields are in every log line of the
    // request.
    let span =
        tracing::error_span!("request", function = function.name, version = VERSION, trace_id = %trace.id());
    let started = std::time::Instant::now();
    trace
        .clone()
        .scope(
            async {
                let response = language::scope(language, next.run(request)).await;
                trace.answered(response.status());
                if let Some(incoming) = incoming {
                    incoming.answered(response.status(), started.elapsed());
                }
                let status = response.status().as_u16();
                let duration_ms = started.elapsed().as_millis() as u64;
                let error = response.extensions().get::<Error>();
                match error {
                    Some(error) if status == 503 => {
                        tracing::warn!(%method, path, status, duration_ms, %error, "not now");
                    }
                    Some(error) if status >= 500 => {
                        tracing::error!(%method, path, status, duration_ms, %error, "failed");
                    }
                    _ if path == "/" => tracing::debug!(status, duration_ms, "handled"),
                    _ => tracing::info!(%method, path, status, duration_ms, "answered"),
                }
                let mut response = match error {
                    Some(error) if language != Language::English => error.render(language),
                    _ => response,
                };
                // A response without a cache header belongs to one user.
                response
                    .headers_mut()
                    .entry(header::CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("no-store"));
                response
            }
            .instrument(span),
        )
        .await
}

struct ServeConfig {
    port: u16,
    grace: Duration,
}

impl FromEnv for ServeConfig {
    const NAMES: &[&str] = &["PORT", "SHUTDOWN_GRACE_SECONDS"];

    /// `PORT` (default 8080), `SHUTDOWN_GRACE_SECONDS` (default 25, because Kubernetes kills after 30).
    fn from_env(env: &Env) -> anyhow::Result<Self> {
        Ok(Self {
            port: env.parse_or("PORT", 8080)?,
            grace: Duration::from_secs(env.parse_or("SHUTDOWN_GRACE_SECONDS", 25)?),
        })
    }
}

/// Serves functions until SIGTERM: on `PORT`, or on Lambda if the process runs there.
pub async fn serve(functions: &[&'static Function], context: Context) -> anyhow::Result<()> {
    let app = match functions {
        [one] => router(one, &context),
        several => side_by_side(several, &context),
    };
    if context.env().get("AWS_LAMBDA_RUNTIME_API").is_some() {
        return lambda::serve(app).await;
    }
    let config = ServeConfig::from_env(context.env())?;
    let address = SocketAddr::from(([0, 0, 0, 0], config.port));
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let names: Vec<_> = functions.iter().map(|f| f.name).collect();
    tracing::info!(functions = names.join(","), version = VERSION, %address, "serving");
    let (stop, stopping) = tokio::sync::oneshot::channel();
    let asked = context.clone();
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        terminated().await;
        asked.stop();
        tracing::info!("stopping: no new connections, finishing what runs");
        let _ = stop.send(());
    });
    tokio::select! {
        served = async { served.await?; context.finish().await; anyhow::Ok(()) } => served?,
        () = async { let _ = stopping.await; tokio::time::sleep(config.grace).await } => {
            tracing::warn!("what still ran did not finish in time");
        }
    }
    Ok(())
}

/// Returns on SIGTERM or Ctrl-C.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Several functions on one port. HTTP operations have different paths; `POST /` goes to the function
/// named by the first label of the host, as on a cluster.
fn side_by_side(functions: &[&'static Function], context: &Context) -> Router {
    let triggered: HashMap<_, _> =
        functions.iter().filter(|f| f.trigger.is_some()).map(|f| (f.name, router(f, context))).collect();
    let by_host = async move |request: Request| {
        let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("");
        match triggered.get(host.split(['.', ':']).next().unwrap_or("")).cloned() {
            Some(function) => function.oneshot(request).await.unwrap_or_else(|never| match never {}),
            None => Error::not_found().into_response(),
        }
    };
    let merged = functions.iter().fold(Router::new(), |all, f| all.merge(operations(f, context)));
    let uses_database = functions.iter().any(|f| f.uses_database);
    finished(merged.route("/", axum::routing::post(by_host)), context, uses_database)
}
