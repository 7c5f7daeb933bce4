//! Turns: which run of a gateway may send next, and how much.
//!
//! Pure: times are arguments. Knows: limits, lateness, the gateway's breaker, who has nothing to send. Must
//! never know: how a batch is made or sent. Thousands of runs may wait: whatever happens to one of them costs no look at
//! the others.

mod errands;
mod probe;
pub mod replay;
mod sending;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

pub use probe::Probe;

use errands::Errands;

use super::{
    assignment::Assignment,
    gate::Gate,
    turn::{Before, Done, Turn},
};
use crate::{
    campaign::CampaignID,
    limits::{Limits, Pace, SlidingLog},
    run::{
        RunID,
        breaker::Breaker,
        quiet::Quiet,
        refusals::{AfterRefusal, Refusals},
        reply::Reason,
        settlement::Sign,
    },
    store::{GatewayRecord, PastCall},
};

/// Who waits for a turn, and what the limits say.
pub struct Turns {
    account: SlidingLog,
    campaigns: HashMap<CampaignID, (Limits, SlidingLog)>,
    runs: HashMap<RunID, Waiting>,
    /// All runs, in the order of their turns.
    row: VecDeque<RunID>,
    errands: Errands,
    pace: Pace,
    /// Places that turns under way take, of those that send.
    sending: u32,
    breaker: Breaker,
    quiet: Quiet,
    stopping: bool,
}

/// A run that wants turns.
struct Waiting {
    assignment: Arc<Assignment>,
    /// Turns of it that are under way.
    under_way: u32,
    /// Those of them that have a place.
    calling: u32,
    /// It had nothing to send when it was last asked; something must happen first.
    parked: bool,
    /// A turn has found something to send, and so may another at the same time.
    has_found: bool,
    /// All that it has to send waits after a try, until this instant of the steady clock.
    waits_until: Option<Timestamp>,
    /// Counts what has happened to it, so that a turn that found nothing does not park a run to which
    /// something has happened since.
    happened: u64,
    started: bool,
    refusals: Refusals,
    /// It has been told that its time is over.
    told_late: bool,
    /// Something may have ended it, which neither limits nor rests delay.
    to_drain: bool,
    /// Where it keeps to a window.
    gate: Option<Gate>,
    /// A turn of it tells the ledger about the gate.
    tells_gate: bool,
}

/// What a worker does next.
pub enum Next {
    Turn(Turn),
    /// Ask the provider, by a request that only reads, whether it works again.
    Ask,
    /// Nothing before this instant of the steady clock.
    At(Timestamp),
    /// Nothing before something changes.
    WhenChanged,
    Stop,
}

fn remember(limits: &Limits, past: &[PastCall]) -> SlidingLog {
    let mut log = SlidingLog::new(limits);
    for call in past {
        log.ended(call.ended_at, call.recipients);
    }
    log
}

impl Waiting {
    fn something_happened(&mut self) {
        self.parked = false;
        self.waits_until = None;
        self.happened += 1;
    }
}

impl Turns {
    /// Turns within these limits, which remember the calls of the past, of at most so many calls at once.
    pub fn new(limits: &Limits, past: &[PastCall], calls_at_once: u32) -> Turns {
        Turns {
            account: remember(limits, past),
            campaigns: HashMap::new(),
            runs: HashMap::new(),
            row: VecDeque::new(),
            errands: Errands::default(),
            pace: Pace::new(calls_at_once),
            sending: 0,
            breaker: Breaker::new(calls_at_once),
            quiet: Quiet::default(),
            stopping: false,
        }
    }

    /// Goes on where the gateway stood when a daemon ended.
    pub fn restore(self, record: GatewayRecord, steady: Timestamp, now: Timestamp) -> Turns {
        let quiet = record.quiet.map(|quiet| Quiet::restore(quiet, steady, now)).unwrap_or_default();
        Turns { breaker: self.breaker.restore(record.breaker, steady, now), quiet, ..self }
    }

    /// How the gateway stands, for the ledger.
    pub fn record(&self, steady: Timestamp, now: Timestamp) -> GatewayRecord {
        GatewayRecord { breaker: self.breaker.standing(steady, now), quiet: self.quiet.time(steady, now) }
    }

    /// Gives a run that is here as much time at least. Tells whether it is here.
    pub fn extend(&mut self, run: &RunID, start_by: Timestamp, finish_by: Timestamp) -> bool {
        let Some(waiting) = self.runs.get_mut(run) else { return false };
        let known = &waiting.assignment;
        let (start_by, finish_by) = (start_by.max(known.start_by), finish_by.max(known.finish_by));
        waiting.assignment = Arc::new(Assignment { start_by, finish_by, ..Assignment::clone(known) });
        self.errands.expect(waiting);
        true
    }

