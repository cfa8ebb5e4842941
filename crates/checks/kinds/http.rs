//! HTTP and HTTPS, like a new visitor: each check uses its own connections, and follows redirects to the final
//! response.

use std::collections::BTreeMap;

use bytes::Bytes;
use contract::{Failure, FailureCode, Target, Text, text};
use fields::{Field, Refusals, config};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;
use url::{Position, Url};

use crate::{
    Answer, Check, Network, Progress,
    facts::{self, Fact, Shape},
    failure,
    request::{
        cookies::Cookies,
        exchange::{self, Keep, exchange, leads_elsewhere},
        redirect::{Hop, MAX_REDIRECTS, check_url, take_basic_auth},
        status_ranges::StatusRanges,
    },
    shown, tls,
};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const MAX_HEADERS: usize = 50;
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_WARNING_DAYS: i64 = 365;

config! {
    method: String = Field::choice(METHODS, "Method", "메서드").preset("GET")
        .help("HEAD skips the body and is lighter, if the server supports it.", "HEAD는 본문 없이 확인하므로 가볍습니다.");
    expected_status: String = Field::line(200, "Expected HTTP status", "기대하는 HTTP 상태 코드").preset("200-399")
        .help("Codes and ranges with commas: 200-299,301", "코드와 범위를 쉼표로 구분: 200-299,301")
        .example("200-299,301");
    headers: BTreeMap<String, String> = Field::headers(MAX_HEADERS, "Headers", "헤더")
        .help("Sent with every check.", "체크할 때마다 함께 보냅니다.").example("Accept-Language: ko");
    secret_headers: BTreeMap<String, String> = Field::headers(MAX_HEADERS, "Secret headers", "비밀 헤더").secret()
        .help("As headers, but kept sealed, and never shown again: for example Authorization.",
            "헤더와 같지만 암호화해 보관하며 다시 보여 주지 않습니다. 예: Authorization")
        .example("Authorization: Bearer abc");
    body: Option<String> = Field::text(MAX_BODY_BYTES, "Body", "본문")
        .help("For POST, PUT and PATCH. Say its kind in a header: Content-Type: application/json",
            "POST, PUT, PATCH용. 종류는 헤더에 적습니다: Content-Type: application/json");
    follow_redirects: bool = Field::flag(true, "Follow redirects", "리다이렉트 따라가기")
        .help("Off: the redirect itself is the answer that counts.", "끄면 리다이렉트 응답 자체를 결과로 봅니다.");
    verify_tls: bool = Field::flag(true, "The certificate must be valid", "인증서 검증")
        .help("Off: an expired or self-signed certificate is fine, too.", "끄면 만료되었거나 자체 서명한 인증서도 허용합니다.");
    certificate_warning_days: i64 =
        Field::number(0, MAX_WARNING_DAYS, 14, "Warn before the certificate expires (days)", "인증서 만료 전 주의 (일)")
        .help("Degraded once a certificate of the server's chain expires within so many days; 0: never.",
            "서버 인증서 체인이 이 일수 안에 만료되면 주의로 봅니다. 0이면 보지 않습니다.");
    legacy_tls: bool = Field::flag(false, "Old TLS, too", "오래된 TLS 허용")
        .help("TLS 1.0 and 1.1, and ciphers that are no longer safe: for servers that cannot do better. The certificate is \
                verified all the same.",
            "TLS 1.0과 1.1, 더는 안전하지 않은 암호 방식까지 사용합니다. 더 나은 방식을 지원하지 않는 서버에 씁니다. 인증서는 \
                똑같이 검증합니다.");
}

/// A check by HTTP.
#[derive(Debug)]
pub struct Http {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    expected: StatusRanges,
    follow_redirects: bool,
    verify_tls: bool,
    legacy_tls: bool,
    certificate_warning_days: u32,
}

