//! What runs have to tell the ledger besides sending: their time is over, their window has opened or closed, they
//! may have been ended. Neither limits nor rests delay that.

use jiff::{SignedDuration, Timestamp};

use super::{Turn, Turns, Waiting};
use crate::daemon::{assignment::Assignment, gate::Gate, late::Late};

/// When runs are looked at for errands: not at each turn, since there may be thousands.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Something has happened that may have made an errand due.
    look: bool,
    /// The first time of day at which a clock alone makes one due.
    at: Option<Timestamp>,
    /// When they were last looked at. The clock may be set back behind it.
    looked_at: Option<Timestamp>,
    /// One is due, and waits for the end of a call.
    one_waits: bool,
}

impl Errands {
    /// Runs are looked at before the next turn.
    pub fn look(&mut self) {
        self.look = true;
    }

    /// A run has come.
    pub fn expect(&mut self, waiting: &Waiting) {
        match waiting.assignment.window() {
            Some(_) => self.look(),
            None => self.alarm(waiting.time_over_at()),
        }
    }

    /// A turn has ended. `asks_early`: its run may have an errand because of that.
    pub fn turn_ended(&mut self, asks_early: bool) {
        self.look |= asks_early || self.one_waits;
    }

    /// Whether runs have to be looked at now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let clock = self.at.is_some_and(|at| at <= now) || self.looked_at.is_some_and(|before| now < before);
        self.look || clock
    }

    /// The first time of day at which one may become due.
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }

    fn alarm(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |other| other.min(at)));
    }
}

impl Waiting {
    /// Whether something of it was asked. A first call that is under way may have been asked in time.
    fn may_have_started(&self) -> bool {
        self.started || self.under_way > 0
    }

    /// The first instant at which its time is over, unless something of it is sent before.
    fn time_over_at(&self) -> Timestamp {
        let Assignment { start_by, finish_by, .. } = *self.assignment;
        let last = if self.may_have_started() { finish_by } else { start_by.min(finish_by) };
        last.checked_add(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MAX)
    }
}

impl Turns {
    /// The next turn that only tells something, if one is due.
    pub(super) fn errand(&mut self, now: Timestamp) -> Option<Turn> {
        if !self.errands.is_due(now) {
            return None;
        }
        // What is found below is all that is known.
        self.errands = Errands { look: false, at: None, looked_at: Some(now), one_waits: false };
        for place in 0..self.row.len() {
            let Some(waiting) = self.runs.get_mut(&self.row[place]) else { continue };
            let late = Late::of(&waiting.assignment, waiting.may_have_started(), now);
            let late = late.filter(|_| !waiting.told_late);
            if late.is_none() && !waiting.told_late {
                self.errands.alarm(waiting.time_over_at());
            }
            let drains = late.is_none() && waiting.to_drain && waiting.under_way == 0;
            waiting.gate = Gate::look(&waiting.assignment, waiting.gate, now);
            if let Some(at) = waiting.gate.and_then(|gate| gate.changes_at) {
                self.errands.alarm(at);
            }
            let only_sends = late.is_none() && !drains;
            let gate = waiting.gate.filter(|gate| !gate.told && only_sends && !waiting.tells_gate);
            if only_sends && gate.is_none() {
                continue;
            }
            if waiting.calling >= waiting.assignment.campaign.delivery.concurrency {
                self.errands.one_waits = true;
                continue;
            }
            waiting.told_late |= late.is_some();
            waiting.to_drain &= !drains;
            waiting.tells_gate |= gate.is_some();
            // Others may have one too.
            self.errands.look = true;
            return self.take_turn(place, 0, |turn| Turn { late, drains, gate, ..turn });
        }
        None
    }
}
