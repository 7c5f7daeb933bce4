//! Taking the ledger: from one that may be an older copy of itself nothing is sent.

use std::time::Duration;

use super::{Parts, ServeError, conductor::Conductor, intake::Step, report};
use crate::{
    plan::{self, Hold, Standing},
    store::{Store, StoreError, Stored},
};

/// How long a copy of the ledger may count as the newest: one that is made by copying the file, and put
/// back after more was sent, is found out when it is older.
const GENERATION_EVERY: Duration = Duration::from_secs(10);

/// Between two looks at a ledger that is locked.
const LOOK: Duration = Duration::from_millis(500);

/// Takes the ledger for this daemon. While it is locked, waits for a person to unlock it: nothing is
/// read from the folder, decided or sent. Tells whether it has been taken: not when told to stop.
pub async fn take_ledger(parts: &Parts) -> Result<bool, ServeError> {
    loop {
        let Some(locked) = parts.ledger.call(|store| store.claim()).await? else {
            if parts.signals.locked.send_replace(None).is_some() {
                tracing::info!("the ledger is unlocked");
            }
            return Ok(true);
        };
        let reason = locked.to_string();
        if parts.signals.locked.borrow().as_ref() != Some(&reason) {
            report::locked(&reason);
            parts.signals.locked.send_replace(Some(reason));
        }
        parts.signals.rounds.send_modify(|rounds| *rounds += 1);
        tokio::select! {
            () = parts.signals.stopped() => return Ok(false),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Makes copies of the ledger older than it, now and then, until told to stop.
pub async fn keep_ahead_of_copies(parts: Parts) {
    loop {
        tokio::select! {
            () = parts.signals.stopped() => return,
            () = tokio::time::sleep(GENERATION_EVERY) => advance_generation(&parts).await,
        }
    }
}

/// Makes copies of the ledger that were made until now older than it.
pub async fn advance_generation(parts: &Parts) {
    match parts.ledger.call(|store| store.generation_advance()).await {
        // Whoever has it now goes on counting.
        Ok(()) | Err(StoreError::TakenOver) => {}
        Err(error) => {
            tracing::error!(%error, "copies of the ledger made until now cannot be made older than it");
        }
    }
}

impl Conductor {
    /// The slots that came while the ledger was a copy are left to its original.
    pub async fn leave_out_restored(&mut self) -> Stored<()> {
        let Some(restored_at) = self.parts.ledger.call(|store| store.restored_at()).await? else {
            return Ok(());
        };
        let mut steps = Vec::new();
        for id in self.catalogue.iter().map(|(id, _)| id) {
            let standing = self.catalogue.standing(id);
            let Some((campaign, standing)) = standing.filter(|(_, at)| at.decided_until < restored_at) else {
                continue;
            };
            let plans = plan::give_up(
                restored_at,
                &campaign,
                Standing { hold: Hold::Ends(plan::Miss::Restored), ..standing },
            );
            // What the original decided on the rest of that time is its own as well.
            steps.extend(plans.into_iter().map(|plan| {
                let decided_until = plan.decided_until.max(restored_at);
                Step::Decide(id.clone(), plan::Plan { decided_until, ..plan })
            }));
        }
        if steps.is_empty() {
            return Ok(());
        }
        let write =
            move |store: &mut dyn Store| steps.iter().try_for_each(|step| step.take(store, restored_at));
        self.parts.ledger.call(write).await?;
        self.refresh().await
    }
}
