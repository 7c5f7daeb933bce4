//! The seam between a campaign file and the gateway that will carry its message: what the
//! provider's message may hold is the gateway's knowledge, where it stands in the file is ours.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Map;

use super::RecipientID;
use crate::document::{Code, Severity};

/// A message in the provider's own field names, completed and checked; what is sent besides the
/// recipients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message(pub Map<String, serde_json::Value>);

/// What kind of audience a message is for; some messages fit only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressedTo {
    Users,
    Groups,
    /// Everyone, named one by one.
    Everyone,
    /// Whom the provider alone knows, by a call that names nobody.
    Unlisted,
}

/// A step into a message: a key or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// Something wrong in a message, at a path that is relative to it. An empty path means the message
/// as a whole; a path that ends in a key which is absent means the nearest value that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub severity: Severity,
    pub path: Vec<Step>,
    pub code: Code,
    pub message: String,
    pub hint: Option<String>,
}

/// What a gateway's kind knows of messages and recipients, without any IO.
pub trait Dialect: Send + Sync {
    /// Completes a message with the gateway's `defaults` and checks it against what the provider
    /// takes, refusing what it would take and do something awful with. All faults at once; the
    /// message when none is an error.
    fn read_message(
        &self,
        message: &Map<String, serde_json::Value>,
        to: AddressedTo,
    ) -> (Option<Message>, Vec<Fault>);

    /// Whether the provider can have such an id; the reason when it cannot.
    fn check_recipient(&self, id: &str) -> Result<(), String>;

    /// Whether the provider can be asked who is in a group.
    fn lists_members(&self) -> bool {
        false
    }

    /// An id as the provider keeps it, where it takes several ways to write it.
    fn canonical<'a>(&self, id: &'a str) -> Cow<'a, str> {
        id.into()
    }

    /// The name of a recipient as the provider keeps it: two ways to write one account are one
    /// recipient. The reason when the provider cannot have such an id.
    fn recipient_name<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        let name = self.canonical(text);
        RecipientID::check(&name).map_err(|error| error.to_string())?;
        if text == RecipientID::UNLISTED {
            return Err("`*` stands for whom the provider alone knows, and is nobody's id".to_owned());
        }
        self.check_recipient(text)?;
        Ok(name)
    }

    /// The recipient of this name, see [`Dialect::recipient_name`].
    fn recipient(&self, text: &str) -> Result<RecipientID, String> {
        RecipientID::new(self.recipient_name(text)?).map_err(|error| error.to_string())
    }

    /// Keys of a message that must say the same to everyone: who sends it, say.
    fn same_for_all(&self) -> &'static [&'static str] {
        &[]
    }

    /// Recipients a call when the campaign does not say.
    fn default_batch_size(&self) -> u32;

    /// The most recipients a call may have.
    fn max_batch_size(&self) -> u32;

    /// Calls under way at once, at most.
    fn max_concurrency(&self) -> u32;

    /// Whether the provider can be asked what became of a message.
    fn can_be_asked(&self) -> bool {
        false
    }

    /// The most recipients that a call with this message may have.
    fn max_batch_size_of(&self, _message: &Message) -> u32 {
        self.max_batch_size()
    }

    /// Whether the provider lists its users, so that everyone can be written to one by one.
    fn lists_everyone(&self) -> bool {
        true
    }

    /// Whether the provider has a call to everyone that names nobody.
    fn calls_everyone(&self) -> bool {
        true
    }

    /// Fields of a message by which the provider itself selects recipients.
    fn selectors(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether this message, which was read for nobody by name, can go to named people all the same, as
    /// a test; the reason when it cannot.
    fn check_test(&self, _message: &Message) -> Result<(), String> {
        Ok(())
    }
}

/// The gateways that the settings name, as far as checking a campaign needs them.
pub trait Gateways {
    /// What the gateway of this name knows of messages; None when there is no such gateway.
    fn dialect(&self, name: &str) -> Option<&dyn Dialect>;

    /// The names of all gateways, in a stable order.
    fn names(&self) -> Vec<String>;
}

impl Gateways for BTreeMap<String, Box<dyn Dialect>> {
    fn dialect(&self, name: &str) -> Option<&dyn Dialect> {
        self.get(name).map(Box::as_ref)
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}
