//! The lane of a gateway: its runs take turns, a batch each, within the limits.
//!
//! A lane has as many workers as calls may be under way at once. Each takes a turn: a promise of the
//! limits, the batch's intent committed, the request, the answer committed. So what is in flight is
//! always in the ledger, and a run of millions delays a run of ten by no more than a batch.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

use super::{
    BATCHES_A_DRAIN, LEDGER_RETRY, Parts, Post,
    assignment::Assignment,
    record::end_of,
    report,
    turns::{Done, Next, Turn, Turns},
};
use crate::{
    campaign::CampaignID,
    gateway::{Addressees, Call, Gateway},
    run::{
        RunID, RunState,
        inquiry::Doubt,
        reply::{Answer, Cause, Reply},
        settlement::settle,
    },
    store::{Begun, Drain, GatewayRest, Intent, PastCall, Store, StoreError, Stored},
};

/// An intent that is older when its request would leave is taken back: time is checked again then.
const OLDEST_INTENT: SignedDuration = SignedDuration::from_secs(5);
/// The longest time between two looks of a worker at what it waits for.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// How often a daemon that stops tries to record an answer.
const TRIES_AT_STOP: u32 = 10;

/// A run that the lane is done with.
#[derive(Debug)]
pub struct RunOver {
    pub run: RunID,
    pub campaign: CampaignID,
}

/// A gateway's runs and their turns.
pub struct Lane {
    name: String,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) parts: Parts,
    turns: Mutex<Turns>,
    /// Something may be possible now that was not.
    pub(super) changed: Notify,
    /// An inquiry may be due that was not.
    inquiries: Arc<Notify>,
    over: mpsc::Sender<RunOver>,
}

/// Why a turn began nothing although the run may have something to send.
enum Hindrance {
    /// The provider is not ready; the lane rests.
    Provider,
    Ledger(StoreError),
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
        Arc::new(Lane {
            name: name.to_owned(),
            gateway: Arc::clone(&post.gateway),
            parts: parts.clone(),
            turns: Mutex::new(Turns::new(&post.limits, past)),
            changed: Notify::new(),
            inquiries: Arc::default(),
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
        self.turns().add(assignment, started, past);
        self.changed.notify_waiters();
    }

    /// Something in the ledger has changed: every run is asked again.
    pub fn look_again(&self) {
        self.turns().look_again();
        self.changed.notify_waiters();
    }

    /// Wakes whoever looks messages up.
    pub fn inquiries(&self) -> Arc<Notify> {
        Arc::clone(&self.inquiries)
    }

    pub fn is_stopping(&self) -> bool {
        self.turns().is_stopping()
    }

    /// Returns when the lane has been told to stop.
    pub async fn stopped(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_stopping() {
                return;
            }
            changed.await;
        }
    }

    /// No further turns; those under way end.
    pub fn stop(&self) {
        self.turns().stop();
        self.changed.notify_waiters();
    }

    pub(super) fn turns(&self) -> MutexGuard<'_, Turns> {
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
                    // By elapsed time, whatever somebody sets the clock to; not long, since lateness
                    // goes by the time of day.
                    let left = Duration::try_from(steady.duration_since(clock.steady()));
                    tokio::select! {
                        () = tokio::time::sleep(left.unwrap_or_default().min(LONGEST_SLEEP)) => {}
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
        if turn.drains {
            self.drain(&turn).await;
            self.turns().end(&turn, Done::Nothing);
            self.changed.notify_waiters();
            return;
        }
        match self.begin(&turn).await {
            Ok(Some(begun)) => {
                let asked = begun.recipients.len() as u64;
                let done = if self.ask(&turn, begun).await {
                    Done::Sent { at: self.parts.clock.steady(), recipients: asked }
                } else {
                    Done::Withdrawn
                };
                self.turns().end(&turn, done);
            }
            Ok(None) => {
                // Another turn of the run may still be asking, or explaining what was answered.
                let is_last = {
                    let mut turns = self.turns();
                    let is_last = turns.end(&turn, Done::Nothing) == 0;
                    if !is_last {
                        turns.park(&turn);
                    }
                    is_last
                };
                if is_last {
                    self.drain(&turn).await;
                }
            }
            Err(Hindrance::Provider) => {
                self.turns().end(&turn, Done::Nothing);
            }
            Err(Hindrance::Ledger(error)) => {
                {
                    let mut turns = self.turns();
                    turns.end(&turn, Done::Nothing);
                    if turn.late.is_some() {
                        turns.not_told(&run);
                    }
                }
                tracing::error!(%run, %error, "nothing is sent that cannot be recorded");
                tokio::time::sleep(LEDGER_RETRY).await;
            }
        }
        self.changed.notify_waiters();
    }

