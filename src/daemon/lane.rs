//! The lane of a gateway: its runs take turns, a batch each, within the limits.
//!
//! A lane has as many workers as calls may be under way at once. Each takes a turn: a promise of the
//! limits, the batch's intent committed, the request, the answer committed. So what is in flight is
//! always in the ledger, and a run of millions delays a run of ten by no more than a batch.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{Parts, Post, assignment::Assignment, report};
use crate::{
    campaign::CampaignID,
    clock::sleep_until,
    gateway::{Call, Gateway},
    limits::{Allowance, Limits, SlidingLog},
    run::{
        Ending, Outcome, RunEvent, RunID, RunState, Settlement,
        reply::Answer,
        rest::Rest,
        settlement::{settle, suspect},
    },
    store::{AttemptEnd, Begun, Drain, Intent, PastCall, StoreError, Stored},
};

/// An intent that is older when its request would leave is taken back: time is checked again then.
const OLDEST_INTENT: SignedDuration = SignedDuration::from_secs(5);
/// How long a worker waits after the ledger failed.
const LEDGER_RETRY: Duration = Duration::from_secs(1);
/// Pending batches that get their ending in one transaction.
const BATCHES_A_DRAIN: u32 = 200;

/// A run that the lane is done with.
#[derive(Debug)]
pub struct RunOver {
    pub run: RunID,
    pub campaign: CampaignID,
}

/// A gateway's runs and their turns.
pub struct Lane {
    name: String,
    gateway: Arc<dyn Gateway>,
    parts: Parts,
    turns: Mutex<Turns>,
    /// Something may be possible now that was not.
    changed: Notify,
    over: mpsc::Sender<RunOver>,
}

/// Who waits for a turn, and what the limits say.
struct Turns {
    account: SlidingLog,
    campaigns: HashMap<CampaignID, (Limits, SlidingLog)>,
    runs: VecDeque<Waiting>,
    rest: Rest,
    stopping: bool,
}

/// A run that wants turns.
struct Waiting {
    assignment: Arc<Assignment>,
    /// Turns of it that are under way.
    under_way: u32,
    /// It had nothing to send when it was last asked; something must happen first.
    parked: bool,
    /// Counts what has happened to it, so that a turn that found nothing does not park a run to which
    /// something has happened since.
    happened: u64,
    started: bool,
    /// It has been told that its time is over.
    told_late: bool,
}

/// One turn: a promise of the limits for a run.
struct Turn {
    assignment: Arc<Assignment>,
    most_recipients: u64,
    /// Its time is over, for this reason.
    late: Option<Late>,
    happened: u64,
}

/// Why a run must not send any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// Nothing could be asked within `lateness.max`: its slot is missed.
    Start,
    /// `finishWithin` is over.
    Finish,
}

/// Why a turn began nothing although the run may have something to send.
enum Hindrance {
    /// The provider is not ready; the lane rests.
    Provider,
    Ledger(StoreError),
}

enum Next {
    Turn(Turn),
    At(Timestamp),
    WhenChanged,
    Stop,
}

impl Lane {
    /// A lane whose limits remember the calls of the past.
    pub fn new(
        name: &str,
        post: &Post,
        parts: &Parts,
        past: &[PastCall],
        over: mpsc::Sender<RunOver>,
    ) -> Arc<Lane> {
        let turns = Turns {
            account: remember(&post.limits, past),
            campaigns: HashMap::new(),
            runs: VecDeque::new(),
            rest: Rest::default(),
            stopping: false,
        };
        Arc::new(Lane {
            name: name.to_owned(),
            gateway: Arc::clone(&post.gateway),
            parts: parts.clone(),
            turns: Mutex::new(turns),
            changed: Notify::new(),
            over,
        })
    }

    /// Starts the lane's workers.
    pub fn start(self: &Arc<Lane>, workers: &mut JoinSet<()>) {
        for _ in 0..self.gateway.dialect().max_concurrency().max(1) {
            let lane = Arc::clone(self);
            workers.spawn(async move { lane.work().await });
        }
    }

    /// Adds a run whose audience is sealed. `past` holds the calls of its campaign, as far as its
    /// own limits reach back.
    pub fn add(&self, assignment: Arc<Assignment>, started: bool, past: &[PastCall]) {
        let mut turns = self.turns();
        let limits = &assignment.campaign.delivery.limits;
        let known = turns.campaigns.get(assignment.campaign_id());
        if known.is_none_or(|(known, _)| known != limits) {
            let log = remember(limits, past);
            turns.campaigns.insert(assignment.campaign_id().clone(), (limits.clone(), log));
        }
        turns.runs.push_back(Waiting {
            assignment,
            under_way: 0,
            parked: false,
            happened: 0,
            started,
            told_late: false,
        });
        drop(turns);
        self.changed.notify_waiters();
    }

