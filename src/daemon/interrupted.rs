//! Runs whose calls a daemon that is gone left without an answer: what becomes of whoever was asked.

use std::collections::HashMap;

use super::{Parts, assignment::Assignment, reading::read_revision};
use crate::{
    run::{RunID, inquiry::Doubt},
    store::{RunRecord, Stored},
};

/// What each run that is not over does about those who were asked by a daemon that is gone.
pub async fn doubts(parts: &Parts) -> Stored<HashMap<RunID, Doubt>> {
    let open = parts.ledger.call(|store| store.runs_open()).await?;
    let doubt = |record: RunRecord| {
        let campaign = read_revision(parts, &record.path, &record.yaml, record.campaign.as_str())?;
        let post = parts.gateways.0.get(&campaign.gateway)?;
        let assignment = Assignment::new(record, campaign);
        let (doubt, _) = assignment.doubt(post.gateway.as_ref(), assignment.addressing());
        Some((assignment.run, doubt))
    };
    Ok(open.into_iter().filter(|record| record.counts.in_flight > 0).filter_map(doubt).collect())
}
