//! A power loss at any instant of a history: what the disk may hold then, by what was promised (`fsync`)
//! and what was not. The ledger opens, counts right, is what it was before the commit or after it, and
//! nobody whom the provider was asked for counts as never asked.
//!
//! In WAL mode a commit writes frames behind the log and syncs it; now and then it then copies them into
//! the database and syncs that, and the next commit begins the log anew, its header synced first. So a
//! power loss within a commit leaves any part of the new sectors, of the log or of the database.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::FileExt,
    sync::atomic::AtomicU64,
};

use campaignd::{
    sandbox::Filter,
    store::{Store, Stored},
};
use rusqlite::{Connection, types::ValueRef};
use sha2::{Digest, Sha256};

use super::{watched::Watch, *};

/// What a disk writes as a whole.
const SECTOR: usize = 512;
/// The header of the log.
const LOG_HEADER: usize = 32;
/// A frame of the log: its header and a page.
const FRAME: u64 = 24 + 4_096;
/// The log is copied into the database when it has so many frames.
const COPIED_AT: u64 = 4_000;

/// What was tried, and what did not hold.
#[derive(Debug, Default)]
pub struct Losses {
    pub commits: u64,
    pub states: u64,
    /// Losses while the log was copied into the database.
    pub while_copied: u64,
    /// Losses of a commit that began the log anew.
    pub log_anew: u64,
    /// States that held the commit that was under way.
    pub committed: u64,
    pub findings: Vec<String>,
}

/// The files of a ledger at one instant.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn read(database: &Path) -> Files {
        let log = database.with_extension("db-wal");
        Files { database: fs::read(database).unwrap(), log: fs::read(log).unwrap_or_default() }
    }

    fn write(&self, database: &Path) {
        fs::write(database, &self.database).unwrap();
        fs::write(database.with_extension("db-wal"), &self.log).unwrap();
        let _ = fs::remove_file(database.with_extension("db-shm"));
    }
}

/// Sees the commits of a ledger, and pulls the plug of copies of it.
pub struct Plug {
    database: PathBuf,
    scratch: PathBuf,
    world: Arc<World>,
    clock: Arc<ElapsedClock>,
    dice: Dice,
    /// One commit in so many is looked at.
    every: usize,
    states_a_commit: usize,
    before: Option<Files>,
    losses: Arc<Mutex<Losses>>,
}

impl Watch for Plug {
    fn before(&mut self, call: &'static str) -> Stored<()> {
        let interesting = call == "commit" && (self.dice.up_to(self.every) == 0 || self.is_copied_soon());
        if interesting {
            self.before = Some(Files::read(&self.database));
        }
        Ok(())
    }

    fn after(&mut self, call: &'static str) -> Stored<()> {
        if call == "commit"
            && let Some(before) = self.before.take()
        {
            let after = Files::read(&self.database);
            if before.log != after.log || before.database != after.database {
                self.pull(&before, &after);
            }
        }
        Ok(())
    }
}

impl Plug {
    /// The log is about to be copied into the database, or to begin anew: rare, and always looked at.
    fn is_copied_soon(&self) -> bool {
        frames(&self.database.with_extension("db-wal")).is_ok_and(|frames| frames >= COPIED_AT - 20)
    }

