//! Copies what is committed from the WAL into the ledger's file, beside the writer, so that no commit waits
//! for the megabytes of those before it.
//!
//! The WAL stays bounded. It begins over with a transaction that finds all of it copied, which none does that
//! follows another at once. So from [`Bounds::long`] on the writer copies the little that is left itself,
//! between two transactions, unless the checkpointer is at it; from [`Bounds::full`] on it waits for that.
//! Only a reader that does not end lets the WAL grow further.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};

use super::{super::StoreError, Stored, error::opened};

/// How long the WAL may be, in pages of 4 KiB.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Fewer that are not copied yet wait for more.
    pub some: i64,
    /// From so many in all on the WAL is to begin over.
    pub long: i64,
    /// From so many in all on the writer waits for the checkpointer.
    pub full: i64,
}

/// 4 MiB, 16 MiB, 64 MiB.
pub const BOUNDS: Bounds = Bounds { some: 1_000, long: 4_000, full: 16_000 };

/// A thread with a connection of its own. It ends, and is waited for, when this is dropped.
pub struct Checkpointer {
    bounds: Bounds,
    wal: Arc<Shared>,
    committed: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the writer share.
#[derive(Default)]
struct Shared {
    /// Whoever copies holds it: SQLite turns a second one away instead of letting it wait.
    copying: Mutex<()>,
    /// How long the WAL was when it was looked at last, in pages; 0 when it begins over.
    pages: AtomicI64,
}

impl Checkpointer {
    pub fn start(path: &Path, bounds: Bounds) -> Stored<Checkpointer> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| opened(path, error))?;
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 0;")
            .map_err(|error| opened(path, error))?;
        // A connection that has read nothing knows of no WAL.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        // One signal that waits stands for all commits since.
        let (committed, commits) = sync_channel(1);
        let wal = Arc::new(Shared::default());
        let shared = Arc::clone(&wal);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || keep_short(&connection, bounds, &shared, &commits))
            .map_err(|error| StoreError::Failed(format!("its checkpointer cannot be started: {error}")))?;
        Ok(Checkpointer { bounds, wal, committed: Some(committed), thread: Some(thread) })
    }

    /// Something was committed by this connection. What is committed lasts, whatever becomes of the copying.
    pub fn committed(&self, connection: &Connection) {
        if let Some(committed) = &self.committed {
            // A signal waits already, or the thread has ended: then the WAL grows until it is full.
            let _ = committed.try_send(());
        }
        let pages = self.wal.pages.load(Ordering::Relaxed);
        if pages < self.bounds.long || (pages < self.bounds.full && self.wal.is_being_copied()) {
            return;
        }
        match self.wal.copy(connection, Bounds { some: 0, ..self.bounds }) {
            Ok(Wal { left: 0, .. }) => self.wal.pages.store(0, Ordering::Relaxed),
            // A reader holds it.
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the WAL is long and cannot be copied by its writer"),
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.committed = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

fn keep_short(connection: &Connection, bounds: Bounds, wal: &Shared, commits: &Receiver<()>) {
    let mut works = true;
    while commits.recv().is_ok() {
        let copied = wal.copy(connection, bounds);
        if let (Err(error), true) = (&copied, works) {
            tracing::error!(%error, "the ledger's WAL cannot be copied into its file");
        }
        works = copied.is_ok();
    }
}

impl Shared {
    fn is_being_copied(&self) -> bool {
        matches!(self.copying.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn copy(&self, connection: &Connection, bounds: Bounds) -> rusqlite::Result<Wal> {
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wal = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")?;
        if wal.left > 0 && (wal.left >= bounds.some || wal.pages >= bounds.long) {
            wal = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        self.pages.store(wal.pages, Ordering::Relaxed);
        Ok(wal)
    }
}

/// What a WAL holds, in pages.
struct Wal {
    pages: i64,
    /// Not in the ledger's file yet.
    left: i64,
}

fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<Wal> {
    connection.prepare_cached(sql)?.query_row([], |row| {
        let (pages, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(Wal { pages, left: pages - copied })
    })
}
