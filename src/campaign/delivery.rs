//! How a campaign is delivered: batches, concurrency, its own limits, what is tried again.

use jiff::SignedDuration;

use crate::limits::Limits;

/// The `delivery:` part of a campaign, completed with the gateway's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Recipients a call, at least 1.
    pub batch_size: u32,
    /// Calls of one run under way at once, at least 1.
    pub concurrency: u32,
    /// This campaign's share; the gateway's limits hold as well.
    pub limits: Limits,
    pub retry: Retry,
    pub on_unknown: OnUnknown,
    /// Whether a delivery to `*` goes out although somebody is excluded or suppressed.
    pub ignore_suppressions: bool,
    /// After the run, whether every accepted message is looked up.
    pub confirm: bool,
    /// When a run pauses by itself because too many fail; None: never.
    pub stop_when: Option<StopWhen>,
}

impl Delivery {
    /// How often a recipient is asked at most, the first time included.
    pub fn most_attempts(&self) -> u32 {
        self.retry.attempts
    }
}

/// How often and when a batch is asked again after a call that was proven to do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Calls in all, at least 1.
    pub attempts: u32,
    /// The shortest wait before the next one.
    pub shortest: SignedDuration,
    /// The longest.
    pub longest: SignedDuration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 5, shortest: SignedDuration::from_secs(2), longest: SignedDuration::from_mins(5) }
    }
}

/// When too many of a run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopWhen {
    /// (refused + failed) ÷ answered, in per cent, above which the run pauses.
    pub failure_percent: u8,
    /// Not before so many were answered, at least 1.
    pub after: u64,
}

/// What happens to a recipient who was asked for and of whom no answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// The provider is asked until that settles it.
    Reconcile,
    /// A person decides.
    Hold,
    /// It is sent again: the author accepts duplicates.
    Resend,
}