    /// Loses power within the commit that leads from `before` to `after`, so many times.
    fn pull(&mut self, before: &Files, after: &Files) {
        let asked = self.asked();
        let mut expected = Vec::new();
        for files in [before, after] {
            files.write(&self.scratch);
            expected.push(digest(&self.scratch));
        }
        let begins_anew = before.log.len() >= LOG_HEADER
            && after.log.len() >= LOG_HEADER
            && before.log[..LOG_HEADER] != after.log[..LOG_HEADER];
        for _ in 0..self.states_a_commit {
            let copied = before.database != after.database && self.dice.up_to(2) == 0;
            let left = if copied {
                // The log was synced before.
                let database = self.torn(&before.database, &after.database);
                Files { database, log: after.log.clone() }
            } else if begins_anew {
                let header = after.log[..SECTOR.min(after.log.len())].to_vec();
                let mut old = before.log.clone();
                let is_synced = self.dice.up_to(4) > 0;
                if is_synced {
                    old.splice(..header.len().min(old.len()), header);
                }
                let log = if is_synced { self.torn(&old, &after.log) } else { old };
                Files { database: before.database.clone(), log }
            } else {
                Files { database: before.database.clone(), log: self.torn(&before.log, &after.log) }
            };
            left.write(&self.scratch);
            let found = digest(&self.scratch);
            let mut losses = self.losses.lock().unwrap();
            losses.states += 1;
            losses.while_copied += u64::from(copied);
            losses.log_anew += u64::from(begins_anew);
            losses.committed += u64::from(found == expected[1] && expected[0] != expected[1]);
            let what = match &found {
                Err(what) => Some(what.clone()),
                Ok(_) if !expected.contains(&found) => {
                    Some("it is neither what it was before nor after".to_owned())
                }
                Ok(_) => forgotten(&self.scratch, self.clock.now(), &asked).err(),
            };
            if let Some(what) = what {
                let bytes = (before.log.len(), after.log.len(), left.log.len());
                losses.findings.push(format!("copied {copied}, anew {begins_anew}, {bytes:?}: {what}"));
            }
        }
        self.losses.lock().unwrap().commits += 1;
    }

    /// Whom the provider was asked for until now, by operation.
    fn asked(&self) -> BTreeSet<(String, String)> {
        let mut asked = BTreeSet::new();
        self.world.received(&Filter::default(), |received| {
            asked.insert((received.operation_id.to_owned(), received.recipient.to_owned()));
        });
        asked
    }

    /// What a file may be that was to become `new` from `old`, when the power went before the sync.
    fn torn(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        match self.dice.up_to(4) {
            // Cut at a byte: what is behind it was not written.
            0 | 1 => {
                let from = old.iter().zip(new).position(|(a, b)| a != b).unwrap_or(old.len().min(new.len()));
                let cut = from + self.dice.up_to(new.len().saturating_sub(from) + 1);
                let mut left = new[..cut].to_vec();
                left.extend_from_slice(old.get(cut..).unwrap_or_default());
                left
            }
            // Some sectors and not others, in any order; a file that was made longer holds nothing there.
            style => {
                let length = match new.len().checked_sub(old.len()) {
                    Some(more) => old.len() + self.dice.up_to(more + 1),
                    None => old.len(),
                };
                let mut left = old.to_vec();
                left.resize(length, 0);
                for start in (0..length.min(new.len())).step_by(SECTOR) {
                    let end = (start + SECTOR).min(length).min(new.len());
                    let same = old.get(start..end) == Some(&new[start..end]);
                    if same || self.dice.up_to(2) == 0 {
                        continue;
                    }
                    left[start..end].copy_from_slice(&new[start..end]);
                    // What was being written may be anything. What stands beside it in its sector stays:
                    // SQLite relies on that (it calls it powersafe overwrite), as disks promise.
                    if style == 3 && self.dice.up_to(8) == 0 {
                        let at = start + self.dice.up_to(end - start);
                        let bit = 1 << self.dice.up_to(8);
                        left[at] ^= if old.get(at) == Some(&new[at]) { 0 } else { bit };
                    }
                }
                left
            }
        }
    }
}

/// How many frames of a log belong to its header: those of before it began anew stand behind them.
fn frames(log: &Path) -> std::io::Result<u64> {
    let file = fs::File::open(log)?;
    let salt_at = |at: u64| {
        let mut salt = [0; 8];
        file.read_exact_at(&mut salt, at).map(|()| salt)
    };
    let salt = salt_at(16)?;
    let (mut few, mut many) = (0, file.metadata()?.len().saturating_sub(LOG_HEADER as u64) / FRAME);
    while few < many {
        let middle = few + (many - few) / 2;
        match salt_at(LOG_HEADER as u64 + middle * FRAME + 8)? == salt {
            true => few = middle + 1,
            false => many = middle,
        }
    }
    Ok(few)
}

