//! A provider's clock, as a gateway has come to know it.
//!
//! Pure. Knows: how far it is from ours, and since when that is known. Must never know: how it is learnt, and what
//! for.

use jiff::{SignedDuration, Timestamp};

/// Who is further from our time than this shows no clock: the times of what is sent by it would be none.
pub const NO_CLOCK: SignedDuration = SignedDuration::from_hours(100 * 366 * 24);

/// What is known of the clock by which a provider gives its messages their times. By default nothing: then it is
/// taken to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProviderClock {
    /// It minus ours, in whole milliseconds.
    pub offset: SignedDuration,
    /// When that was learnt, by our clock.
    pub learnt_at: Option<Timestamp>,
    /// Up to when, as it is now, it has given times before: it was ahead then, and what it takes until then gets
    /// the times of others.
    pub ahead_until: Option<Timestamp>,
}
