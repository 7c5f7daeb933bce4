//! Limits: how many recipients and calls may leave within a window, when the next may, and how many calls
//! may be under way at once.
//!
//! Knows: rates, windows, what was sent. Must never know: providers, campaigns, the clock (`now`
//! is an argument).

pub mod estimate;
pub mod pace;
pub mod rate;
pub mod window;

pub use estimate::{Calls, Cost, cost};
pub use pace::Pace;
pub use rate::{Rate, RateError, Unit};
pub use window::{Allowance, SlidingLog, WindowUse};

/// The limits of one gateway account, or of one campaign. An empty list means no limit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Recipients of sends, each rate in its own sliding window.
    pub recipients: Vec<Rate>,
    /// Requests that send, each rate in its own sliding window.
    pub calls: Vec<Rate>,
    /// The part of each rate that is left unused, 0 to 90 per cent.
    pub headroom_percent: u8,
}
