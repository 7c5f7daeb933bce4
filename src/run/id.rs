//! The name of a run: `campaign@20261111T010000Z`, `….m1` for a manual run, `….t1` for a test send.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use crate::campaign::CampaignID;

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    Schedule,
    /// `send`: the whole audience, now.
    Manual,
    /// `send --to`: the named ids, now.
    Test,
}

impl Trigger {
    pub const ALL: [Trigger; 3] = [Trigger::Schedule, Trigger::Manual, Trigger::Test];

    /// The word in the ledger and in `run_summary`.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Schedule => "schedule",
            Trigger::Manual => "manual",
            Trigger::Test => "test",
        }
    }
}

/// A run's name, unique in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunID(String);

impl RunID {
    /// The name of the run of a slot. `number` counts the manual runs, or the test sends, of one
    /// campaign at one instant, from 1; a scheduled run has none.
    pub fn new(campaign: &CampaignID, slot: Timestamp, trigger: Trigger, number: u32) -> RunID {
        let instant = slot.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
        RunID(match trigger {
            Trigger::Schedule => format!("{campaign}@{instant}"),
            Trigger::Manual => format!("{campaign}@{instant}.m{number}"),
            Trigger::Test => format!("{campaign}@{instant}.t{number}"),
        })
    }

    /// Takes a name that a person typed or the ledger holds.
    pub fn from_text(text: impl Into<String>) -> RunID {
        RunID(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunID {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_its_campaign_and_slot() {
        let campaign = "singles-day".parse().unwrap();
        let slot = "2026-11-11T01:00:00.5Z".parse().unwrap();
        for (trigger, number, expected) in [
            (Trigger::Schedule, 0, "singles-day@20261111T010000Z"),
            (Trigger::Manual, 2, "singles-day@20261111T010000Z.m2"),
            (Trigger::Test, 1, "singles-day@20261111T010000Z.t1"),
        ] {
            assert_eq!(RunID::new(&campaign, slot, trigger, number).as_str(), expected);
        }
    }
}
