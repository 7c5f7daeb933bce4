//! What is due: planned, recorded, and started.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::{LEDGER_RETRY, assignment::Assignment, conductor::Conductor};
use crate::{
    campaign::{Campaign, CampaignID},
    plan::{Decision, Fate, Hold, Plan, around, plan},
    run::{RunID, Trigger},
    store::{DecidedSlots, NewRun, Stored},
};

/// How long a file of dates that cannot be read is waited for.
const DATES_RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Campaigns whose decisions are committed together.
pub const CAMPAIGNS_A_COMMIT: usize = 200;

/// A campaign with what is to be recorded about its slots.
pub struct Planned {
    pub campaign: Arc<Campaign>,
    pub plan: Plan,
}

impl Planned {
    pub fn decided(&self) -> DecidedSlots {
        let with_run = |decision: &Decision| {
            let run = (decision.fate == Fate::Run).then(|| new_run(&self.campaign, decision));
            (decision.clone(), run)
        };
        DecidedSlots {
            campaign: self.campaign.id.clone(),
            decisions: self.plan.decisions.iter().map(with_run).collect(),
            decided_until: self.plan.decided_until,
            queued: self.plan.queued,
            next_occurrence: self.plan.next_occurrence,
        }
    }
}

impl Conductor {
    /// Decides every slot that is due and starts the runs that this makes. Where that cannot be
    /// recorded, it waits, and so must whatever would follow.
    ///
    /// In slices: while one is committed the next is planned, so that of a thousand campaigns that are
    /// due at once the first do not wait for the last.
    pub async fn decide(&mut self) -> Stored<()> {
        // What a step of the clock has jumped over just now must not pass for attended.
        let now = self.look_at_clock().await;
        self.begin_crowd(now).await?;
        let due = self.catalogue.take_due(now);
        let mut commits = JoinSet::new();
        let mut result = Ok(());
        for slice in due.chunks(CAMPAIGNS_A_COMMIT) {
            let mut planned = Vec::with_capacity(slice.len());
            for id in slice.iter().filter(|id| !self.crowd.as_ref().is_some_and(|crowd| crowd.has(id))) {
                planned.extend(self.plan(id, now).await);
            }
            if planned.is_empty() {
                continue;
            }
            let decided: Vec<_> = planned.iter().map(Planned::decided).collect();
            let ledger = self.parts.ledger.clone();
            commits.spawn(async move {
                let made = ledger.call(move |store| store.slots_decide(&decided, now)).await;
                (planned, made)
            });
            while let Some(Ok((planned, made))) = commits.try_join_next() {
                result = result.and(self.decided(planned, made, now));
            }
        }
        while let Some(Ok((planned, made))) = commits.join_next().await {
            result = result.and(self.decided(planned, made, now));
        }
        result
    }

    async fn plan(&self, id: &CampaignID, now: Timestamp) -> Option<Planned> {
        let (campaign, standing) = self.catalogue.standing(id)?;
        let (campaign, standing) = self.with_dates(id, campaign, standing).await;
        let mut plan = plan(now, &campaign, standing);
        if let Some(decided) = self.catalogue.decided_ahead(id) {
            plan.decisions = around(plan.decisions, &campaign, decided);
        }
        if standing.hold == Hold::NoDates {
            plan.next_at = plan.next_at.map(|at| at.min(now + DATES_RETRY));
        }
        Some(Planned { campaign, plan })
    }

    /// Starts the runs of plans that have been recorded; wakes those campaigns again that have not.
    fn decided(
        &mut self,
        planned: Vec<Planned>,
        made: Stored<Vec<Option<RunID>>>,
        now: Timestamp,
    ) -> Stored<()> {
        let made = made.inspect_err(|error| {
            tracing::error!(%error, "what is due cannot be recorded, and waits");
            for Planned { campaign, .. } in &planned {
                self.catalogue.wake_at(&campaign.id, Some(now + LEDGER_RETRY));
            }
        })?;
        for (Planned { campaign, plan }, run) in planned.into_iter().zip(made) {
            let id = &campaign.id;
            self.catalogue.decided(id, &plan);
            for decision in &plan.decisions {
                if let Some(reason) = decision.fate.reason() {
                    let (slot, count) = (decision.slot, decision.count);
                    tracing::warn!(campaign = %id, %slot, count, "{} ({reason})", decision.fate.name());
                }
            }
            if let Some(run) = run {
                self.start_run(id, run, &campaign, &plan);
            }
        }
        Ok(())
    }

    fn start_run(&mut self, id: &CampaignID, run: RunID, campaign: &Arc<Campaign>, plan: &Plan) {
        let (Some(entry), Some(decision)) = (self.catalogue.get(id), plan.run()) else { return };
        let assignment = assignment(campaign, &entry.record.path, run, decision);
        let late = self.parts.clock.now().duration_since(decision.due);
        self.parts.signals.lateness.send_modify(|lateness| lateness.record(late, 1));
        self.catalogue.run_made(id, &assignment.run);
        self.open(Arc::new(assignment));
    }
}

/// The run of a slot, as it is worked on.
pub fn assignment(campaign: &Arc<Campaign>, path: &str, run: RunID, decision: &Decision) -> Assignment {
    let NewRun { start_by, finish_by, .. } = new_run(campaign, decision);
    Assignment {
        run,
        message: Arc::new(campaign.message.clone()),
        campaign: Arc::clone(campaign),
        path: path.to_owned(),
        only_to: None,
        start_by,
        finish_by,
    }
}

/// The run of a slot.
pub fn new_run(campaign: &Campaign, decision: &Decision) -> NewRun {
    NewRun {
        trigger: Trigger::Schedule,
        slot: decision.slot,
        due_at: decision.due,
        start_by: decision.start_from + campaign.lateness.max,
        finish_by: decision.slot + campaign.finish_within,
        gateway: campaign.gateway.clone(),
        only_to: None,
    }
}