/// All that a ledger holds, as a digest; an error where it is damaged.
fn digest(database: &Path) -> Result<Vec<u8>, String> {
    let read = || -> rusqlite::Result<Result<Vec<u8>, String>> {
        let ledger = Connection::open(database)?;
        let sound: String = ledger.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if sound != "ok" {
            return Ok(Err(format!("it is damaged: {sound}")));
        }
        let mut names =
            ledger.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
        let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut digest = Sha256::new();
        for name in names {
            digest.update(&name);
            let mut rows = ledger.prepare(&format!("SELECT * FROM \"{name}\""))?;
            let columns = rows.column_count();
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    match row.get_ref(column)? {
                        ValueRef::Null => digest.update([0]),
                        ValueRef::Integer(number) => digest.update(number.to_le_bytes()),
                        ValueRef::Real(number) => digest.update(number.to_le_bytes()),
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => digest.update(bytes),
                    }
                    digest.update([0xff, 1]);
                }
            }
        }
        Ok(Ok(digest.finalize().to_vec()))
    };
    read().unwrap_or_else(|error| Err(format!("it cannot be read: {error}")))
}

/// Opens the ledger as a daemon does and looks whether anybody who was asked counts as never asked.
fn forgotten(database: &Path, now: Timestamp, asked: &BTreeSet<(String, String)>) -> Result<(), String> {
    let told = |error: StoreError| format!("it does not open: {error}");
    let mut store = SqliteStore::open(database, now).map_err(told)?;
    store.begin().map_err(told)?;
    store.recover(&HashMap::new(), now).map_err(told)?;
    store.commit().map_err(told)?;
    let wrong = store.verify().map_err(told)?;
    if !wrong.is_empty() {
        return Err(format!("it counts wrong: {wrong:?}"));
    }
    let ledger = Connection::open(database).map_err(|error| error.to_string())?;
    let pairs = |sql: &str| -> BTreeSet<(String, String)> {
        let mut statement = ledger.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let operations: HashMap<String, String> =
        pairs("SELECT operation_id, run FROM attempt_log").into_iter().collect();
    let decided = pairs("SELECT run, recipient FROM delivery_log");
    let waiting = pairs("SELECT run, recipient FROM waiting_log");
    for (operation, recipient) in asked {
        let Some(run) = operations.get(operation) else {
            return Err(format!("{operation} was asked, and nothing is known of it"));
        };
        let key = (run.clone(), recipient.clone());
        // Whom it then proved absent, or whose answer proved that nothing was done, may be asked again.
        if !decided.contains(&key) && !waiting.contains(&key) {
            return Err(format!("{recipient} was asked for {run}, and is nowhere"));
        }
    }
    Ok(())
}

/// Plays the history of a seed, and loses power within so many of its commits, each in so many ways.
pub fn lose_power(seed: u64, every: usize, states_a_commit: usize) -> Losses {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let losses = Arc::new(Mutex::new(Losses::default()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::new(seed, folder.path());
        let (database, world) = (simulation.database.clone(), simulation.world.clone());
        let (clock, told) = (simulation.clock.clone(), losses.clone());
        let place = scratch.path().join("ledger.db");
        let starts = AtomicU64::new(0);
        simulation.plug = Some(Box::new(move || Plug {
            database: database.clone(),
            scratch: place.clone(),
            world: world.clone(),
            clock: clock.clone(),
            dice: Dice::new(seed.wrapping_mul(1_000).wrapping_add(starts.fetch_add(1, Ordering::Relaxed))),
            every,
            states_a_commit,
            before: None,
            losses: told.clone(),
        }));
        simulation.run().await;
    });
    std::mem::take(&mut losses.lock().unwrap())
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "an example has no tests")]
    use super::*;

    #[test]
    fn a_ledger_survives_a_power_loss_at_any_byte() {
        let losses = lose_power(1, 250, 3);
        assert!(losses.states > 20, "{losses:?}");
        assert!(losses.findings.is_empty(), "{}", losses.findings.join("\n"));
    }
}
