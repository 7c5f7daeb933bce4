//! Whom a campaign is for.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Source, message::AddressedTo};

/// One person or group as the provider names it. Never empty, no control characters, at most 256
/// bytes ([`RecipientID::new`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipientID(SmolStr);

/// Why a text cannot be an id of any provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecipientID {
    #[error("the id is empty")]
    Empty,
    #[error("the id is longer than 256 bytes")]
    Long,
    #[error("the id has a control character or white space at its ends")]
    Unprintable,
}

impl RecipientID {
    /// Stands for those whom the provider alone knows. No provider has an account of this name.
    pub const UNLISTED: &'static str = "*";

    /// The recipient of a delivery to whom the provider alone knows.
    pub const fn unlisted() -> RecipientID {
        RecipientID(SmolStr::new_static(RecipientID::UNLISTED))
    }

    /// The longest id taken, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Takes a text as an id, or tells why it cannot be one.
    pub fn new(text: impl AsRef<str>) -> Result<RecipientID, BadRecipientID> {
        let text = text.as_ref();
        RecipientID::check(text).map(|()| RecipientID(SmolStr::new(text)))
    }

    /// Tells why a text cannot be an id, if so.
    pub fn check(text: &str) -> Result<(), BadRecipientID> {
        if text.is_empty() {
            Err(BadRecipientID::Empty)
        } else if text.len() > RecipientID::MAX_BYTES {
            Err(BadRecipientID::Long)
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Nearly every id; millions are looked at.
            Ok(())
        } else if text.chars().any(char::is_control) || text.trim().len() != text.len() {
            Err(BadRecipientID::Unprintable)
        } else {
            Ok(())
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecipientID {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for RecipientID {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Exactly one of the ways to say who gets the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// `recvIDs`: these, in the order of the file, possibly with repetitions.
    Named(Vec<RecipientID>),
    /// `isSendAll: true`: every ordinary user the provider knows.
    Everyone,
    /// Whom the provider alone knows, by one call that names nobody: `isSendAll` where the provider
    /// lists no users or `delivery.native` says so, or the provider's own selectors in the message. One
    /// delivery, to `*`.
    Unlisted,
    /// `groupIDs`: each group is one recipient.
    Groups(Vec<RecipientID>),
    /// `recipients`: the union of these.
    Union(Vec<Source>),
}

impl Audience {
    /// What a message to it must fit.
    pub fn addressed_to(&self) -> AddressedTo {
        match self {
            Audience::Groups(_) => AddressedTo::Groups,
            Audience::Everyone => AddressedTo::Everyone,
            Audience::Unlisted => AddressedTo::Unlisted,
            Audience::Named(_) | Audience::Union(_) => AddressedTo::Users,
        }
    }
}

/// The size an audience must have, exclusions applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    pub min: u64,
    pub max: u64,
}
