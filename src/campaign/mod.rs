//! A campaign: who is to get which message, when, and how fast; as its file says it, checked.
//!
//! Knows: the contract's words and the rules between them. Must never know: where files live, the
//! provider's wire, the clock. What a message may hold is told by a [`message::Dialect`], which the
//! gateway's kind implements.

pub mod audience;
pub mod cap;
pub mod delivery;
pub mod duration;
pub mod file;
pub mod message;
pub mod schema;
pub mod share;
pub mod source;
pub mod template;

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use audience::{Audience, Expect, RecipientID};
pub use cap::Caps;
pub use delivery::{Delivery, OnUnknown, Retry, StopWhen};
pub use message::{Dialect, Gateways, Message};
pub use share::Share;
pub use source::Source;
pub use template::Template;

use crate::{
    document::Severity,
    schedule::{Calendar, Schedule, Slots, Window, slots},
};
use source::Values;

/// One checked campaign, completed with the defaults of its gateway and of the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    pub id: CampaignID,
    pub description: String,
    pub labels: BTreeMap<String, String>,
    pub enabled: bool,
    /// Name of a gateway of the settings.
    pub gateway: String,
    /// Where it is a template: as it looks when each value is the name of its column.
    pub message: Message,
    /// The message of each recipient, where it has variables.
    pub template: Option<Template>,
    pub audience: Audience,
    pub exclude: Vec<Source>,
    pub expect: Option<Expect>,
    /// Only this share of it all is the audience.
    pub sample: Option<Share>,
    /// This share of the audience is not asked, for comparison.
    pub holdout: Option<Share>,
    /// Who is left alone because of what they have had.
    pub caps: Caps,
    /// How local times of the schedules are read.
    pub calendar: Calendar,
    /// At least one.
    pub schedules: Vec<Schedule>,
    pub lateness: Lateness,
    pub overlap: Overlap,
    /// Sending pauses outside of it.
    pub window: Option<Window>,
    /// Counted from the occurrence; what is left then expires.
    pub finish_within: SignedDuration,
    pub delivery: Delivery,
}

impl Campaign {
    /// The message of whoever has these values, completed and checked by the gateway's kind.
    pub fn message_for(&self, values: &Values, dialect: &dyn Dialect) -> Result<Message, String> {
        let Some(template) = &self.template else { return Ok(self.message.clone()) };
        let filled = template.fill(values).map_err(|bad| bad.what)?;
        let (message, faults) = dialect.read_message(&filled, self.audience.addressed_to());
        let first = faults.into_iter().find(|fault| fault.severity == Severity::Error);
        match (message, first) {
            (Some(message), None) => Ok(message),
            (_, fault) => Err(fault.map_or_else(|| "it is not good".to_owned(), |fault| fault.message)),
        }
    }
}

/// How late an occurrence may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// Nothing asked by `due + max`: the occurrence is missed.
    pub max: SignedDuration,
    pub catch_up: CatchUp,
}

/// Which slots still run whose time came while nobody could start them, of those that are not too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    None,
    #[default]
    Latest,
    /// The oldest first, one after another.
    All,
}

/// What becomes of a slot while the campaign's last run still goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    #[default]
    Skip,
    /// The latest one waits until the run is over.
    Queue,
}

impl Campaign {
    /// Its slots strictly after an instant.
    pub fn slots_after(&self, after: Timestamp) -> Slots<'_> {
        slots(self.id.as_str(), &self.schedules, &self.calendar, after)
    }

    /// Whether sending is allowed at an instant.
    pub fn may_send_at(&self, at: Timestamp) -> bool {
        self.window.as_ref().is_none_or(|window| window.is_open(&self.calendar.zone, at))
    }
}

/// The identity of a campaign: `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CampaignID(String);

/// The text is no campaign id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 64 of a-z 0-9 . _ - and begins with a letter or digit")]
pub struct BadCampaignID;

impl CampaignID {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CampaignID {
    type Err = BadCampaignID;

    fn from_str(text: &str) -> Result<CampaignID, BadCampaignID> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=64).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
        if good { Ok(CampaignID(text.to_owned())) } else { Err(BadCampaignID) }
    }
}

impl fmt::Display for CampaignID {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