impl Check for Http {
    const KIND: &'static str = "http";
    const LABEL: (&'static str, &'static str) = ("HTTP", "HTTP");
    const ABOUT: (&'static str, &'static str) = (
        "Whether a web page or an API answers as it should.",
        "웹 페이지나 API가 제대로 응답하는지 확인합니다.",
    );
    const SCHEMES: &'static [&'static str] = &["https", "http"];
    const EXAMPLE: &'static str = "https://example.com/health";
    const URL_HELP: (&'static str, &'static str) = (
        "A page that tells whether the service works: better a health check than the front page. Without http:// or \
         https://, the scheme is chosen for you.",
        "서비스 정상 여부를 확인할 수 있는 URL. 첫 화면보다는 상태 확인용 URL이 좋습니다. http://나 https://를 생략하면 알맞은 것을 고릅니다.",
    );
    const IS_DEMO: bool = true;
    const FIELDS: &'static [Field] = FIELDS;
    const FACTS: &'static [Fact] = &[
        Fact::number("status", "Status code", "상태 코드"),
        Fact::of("body", Shape::Body, "Body", "본문"),
        Fact::of("json", Shape::Json, "JSON value", "JSON 값"),
        Fact::of("header", Shape::Header, "Header", "헤더"),
        facts::CERTIFICATE_DAYS_LEFT,
        facts::TLS_MS,
        facts::FIRST_BYTE_MS,
        facts::TRANSFER_MS,
        Fact::number("body_bytes", "Size of the body (bytes)", "본문 크기 (바이트)"),
        Fact::number("redirects", "Redirects", "리다이렉트 횟수"),
        Fact::text("http_version", "HTTP version", "HTTP 버전"),
    ];
    type Config = Config;

    fn plan(url: &Url, config: Config) -> Result<Self, Refusals> {
        let mut refusals = Refusals::new();
        let mut note = |field: String, what| refusals.push((field, what));
        let mut url = url.clone();
        if let Err(what) = check_url(&url) {
            note("url".to_owned(), what);
        }
        let method = METHODS.contains(&&*config.method).then(|| config.method.parse().ok()).flatten();
        let method = method.unwrap_or_else(|| {
            note("config.method".to_owned(), text("is not a method", "올바른 메서드가 아닙니다"));
            Method::GET
        });
        let expected = config.expected_status.parse();
        let expected = expected.map_err(|what| note("config.expected_status".to_owned(), what)).ok();
        if config.legacy_tls && !cfg!(feature = "legacy-tls") {
            let what = text(
                "cannot be set: this pongpong was built without old TLS (the feature legacy-tls)",
                "설정할 수 없습니다. 이 pongpong은 오래된 TLS 기능(legacy-tls) 없이 빌드되었습니다",
            );
            note("config.legacy_tls".to_owned(), what);
        }
        let body = config.body.unwrap_or_default();
        if body.len() > MAX_BODY_BYTES {
            note("config.body".to_owned(), text("must be at most 64 KiB", "최대 64 KiB까지 가능합니다"));
        }
        let lists = [("headers", &config.headers), ("secret_headers", &config.secret_headers)];
        let mut headers = HeaderMap::new();
        if config.headers.len() + config.secret_headers.len() > MAX_HEADERS {
            let what = text(
                "must be at most 50, with secret_headers",
                "secret_headers와 합해 최대 50개까지 가능합니다",
            );
            note("config.headers".to_owned(), what);
        } else {
            for (list, (name, value)) in
                lists.iter().flat_map(|(list, given)| given.iter().map(move |one| (list, one)))
            {
                if let Err(what) = read_header(&mut headers, name, value, *list == "secret_headers") {
                    note(format!("config.{list}.{}", crate::cut(name)), what);
                }
            }
        }
        match expected {
            Some(expected) if refusals.is_empty() => {
                if let Some(value) = take_basic_auth(&mut url) {
                    // A header that the user set has priority.
                    headers.entry(header::AUTHORIZATION).or_insert(value);
                }
                Ok(Self {
                    url,
                    method,
                    headers,
                    body: body.into(),
                    expected,
                    follow_redirects: config.follow_redirects,
                    verify_tls: config.verify_tls,
                    legacy_tls: config.legacy_tls,
                    certificate_warning_days: config.certificate_warning_days.clamp(0, MAX_WARNING_DAYS)
                        as u32,
                })
            }
            _ => Err(refusals),
        }
    }

    /// A request that may change something on the server (RFC 9110, 9.2.1) is retried only if the user asks for it.
    fn retries(config: &Config) -> u8 {
        u8::from(matches!(config.method.as_str(), "GET" | "HEAD" | "OPTIONS"))
    }

    /// A proxy, or a server of many sites, chooses the receiver by this header.
    fn receiver(config: &Config) -> String {
        let all = config.headers.iter().chain(&config.secret_headers);
        let host = all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        host.map_or_else(String::new, |(_, host)| host.to_ascii_lowercase())
    }

    /// Only if certificates are verified.
    fn certificate_warning_days(&self) -> u32 {
        if self.verify_tls { self.certificate_warning_days } else { 0 }
    }

    async fn run(&self, network: &Network<'_>, progress: &mut Progress) -> Result<Answer, Failure> {
        let (answer, redirects) = self.fetch(network, progress).await?;
        let status = answer.status;
        if !self.expected.contains(status.as_u16()) {
            let text = format!("Expected status {}, got {}", self.expected, described(status));
            return Err(failure(FailureCode::StatusMismatch, text));
        }
        let version = match answer.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        let values: Vec<(&'static str, Value)> = vec![
            ("status", status.as_u16().into()),
            ("http_version", version.into()),
            ("redirects", redirects.into()),
            ("body_bytes", progress.bytes.into()),
        ];
        let content = Answer::of(values).with_content(answer.headers, answer.body, answer.is_cut);
        Ok(content.held(answer.memory, answer.since))
    }
}

