//! Inquiries as the ledger knows them: whose messages of which attempt are sought.

use jiff::Timestamp;

use crate::{
    campaign::{RecipientID, source::Values},
    run::{RunID, inquiry::Progress, look::Addressing},
};

/// An attempt of which some recipients' messages are being looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Inquiry {
    pub id: i64,
    pub run: RunID,
    pub batch: u64,
    pub attempt: i64,
    pub operation_id: String,
    pub addressing: Addressing,
    /// What filled in its message, where that has variables.
    pub values: Option<Values>,
    /// When its request was committed, or that of the attempt which it repeats.
    pub asked_at: Timestamp,
    /// When its own request was committed.
    pub asked_last_at: Timestamp,
    pub ended_at: Timestamp,
    /// Whether the attempt was answered, and told nothing of those who are sought.
    pub answered: bool,
    pub progress: Progress,
    /// Who is sought, with the message's own time (Unix milliseconds); sorted.
    pub sought: Vec<(RecipientID, Option<i64>)>,
}

/// A message that was accepted later than an attempt, and so can show that the provider has come so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    pub run: RunID,
    pub addressing: Addressing,
    /// What filled in its message, where that has variables.
    pub values: Option<Values>,
    pub operation_id: String,
    pub asked_at: Timestamp,
    pub asked_last_at: Timestamp,
    pub recipient: RecipientID,
    /// Unix milliseconds.
    pub send_time_ms: Option<i64>,
}

/// What looking up the accepted messages of a run has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmations {
    /// They were seen.
    pub confirmed: u64,
    /// They were looked for long enough, and not found.
    pub not_found: u64,
}
