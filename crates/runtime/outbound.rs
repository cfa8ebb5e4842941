//! Calls to other functions, and events to the broker: with a time-out, bounded retries, and a circuit
//! breaker per called function.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use failsafe::{backoff, failure_policy, futures::CircuitBreaker as _};
use futures::future::{BoxFuture, join_all};
use http::{Method, Request, Response, StatusCode, header};
use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, SpanKind},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{Env, Error, Outgoing, Result, trace::Trace};

/// The destination of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum To {
    Function(&'static str),
    /// The broker.
    Sink,
    /// The gateway, at its public interface: for pages, which have the permissions of their visitor.
    Gateway,
}

/// Sends one request: over the network on a cluster, within the process on one machine.
pub type Carry =
    Arc<dyn Fn(To, Request<Bytes>) -> BoxFuture<'static, anyhow::Result<Response<Bytes>>> + Send + Sync>;

type Breaker = failsafe::StateMachine<failure_policy::ConsecutiveFailures<backoff::EqualJittered>, ()>;

#[derive(Clone)]
pub struct Outbound {
    carry: Carry,
    breakers: Arc<Mutex<HashMap<To, Breaker>>>,
    timeout: Duration,
    /// Functions are separate processes, which may have stopped.
    are_apart: bool,
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// For the broker. Knative's in-memory channel, if it is synchronous, answers only after all subscribers
/// of an event, and their subscribers, are done.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(300);
const FAILURES_TO_OPEN: u32 = 10;

impl Outbound {
    pub fn new(carry: Carry) -> Self {
        Self { carry, breakers: Arc::default(), timeout: TIMEOUT, are_apart: false }
    }

    /// Sets the time-out of each response.
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends one request once, without retries.
    pub fn carry(
        &self,
        to: To,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, anyhow::Result<Response<Bytes>>> {
        (self.carry)(to, request)
    }

    /// By HTTP: functions at `FUNCTION_URL` (`{name}` stands for the function's name), the broker at
    /// `K_SINK`, which Knative sets, the gateway at `GATEWAY_URL`.
    pub fn http(env: &Env) -> Self {
        let function_url = env.get("FUNCTION_URL").unwrap_or("http://{name}").to_owned();
        let sink = env.get("K_SINK").map(str::to_owned);
        let gateway = env.get("GATEWAY_URL").unwrap_or("http://kong-proxy").trim_end_matches('/').to_owned();
        let client = Arc::new(OnceLock::<reqwest::Client>::new());
        let carry: Carry = Arc::new(move |to, request| {
            let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
            let url = match to {
                To::Function(name) => {
                    Ok(format!("{}{path}", function_url.replace("{name}", name).trim_end_matches('/')))
                }
                // Unchanged: a broker knows its path without a final slash.
                To::Gateway => Ok(format!("{gateway}{path}")),
                To::Sink => sink.clone().context("K_SINK is not set: there is no broker to send to"),
            };
            let client = Arc::clone(&client);
            Box::pin(async move { over_http(&client, &url?, request).await })
        });
        Self { are_apart: true, ..Self::new(carry) }
    }

    /// Starts functions that have scaled to zero and are needed soon. Only an optimization: errors are
    /// ignored.
    pub async fn wake(&self, functions: &[&'static str]) {
        if !self.are_apart {
            return;
        }
        join_all(functions.iter().map(async |function| {
            let Ok(request) = Request::get("/health").body(Bytes::new()) else { return };
            let _ = tokio::time::timeout(TIMEOUT, self.carry(To::Function(function), request)).await;
        }))
        .await;
    }

    /// Calls another function's private API.
    pub async fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        function: &'static str,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T> {
        let body = body.map(serde_json::to_vec).transpose().map_err(Error::internal)?;
        // A call that may have had an effect is not repeated. A refused connection had none, but the
        // broker or the user retries in that case.
        let times = if method == Method::GET { 3 } else { 1 };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body.unwrap_or_default()))
            .map_err(Error::internal)?;
        let span = || {
            let attributes = [
                KeyValue::new("http.request.method", request.method().to_string()),
                KeyValue::new("faas.invoked_name", function),
            ];
            let name = format!("{} {function}", request.method());
            SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes)
        };
        let trace = Trace::current().child(span);
        let response = self.send(To::Function(function), request, times, &trace).await?;
        match response.status() {
            status if status.is_success() => {
                let body = response.body();
                let parsed = serde_json::from_slice(if body.is_empty() { b"null" } else { body });
                parsed.with_context(|| format!("what {function} answered")).map_err(Error::internal)
            }
            StatusCode::NOT_FOUND if says(response.body(), "NOT_FOUND") => Err(Error::not_found()),
            // From a proxy that does not know the function, or not yet: no information about the
            // requested data.
            StatusCode::NOT_FOUND => Err(Error::unavailable(anyhow!("{function} is not found"))),
            status => Err(Error::internal(anyhow!("{function} answered {status} to {path}"))),
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, function: &'static str, path: &str) -> Result<T> {
        self.call::<(), T>(function, Method::GET, path, None).await
    }

