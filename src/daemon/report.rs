//! What a run tells when it is over.

use super::Parts;
use crate::{
    run::{RunID, RunState},
    store::Confirmations,
};

/// How many reasons a run's end line names.
const REASONS: u32 = 3;

/// Logs that nothing is sent.
pub fn locked(reason: &str) {
    tracing::error!(
        "LOCKED: nothing is sent, for the ledger may be an older copy: {reason}. `campaignd db unlock` says what \
         it would do, and asks"
    );
}

/// Logs the end of a run: its counts, why recipients were not accepted, and what to ask next.
pub async fn run_over(parts: &Parts, run: &RunID) {
    let wanted = run.clone();
    let found = parts.ledger.call(move |store| {
        let reasons = store.run_reasons(&wanted, REASONS)?;
        Ok((store.run(&wanted)?, reasons, store.run_confirmations(&wanted)?))
    });
    let (record, reasons, confirmations) = match found.await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%run, %error, "a run is over and cannot be reported");
            return;
        }
    };
    let counts = record.counts;
    let why = record.state.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let mut line =
        format!("{run} {}{why}: {} of {} accepted", record.state.name(), counts.accepted, counts.audience);
    for counted in &reasons {
        line += &format!(", {} {}", counted.recipients, counted.outcome);
        if counted.reason.code != counted.outcome {
            line += &format!(" ({})", counted.reason.code);
        }
    }
    let named: u64 = reasons.iter().map(|counted| counted.recipients).sum();
    let others = counts.decided() - counts.accepted - named.min(counts.decided() - counts.accepted);
    if others > 0 {
        line += &format!(", {others} others");
    }
    if let Some(Confirmations { confirmed, not_found }) = confirmations {
        line += &format!(", {confirmed} confirmed");
        if not_found > 0 {
            line += &format!(", {not_found} accepted and not found");
        }
    }
    line += &format!(". See: campaignd show {run}");
    let nowhere = parts.gateways.0.get(&record.gateway).is_some_and(|post| !post.gateway.delivers());
    if nowhere {
        line = format!("SANDBOX {line}");
    }
    let good = matches!(record.state, RunState::Completed { .. })
        && confirmations.is_none_or(|confirmations| confirmations.not_found == 0)
        && counts.accepted + counts.excluded == counts.audience;
    if good {
        tracing::info!(%run, "{line}");
    } else {
        tracing::warn!(%run, "{line}");
    }
}
