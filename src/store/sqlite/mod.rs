//! The ledger in SQLite: WAL, `synchronous=FULL`, so that what is committed survives a power loss.
//!
//! One process writes for a daemon ([`super::owner`]); commands write short transactions beside it;
//! readers use connections of their own that cannot write ([`review`]). The file must stand on a
//! local disk: WAL needs shared memory. Migrations are an append-only list, and `user_version` says
//! how many have been applied.

mod again;
mod batches;
mod campaigns;
mod gateways;
mod held_back;
mod inquiries;
mod looks;
mod people;
mod reopening;
pub mod review;
mod runs;
mod slots;
mod sources;
mod suppressions;
#[cfg(test)]
mod tests;
mod verify;
mod witnesses;

use std::{
    collections::HashMap,
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, types::ValueRef};

use super::{
    Act, AttemptEnd, Begun, CampaignMark, CampaignRecord, Confirmations, Control, Controlled, CountedReason,
    DecidedSlots, Discrepancy, Drain, GatewayRecord, Inquiry, Intent, NewRevision, NewRun, PastCall,
    ProblemRecord, Question, Reply, RunRecord, Store, StoreError, Stored, Suppression, Target, Witness,
};
use crate::{
    campaign::{CampaignID, RecipientID},
    run::{
        Outcome, RunEvent, RunID, RunState, Settlement,
        chunk::Chunk,
        failures::Judged,
        inquiry::{Doubt, Findings, Purpose},
        reply::Reason,
        source::SourceRecord,
    },
};

/// The migrations, oldest first; never changed once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// A group may review the ledger.
const FILE_MODE: u32 = 0o640;

/// A connection that writes.
pub struct SqliteStore {
    connection: Connection,
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
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = 4000;
                 PRAGMA journal_size_limit = 67108864;",
            )
            .map_err(|error| opened(path, error))?;
        migrate(&mut connection, path, now)?;
        Ok(SqliteStore { connection })
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

/// Makes an empty file that a group may read, where there is none.
fn make_file(path: &Path) -> Stored<()> {
    let refused = |error: std::io::Error| StoreError::ReadOnly(format!("{}: {error}", path.display()));
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE)).map_err(refused),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

/// How many migrations the ledger at `path` has had, none when it is empty. Refuses what is not ours, and
/// what a newer campaignd has written, before anything is changed.
fn check_schema(connection: &Connection, path: &Path) -> Stored<usize> {
    // One statement, so that a ledger is seen before or after another process makes it.
    let (found, tables, ours): (i64, i64, bool) = connection
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), count(*),
                coalesce(max(name = 'ledger' AND type = 'table'), 0)
             FROM sqlite_schema",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(|error| opened(path, error))?;
    match usize::try_from(found) {
        Ok(0) if tables == 0 => Ok(0),
        Ok(applied @ 1..) if ours && applied <= MIGRATIONS.len() => Ok(applied),
        Ok(1..) if ours => Err(StoreError::NewerSchema { found, known: MIGRATIONS.len() as i64 }),
        _ => Err(StoreError::NotALedger { path: path.display().to_string() }),
    }
}

fn migrate(connection: &mut Connection, path: &Path, now: Timestamp) -> Stored<()> {
    let transaction =
        Transaction::new(connection, TransactionBehavior::Immediate).map_err(|error| opened(path, error))?;
    let found = check_schema(&transaction, path)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
    }
    transaction.execute(
        "INSERT OR IGNORE INTO ledger (one, identity, created_at) VALUES (1, lower(hex(randomblob(4))), ?1)",
        [now.as_millisecond()],
    )?;
    transaction.commit()?;
    Ok(())
}

/// An error of the first touch, where the file itself may be the trouble.
fn opened(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        _ if path.is_dir() => StoreError::NotALedger { path: path.display().to_string() },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::NotALedger { path: path.display().to_string() }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::ReadOnly(format!("{}: {error}", path.display()))
        }
        _ => error.into(),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreError::ReadOnly(error.to_string())
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Failed(error.to_string()),
        }
    }
}

/// A time out of the ledger.
fn time(ms: i64) -> Stored<Timestamp> {
    Timestamp::from_millisecond(ms).map_err(|_| StoreError::Corrupt(format!("a time of {ms} ms")))
}

fn optional_time(ms: Option<i64>) -> Stored<Option<Timestamp>> {
    ms.map(time).transpose()
}

/// An id out of the ledger.
fn campaign_id(text: &str) -> Stored<CampaignID> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("a campaign called {text:?}")))
}

/// A recipient out of the ledger.
fn recipient(value: ValueRef<'_>) -> Stored<RecipientID> {
    let text = value.as_str().unwrap_or_default();
    RecipientID::new(text).map_err(|_| StoreError::Corrupt(format!("a recipient called {text:?}")))
}

/// Recipients out of the ledger.
fn recipients(json: &str) -> Stored<Vec<RecipientID>> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("a list of recipients: {error}")))
}

fn json(value: &impl serde::Serialize) -> Stored<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Stored<()> {
        if !self.connection.is_autocommit() {
            self.roll_back();
        }
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&mut self) -> Stored<()> {
        self.in_transaction()?;
        Ok(self.connection.prepare_cached("COMMIT")?.execute([]).map(|_| ())?)
    }

    fn roll_back(&mut self) {
        // Without an open transaction there is nothing to undo, which is what is wanted.
        let _ = self.connection.execute_batch("ROLLBACK");
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

    fn campaigns(&mut self) -> Stored<Vec<CampaignRecord>> {
        campaigns::all(&self.connection)
    }

    fn campaign_apply(&mut self, revision: &NewRevision) -> Stored<i64> {
        campaigns::apply(&self.connection, revision)
    }

    fn campaign_mark(&mut self, campaign: &CampaignID, mark: &CampaignMark) -> Stored<()> {
        campaigns::mark(&self.connection, campaign, mark)
    }

    fn problems_replace(&mut self, problems: &[ProblemRecord], now: Timestamp) -> Stored<()> {
        campaigns::problems_replace(&self.connection, problems, now)
    }

    fn slots_decide(&mut self, plans: &[DecidedSlots], now: Timestamp) -> Stored<Vec<Option<RunID>>> {
        slots::decide(&self.connection, plans, now)
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

    fn run_drain(&mut self, run: &RunID, most_batches: u32, confirms: bool, now: Timestamp) -> Stored<Drain> {
        runs::drain(&self.connection, run, most_batches, confirms, now)
    }

    fn run_judged(&mut self, run: &RunID, judged: Judged) -> Stored<()> {
        runs::judged(&self.connection, run, judged)
    }

    fn run_reasons(&mut self, run: &RunID, most: u32) -> Stored<Vec<CountedReason>> {
        runs::reasons(&self.connection, run, most)
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

    fn inquiry_witnesses(&mut self, gateway: &str, inquiry: &Inquiry, most: usize) -> Stored<Vec<Witness>> {
        witnesses::later(&self.connection, gateway, inquiry, most)
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
        stamp: (&str, Timestamp),
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

    fn gateway_unhealthy(&mut self, gateway: &str, at: Timestamp) -> Stored<()> {
        inquiries::unhealthy(&self.connection, gateway, at)
    }

    fn gateway_unhealthy_at(&mut self, gateway: &str) -> Stored<Option<Timestamp>> {
        inquiries::unhealthy_at(&self.connection, gateway)
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

    fn verify(&mut self) -> Stored<Vec<Discrepancy>> {
        verify::verify(&self.connection)
    }

    fn change_mark(&mut self) -> Stored<i64> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }
}
