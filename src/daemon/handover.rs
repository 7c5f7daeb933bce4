//! Handing a run over: from the decision, through the opening of its audience, to its lane.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use tokio::sync::Semaphore;

use super::{
    Parts,
    assignment::Assignment,
    lane::Lane,
    opening::{self, OpeningFault},
    report,
};
use crate::{
    clock::sleep_until,
    limits::SlidingLog,
    run::{RunEvent, RunID, RunState},
    store::{StoreError, Stored},
};

/// How long is waited after the ledger failed.
const LEDGER_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// Gives a sealed run to the lane of its gateway.
pub async fn give_turns(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    assignment: Arc<Assignment>,
    started: bool,
) -> Stored<()> {
    let Some(lane) = lanes.get(&assignment.campaign.gateway) else {
        tracing::error!(run = %assignment.run, "the run waits: its gateway is not in the settings any more");
        return Ok(());
    };
    let limits = &assignment.campaign.delivery.limits;
    let reach_ms = SlidingLog::new(limits).longest_window_ms();
    let past = if reach_ms == 0 {
        Vec::new()
    } else {
        let (gateway, id) = (assignment.campaign.gateway.clone(), assignment.campaign_id().clone());
        let since = parts.clock.now() - SignedDuration::from_millis(reach_ms);
        parts.ledger.call(move |store| store.past_calls(&gateway, Some(&id), since)).await?
    };
    lane.add(assignment, started, &past);
    Ok(())
}

/// Opens a run and gives it to its lane. Tells whether the run is over instead.
pub async fn open_and_hand_over(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    places: &Semaphore,
    assignment: &Arc<Assignment>,
) -> bool {
    let run = assignment.run.clone();
    loop {
        let fault = match opening::open(parts, places, assignment).await {
            Ok(state) if state.is_over() => {
                report::run_over(parts, &run).await;
                return true;
            }
            Ok(_) => match give_turns(parts, lanes, Arc::clone(assignment), false).await {
                Ok(()) => return false,
                Err(error) => OpeningFault::Ledger(error),
            },
            Err(fault) => fault,
        };
        let over = match fault {
            // A person has cancelled it meanwhile.
            OpeningFault::Ledger(StoreError::Transition(_) | StoreError::Corrupt(_)) => true,
            OpeningFault::Ledger(error) => {
                tracing::error!(%run, %error, "the audience cannot be recorded, and waits");
                sleep_until(parts.clock.as_ref(), parts.clock.now() + LEDGER_RETRY).await;
                false
            }
            fault => {
                tracing::error!(%run, "missed (audience): {fault}");
                opening_failed(parts, &run, fault.to_string()).await
            }
        };
        if over {
            report::run_over(parts, &run).await;
            return true;
        }
    }
}

async fn opening_failed(parts: &Parts, run: &RunID, reason: String) -> bool {
    let (run, now) = (run.clone(), parts.clock.now());
    let failed = parts
        .ledger
        .call(move |store| {
            let event = RunEvent::OpeningFailed { reason: format!("audience: {reason}") };
            store.run_event(&run, event, Some("audience"), now)
        })
        .await;
    match failed {
        Ok(state) => matches!(state, RunState::Failed { .. }),
        Err(StoreError::Transition(_)) => true,
        Err(error) => {
            tracing::error!(%error, "an opening that failed cannot be recorded, and waits");
            sleep_until(parts.clock.as_ref(), now + LEDGER_RETRY).await;
            false
        }
    }
}
