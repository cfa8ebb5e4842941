//! The HTTP client for deliveries: a POST over its own HTTP/1.1 connection. It follows no redirects, uses no proxy,
//! and trusts the public certificate authorities and the extra ones.

use std::{error::Error, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::{
    connect::{ConnectError, addresses, connect, server_name},
    metered::{Flooded, Metered},
    stream::{Driven, MAX_HEAD, Stream},
};
use crate::{
    address::{BlockedAddress, PrivateNetworks},
    resolve::Resolver,
    trust::ExtraRoots,
};

pub struct Client {
    policy: Arc<PrivateNetworks>,
    resolver: Resolver,
    tls: TlsConnector,
}

/// A request to post.
#[derive(Clone, Debug)]
pub struct Post {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no response.
#[derive(Debug)]
pub enum SendError {
    Blocked(BlockedAddress),
    /// No part of the request was sent.
    NotConnected,
    Flooded,
    BrokenOff,
}

impl Client {
    pub fn new(policy: Arc<PrivateNetworks>, resolver: Resolver, roots: &ExtraRoots) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.store()?)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { policy, resolver, tls: TlsConnector::from(Arc::new(tls)) })
    }

    /// Returns the response, with the first `max_body` bytes of its body. The caller sets the time-out.
    pub async fn post(&self, post: &Post, max_body: usize) -> Result<Response<Vec<u8>>, SendError> {
        let request = request(post).ok_or(SendError::NotConnected)?;
        let stream = self.connect(&post.url).await?;
        exchange(stream, request, max_body).await.map_err(|error| ended(&error, SendError::BrokenOff))
    }

    async fn connect(&self, url: &Url) -> Result<Stream, SendError> {
        let not_connected = |error| match error {
            ConnectError::Blocked(blocked) => SendError::Blocked(blocked),
            _ => SendError::NotConnected,
        };
        let addresses = addresses(url, &self.resolver, &self.policy).await.map_err(not_connected)?;
        let stream = Metered::new(connect(&addresses).await.map_err(not_connected)?);
        match url.scheme() {
            "http" => Ok(Stream::Plain(stream)),
            "https" => {
                let name = server_name(url).ok_or(SendError::NotConnected)?;
                let stream = self.tls.connect(name, stream).await;
                let stream = stream.map_err(|error| ended(&error, SendError::NotConnected))?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            _ => Err(SendError::NotConnected),
        }
    }
}

fn request(Post { url, headers, body }: &Post) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse().ok()?;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    request.headers_mut().extend(headers.clone());
    Some(request)
}

async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    max_body: usize,
) -> hyper::Result<Response<Vec<u8>>> {
    let meter = stream.meter();
    let builder = &mut http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut connection = Driven::new(connection.as_mut());
    let (head, mut body) = connection.until(sender.send_request(request)).await?.into_parts();
    let mut kept = Vec::new();
    while kept.len() < max_body
        && let Some(frame) = connection.until(body.frame()).await
    {
        // Trailers are not part of the body.
        let Ok(data) = frame?.into_data() else { continue };
        meter.count_body(data.len() as u64);
        kept.extend_from_slice(&data[..data.len().min(max_body - kept.len())]);
    }
    Ok(Response::from_parts(head, kept))
}

fn ended(error: &(dyn Error + 'static), otherwise: SendError) -> SendError {
    if Flooded::in_error(error).is_some() { SendError::Flooded } else { otherwise }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(policy: PrivateNetworks, addresses: [&str; 2]) -> Client {
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        let resolver = Resolver::fixed(move |_| addresses.clone());
        Client::new(Arc::new(policy), resolver, &ExtraRoots::default()).unwrap()
    }

    fn empty(url: &str) -> Post {
        Post { url: Url::parse(url).unwrap(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    #[tokio::test]
    async fn name_that_leads_inside_is_blocked() {
        let client = client(PrivateNetworks::Deny, ["10.0.0.7", "169.254.169.254"]);
        for url in ["http://hook.example/", "https://hook.example/"] {
            let error = client.post(&empty(url), 0).await.unwrap_err();
            let SendError::Blocked(blocked) = error else { panic!("{error:?}") };
            assert_eq!(blocked.ip.to_string(), "10.0.0.7");
            assert!(blocked.to_string().contains("hook.example leads to 10.0.0.7"));
        }
    }

    #[tokio::test]
    async fn the_client_connects_to_what_was_judged() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = client("127.0.0.0/8".parse().unwrap(), ["10.0.0.7", "127.0.0.1"]);
        let post = empty(&format!("http://hook.example:{port}/"));
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.is_ok(),
            _ = client.post(&post, 0) => false,
        };
        assert!(accepted);
    }
}
