//! query: why an evaluation gave no answer, in Prometheus' words where it has them.

use super::super::ast::Span;
use super::super::budget::Spent;
use super::super::source::SourceError;

/// An evaluation gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The query asks for something that cannot be computed (API: `execution`).
    #[error("{message}")]
    Execution {
        /// The fault.
        message: String,
        /// Which part of the query, where one part is to blame.
        span: Option<Span>,
    },
    /// The question itself is wrong, which only its times show (API: `bad_data`).
    #[error("{message}")]
    Question {
        /// The fault.
        message: String,
        /// Which part of the query.
        span: Span,
    },
    /// The deadline passed (API: `timeout`).
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// The client is gone (API: `canceled`).
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// More than one of the limits allows (API: `execution`).
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The question would use more memory than allowed (API: `execution`), or all questions
    /// together would (API: `unavailable`).
    #[error("{0}")]
    Memory(#[from] Spent),
    /// The store could not be read (API: `internal`).
    #[error("expanding series: {0}")]
    Source(#[from] SourceError),
}

impl EvalError {
    /// An error of no part in particular.
    pub fn execution(message: impl Into<String>) -> Self {
        EvalError::Execution { message: message.into(), span: None }
    }

    /// An error of one part of the query.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        EvalError::Execution { message: message.into(), span: Some(span) }
    }

    /// A question that has no meaning at these times.
    pub fn question(span: Span, message: impl Into<String>) -> Self {
        EvalError::Question { message: message.into(), span }
    }

    /// Two series of one step would have the same labels.
    pub fn same_labelset() -> Self {
        Self::execution("vector cannot contain metrics with the same labelset")
    }
}

/// The result type of most functions of the evaluator.
pub type Outcome<T> = Result<T, EvalError>;
