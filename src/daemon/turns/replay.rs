//! The place of a replay within the limits: it is a call like any other, made in the turn of the call that it
//! repeats.
//!
//! Pure, as all turns are. The breaker does not hold it: nobody new is asked.

use jiff::{SignedDuration, Timestamp};

use super::{Turn, Turns};
use crate::limits::Allowance;

/// How long a replay waits for the end of another call that is in its way.
const A_MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// Whether a replay may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    Leave,
    /// Not before this instant of the steady clock.
    At(Timestamp),
    Never,
}

impl Turns {
    /// Promises a replay to so many recipients in a turn, if the limits allow it now.
    pub fn begin_replay(&mut self, turn: &Turn, recipients: u64, steady: Timestamp) -> May {
        if self.stopping || self.quiet.until(steady).is_some() {
            return May::Never;
        }
        let Some((_, own)) = self.campaigns.get_mut(turn.assignment.campaign_id()) else { return May::Never };
        let mut at = steady;
        for log in [&mut self.account, &mut *own] {
            match log.allowance(steady, recipients) {
                Allowance::Now => {}
                Allowance::At(free_at) => at = at.max(free_at),
                Allowance::AfterACall => at = at.max(steady + A_MOMENT),
            }
        }
        if at > steady {
            return May::At(at);
        }
        self.account.begin(recipients);
        own.begin(recipients);
        May::Leave
    }

    /// The replay that [`Turns::begin_replay`] has promised is over: it ended at this instant of the steady clock,
    /// or never left.
    pub fn end_replay(&mut self, turn: &Turn, recipients: u64, sent_at: Option<Timestamp>) {
        let own = self.campaigns.get_mut(turn.assignment.campaign_id()).map(|(_, log)| log);
        for log in [Some(&mut self.account), own].into_iter().flatten() {
            match sent_at {
                Some(at) => log.end(at, recipients, recipients),
                None => log.withdraw(recipients),
            }
        }
    }
}
