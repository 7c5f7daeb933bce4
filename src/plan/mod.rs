//! What is due: the slots of a campaign up to now, each decided once.
//!
//! Knows: slots, lateness, overlap, pauses. Must never know: how a run is made, where decisions are
//! kept, what wakes the planner. Whoever calls may call as often as it likes: only the slots after
//! `decided_until` are looked at, and the same input gives the same decisions.

use jiff::{SignedDuration, Timestamp};

use crate::{campaign::Campaign, schedule::next_slot};

/// The most slots that one call looks at, so that a long outage of a schedule that fires every
/// second does not hold up the others.
const SLOTS_A_CALL: usize = 10_000;

/// Where a campaign stands when it is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Every slot up to and including this instant is decided.
    pub decided_until: Timestamp,
    pub hold: Hold,
    /// Whether a run of it still goes.
    pub running: bool,
}

/// What keeps a campaign from starting runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    None,
    /// Paused by a person: slots wait until they are too late.
    Paused,
    /// Its file is gone, perhaps for a moment: slots wait.
    Gone,
    /// It has left the folder for good.
    Removed,
    /// Paused by a person, and another revision takes its place: slots that wait never run.
    Replaced,
    /// The ledger was a copy when they came: their runs were the original's.
    Restored,
}

/// The decisions of one call, and when to call again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// In the order of their slots; at most the last is a run.
    pub decisions: Vec<Decision>,
    pub decided_until: Timestamp,
    /// When the next slot wants a decision; None when no slot will ever come.
    pub next_at: Option<Timestamp>,
    /// The next slot that may run, for people.
    pub next_occurrence: Option<Timestamp>,
}

/// What becomes of a slot, or of a row of slots that share their fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub slot: Timestamp,
    /// The last slot of the row; `slot` itself when it is one.
    pub until: Timestamp,
    /// How many slots the row has, at least 1.
    pub count: u64,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Run,
    Skipped(Skip),
    Missed(Miss),
}

/// Why a slot was let go on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The campaign's last run still goes.
    Overlap,
}

/// Why a slot could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Its time came more than `lateness.max` ago.
    Late,
    /// The campaign was paused for longer than `lateness.max`.
    Paused,
    /// A later slot, late as well, runs instead.
    CatchUp,
    /// The campaign has left the folder.
    Removed,
    /// It came while the ledger was a copy of another, which has sent since.
    Restored,
    /// An `at` that passed shortly before its campaign first appeared.
    AppliedLate,
}

impl Fate {
    /// The words of `occurrence_log.decision`.
    pub const NAMES: [&'static str; 3] = ["run", "skipped", "missed"];

    pub fn name(self) -> &'static str {
        match self {
            Fate::Run => "run",
            Fate::Skipped(_) => "skipped",
            Fate::Missed(_) => "missed",
        }
    }

    /// The word of `occurrence_log.reason`.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Fate::Run => None,
            Fate::Skipped(Skip::Overlap) => Some("overlap"),
            Fate::Missed(miss) => Some(match miss {
                Miss::Late => "late",
                Miss::Paused => "paused",
                Miss::CatchUp => "catchUp",
                Miss::Removed => "removed",
                Miss::Restored => "restored",
                Miss::AppliedLate => "appliedLate",
            }),
        }
    }
}

/// Decides every slot that is due and can be decided now.
pub fn plan(now: Timestamp, campaign: &Campaign, standing: Standing) -> Plan {
    let mut decisions: Vec<Decision> = Vec::new();
    let mut decided_until = standing.decided_until;
    // The slots that may still run are kept back: only the last of them does.
    let mut waiting: Vec<Timestamp> = Vec::new();
    let mut looked_at = 0;
    let mut next = next_slot(&campaign.schedules, &campaign.zone, decided_until);
    while let Some(slot) = next.filter(|slot| *slot <= now && looked_at < SLOTS_A_CALL) {
        looked_at += 1;
        let late = now.duration_since(slot) > campaign.lateness.max;
        match (standing.hold, late) {
            (Hold::Removed, _) => add(&mut decisions, slot, Fate::Missed(Miss::Removed)),
            (Hold::Restored, _) => add(&mut decisions, slot, Fate::Missed(Miss::Restored)),
            (Hold::Replaced, _) => add(&mut decisions, slot, Fate::Missed(Miss::Paused)),
            (Hold::Gone, _) | (_, false) => waiting.push(slot),
            (Hold::Paused, true) => add(&mut decisions, slot, Fate::Missed(Miss::Paused)),
            (Hold::None, true) => add(&mut decisions, slot, Fate::Missed(Miss::Late)),
        }
        if waiting.is_empty() {
            decided_until = slot;
        }
        next = next_slot(&campaign.schedules, &campaign.zone, slot);
    }
    let more_is_due = next.is_some_and(|slot| slot <= now);
    if standing.hold == Hold::None {
        let runs = if more_is_due { None } else { waiting.pop() };
        for slot in waiting.drain(..) {
            decided_until = slot;
            add(&mut decisions, slot, Fate::Missed(Miss::CatchUp));
        }
        if let Some(slot) = runs {
            decided_until = slot;
            let fate = if standing.running { Fate::Skipped(Skip::Overlap) } else { Fate::Run };
            add(&mut decisions, slot, fate);
        }
    }
    let next_at = match waiting.first() {
        None if more_is_due => Some(now),
        Some(first) if standing.hold == Hold::Paused => {
            let too_late = campaign.lateness.max + SignedDuration::from_millis(1);
            first.checked_add(too_late).ok()
        }
        Some(_) => None,
        None => next,
    };
    let next_occurrence = next.filter(|_| standing.hold != Hold::Removed);
    Plan { decisions, decided_until, next_at, next_occurrence }
}

/// Decides every slot up to now of a campaign that will not run them any more.
pub fn give_up(now: Timestamp, campaign: &Campaign, mut standing: Standing) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    loop {
        let plan = plan(now, campaign, standing);
        let more_is_due = plan.next_at.is_some_and(|at| at <= now);
        standing.decided_until = plan.decided_until;
        plans.push(plan);
        if !more_is_due {
            return plans;
        }
    }
}

/// The `at` slots that passed shortly before their campaign first appeared at `applied_at`: too
/// late to fire, and too close to say nothing.
pub fn applied_late(applied_at: Timestamp, campaign: &Campaign) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for schedule in &campaign.schedules {
        if let crate::schedule::Pattern::At(slot) = schedule.pattern
            && slot <= applied_at
            && applied_at.duration_since(slot) <= campaign.lateness.max
        {
            decisions.push(Decision { slot, until: slot, count: 1, fate: Fate::Missed(Miss::AppliedLate) });
        }
    }
    decisions.sort_by_key(|decision| decision.slot);
    decisions.dedup();
    decisions
}

/// Adds a slot's fate; a miss joins the row of equal misses before it.
fn add(decisions: &mut Vec<Decision>, slot: Timestamp, fate: Fate) {
    match decisions.last_mut() {
        Some(last) if last.fate == fate && matches!(fate, Fate::Missed(_)) => {
            last.until = slot;
            last.count += 1;
        }
        _ => decisions.push(Decision { slot, until: slot, count: 1, fate }),
    }
}

#[cfg(test)]
mod tests;
