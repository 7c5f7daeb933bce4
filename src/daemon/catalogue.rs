//! The campaigns in force, as the conductor holds them between two looks at the ledger.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    campaign::{Campaign, CampaignID},
    plan::{Hold, Plan, Standing},
    revision::InForce,
    run::RunID,
    store::CampaignRecord,
};

/// A campaign in force.
#[derive(Debug)]
pub struct Entry {
    pub record: CampaignRecord,
    /// The revision in force, read with the settings of now; None when it cannot be any more.
    pub campaign: Option<Arc<Campaign>>,
    next_at: Option<Timestamp>,
    /// Since when its slots could have been started, without a break.
    attended_since: Timestamp,
}

/// Revisions, read, by their campaign.
pub type Campaigns = HashMap<CampaignID, Arc<Campaign>>;

/// The campaigns, the order in which they are due, and their open runs.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: BTreeMap<CampaignID, Entry>,
    /// When each wants a decision; an entry that has changed its mind since is passed over.
    due: BinaryHeap<Reverse<(Timestamp, CampaignID)>>,
    open_runs: HashMap<CampaignID, Vec<RunID>>,
    /// Slots that are decided although those before them are not: the clock has been set back.
    decided_ahead: HashMap<CampaignID, BTreeSet<Timestamp>>,
}

impl Catalogue {
    /// Takes all that the ledger holds.
    pub fn refresh(&mut self, records: Vec<CampaignRecord>, campaigns: Campaigns, now: Timestamp) {
        let held: HashSet<&CampaignID> = records.iter().map(|record| &record.id).collect();
        self.entries.retain(|id, _| held.contains(id));
        self.take(records, campaigns, now);
    }

    /// Takes what the ledger holds of some campaigns.
    pub fn take(&mut self, records: Vec<CampaignRecord>, mut campaigns: Campaigns, now: Timestamp) {
        for record in records {
            let id = record.id.clone();
            let known = self.entries.get(&id);
            // Nothing of it has changed, nor when it wants a decision.
            if known.is_some_and(|entry| entry.record == record) {
                continue;
            }
            let attended = known.filter(|entry| hold(&entry.record) == Hold::None);
            let attended_since = attended.map_or(now, |entry| entry.attended_since);
            let campaign = match known.filter(|entry| entry.record.revision == record.revision) {
                Some(entry) => entry.campaign.clone(),
                None => campaigns.remove(&id),
            };
            self.entries.insert(id.clone(), Entry { record, campaign, next_at: None, attended_since });
            self.wake_at(&id, Some(now));
        }
    }

    /// Whether a record's revision is not the one that is known.
    pub fn is_news(&self, record: &CampaignRecord) -> bool {
        self.entries.get(&record.id).is_none_or(|entry| entry.record.revision != record.revision)
    }

    pub fn get(&self, campaign: &CampaignID) -> Option<&Entry> {
        self.entries.get(campaign)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&CampaignID, &Entry)> {
        self.entries.iter()
    }

    /// Why each campaign is paused, if it is.
    pub fn paused(&self) -> BTreeMap<CampaignID, Option<String>> {
        self.entries.iter().map(|(id, entry)| (id.clone(), entry.record.paused.clone())).collect()
    }

