//! Looking a message up: what is sought, and what was seen of it.
//!
//! Knows: what identifies one message to one recipient. Must never know: how a provider is asked,
//! what follows from what was seen.

use std::sync::Arc;

use jiff::Timestamp;

use super::reply::{Reason, Receipt};
use crate::campaign::{Message, RecipientID};

/// How a call addresses its recipients, and so how its message can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addressing {
    /// Several users by one call.
    Users,
    /// One user by the call that says why it fails.
    User,
    Group,
    /// Everyone, or those whom the provider's own selectors find, by one call that names nobody.
    Unlisted,
}

impl Addressing {
    pub const ALL: [Addressing; 4] =
        [Addressing::Users, Addressing::User, Addressing::Group, Addressing::Unlisted];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Addressing::Users => "users",
            Addressing::User => "user",
            Addressing::Group => "group",
            Addressing::Unlisted => "unlisted",
        }
    }
}

/// One message to one recipient, of which it is not known whether it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Sought {
    pub recipient: RecipientID,
    /// As it was sent, its variables filled in.
    pub message: Arc<Message>,
    /// The message's own time, by which it is recognised (Unix milliseconds).
    pub send_time_ms: Option<i64>,
    /// Of the request that may have sent it.
    pub operation_id: String,
    /// When that request's intent was committed.
    pub asked_at: Timestamp,
    /// The same of its last replay, where it had any.
    pub asked_last_at: Timestamp,
    /// How far an earlier look has read the recipient's conversation without finding it.
    pub seen_until: Option<u64>,
}

/// What counts as having found a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// That the provider took it: it is there, or there is a record that says so.
    Taken,
    /// That it is there, and so whatever went the same way before it.
    Stored,
}

/// What one look has seen of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// It is there.
    Found(Receipt),
    /// The answer positively covers the recipient's conversation, up to this place in it, and the
    /// message is not there.
    Nothing { seen_until: u64 },
    /// The answer does not cover the recipient's conversation, which says nothing.
    NoAnswer(Reason),
    /// The answer denies itself, or an earlier one: nothing follows from it but that a person must see it.
    Contradiction(Reason),
}
