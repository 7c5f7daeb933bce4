//! The ledger: what was decided, asked and answered, so that a crash at any instant forgets nothing.
//!
//! [`Store`] speaks the middle's words; behind it stands SQLite, and SQL is known there alone. Every
//! method is a step inside a transaction that [`Ledger`] opens and commits. Must never know:
//! gateways, files, the clock (times are arguments), what a reply means.

mod attempt;
mod campaigns;
mod gateway;
pub mod generation;
mod inquiry;
mod ledger;
pub mod owner;
mod people;
pub mod sqlite;

use std::collections::HashMap;

use jiff::Timestamp;

pub use attempt::{AttemptEnd, Begun, Intent};
pub use campaigns::{CampaignMark, CampaignRecord, NewRevision, ProblemRecord};
pub use gateway::{GatewayRecord, PastCall};
pub use generation::LockReason;
pub use inquiry::{Confirmations, Inquiry, Witness};
pub use ledger::Ledger;
pub use people::{Act, Control, Controlled, PausedBy, Question, Reply, Suppression, Target};

use crate::{
    campaign::{CampaignID, Caps, RecipientID},
    plan::Decision,
    run::{
        Counts, Outcome, RunEvent, RunID, RunState, Settlement, Trigger,
        chunk::Chunk,
        failures::Judged,
        inquiry::{Doubt, Findings, Purpose},
        provider_clock::ProviderClock,
        reply::Reason,
        source::SourceRecord,
        state::NoSuchTransition,
    },
};

/// Why the ledger could not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("there is no ledger at {path}; `campaignd serve` makes one")]
    Missing { path: String },
    #[error("{path} is not a campaignd ledger; name another file as `database`")]
    NotALedger { path: String },
    #[error(
        "the ledger was written by a newer campaignd (schema {found}, this one knows {known}); use that one"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error("the ledger cannot be written: {0}; check its permissions and those of its folder")]
    ReadOnly(String),
    #[error("the disk of the ledger is full; nothing is sent that cannot be recorded")]
    DiskFull,
    #[error("the ledger is busy: another process holds it for too long")]
    Busy,
    #[error("another daemon has taken the ledger, or it was locked: this one sends nothing more")]
    TakenOver,
    #[error("there is no {what} {name:?} in the ledger")]
    NotFound { what: &'static str, name: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Transition(#[from] NoSuchTransition),
    #[error("the ledger holds something that it should not: {0}")]
    Corrupt(String),
    #[error("the ledger failed: {0}")]
    Failed(String),
}

/// A result of the ledger.
pub type Stored<T> = Result<T, StoreError>;

/// A run to be made for a slot that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    pub trigger: Trigger,
    /// The nominal instant; of a run by hand the instant of the request.
    pub slot: Timestamp,
    pub due_at: Timestamp,
    /// Nothing asked by then: missed.
    pub start_by: Timestamp,
    /// What is left then expires.
    pub finish_by: Timestamp,
    pub gateway: String,
    /// Of a test send: the named ids.
    pub only_to: Option<Vec<RecipientID>>,
}

/// What a plan has decided about a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedSlots {
    pub campaign: CampaignID,
    /// A slot that runs comes with the run to be made.
    pub decisions: Vec<(Decision, Option<NewRun>)>,
    /// Every slot up to and including this instant is decided, but for the one in the queue.
    pub decided_until: Timestamp,
    /// The slot that waits for the last run to be over.
    pub queued: Option<Timestamp>,
    pub next_occurrence: Option<Timestamp>,
}

/// A run that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    pub id: RunID,
    pub campaign: CampaignID,
    pub trigger: Trigger,
    pub state: RunState,
    /// The path of the revision that the run was made from, where its file has moved to, and its bytes.
    pub path: String,
    pub yaml: Vec<u8>,
    pub gateway: String,
    pub only_to: Option<Vec<RecipientID>>,
    pub slot: Timestamp,
    pub due_at: Timestamp,
    pub start_by: Timestamp,
    pub finish_by: Timestamp,
    pub started_at: Option<Timestamp>,
    pub counts: Counts,
    /// What `stopWhen` has judged already.
    pub judged: Judged,
}

