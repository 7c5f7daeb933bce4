//! The lane of a gateway: its runs take turns, a batch each, within the limits.
//!
//! A lane has as many workers as calls may be under way at once. Each takes a turn: a promise of the
//! limits, the batch's intent committed, the request, the answer committed. So what is in flight is
//! always in the ledger, and a run of millions delays a run of ten by no more than a batch.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    BATCHES_A_DRAIN, LEDGER_RETRY, Parts, Post,
    assignment::Assignment,
    report,
    turn::{Before, Done, Turn},
    turns::{Next, Turns},
};
use crate::{
    campaign::CampaignID,
    gateway::Gateway,
    run::{RunID, RunState, provider_clock::ProviderClock, settlement::sign_before},
    store::{Begun, Drain, GatewayRecord, Intent, PastCall, RunRecord, Store, StoreError, Stored},
};

/// Audiences of one gateway that are gathered at once, beyond those that their file names.
const OPENINGS: usize = 8;
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
    pub(super) name: String,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) parts: Parts,
    turns: Mutex<Turns>,
    /// How the gateway stands as the ledger was told last.
    pub(super) told: tokio::sync::Mutex<GatewayRecord>,
    /// What the ledger knows of the provider's clock.
    noted_clock: Mutex<ProviderClock>,
    /// Places for audiences that are being gathered: a gateway that is slow to list its users delays no other.
    pub(super) openings: Semaphore,
    /// Something may be possible now that was not.
    pub(super) changed: Notify,
    /// An inquiry may be due that was not.
    pub(super) inquiries: Arc<Notify>,
    over: mpsc::Sender<RunOver>,
}

/// A turn, and what it has found to send.
pub(super) type BegunTurn = (Turn, Found);

/// Why a turn began nothing although the run may have something to send.
pub(super) enum Hindrance {
    /// The provider is not ready.
    Provider,
    Ledger(StoreError),
}

/// What a turn finds to send.
pub(super) enum Found {
    Batch(Begun),
    /// All that there is waits after a try, until this time of day.
    Later(Timestamp),
    Nothing,
}