    /// Commits the intent of the run's next batch; None when it has none, or must not send now.
    async fn begin(&self, turn: &Turn) -> Result<Option<Begun>, Hindrance> {
        let assignment = &turn.assignment;
        let run = assignment.run.clone();
        if let Some(late) = turn.late {
            let now = self.parts.clock.now();
            let stopped =
                self.parts.ledger.call(move |store| store.run_event(&run, late.event(), late.missed(), now));
            return match stopped.await {
                // It is over already, or ending anyway.
                Ok(_) | Err(StoreError::Transition(_)) => Ok(None),
                Err(error) => Err(Hindrance::Ledger(error)),
            };
        }
        if let Err(answer) = self.gateway.prepare().await {
            self.rest(*answer).await;
            return Err(Hindrance::Provider);
        }
        // Getting ready may have taken its time.
        if self.turns().is_stopping() {
            return Ok(None);
        }
        let now = self.parts.clock.now();
        let stamp = self
            .gateway
            .stamps_send_time(&assignment.message)
            .map(|sender| (sender, now + self.gateway.clock_offset()));
        let addressing = assignment.addressing();
        let intent = Intent { run, at: now, most_recipients: turn.most_recipients, addressing, stamp };
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
            to: Addressees::new(begun.addressing, begun.recipients),
            send_time_ms: begun.send_time_ms,
        };
        let answer = self.gateway.send(&call).await;
        let end = end_of(attempt, clock.now(), &answer);
        let (doubt, held) = assignment.doubt(self.gateway.as_ref(), begun.addressing);
        let settlement = match settle(&asked, answer.reply.clone(), doubt) {
            Ok(mut settlement) => {
                if let Some(why) = held {
                    settlement.hold_because(&why);
                }
                // Only users can be asked about: a group would be explained as a user who is not there.
                if matches!(call.to, Addressees::Group(_)) {
                    settlement.unexplained.clear();
                }
                // Another turn may still explain what was answered, and what was accepted may have to be
                // confirmed: the last one ends the run.
                settlement.may_end_run = settlement.unexplained.is_empty()
                    && !assignment.campaign.delivery.confirm
                    && self.turns().is_alone(&assignment.run);
                Arc::new(settlement)
            }
            Err(error) => {
                // A fault of ours: what was asked stays in flight, and is unknown at the next start.
                tracing::error!(run = %assignment.run, %error, "an answer cannot be recorded");
                return true;
            }
        };
        match &settlement.rest {
            Some(_) => self.rest(answer).await,
            None => self.worked().await,
        }
        let state = {
            let (end, settlement) = (end.clone(), Arc::clone(&settlement));
            let name = self.name.clone();
            self.recorded(&assignment.run, move |store| {
                // What was seen of the gateway lasts as long as what is in doubt because of it.
                if settlement.is_unhealthy() {
                    store.gateway_unhealthy(&name, end.at)?;
                }
                store.batch_settle(&end, &settlement)
            })
            .await
        };
        if doubt == Doubt::Inquire {
            self.inquiries.notify_one();
        }
        if !settlement.unexplained.is_empty() {
            self.explain(assignment, begun.batch, asked.len(), &settlement).await;
        }
        match state {
            Some(state) if state.is_over() => self.finish(assignment).await,
            Some(RunState::Ending { .. }) => self.turns().drain_soon(&assignment.run),
            _ if !settlement.unexplained.is_empty() => self.turns().drain_soon(&assignment.run),
            _ => {}
        }
        true
    }

    /// Asks the ledger whether a run without anything to send is over; gives what is pending of one
    /// that was stopped its ending.
    async fn drain(&self, turn: &Turn) {
        let assignment = &turn.assignment;
        loop {
            let (run, now) = (assignment.run.clone(), self.parts.clock.now());
            let confirms = assignment.campaign.delivery.confirm;
            let drained = self
                .parts
                .ledger
                .call(move |store| store.run_drain(&run, BATCHES_A_DRAIN, confirms, now))
                .await;
            match drained {
                Ok(Drain::More) => {}
                Ok(Drain::Over(_)) => return self.finish(assignment).await,
                // A turn that only drains has not asked whether there is something to send.
                Ok(Drain::Busy) if turn.drains => return,
                Ok(Drain::Busy) => return self.turns().park(turn),
                Err(error) => {
                    tracing::error!(run = %assignment.run, %error, "the run cannot be ended yet");
                    self.turns().drain_soon(&assignment.run);
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
    /// when the ledger says that it never can be, or a daemon that stops has tried often enough: then
    /// what is in flight is unknown at the next start.
    pub(super) async fn recorded<R: Send + 'static>(
        &self,
        run: &RunID,
        work: impl Fn(&mut dyn Store) -> Stored<R> + Send + Sync + 'static,
    ) -> Option<R> {
        let work = Arc::new(work);
        let mut tries_left = TRIES_AT_STOP;
        loop {
            if self.turns().is_stopping() {
                tries_left = tries_left.checked_sub(1)?;
            }
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
    pub(super) async fn rest(&self, answer: Answer) {
        let (cause, reason) = match answer.reply {
            Reply::NothingDone(cause, reason) => (cause, reason),
            Reply::Rejected(reason) | Reply::Unanswered(reason) => (Cause::Outage, reason),
            Reply::Answered(_) => return,
        };
        let (now, steady) = (self.parts.clock.now(), self.parts.clock.steady());
        let Some(until) = self.turns().rest(steady, cause, reason.clone()) else { return };
        let length = until.duration_since(steady);
        let rest = GatewayRest { since: now, until: now + length, reason: reason.clone() };
        self.tell_rest(Some(rest)).await;
        tracing::warn!(
            gateway = %self.name, code = %reason.code,
            "the gateway rests for {} s: {}", length.as_secs(), reason.text
        );
    }

    /// The provider did something: a rest is over.
    async fn worked(&self) {
        if self.turns().worked() {
            tracing::info!(gateway = %self.name, "the gateway works again");
            self.tell_rest(None).await;
        }
    }

    /// Writes down whether the gateway rests, for people; nothing depends on it.
    async fn tell_rest(&self, rest: Option<GatewayRest>) {
        let name = self.name.clone();
        let told = self.parts.ledger.call(move |store| store.gateway_rests(&name, rest.as_ref())).await;
        if let Err(error) = told {
            tracing::error!(gateway = %self.name, %error, "whether it rests cannot be recorded");
        }
    }
}

/// Whether a state leaves a run to a lane.
pub fn wants_turns(state: &RunState) -> bool {
    matches!(state, RunState::Running | RunState::Paused { .. } | RunState::Ending { .. })
}
