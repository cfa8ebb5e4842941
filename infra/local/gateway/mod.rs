//! The gateway: replaces the part of Kong that `infra/kong/kong.yml` uses.
#![expect(
    clippy::result_large_err,
    reason = "a refusal is an answer, made once per request: a box buys nothing"
)]

mod answer;
mod buffers;
mod headers;
mod limits;
mod path;
pub mod router;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::body::Body;
use bytes::BytesMut;
use futures::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts,
};
use http_body::Body as _;
use http_body_util::BodyExt;
use net::fair_share::FairShare;
use runtime::{Clock, outbound::Carry, secret::Random};

pub use self::limits::network;
use self::{
    answer::{Answer, refuse},
    buffers::{Buffer, Buffers},
    limits::{Quota, Who},
    router::{Flavor, Router},
};
use crate::{
    apps::{Apps, whole},
    consumers::{Consumers, Credential},
    wiring::kong::{Cors, LimitBy, Route},
};

/// How long a client may take to send a body, which has at most a megabyte.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_HEADERS: usize = 100;

/// Concurrent requests. A client alone may have half of them, and each further client leaves room for the
/// next. Requests wait for a handful of database connections one after another, so this is also about the
/// number of milliseconds that a new request waits behind all others.
const ANSWERED_AT_ONCE: usize = 128;

/// Calls that wait, perhaps for minutes, for a server that the caller chose. They have separate limits (in
/// total and by client), because they cost next to nothing but would block other requests. The pages that
/// wait for such a call have the same number again.
const ASK_STRANGERS_AT_ONCE: usize = 512;
const ASK_STRANGERS_BY_CLIENT: usize = 16;

/// Concurrent reads by key, out of the requests above; one user alone may have half of them. More at once
/// would not finish earlier, but take more memory and keep the processors from other work.
const READ_AT_ONCE: usize = 16;

/// Bytes of request bodies in memory: of all clients, and of one address (of IPv6: of one /64).
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_BODY_BYTES_PER_ADDRESS: usize = 16 << 20;
/// Bytes of one user's answers that are not sent yet: some clients read slowly.
const MAX_ANSWER_BYTES_PER_USER: usize = 16 << 20;

/// The methods that a route can have.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::POST, Method::DELETE, Method::OPTIONS];

pub struct Gateway {
    router: Router<Arc<Route>>,
    apps: Arc<Apps>,
    consumers: Consumers,
    limits: limits::Limits,
    /// Concurrent requests: clients take turns, so that a client with many requests does not block others.
    answering: Arc<FairShare<Who>>,
    asking_strangers: Arc<FairShare<Who>>,
    /// The same for calls by functions of this process: the outer request holds a place of its own.
    asking_from_within: Arc<FairShare<Who>>,
    reading: Arc<FairShare<Who>>,
    /// Limits for one client, and the proxies that are trusted to name the client.
    clients: crate::Limits,
    bodies: Buffers<IpAddr>,
    answers: Buffers<Who>,
    clock: Clock,
    random: Random,
}

/// One request on its way through the plugins.
struct Passage<'a> {
    gateway: &'a Gateway,
    route: &'a Route,
    request_id: String,
    peer: SocketAddr,
    is_from_within: bool,
    credential: Option<Credential>,
    /// Reported in the answer's headers, also in a refusal.
    quota: Option<Quota>,
    correlation: Option<(HeaderName, HeaderValue)>,
}

const CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
const CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
const CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
const CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");
const ANONYMOUS_CONSUMER: HeaderName = HeaderName::from_static("x-anonymous-consumer");
const APIKEY: HeaderName = HeaderName::from_static("apikey");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");

impl Gateway {
    pub fn new(
        routes: Vec<Route>,
        apps: Arc<Apps>,
        consumers: Consumers,
        clients: crate::Limits,
        clock: Clock,
        random: Random,
    ) -> Self {
        let routes = routes.into_iter().map(|route| (route.criteria.clone(), Arc::new(route)));
        Self {
            router: Router::new(routes, Flavor::Traditional),
            apps,
            consumers,
            limits: limits::Limits::default(),
            answering: FairShare::of(ANSWERED_AT_ONCE),
            asking_strangers: FairShare::with_max(ASK_STRANGERS_AT_ONCE, ASK_STRANGERS_BY_CLIENT),
            asking_from_within: FairShare::with_max(ASK_STRANGERS_AT_ONCE, ASK_STRANGERS_BY_CLIENT),
            reading: FairShare::of(READ_AT_ONCE),
            clients,
            bodies: Buffers::new(MAX_BODY_BYTES, MAX_BODY_BYTES_PER_ADDRESS),
            answers: Buffers::new(usize::MAX, MAX_ANSWER_BYTES_PER_USER),
            clock,
            random,
        }
    }

