//! What a provider's answer means, in our words. A gateway classifies each answer once into this
//! closed list; nothing behind it looks at a provider's codes again.

use jiff::SignedDuration;

use crate::campaign::RecipientID;

/// Why something is as it is: a code that can be counted, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// The provider's code (`1004`) or a word of ours (`timeout`, `everyoneFailed`).
    pub code: String,
    /// For people; scrubbed of secrets.
    pub text: String,
}

impl Reason {
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Reason {
        Reason { code: code.into(), text: text.into() }
    }
}

/// The answer to one call that sends, as recorded and as understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// None when no answer came.
    pub http_status: Option<u16>,
    /// The provider's own verdict code, where its answer could be read.
    pub provider_code: Option<i64>,
    /// The provider's own words, scrubbed of secrets and cut to 500 characters.
    pub provider_message: Option<String>,
    pub reply: Reply,
}

/// What a call that sends has brought about.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The provider went through the recipients. Holds every recipient asked, once, in their order.
    Answered(Vec<(RecipientID, Verdict)>),
    /// Proven: nothing was done. The same may be asked again.
    NothingDone(Cause, Reason),
    /// Proven: nothing was done, because the provider refuses the request itself. Asking the same
    /// again is futile.
    Rejected(Reason),
    /// Asked, and no answer that settles it: any part of it may have been done.
    Unanswered(Reason),
}

impl Reply {
    /// The word in `attempt_log.verdict`.
    pub fn verdict(&self) -> &'static str {
        match self {
            Reply::Answered(_) => "answered",
            Reply::NothingDone(..) => "nothing_done",
            Reply::Rejected(_) => "rejected",
            Reply::Unanswered(_) => "unanswered",
        }
    }
}

/// Why nothing was done although the request was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection was ever made.
    Unreachable,
    /// The provider asks us to slow down, for so long where it says.
    Throttled { retry_after: Option<SignedDuration> },
    /// The token was refused; the gateway has dropped it and fetches another for the next call.
    Token,
    /// The provider cannot work now.
    Outage,
}

/// What became of one recipient of a call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accepted(Receipt),
    /// The provider said no for this recipient.
    Refused(Reason),
    /// The answer does not settle it.
    Unknown(Reason),
}

/// What the provider gave back for a recipient it accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    pub server_msg_id: Option<String>,
    pub client_msg_id: Option<String>,
    /// Unix milliseconds.
    pub send_time_ms: Option<i64>,
}
