//! Gateways: our adapters to the services that carry messages.
//!
//! Each kind has a folder of its own, which alone knows its provider's JSON, codes and quirks. The
//! seam speaks the middle's words: a call goes out, an [`Answer`] comes back, classified once.
//! A gateway must never know campaigns' schedules, the ledger, or whether a call is repeated.

pub mod http;
pub mod kind;
pub mod netease;
pub mod openim;
pub mod reached;
pub mod reading;
pub mod schema;
pub mod scrub;
pub mod secret;
pub mod shape;
pub mod transport;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use jiff::{SignedDuration, Timestamp};

pub use crate::run::look::Addressing;
use crate::{
    campaign::{Dialect, Message, RecipientID},
    run::{
        look::{Evidence, Sighting, Sought},
        provider_clock::ProviderClock,
        reply::{Answer, Cause, Reason, Reply},
    },
};

/// A future that a trait object can return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One request that sends.
#[derive(Debug, Clone)]
pub struct Call {
    /// Unique per request; recorded before it leaves.
    pub operation_id: String,
    pub message: Arc<Message>,
    pub to: Addressees,
    /// The message's own time, by which it can be recognised again (Unix milliseconds). None:
    /// the message says it itself, or the provider cannot.
    pub send_time_ms: Option<i64>,
    /// Which of its gateway's hosts it was written to, once it was: that one alone may remember it.
    pub written_to: OnceLock<usize>,
}

/// Who a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressees {
    /// At least one, none twice.
    Users(Vec<RecipientID>),
    /// One user, by the call that says why it fails.
    User(RecipientID),
    /// One group, which gets the message once.
    Group(RecipientID),
    /// Whom the provider alone knows: everyone, or those its own selectors find. Recorded as one
    /// delivery to `*`, which stands here.
    Unlisted(RecipientID),
}

impl Addressees {
    /// Recipients, at least one, addressed so. Where one is meant it is the first.
    pub fn new(addressing: Addressing, mut recipients: Vec<RecipientID>) -> Addressees {
        match addressing {
            Addressing::User if !recipients.is_empty() => Addressees::User(recipients.swap_remove(0)),
            Addressing::Group if !recipients.is_empty() => Addressees::Group(recipients.swap_remove(0)),
            Addressing::Unlisted if !recipients.is_empty() => Addressees::Unlisted(recipients.swap_remove(0)),
            _ => Addressees::Users(recipients),
        }
    }

    /// The recipients, in their order.
    pub fn recipients(&self) -> &[RecipientID] {
        match self {
            Addressees::Users(users) => users,
            Addressees::User(user) => std::slice::from_ref(user),
            Addressees::Group(one) | Addressees::Unlisted(one) => std::slice::from_ref(one),
        }
    }

    /// How they are addressed.
    pub fn addressing(&self) -> Addressing {
        match self {
            Addressees::Users(_) => Addressing::Users,
            Addressees::User(_) => Addressing::User,
            Addressees::Group(_) => Addressing::Group,
            Addressees::Unlisted(_) => Addressing::Unlisted,
        }
    }
}

/// A request as `preview` shows it; secrets are masked already.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RequestPreview {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: serde_json::Value,
}

/// One page of people whom the provider lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPage {
    pub users: Vec<RecipientID>,
    /// How many stood on the page, before any was left out.
    pub listed: u64,
    /// How many the provider counts on all pages, where it tells.
    pub total: Option<u64>,
    /// Whether another page may follow.
    pub more: bool,
}

/// A request that reads went wrong; nothing depends on it having been made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.code, .0.text)]
pub struct ReadFault(pub Reason);

/// The code of a request that reads and came too soon after others: that tells nothing of how the provider works.
pub const THROTTLED: &str = "throttled";

impl ReadFault {
    /// What a reply without an answer says of a request that reads.
    pub fn of(reply: Reply) -> ReadFault {
        ReadFault(match reply {
            Reply::NothingDone(Cause::Throttled { .. }, reason) => {
                Reason::new(THROTTLED, format!("{} {}", reason.code, reason.text))
            }
            Reply::NothingDone(_, reason) | Reply::Rejected(reason) | Reply::Unanswered(reason) => reason,
            Reply::Answered(_) => Reason::new("unreadable", "an answer to another question"),
        })
    }
}

/// What is looked up by one look: messages that calls of one campaign may have sent.
#[derive(Debug, Clone)]
pub struct Look {
    /// The campaign's, whose variables nobody has filled in.
    pub message: Arc<Message>,
    pub addressing: Addressing,
    pub counts: Evidence,
    /// Each recipient once or, where it was sent to several times, once for each send time.
    pub sought: Vec<Sought>,
}

/// How a request that reads has ended, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadEnd {
    /// None when no answer came.
    pub http_status: Option<u16>,
    pub provider_code: Option<i64>,
    /// Scrubbed of secrets.
    pub provider_message: Option<String>,
    /// Whether it was answered with data.
    pub answered: bool,
}

impl ReadEnd {
    /// It was answered with data, and with this code where the provider has one.
    pub fn answered(provider_code: Option<i64>) -> ReadEnd {
        ReadEnd { http_status: Some(200), provider_code, provider_message: None, answered: true }
    }

    /// It was answered without data, or not at all.
    pub fn unanswered(answer: &Answer) -> ReadEnd {
        ReadEnd {
            http_status: answer.http_status,
            provider_code: answer.provider_code,
            provider_message: answer.provider_message.clone(),
            answered: false,
        }
    }
}

