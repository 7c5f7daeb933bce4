//! What the log tells of a folder that has changed, and of a run that is over.

use std::collections::BTreeMap;

use super::Parts;
use crate::{
    campaign::CampaignID,
    revision::Change,
    run::{RunID, RunState},
    store::{Confirmations, ProblemRecord},
};

/// How many reasons a run's end line names.
const REASONS: u32 = 3;
/// The most of a kind that are told one by one; of more it is told how many there are.
const MOST_TOLD: usize = 20;

/// Logs what a change of the folder does to campaigns.
pub fn folder_changes(changes: &[Change], is_in_force: impl Fn(&CampaignID) -> bool) {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes {
        let (what, path) = match change {
            Change::Apply { campaign, path } if is_in_force(campaign) => ("changed", Some(path)),
            Change::Apply { path, .. } => ("added", Some(path)),
            Change::Move { path, .. } => ("renamed", Some(path)),
            Change::Reject { .. } => ("its last edit is rejected; the revision in force stays so", None),
            Change::Accept { .. } => ("its file is the revision in force again", None),
            Change::Suspend { .. } => ("its file is gone: it waits, and is removed in 60 s", None),
            // What is held is told once for all.
            Change::Hold { .. } => continue,
            Change::Restore { .. } => ("its file is back", None),
            Change::Remove { .. } => ("removed", None),
        };
        let count = told.entry(what).or_default();
        *count += 1;
        if *count <= MOST_TOLD {
            let (campaign, path) = (change.campaign(), path.map(tracing::field::display));
            match change {
                Change::Reject { .. } | Change::Suspend { .. } => tracing::warn!(%campaign, "{what}"),
                _ => tracing::info!(%campaign, path, "{what}"),
            }
        }
    }
    for (what, count) in told.into_iter().filter(|(_, count)| *count > MOST_TOLD) {
        tracing::warn!("and {} campaigns more: {what}. See: campaignd status", count - MOST_TOLD);
    }
}

/// Logs what has become wrong in the folder.
pub fn problems<'a>(mut problems: impl Iterator<Item = &'a ProblemRecord>) {
    for problem in problems.by_ref().take(MOST_TOLD) {
        let place = format!("{}:{}:{}", problem.path, problem.line, problem.column);
        tracing::warn!(code = %problem.code, "{place}: {}", problem.message);
    }
    let untold = problems.count();
    if untold > 0 {
        tracing::warn!("and {untold} problems more. See: campaignd status, or campaignd check");
    }
}

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
