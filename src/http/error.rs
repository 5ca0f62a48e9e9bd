//! http: errors of the API, in the words and codes of Prometheus.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::query::ParseError;
use crate::query::budget::Spent;
use crate::query::desk::Refused;
use crate::query::eval::EvalError;
use crate::query::files::Unreadable;
use crate::query::source::SourceError;
use crate::wire::json::write_string;

/// The kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Unavailable,
    Internal,
    NotFound,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::BadData => "bad_data",
            Kind::Execution => "execution",
            Kind::Canceled => "canceled",
            Kind::Timeout => "timeout",
            Kind::Unavailable => "unavailable",
            Kind::Internal => "internal",
            Kind::NotFound => "not_found",
        }
    }

    fn code(self) -> StatusCode {
        match self {
            Kind::BadData => StatusCode::BAD_REQUEST,
            Kind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // The client is gone.
            Kind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Kind::Timeout | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// A question without an answer.
#[derive(Debug)]
pub(super) struct ApiError {
    kind: Kind,
    message: String,
}

impl ApiError {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The fault, in a sentence.
    pub(super) fn message(self) -> String {
        self.message
    }

    /// The status of a request with this error.
    pub(super) fn status(&self) -> StatusCode {
        self.kind.code()
    }

    /// A wrong parameter.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Kind::BadData, format!("invalid parameter \"{name}\": {why}"))
    }

    /// A wrong expression.
    pub(super) fn expression(name: &str, error: &ParseError, text: &str) -> Self {
        Self::parameter(name, error.one_line(text))
    }
}

impl ApiError {
    /// The error as the JSON of the API.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut out = format!(r#"{{"status":"error","errorType":"{}","error":"#, self.kind.word());
        write_string(&mut out, &self.message);
        out.push('}');
        out.into_bytes()
    }

    /// The error as a sentence, for clients that expect no JSON.
    pub(super) fn into_text(self) -> Response {
        (self.kind.code(), format!("{}\n", self.message)).into_response()
    }
}

impl From<EvalError> for ApiError {
    fn from(e: EvalError) -> Self {
        let kind = match &e {
            EvalError::Question { .. } => return Self::parameter("query", e),
            EvalError::Execution { .. } | EvalError::TooManySamples => Kind::Execution,
            EvalError::Timeout => Kind::Timeout,
            EvalError::Canceled => Kind::Canceled,
            EvalError::Memory(Spent::One(_)) => Kind::Execution,
            EvalError::Memory(Spent::All(_)) => Kind::Unavailable,
            EvalError::Source(_) => Kind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<Spent> for ApiError {
    fn from(e: Spent) -> Self {
        EvalError::from(e).into()
    }
}

impl From<Refused> for ApiError {
    fn from(e: Refused) -> Self {
        let kind = match e {
            Refused::Busy => Kind::Timeout,
            Refused::Lost(_) => Kind::Internal,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<Unreadable> for ApiError {
    fn from(e: Unreadable) -> Self {
        Self::new(Kind::Internal, e.to_string())
    }
}

impl From<SourceError> for ApiError {
    fn from(e: SourceError) -> Self {
        Self::new(Kind::Internal, e.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::VARY, "Accept-Encoding")];
        (self.kind.code(), headers, self.body()).into_response()
    }
}
