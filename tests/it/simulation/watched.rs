//! A ledger whose every call is watched, and may be made to fail before or after its effect.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use campaignd::{
    campaign::{CampaignID, Caps, RecipientID},
    clock::{Clock, ElapsedClock},
    run::{
        Outcome, RunEvent, RunID, RunState, Settlement,
        chunk::Chunk,
        failures::Judged,
        inquiry::{Doubt, Findings, Purpose},
        provider_clock::ProviderClock,
        reply::Reason,
        source::SourceRecord,
    },
    store::{
        Act, AttemptEnd, Begun, CampaignMark, CampaignRecord, Confirmations, Control, Controlled,
        CountedReason, DecidedSlots, Discrepancy, Drain, GatewayRecord, Inquiry, Intent, LockReason,
        NewRevision, NewRun, PastCall, ProblemRecord, Question, Reply, RunRecord, Store, StoreError, Stored,
        Suppression, Target, Witness,
    },
};
use jiff::Timestamp;

/// Who watches the calls of a ledger. An error is what the caller is told.
pub trait Watch: Send {
    fn before(&mut self, call: &'static str) -> Stored<()>;
    /// It has happened.
    fn after(&mut self, call: &'static str) -> Stored<()>;
}

/// A ledger that is watched.
pub struct Watched {
    store: Box<dyn Store>,
    watch: Box<dyn Watch>,
}

impl Watched {
    pub fn new(store: impl Store + 'static, watch: impl Watch + 'static) -> Box<Watched> {
        Box::new(Watched { store: Box::new(store), watch: Box::new(watch) })
    }

    fn around<R>(&mut self, call: &'static str, work: impl FnOnce(&mut dyn Store) -> Stored<R>) -> Stored<R> {
        self.watch.before(call)?;
        let result = work(self.store.as_mut())?;
        self.watch.after(call)?;
        Ok(result)
    }
}

macro_rules! watched {
    ($($name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty;)*) => { $(
        fn $name(&mut self, $($argument: $type),*) -> Stored<$result> {
            self.around(stringify!($name), |store| store.$name($($argument),*))
        }
    )* };
}

impl Store for Watched {
    fn roll_back(&mut self) {
        self.store.roll_back();
    }

    watched! {
        begin() -> ();
        begin_loosely() -> ();
        commit() -> ();
        step_begin() -> ();
        step_end(keep: bool) -> ();
        lock_reason() -> Option<LockReason>;
        claim() -> Option<LockReason>;
        generation_advance() -> ();
        lock(reason: &str) -> ();
        restore(now: Timestamp) -> u64;
        unlock(act: &Act, restored: bool) -> ();
        restored_at() -> Option<Timestamp>;
        campaigns() -> Vec<CampaignRecord>;
        campaigns_named(campaigns: &[CampaignID]) -> Vec<CampaignRecord>;
        campaign_apply(revision: &NewRevision) -> i64;
        campaign_mark(campaign: &CampaignID, mark: &CampaignMark) -> ();
        removals_allow(act: &Act) -> Vec<CampaignID>;
        problems_replace(problems: &[ProblemRecord], now: Timestamp) -> ();
        slots_decide(plans: &[DecidedSlots], now: Timestamp) -> Vec<Option<RunID>>;
        slots_reopen(now: Timestamp) -> Vec<CampaignID>;
        slots_ahead() -> Vec<(CampaignID, Timestamp)>;
        crowd_decide(due: Timestamp, plans: &[DecidedSlots], now: Timestamp) -> Vec<Option<RunID>>;
        crowd_begin(due: Timestamp) -> ();
        crowd_disperse(due: Option<Timestamp>) -> u64;
        run_make(campaign: &CampaignID, run: &NewRun) -> RunID;
        runs_open() -> Vec<RunRecord>;
        run(run: &RunID) -> RunRecord;
        ran_since(campaign: &CampaignID, since: Timestamp) -> bool;
        run_unopen(run: &RunID) -> ();
        run_unopen_part(run: &RunID, most: u32) -> bool;
        run_open_part(
            run: &RunID,
            chunks: &[Chunk],
            excluded: &[(RecipientID, Reason)],
            now: Timestamp,
        ) -> ();
        run_sources(run: &RunID, sources: &[SourceRecord]) -> ();
        run_event(run: &RunID, event: RunEvent, missed: Option<&str>, now: Timestamp) -> RunState;
        run_window(run: &RunID, closed: Option<&str>, now: Timestamp) -> RunState;
        run_drain(run: &RunID, most_batches: u32, confirms: bool, now: Timestamp) -> Drain;
        run_judged(run: &RunID, judged: Judged) -> ();
        run_reasons(run: &RunID, most: u32) -> Vec<CountedReason>;
        recover(doubts: &std::collections::HashMap<RunID, Doubt>, now: Timestamp) -> u64;
        run_retry(run: &RunID, outcomes: &[&str], act: &Act) -> u64;
        runs_reopened() -> Vec<RunRecord>;
        batch_begin(intent: &Intent) -> Option<Begun>;
        run_waits_until(run: &RunID) -> Option<Timestamp>;
        batch_settle(end: &AttemptEnd, settlement: &Settlement) -> RunState;
        batch_replay(end: &AttemptEnd, at: Timestamp) -> Option<i64>;
        batch_withdraw(attempt: i64, now: Timestamp) -> ();
        look_begin(run: &RunID, batch: u64, recipients: u64, now: Timestamp) -> (i64, String);
        look_end(end: &AttemptEnd, answered: bool) -> ();
        look_read(
            run: &RunID,
            look: Option<i64>,
            outcomes: &[(RecipientID, Outcome)],
            now: Timestamp,
        ) -> ();
        inquiries_due(gateway: &str, now: Timestamp, most_recipients: usize) -> Vec<Inquiry>;
        inquiry_next_at(gateway: &str) -> Option<Timestamp>;
        inquiries_by_clock(gateway: &str, now: Timestamp, quiet_since: Timestamp) -> ();
        inquiry_witnesses(gateway: &str, inquiry: &Inquiry, most: usize, now: Timestamp) -> Vec<Witness>;
        inquiry_settle(
            inquiry: &Inquiry,
            findings: &Findings,
            look: Option<i64>,
            most_attempts: u32,
            now: Timestamp,
        ) -> ();
        probe_begin(
            run: &RunID,
            batch: u64,
            probe: &RecipientID,
            stamp: Option<(&str, Timestamp)>,
            now: Timestamp,
        ) -> Begun;
        probe_end(end: &AttemptEnd, accepted: bool, verdict: &str) -> ();
        run_inquire(run: &RunID, purpose: Purpose, act: &Act) -> u64;
        run_confirmations(run: &RunID) -> Option<Confirmations>;
        gateway_unhealthy(gateway: &str, at: Timestamp) -> ();
        gateway_unhealthy_at(gateway: &str) -> Option<Timestamp>;
        gateway_clock_learnt(gateway: &str, clock: ProviderClock) -> ();
        gateway_clock(gateway: &str) -> ProviderClock;
        past_calls(gateway: &str, campaign: Option<&CampaignID>, since: Timestamp) -> Vec<PastCall>;
        gateway(gateway: &str) -> GatewayRecord;
        gateway_stands(gateway: &str, record: &GatewayRecord) -> ();
        control(target: &Target, control: Control, act: &Act) -> Controlled;
        act_record(act: &Act, action: &str, target: &str) -> ();
        question_ask(question: &Question, now: Timestamp) -> i64;
        questions_open() -> Vec<(i64, Timestamp, Question)>;
        question_answer(question: i64, reply: &Reply) -> ();
        question_reply(question: i64) -> Option<Reply>;
        question_withdraw(question: i64) -> ();
        suppress(suppressions: &[Suppression], act: &Act) -> u64;
        suppress_end(recipients: &[RecipientID]) -> u64;
        any_suppressed(now: Timestamp) -> bool;
        suppressed_between(
            first: &RecipientID,
            last: &RecipientID,
            now: Timestamp,
        ) -> Vec<(RecipientID, Reason)>;
        capped_between(
            run: &RunID,
            caps: &Caps,
            first: &RecipientID,
            last: &RecipientID,
            now: Timestamp,
        ) -> Vec<(RecipientID, Reason)>;
        verify() -> Vec<Discrepancy>;
        change_mark() -> i64;
    }
}

/// Calls of one instant, by which a daemon shows that it runs in circles: time stands still until it waits.
const CIRCLES: u32 = 100_000;

/// Ends a daemon that calls its ledger again and again and lets no time pass.
pub struct InTime<W> {
    watch: W,
    clock: Arc<ElapsedClock>,
    instant: Timestamp,
    calls: u32,
}

impl<W: Watch> InTime<W> {
    pub fn new(watch: W, clock: Arc<ElapsedClock>) -> InTime<W> {
        InTime { watch, instant: clock.now(), clock, calls: 0 }
    }
}

impl<W: Watch> Watch for InTime<W> {
    fn before(&mut self, call: &'static str) -> Stored<()> {
        let now = self.clock.now();
        self.calls = if now == self.instant { self.calls + 1 } else { 0 };
        self.instant = now;
        assert!(self.calls < CIRCLES, "the daemon runs in circles at {now}, and calls {call}");
        self.watch.before(call)
    }

    fn after(&mut self, call: &'static str) -> Stored<()> {
        self.watch.after(call)
    }
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    /// Of a commit: it lasts although it is said not to, which only a broken disk brings.
    After,
}

/// Calls that fail: so many, from one on, counted since the history began.
#[derive(Debug, Clone)]
pub struct Stumble {
    pub from: u64,
    pub calls: u64,
    pub when: When,
    pub error: StoreError,
}

/// What makes the calls of a ledger fail, and counts them, across restarts. Five times a second a daemon
/// looks whether anything has changed: a transaction that does no more is not counted.
#[derive(Debug, Default)]
pub struct Stumbles {
    calls: AtomicU64,
    /// The open transaction does more than look.
    does_more: AtomicBool,
    planned: Mutex<Option<Stumble>>,
    hit: Mutex<Vec<&'static str>>,
}

impl Stumbles {
    pub fn plan(&self, stumble: Option<Stumble>) {
        *self.planned.lock().unwrap() = stumble;
    }

    /// How many calls there have been.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The calls that have failed since this was asked last.
    pub fn hit(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.hit.lock().unwrap())
    }

    fn judge(&self, call: &'static str, when: When) -> Stored<()> {
        let number = self.calls();
        match self.planned.lock().unwrap().as_ref() {
            Some(stumble)
                if stumble.when == when && (stumble.from..stumble.from + stumble.calls).contains(&number) =>
            {
                self.hit.lock().unwrap().push(call);
                Err(stumble.error.clone())
            }
            _ => Ok(()),
        }
    }
}

impl Watch for Arc<Stumbles> {
    fn before(&mut self, call: &'static str) -> Stored<()> {
        match call {
            "begin" => self.does_more.store(false, Ordering::Relaxed),
            "change_mark" => {}
            "commit" if !self.does_more.load(Ordering::Relaxed) => {}
            _ => {
                self.does_more.store(true, Ordering::Relaxed);
                self.calls.fetch_add(1, Ordering::Relaxed);
                return self.judge(call, When::Before);
            }
        }
        Ok(())
    }

    fn after(&mut self, call: &'static str) -> Stored<()> {
        match call {
            "begin" | "change_mark" => Ok(()),
            _ if !self.does_more.load(Ordering::Relaxed) => Ok(()),
            _ => self.judge(call, When::After),
        }
    }
}
