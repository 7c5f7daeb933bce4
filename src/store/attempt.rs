//! A request as the ledger knows it: the intent before it leaves, and its end.

use jiff::Timestamp;

use crate::{
    campaign::{Caps, RecipientID, source::Values},
    run::{RunID, look::Addressing},
};

/// What a batch is begun with.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub run: RunID,
    pub at: Timestamp,
    /// Whether a batch that is asked again keeps its operation id, as long as its recipients stay.
    pub names_batches: bool,
    /// The most recipients it may have, at least 1.
    pub most_recipients: u64,
    /// Whoever has had enough by now is excluded instead of asked.
    pub caps: Caps,
    /// How they are addressed; one who is to be asked alone is addressed so whatever stands here.
    pub addressing: Addressing,
    /// The account whose messages must carry distinct send times, and the provider's time now.
    pub stamp: Option<(String, Timestamp)>,
}

/// A batch whose intent is committed: it may be asked now.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    pub attempt: i64,
    /// When the intent was made.
    pub at: Timestamp,
    pub operation_id: String,
    pub batch: u64,
    /// What fills in the message of its recipients, where it has variables.
    pub values: Option<Values>,
    pub addressing: Addressing,
    /// Tries of before which proved that nothing was done.
    pub tries: u32,
    /// Recipients of the run that are pending or in flight besides.
    pub others: u64,
    pub recipients: Vec<RecipientID>,
    /// Unix milliseconds.
    pub send_time_ms: Option<i64>,
}

/// The end of an attempt, as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    pub attempt: i64,
    pub at: Timestamp,
    pub http_status: Option<u16>,
    pub provider_code: Option<i64>,
    pub provider_message: Option<String>,
}
