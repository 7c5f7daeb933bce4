//! A crowd: so many campaigns due at one instant that what is decided about them is committed shortly ahead of it.
//!
//! A decision costs the ledger some tens of microseconds, and ten thousand of them half a second, in which the first
//! would wait for the last. Until the instant comes everything that is decided so can be taken back, and is, before
//! anything that it was made from changes: a file, a pause, a send, the clock. What then is not decided ahead is decided
//! at its instant, as ever.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    LEDGER_RETRY,
    assignment::Assignment,
    conductor::Conductor,
    deciding::{CAMPAIGNS_A_COMMIT, Planned, assignment},
};
use crate::{
    campaign::CampaignID,
    plan::{Fate, Hold, Plan, plan},
    store::Stored,
};

/// Campaigns due at one instant that make a crowd: fewer are decided within a few milliseconds.
pub const CROWD: usize = 100;
/// How long ahead of their instant they are decided.
const AHEAD: SignedDuration = SignedDuration::from_secs(2);

/// Who waits for one instant.
pub(super) struct Crowd {
    due: Timestamp,
    /// Those whose runs are made.
    ready: BTreeMap<CampaignID, (Plan, Arc<Assignment>)>,
    /// Those of whom more than that will have to be said: they are decided when it comes.
    others: Vec<CampaignID>,
    /// When they begin: at their instant or, where the ledger did not take that, when it is tried again.
    next_at: Timestamp,
    /// What they were decided from is about to change: they do not begin, but are taken back.
    is_stale: bool,
}

impl Crowd {
    /// When something is to be done about them.
    pub fn next_at(&self) -> Timestamp {
        self.next_at
    }

    /// Whether a campaign's next slot is decided.
    pub fn has(&self, campaign: &CampaignID) -> bool {
        self.ready.contains_key(campaign)
    }
}

impl Conductor {
    /// Decides a part of those who will be due at one instant soon, if they are a crowd. Tells whether there may be
    /// more of them: between two parts others have their turn.
    pub async fn decide_ahead(&mut self) -> bool {
        let now = self.parts.clock.now();
        let most = CAMPAIGNS_A_COMMIT.max(self.parts.crowd);
        let Some((due, campaigns)) = self.catalogue.take_first(now + AHEAD, most) else { return false };
        let goes_on = match &self.crowd {
            Some(crowd) => crowd.due == due && !crowd.is_stale,
            None => campaigns.len() >= self.parts.crowd,
        };
        if due <= now || !goes_on {
            for id in campaigns {
                self.catalogue.wake_at(&id, Some(due));
            }
            return false;
        }
        let mut planned = Vec::with_capacity(campaigns.len());
        let mut others = Vec::new();
        for id in campaigns {
            match self.plan_ahead(&id, due) {
                Some(plan) => planned.push(plan),
                None => others.push(id),
            }
        }
        let decided: Vec<_> = planned.iter().map(Planned::decided).collect();
        let made = self.parts.ledger.call(move |store| store.crowd_decide(due, &decided, now)).await;
        let is_recorded = made.is_ok();
        let made = made.unwrap_or_else(|error| {
            tracing::error!(%error, "what is due soon cannot be recorded ahead, and waits for its time");
            vec![None; planned.len()]
        });
        let crowd = self.crowd.get_or_insert_with(|| Crowd {
            due,
            ready: BTreeMap::new(),
            others: Vec::new(),
            next_at: due,
            is_stale: false,
        });
        crowd.others.extend(others);
        for (Planned { campaign, plan }, run) in planned.into_iter().zip(made) {
            let assignment = run.and_then(|run| {
                let path = &self.catalogue.get(&campaign.id)?.record.path;
                Some(Arc::new(assignment(&campaign, path, run, plan.run()?)))
            });
            match assignment {
                Some(assignment) => drop(crowd.ready.insert(campaign.id.clone(), (plan, assignment))),
                None => crowd.others.push(campaign.id.clone()),
            }
        }
        is_recorded
    }

    /// What will be decided of a campaign at an instant that is still to come, where that is one run and nothing
    /// else, and nothing but the ledger and its file has a say in it.
    fn plan_ahead(&self, id: &CampaignID, due: Timestamp) -> Option<Planned> {
        let (campaign, standing) = self.catalogue.standing(id)?;
        let is_plain = standing.hold == Hold::None
            && !standing.running
            && standing.queued.is_none()
            && self.catalogue.decided_ahead(id).is_none()
            && campaign.schedules.iter().all(|schedule| schedule.except.file.is_none());
        let plan = is_plain.then(|| plan(due, &campaign, standing))?;
        let [decision] = plan.decisions.as_slice() else { return None };
        let runs_then = decision.fate == Fate::Run && decision.due == due && plan.queued.is_none();
        runs_then.then_some(Planned { campaign, plan })
    }

    /// Hands the crowd over when its instant has come. Where that cannot be recorded, it waits.
    pub(super) async fn begin_crowd(&mut self, now: Timestamp) -> Stored<()> {
        let Some(crowd) = self.crowd.as_mut().filter(|crowd| crowd.next_at <= now) else { return Ok(()) };
        if crowd.is_stale {
            return self.disperse_crowd().await;
        }
        let due = crowd.due;
        if let Err(error) = self.parts.ledger.call(move |store| store.crowd_begin(due)).await {
            tracing::error!(%error, "the runs of {due} wait: the ledger does not take that they begin");
            crowd.next_at = now + LEDGER_RETRY;
            return Err(error);
        }
        let Some(Crowd { ready, others, .. }) = self.crowd.take() else { return Ok(()) };
        self.open_crowd(ready.values().map(|(_, assignment)| Arc::clone(assignment)).collect());
        let late = self.parts.clock.now().duration_since(due);
        self.parts.signals.lateness.send_modify(|lateness| lateness.record(late, ready.len() as u64));
        for (id, (plan, assignment)) in &ready {
            self.catalogue.decided(id, plan);
            self.catalogue.run_made(id, &assignment.run);
        }
        for id in &others {
            self.catalogue.wake_at(id, Some(due));
        }
        Ok(())
    }

    /// Takes back what is decided ahead: what it was made from is about to change. Where that cannot be recorded
    /// it does not begin before it can.
    pub(super) async fn disperse_crowd(&mut self) -> Stored<()> {
        let Some(crowd) = &mut self.crowd else { return Ok(()) };
        (crowd.is_stale, crowd.next_at) = (true, self.parts.clock.now() + LEDGER_RETRY);
        let due = crowd.due;
        self.parts.ledger.call(move |store| store.crowd_disperse(Some(due))).await?;
        if let Some(Crowd { due, ready, others, .. }) = self.crowd.take() {
            for id in ready.into_keys().chain(others) {
                self.catalogue.wake_at(&id, Some(due));
            }
        }
        Ok(())
    }
}