impl Http {
    /// The first request.
    fn hop(&self) -> Hop {
        Hop {
            url: self.url.clone(),
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        }
    }

    /// Follows redirects to the final response, and counts them.
    async fn fetch(
        &self,
        network: &Network<'_>,
        progress: &mut Progress,
    ) -> Result<(exchange::Answer, usize), Failure> {
        let keep = Keep {
            body: network.keeps_body,
            memory: &network.shared.memory,
            owner: network.owner,
            skip_redirects: self.follow_redirects,
        };
        let mut hop = self.hop();
        let mut cookies = Cookies::default();
        let mut redirects = 0;
        loop {
            let answer = self.visit(&hop, &cookies, network, keep, progress).await?;
            if !self.follow_redirects || !leads_elsewhere(answer.status, &answer.headers) {
                return Ok((answer, redirects));
            }
            cookies.keep(&hop.url, &answer.headers);
            hop = hop.redirected(answer.status, &answer.headers)?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                let text =
                    format!("More than {MAX_REDIRECTS} redirects, the last one to {}", shown(&hop.url));
                return Err(failure(FailureCode::TooManyRedirects, text));
            }
        }
    }

    async fn visit(
        &self,
        hop: &Hop,
        cookies: &Cookies,
        network: &Network<'_>,
        keep: Keep<'_>,
        progress: &mut Progress,
    ) -> Result<exchange::Answer, Failure> {
        // Clears what the previous hop found: it is not part of this hop's result.
        (progress.ip, progress.status_code, progress.client_certificate_asked) = (None, None, false);
        let wanted = tls::Wanted { verify: self.verify_tls, legacy: self.legacy_tls };
        let (stream, held) = network.connect_http(&hop.url, wanted, keep, progress).await?;
        let user_agent = &network.shared.user_agent;
        let request = request(hop, cookies, user_agent, stream.speaks_http2()).ok_or_else(|| {
            let text = format!("{} cannot be requested", shown(&hop.url));
            failure(FailureCode::InvalidRequest, text)
        })?;
        exchange(stream, request, keep, held, progress).await
    }
}

/// For fuzzing: where a response to a check of this target redirects, and with which headers. `None`: nowhere.
pub fn redirected(target: &Target, status: StatusCode, location: &HeaderValue) -> Option<(Url, HeaderMap)> {
    let config = Config::deserialize(&target.config).ok()?;
    let check = Http::plan(&Url::parse(&target.url).ok()?, config).ok()?;
    let answered = HeaderMap::from_iter([(header::LOCATION, location.clone())]);
    let hop = check.hop().redirected(status, &answered).ok()?;
    Some((hop.url, hop.headers))
}

fn request(
    hop: &Hop,
    cookies: &Cookies,
    user_agent: &HeaderValue,
    http2: bool,
) -> Option<Request<Full<Bytes>>> {
    let path = &hop.url[Position::BeforePath..Position::AfterQuery];
    let mut headers = HeaderMap::with_capacity(hop.headers.len() + 5);
    let host = match hop.headers.get(header::HOST) {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(&hop.url[Position::BeforeHost..Position::AfterPort]).ok()?,
    };
    let uri = if http2 {
        // HTTP/2 has a pseudo header instead of Host.
        let uri = Uri::builder().scheme(hop.url.scheme()).authority(host.as_bytes());
        uri.path_and_query(path).build().ok()?
    } else {
        headers.insert(header::HOST, host);
        Uri::try_from(path).ok()?
    };
    headers.insert(header::USER_AGENT, user_agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in &hop.headers {
        if name != header::HOST {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(net::OUTBOUND, HeaderValue::from_static("check"));
    if let Some(cookie) = cookies.header(&hop.url, hop.headers.get(header::COOKIE)) {
        headers.insert(header::COOKIE, cookie);
    }
    if !http2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let mut request = Request::new(Full::new(hop.body.clone()));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Some(request)
}

fn read_header(headers: &mut HeaderMap, name: &str, value: &str, is_secret: bool) -> Result<(), Text> {
    let (name, mut value) = fields::header(name, value)?;
    value.set_sensitive(is_secret);
    match headers.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(text("is there twice", "중복됩니다")),
    }
}

fn described(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}
