//! A copy of a ledger that is in use: whole, and locked before anybody can open it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::{
    super::{StoreError, Stored},
    error::opened,
    fence,
    schema::{check_schema, make_file, migrate},
};

/// All pages in one step: what is written meanwhile does not make the copy begin again.
const EVERY_PAGE: i32 = -1;

/// Copies the ledger at `database` to `to`, where nothing may be yet, locked for this reason. Gives its
/// size in bytes. Nothing is left of a copy that fails.
pub fn backup(database: &Path, to: &Path, reason: &str, now: Timestamp) -> Stored<u64> {
    if !database.exists() {
        return Err(StoreError::Missing { path: database.display().to_string() });
    }
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            StoreError::Refused(format!("{} is there already: name a new file", to.display()))
        }
        io::ErrorKind::StorageFull => StoreError::DiskFull,
        _ => StoreError::Failed(format!("{}: {error}", to.display())),
    };
    if to.exists() {
        return Err(refused(io::ErrorKind::AlreadyExists.into()));
    }
    let unfinished = Unfinished::beside(to);
    make_file(&unfinished.0)?;
    copy(database, &unfinished.0, reason, now)?;
    let file = File::open(&unfinished.0).map_err(refused)?;
    file.sync_all().map_err(refused)?;
    // Unlike a rename a link never replaces a file that has come there meanwhile.
    fs::hard_link(&unfinished.0, to).map_err(refused)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(refused)?;
    Ok(file.metadata().map_err(refused)?.len())
}

fn copy(database: &Path, to: &Path, reason: &str, now: Timestamp) -> Stored<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(database, flags).map_err(|error| opened(database, error))?;
    source.busy_timeout(super::BUSY)?;
    check_schema(&source, database)?;
    let mut copy = Connection::open(to).map_err(|error| opened(to, error))?;
    // Whoever finds it half-way must not take it for a ledger.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    Backup::new(&source, &mut copy)?.step(EVERY_PAGE)?;
    // The copy says that it is in WAL mode: it is one file when it no longer does.
    copy.execute_batch("PRAGMA journal_mode = DELETE")?;
    // A ledger that no new daemon has opened yet has no place for a lock.
    migrate(&mut copy, to, now)?;
    fence::lock(&copy, reason)?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// The copy while it is made; it is gone afterwards, however that ends.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(to: &Path) -> Unfinished {
        let mut name = to.as_os_str().to_owned();
        name.push(".unfinished");
        let unfinished = Unfinished(name.into());
        unfinished.remove();
        unfinished
    }

    fn remove(&self) {
        // Mostly it is not there.
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.remove();
    }
}