/// How far a run that has nothing to send any more has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Drain {
    /// Something is in flight, or pending and to be sent.
    Busy,
    /// More pending batches wait for their ending.
    More,
    Over(RunState),
}

/// How many recipients of a run share an outcome and its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedReason {
    pub outcome: String,
    pub reason: Reason,
    pub recipients: u64,
}

/// One thing that the rows say and the counters deny.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Discrepancy {
    pub run: String,
    pub what: String,
    pub counted: i64,
    pub recorded: i64,
}

/// The ledger's steps. Each either happens as a whole or, with an error, not at all.
pub trait Store: Send {
    /// Opens a transaction.
    fn begin(&mut self) -> Stored<()>;
    /// Opens a transaction whose commit does not wait for the disk: a power loss may undo it, until a later one
    /// has waited. For what is of no use before such a later one.
    fn begin_loosely(&mut self) -> Stored<()>;
    /// Makes it durable.
    fn commit(&mut self) -> Stored<()>;
    fn roll_back(&mut self);
    /// Opens a step inside the transaction that can be undone by itself.
    fn step_begin(&mut self) -> Stored<()>;
    fn step_end(&mut self, keep: bool) -> Stored<()>;

    // One owner
    /// Why nothing may be sent from this ledger, if it may be an older copy of itself.
    fn lock_reason(&mut self) -> Stored<Option<LockReason>>;
    /// Takes the ledger for a daemon: once another has taken it, every transaction of this store fails with
    /// [`StoreError::TakenOver`]. Where it may be an older copy it is locked instead, and not taken.
    fn claim(&mut self) -> Stored<Option<LockReason>>;
    /// Makes copies of until now older than the ledger, where anything was asked since the last time.
    fn generation_advance(&mut self) -> Stored<()>;
    fn lock(&mut self, reason: &str) -> Stored<()>;
    /// The first of an unlock as a copy: what is in flight is unknown, and what is unknown stays so, since
    /// the original may have asked again. Tells how many recipients were in flight.
    fn restore(&mut self, now: Timestamp) -> Stored<u64>;
    /// Lifts the lock. `restored`: what was to happen until now is left to the original of this copy.
    fn unlock(&mut self, act: &Act, restored: bool) -> Stored<()>;
    /// When the ledger was unlocked as a copy last.
    fn restored_at(&mut self) -> Stored<Option<Timestamp>>;

    // Campaigns
    fn campaigns(&mut self) -> Stored<Vec<CampaignRecord>>;
    /// Those of these that are known.
    fn campaigns_named(&mut self, campaigns: &[CampaignID]) -> Stored<Vec<CampaignRecord>>;
    fn campaign_apply(&mut self, revision: &NewRevision) -> Stored<i64>;
    fn campaign_mark(&mut self, campaign: &CampaignID, mark: &CampaignMark) -> Stored<()>;
    /// A person says that the removals that are held shall be obeyed; gives the campaigns.
    fn removals_allow(&mut self, act: &Act) -> Stored<Vec<CampaignID>>;
    /// Replaces what is wrong in the folder; a problem that stays keeps its `since`.
    fn problems_replace(&mut self, problems: &[ProblemRecord], now: Timestamp) -> Stored<()>;

