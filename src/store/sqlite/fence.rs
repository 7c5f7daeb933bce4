//! The fence in the ledger: its generation, its lock, and that nobody else has taken it since.

use std::{collections::HashMap, io, path::Path};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{
        Act, StoreError, Stored,
        generation::{self, Beside, GenerationFile, LockReason, Prepared, Standing},
    },
    batches, optional_time, people,
};

/// What a store remembers of the ledger that it has claimed.
pub struct Fence {
    file: GenerationFile,
    /// The generation under which this store writes.
    claimed: Option<i64>,
    /// The open transaction claims the ledger.
    claiming: bool,
    /// The last attempt when that was counted.
    last_attempt: i64,
    /// Takes its place when the transaction is committed.
    prepared: Option<Prepared>,
    /// Is committed, and could not take its place yet: until it has, no other transaction begins.
    unpublished: Option<Prepared>,
}

impl Fence {
    pub fn beside(database: &Path) -> Fence {
        let file = GenerationFile::beside(database);
        Fence { file, claimed: None, claiming: false, last_attempt: 0, prepared: None, unpublished: None }
    }

    /// Refuses a transaction of a store whose ledger somebody else has taken.
    pub fn check(&self, connection: &Connection) -> Stored<()> {
        let Some(claimed) = self.claimed else { return Ok(()) };
        let mine: bool = connection
            .prepare_cached("SELECT generation = ?1 AND locked_reason IS NULL FROM ledger")?
            .query_row([claimed], |row| row.get(0))?;
        if mine { Ok(()) } else { Err(StoreError::TakenOver) }
    }

    /// The transaction is about to be made durable: a generation that a step has undone is forgotten.
    pub fn committing(&mut self, connection: &Connection) -> Stored<()> {
        if let Some(prepared) = &self.prepared
            && standing(connection)?.generation != prepared.number
        {
            self.rolled_back();
        }
        Ok(())
    }

    /// A transaction is about to begin: the generation of the one before takes its place first.
    pub fn beginning(&mut self) -> Stored<()> {
        if let Some(unpublished) = &self.unpublished {
            unpublished.publish().map_err(unwritten)?;
            self.unpublished = None;
        }
        Ok(())
    }

    /// The transaction is durable: its generation becomes so before anybody is told. Of a daemon's later
    /// generations one that cannot is put off until the next transaction, since what was committed lasts
    /// and nobody may be told otherwise.
    pub fn committed(&mut self) -> Stored<()> {
        let Some(prepared) = self.prepared.take() else { return Ok(()) };
        let goes_on = self.claimed.is_some();
        if std::mem::take(&mut self.claiming) || goes_on {
            self.claimed = Some(prepared.number);
        }
        match prepared.publish() {
            Err(_) if goes_on => self.unpublished = Some(prepared),
            published => published.map_err(unwritten)?,
        }
        Ok(())
    }

    pub fn rolled_back(&mut self) {
        self.prepared = None;
        self.claiming = false;
    }

    /// Why the ledger may be an older copy.
    pub fn lock_reason(&self, connection: &Connection) -> Stored<Option<LockReason>> {
        Ok(generation::lock_reason(&standing(connection)?, &self.read()?))
    }

    /// Takes the ledger for this store, or locks it.
    pub fn claim(&mut self, connection: &Connection) -> Stored<Option<LockReason>> {
        let locked = self.lock_reason(connection)?;
        match &locked {
            Some(LockReason::Locked(_)) => {}
            Some(locked) => lock(connection, &locked.to_string())?,
            None => {
                self.claiming = true;
                self.count(connection)?;
                self.last_attempt = last_attempt(connection)?;
            }
        }
        Ok(locked)
    }

    /// Counts a generation where anything was asked since the last one.
    pub fn advance(&mut self, connection: &Connection) -> Stored<()> {
        let last_attempt = last_attempt(connection)?;
        if self.claimed.is_some() && last_attempt > self.last_attempt {
            self.count(connection)?;
            self.last_attempt = last_attempt;
        }
        Ok(())
    }

    /// Lifts a lock. `restored`: what was to happen until now is left to the original.
    pub fn unlock(&mut self, connection: &Connection, act: &Act, restored: bool) -> Stored<()> {
        self.count(connection)?;
        connection.execute(
            "UPDATE ledger SET locked_reason = NULL, restored_at = CASE WHEN ?2 THEN ?1 ELSE restored_at END",
            params![act.at.as_millisecond(), restored],
        )?;
        let verb = if restored { "unlock" } else { "unlock --resume" };
        people::record(connection, act, verb, "the ledger")
    }

    /// Writes the next generation; its file takes its place after the commit.
    fn count(&mut self, connection: &Connection) -> Stored<()> {
        let (standing, beside) = (standing(connection)?, self.read()?);
        let before = match &beside {
            Beside::Generation { born_at, .. } => *born_at,
            Beside::Nothing | Beside::Illegible => None,
        };
        let number = generation::next(&standing, &beside);
        let prepared = self.file.prepare(&standing.identity, number).map_err(unwritten)?;
        connection.execute(
            "UPDATE ledger SET generation = ?1, file_born_at = ?2, file_born_before = ?3",
            params![number, prepared.born_at, before],
        )?;
        self.prepared = Some(prepared);
        Ok(())
    }

    fn read(&self) -> Stored<Beside> {
        self.file.read().map_err(|error| {
            StoreError::Failed(format!(
                "the generation file beside it cannot be read ({error}): mend its permissions"
            ))
        })
    }
}

fn unwritten(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::DiskFull,
        _ => StoreError::ReadOnly(format!("the generation file beside it: {error}")),
    }
}

fn standing(connection: &Connection) -> Stored<Standing> {
    let sql = "SELECT identity, generation, file_born_at, file_born_before, locked_reason FROM ledger";
    Ok(connection.query_row(sql, [], |row| {
        Ok(Standing {
            identity: row.get(0)?,
            generation: row.get(1)?,
            file_born_at: row.get(2)?,
            file_born_before: row.get(3)?,
            locked: row.get(4)?,
        })
    })?)
}

fn last_attempt(connection: &Connection) -> Stored<i64> {
    let sql = "SELECT coalesce(max(attempt), 0) FROM attempt";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub fn lock(connection: &Connection, reason: &str) -> Stored<()> {
    connection.execute("UPDATE ledger SET locked_reason = coalesce(locked_reason, ?1)", [reason])?;
    Ok(())
}

pub fn locked(connection: &Connection) -> Stored<Option<String>> {
    Ok(connection.query_row("SELECT locked_reason FROM ledger", [], |row| row.get(0))?)
}

/// Without inquiries nobody is proven absent and sent to again: the original may have done both.
pub fn restore(connection: &Connection, now: Timestamp) -> Stored<u64> {
    let unknown = batches::recover(connection, &HashMap::new(), now)?;
    connection.execute(
        "UPDATE delivery SET sought_by = NULL WHERE (run, sought_by) IN (SELECT run, inquiry FROM inquiry)",
        [],
    )?;
    connection.execute("DELETE FROM inquiry", [])?;
    Ok(unknown)
}

pub fn restored_at(connection: &Connection) -> Stored<Option<Timestamp>> {
    optional_time(connection.query_row("SELECT restored_at FROM ledger", [], |row| row.get(0))?)
}
