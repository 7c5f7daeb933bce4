//! How a campaign is delivered: batches, concurrency, its own limits.

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
    pub on_unknown: OnUnknown,
    /// After the run, whether every accepted message is looked up.
    pub confirm: bool,
}

/// How often a recipient is asked who was proven not to have been reached.
const MOST_ATTEMPTS: u32 = 5;

impl Delivery {
    /// How often a recipient is asked at most, the first time included.
    pub fn most_attempts(&self) -> u32 {
        MOST_ATTEMPTS
    }
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