impl Lane {
    /// A lane whose limits remember the calls of the past, and which goes on where its gateway stood.
    pub fn new(
        name: &str,
        post: &Post,
        parts: &Parts,
        past: &[PastCall],
        stood: GatewayRecord,
        over: mpsc::Sender<RunOver>,
    ) -> Arc<Lane> {
        let turns = Turns::new(&post.limits, past, post.gateway.dialect().max_concurrency());
        let (steady, now) = (parts.clock.steady(), parts.clock.now());
        Arc::new(Lane {
            name: name.to_owned(),
            gateway: Arc::clone(&post.gateway),
            parts: parts.clone(),
            turns: Mutex::new(turns.restore(stood.clone(), steady, now)),
            told: tokio::sync::Mutex::new(stood),
            noted_clock: Mutex::new(post.gateway.provider_clock()),
            openings: Semaphore::new(OPENINGS),
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
    pub fn add(&self, assignment: Arc<Assignment>, before: Before, past: &[PastCall]) {
        self.turns().add(assignment, before, past);
        self.changed.notify_waiters();
    }

    /// Gives a run of the lane the time that it has by the ledger. Tells whether it is in the lane.
    pub fn extend(&self, record: &RunRecord) -> bool {
        self.turns().extend(&record.id, record.start_by, record.finish_by)
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
                Next::Ask => {
                    self.ask_provider().await;
                    self.changed.notify_waiters();
                }
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

    /// Takes a turn, from the promise to the committed answer, and those whose intents were committed with
    /// the answers before.
    async fn take(&self, turn: Turn) {
        let found = match (turn.drains, turn.gate) {
            (false, None) => self.begin(&turn).await,
            _ => return self.run_errand(turn).await,
        };
        let mut next = self.go_on(turn, found).await;
        while let Some((turn, found)) = next {
            next = self.go_on(turn, Ok(found)).await;
        }
    }

    async fn run_errand(&self, mut turn: Turn) {
        match turn.gate {
            Some(gate) => self.tell_gate(&turn, gate).await,
            None => self.drain(&turn).await,
        }
        self.turns().end(&mut turn, Done::Nothing);
        self.changed.notify_waiters();
    }

    /// Does what a turn has found to do. Gives the turn that was begun with its answer, if one was.
    async fn go_on(&self, mut turn: Turn, found: Result<Found, Hindrance>) -> Option<BegunTurn> {
        let mut next = None;
        match found {
            Ok(Found::Batch(begun)) => {
                if self.turns().found(&turn, begun.others) {
                    self.changed.notify_waiters();
                }
                let (done, begun_with_it) = self.ask(&mut turn, begun).await;
                self.turns().end(&mut turn, done);
                next = begun_with_it;
            }
            Ok(Found::Later(until)) => {
                let clock = self.parts.clock.as_ref();
                let until = clock.steady() + until.duration_since(clock.now());
                let mut turns = self.turns();
                turns.end(&mut turn, Done::Nothing);
                turns.wait(&turn, until);
            }
            Ok(Found::Nothing) => {
                // Another turn of the run may still be asking, or explaining what was answered.
                let is_last = {
                    let mut turns = self.turns();
                    let is_last = turns.end(&mut turn, Done::Nothing) == 0;
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
                self.turns().end(&mut turn, Done::Nothing);
            }
            Err(Hindrance::Ledger(error)) => {
                let run = turn.assignment.run.clone();
                {
                    let mut turns = self.turns();
                    turns.end(&mut turn, Done::Nothing);
                    if turn.late.is_some() {
                        turns.not_told(&run);
                    }
                }
                tracing::error!(%run, %error, "nothing is sent that cannot be recorded");
                tokio::time::sleep(LEDGER_RETRY).await;
            }
        }
        self.changed.notify_waiters();
        next
    }

    /// Commits the intent of the run's next batch, if it has one and may send now.
    async fn begin(&self, turn: &Turn) -> Result<Found, Hindrance> {
        let assignment = &turn.assignment;
        if let Some(late) = turn.late {
            let (run, now) = (assignment.run.clone(), self.parts.clock.now());
            let stopped =
                self.parts.ledger.call(move |store| store.run_event(&run, late.event(), late.missed(), now));
            return match stopped.await {
                // It is over already, or ending anyway.
                Ok(_) | Err(StoreError::Transition(_)) => Ok(Found::Nothing),
                Err(error) => Err(Hindrance::Ledger(error)),
            };
        }
        if !self.is_ready().await {
            return Err(Hindrance::Provider);
        }
        self.note_clock().await.map_err(Hindrance::Ledger)?;
        // Getting ready may have taken its time.
        if self.turns().is_stopping() {
            return Ok(Found::Nothing);
        }
        let (assignment, intent) = (Arc::clone(assignment), self.intent(turn));
        self.parts
            .ledger
            .call(move |store| find(store, &assignment, &intent))
            .await
            .map_err(Hindrance::Ledger)
    }

    /// Whether the provider can be asked; what stands against it is learnt.
    pub(super) async fn is_ready(&self) -> bool {
        match self.gateway.prepare().await {
            Ok(()) => true,
            Err(answer) => {
                self.learn(sign_before(answer.reply)).await;
                false
            }
        }
    }

    /// Records what is known of the provider's clock, when that has changed: whoever comes to be in doubt is looked
    /// up by it, by the next daemon too.
    pub(super) async fn note_clock(&self) -> Stored<()> {
        let (name, known) = (self.name.clone(), self.gateway.provider_clock());
        let noted = || self.noted_clock.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted() != known {
            self.parts.ledger.call(move |store| store.gateway_clock_learnt(&name, known)).await?;
            *noted() = known;
        }
        Ok(())
    }

    /// What a turn wants to ask now.
    pub(super) fn intent(&self, turn: &Turn) -> Intent {
        let (assignment, now) = (&turn.assignment, self.parts.clock.now());
        let sender = self.gateway.stamps_send_time(&assignment.message);
        Intent {
            run: assignment.run.clone(),
            at: now,
            names_batches: self.gateway.names_batches(),
            most_recipients: turn.most_recipients,
            caps: assignment.caps(),
            addressing: assignment.addressing(),
            stamp: sender.map(|sender| (sender, self.gateway.provider_time(now))),
        }
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
    pub(super) async fn finish(&self, assignment: &Assignment) {
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
}

/// The next batch of a run, its intent written down.
pub(super) fn find(store: &mut dyn Store, assignment: &Assignment, intent: &Intent) -> Stored<Found> {
    match assignment.begin(store, intent)? {
        Some(begun) => Ok(Found::Batch(begun)),
        None => Ok(store.run_waits_until(&intent.run)?.map_or(Found::Nothing, Found::Later)),
    }
}

/// Whether a state leaves a run to a lane.
pub fn wants_turns(state: &RunState) -> bool {
    matches!(state, RunState::Running | RunState::Paused { .. } | RunState::Ending { .. })
}
