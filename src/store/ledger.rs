//! The one writer: every change passes through it, and changes that wait together are committed
//! together, so that a slow disk is waited for once. Those that have time, the parts of an audience that
//! is opened, go one by one, while no other waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Onlooker, Store, StoreError, Stored};

/// How many changes may wait for the writer; the next one waits to be let in.
const QUEUE: usize = 256;
/// The most changes that share a commit.
const CHANGES_A_COMMIT: usize = 128;
/// How many changes that have time may wait for the writer.
const PATIENT: usize = 8;
/// After so many commits of others, one that has time has its turn all the same.
const COMMITS_A_PATIENT_ONE: u32 = 8;

/// The daemon's handle on its ledger. Clones share the writer.
#[derive(Clone)]
pub struct Ledger {
    writer: Writer,
}

#[derive(Clone)]
enum Writer {
    /// A thread of its own, with group commit, and places for changes that have time.
    Thread { orders: mpsc::Sender<Order>, patient: Arc<Semaphore>, onlooker: Seat },
    /// The caller's thread, a commit each: one seed is one history.
    Inline(Arc<Mutex<Box<dyn Store>>>),
}

/// Whoever sees beside the writer whether anything was written, until the ledger is closed.
type Seat = Arc<Mutex<Option<Box<dyn Onlooker>>>>;

/// What the writer is told.
enum Order {
    Change(Job),
    /// A change that lets others pass, one of at most [`PATIENT`].
    Patient(Job),
    /// No change after this one: the store is closed, and then it is said so.
    Close(oneshot::Sender<()>),
}

/// A change that waits for the writer: applied to the open transaction, or told why there is none.
type Job = Box<dyn FnOnce(Stored<&mut dyn Store>) -> Kept + Send>;

/// A change's reply, kept back until it is known whether the change lasts.
type Kept = Box<dyn FnOnce(Stored<()>) + Send>;

impl Ledger {
    /// A writer thread that ends when the last handle is dropped.
    pub fn threaded(store: Box<dyn Store>) -> std::io::Result<Ledger> {
        let (sender, orders) = mpsc::channel(QUEUE);
        // Without one the writer itself is asked.
        let onlooker = Arc::new(Mutex::new(store.onlooker().ok().flatten()));
        let desk = Desk { orders, patient: VecDeque::with_capacity(PATIENT), commits: 0 };
        std::thread::Builder::new().name("ledger".to_owned()).spawn(move || desk.work(store))?;
        let patient = Arc::new(Semaphore::new(PATIENT));
        Ok(Ledger { writer: Writer::Thread { orders: sender, patient, onlooker } })
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
            Writer::Inline(store) => write_inline(store, work).await,
            Writer::Thread { orders, .. } => ordered(orders, Order::Change, work).await,
        }
    }

    /// As [`Ledger::call`], for a part of work that takes long: others do not wait for it, and it does not wait for
    /// the disk. A power loss may undo it, with all such parts since the last change that [`Ledger::call`] made.
    pub async fn call_loosely<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Store) -> Stored<R> + Send + 'static,
    ) -> Stored<R> {
        match &self.writer {
            Writer::Inline(store) => write_inline(store, work).await,
            Writer::Thread { orders, patient, .. } => {
                let place = patient.acquire().await.map_err(|_| ended())?;
                let result = ordered(orders, Order::Patient, work).await;
                drop(place);
                result
            }
        }
    }

    /// A number that changes whenever anybody has written, this ledger's writer too; None where that can only
    /// be asked of the writer. Waits for nobody: cheap enough to be asked all the time.
    pub fn mark(&self) -> Option<i64> {
        let Writer::Thread { onlooker, .. } = &self.writer else { return None };
        lock(onlooker).as_mut()?.mark().ok()
    }

    /// Closes the ledger when what was asked before is done, so that its file stands by itself. Any
    /// handle that is left can do nothing any more.
    pub async fn close(self) {
        if let Writer::Thread { orders, onlooker, .. } = self.writer {
            // The last connection that closes is to be the writer's.
            *lock(&onlooker) = None;
            let (closed, done) = oneshot::channel();
            // A writer that has ended has closed it.
            if orders.send(Order::Close(closed)).await.is_ok() {
                let _ = done.await;
            }
        }
    }
}

