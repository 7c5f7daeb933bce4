//! Jobs that keep the house: nothing on the way of a message depends on them.
//!
//! They only wake somebody who looks at everything: a rescan of the folder covers what file events
//! miss (network mounts, overflows).

use std::sync::Arc;

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::Signals;

/// How often the folder is read again, whatever file events say; a large one less often.
const RESCAN: &str = "*/5 * * * * *";

/// The running jobs; they end when this is dropped and its runtime ends.
pub struct Housekeeping {
    _scheduler: JobScheduler,
}

/// Starts the jobs.
pub async fn start(signals: &Arc<Signals>) -> Result<Housekeeping, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let woken = Arc::clone(signals);
    scheduler.add(Job::new(RESCAN, move |_, _| woken.rescan.notify_one())?).await?;
    scheduler.start().await?;
    Ok(Housekeeping { _scheduler: scheduler })
}
