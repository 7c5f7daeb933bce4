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
    Thread(mpsc::Sender<Order>),
    /// The caller's thread, a commit each: one seed is one history.
    Inline(Arc<Mutex<Box<dyn Store>>>),
}

/// What the writer is told.
enum Order {
    Change(Job),
    /// No change after this one: the store is closed, and then it is said so.
    Close(oneshot::Sender<()>),
}

/// A change that waits for the writer: applied to the open transaction, or told why there is none.
type Job = Box<dyn FnOnce(Stored<&mut dyn Store>) -> Kept + Send>;

/// A change's reply, kept back until it is known whether the change lasts.
type Kept = Box<dyn FnOnce(Stored<()>) + Send>;

impl Ledger {
    /// A writer thread that ends when the last handle is dropped.
    pub fn threaded(mut store: Box<dyn Store>) -> std::io::Result<Ledger> {
        let (sender, mut orders) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            while let Some(order) = orders.blocking_recv() {
                let close = match order {
                    Order::Change(first) => write_together(store.as_mut(), first, &mut orders),
                    Order::Close(closed) => Some(closed),
                };
                if let Some(closed) = close {
                    drop(store);
                    // Whoever waits for it may be gone.
                    let _ = closed.send(());
                    return;
                }
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
                sender.send(Order::Change(job)).await.map_err(|_| closed())?;
                result.await.map_err(|_| closed())?
            }
        }
    }

    /// Closes the ledger when what was asked before is done, so that its file stands by itself. Any
    /// handle that is left can do nothing any more.
    pub async fn close(self) {
        if let Writer::Thread(sender) = self.writer {
            let (closed, done) = oneshot::channel();
            // A writer that has ended has closed it.
            if sender.send(Order::Close(closed)).await.is_ok() {
                let _ = done.await;
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

/// Commits a change and those that wait behind it. Gives back the order to close, when that is met.
fn write_together(
    store: &mut dyn Store,
    first: Job,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<oneshot::Sender<()>> {
    if let Err(error) = store.begin() {
        first(Err(error))(Ok(()));
        return None;
    }
    let mut kept = vec![first(Ok(&mut *store))];
    let mut last = None;
    while kept.len() < CHANGES_A_COMMIT
        && let Ok(order) = orders.try_recv()
    {
        match order {
            Order::Change(job) => kept.push(job(Ok(&mut *store))),
            Order::Close(closed) => {
                last = Some(closed);
                break;
            }
        }
    }
    let committed = store.commit().inspect_err(|_| store.roll_back());
    for reply in kept {
        reply(committed.clone());
    }
    last
}