fn ended() -> StoreError {
    StoreError::Failed("its writer has ended".to_owned())
}

/// Has the writer do `work`, and waits until it is durable.
async fn ordered<R: Send + 'static>(
    orders: &mpsc::Sender<Order>,
    order: fn(Job) -> Order,
    work: impl FnOnce(&mut dyn Store) -> Stored<R> + Send + 'static,
) -> Stored<R> {
    let (reply, result) = oneshot::channel();
    let job: Job = Box::new(move |transaction| {
        let outcome = transaction.and_then(|store| in_step(store, work));
        Box::new(move |committed: Stored<()>| {
            // A caller that is gone does not want to know.
            let _ = reply.send(outcome.and_then(|value| committed.map(|()| value)));
        })
    });
    orders.send(order(job)).await.map_err(|_| ended())?;
    result.await.map_err(|_| ended())?
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside a step leaves an open transaction, which the next `begin` rolls back.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Others have their turn before and after, as while a thread works: a caller may be dropped at either place.
async fn write_inline<R>(
    store: &Mutex<Box<dyn Store>>,
    work: impl FnOnce(&mut dyn Store) -> Stored<R>,
) -> Stored<R> {
    tokio::task::yield_now().await;
    let written = write_alone(lock(store).as_mut(), work);
    tokio::task::yield_now().await;
    written
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

/// What the writer works off.
struct Desk {
    orders: mpsc::Receiver<Order>,
    /// Changes that have time; never more than there are places for.
    patient: VecDeque<Job>,
    /// Commits since the last of those.
    commits: u32,
}

impl Desk {
    fn work(mut self, mut store: Box<dyn Store>) {
        while let Some(order) = self.next() {
            let close = match order {
                Order::Change(first) => {
                    self.commits += 1;
                    self.write_together(store.as_mut(), first)
                }
                Order::Patient(job) => {
                    self.commits = 0;
                    write(store.as_mut(), job);
                    None
                }
                Order::Close(closed) => Some(closed),
            };
            if let Some(closed) = close {
                for job in std::mem::take(&mut self.patient) {
                    write(store.as_mut(), job);
                }
                drop(store);
                // Whoever waits for it may be gone.
                let _ = closed.send(());
                return;
            }
        }
    }

    /// What is to be done next; None when nobody is left to ask anything.
    fn next(&mut self) -> Option<Order> {
        loop {
            if self.commits >= COMMITS_A_PATIENT_ONE
                && let Some(job) = self.patient.pop_front()
            {
                return Some(Order::Patient(job));
            }
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                Err(_) => match self.patient.pop_front() {
                    Some(job) => return Some(Order::Patient(job)),
                    None => self.orders.blocking_recv()?,
                },
            };
            match order {
                Order::Patient(job) => self.patient.push_back(job),
                other => return Some(other),
            }
        }
    }

    /// Commits a change and those that wait behind it. Gives back the order to close, when that is met.
    fn write_together(&mut self, store: &mut dyn Store, first: Job) -> Option<oneshot::Sender<()>> {
        if let Err(error) = store.begin() {
            first(Err(error))(Ok(()));
            return None;
        }
        let mut kept = vec![first(Ok(&mut *store))];
        let mut last = None;
        while kept.len() < CHANGES_A_COMMIT
            && let Ok(order) = self.orders.try_recv()
        {
            match order {
                Order::Change(job) => kept.push(job(Ok(&mut *store))),
                Order::Patient(job) => self.patient.push_back(job),
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
}

/// Commits one change that need not be durable yet.
fn write(store: &mut dyn Store, job: Job) {
    if let Err(error) = store.begin_loosely() {
        return job(Err(error))(Ok(()));
    }
    let reply = job(Ok(&mut *store));
    reply(store.commit().inspect_err(|_| store.roll_back()));
}
