//! The one writer: every change passes through it, and changes that wait together are committed
//! together, so that a slow disk is waited for once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::{Store, StoreError, Stored};

/// How many changes may wait for the writer; the next one waits to be let in.
const QUEUE: usize = 256;
/// The most changes that share a commit.
const CHANGES_A_COMMIT: usize = 64;

/// The daemon's handle on its ledger. Clones share the writer.
#[derive(Clone)]
pub struct Ledger {
    writer: Writer,
}

#[derive(Clone)]
enum Writer {
    /// A thread of its own, with group commit.
    Thread(mpsc::Sender<Job>),
    /// The caller's thread, a commit each: one seed is one history.
    Inline(Arc<Mutex<Box<dyn Store>>>),
}

/// A change that waits for the writer: applied to the open transaction, or told why there is none.
type Job = Box<dyn FnOnce(Stored<&mut dyn Store>) -> Kept + Send>;

/// A change's reply, kept back until it is known whether the change lasts.
type Kept = Box<dyn FnOnce(Stored<()>) + Send>;

impl Ledger {
    /// A writer thread that ends when the last handle is dropped.
    pub fn threaded(mut store: Box<dyn Store>) -> std::io::Result<Ledger> {
        let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE);
        std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            while let Some(first) = jobs.blocking_recv() {
                write_together(store.as_mut(), first, &mut jobs);
            }
        })?;
        Ok(Ledger { writer: Writer::Thread(sender) })
    }

    /// A writer that works in the caller's thread.
    pub fn inline(store: Box<dyn Store>) -> Ledger {
        Ledger { writer: Writer::Inline(Arc::new(Mutex::new(store))) }
    }

    /// Runs `work` in a transaction and returns its result when that is durable. With an error
    /// nothing of it has happened.
    pub async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Store) -> Stored<R> + Send + 'static,
    ) -> Stored<R> {
        match &self.writer {
            Writer::Inline(store) => write_alone(lock(store).as_mut(), work),
            Writer::Thread(sender) => {
                let (reply, result) = oneshot::channel();
                let job: Job = Box::new(move |transaction| {
                    let outcome = transaction.and_then(|store| in_step(store, work));
                    Box::new(move |committed: Stored<()>| {
                        // A caller that is gone does not want to know.
                        let _ = reply.send(outcome.and_then(|value| committed.map(|()| value)));
                    })
                });
                let closed = || StoreError::Failed("its writer has ended".to_owned());
                sender.send(job).await.map_err(|_| closed())?;
                result.await.map_err(|_| closed())?
            }
        }
    }
}

fn lock(store: &Mutex<Box<dyn Store>>) -> MutexGuard<'_, Box<dyn Store>> {
    // A panic inside a step leaves an open transaction, which the next `begin` rolls back.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_alone<R>(store: &mut dyn Store, work: impl FnOnce(&mut dyn Store) -> Stored<R>) -> Stored<R> {
    store.begin()?;
    match work(store) {
        Ok(value) => {
            store.commit().inspect_err(|_| store.roll_back())?;
            Ok(value)
        }
        Err(error) => {
            store.roll_back();
            Err(error)
        }
    }
}

fn in_step<R>(store: &mut dyn Store, work: impl FnOnce(&mut dyn Store) -> Stored<R>) -> Stored<R> {
    store.step_begin()?;
    match work(store) {
        Ok(value) => store.step_end(true).map(|()| value),
        Err(error) => {
            // Where this fails too the transaction is lost, and with it all that shares it: `commit` tells.
            let _ = store.step_end(false);
            Err(error)
        }
    }
}

fn write_together(store: &mut dyn Store, first: Job, jobs: &mut mpsc::Receiver<Job>) {
    if let Err(error) = store.begin() {
        first(Err(error))(Ok(()));
        return;
    }
    let mut kept = vec![first(Ok(&mut *store))];
    while kept.len() < CHANGES_A_COMMIT
        && let Ok(job) = jobs.try_recv()
    {
        kept.push(job(Ok(&mut *store)));
    }
    let committed = store.commit().inspect_err(|_| store.roll_back());
    for reply in kept {
        reply(committed.clone());
    }
}
