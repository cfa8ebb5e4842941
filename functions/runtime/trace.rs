//! The trace id that one request, and all that it causes, has in common (W3C `traceparent`).

use http::{HeaderMap, HeaderValue};

use crate::secret::Random;

tokio::task_local! {
    static CURRENT: Trace;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub trace_id: String,
    span_id: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Trace {
    /// The trace that a request belongs to, or a new one.
    pub fn of(headers: &HeaderMap, random: &Random) -> Self {
        let trace_id = headers.get("traceparent").and_then(|v| v.to_str().ok()).and_then(trace_id);
        Self {
            trace_id: trace_id.map_or_else(|| hex(&random.bytes::<16>()), str::to_owned),
            span_id: hex(&random.bytes::<8>()),
        }
    }

    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }

    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

/// Hands the current trace on.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(value) = Trace::current().and_then(|t| HeaderValue::from_str(&t.traceparent()).ok()) {
        headers.insert("traceparent", value);
    }
}

fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, id) = (parts.next()?, parts.next()?);
    let is_hex = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (version.len() == 2 && id.len() == 32 && is_hex && id.bytes().any(|b| b != b'0')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_traceparent_is_kept_and_a_bad_one_replaced() {
        let trace = |value: &'static str| {
            let headers = HeaderMap::from_iter([(
                "traceparent".parse().expect("name"),
                HeaderValue::from_static(value),
            )]);
            Trace::of(&headers, &Random::System).trace_id
        };
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), id);
        for bad in ["", "00-xyz-1-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert_ne!(trace(bad), id);
            assert_eq!(trace(bad).len(), 32);
        }
    }
}
