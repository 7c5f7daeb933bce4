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
}

/// What happens to a recipient who was asked for and of whom no answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// A person decides.
    Hold,
}