    // Slots
    /// Records the decisions of plans, each of another campaign, and makes the runs of slots that run:
    /// gives those, a plan each. A slot that is decided already stays as it is.
    fn slots_decide(&mut self, plans: &[DecidedSlots], now: Timestamp) -> Stored<Vec<Option<RunID>>>;
    /// The clock was set back: what was decided of slots after `now`, and has not run, is decided anew when
    /// their time comes. Gives the campaigns that this concerns.
    fn slots_reopen(&mut self, now: Timestamp) -> Stored<Vec<CampaignID>>;
    /// Slots that are decided although those before them are not, by a clock that has been set back since.
    fn slots_ahead(&mut self) -> Stored<Vec<(CampaignID, Timestamp)>>;
    /// As [`Store::slots_decide`], ahead of the instant `due` of every run that comes of these plans: until it has
    /// begun they can be taken back.
    fn crowd_decide(
        &mut self,
        due: Timestamp,
        plans: &[DecidedSlots],
        now: Timestamp,
    ) -> Stored<Vec<Option<RunID>>>;
    /// The instant has come: what was decided ahead of it stays.
    fn crowd_begin(&mut self, due: Timestamp) -> Stored<()>;
    /// Takes back the runs that were made ahead of this instant, which has not begun, so that their slots are decided
    /// when it comes; but for those that are over. None: of whichever instant has not begun. Tells how many.
    fn crowd_disperse(&mut self, due: Option<Timestamp>) -> Stored<u64>;

    // Runs
    /// Makes a run by hand.
    fn run_make(&mut self, campaign: &CampaignID, run: &NewRun) -> Stored<RunID>;
    fn runs_open(&mut self) -> Stored<Vec<RunRecord>>;
    fn run(&mut self, run: &RunID) -> Stored<RunRecord>;
    /// Whether a run of the revision in force, for its whole audience, was under way since then, or is
    /// about to be.
    fn ran_since(&mut self, campaign: &CampaignID, since: Timestamp) -> Stored<bool>;
    /// Throws away what an opening that was not sealed has written.
    fn run_unopen(&mut self, run: &RunID) -> Stored<()>;
    /// Writes a part of a run's audience.
    /// Throws a part of that away, of at most so many batches and so many others. Tells whether nothing is left.
    fn run_unopen_part(&mut self, run: &RunID, most: u32) -> Stored<bool>;
    fn run_open_part(
        &mut self,
        run: &RunID,
        chunks: &[Chunk],
        excluded: &[(RecipientID, Reason)],
        now: Timestamp,
    ) -> Stored<()>;
    /// Writes what the audience of a run that is being opened came from.
    fn run_sources(&mut self, run: &RunID, sources: &[SourceRecord]) -> Stored<()>;
    /// Lets an event happen to a run. An opening that failed, and a stop before anything was asked
    /// because it is too late, turn the run's slot into a missed one with this reason.
    fn run_event(
        &mut self,
        run: &RunID,
        event: RunEvent,
        missed: Option<&str>,
        now: Timestamp,
    ) -> Stored<RunState>;
    /// The window of the run's campaign is closed, for this reason, or open: a run that would send pauses
    /// while it is closed.
    fn run_window(&mut self, run: &RunID, closed: Option<&str>, now: Timestamp) -> Stored<RunState>;
    /// Gives up to `most_batches` pending batches of an ending run their outcome; ends a run of which
    /// nothing is pending, in flight or being looked up. `confirms`: what was accepted is looked up
    /// before.
    fn run_drain(&mut self, run: &RunID, most_batches: u32, confirms: bool, now: Timestamp) -> Stored<Drain>;
    /// A run that stopped because too many failed will be judged anew from these on.
    fn run_judged(&mut self, run: &RunID, judged: Judged) -> Stored<()>;
    /// Why recipients of a run were not accepted, the most frequent first. Of a very long run only how many had
    /// each outcome, since others wait for the ledger.
    fn run_reasons(&mut self, run: &RunID, most: u32) -> Stored<Vec<CountedReason>>;
    /// At the start of a daemon: what is in flight was asked by one that is gone, so its outcome is
    /// unknown. `doubts` says what each run does about that; one that is missing holds. Tells how many
    /// recipients that are.
    fn recover(&mut self, doubts: &HashMap<RunID, Doubt>, now: Timestamp) -> Stored<u64>;
    /// Makes everyone of a run with one of these outcomes pending again, and reopens it where it is over.
    /// Tells how many.
    fn run_retry(&mut self, run: &RunID, outcomes: &[&str], act: &Act) -> Stored<u64>;
    /// Runs that were reopened since this was asked last, also those that were still going on.
    fn runs_reopened(&mut self) -> Stored<Vec<RunRecord>>;

