//! How a request reaches a provider: the seam between what is said and what carries it.
//!
//! Knows: that a request either never left, or left and may have been heard. Must never know: what
//! is asked, or of which provider.

use super::Pending;
use crate::run::reply::{Answer, Cause, Reason, Reply};

/// A request; all of ours are POSTs.
#[derive(Debug, Clone)]
pub struct Post<'a> {
    /// Behind the server's address; begins with a slash, or is empty where the address is whole.
    pub path: &'a str,
    pub content_type: &'a str,
    pub headers: Vec<Header<'a>>,
    pub body: Vec<u8>,
}

/// A header besides the content type.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    pub name: &'a str,
    pub value: &'a str,
    /// Not to be indexed or shown by anything on the way.
    pub secret: bool,
}

impl<'a> Header<'a> {
    pub fn open(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name, value, secret: false }
    }

    pub fn secret(name: &'a str, value: &'a str) -> Header<'a> {
        Header { name, value, secret: true }
    }
}

impl Post<'_> {
    /// The value of a header, whose name is compared as HTTP does.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }
}

/// An answer that came back whole, uncompressed, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawAnswer {
    pub status: u16,
    /// The header `Retry-After` as it was.
    pub retry_after: Option<String>,
    /// The header `Date` as it was.
    pub date: Option<String>,
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
    /// The request was heard; its answer is longer than we read.
    #[error("{0}")]
    TooLong(String),
}

/// The code of a reason that is an answer longer than we read.
pub const TOO_LONG: &str = "answerTooLong";

/// What it means that there is no answer.
pub fn no_answer(fault: TransportFault) -> Answer {
    let reply = match fault {
        TransportFault::NeverConnected(text) => {
            Reply::NothingDone(Cause::Unreachable, Reason::new("unreachable", text))
        }
        TransportFault::TimedOut(text) => Reply::Unanswered(Reason::new("timeout", text)),
        TransportFault::Lost(text) => Reply::Unanswered(Reason::new("noAnswer", text)),
        TransportFault::TooLong(text) => Reply::Unanswered(Reason::new(TOO_LONG, text)),
    };
    Answer { http_status: None, provider_code: None, provider_message: None, reply }
}

/// Carries a request and brings its answer.
pub trait Transport: Send + Sync {
    /// Makes one request at most.
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>>;
}

/// Carries nothing: for a gateway that only shows its requests.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl Transport for Nowhere {
    fn post<'a>(&'a self, _post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async { Err(TransportFault::NeverConnected("nothing is asked here".to_owned())) })
    }
}