    /// Publishes an event; returns when the broker has accepted it, which may take as long as its
    /// subscribers. If the caller cannot wait, use [`Context::publish`](crate::Context::publish).
    pub async fn publish(&self, event: Outgoing) -> Result<()> {
        // Events may be repeated: IDs are derived, and every subscriber is idempotent.
        let request = event.into_request()?;
        let span = || {
            let text =
                |header| request.headers().get(header).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
            let attributes = [
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("cloudevents.event_type", text("ce-type")),
                KeyValue::new("cloudevents.event_id", text("ce-id")),
            ];
            let name = format!("send {}", text("ce-type"));
            SpanBuilder::from_name(name).with_kind(SpanKind::Producer).with_attributes(attributes)
        };
        let trace = Trace::current().child(span);
        let response = self.send(To::Sink, request, 3, &trace).await?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(Error::unavailable(anyhow!("the broker answered {}", response.status())))
        }
    }

    async fn send(
        &self,
        to: To,
        mut request: Request<Bytes>,
        times: usize,
        trace: &Trace,
    ) -> Result<Response<Bytes>> {
        trace.inject(request.headers_mut());
        let breaker = self.breaker(&to);
        let (began, timeout) = (Instant::now(), if to == To::Sink { PUBLISH_TIMEOUT } else { self.timeout });
        let attempt = || {
            let (carry, to, request) = (Arc::clone(&self.carry), to.clone(), request.clone());
            breaker.call(async move {
                let response = tokio::time::timeout(timeout, carry(to, request))
                    .await
                    .context("no answer in time")??;
                // An error from the function itself about one request does not mean that it fails for
                // others.
                if response.status().is_server_error() && !is_said_by_a_function(response.body()) {
                    bail!("answered {}", response.status());
                }
                Ok(response)
            })
        };
        let attempt = async || {
            let response = attempt().await?;
            match response.status().is_server_error() {
                true => Err(failsafe::Error::Inner(anyhow!("answered {}", response.status()))),
                false => Ok(response),
            }
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_jitter()
            .with_max_times(times - 1);
        let is_worth_it =
            |e: &failsafe::Error<_>| matches!(e, failsafe::Error::Inner(_)) && began.elapsed() < TIMEOUT * 3;
        let sent = attempt.retry(backoff).when(is_worth_it).await;
        let sent = sent.map_err(|e| match e {
            failsafe::Error::Inner(cause) => Error::unavailable(cause.context(format!("calling {to:?}"))),
            failsafe::Error::Rejected => {
                Error::unavailable(anyhow!("{to:?} failed too often: the circuit is open"))
            }
        });
        match &sent {
            Ok(response) => trace.answered(response.status()),
            Err(error) => trace.failed(error),
        }
        sent
    }

    fn breaker(&self, to: &To) -> Breaker {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let pause = backoff::equal_jittered(Duration::from_secs(1), Duration::from_secs(10));
            let policy = failure_policy::consecutive_failures(FAILURES_TO_OPEN, pause);
            failsafe::Config::new().failure_policy(policy).build()
        };
        breakers.entry(to.clone()).or_insert_with(make).clone()
    }
}

