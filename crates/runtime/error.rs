//! The only error type of the HTTP API: `{"message","code"}`, with `"fields"` for validation.
//!
//! Messages are kept in both languages until the request's `Accept-Language` is known ([`crate::serve`]
//! renders them). A 5xx is logged with its cause, which the caller does not see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use contract::{Language, Text, words};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    message: Text,
    fields: Vec<(String, Text)>,
    cause: Option<anyhow::Error>,
    /// When to try again, sent as `Retry-After`.
    retry_after: Option<Duration>,
}

/// The JSON body of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody<'a> {
    #[schema(example = "Some fields are invalid.")]
    message: &'a str,
    /// Stable, in SCREAMING_SNAKE_CASE: for programs.
    #[schema(example = "VALIDATION_FAILED")]
    code: &'a str,
    /// The errors by field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a str>,
}

impl Error {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Text>) -> Self {
        let message = message.into();
        Self(Arc::new(Inner { status, code, message, fields: Vec::new(), cause: None, retry_after: None }))
    }

    pub fn bad_request(code: &'static str, message: impl Into<Text>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "NOT_LOGGED_IN", words::YOU_ARE_NOT_LOGGED_IN)
    }

    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", words::PERMISSION_DENIED)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", words::NOT_FOUND)
    }

    pub fn conflict(code: &'static str, message: impl Into<Text>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// The same, with the field to change.
    pub fn conflict_in(field: &str, code: &'static str, message: impl Into<Text>) -> Self {
        let message = message.into();
        let (status, fields) = (StatusCode::CONFLICT, vec![(field.to_owned(), message.clone())]);
        Self(Arc::new(Inner { status, code, message, fields, cause: None, retry_after: None }))
    }

    /// One or more fields are invalid.
    pub fn invalid(fields: Vec<(String, Text)>) -> Self {
        Self(Arc::new(Inner {
            status: StatusCode::BAD_REQUEST,
            code: "VALIDATION_FAILED",
            message: words::SOME_FIELDS_ARE_INVALID,
            fields,
            cause: None,
            retry_after: None,
        }))
    }

    pub fn field(name: impl Into<String>, what: impl Into<Text>) -> Self {
        Self::invalid(vec![(name.into(), what.into())])
    }

    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        Self::caused(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", words::INTERNAL_ERROR, cause)
    }

    /// A dependency does not answer now; trying again can help.
    pub fn unavailable(cause: impl Into<anyhow::Error>) -> Self {
        Self::caused(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", words::NOT_AVAILABLE_NOW, cause)
    }

    fn caused(
        status: StatusCode,
        code: &'static str,
        message: Text,
        cause: impl Into<anyhow::Error>,
    ) -> Self {
        let cause = Some(cause.into());
        Self(Arc::new(Inner { status, code, message, fields: Vec::new(), cause, retry_after: None }))
    }

    /// 429, with `Retry-After`.
    pub fn too_many_requests(code: &'static str, message: impl Into<Text>, retry_after: Duration) -> Self {
        let (status, message) = (StatusCode::TOO_MANY_REQUESTS, message.into());
        let retry_after = Some(retry_after);
        Self(Arc::new(Inner { status, code, message, fields: Vec::new(), cause: None, retry_after }))
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn code(&self) -> &'static str {
        self.0.code
    }

    pub fn message(&self) -> &Text {
        &self.0.message
    }

    pub fn cause(&self) -> Option<&anyhow::Error> {
        self.0.cause.as_ref()
    }

    pub fn render(&self, language: Language) -> Response {
        let Inner { status, code, message, fields, retry_after, .. } = &*self.0;
        let body = ErrorBody {
            message: message.of(language),
            code,
            fields: fields.iter().map(|(name, what)| (name.as_str(), what.of(language))).collect(),
        };
        let mut response = (*status, axum::Json(body)).into_response();
        if let Some(after) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        response
    }
}

impl Error {
    /// For a query where a missing row means "not found". Elsewhere a missing row is a defect.
    pub fn not_found_if_no_row(cause: sqlx::Error) -> Self {
        match cause {
            sqlx::Error::RowNotFound => Self::not_found(),
            cause => cause.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.render(Language::English);
        // Stored with the response for the layer that knows the request's language, and logs it.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self::internal(cause)
    }
}

impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        match cause {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Self::unavailable(cause)
            }
            // PostgreSQL's time-outs: of a lock wait, a statement, an idle transaction.
            sqlx::Error::Database(ref error)
                if matches!(error.code().as_deref(), Some("55P03" | "57014" | "25P03")) =>
            {
                Self::unavailable(cause)
            }
            cause => Self::internal(cause),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message.en)?;
        for (name, what) in &self.0.fields {
            write!(f, "; {name}: {}", what.en)?;
        }
        if let Some(cause) = &self.0.cause {
            write!(f, ": {cause:#}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<contract::Invalid> for Error {
    fn from(invalid: contract::Invalid) -> Self {
        Self::invalid(invalid.0)
    }
}

/// Turns the violation of a named constraint into a client error.
pub trait OnConstraint<T> {
    fn on_unique(self, error: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnConstraint<T> for std::result::Result<T, sqlx::Error> {
    fn on_unique(self, error: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|e| match &e {
            sqlx::Error::Database(db) if db.is_unique_violation() => error(),
            _ => e.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_row_is_404_only_where_a_handler_means_it() {
        let status = |error: Error| error.into_response().status();
        assert_eq!(status(sqlx::Error::RowNotFound.into()), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status(Error::not_found_if_no_row(sqlx::Error::RowNotFound)), StatusCode::NOT_FOUND);
        let unreachable = status(Error::not_found_if_no_row(sqlx::Error::PoolTimedOut));
        assert_ne!(unreachable, StatusCode::NOT_FOUND);
    }
}