    // Batches
    /// Commits the next batch of a running run to being asked: None when there is none, the run does
    /// not run, or it is too late. Whoever has been suppressed meanwhile, or has had enough, is excluded
    /// instead.
    fn batch_begin(&mut self, intent: &Intent) -> Stored<Option<Begun>>;
    /// When the next of a running run's batches may be asked, if they all wait after a try.
    fn run_waits_until(&mut self, run: &RunID) -> Stored<Option<Timestamp>>;
    /// Records an answer with everything that follows from it; gives the run's state after it. A run
    /// of which nothing is pending or in flight is over, where the settlement allows it.
    fn batch_settle(&mut self, end: &AttemptEnd, settlement: &Settlement) -> Stored<RunState>;
    /// Ends an attempt whose answer was lost, and commits that the very same request is made again: gives the new
    /// attempt. None, and nothing changes, when the run does not run, it is too late, or somebody has been
    /// suppressed meanwhile.
    fn batch_replay(&mut self, end: &AttemptEnd, at: Timestamp) -> Stored<Option<i64>>;
    /// The request never left: as if it had not been begun, but for the record.
    fn batch_withdraw(&mut self, attempt: i64, now: Timestamp) -> Stored<()>;
    /// Commits a request that reads what became of recipients of a batch: its attempt, its operation id.
    fn look_begin(
        &mut self,
        run: &RunID,
        batch: u64,
        recipients: u64,
        now: Timestamp,
    ) -> Stored<(i64, String)>;
    /// Records how a look ended.
    fn look_end(&mut self, end: &AttemptEnd, answered: bool) -> Stored<()>;
    /// Records what was read of recipients of a run; only what is unknown changes. The look that told it
    /// is counted with it, where there is one.
    fn look_read(
        &mut self,
        run: &RunID,
        look: Option<i64>,
        outcomes: &[(RecipientID, Outcome)],
        now: Timestamp,
    ) -> Stored<()>;

    // Inquiries
    /// Inquiries about attempts of a gateway whose next look is due, with so many recipients at most, or
    /// one inquiry.
    fn inquiries_due(
        &mut self,
        gateway: &str,
        now: Timestamp,
        most_recipients: usize,
    ) -> Stored<Vec<Inquiry>>;
    /// When the next look of a gateway is due.
    fn inquiry_next_at(&mut self, gateway: &str) -> Stored<Option<Timestamp>>;
    /// Messages that the gateway's provider has accepted later than those that are sought, each to
    /// another recipient, the earliest first.
    fn inquiry_witnesses(
        &mut self,
        gateway: &str,
        inquiry: &Inquiry,
        most: usize,
        now: Timestamp,
    ) -> Stored<Vec<Witness>>;
    /// Records what a look has found. Whoever is proven not to have been accepted is pending again, while
    /// the run goes on and it has been tried less often than `most_attempts`; else failed.
    fn inquiry_settle(
        &mut self,
        inquiry: &Inquiry,
        findings: &Findings,
        look: Option<i64>,
        most_attempts: u32,
        now: Timestamp,
    ) -> Stored<()>;
    /// Commits a message to an account that is none of a run's recipients: it is to be seen again for the
    /// sake of a batch. `stamp`: its sender, and the provider's time now, where it is to bear a time of its own.
    fn probe_begin(
        &mut self,
        run: &RunID,
        batch: u64,
        probe: &RecipientID,
        stamp: Option<(&str, Timestamp)>,
        now: Timestamp,
    ) -> Stored<Begun>;
    /// Records how that ended, with a word of [`crate::run::settlement::VERDICTS`].
    fn probe_end(&mut self, end: &AttemptEnd, accepted: bool, verdict: &str) -> Stored<()>;
    /// Opens inquiries about those of a run who are unknown and held, or accepted and not confirmed.
    /// Tells how many recipients.
    fn run_inquire(&mut self, run: &RunID, purpose: Purpose, act: &Act) -> Stored<u64>;
    /// What confirming a run has brought so far; None when nothing of it is confirmed.
    fn run_confirmations(&mut self, run: &RunID) -> Stored<Option<Confirmations>>;
    /// No inquiry of the gateway waits for an instant of a clock that was ahead, and none takes for quiet what was before
    /// `quiet_since`: before the daemon began or the clock was set nobody knows how long anything lasted.
    fn inquiries_by_clock(&mut self, gateway: &str, now: Timestamp, quiet_since: Timestamp) -> Stored<()>;
    /// A gateway has been seen not to work.
    fn gateway_unhealthy(&mut self, gateway: &str, at: Timestamp) -> Stored<()>;
    fn gateway_unhealthy_at(&mut self, gateway: &str) -> Stored<Option<Timestamp>>;
    /// What has come to be known of the clock of a gateway's provider.
    fn gateway_clock_learnt(&mut self, gateway: &str, clock: ProviderClock) -> Stored<()>;
    fn gateway_clock(&mut self, gateway: &str) -> Stored<ProviderClock>;

