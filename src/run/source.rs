//! What a run's audience was opened from, as recorded.

use crate::campaign::source::BadLine;

/// Whether a source adds to the audience or takes away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Include,
    Exclude,
}

impl Side {
    pub const ALL: [Side; 2] = [Side::Include, Side::Exclude];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Include => "include",
            Side::Exclude => "exclude",
        }
    }
}

/// One source, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    pub side: Side,
    /// For people: the list's path, `isSendAll`, `membersOf g1001`.
    pub name: String,
    /// Of a list file: the digest of its bytes.
    pub sha256: Option<String>,
    /// Ids that it named, repetitions counted.
    pub ids: u64,
    /// Lines that were passed over, of which the first hundred are told.
    pub bad_lines: u64,
    pub first_bad_lines: Vec<BadLine>,
}
