//! Copies what is committed from the WAL into the ledger's file, beside the writer, so that no commit waits
//! for the megabytes of those before it.
//!
//! The WAL stays bounded. It begins over with a transaction that finds all of it copied, which none does that
//! follows another at once. So from [`Bounds::long`] on the writer copies the little that is left itself,
//! between two transactions, unless the checkpointer is at it; from [`Bounds::full`] on it waits for that.
//! Only a reader that does not end lets the WAL grow further.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
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
    copying: Arc<Copying>,
    committed: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whoever copies holds it: SQLite turns a second one away instead of letting it wait.
type Copying = Mutex<()>;

thread_local! {
    /// How long the WAL was, in pages, after this thread's last commit that wrote anything: SQLite tells it to a
    /// function alone. None once that has been looked at.
    static PAGES: Cell<Option<i64>> = const { Cell::new(None) };
}

impl Checkpointer {
    /// `writer`: the connection whose commits it is told of.
    pub fn start(path: &Path, writer: &Connection, bounds: Bounds) -> Stored<Checkpointer> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| opened(path, error))?;
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 0;")
            .map_err(|error| opened(path, error))?;
        // A connection that has read nothing knows of no WAL.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        // One signal that waits stands for all commits since.
        let (committed, commits) = sync_channel(1);
        let copying = Arc::new(Copying::default());
        let shared = Arc::clone(&copying);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || keep_short(&connection, bounds, &shared, &commits))
            .map_err(|error| StoreError::Failed(format!("its checkpointer cannot be started: {error}")))?;
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(Some(i64::from(pages)));
            Ok(())
        }));
        Ok(Checkpointer { bounds, copying, committed: Some(committed), thread: Some(thread) })
    }

    /// Something was committed by this connection, in this thread. What is committed lasts, whatever becomes of
    /// the copying.
    pub fn committed(&self, connection: &Connection) {
        // Most commits of an idle daemon have written nothing.
        let Some(pages) = PAGES.take() else { return };
        if let Some(committed) = &self.committed {
            // A signal waits already, or the thread has ended: then the writer copies alone.
            let _ = committed.try_send(());
        }
        let is_being_copied = || matches!(self.copying.try_lock(), Err(TryLockError::WouldBlock));
        if pages < self.bounds.long || (pages < self.bounds.full && is_being_copied()) {
            return;
        }
        // Where something is left a reader holds it.
        if let Err(error) = copy(connection, &self.copying, Bounds { some: 0, ..self.bounds }) {
            tracing::debug!(%error, "the WAL is long and cannot be copied by its writer");
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

fn keep_short(connection: &Connection, bounds: Bounds, copying: &Copying, commits: &Receiver<()>) {
    let mut works = true;
    while commits.recv().is_ok() {
        let copied = copy(connection, copying, bounds);
        if let (Err(error), true) = (&copied, works) {
            tracing::error!(%error, "the ledger's WAL cannot be copied into its file");
        }
        works = copied.is_ok();
    }
}

fn copy(connection: &Connection, copying: &Copying, bounds: Bounds) -> rusqlite::Result<()> {
    let _copying = copying.lock().unwrap_or_else(PoisonError::into_inner);
    let wal = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")?;
    if wal.left > 0 && (wal.left >= bounds.some || wal.pages >= bounds.long) {
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    Ok(())
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