/// Whether the error is from a function, and not from a proxy.
fn is_said_by_a_function(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|error| error["code"].is_string())
}

fn says(body: &[u8], code: &str) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|error| error["code"] == code)
}

async fn over_http(
    client: &OnceLock<reqwest::Client>,
    url: &str,
    request: Request<Bytes>,
) -> anyhow::Result<Response<Bytes>> {
    // Built on the first call: most functions never make one.
    let client = client.get_or_init(reqwest::Client::new);
    let (parts, body) = request.into_parts();
    let sent = client.request(parts.method, url).headers(parts.headers).body(body).send().await?;
    let mut response = Response::builder().status(sent.status());
    if let Some(headers) = response.headers_mut() {
        *headers = sent.headers().clone();
    }
    Ok(response.body(sent.bytes().await?)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn functions_are_woken_where_they_are_apart() {
        let (near, asked) = answering(200);
        near.wake(&["email-send"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 0, "there is nothing to start");
        // A function that does not start does not block the others.
        let (far, asked) = answering(503);
        let far = Outbound { are_apart: true, ..far };
        far.wake(&["notification-dispatch", "email-send"]).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2, "each once, whatever it answers");
    }

    fn answering(status: u16) -> (Outbound, Arc<AtomicUsize>) {
        saying(status, "7")
    }

    fn saying(status: u16, body: &'static str) -> (Outbound, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let outbound = Outbound::new(Arc::new(move |_, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                Ok(Response::builder().status(status).body(Bytes::from_static(body.as_bytes()))?)
            })
        }));
        (outbound, calls)
    }

    #[tokio::test(start_paused = true)]
    async fn a_get_is_retried_and_a_post_is_not() {
        let (outbound, calls) = answering(503);
        outbound.get::<u8>("user-private-get", "/private/v1/users/1").await.expect_err("down");
        assert_eq!(calls.swap(0, Ordering::SeqCst), 3);
        let post = outbound.call::<u8, u8>("endpoint-private-claim", Method::POST, "/x", Some(&1)).await;
        assert_eq!(post.expect_err("down").status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    /// Callers treat a 404 as deleted and send no alert, so only the function itself may report it.
    #[tokio::test(start_paused = true)]
    async fn a_function_that_is_not_found_does_not_say_that_something_is_gone() {
        for (body, status) in [("", 503), ("404 page not found", 503), (r#"{"code":"NOT_FOUND"}"#, 404)] {
            let (outbound, _) = saying(404, body);
            let error = outbound.get::<u8>("endpoint-private-get", "/x").await.expect_err("404");
            assert_eq!(error.status(), status, "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_circuit_opens_for_the_one_that_fails() {
        let (outbound, calls) = answering(500);
        for _ in 0..20 {
            let _ = outbound.get::<u8>("report-get", "/").await;
        }
        // It would be 60 calls without the breaker (which may let one through as a test).
        assert!(calls.load(Ordering::SeqCst) < 2 * FAILURES_TO_OPEN as usize);
        // One owner's unreadable row: other calls are not refused.
        let (outbound, calls) = saying(500, r#"{"code":"INTERNAL"}"#);
        for _ in 0..20 {
            let _ = outbound.get::<u8>("endpoint-private-get", "/").await;
        }
        assert_eq!(calls.load(Ordering::SeqCst), 60);
        let (fine, _) = answering(200);
        assert_eq!(fine.get::<u8>("report-get", "/").await.expect("answers"), 7);
    }
}
