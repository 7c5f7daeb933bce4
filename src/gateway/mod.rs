//! Gateways: our adapters to the services that carry messages.
//!
//! Each kind has a folder of its own, which alone knows its provider's JSON, codes and quirks. The
//! seam speaks the middle's words: a call goes out, an [`Answer`] comes back, classified once.
//! A gateway must never know campaigns' schedules, the ledger, or whether a call is repeated.

pub mod openim;

use std::{future::Future, pin::Pin, sync::Arc};

use jiff::SignedDuration;

use crate::{
    campaign::{Dialect, Message, RecipientID},
    run::reply::{Answer, Reason},
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
}

/// Who a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressees {
    /// At least one, none twice.
    Users(Vec<RecipientID>),
    /// One group, which gets the message once.
    Group(RecipientID),
}

impl Addressees {
    /// The recipients, in their order.
    pub fn recipients(&self) -> &[RecipientID] {
        match self {
            Addressees::Users(users) => users,
            Addressees::Group(group) => std::slice::from_ref(group),
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

/// One page of the provider's ordinary users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPage {
    pub users: Vec<RecipientID>,
    /// Whether another page may follow.
    pub more: bool,
}

/// A request that reads went wrong; nothing depends on it having been made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.code, .0.text)]
pub struct ReadFault(pub Reason);

/// A provider's adapter.
pub trait Gateway: Send + Sync {
    /// What this kind knows of messages and recipients.
    fn dialect(&self) -> &dyn Dialect;

    /// Whether anything reaches anyone: false for the sandbox, and then everything says so.
    fn delivers(&self) -> bool;

    /// The account whose messages must carry distinct send times, when this gateway stamps them
    /// for this message; None when it does not.
    fn stamps_send_time(&self, message: &Message) -> Option<String>;

    /// The provider's clock minus ours, as far as known.
    fn clock_offset(&self) -> SignedDuration;

    /// Gets ready to send (fetches a token, say), so that an intent is not made for a provider that
    /// cannot take it. When it is not ready, the answer tells why nothing was done.
    fn prepare(&self) -> Pending<'_, Result<(), Box<Answer>>>;

    /// The request that `call` would make.
    fn preview(&self, call: &Call) -> RequestPreview;

    /// Makes the call, once: exactly one request that sends (a token may be fetched before it). A
    /// refused token is dropped and told as nothing done, so that the repetition is recorded too.
    fn send<'a>(&'a self, call: &'a Call) -> Pending<'a, Answer>;

    /// Reads, without sending, why the provider fails these recipients: those it can explain, with
    /// the reason. For recipients of an answer that gave none.
    fn explain<'a>(
        &'a self,
        recipients: &'a [RecipientID],
        operation_id: &'a str,
    ) -> Pending<'a, Result<Vec<(RecipientID, Reason)>, ReadFault>>;

    /// A page, counted from 1, of the ordinary users for whom `message` is meant: without admins,
    /// robots and its sender.
    fn users<'a>(
        &'a self,
        message: &'a Message,
        page_number: u32,
    ) -> Pending<'a, Result<UserPage, ReadFault>>;
}
