//! When a message may have been taken, by the provider's clock.
//!
//! Pure. Knows: how far that clock may be from ours, and how late a request may be heard. Must never know: what
//! stands in a history.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    gateway::netease::signer::VALIDITY,
    run::{look::Sought, reply::Reason},
};

/// The provider's clock may be so much behind ours as far as we know it, for the message to be ours.
pub const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// It may be behind by so much, and the message may be ours: only where it differs by more does it refuse our time,
/// so that we know.
const BEHIND: SignedDuration = VALIDITY;
/// A message that left may be taken so much later.
const TAKEN_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// The same words that come within so much more may be ours, very late; later ones are another message.
const LATE_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// When the message may have been taken, by the provider's clock.
pub struct Window {
    /// Since when it may have been taken after all.
    pub early_since: Timestamp,
    pub begin: Timestamp,
    pub end: Timestamp,
    /// Until when it may have been taken after all.
    pub late_until: Timestamp,
}

impl Window {
    pub fn of(sought: &Sought, offset: SignedDuration, timeout: Duration) -> Window {
        let timeout = SignedDuration::try_from(timeout).unwrap_or(TAKEN_WITHIN);
        let end = sought.asked_last_at + offset + timeout + TAKEN_WITHIN;
        let asked_at = sought.asked_at + offset;
        Window {
            early_since: asked_at - BEHIND - SLACK,
            begin: asked_at - SLACK,
            end,
            late_until: end + LATE_WITHIN,
        }
    }

    /// Whether what was taken may be kept no more at this time of the provider's clock, where it is kept for so long.
    pub fn may_be_over(&self, now: Timestamp, kept_for: SignedDuration) -> bool {
        now.duration_since(self.early_since) >= kept_for
    }

    /// How what was taken at this time lies to it; none where it is another message.
    pub fn place(&self, time: Timestamp) -> Option<Place> {
        let is_outside = time < self.early_since || time > self.late_until;
        let beside = if time < self.begin { Place::Early } else { Place::Late };
        let is_within = (self.begin..=self.end).contains(&time);
        (!is_outside).then_some(if is_within { Place::Within } else { beside })
    }
}

/// How a time lies to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Early,
    Within,
    Late,
}

impl Place {
    /// Why the same words beside the window are no answer.
    pub fn doubt(self) -> Option<Reason> {
        match self {
            Place::Within => None,
            Place::Early => Some(Reason::new(
                "early",
                "the same was said there so shortly before that it is this, by a clock that is behind, or another",
            )),
            Place::Late => Some(Reason::new(
                "late",
                "the same was said there so much later that it may be this or another",
            )),
        }
    }
}
