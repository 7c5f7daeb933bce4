//! How many recipients of a run stand where, and the one equation that always holds.

use super::Outcome;

/// The counts of a run, as its row in the ledger holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub audience: u64,
    pub accepted: u64,
    pub refused: u64,
    pub failed: u64,
    pub unknown: u64,
    pub excluded: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub pending: u64,
    pub in_flight: u64,
}

impl Counts {
    /// Whether everyone stands somewhere, once.
    pub fn balanced(&self) -> bool {
        self.audience == self.decided() + self.pending + self.in_flight
    }

    /// Everyone who has an outcome.
    pub fn decided(&self) -> u64 {
        self.accepted
            + self.refused
            + self.failed
            + self.unknown
            + self.excluded
            + self.expired
            + self.cancelled
    }

    /// The count of an outcome.
    pub fn of(&mut self, outcome: &Outcome) -> &mut u64 {
        match outcome {
            Outcome::Accepted(_) => &mut self.accepted,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Unknown(_) => &mut self.unknown,
            Outcome::Excluded(_) => &mut self.excluded,
            Outcome::Expired(_) => &mut self.expired,
            Outcome::Cancelled(_) => &mut self.cancelled,
        }
    }
}
