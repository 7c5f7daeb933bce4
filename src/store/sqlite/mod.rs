//! The ledger in SQLite: WAL, `synchronous=FULL`, so that what is committed survives a power loss.
//!
//! One process writes for a daemon ([`super::owner`]); commands write short transactions beside it;
//! readers use connections of their own that cannot write ([`review`]). The file must stand on a
//! local disk: WAL needs shared memory. Migrations are an append-only list, and `user_version` says
//! how many have been applied.

mod again;
mod backup;
mod batch_values;
mod batches;
mod campaigns;
mod checkpointer;
mod crowd;
mod error;
mod fence;
mod gateways;
mod held_back;
mod inquiries;
mod looks;
mod onlooker;
mod people;
mod reasons;
mod received;
mod reopening;
mod replays;
pub mod review;
mod runs;
mod schema;
mod slots;
mod sources;
mod suppressions;
#[cfg(test)]
mod tests;
mod values;
mod verify;
mod witnesses;

use std::{collections::HashMap, path::Path, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, config::DbConfig};

pub use self::backup::backup;
use self::{
    checkpointer::{BOUNDS, Bounds, Checkpointer},
    error::opened,
    fence::Fence,
    schema::{check_schema, make_file, migrate},
    values::{campaign_id, json, optional_time, recipient, recipients, time},
};
use super::{
    Act, AttemptEnd, Begun, CampaignMark, CampaignRecord, Confirmations, Control, Controlled, CountedReason,
    DecidedSlots, Discrepancy, Drain, GatewayRecord, Inquiry, Intent, LockReason, NewRevision, NewRun,
    Onlooker, PastCall, ProblemRecord, Question, Reply, RunRecord, Store, StoreError, Stored, Suppression,
    Target, Witness,
};
use crate::{
    campaign::{CampaignID, Caps, RecipientID},
    run::{
        Outcome, RunEvent, RunID, RunState, Settlement,
        chunk::Chunk,
        failures::Judged,
        inquiry::{Doubt, Findings, Purpose},
        provider_clock::ProviderClock,
        reply::Reason,
        source::SourceRecord,
    },
};

/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// A connection that writes.
pub struct SqliteStore {
    /// Before the connection, which is the last to close and so leaves one file.
    checkpointer: Option<Checkpointer>,
    connection: Connection,
    fence: Fence,
    /// Commits do not wait for the disk now.
    is_loose: bool,
}

impl SqliteStore {
    /// Opens the ledger at `path`, making it or bringing its schema up to date.
    pub fn open(path: &Path, now: Timestamp) -> Stored<SqliteStore> {
        make_file(path)?;
        SqliteStore::connect(path, now)
    }

