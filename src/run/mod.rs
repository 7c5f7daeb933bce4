//! Runs: one occurrence of a campaign on its way to its recipients.
//!
//! Knows: the states of a run and of a delivery, their transitions, how an audience is cut, what a
//! reply means for both. Must never know: the provider behind a reply, the ledger behind a state,
//! the clock.

pub mod breaker;
pub mod chunk;
pub mod counts;
pub mod delivery;
pub mod failures;
pub mod id;
pub mod inquiry;
pub mod look;
pub mod provider_clock;
pub mod quiet;
pub mod refusals;
pub mod replay;
pub mod reply;
pub mod retry;
pub mod screen;
pub mod settlement;
pub mod source;
pub mod state;

pub use counts::Counts;
pub use delivery::{Delivery, Outcome};
pub use id::{RunID, Trigger};
pub use settlement::{Settlement, settle};
pub use state::{Ending, RunEvent, RunState};
