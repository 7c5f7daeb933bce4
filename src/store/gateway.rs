//! What the ledger keeps of a gateway.

use jiff::Timestamp;

use crate::run::{breaker::Standing, quiet::QuietTime};

/// Whether a gateway's calls may leave, as people are told and the next start goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRecord {
    pub breaker: Standing,
    pub quiet: Option<QuietTime>,
}

impl Default for GatewayRecord {
    fn default() -> GatewayRecord {
        GatewayRecord { breaker: Standing::Closed { since: None }, quiet: None }
    }
}

/// A call of the past, for the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastCall {
    pub ended_at: Timestamp,
    pub recipients: u64,
}
