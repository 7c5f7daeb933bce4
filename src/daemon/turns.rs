//! Turns: which run of a gateway may send next, and how much.
//!
//! Pure: times are arguments. Knows: limits, lateness, the gateway's breaker, who has nothing to send. Must
//! never know: how a batch is made or sent.

mod probe;
pub mod replay;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

pub use probe::Probe;

use super::{
    assignment::Assignment,
    gate::Gate,
    late::Late,
    turn::{Before, Done, Turn},
};
use crate::{
    campaign::CampaignID,
    limits::{Allowance, Limits, Pace, SlidingLog},
    run::{
        RunID,
        breaker::{Breaker, May},
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
    runs: VecDeque<Waiting>,
    pace: Pace,
    /// Turns under way that send.
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
    /// It had nothing to send when it was last asked; something must happen first.
    parked: bool,
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
            runs: VecDeque::new(),
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

    /// Adds a run. `past` holds the calls of its campaign, as far as its own limits reach back.
    pub fn add(&mut self, assignment: Arc<Assignment>, before: Before, past: &[PastCall]) {
        let limits = &assignment.campaign.delivery.limits;
        let known = self.campaigns.get(assignment.campaign_id());
        if known.is_none_or(|(known, _)| known != limits) {
            let log = remember(limits, past);
            self.campaigns.insert(assignment.campaign_id().clone(), (limits.clone(), log));
        }
        self.runs.push_back(Waiting {
            assignment,
            under_way: 0,
            parked: false,
            waits_until: None,
            happened: 0,
            started: before.started,
            refusals: Refusals::of_run(before.answered),
            told_late: false,
            to_drain: false,
            gate: None,
            tells_gate: false,
        });
    }

    /// Something may have happened to any run: each is asked again.
    pub fn look_again(&mut self) {
        for waiting in &mut self.runs {
            waiting.something_happened();
            waiting.to_drain = true;
        }
    }

    /// Something may have ended the run: it is asked as soon as none of its turns is under way.
    pub fn drain_soon(&mut self, run: &RunID) {
        if let Some(waiting) = self.waiting(run) {
            waiting.to_drain = true;
        }
    }

    /// The run could not be told that its time is over: it is told again.
    pub fn not_told(&mut self, run: &RunID) {
        if let Some(waiting) = self.waiting(run) {
            waiting.told_late = false;
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

    /// Who may send now: the runs take turns, and a run that its own limits hold back lets others pass.
    ///
    /// `now` is the time of day, for lateness; `steady` never jumps, for limits and rests.
    pub fn next(&mut self, now: Timestamp, steady: Timestamp) -> Next {
        if self.stopping {
            return Next::Stop;
        }
        let may = match self.quiet.until(steady) {
            Some(until) => May::WaitUntil(until),
            None => self.breaker.may(steady),
        };
        let mut account_awaited = false;
        let mut earliest: Option<Timestamp> = None;
        let mut wake = |at: Timestamp| earliest = Some(earliest.map_or(at, |other| other.min(at)));
        for place in 0..self.runs.len() {
            let waiting = &mut self.runs[place];
            let assignment = &waiting.assignment;
            // A first call that is under way may have been asked in time.
            let started = waiting.started || waiting.under_way > 0;
            let late = Late::of(assignment, started, now).filter(|_| !waiting.told_late);
            if late.is_none() && !waiting.told_late {
                // Whatever holds it back, it is told when its time is over.
                let limit = if started { assignment.finish_by } else { assignment.start_by };
                wake(steady + limit.duration_since(now) + SignedDuration::from_millis(1));
            }
            let drains = late.is_none() && waiting.to_drain && waiting.under_way == 0;
            waiting.gate = Gate::look(assignment, waiting.gate, now);
            let gate = waiting.gate.filter(|gate| !gate.told && late.is_none() && !drains);
            if let Some(at) = waiting.gate.and_then(|gate| gate.changes_at) {
                wake(steady + at.duration_since(now));
            }
            if waiting.tells_gate && late.is_none() && !drains {
                continue;
            }
            let sends = late.is_none() && !drains && gate.is_none();
            if sends && waiting.gate.is_some_and(|gate| !gate.open) {
                continue;
            }
            if sends && waiting.parked {
                continue;
            }
            if let Some(until) = waiting.waits_until.filter(|until| sends && *until > steady) {
                wake(until);
                continue;
            }
            if waiting.under_way >= assignment.campaign.delivery.concurrency
                || sends && self.sending >= self.pace.level()
            {
                continue;
            }
            let tries = match may {
                _ if !sends => false,
                May::Send => false,
                May::Try => true,
                May::Ask => {
                    self.breaker.asks();
                    return Next::Ask;
                }
                May::WaitUntil(until) => {
                    wake(until);
                    continue;
                }
                May::WaitForAnother => continue,
            };
            let Some((_, own)) = self.campaigns.get_mut(assignment.campaign_id()) else { continue };
            // One that is too late, or only asked whether it is over, sends nothing.
            let mut most_recipients = 0;
            if sends {
                let batch_size = if tries { 1 } else { assignment.batch_size() };
                let whole = u64::from(batch_size)
                    .min(self.account.most_recipients_a_call())
                    .min(own.most_recipients_a_call());
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
                if account_awaited {
                    continue;
                }
                account_awaited = match self.account.allowance(steady, least) {
                    Allowance::Now => false,
                    Allowance::At(at) => {
                        wake(at);
                        true
                    }
                    Allowance::AfterACall => true,
                };
                if account_awaited {
                    continue;
                }
                most_recipients = whole.min(self.account.recipients_left()).min(own.recipients_left());
            }
            self.account.begin(most_recipients);
            own.begin(most_recipients);
            self.sending += u32::from(sends);
            waiting.under_way += 1;
            waiting.told_late |= late.is_some();
            waiting.to_drain &= !drains;
            if tries {
                self.breaker.tries();
            }
            waiting.tells_gate |= gate.is_some();
            let turn = Turn {
                assignment: Arc::clone(assignment),
                most_recipients,
                late,
                drains,
                tries,
                gate,
                began: sends.then_some((steady, self.sending)),
                happened: waiting.happened,
            };
            // To the back of the row: the others come first.
            if let Some(waiting) = self.runs.remove(place) {
                self.runs.push_back(waiting);
            }
            return Next::Turn(turn);
        }
        earliest.map_or(Next::WhenChanged, Next::At)
    }

    /// A turn is over. Gives how many turns of its run are still under way.
    pub fn end(&mut self, turn: &Turn, done: Done) -> u32 {
        let own = self.campaigns.get_mut(turn.assignment.campaign_id()).map(|(_, log)| log);
        for log in [Some(&mut self.account), own].into_iter().flatten() {
            match done {
                Done::Sent { at, recipients } => log.end(at, turn.most_recipients, recipients),
                Done::Withdrawn | Done::Nothing => log.withdraw(turn.most_recipients),
            }
        }
        if let Some((began, beside)) = turn.began {
            self.sending = self.sending.saturating_sub(1);
            // What one tries for all others tells nothing of a full batch.
            if let (Done::Sent { at, recipients }, false) = (done, turn.tries) {
                self.pace.ended(beside, recipients, at.duration_since(began).as_secs_f64());
            }
        }
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
        waiting.started |= matches!(done, Done::Sent { .. });
        if done != Done::Nothing {
            waiting.something_happened();
        }
        waiting.under_way
    }

    fn waiting(&mut self, run: &RunID) -> Option<&mut Waiting> {
        self.runs.iter_mut().find(|waiting| waiting.assignment.run == *run)
    }

    /// Whether only one turn of a run is under way.
    pub fn is_alone(&mut self, run: &RunID) -> bool {
        self.waiting(run).is_none_or(|waiting| waiting.under_way <= 1)
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
        let before = self.runs.len();
        self.runs.retain(|waiting| waiting.assignment.run != *run);
        self.runs.len() < before
    }
}

#[cfg(test)]
mod tests;