    /// Handles requests by functions of this process.
    pub fn carry(self: &Arc<Self>) -> Carry {
        let gateway = Arc::downgrade(self);
        Arc::new(move |_, request| {
            let gateway = gateway.clone();
            async move {
                let gateway = gateway.upgrade().context("there is no gateway")?;
                let answer = gateway.handle_from_within(request.map(Body::from)).await;
                whole(answer).await.context("reading the answer of the gateway")
            }
            .boxed()
        })
    }

    /// Handles a request by a function of this process on behalf of a client: the last address of
    /// `X-Forwarded-For`, which this gateway itself added.
    async fn handle_from_within(&self, mut request: Request<Body>) -> Response<Body> {
        let list = request.headers_mut().remove("x-forwarded-for");
        let last = list.as_ref().and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.answer(request, last.map_or(nowhere, |ip: IpAddr| (ip, 0).into()), nowhere, true).await
    }

    /// Handles one request; `peer` and `local` are the ends of its connection.
    pub async fn handle(
        &self,
        request: Request<Body>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Response<Body> {
        self.answer(request, peer, local, false).await
    }

    async fn answer(
        &self,
        request: Request<Body>,
        peer: SocketAddr,
        local: SocketAddr,
        is_from_within: bool,
    ) -> Response<Body> {
        let request_id = format!("{:032x}", u128::from_ne_bytes(self.random.bytes()));
        let (mut parts, body) = request.into_parts();
        // The limit that HTTP/1 has already.
        if parts.headers.len() > MAX_HEADERS {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return refuse(status, "Too many headers", &request_id);
        }
        let Some(path) = path::normalise(parts.uri.path()) else {
            return refuse(StatusCode::BAD_REQUEST, "Bad request", &request_id);
        };
        // Like nginx, on which Kong is based, refuse TRACE and CONNECT whatever the routes are.
        if !METHODS.contains(&parts.method) {
            let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", &request_id);
            self.allow(refusal.headers_mut(), &path);
            return refusal;
        }
        // No host: `kong.yml` names none.
        let Some((route, pattern)) = self.router.find("", &parts.method, &path) else {
            return refuse(StatusCode::NOT_FOUND, "no Route matched with those values", &request_id);
        };
        headers::strip_hop_by_hop(&mut parts.headers);
        let peer = headers::forwarded(&mut parts, peer, local, &self.clients);
        let mut passage = Passage {
            gateway: self,
            route,
            request_id,
            peer,
            is_from_within,
            credential: None,
            quota: None,
            correlation: None,
        };
        let origin = parts.headers.contains_key(header::ORIGIN);
        let path_of_function = route.transform.path(pattern, &path);
        let mut response = match passage.pass(parts, body, &path_of_function).await {
            Ok(response) | Err(response) => response,
        };
        passage.finish(response.headers_mut(), origin);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            self.allow(response.headers_mut(), &path);
        }
        response
    }

    /// Lists the methods of all routes at a path: the function that refuses a method knows only its own.
    fn allow(&self, headers: &mut HeaderMap, path: &str) {
        let methods = self.router.methods(path).join(", ");
        if let Some(methods) = HeaderValue::from_str(&methods).ok().filter(|_| !methods.is_empty()) {
            headers.insert(header::ALLOW, methods);
        }
    }
}

