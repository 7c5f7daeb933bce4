//! Whose batch leaves next: the runs take turns, and a run that its own limits hold back lets others pass.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Next, Turn, Turns, Waiting};
use crate::{
    limits::{Allowance, SlidingLog},
    run::breaker::May,
};

impl Waiting {
    /// Whether it may have something that could be sent at once, as far as it is up to itself.
    fn wants_to_send(&self) -> bool {
        let gate_open = self.gate.is_none_or(|gate| gate.open && gate.told);
        let idle = self.calling < self.assignment.campaign.delivery.concurrency;
        // Of a thousand runs that are due at once most have one batch: a second turn would look for nothing.
        let is_open = self.has_found || self.calling == 0;
        !self.parked && !self.tells_gate && gate_open && idle && is_open
    }
}

impl Turns {
    /// Whether the provider is not known to have trouble, and does not want quiet.
    pub(super) fn is_well(&self, steady: Timestamp) -> bool {
        self.quiet.until(steady).is_none() && self.breaker.may(steady) == May::Send
    }

    /// The next turn that sends.
    pub(super) fn send(&mut self, steady: Timestamp) -> Next {
        if self.sending >= self.pace.level() {
            return Next::WhenChanged;
        }
        let may = match self.quiet.until(steady) {
            Some(until) => May::WaitUntil(until),
            None => self.breaker.may(steady),
        };
        let mut earliest: Option<Timestamp> = None;
        let mut wake = |at: Timestamp| earliest = Some(earliest.map_or(at, |other| other.min(at)));
        for place in 0..self.row.len() {
            let Some(waiting) = self.runs.get(&self.row[place]).filter(|waiting| waiting.wants_to_send())
            else {
                continue;
            };
            if let Some(until) = waiting.waits_until.filter(|until| *until > steady) {
                wake(until);
                continue;
            }
            let tries = match may {
                May::Send => false,
                May::Try => true,
                May::Ask => {
                    self.breaker.asks();
                    return Next::Ask;
                }
                May::WaitUntil(until) => {
                    wake(until);
                    break;
                }
                May::WaitForAnother => break,
            };
            let assignment = &waiting.assignment;
            let Some((_, own)) = self.campaigns.get_mut(assignment.campaign_id()) else { continue };
            let batch_size = if tries { 1 } else { assignment.batch_size() };
            let most = |log: &SlidingLog| log.most_recipients_a_call();
            let whole = u64::from(batch_size).min(most(&self.account)).min(most(own));
            // A batch is cut to what is free, but not into crumbs.
            let least = whole.div_ceil(2);
            match own.allowance(steady, least) {
                Allowance::Now => {}
                // Its own limits are its own affair: others pass.
                Allowance::At(at) => {
                    wake(at);
                    continue;
                }
                Allowance::AfterACall => continue,
            }
            // Whoever waits for the gateway's limits waits in the row, so that small batches do not take
            // again and again what a large one waits for.
            match self.account.allowance(steady, least) {
                Allowance::Now => {}
                Allowance::At(at) => {
                    wake(at);
                    break;
                }
                Allowance::AfterACall => break,
            }
            let most_recipients = whole.min(self.account.recipients_left()).min(own.recipients_left());
            let beside = Some(self.sending + 1);
            if tries {
                self.breaker.tries();
            }
            match self.take_turn(place, most_recipients, |turn| Turn { tries, beside, ..turn }) {
                Some(turn) => return Next::Turn(turn),
                None => break,
            }
        }
        earliest.map_or(Next::WhenChanged, Next::At)
    }

    /// The turn of the run at a place of the row, which then stands behind all others.
    pub(super) fn take_turn(
        &mut self,
        place: usize,
        most_recipients: u64,
        kind: impl FnOnce(Turn) -> Turn,
    ) -> Option<Turn> {
        let run = self.row.remove(place)?;
        let waiting = self.runs.get_mut(&run)?;
        self.row.push_back(run);
        self.account.begin(most_recipients);
        if let Some((_, own)) = self.campaigns.get_mut(waiting.assignment.campaign_id()) {
            own.begin(most_recipients);
        }
        waiting.under_way += 1;
        let mut turn = kind(Turn {
            assignment: Arc::clone(&waiting.assignment),
            most_recipients,
            late: None,
            drains: false,
            tries: false,
            gate: None,
            beside: None,
            call_over: false,
            has_place: false,
            happened: waiting.happened,
        });
        self.take_place(&mut turn);
        Some(turn)
    }
}
