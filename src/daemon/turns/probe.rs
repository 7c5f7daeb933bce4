//! The turn of a message to an account of ours, which is none of a run's recipients.
//!
//! Pure, as all turns are. Knows: limits and the breaker, which hold for it as for others. Must never know:
//! what it is sent for.

use jiff::Timestamp;

use super::Turns;
use crate::{limits::Allowance, run::breaker::May};

/// Whether a call to an account of ours may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    Send,
    /// First ask the provider, by a request that only reads, whether it works.
    Ask,
    NotNow,
}

impl Turns {
    /// Promises a call to one recipient that is none of a run's, if the limits and the breaker allow it now.
    /// A breaker that has waited long enough takes it as the call that tries.
    pub fn begin_probe(&mut self, steady: Timestamp) -> Probe {
        let held = self.stopping
            || self.quiet.until(steady).is_some()
            || self.account.allowance(steady, 1) != Allowance::Now;
        match self.breaker.may(steady) {
            _ if held => Probe::NotNow,
            May::WaitUntil(_) | May::WaitForAnother => Probe::NotNow,
            May::Ask => {
                self.breaker.asks();
                Probe::Ask
            }
            may @ (May::Send | May::Try) => {
                self.account.begin(1);
                if may == May::Try {
                    self.breaker.tries();
                }
                Probe::Send
            }
        }
    }

    /// The call that [`Turns::begin_probe`] has promised is over: it ended at this instant of the steady clock, or
    /// never left.
    pub fn end_probe(&mut self, sent_at: Option<Timestamp>) {
        match sent_at {
            Some(at) => self.account.end(at, 1, 1),
            None => self.account.withdraw(1),
        }
        // Where it told something, that was heard before, and this changes nothing.
        self.breaker.tried_nothing();
    }
}
