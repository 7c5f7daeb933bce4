//! How a request reaches an OpenIM server: the seam between what is said and what carries it.
//!
//! Knows: that a request either never left, or left and may have been heard. Must never know: what
//! is asked.

use crate::gateway::Pending;

/// The headers that OpenIM looks at.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    pub operation_id: &'a str,
    /// Absent for the calls that fetch one.
    pub token: Option<&'a str>,
}

/// An answer that came back whole, uncompressed, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawAnswer {
    pub status: u16,
    /// The header `Retry-After` as it was.
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

/// Why there is no answer. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportFault {
    /// No connection was made, so not one byte of the request left.
    #[error("{0}")]
    NeverConnected(String),
    /// The request may have been heard; waiting for the answer took too long.
    #[error("{0}")]
    TimedOut(String),
    /// The request may have been heard; its answer was lost.
    #[error("{0}")]
    Lost(String),
}

/// Carries a request and brings its answer.
pub trait Transport: Send + Sync {
    /// Posts `body`, JSON, to `path`, which begins with a slash. One request at most.
    fn post<'a>(
        &'a self,
        path: &'a str,
        headers: Headers<'a>,
        body: Vec<u8>,
    ) -> Pending<'a, Result<RawAnswer, TransportFault>>;
}