    /// Adds a run. `past` holds the calls of its campaign, as far as its own limits reach back.
    pub fn add(&mut self, assignment: Arc<Assignment>, before: Before, past: &[PastCall]) {
        // What is known of one that is here already stays.
        if self.extend(&assignment.run, assignment.start_by, assignment.finish_by) {
            return;
        }
        let limits = &assignment.campaign.delivery.limits;
        let known = self.campaigns.get(assignment.campaign_id());
        if known.is_none_or(|(known, _)| known != limits) {
            let log = remember(limits, past);
            self.campaigns.insert(assignment.campaign_id().clone(), (limits.clone(), log));
        }
        let run = assignment.run.clone();
        let waiting = Waiting {
            assignment,
            under_way: 0,
            calling: 0,
            parked: false,
            has_found: false,
            waits_until: None,
            happened: 0,
            started: before.started,
            refusals: Refusals::of_run(before.answered),
            told_late: false,
            to_drain: false,
            gate: None,
            tells_gate: false,
        };
        self.errands.expect(&waiting);
        self.runs.insert(run.clone(), waiting);
        self.row.push_back(run);
    }

    /// Something may have happened to any run: each is asked again.
    pub fn look_again(&mut self) {
        for waiting in self.runs.values_mut() {
            waiting.something_happened();
            waiting.to_drain = true;
        }
        self.errands.look();
    }

    /// Something may have ended the run: it is asked as soon as none of its turns is under way.
    pub fn drain_soon(&mut self, run: &RunID) {
        if let Some(waiting) = self.waiting(run) {
            waiting.to_drain = true;
            self.errands.look();
        }
    }

    /// The run could not be told that its time is over: it is told again.
    pub fn not_told(&mut self, run: &RunID) {
        if let Some(waiting) = self.waiting(run) {
            waiting.told_late = false;
            self.errands.look();
        }
    }

    /// The ledger knows what a turn had to tell about the window.
    pub fn gate_told(&mut self, turn: &Turn) {
        if let Some(waiting) = self.waiting(&turn.assignment.run)
            && let (Some(gate), Some(told)) = (&mut waiting.gate, turn.gate)
        {
            gate.told |= gate.open == told.open;
        }
    }

    /// No further turns.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// What a call, or a token that was fetched for it, told of the gateway.
    pub fn learn(&mut self, steady: Timestamp, now: Timestamp, sign: Sign) {
        match sign {
            Sign::Works => {
                self.breaker.worked(now);
                self.quiet.worked();
            }
            Sign::Throttled { retry_after, why } => {
                self.quiet.throttled(steady, now, retry_after, why);
                self.breaker.tried_nothing();
            }
            Sign::TokenRefused(why) => self.breaker.token_refused(steady, now, why),
            Sign::Outage(why) => self.breaker.failed(steady, now, why),
            Sign::Silent { recipients, why } => {
                self.breaker.silent(steady, now, recipients, why);
            }
        }
    }

    /// What looked like an outage, with this code, was something else.
    pub fn explained(&mut self, now: Timestamp, code: &str) {
        self.breaker.explained(now, code);
    }

    /// The provider was asked whether it works.
    pub fn asked(&mut self, steady: Timestamp, now: Timestamp, answer: Result<(), Reason>) {
        match answer {
            Ok(()) => self.breaker.answers(),
            Err(why) => self.breaker.failed(steady, now, why),
        }
    }

    /// A run's request was answered for its recipients.
    pub fn answered(&mut self, run: &RunID) {
        if let Some(waiting) = self.waiting(run) {
            waiting.refusals.answered();
        }
    }

    /// A run's request for so many recipients was refused; `others` are pending or in flight besides.
    pub fn refused(&mut self, run: &RunID, recipients: usize, others: u64) -> AfterRefusal {
        match self.waiting(run) {
            Some(waiting) => waiting.refusals.refused(recipients, others),
            None => AfterRefusal::FailRun,
        }
    }

    /// What a worker does next: errands first, then the runs take turns.
    ///
    /// `now` is the time of day, for lateness; `steady` never jumps, for limits and rests.
    pub fn next(&mut self, now: Timestamp, steady: Timestamp) -> Next {
        if self.stopping {
            return Next::Stop;
        }
        if let Some(errand) = self.errand(now) {
            return Next::Turn(errand);
        }
        let alarm = self.errands.at().map(|at| steady + at.duration_since(now));
        match (self.send(steady), alarm) {
            (Next::At(at), Some(alarm)) => Next::At(at.min(alarm)),
            (Next::WhenChanged, Some(alarm)) => Next::At(alarm),
            (next, _) => next,
        }
    }

