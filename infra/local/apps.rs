//! The functions, in this process: what the network between them is on a cluster.

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
    outbound::{Outbound, To},
    secret::Random,
    serve,
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::{broker::Broker, gateway::Gateway};

/// Most that a function may answer to another, or reply to the broker.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

pub struct Apps {
    context: Context,
    routers: HashMap<&'static str, Router>,
    clients: Clients,
    /// Set when there is one: it is made of these.
    pub gateway: OnceLock<Weak<Gateway>>,
}

/// What clients ask for has threads of its own: an answer of megabytes is made without a pause, and events would wait
/// for it at each of their steps. Between threads the system divides the processors.
struct Clients(Option<Runtime>);

impl Clients {
    fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("clients").enable_all().build();
        Ok(Self(Some(runtime.context("starting threads")?)))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Without waiting, which an asynchronous context does not allow.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Apps {
    /// Every function's router, over one context whose calls stay within this process and whose
    /// events go to `broker`.
    pub fn new(
        functions: &'static [Function],
        env: Env,
        clock: Clock,
        random: Random,
        broker: Broker,
    ) -> Result<Arc<Self>> {
        let clients = Clients::new()?;
        Ok(Arc::new_cyclic(|apps: &Weak<Self>| {
            // Weak: what a router holds must not keep the routers alive.
            let apps = apps.clone();
            let outbound = Outbound::new(Arc::new(move |to, request| {
                let (apps, broker) = (apps.clone(), broker.clone());
                async move {
                    match to {
                        To::Sink => {
                            let apps = apps.upgrade().context("the engine is gone")?;
                            Ok(broker.receive_from(&apps, request).await)
                        }
                        To::Function(name) => {
                            let apps = apps.upgrade().context("the engine is gone")?;
                            apps.call(name, request.map(Body::from)).await
                        }
                        To::Gateway => {
                            let apps = apps.upgrade().context("the engine is gone")?;
                            let gateway = apps.gateway.get().and_then(Weak::upgrade);
                            let gateway = gateway.context("there is no gateway")?;
                            whole(gateway.handle_from_within(request.map(Body::from)).await)
                                .await
                                .context("reading the answer of the gateway")
                        }
                    }
                }
                .boxed()
            }));
            let context = Context::new(env, clock, random, outbound);
            let routers = functions.iter().map(|f| (f.name, serve::router(f, &context))).collect();
            Self { context, routers, clients, gateway: OnceLock::new() }
        }))
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// `None`: there is no such function.
    pub async fn ask(&self, function: &str, request: Request<Body>) -> Option<Response<Body>> {
        let router = self.routers.get(function)?.clone();
        Some(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
    }

    /// The same for a client.
    pub async fn ask_for_client(&self, function: &str, request: Request<Body>) -> Option<Response<Body>> {
        let router = self.routers.get(function)?.clone();
        let asked = self.clients.0.as_ref()?.spawn(for_client(router.oneshot(request)));
        Some(AbortOnDropHandle::new(asked).await.ok()?.unwrap_or_else(|never| match never {}))
    }

    /// Asks, and waits for the whole answer.
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

async fn whole(response: Response<Body>) -> Result<Response<Bytes>> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|e| anyhow::anyhow!(e))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
