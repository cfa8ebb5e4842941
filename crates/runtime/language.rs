//! The language of the current request.

use contract::Language;
use http::{HeaderMap, header};

tokio::task_local! {
    static LANGUAGE: Language;
}

/// English outside a request.
pub fn current() -> Language {
    LANGUAGE.try_with(|language| *language).unwrap_or(Language::English)
}

pub(crate) async fn scope<F: Future>(language: Language, future: F) -> F::Output {
    LANGUAGE.scope(language, future).await
}

/// The first supported language in `Accept-Language`.
pub fn accepted(headers: &HeaderMap) -> Language {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or("");
    accepted
        .split(',')
        .find_map(|range| {
            let tag = range.split(';').next()?.trim().to_ascii_lowercase();
            match tag.split('-').next()? {
                "ko" => Some(Language::Korean),
                "en" => Some(Language::English),
                _ => None,
            }
        })
        .unwrap_or(Language::English)
}