    /// Something in the ledger has changed: every run is asked again.
    pub fn look_again(&self) {
        for waiting in &mut self.turns().runs {
            waiting.something_happened();
        }
        self.changed.notify_waiters();
    }

    /// No further turns; those under way end.
    pub fn stop(&self) {
        self.turns().stopping = true;
        self.changed.notify_waiters();
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        // Nothing that holds the lock can panic half-way.
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        let clock = self.parts.clock.as_ref();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change falls between.
            changed.as_mut().enable();
            let next = self.turns().next(clock.now(), clock.steady());
            match next {
                Next::Turn(turn) => self.take(turn).await,
                Next::At(steady) => {
                    let wake_at = clock.now() + steady.duration_since(clock.steady());
                    tokio::select! {
                        () = sleep_until(clock, wake_at) => {}
                        () = &mut changed => {}
                    }
                }
                Next::WhenChanged => changed.await,
                Next::Stop => return,
            }
        }
    }

    /// Takes a turn, from the promise to the committed answer.
    async fn take(&self, turn: Turn) {
        let run = turn.assignment.run.clone();
        match self.begin(&turn).await {
            Ok(Some(begun)) => {
                let asked = begun.recipients.len() as u64;
                let sent = self.ask(&turn, begun).await;
                self.turns().end(&turn, sent.then_some((self.parts.clock.steady(), asked)));
            }
            Ok(None) => {
                // Another turn of the run may still be asking, or explaining what was answered.
                let last = {
                    let mut turns = self.turns();
                    let last = turns.end(&turn, None) == 0;
                    if !last {
                        turns.park(&turn);
                    }
                    last
                };
                if last {
                    self.drain(&turn).await;
                }
            }
            Err(Hindrance::Provider) => {
                self.turns().end(&turn, None);
            }
            Err(Hindrance::Ledger(error)) => {
                self.turns().end(&turn, None);
                tracing::error!(%run, %error, "nothing is sent that cannot be recorded");
                tokio::time::sleep(LEDGER_RETRY).await;
            }
        }
        self.changed.notify_waiters();
    }

    /// Commits the intent of the run's next batch; None when it has none, or must not send now.
    async fn begin(&self, turn: &Turn) -> Result<Option<Begun>, Hindrance> {
        let (assignment, now) = (&turn.assignment, self.parts.clock.now());
        let run = assignment.run.clone();
        if let Some(late) = turn.late {
            let stopped =
                self.parts.ledger.call(move |store| store.run_event(&run, late.event(), late.missed(), now));
            return match stopped.await {
                // It is over already, or ending anyway.
                Ok(_) | Err(StoreError::Transition(_)) => Ok(None),
                Err(error) => Err(Hindrance::Ledger(error)),
            };
        }
        if let Err(answer) = self.gateway.prepare().await {
            self.rest(*answer);
            return Err(Hindrance::Provider);
        }
        let stamp = self
            .gateway
            .stamps_send_time(&assignment.message)
            .map(|sender| (sender, now + self.gateway.clock_offset()));
        let intent = Intent { run, at: now, most_recipients: turn.most_recipients, stamp };
        self.parts.ledger.call(move |store| store.batch_begin(&intent)).await.map_err(Hindrance::Ledger)
    }

    /// Makes the request whose intent is committed and records its answer. Tells whether it left.
    async fn ask(&self, turn: &Turn, begun: Begun) -> bool {
        let (clock, assignment) = (&self.parts.clock, &turn.assignment);
        let attempt = begun.attempt;
        let age = clock.now().duration_since(begun.at);
        if age > OLDEST_INTENT || age.is_negative() {
            let now = clock.now();
            self.recorded(&assignment.run, move |store| store.batch_withdraw(attempt, now)).await;
            return false;
        }
        let asked = begun.recipients.clone();
        let call = Call {
            operation_id: begun.operation_id,
            message: Arc::clone(&assignment.message),
            to: assignment.addressees(begun.recipients),
            send_time_ms: begun.send_time_ms,
        };
        let answer = self.gateway.send(&call).await;
        let end = AttemptEnd {
            attempt,
            at: clock.now(),
            http_status: answer.http_status,
            provider_code: answer.provider_code,
            provider_message: answer.provider_message.clone(),
        };
        let settlement = match settle(&asked, answer.reply.clone()) {
            Ok(settlement) => Arc::new(settlement),
            Err(error) => {
                // A fault of ours: what was asked stays in flight, and is unknown at the next start.
                tracing::error!(run = %assignment.run, %error, "an answer cannot be recorded");
                return true;
            }
        };
        match &settlement.rest {
            Some(_) => self.rest(answer),
            None => self.turns().rest.worked(),
        }
        let state = {
            let (end, settlement) = (end.clone(), Arc::clone(&settlement));
            self.recorded(&assignment.run, move |store| store.batch_settle(&end, &settlement)).await
        };
        if !settlement.unexplained.is_empty() {
            self.explain(assignment, begun.batch, asked.len(), &settlement).await;
        }
        if state.is_some_and(|state| state.is_over()) {
            self.finish(assignment).await;
        }
        true
    }

    /// Reads why recipients failed for whom the answer gave no reason. Where all of several stay
    /// unexplained, the run pauses.
    async fn explain(&self, assignment: &Assignment, batch: u64, asked: usize, settlement: &Settlement) {
        let (run, now) = (assignment.run.clone(), self.parts.clock.now());
        let count = settlement.unexplained.len() as u64;
        let looked =
            self.recorded(&run.clone(), move |store| store.look_begin(&run, batch, count, now)).await;
        let Some((attempt, operation_id)) = looked else { return };
        let found = self.gateway.explain(&settlement.unexplained, &operation_id).await;
        let answered = found.is_ok();
        let (explained, fault) = match found {
            Ok(explained) => (explained, None),
            Err(fault) => (Vec::new(), Some(fault.to_string())),
        };
        let left = settlement.unexplained.len().saturating_sub(explained.len());
        let suspicion = suspect(asked, left);
        let outcomes: Vec<_> =
            explained.into_iter().map(|(id, reason)| (id, Outcome::Refused(reason))).collect();
        let end = AttemptEnd {
            attempt,
            at: self.parts.clock.now(),
            http_status: None,
            provider_code: None,
            provider_message: fault,
        };
        let run = assignment.run.clone();
        self.recorded(&assignment.run, move |store| {
            store.look_settle(&end, &outcomes, answered)?;
            if let Some(event) = suspicion.clone() {
                match store.run_event(&run, event, None, end.at) {
                    Ok(_) | Err(StoreError::Transition(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await;
    }

    /// Asks the ledger whether a run without anything to send is over; gives what is pending of one
    /// that was stopped its ending.
    async fn drain(&self, turn: &Turn) {
        let assignment = &turn.assignment;
        loop {
            let (run, now) = (assignment.run.clone(), self.parts.clock.now());
            let drained =
                self.parts.ledger.call(move |store| store.run_drain(&run, BATCHES_A_DRAIN, now)).await;
            match drained {
                Ok(Drain::More) => {}
                Ok(Drain::Over(_)) => return self.finish(assignment).await,
                Ok(Drain::Busy) => return self.turns().park(turn),
                Err(error) => {
                    tracing::error!(run = %assignment.run, %error, "the run cannot be ended yet");
                    tokio::time::sleep(LEDGER_RETRY).await;
                    return;
                }
            }
        }
    }

    /// The run is over: it leaves the lane and is told.
    async fn finish(&self, assignment: &Assignment) {
        if self.turns().remove(&assignment.run) {
            report::run_over(&self.parts, &assignment.run).await;
            let over = RunOver { run: assignment.run.clone(), campaign: assignment.campaign_id().clone() };
            // Without a conductor nobody needs to know.
            let _ = self.over.send(over).await;
        }
    }

    /// Records what has happened, however long the ledger needs: the request cannot be unmade. None
    /// when the ledger says that it never can be.
    async fn recorded<R: Send + 'static>(
        &self,
        run: &RunID,
        work: impl Fn(&mut dyn crate::store::Store) -> Stored<R> + Send + Sync + 'static,
    ) -> Option<R> {
        let work = Arc::new(work);
        loop {
            let again = Arc::clone(&work);
            match self.parts.ledger.call(move |store| again(store)).await {
                Ok(result) => return Some(result),
                Err(
                    error @ (StoreError::DiskFull
                    | StoreError::Busy
                    | StoreError::ReadOnly(_)
                    | StoreError::Failed(_)),
                ) => {
                    tracing::error!(%run, %error, "an answer waits to be recorded");
                    tokio::time::sleep(LEDGER_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(%run, %error, "an answer cannot be recorded");
                    return None;
                }
            }
        }
    }

    /// The provider did nothing: the lane rests as long as that asks for.
    fn rest(&self, answer: Answer) {
        use crate::run::reply::Reply;
        let (cause, reason) = match answer.reply {
            Reply::NothingDone(cause, reason) => (cause, reason),
            Reply::Rejected(reason) | Reply::Unanswered(reason) => (crate::run::reply::Cause::Outage, reason),
            Reply::Answered(_) => return,
        };
        let now = self.parts.clock.steady();
        let mut turns = self.turns();
        turns.rest.failed(now, cause, reason.clone());
        if let Some((until, _)) = turns.rest.until(now) {
            let seconds = until.duration_since(now).as_secs();
            tracing::warn!(
                gateway = %self.name, code = %reason.code,
                "the gateway rests for {seconds} s: {}", reason.text
            );
        }
    }
}

impl Late {
    /// Whether a run is too late now.
    fn of(assignment: &Assignment, started: bool, now: Timestamp) -> Option<Late> {
        if !started && now > assignment.start_by {
            Some(Late::Start)
        } else if now > assignment.finish_by {
            Some(Late::Finish)
        } else {
            None
        }
    }

    fn event(self) -> RunEvent {
        let reason = match self {
            Late::Start => "late: nothing could be asked within lateness.max",
            Late::Finish => "finishWithin is over",
        };
        RunEvent::Stop { ending: Ending::Expired, reason: reason.to_owned() }
    }

    /// The reason for which the run's slot is missed, if it is.
    fn missed(self) -> Option<&'static str> {
        (self == Late::Start).then_some("late")
    }
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
        self.happened += 1;
    }
}

impl Turns {
    /// Who may send now: the runs take turns, and a run that the limits hold back lets others pass.
    fn next(&mut self, now: Timestamp, steady: Timestamp) -> Next {
        if self.stopping {
            return Next::Stop;
        }
        if let Some((until, _)) = self.rest.until(steady) {
            return Next::At(until);
        }
        let mut earliest: Option<Timestamp> = None;
        let mut wake = |at: Timestamp| earliest = Some(earliest.map_or(at, |other| other.min(at)));
        for place in 0..self.runs.len() {
            let waiting = &mut self.runs[place];
            let assignment = &waiting.assignment;
            let late = Late::of(assignment, waiting.started, now).filter(|_| !waiting.told_late);
            if late.is_none() && waiting.parked {
                let limit = if waiting.started { assignment.finish_by } else { assignment.start_by };
                if !waiting.told_late {
                    wake(steady + limit.duration_since(now) + SignedDuration::from_millis(1));
                }
                continue;
            }
            if waiting.under_way >= assignment.campaign.delivery.concurrency {
                continue;
            }
            let Some((_, own)) = self.campaigns.get_mut(assignment.campaign_id()) else { continue };
            let most_recipients = u64::from(assignment.batch_size())
                .min(self.account.most_recipients_a_call())
                .min(own.most_recipients_a_call());
            let allowances =
                [self.account.allowance(steady, most_recipients), own.allowance(steady, most_recipients)];
            // One that is too late sends nothing: it is only told so.
            if late.is_none() && allowances != [Allowance::Now; 2] {
                for allowance in allowances {
                    if let Allowance::At(at) = allowance {
                        wake(at);
                    }
                }
                continue;
            }
            self.account.begin(most_recipients);
            own.begin(most_recipients);
            waiting.under_way += 1;
            waiting.told_late |= late.is_some();
            let turn = Turn {
                assignment: Arc::clone(assignment),
                most_recipients,
                late,
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

    /// A turn is over. `sent`: when its request ended, and how many recipients it had. Gives how many
    /// turns of its run are still under way.
    fn end(&mut self, turn: &Turn, sent: Option<(Timestamp, u64)>) -> u32 {
        let own = self.campaigns.get_mut(turn.assignment.campaign_id()).map(|(_, log)| log);
        for log in [Some(&mut self.account), own].into_iter().flatten() {
            match sent {
                Some((at, recipients)) => log.end(at, turn.most_recipients, recipients),
                None => log.withdraw(turn.most_recipients),
            }
        }
        let Some(waiting) = self.waiting(&turn.assignment.run) else { return 0 };
        waiting.under_way = waiting.under_way.saturating_sub(1);
        if sent.is_some() {
            waiting.started = true;
            waiting.something_happened();
        }
        waiting.under_way
    }

    fn waiting(&mut self, run: &RunID) -> Option<&mut Waiting> {
        self.runs.iter_mut().find(|waiting| waiting.assignment.run == *run)
    }

    /// The run has nothing to send until something changes.
    fn park(&mut self, turn: &Turn) {
        if let Some(waiting) = self.waiting(&turn.assignment.run) {
            waiting.parked = waiting.happened == turn.happened;
        }
    }

    fn remove(&mut self, run: &RunID) -> bool {
        let before = self.runs.len();
        self.runs.retain(|waiting| waiting.assignment.run != *run);
        self.runs.len() < before
    }
}

/// Whether a state leaves a run to a lane.
pub fn wants_turns(state: &RunState) -> bool {
    matches!(state, RunState::Running | RunState::Paused { .. } | RunState::Ending { .. })
}
