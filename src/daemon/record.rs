//! What is written down of requests: of those that read, before they leave; of all, how they ended.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    gateway::{Journal, Pending, ReadEnd, ReadFault},
    run::{
        RunID,
        reply::{Answer, Reason, Reply},
    },
    store::{AttemptEnd, Ledger, StoreError},
};

/// Records the looks of one batch of a run.
pub struct Record {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    run: RunID,
    batch: u64,
    /// The attempt of the latest look, 0 before the first.
    latest: AtomicI64,
}

impl Record {
    pub fn new(ledger: &Ledger, clock: &Arc<dyn Clock>, run: &RunID, batch: u64) -> Record {
        Record {
            ledger: ledger.clone(),
            clock: Arc::clone(clock),
            run: run.clone(),
            batch,
            latest: AtomicI64::new(0),
        }
    }

    /// The attempt of the latest look.
    pub fn latest(&self) -> Option<i64> {
        Some(self.latest.load(Ordering::Relaxed)).filter(|attempt| *attempt > 0)
    }
}

/// The code of a request that was not made because it could not be recorded.
pub const NOT_RECORDED: &str = "notRecorded";

fn unrecorded(error: &StoreError) -> ReadFault {
    ReadFault(Reason::new(NOT_RECORDED, error.to_string()))
}

impl Journal for Record {
    fn begin(&self, recipients: usize) -> Pending<'_, Result<String, ReadFault>> {
        Box::pin(async move {
            let (run, batch, now) = (self.run.clone(), self.batch, self.clock.now());
            let begun =
                self.ledger.call(move |store| store.look_begin(&run, batch, recipients as u64, now)).await;
            let (attempt, operation_id) = begun.map_err(|error| unrecorded(&error))?;
            self.latest.store(attempt, Ordering::Relaxed);
            Ok(operation_id)
        })
    }

    fn end<'a>(&'a self, _operation_id: &'a str, end: ReadEnd) -> Pending<'a, ()> {
        Box::pin(async move {
            let Some(attempt) = self.latest() else { return };
            let at = self.clock.now();
            let ReadEnd { http_status, provider_code, provider_message, answered } = end;
            let end = AttemptEnd { attempt, at, http_status, provider_code, provider_message };
            let ended = self.ledger.call(move |store| store.look_end(&end, answered)).await;
            // It changes nothing: at the next start it is over as one that was interrupted.
            if let Err(error) = ended {
                tracing::error!(run = %self.run, %error, "the end of a look cannot be recorded");
            }
        })
    }
}

/// The end of an attempt that was answered so.
pub fn end_of(attempt: i64, at: Timestamp, answer: &Answer) -> AttemptEnd {
    AttemptEnd {
        attempt,
        at,
        http_status: answer.http_status,
        provider_code: answer.provider_code,
        provider_message: answer.provider_message.clone().or_else(|| why_not(&answer.reply)),
    }
}

/// Why a call brought nothing, where the provider has said no word of its own.
fn why_not(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Answered(_) => None,
        Reply::NothingDone(_, reason) | Reply::Rejected(reason) | Reply::Unanswered(reason) => {
            Some(reason.text.clone())
        }
    }
}