impl Passage<'_> {
    /// Runs the plugins in Kong's order; each may refuse the request.
    async fn pass(
        &mut self,
        mut parts: Parts,
        body: Body,
        path: &str,
    ) -> Result<Response<Body>, Response<Body>> {
        self.correlate(&mut parts.headers);
        self.preflight(&parts)?;
        if self.route.key_auth {
            self.authenticate(&mut parts.headers).await?;
        }
        // Before the body is read, so that a client over its limit costs no memory.
        self.rate()?;
        let mut buffer = self.gateway.bodies.of(network(self.peer.ip()));
        let body = self.size(&parts.headers, body, &mut buffer).await?;
        self.transform(&mut parts, path)?;
        self.ask(Request::from_parts(parts, body)).await
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Response<Body> {
        refuse(status, message, &self.request_id)
    }

    /// correlation-id: sets the correlation header.
    fn correlate(&mut self, headers: &mut HeaderMap) {
        let Some(plugin) = &self.route.correlation_id else { return };
        let sent = headers.get(&plugin.header).filter(|value| !value.is_empty()).cloned();
        let id = sent.or_else(|| HeaderValue::from_str(&crate::uuid(&self.gateway.random)).ok());
        if let Some(id) = id {
            headers.insert(plugin.header.clone(), id.clone());
            self.correlation = plugin.echo.then(|| (plugin.header.clone(), id));
        }
    }

    /// cors: answers a preflight before a key is required, because browsers send none.
    fn preflight(&self, parts: &Parts) -> Result<(), Response<Body>> {
        let Some(Cors { headers, methods, max_age, .. }) = &self.route.cors else { return Ok(()) };
        let asked = |name| parts.headers.get(name);
        if parts.method != Method::OPTIONS
            || asked(header::ORIGIN).is_none()
            || asked(header::ACCESS_CONTROL_REQUEST_METHOD).is_none()
        {
            return Ok(());
        }
        let mut response = Response::new(Body::empty());
        let answer = response.headers_mut();
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        if let Some(headers) = headers.as_ref().or(asked(header::ACCESS_CONTROL_REQUEST_HEADERS)) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        if let Some(age) = max_age {
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(*age));
        }
        Err(response)
    }

    /// key-auth: the function gets the key's consumer, not the key.
    async fn authenticate(&mut self, headers: &mut HeaderMap) -> Result<(), Response<Body>> {
        let unauthorized = |message| {
            let mut response = self.refuse(StatusCode::UNAUTHORIZED, message);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Key"));
            response
        };
        let mut keys = headers.get_all(APIKEY).iter();
        let key = match (keys.next(), keys.next()) {
            (_, Some(_)) => return Err(unauthorized("Duplicate API key found")),
            (Some(key), None) if !key.is_empty() => key,
            _ => return Err(unauthorized("No API key found in request")),
        };
        let found = match key.to_str() {
            Ok(key) => self.gateway.consumers.by_key(key, self.gateway.clock.now()).await,
            Err(_) => Ok(None),
        };
        let credential = match found {
            Ok(Some(credential)) => credential,
            Ok(None) => return Err(unauthorized("Unauthorized")),
            Err(error) => {
                tracing::error!(%error, "the keys cannot be read");
                return Err(self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "An unexpected error occurred"));
            }
        };
        headers.remove(APIKEY);
        headers.remove(ANONYMOUS_CONSUMER);
        for (name, value) in [
            (CONSUMER_ID, Some(&credential.consumer_id)),
            (CONSUMER_CUSTOM_ID, credential.custom_id.as_ref()),
            (CONSUMER_USERNAME, credential.username.as_ref()),
            (CREDENTIAL_IDENTIFIER, Some(&credential.id)),
        ] {
            // Replace or remove a client's own value.
            headers.remove(&name);
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        self.credential = Some(credential);
        Ok(())
    }

    /// request-size-limiting: a body without a length is read first, as in Kong.
    async fn size(
        &self,
        headers: &HeaderMap,
        body: Body,
        buffer: &mut Buffer<IpAddr>,
    ) -> Result<Body, Response<Body>> {
        let Some(limit) = self.route.size_limit else { return Ok(body) };
        let too_large = || {
            let expects = headers
                .get(header::EXPECT)
                .is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"));
            let status = if expects { StatusCode::EXPECTATION_FAILED } else { StatusCode::PAYLOAD_TOO_LARGE };
            self.refuse(status, "Request size limit exceeded")
        };
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        // Read here, so that a slow client gets an error and does not block a function.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut body = body;
        let mut read = BytesMut::new();
        let reading = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| self.refuse(StatusCode::BAD_REQUEST, "Bad request"))?;
                let Ok(data) = frame.into_data() else { continue };
                if read.len() + data.len() > limit {
                    return Err(too_large());
                }
                if !buffer.grow(data.len()).await {
                    return Err(self.refuse(StatusCode::SERVICE_UNAVAILABLE, "Too many bodies at once"));
                }
                read.extend_from_slice(&data);
            }
            Ok(())
        };
        match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(done) => done.map(|()| Body::from(read.freeze())),
            Err(_) => Err(self.refuse(StatusCode::REQUEST_TIMEOUT, "Request timeout")),
        }
    }

    /// The caller: by key, else by address.
    fn who(&self) -> Who {
        match &self.credential {
            Some(credential) => Who::Consumer(credential.consumer_id.clone()),
            None => Who::at(self.peer.ip()),
        }
    }

    /// rate-limiting
    fn rate(&mut self) -> Result<(), Response<Body>> {
        let Some(limit) = self.route.rate_limit else { return Ok(()) };
        let who = match limit.by {
            LimitBy::Consumer => self.who(),
            LimitBy::Ip => Who::at(self.peer.ip()),
        };
        let now = self.gateway.clock.now();
        let quota = self.gateway.limits.take(&self.route.name, who, limit.minute, now);
        let allowed = quota.allowed;
        self.quota = Some(quota);
        if allowed {
            Ok(())
        } else {
            Err(self.refuse(StatusCode::TOO_MANY_REQUESTS, "API rate limit exceeded"))
        }
    }

    /// request-transformer, and the path of the upstream.
    fn transform(&self, parts: &mut Parts, path: &str) -> Result<(), Response<Body>> {
        let transform = &self.route.transform;
        for name in &transform.remove {
            parts.headers.remove(name);
        }
        for (name, value) in &transform.add {
            // `add` keeps an existing value: that is why the file removes it first.
            if !parts.headers.contains_key(name) {
                parts.headers.insert(name.clone(), value.clone());
            }
        }
        let uri = match parts.uri.query() {
            Some(query) => format!("{path}?{query}").parse::<Uri>(),
            None => path.parse(),
        };
        parts.uri = uri.map_err(|_| self.refuse(StatusCode::BAD_REQUEST, "Bad request"))?;
        parts.headers.insert(header::HOST, self.route.host.clone());
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            parts.headers.insert(REQUEST_ID, id);
        }
        Ok(())
    }

    async fn ask(&self, request: Request<Body>) -> Result<Response<Body>, Response<Body>> {
        let is_read = self.credential.is_some() && request.method() == Method::GET;
        let asks_strangers = !request.method().is_safe() && (self.route.asks_strangers)(request.uri().path());
        let asked = async {
            let share = match (asks_strangers, self.is_from_within) {
                (true, false) => Some(&self.gateway.asking_strangers),
                (true, true) => Some(&self.gateway.asking_from_within),
                (false, false) => Some(&self.gateway.answering),
                // A call within a request that already has a place.
                (false, true) => None,
            };
            let _place = match share {
                Some(share) => Some(share.take(self.who()).await),
                None => None,
            };
            let _turn = match is_read {
                true => Some(self.gateway.reading.take(self.who()).await),
                false => None,
            };
            let answer = self.gateway.apps.ask_for_client(self.route.function, request).await?;
            // Only reads: the client must get the answer to a change.
            let mut held = is_read.then(|| self.gateway.answers.of(self.who()));
            if let Some(held) = &mut held {
                let bytes = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
                if !held.grow(bytes).await {
                    return Some(self.refuse(StatusCode::TOO_MANY_REQUESTS, "Too many answers at once"));
                }
            }
            Some(answer.map(|body| Body::new(Answer { body, _held: held })))
        };
        match tokio::time::timeout(self.route.read_timeout, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.refuse(StatusCode::SERVICE_UNAVAILABLE, "name resolution failed")),
            Err(_) => Err(self.refuse(StatusCode::GATEWAY_TIMEOUT, "The upstream server is timing out")),
        }
    }

    /// Adds the headers that every answer has.
    fn finish(&self, headers: &mut HeaderMap, has_origin: bool) {
        if let Some(quota) = &self.quota {
            quota.write(headers);
        }
        if let Some((name, id)) = &self.correlation {
            headers.insert(name.clone(), id.clone());
        }
        // A preflight's answer has the header already.
        let origin = has_origin && !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        if let (Some(cors), true) = (&self.route.cors, origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            if let Some(exposed) = &cors.exposed {
                headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
            }
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
    }
}
