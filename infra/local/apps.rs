//! The functions in this process, and the calls between them, which use the network on a cluster.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use runtime::{
    Clock, Context, Env, Function,
    context::for_client,
    outbound::{Carry, Outbound, To},
    secret::Random,
    serve,
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

/// Maximum length of a function's answer to another function, or of its reply to the broker.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

pub struct Apps {
    context: Context,
    routers: HashMap<&'static str, Router>,
    clients: Clients,
    /// Set once the broker and the gateway exist: they need this struct.
    pub broker: OnceLock<Carry>,
    pub gateway: OnceLock<Carry>,
}

/// Threads for clients' requests alone: an answer of megabytes is computed without a pause, and on shared
/// threads events would wait for it at each step. The operating system divides the processors between the
/// threads.
struct Clients(Option<Runtime>);

impl Clients {
    fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("clients").enable_all().build();
        Ok(Self(Some(runtime.context("starting threads")?)))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Without waiting: an asynchronous context does not allow it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Apps {
    /// The routers of all functions, over one context whose calls stay within this process.
    pub fn new(functions: &'static [Function], env: Env, clock: Clock, random: Random) -> Result<Arc<Self>> {
        let clients = Clients::new()?;
        Ok(Arc::new_cyclic(|apps: &Weak<Self>| {
            // Weak: a router must not keep the routers alive through its context.
            let apps = apps.clone();
            let outbound = Outbound::new(Arc::new(move |to, request| {
                let apps = apps.clone();
                async move {
                    let apps = apps.upgrade().context("the engine is gone")?;
                    match to {
                        To::Sink => apps.broker.get().context("there is no broker")?(to, request).await,
                        To::Function(name) => apps.call(name, request.map(Body::from)).await,
                        To::Gateway => apps.gateway.get().context("there is no gateway")?(to, request).await,
                    }
                }
                .boxed()
            }));
            let context = Context::new(env, clock, random, outbound);
            let routers = functions.iter().map(|f| (f.name, serve::router(f, &context))).collect();
            Self { context, routers, clients, broker: OnceLock::new(), gateway: OnceLock::new() }
        }))
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// `None`: no such function.
    pub async fn ask(&self, function: &str, request: Request<Body>) -> Option<Response<Body>> {
        let router = self.routers.get(function)?.clone();
        Some(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
    }

    /// Like [`Self::ask`], on the threads for clients.
    pub async fn ask_for_client(&self, function: &str, request: Request<Body>) -> Option<Response<Body>> {
        let router = self.routers.get(function)?.clone();
        let asked = self.clients.0.as_ref()?.spawn(for_client(router.oneshot(request)));
        Some(AbortOnDropHandle::new(asked).await.ok()?.unwrap_or_else(|never| match never {}))
    }

    /// Sends a request and waits for the whole answer.
    pub async fn call(&self, function: &str, request: Request<Body>) -> Result<Response<Bytes>> {
        let response = self.ask(function, request).await;
        let response = response.with_context(|| format!("no function {function}"))?;
        whole(response).await.with_context(|| format!("reading the answer of {function}"))
    }

    /// `POST /`: an event, or a tick of the schedule.
    pub async fn trigger(&self, function: &str, headers: HeaderMap, body: Bytes) -> Result<Response<Bytes>> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/");
        *request.headers_mut() = headers;
        self.call(function, request).await
    }
}

pub async fn whole(response: Response<Body>) -> Result<Response<Bytes>> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|e| anyhow::anyhow!(e))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
