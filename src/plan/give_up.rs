//! Slots at the edges of a campaign's life, and of a revision's.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Decision, Fate, Miss, Plan, Standing, plan};
use crate::{
    campaign::Campaign,
    schedule::{Pattern, Slot},
};

/// Decides every slot up to now of a campaign that will not run them any more.
pub fn give_up(now: Timestamp, campaign: &Campaign, mut standing: Standing) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    loop {
        let plan = plan(now, campaign, standing);
        let more_is_due = plan.next_at.is_some_and(|at| at <= now);
        standing.decided_until = plan.decided_until;
        standing.queued = plan.queued;
        plans.push(plan);
        if !more_is_due {
            return plans;
        }
    }
}

/// Up to where the slots of a campaign are decided when another revision of it takes force now: up to now,
/// but for those that the jitter still holds back, which are the new revision's if it has them.
pub fn decided_until(now: Timestamp, campaign: &Campaign, decided_until: Timestamp) -> Timestamp {
    let longest = campaign.schedules.iter().map(|schedule| schedule.jitter).max().unwrap_or_default();
    let start = decided_until.max(now.checked_sub(longest).unwrap_or(now));
    let held_back = campaign.slots_after(start).take_while(|slot| slot.at <= now).find(|slot| slot.due > now);
    match held_back {
        Some(slot) => {
            slot.at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(slot.at).max(decided_until)
        }
        None => now.max(decided_until),
    }
}

/// The `at` slots that passed shortly before their campaign first appeared at `applied_at`: too
/// late to fire, and too close to say nothing.
pub fn applied_late(applied_at: Timestamp, campaign: &Campaign) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for schedule in &campaign.schedules {
        if let Pattern::At(at) = schedule.pattern
            && at <= applied_at
            && applied_at.duration_since(at) <= campaign.lateness.max
        {
            let slot = Slot { at, due: at, excepted: false };
            decisions.push(Decision::of(slot, Fate::Missed(Miss::AppliedLate)));
        }
    }
    decisions.sort_by_key(|decision| decision.slot);
    decisions.dedup();
    decisions
}

/// The decisions without the slots that are decided already, which lie ahead where the clock has been set
/// back: a row is split around them.
pub fn around(decisions: Vec<Decision>, campaign: &Campaign, decided: &BTreeSet<Timestamp>) -> Vec<Decision> {
    let mut apart: Vec<Decision> = Vec::new();
    for decision in decisions {
        if decided.range(decision.slot..=decision.until).next().is_none() {
            apart.push(decision);
            continue;
        }
        let before = decision.slot.checked_sub(SignedDuration::from_millis(1)).unwrap_or(decision.slot);
        let mut row_is_open = false;
        for slot in campaign.slots_after(before).take_while(|slot| slot.at <= decision.until) {
            match apart.last_mut() {
                _ if decided.contains(&slot.at) => row_is_open = false,
                Some(row) if row_is_open => (row.until, row.count) = (slot.at, row.count + 1),
                _ => {
                    apart.push(Decision::of(slot, decision.fate));
                    row_is_open = true;
                }
            }
        }
    }
    apart
}
