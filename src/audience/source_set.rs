//! Which of an audience's sources name an id.

use crate::campaign::source::MOST_SOURCES;

/// Sources of an audience, as a set of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u32);

impl SourceSet {
    /// The source of this number, below twice [`MOST_SOURCES`], alone.
    pub const fn of(number: usize) -> SourceSet {
        SourceSet(1 << (number % (2 * MOST_SOURCES)))
    }

    /// The set as it was written.
    pub(super) fn from_bits(bits: u32) -> SourceSet {
        SourceSet(bits)
    }

    /// To be written.
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    pub fn with(self, other: SourceSet) -> SourceSet {
        SourceSet(self.0 | other.0)
    }

    /// Whether any source is in both.
    pub fn meets(self, other: SourceSet) -> bool {
        self.0 & other.0 != 0
    }

    pub fn has(self, number: usize) -> bool {
        self.meets(SourceSet::of(number))
    }
}
