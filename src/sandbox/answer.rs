//! Answers in the server's wrapping.

use std::time::Duration;

use serde::Serialize;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `Date`, where it is not the computer's.
    pub date: Option<String>,
    /// The pause between two drops of [`DROP`] bytes, where it comes in such.
    pub drip: Option<Duration>,
    pub body: Vec<u8>,
}

/// How many bytes come at once where an answer drips.
pub const DROP: usize = 16;

const JSON: &str = "application/json; charset=utf-8";

/// An error as the server tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    pub err_code: i64,
    pub err_msg: &'static str,
    pub err_dlt: String,
}

impl Error {
    pub fn new(err_code: i64, err_msg: &'static str, err_dlt: impl Into<String>) -> Error {
        Error { err_code, err_msg, err_dlt: err_dlt.into() }
    }

    pub fn args(detail: impl Into<String>) -> Error {
        Error::new(1001, "ArgsError", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Error {
        Error::new(1004, "RecordNotFoundError", detail)
    }

    /// Nearly every error comes with HTTP 200.
    pub fn response(&self) -> Response {
        Response::json(200, self)
    }
}

impl Response {
    /// How long it takes to come.
    pub fn duration(&self) -> Duration {
        let drops = u32::try_from(self.body.len() / DROP).unwrap_or(u32::MAX);
        self.drip.unwrap_or_default().saturating_mul(drops)
    }

    /// Any value as JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Response {
        // The bodies here have text keys and whole numbers, which always serialise.
        Response::raw(status, serde_json::to_vec(body).unwrap_or_default())
    }

    /// JSON that is written already.
    pub fn raw(status: u16, body: Vec<u8>) -> Response {
        Response { status, content_type: JSON, retry_after: None, date: None, drip: None, body }
    }

    /// A success with data.
    pub fn data(data: &impl Serialize) -> Response {
        let mut body = SUCCESS.to_vec();
        body.extend_from_slice(b",\"data\":");
        // As above.
        let _ = serde_json::to_writer(&mut body, data);
        body.push(b'}');
        Response::raw(200, body)
    }

    /// A success of a call that gives nothing back.
    pub fn done() -> Response {
        let mut body = SUCCESS.to_vec();
        body.push(b'}');
        Response::raw(200, body)
    }

    /// What stands in front of a server answers when it has nothing better.
    pub fn html(status: u16) -> Response {
        let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        Response { content_type: "text/html", ..Response::raw(status, body.into_bytes()) }
    }

    pub fn text(status: u16, body: &str) -> Response {
        Response { content_type: "text/plain", ..Response::raw(status, body.into()) }
    }
}

/// The beginning of every success.
pub const SUCCESS: &[u8] = br#"{"errCode":0,"errMsg":"","errDlt":"""#;