    /// Opens the ledger at `path` for a short change by a command; it must be there.
    pub fn open_existing(path: &Path, now: Timestamp) -> Stored<SqliteStore> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        SqliteStore::connect(path, now)
    }

    fn connect(path: &Path, now: Timestamp) -> Stored<SqliteStore> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(|error| opened(path, error))?;
        connection.busy_timeout(BUSY).map_err(|error| opened(path, error))?;
        check_schema(&connection, path)?;
        connection.set_prepared_statement_cache_capacity(128);
        // A plan does not depend on what is bound, or each new value would have the statement prepared anew.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(|error| opened(path, error))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 4000;
                 PRAGMA journal_size_limit = 67108864;",
            )
            .map_err(|error| opened(path, error))?;
        migrate(&mut connection, path, now)?;
        Ok(SqliteStore { checkpointer: None, connection, fence: Fence::beside(path), is_loose: false })
    }

    /// Has the WAL copied into the ledger's file, at `path`, beside the writing: for a daemon, whose commits
    /// are not to wait for it.
    pub fn checkpointed_beside(self, path: &Path) -> Stored<SqliteStore> {
        self.checkpointed(path, BOUNDS)
    }

    fn checkpointed(self, path: &Path, bounds: Bounds) -> Stored<SqliteStore> {
        let checkpointer = Some(Checkpointer::start(path, &self.connection, bounds)?);
        Ok(SqliteStore { checkpointer, ..self })
    }

    fn begin_as(&mut self, loose: bool) -> Stored<()> {
        if !self.connection.is_autocommit() {
            self.roll_back();
        }
        if self.is_loose != loose {
            // What a later commit syncs is the whole WAL.
            self.connection.pragma_update(None, "synchronous", if loose { "NORMAL" } else { "FULL" })?;
            self.is_loose = loose;
        }
        self.fence.beginning()?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.fence.check(&self.connection).inspect_err(|_| self.roll_back())
    }

    /// A full disk ends a whole transaction, not one statement. What comes after must not begin one of its
    /// own unnoticed: its caller is told that nothing happened.
    fn in_transaction(&self) -> Stored<()> {
        match self.connection.is_autocommit() {
            false => Ok(()),
            true => Err(StoreError::Failed("a change that shared the commit undid all of it".to_owned())),
        }
    }
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Stored<()> {
        self.begin_as(false)
    }

    fn begin_loosely(&mut self) -> Stored<()> {
        self.begin_as(true)
    }

    fn commit(&mut self) -> Stored<()> {
        self.in_transaction()?;
        self.fence.committing(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.committed(&self.connection);
        }
        self.fence.committed()
    }

    fn roll_back(&mut self) {
        // Without an open transaction there is nothing to undo, which is what is wanted.
        let _ = self.connection.execute_batch("ROLLBACK");
        self.fence.rolled_back();
    }

    fn step_begin(&mut self) -> Stored<()> {
        self.in_transaction()?;
        Ok(self.connection.prepare_cached("SAVEPOINT step")?.execute([]).map(|_| ())?)
    }

    fn step_end(&mut self, keep: bool) -> Stored<()> {
        if !keep {
            self.connection.prepare_cached("ROLLBACK TO step")?.execute([])?;
        }
        Ok(self.connection.prepare_cached("RELEASE step")?.execute([]).map(|_| ())?)
    }

    fn lock_reason(&mut self) -> Stored<Option<LockReason>> {
        self.fence.lock_reason(&self.connection)
    }

    fn claim(&mut self) -> Stored<Option<LockReason>> {
        self.fence.claim(&self.connection)
    }

    fn generation_advance(&mut self) -> Stored<()> {
        self.fence.advance(&self.connection)
    }

    fn lock(&mut self, reason: &str) -> Stored<()> {
        fence::lock(&self.connection, reason)
    }

    fn restore(&mut self, now: Timestamp) -> Stored<u64> {
        fence::restore(&self.connection, now)
    }

    fn unlock(&mut self, act: &Act, restored: bool) -> Stored<()> {
        self.fence.unlock(&self.connection, act, restored)
    }

    fn restored_at(&mut self) -> Stored<Option<Timestamp>> {
        fence::restored_at(&self.connection)
    }

    fn campaigns(&mut self) -> Stored<Vec<CampaignRecord>> {
        campaigns::all(&self.connection)
    }

    fn campaigns_named(&mut self, campaigns: &[CampaignID]) -> Stored<Vec<CampaignRecord>> {
        campaigns::named(&self.connection, campaigns)
    }

    fn campaign_apply(&mut self, revision: &NewRevision) -> Stored<i64> {
        campaigns::apply(&self.connection, revision)
    }

    fn campaign_mark(&mut self, campaign: &CampaignID, mark: &CampaignMark) -> Stored<()> {
        campaigns::mark(&self.connection, campaign, mark)
    }

    fn removals_allow(&mut self, act: &Act) -> Stored<Vec<CampaignID>> {
        campaigns::removals_allow(&self.connection, act)
    }

    fn problems_replace(&mut self, problems: &[ProblemRecord], now: Timestamp) -> Stored<()> {
        campaigns::problems_replace(&self.connection, problems, now)
    }

    fn slots_decide(&mut self, plans: &[DecidedSlots], now: Timestamp) -> Stored<Vec<Option<RunID>>> {
        slots::decide(&self.connection, plans, now)
    }

    fn slots_reopen(&mut self, now: Timestamp) -> Stored<Vec<CampaignID>> {
        slots::reopen(&self.connection, now)
    }

    fn slots_ahead(&mut self) -> Stored<Vec<(CampaignID, Timestamp)>> {
        slots::ahead(&self.connection)
    }

    fn crowd_decide(
        &mut self,
        due: Timestamp,
        plans: &[DecidedSlots],
        now: Timestamp,
    ) -> Stored<Vec<Option<RunID>>> {
        crowd::decide(&self.connection, due, plans, now)
    }

    fn crowd_begin(&mut self, due: Timestamp) -> Stored<()> {
        crowd::begin(&self.connection, due)
    }

    fn crowd_disperse(&mut self, due: Option<Timestamp>) -> Stored<u64> {
        crowd::disperse(&self.connection, due)
    }

    fn run_make(&mut self, campaign: &CampaignID, run: &NewRun) -> Stored<RunID> {
        runs::make(&self.connection, campaign, run)
    }

    fn runs_open(&mut self) -> Stored<Vec<RunRecord>> {
        runs::open(&self.connection)
    }

    fn run(&mut self, run: &RunID) -> Stored<RunRecord> {
        runs::one(&self.connection, run)
    }

    fn ran_since(&mut self, campaign: &CampaignID, since: Timestamp) -> Stored<bool> {
        runs::ran_since(&self.connection, campaign, since)
    }

    fn run_unopen(&mut self, run: &RunID) -> Stored<()> {
        runs::unopen(&self.connection, run)
    }

    fn run_unopen_part(&mut self, run: &RunID, most: u32) -> Stored<bool> {
        runs::unopen_part(&self.connection, run, most)
    }

    fn run_open_part(
        &mut self,
        run: &RunID,
        chunks: &[Chunk],
        excluded: &[(RecipientID, Reason)],
        now: Timestamp,
    ) -> Stored<()> {
        runs::open_part(&self.connection, run, chunks, excluded, now)
    }

    fn run_sources(&mut self, run: &RunID, sources: &[SourceRecord]) -> Stored<()> {
        sources::write(&self.connection, run, sources)
    }

    fn run_event(
        &mut self,
        run: &RunID,
        event: RunEvent,
        missed: Option<&str>,
        now: Timestamp,
    ) -> Stored<RunState> {
        runs::event(&self.connection, run, event, missed, now)
    }

    fn run_window(&mut self, run: &RunID, closed: Option<&str>, now: Timestamp) -> Stored<RunState> {
        people::window(&self.connection, run, closed, now)
    }

    fn run_drain(&mut self, run: &RunID, most_batches: u32, confirms: bool, now: Timestamp) -> Stored<Drain> {
        runs::drain(&self.connection, run, most_batches, confirms, now)
    }

    fn run_judged(&mut self, run: &RunID, judged: Judged) -> Stored<()> {
        runs::judged(&self.connection, run, judged)
    }

    fn run_reasons(&mut self, run: &RunID, most: u32) -> Stored<Vec<CountedReason>> {
        reasons::of_run(&self.connection, run, most)
    }

    fn recover(&mut self, doubts: &HashMap<RunID, Doubt>, now: Timestamp) -> Stored<u64> {
        batches::recover(&self.connection, doubts, now)
    }

    fn run_retry(&mut self, run: &RunID, outcomes: &[&str], act: &Act) -> Stored<u64> {
        reopening::retry(&self.connection, run, outcomes, act)
    }

    fn runs_reopened(&mut self) -> Stored<Vec<RunRecord>> {
        runs::reopened(&self.connection)
    }

    fn batch_begin(&mut self, intent: &Intent) -> Stored<Option<Begun>> {
        batches::begin(&self.connection, intent)
    }

    fn run_waits_until(&mut self, run: &RunID) -> Stored<Option<Timestamp>> {
        batches::waits_until(&self.connection, run)
    }

    fn batch_settle(&mut self, end: &AttemptEnd, settlement: &Settlement) -> Stored<RunState> {
        batches::settle(&self.connection, end, settlement)
    }

    fn batch_replay(&mut self, end: &AttemptEnd, at: Timestamp) -> Stored<Option<i64>> {
        replays::begin(&self.connection, end, at)
    }

    fn batch_withdraw(&mut self, attempt: i64, now: Timestamp) -> Stored<()> {
        batches::withdraw(&self.connection, attempt, now)
    }

    fn look_begin(
        &mut self,
        run: &RunID,
        batch: u64,
        recipients: u64,
        now: Timestamp,
    ) -> Stored<(i64, String)> {
        looks::begin(&self.connection, run, batch, recipients, now)
    }

    fn look_end(&mut self, end: &AttemptEnd, answered: bool) -> Stored<()> {
        looks::end(&self.connection, end, answered)
    }

    fn look_read(
        &mut self,
        run: &RunID,
        look: Option<i64>,
        outcomes: &[(RecipientID, Outcome)],
        now: Timestamp,
    ) -> Stored<()> {
        looks::read(&self.connection, run, look, outcomes, now)
    }

    fn inquiries_due(
        &mut self,
        gateway: &str,
        now: Timestamp,
        most_recipients: usize,
    ) -> Stored<Vec<Inquiry>> {
        inquiries::due(&self.connection, gateway, now, most_recipients)
    }

    fn inquiry_next_at(&mut self, gateway: &str) -> Stored<Option<Timestamp>> {
        inquiries::next_at(&self.connection, gateway)
    }

    fn inquiry_witnesses(
        &mut self,
        gateway: &str,
        inquiry: &Inquiry,
        most: usize,
        now: Timestamp,
    ) -> Stored<Vec<Witness>> {
        witnesses::later(&self.connection, gateway, inquiry, most, now)
    }

    fn inquiry_settle(
        &mut self,
        inquiry: &Inquiry,
        findings: &Findings,
        look: Option<i64>,
        most_attempts: u32,
        now: Timestamp,
    ) -> Stored<()> {
        inquiries::settle(&self.connection, inquiry, findings, look, most_attempts, now)
    }

    fn probe_begin(
        &mut self,
        run: &RunID,
        batch: u64,
        probe: &RecipientID,
        stamp: Option<(&str, Timestamp)>,
        now: Timestamp,
    ) -> Stored<Begun> {
        looks::probe_begin(&self.connection, run, batch, probe, stamp, now)
    }

    fn probe_end(&mut self, end: &AttemptEnd, accepted: bool, verdict: &str) -> Stored<()> {
        looks::probe_end(&self.connection, end, accepted, verdict)
    }

    fn run_inquire(&mut self, run: &RunID, purpose: Purpose, act: &Act) -> Stored<u64> {
        inquiries::ask(&self.connection, run, purpose, act)
    }

    fn run_confirmations(&mut self, run: &RunID) -> Stored<Option<Confirmations>> {
        inquiries::confirmations(&self.connection, run)
    }

    fn inquiries_by_clock(&mut self, gateway: &str, now: Timestamp, quiet_since: Timestamp) -> Stored<()> {
        gateways::by_clock(&self.connection, gateway, now, quiet_since)
    }

    fn gateway_unhealthy(&mut self, gateway: &str, at: Timestamp) -> Stored<()> {
        gateways::unhealthy(&self.connection, gateway, at)
    }

    fn gateway_unhealthy_at(&mut self, gateway: &str) -> Stored<Option<Timestamp>> {
        gateways::unhealthy_at(&self.connection, gateway)
    }

    fn gateway_clock_learnt(&mut self, gateway: &str, clock: ProviderClock) -> Stored<()> {
        gateways::clock_learnt(&self.connection, gateway, clock)
    }

    fn gateway_clock(&mut self, gateway: &str) -> Stored<ProviderClock> {
        gateways::clock(&self.connection, gateway)
    }

    fn past_calls(
        &mut self,
        gateway: &str,
        campaign: Option<&CampaignID>,
        since: Timestamp,
    ) -> Stored<Vec<PastCall>> {
        gateways::past_calls(&self.connection, gateway, campaign, since)
    }

    fn gateway(&mut self, gateway: &str) -> Stored<GatewayRecord> {
        gateways::record(&self.connection, gateway)
    }

    fn gateway_stands(&mut self, gateway: &str, record: &GatewayRecord) -> Stored<()> {
        gateways::stands(&self.connection, gateway, record)
    }

    fn control(&mut self, target: &Target, control: Control, act: &Act) -> Stored<Controlled> {
        people::control(&self.connection, target, control, act)
    }

    fn act_record(&mut self, act: &Act, action: &str, target: &str) -> Stored<()> {
        people::record(&self.connection, act, action, target)
    }

    fn question_ask(&mut self, question: &Question, now: Timestamp) -> Stored<i64> {
        people::ask(&self.connection, question, now)
    }

    fn questions_open(&mut self) -> Stored<Vec<(i64, Timestamp, Question)>> {
        people::open(&self.connection)
    }

    fn question_answer(&mut self, question: i64, reply: &Reply) -> Stored<()> {
        people::answer(&self.connection, question, reply)
    }

    fn question_reply(&mut self, question: i64) -> Stored<Option<Reply>> {
        people::reply(&self.connection, question)
    }

    fn question_withdraw(&mut self, question: i64) -> Stored<()> {
        people::withdraw(&self.connection, question)
    }

    fn suppress(&mut self, suppressions: &[Suppression], act: &Act) -> Stored<u64> {
        suppressions::add(&self.connection, suppressions, act)
    }

    fn suppress_end(&mut self, recipients: &[RecipientID]) -> Stored<u64> {
        suppressions::remove(&self.connection, recipients)
    }

    fn any_suppressed(&mut self, now: Timestamp) -> Stored<bool> {
        suppressions::any(&self.connection, now)
    }

    fn suppressed_between(
        &mut self,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>> {
        suppressions::between(&self.connection, first, last, now)
    }

    fn capped_between(
        &mut self,
        run: &RunID,
        caps: &Caps,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>> {
        received::of_run(&self.connection, run, caps, (first, last), now)
    }

    fn verify(&mut self) -> Stored<Vec<Discrepancy>> {
        verify::verify(&self.connection)
    }

    fn change_mark(&mut self) -> Stored<i64> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    fn onlooker(&self) -> Stored<Option<Box<dyn Onlooker>>> {
        self.connection.path().map(|path| onlooker::open(Path::new(path))).transpose()
    }
}