    /// The campaigns as the folder is compared with them.
    pub fn in_force(&self) -> BTreeMap<&CampaignID, InForce<'_>> {
        self.entries.iter().map(|(id, entry)| (id, entry.record.in_force())).collect()
    }

    /// Whether a campaign is in force: not a new one, and not removed.
    pub fn is_in_force(&self, campaign: &CampaignID) -> bool {
        self.entries.get(campaign).is_some_and(|entry| !entry.record.removed)
    }

    /// Where a campaign stands for the planner; None when it plans nothing.
    pub fn standing(&self, campaign: &CampaignID) -> Option<(Arc<Campaign>, Standing)> {
        let entry = self.entries.get(campaign)?;
        let record = &entry.record;
        if record.removed || !record.enabled {
            return None;
        }
        let standing = Standing {
            decided_until: record.decided_until,
            counts_from: record.counts_from,
            attended_since: entry.attended_since,
            queued: record.queued,
            hold: hold(record),
            running: self.open_runs.get(campaign).is_some_and(|runs| !runs.is_empty()),
        };
        Some((Arc::clone(entry.campaign.as_ref()?), standing))
    }

    /// Takes the slots that are decided although those before them are not.
    pub fn take_decided_ahead(&mut self, slots: Vec<(CampaignID, Timestamp)>) {
        self.decided_ahead.clear();
        for (campaign, slot) in slots {
            self.decided_ahead.entry(campaign).or_default().insert(slot);
        }
    }

    /// The slots of a campaign that are decided ahead, where there are any.
    pub fn decided_ahead(&self, campaign: &CampaignID) -> Option<&BTreeSet<Timestamp>> {
        self.decided_ahead.get(campaign)
    }

    /// Nobody could have started a slot of any campaign just before now.
    pub fn unattended_until(&mut self, now: Timestamp) {
        for entry in self.entries.values_mut() {
            entry.attended_since = now;
        }
    }

    /// What a plan has decided.
    pub fn decided(&mut self, campaign: &CampaignID, plan: &Plan) {
        if let Some(entry) = self.entries.get_mut(campaign) {
            entry.record.decided_until = entry.record.decided_until.max(plan.decided_until);
            entry.record.queued = plan.queued;
        }
        self.wake_at(campaign, plan.next_at);
    }

    /// When a campaign wants its next decision.
    pub fn wake_at(&mut self, campaign: &CampaignID, at: Option<Timestamp>) {
        if let Some(entry) = self.entries.get_mut(campaign) {
            entry.next_at = at;
            self.due.extend(at.map(|at| Reverse((at, campaign.clone()))));
        }
    }

    /// A campaign's file is gone since then, or there again; the ledger will say so too.
    pub fn gone(&mut self, campaign: &CampaignID, since: Option<Timestamp>) {
        if let Some(entry) = self.entries.get_mut(campaign) {
            entry.record.gone_since = since;
        }
    }

    /// Every campaign wants a decision.
    pub fn wake_all(&mut self, at: Timestamp) {
        for (campaign, entry) in &mut self.entries {
            entry.next_at = Some(at);
            self.due.push(Reverse((at, campaign.clone())));
        }
    }

    /// When the next campaign wants a decision.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out every campaign that wants a decision by now.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<CampaignID> {
        let mut due = Vec::new();
        while let Some(Reverse((at, _))) = self.due.peek()
            && *at <= now
            && let Some(Reverse((at, campaign))) = self.due.pop()
        {
            if self.takes_out(&campaign, at) {
                due.push(campaign);
            }
        }
        due
    }

    /// Takes out up to `most` campaigns that want a decision at the first instant at which any does, if that is not
    /// after `until`.
    pub fn take_first(&mut self, until: Timestamp, most: usize) -> Option<(Timestamp, Vec<CampaignID>)> {
        let mut first: Option<(Timestamp, Vec<CampaignID>)> = None;
        while let Some(Reverse((at, _))) = self.due.peek()
            && *at <= first.as_ref().map_or(until, |(at, _)| *at)
            && first.as_ref().is_none_or(|(_, campaigns)| campaigns.len() < most)
            && let Some(Reverse((at, campaign))) = self.due.pop()
        {
            if self.takes_out(&campaign, at) {
                first.get_or_insert_with(|| (at, Vec::new())).1.push(campaign);
            }
        }
        first
    }

    /// Takes a campaign out of the order, unless it has changed its mind about this instant.
    fn takes_out(&mut self, campaign: &CampaignID, at: Timestamp) -> bool {
        let entry = self.entries.get_mut(campaign).filter(|entry| entry.next_at == Some(at));
        entry.map(|entry| entry.next_at = None).is_some()
    }

    /// Whether a run is open that another would wait for.
    pub fn has_open_runs(&self) -> bool {
        !self.open_runs.is_empty()
    }

    /// A run has been made. A test send is none that another waits for.
    pub fn run_made(&mut self, campaign: &CampaignID, run: &RunID) {
        let runs = self.open_runs.entry(campaign.clone()).or_default();
        if !runs.contains(run) {
            runs.push(run.clone());
        }
    }

    /// A run is over: a slot that has waited for it wants a decision.
    pub fn run_over(&mut self, campaign: &CampaignID, run: &RunID, now: Timestamp) {
        self.wake_at(campaign, Some(now));
        if let Some(runs) = self.open_runs.get_mut(campaign) {
            runs.retain(|open| open != run);
            if runs.is_empty() {
                self.open_runs.remove(campaign);
            }
        }
    }
}

/// What keeps a campaign from starting runs.
fn hold(record: &CampaignRecord) -> Hold {
    match (&record.gone_since, &record.paused) {
        (Some(_), _) => Hold::Gone,
        (None, Some(_)) => Hold::Paused,
        (None, None) => Hold::None,
    }
}