    /// The call of a turn is over. Gives the turn that follows in its place, where nothing else comes first: its
    /// intent may share a commit with the answer.
    pub fn follow(&mut self, turn: &mut Turn, done: Done, now: Timestamp, steady: Timestamp) -> Option<Turn> {
        self.call_over(turn, done);
        if self.stopping || self.errands.is_due(now) || !self.is_well(steady) {
            return None;
        }
        self.leave_place(turn);
        match self.send(steady) {
            Next::Turn(next) => Some(next),
            _ => {
                self.take_place(turn);
                None
            }
        }
    }

    /// The call of a turn is over, or it makes none: what that means for the limits. It keeps its place until what
    /// it brought is recorded, so that nothing more leaves than could be recorded.
    fn call_over(&mut self, turn: &mut Turn, done: Done) {
        if std::mem::replace(&mut turn.call_over, true) {
            return;
        }
        let own = self.campaigns.get_mut(turn.assignment.campaign_id()).map(|(_, log)| log);
        for log in [Some(&mut self.account), own].into_iter().flatten() {
            match done {
                Done::Sent { at, recipients, .. } => log.end(at, turn.most_recipients, recipients),
                Done::Withdrawn | Done::Nothing => log.withdraw(turn.most_recipients),
            }
        }
        // What one tries for all others tells nothing of a full batch.
        if let (Some(beside), Done::Sent { recipients, took, .. }, false) = (turn.beside, done, turn.tries) {
            self.pace.ended(beside, recipients, took.as_secs_f64());
        }
        if let Some(waiting) = self.waiting(&turn.assignment.run) {
            waiting.started |= matches!(done, Done::Sent { .. });
        }
    }

    fn take_place(&mut self, turn: &mut Turn) {
        turn.has_place = true;
        self.sending += u32::from(turn.beside.is_some());
        if let Some(waiting) = self.waiting(&turn.assignment.run) {
            waiting.calling += 1;
        }
    }

    fn leave_place(&mut self, turn: &mut Turn) {
        if !std::mem::replace(&mut turn.has_place, false) {
            return;
        }
        self.sending = self.sending.saturating_sub(u32::from(turn.beside.is_some()));
        if let Some(waiting) = self.waiting(&turn.assignment.run) {
            waiting.calling = waiting.calling.saturating_sub(1);
        }
    }

    /// A turn is over, and what it has to say is recorded. Gives how many turns of its run are still under way.
    pub fn end(&mut self, turn: &mut Turn, done: Done) -> u32 {
        self.call_over(turn, done);
        self.leave_place(turn);
        if turn.tries {
            // Where its call told something, that was heard before, and this changes nothing.
            self.breaker.tried_nothing();
        }
        let Some(waiting) = self.waiting(&turn.assignment.run) else { return 0 };
        waiting.under_way = waiting.under_way.saturating_sub(1);
        if turn.gate.is_some() {
            waiting.tells_gate = false;
            waiting.something_happened();
        }
        if done != Done::Nothing {
            waiting.something_happened();
        }
        let (under_way, asks_early) = (waiting.under_way, waiting.to_drain || !waiting.started);
        self.errands.turn_ended(asks_early);
        under_way
    }

    fn waiting(&mut self, run: &RunID) -> Option<&mut Waiting> {
        self.runs.get_mut(run)
    }

    /// Whether only one turn of a run is under way.
    pub fn is_alone(&mut self, run: &RunID) -> bool {
        self.waiting(run).is_none_or(|waiting| waiting.under_way <= 1)
    }

    /// A turn has found something to send; `others` of its run are pending or in flight besides. Tells whether only now
    /// other turns may find something too.
    pub fn found(&mut self, turn: &Turn, others: u64) -> bool {
        if others == 0 {
            self.park(turn);
        }
        let waiting = self.waiting(&turn.assignment.run).filter(|_| others > 0);
        waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.has_found, true))
    }

    /// The run has nothing to send until something changes.
    pub fn park(&mut self, turn: &Turn) {
        if let Some(waiting) = self.waiting(&turn.assignment.run) {
            waiting.parked = waiting.happened == turn.happened;
        }
    }

    /// All that the run has to send waits until this instant of the steady clock.
    pub fn wait(&mut self, turn: &Turn, until: Timestamp) {
        if let Some(waiting) = self.waiting(&turn.assignment.run)
            && waiting.happened == turn.happened
        {
            waiting.waits_until = Some(until);
        }
    }

    /// The run is over. Tells whether it was here.
    pub fn remove(&mut self, run: &RunID) -> bool {
        // Whoever had a turn stands at the back.
        if let Some(place) = self.row.iter().rposition(|other| other == run) {
            self.row.remove(place);
        }
        self.runs.remove(run).is_some()
    }
}

#[cfg(test)]
mod tests;
