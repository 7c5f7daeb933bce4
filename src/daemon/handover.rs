//! Handing a run over: from the decision, through the opening of its audience, to its lane.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    BATCHES_A_DRAIN, LEDGER_RETRY, Parts,
    assignment::Assignment,
    lane::{Lane, RunOver},
    late::Late,
    opening::{self, OpeningFault},
    report,
    turn::Before,
};
use crate::{
    clock::Clock,
    limits::SlidingLog,
    run::{RunEvent, RunID, RunState},
    store::{Drain, PastCall, RunRecord, Store, StoreError},
};

/// Between two looks at a run that nobody can send.
const END_LOOK: Duration = Duration::from_secs(1);
/// Runs of a crowd that are opened at once: enough that the ledger commits many together.
const OPENINGS_OF_A_CROWD: usize = 128;

/// Calls of the past as the steady clock would have timed them, which limits go by.
pub fn by_steady_clock(clock: &dyn Clock, past: Vec<PastCall>) -> Vec<PastCall> {
    let (now, steady) = (clock.now(), clock.steady());
    let ago = |call: &PastCall| now.duration_since(call.ended_at).max(SignedDuration::ZERO);
    past.into_iter().map(|call| PastCall { ended_at: steady - ago(&call), ..call }).collect()
}

/// Gives a sealed run to the lane of its gateway, however long the ledger needs.
pub async fn give_turns(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    assignment: Arc<Assignment>,
    before: Before,
) {
    let Some(lane) = lanes.get(&assignment.campaign.gateway) else {
        tracing::error!(run = %assignment.run, "the run waits: its gateway is not in the settings any more");
        return;
    };
    let limits = &assignment.campaign.delivery.limits;
    let reach_ms = SlidingLog::new(limits).longest_window_ms();
    let past = if reach_ms == 0 { Vec::new() } else { past_calls(parts, &assignment, reach_ms).await };
    lane.add(assignment, before, &past);
}

/// The calls of a run's campaign, as far as its own limits reach back.
async fn past_calls(parts: &Parts, assignment: &Assignment, reach_ms: i64) -> Vec<PastCall> {
    loop {
        let (gateway, id) = (assignment.campaign.gateway.clone(), assignment.campaign_id().clone());
        let since = parts.clock.now() - SignedDuration::from_millis(reach_ms);
        match parts.ledger.call(move |store| store.past_calls(&gateway, Some(&id), since)).await {
            Ok(past) => return by_steady_clock(parts.clock.as_ref(), past),
            Err(error) => {
                tracing::error!(run = %assignment.run, %error, "the run waits: its limits cannot be read");
                tokio::time::sleep(LEDGER_RETRY).await;
            }
        }
    }
}

/// Waits for the end of a run that nobody can send any more: a person cancels it, or its time is over.
pub async fn await_end(parts: &Parts, record: &RunRecord) {
    loop {
        let (run, now) = (record.id.clone(), parts.clock.now());
        let looked = parts.ledger.call(move |store| {
            // A person may have given it more time meanwhile.
            let RunRecord { state, start_by, finish_by, .. } = store.run(&run)?;
            match state {
                RunState::Pending if now > start_by => {
                    let reason = "audience: its revision does not fit the settings any more".to_owned();
                    store.run_event(&run, RunEvent::OpeningFailed { reason }, Some("audience"), now)?;
                }
                RunState::Running | RunState::Paused { .. } if now > finish_by => {
                    store.run_event(&run, Late::Finish.event(), Late::Finish.missed(), now)?;
                }
                _ => {}
            }
            store.run_drain(&run, BATCHES_A_DRAIN, false, now)
        });
        match looked.await {
            Ok(Drain::Over(_)) => return report::run_over(parts, &record.id).await,
            Ok(Drain::More) => continue,
            Ok(Drain::Busy) => {}
            Err(error) => tracing::error!(run = %record.id, %error, "the run cannot be looked at"),
        }
        tokio::time::sleep(END_LOOK).await;
    }
}

/// Opens the runs of a crowd, so many at a time.
pub async fn open_crowd(
    parts: Parts,
    lanes: Arc<BTreeMap<String, Arc<Lane>>>,
    over: mpsc::Sender<RunOver>,
    crowd: Vec<Arc<Assignment>>,
) {
    let mut openings = JoinSet::new();
    for assignment in crowd {
        if openings.len() >= OPENINGS_OF_A_CROWD {
            openings.join_next().await;
        }
        let (parts, lanes, over) = (parts.clone(), Arc::clone(&lanes), over.clone());
        openings.spawn(async move { open_and_hand_over(&parts, &lanes, &over, &assignment).await });
    }
    while openings.join_next().await.is_some() {}
}

/// Opens a run and gives it to its lane; or says that it is over instead.
pub async fn open_and_hand_over(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    over: &mpsc::Sender<RunOver>,
    assignment: &Arc<Assignment>,
) {
    if open(parts, lanes, assignment).await {
        let run_over = RunOver { run: assignment.run.clone(), campaign: assignment.campaign_id().clone() };
        // Where nobody listens the daemon is ending.
        let _ = over.send(run_over).await;
    }
}

/// Tells whether the run is over already.
async fn open(parts: &Parts, lanes: &BTreeMap<String, Arc<Lane>>, assignment: &Arc<Assignment>) -> bool {
    let run = assignment.run.clone();
    // Where its gateway is gone there is nothing to gather.
    let alone = Semaphore::new(1);
    let places = lanes.get(&assignment.campaign.gateway).map_or(&alone, |lane| &lane.openings);
    loop {
        let fault = match opening::open(parts, places, assignment).await {
            Ok(state) if state.is_over() => {
                report::run_over(parts, &run).await;
                return true;
            }
            Ok(_) => {
                give_turns(parts, lanes, Arc::clone(assignment), Before::default()).await;
                return false;
            }
            Err(fault) => fault,
        };
        let over = match fault {
            // A person has cancelled it meanwhile.
            OpeningFault::Ledger(StoreError::Transition(_) | StoreError::Corrupt(_)) => true,
            OpeningFault::Ledger(error) => {
                tracing::error!(%run, %error, "the audience cannot be recorded, and waits");
                tokio::time::sleep(LEDGER_RETRY).await;
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
    let (name, now) = (run.clone(), parts.clock.now());
    let fails = move |store: &mut dyn Store| {
        let event = RunEvent::OpeningFailed { reason: format!("audience: {reason}") };
        store.run_event(&name, event, Some("audience"), now)
    };
    // What was found wrong at the end of millions is not thrown away at once.
    let failed = match opening::throw_away(&parts.ledger, run).await {
        Ok(()) => parts.ledger.call(fails).await,
        Err(error) => Err(error),
    };
    match failed {
        Ok(state) => matches!(state, RunState::Failed { .. }),
        Err(StoreError::Transition(_)) => true,
        Err(error) => {
            tracing::error!(%error, "an opening that failed cannot be recorded, and waits");
            tokio::time::sleep(LEDGER_RETRY).await;
            false
        }
    }
}
