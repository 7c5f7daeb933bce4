//! When a campaign is due: its schedules, and the slots they name.
//!
//! Knows: local times, zones, cron text, elapsed periods. Must never know: campaigns, runs, and
//! what time it is now.

pub mod cron;
pub mod slots;

use jiff::{SignedDuration, Timestamp};

pub use cron::{CronError, CronLine};
pub use slots::next_slot;

/// One line of `schedules`, read in its campaign's zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub pattern: Pattern,
    /// Inclusive. For `every` it is the anchor as well.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
}

/// How a schedule names its slots.
#[derive(Debug, Clone, PartialEq)]
pub enum Pattern {
    /// Once.
    At(Timestamp),
    /// By calendar, in the campaign's zone.
    Cron(CronLine),
    /// By elapsed time, at least one second, counted from `from` or the Unix epoch.
    Every(SignedDuration),
}