/// Who writes down each request that reads, before it leaves.
pub trait Journal: Send + Sync {
    /// Commits a request about so many recipients and gives its operation id. Without one it must not
    /// leave.
    fn begin(&self, recipients: usize) -> Pending<'_, Result<String, ReadFault>>;

    /// Tells how the request ended.
    fn end<'a>(&'a self, operation_id: &'a str, end: ReadEnd) -> Pending<'a, ()>;
}

/// A provider's adapter.
pub trait Gateway: Send + Sync {
    /// What this kind knows of messages and recipients.
    fn dialect(&self) -> &dyn Dialect;

    /// Whether anything reaches anyone: false for the sandbox, and then everything says so.
    fn delivers(&self) -> bool;

    /// The account whose messages must carry distinct send times, when this gateway stamps them
    /// for this message; None when it does not.
    fn stamps_send_time(&self, message: &Message) -> Option<String>;

    /// Whether a batch that is asked again keeps its operation id, because the provider goes by it.
    fn names_batches(&self) -> bool {
        false
    }

    /// For how long after a request left the same one, under the same operation id, is answered again instead of
    /// being done again. None: it would be done again.
    fn replays_within(&self) -> Option<SignedDuration> {
        None
    }

    /// The provider's clock minus ours, as far as known.
    fn clock_offset(&self) -> SignedDuration;

    /// What the provider's clock shows at `now`, as far as known.
    fn provider_time(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.clock_offset()).unwrap_or(now)
    }

    /// What has come to be known of the provider's clock. The ledger keeps it for the next daemon.
    fn provider_clock(&self) -> ProviderClock {
        ProviderClock::default()
    }

    /// What an earlier daemon knew of it.
    fn recall_clock(&self, _known: ProviderClock) {}

    /// Gets ready to send (fetches a token, say), so that an intent is not made for a provider that
    /// cannot take it. When it is not ready, the answer tells why nothing was done.
    fn prepare(&self) -> Pending<'_, Result<(), Box<Answer>>>;

    /// The request that `call` would make.
    fn preview(&self, call: &Call) -> RequestPreview;

    /// Makes the call, once: exactly one request that sends (a token may be fetched before it). A
    /// refused token is dropped and told as nothing done, so that the repetition is recorded too.
    fn send<'a>(&'a self, call: &'a Call) -> Pending<'a, Answer>;

    /// Makes a call again, to the host that it was written to and to no other, so that the provider, as far as it can be
    /// made to, refuses it when it hears it later than this from now. For gateways that answer a request again ([`Gateway::replays_within`]).
    fn send_again<'a>(&'a self, call: &'a Call, _heard_within: SignedDuration) -> Pending<'a, Answer> {
        self.send(call)
    }

    /// Reads, without sending, why the provider fails these recipients of a message: those it can explain, with
    /// the reason. For recipients of an answer that gave none.
    fn explain<'a>(
        &'a self,
        message: &'a Message,
        recipients: &'a [RecipientID],
        journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<(RecipientID, Reason)>, ReadFault>>;

    /// Whether the provider can be asked what became of calls with this message; why not.
    fn can_be_asked(&self, _message: &Message, _addressing: Addressing) -> Result<(), Reason> {
        Err(Reason::new("cannotBeAsked", "this provider has no way to look a message up"))
    }

    /// Reads, without sending, what became of messages: a sighting for each that is sought, in their
    /// order. A fault says nothing of any of them.
    fn look<'a>(
        &'a self,
        look: &'a Look,
        _journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<Sighting>, ReadFault>> {
        let fault = self.can_be_asked(&look.message, look.addressing).err();
        let fault = fault.unwrap_or_else(|| Reason::new("cannotBeAsked", "nothing can be looked up"));
        Box::pin(async move { Err(ReadFault(fault)) })
    }

    /// Reads, without sending, whether the provider works: by the cheapest request there is. Where there is
    /// none, the next call tells.
    fn works(&self) -> Pending<'_, Result<(), ReadFault>> {
        Box::pin(async { Ok(()) })
    }

    /// Reads, without sending, why the sender of this message may not send, if the provider can say so.
    fn check_sender<'a>(
        &'a self,
        _message: &'a Message,
        _journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Option<Reason>, ReadFault>> {
        Box::pin(async { Ok(None) })
    }

    /// A page, counted from 1, of the ordinary users for whom `message` is meant: without admins,
    /// robots and its sender.
    fn users<'a>(
        &'a self,
        message: &'a Message,
        page_number: u32,
    ) -> Pending<'a, Result<UserPage, ReadFault>>;

    /// A page, counted from 1, of the members of a group.
    fn members<'a>(
        &'a self,
        _group: &'a RecipientID,
        _page_number: u32,
    ) -> Pending<'a, Result<UserPage, ReadFault>> {
        let fault = Reason::new("cannotBeAsked", "this provider has no way to list the members of a group");
        Box::pin(async move { Err(ReadFault(fault)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reply says of a request that reads.
    #[track_caller]
    fn check(reply: Reply, expected: &str) {
        assert_eq!(ReadFault::of(reply).to_string(), expected);
    }

    #[test]
    fn a_request_that_came_too_soon_is_told_from_a_provider_that_does_not_work() {
        let reason = || Reason::new("416", "query too fast");
        check(
            Reply::NothingDone(Cause::Throttled { retry_after: None }, reason()),
            "throttled: 416 query too fast",
        );
        check(Reply::NothingDone(Cause::Token, reason()), "416: query too fast");
        check(Reply::Rejected(reason()), "416: query too fast");
        check(Reply::Unanswered(reason()), "416: query too fast");
        check(Reply::Answered(Vec::new()), "unreadable: an answer to another question");
    }
}
