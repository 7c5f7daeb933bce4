//! What NetEase's side does wrong, and the switches where nobody knows what the provider does.

use serde::{Deserialize, Serialize};

use crate::sandbox::faults::Counted;

/// Faults of NetEase's side besides those that all providers here have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NetEaseFaults {
    /// This code is answered before any work.
    pub code_before: Option<CodeFault>,
    /// Everything is done, and this code answered.
    pub code_after: Option<CodeFault>,
    /// Everything is done, and only the beginning of the answer comes.
    pub truncate: Option<Truncate>,
    /// The provider's clock minus the computer's, in seconds.
    pub clock_ahead_s: i64,
    /// How `unregister` is written.
    pub unregister: Unregister,
    /// `msgids` is left out although asked for.
    pub no_msgids: bool,
    /// Message ids beyond 2^53.
    pub big_ids: bool,
    /// `code` is a text.
    pub code_as_text: bool,
    /// A message whose body holds this is stopped by moderation; empty: none.
    pub antispam: String,
    /// The feature `broadcastMsg` is not activated.
    pub no_broadcast: bool,
    /// The application is suspended.
    pub suspended: bool,
    /// `RequestId` is not looked at.
    pub forgets_requests: bool,
    /// A repeated `RequestId` is refused with 431 instead of answered again.
    pub repeated_is_431: bool,
    /// `sendMsgToAll` takes requests that are not signed.
    pub unsigned: bool,
    /// What `sendMsgToAll` wants, where its documentation leaves it open.
    pub to_all: ToAll,
    /// The code for a text that is too long; 0: 414.
    pub too_long: i64,
    /// The code for a list that is too long; 0: 414.
    pub too_many: i64,
    /// Calls a window instead of the provider's own; 0: its own.
    pub quota: u32,
    /// How long a call is blocked after 416, in milliseconds, instead of the provider's own; 0: its own.
    pub block_ms: u32,
}

/// Switches of `sendMsgToAll`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ToAll {
    pub encodings: Encodings,
    /// The most UTF-16 code units of a body that is a text; 0: 5,000.
    pub body_limit: usize,
    /// A `type` that is a text is refused.
    pub strict_type: bool,
    pub empty_audience: EmptyAudience,
    /// Whoever fits one of two selectors is meant, not only who fits both.
    pub either_selector: bool,
}

/// Which requests are understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encodings {
    #[default]
    Both,
    Form,
    #[serde(rename = "json")]
    JSON,
}

/// Whom a request means that neither lists nor selects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyAudience {
    #[default]
    All,
    None,
    /// It is refused with 414.
    Refused,
}

/// An error code, so many times; unless a path is named, for the requests that send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodeFault {
    #[serde(default)]
    pub code: i64,
    #[serde(default)]
    pub desc: String,
    pub times: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// An answer that breaks off, so many times; unless a path is named, of requests that send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Truncate {
    /// So many bytes come; half of it where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    pub times: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// How unregistered recipients of a batch are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unregister {
    /// A list in JSON, written as a text.
    #[default]
    Text,
    List,
    /// Not at all.
    Absent,
}

impl CodeFault {
    pub fn new(code: i64, desc: &str, times: u32) -> CodeFault {
        CodeFault { code, desc: desc.to_owned(), times, path: None }
    }
}

macro_rules! counted {
    ($($name:ident),*) => { $(
        impl Counted for $name {
            const HITS: &'static [&'static str] = &super::SENDING;

            fn times(&mut self) -> &mut u32 {
                &mut self.times
            }

            fn path(&self) -> Option<&str> {
                self.path.as_deref()
            }
        }
    )* };
}

counted!(CodeFault, Truncate);
