//! The functions, in this process: what the network between them is on a cluster.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use runtime::{
    Clock, Context, Env, Function,
    outbound::{Outbound, To},
    secret::Random,
    serve,
};
use tower::ServiceExt;

use crate::broker::Broker;

/// Most that a function may answer to another, or reply to the broker.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

pub struct Apps {
    context: Context,
    routers: HashMap<&'static str, Router>,
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
    ) -> Arc<Self> {
        Arc::new_cyclic(|apps: &Weak<Self>| {
            // Weak: what a router holds must not keep the routers alive.
            let apps = apps.clone();
            let outbound = Outbound::new(Arc::new(move |to, request| {
                let (apps, broker) = (apps.clone(), broker.clone());
                async move {
                    match to {
                        To::Sink => Ok(broker.receive(request).await),
                        To::Function(name) => {
                            let apps = apps.upgrade().context("the engine is gone")?;
                            apps.call(name, request.map(Body::from)).await
                        }
                    }
                }
                .boxed()
            }));
            let context = Context::new(env, clock, random, outbound);
            let routers = functions.iter().map(|f| (f.name, serve::router(f, &context))).collect();
            Self { context, routers }
        })
    }

    pub fn context(&self) -> &Context {
        &self.context
    }

    /// `None`: there is no such function.
    pub async fn ask(&self, function: &str, request: Request<Body>) -> Option<Response<Body>> {
        let router = self.routers.get(function)?.clone();
        Some(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
    }

    /// Asks, and waits for the whole answer.
    pub async fn call(&self, function: &str, request: Request<Body>) -> Result<Response<Bytes>> {
        let response = self.ask(function, request).await;
        let (parts, body) = response.with_context(|| format!("no function {function}"))?.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await;
        let body = body.map_err(|e| anyhow::anyhow!("reading the answer of {function}: {e}"))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
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