    // Limits
    /// Calls through a gateway, of one campaign or of all, that ended since then.
    fn past_calls(
        &mut self,
        gateway: &str,
        campaign: Option<&CampaignID>,
        since: Timestamp,
    ) -> Stored<Vec<PastCall>>;

    /// How a gateway stood when that was last told.
    fn gateway(&mut self, gateway: &str) -> Stored<GatewayRecord>;
    fn gateway_stands(&mut self, gateway: &str, record: &GatewayRecord) -> Stored<()>;

    // People
    fn control(&mut self, target: &Target, control: Control, act: &Act) -> Stored<Controlled>;
    fn act_record(&mut self, act: &Act, action: &str, target: &str) -> Stored<()>;
    fn question_ask(&mut self, question: &Question, now: Timestamp) -> Stored<i64>;
    /// Questions without an answer, with their numbers and when they were asked.
    fn questions_open(&mut self) -> Stored<Vec<(i64, Timestamp, Question)>>;
    fn question_answer(&mut self, question: i64, reply: &Reply) -> Stored<()>;
    fn question_reply(&mut self, question: i64) -> Stored<Option<Reply>>;
    /// Takes back a question that has no reply: nobody will answer it any more.
    fn question_withdraw(&mut self, question: i64) -> Stored<()>;

    // Suppressions
    /// Adds suppressions; one that is there already gets the new reason and expiry. Gives how many
    /// were not in force before.
    fn suppress(&mut self, suppressions: &[Suppression], act: &Act) -> Stored<u64>;
    /// Lifts suppressions. Gives how many there were.
    fn suppress_end(&mut self, recipients: &[RecipientID]) -> Stored<u64>;
    /// Whether any suppression is in force: then a message to everyone reaches somebody it must not.
    fn any_suppressed(&mut self, now: Timestamp) -> Stored<bool>;
    /// Who of all ids from `first` to `last` is suppressed, in their order, with the reason.
    fn suppressed_between(
        &mut self,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>>;
    /// Who of all ids from `first` to `last` the caps of a run leave alone, in their order, with the
    /// reason: what is accepted, unknown or in flight counts, of test sends nothing.
    fn capped_between(
        &mut self,
        run: &RunID,
        caps: &Caps,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>>;

    /// Counts every row again and compares.
    fn verify(&mut self) -> Stored<Vec<Discrepancy>>;
    /// A number that changes whenever another connection has written.
    fn change_mark(&mut self) -> Stored<i64>;
    /// Whoever can tell beside the writer whether anything was written; None where nobody can.
    fn onlooker(&self) -> Stored<Option<Box<dyn Onlooker>>> {
        Ok(None)
    }
}

/// Sees from outside whether anything was written, without waiting for the writer.
pub trait Onlooker: Send {
    /// A number that changes whenever anybody has written.
    fn mark(&mut self) -> Stored<i64>;
}
