//! What is due: the slots of a campaign up to now, each decided once.
//!
//! Knows: slots, lateness, overlap, windows, pauses. Must never know: how a run is made, where decisions
//! are kept, what wakes the planner. Whoever calls may call as often as it likes: only the slots after
//! `decided_until` are looked at, and the same input gives the same decisions.

mod burden;
mod fate;
mod forecast;
mod give_up;

use jiff::{SignedDuration, Timestamp};

pub use burden::finish_at;
pub use fate::{Decision, Fate, Miss, Skip};
pub use forecast::{Expected, Note, forecast, next_occurrence};
pub use give_up::{applied_late, around, decided_until, give_up};

use crate::{
    campaign::{Campaign, CatchUp, Overlap},
    schedule::Slot,
};

/// The most slots that one call looks at, so that a long outage of a schedule that fires every
/// second does not hold up the others.
const SLOTS_A_CALL: usize = 10_000;
const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// Where a campaign stands when it is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Every slot up to and including this instant is decided, but for the one in the queue.
    pub decided_until: Timestamp,
    /// When the revision in force was applied: a slot that was due by then is not this revision's.
    pub counts_from: Timestamp,
    /// Since when its slots could have been started: a slot that was due before is caught up, if at all.
    pub attended_since: Timestamp,
    /// The slot that waits for the last run to be over (`overlap: queue`).
    pub queued: Option<Timestamp>,
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
    /// Its file of dates that are left out cannot be read: slots wait until they are too late.
    NoDates,
    /// Its file is gone, perhaps for a moment: slots wait.
    Gone,
    /// Another revision takes its place: slots that wait never run, for this reason. Those that the jitter
    /// still holds back, and the one in the queue, are the other revision's.
    Replaced(Miss),
    /// None of its slots will run any more, for this reason.
    Ends(Miss),
}

/// The decisions of one call, and when to call again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A slot that has left the queue first, then in the order of their slots; at most one is a run.
    pub decisions: Vec<Decision>,
    pub decided_until: Timestamp,
    /// The slot that waits in the queue from now on.
    pub queued: Option<Timestamp>,
    /// When a slot wants a decision next; None when none will before something changes.
    pub next_at: Option<Timestamp>,
    /// The next slot that may run, for people.
    pub next_occurrence: Option<Timestamp>,
}

impl Plan {
    /// The slot that runs, if one does.
    pub fn run(&self) -> Option<&Decision> {
        self.decisions.iter().find(|decision| decision.fate == Fate::Run)
    }
}

impl Hold {
    /// Why a slot that became too late under this hold is missed; None where it waits on.
    fn late(self) -> Option<Miss> {
        match self {
            Hold::Gone => None,
            Hold::None => Some(Miss::Late),
            Hold::Paused => Some(Miss::Paused),
            Hold::NoDates => Some(Miss::NoDates),
            Hold::Replaced(miss) | Hold::Ends(miss) => Some(miss),
        }
    }
}

/// Decides every slot that is due and can be decided now.
pub fn plan(now: Timestamp, campaign: &Campaign, standing: Standing) -> Plan {
    let mut planner = Planner {
        now,
        campaign,
        standing,
        decisions: Vec::new(),
        decided_until: standing.decided_until,
        queued: standing.queued,
        has_run: false,
        row_is_open: false,
    };
    let queue_at = planner.look_at_queue();
    let due = planner.look_at_slots();
    let next_at = [queue_at, planner.resolve(due)].into_iter().flatten().min();
    Plan {
        next_occurrence: match standing.hold {
            Hold::Ends(_) => None,
            _ => next_occurrence(campaign, planner.decided_until.max(now)),
        },
        decisions: planner.decisions,
        decided_until: planner.decided_until,
        queued: planner.queued,
        next_at,
    }
}

/// The slots that are due and wait for their fate, and what follows them.
struct Due {
    /// In their order; those whose fate is settled already have it.
    line: Vec<(Slot, Option<Fate>)>,
    next: Option<Slot>,
}

struct Planner<'a> {
    now: Timestamp,
    campaign: &'a Campaign,
    standing: Standing,
    decisions: Vec<Decision>,
    decided_until: Timestamp,
    queued: Option<Timestamp>,
    has_run: bool,
    /// Whether the last decision may become a row with the next one.
    row_is_open: bool,
}

impl Planner<'_> {
    fn running(&self) -> bool {
        self.standing.running || self.has_run
    }

    fn is_late(&self, slot: &Slot) -> bool {
        self.now.duration_since(slot.due) > self.campaign.lateness.max
    }

    /// When a slot that waits has become too late.
    fn too_late_at(&self, slot: &Slot) -> Option<Timestamp> {
        slot.due.checked_add(self.campaign.lateness.max + MILLISECOND).ok()
    }

    /// Whether a slot could have been started at its time.
    fn was_attended(&self, slot: &Slot) -> bool {
        slot.due >= self.standing.attended_since
    }

    /// Lets the slot in the queue run once the last run is over. Gives when to look at it again.
    fn look_at_queue(&mut self) -> Option<Timestamp> {
        let at = self.queued?;
        let slot = self.slot_at(at);
        let give_up_at = at.checked_add(self.campaign.finish_within).ok()?;
        if let Hold::Ends(miss) = self.standing.hold {
            self.leave_queue(slot, Fate::Missed(miss));
        } else if let Hold::Replaced(_) = self.standing.hold {
            return None;
        } else if self.now >= give_up_at && self.standing.hold != Hold::Gone {
            self.leave_queue(slot, Fate::Missed(self.standing.hold.late().unwrap_or(Miss::Late)));
        } else if self.standing.hold == Hold::None && !self.running() {
            if self.campaign.may_send_at(self.now) {
                self.leave_queue(slot, Fate::Run);
                return None;
            }
            let window = self.campaign.window.as_ref()?;
            let opens_at = window.opens_from(&self.campaign.calendar.zone, self.now);
            return [opens_at, Some(give_up_at)].into_iter().flatten().min();
        } else if self.standing.hold != Hold::Gone {
            return Some(give_up_at);
        }
        None
    }

    /// The slot at a nominal instant; as it was meant when the schedules do not name it any more.
    fn slot_at(&self, at: Timestamp) -> Slot {
        let before = at.checked_sub(MILLISECOND).unwrap_or(at);
        let named = self.campaign.slots_after(before).next().filter(|slot| slot.at == at);
        named.unwrap_or(Slot { at, due: at, excepted: false })
    }

    fn leave_queue(&mut self, slot: Slot, fate: Fate) {
        self.queued = None;
        self.has_run |= fate == Fate::Run;
        self.row_is_open = false;
        // It has waited for its turn, which is not lateness.
        self.decisions.push(Decision { start_from: self.now, ..Decision::of(slot, fate) });
    }

    /// Decides the slots that nothing but time decides about.
    fn look_at_slots(&mut self) -> Due {
        let mut line: Vec<(Slot, Option<Fate>)> = Vec::new();
        let mut slots = self.campaign.slots_after(self.decided_until);
        let ends = matches!(self.standing.hold, Hold::Ends(_));
        for _ in 0..SLOTS_A_CALL {
            let Some(slot) = slots.next() else { return Due { line, next: None } };
            // Whoever gives up does not wait for the jitter.
            let comes_at = if ends { slot.at } else { slot.due };
            if comes_at > self.now {
                return Due { line, next: Some(slot) };
            }
            if slot.due <= self.standing.counts_from {
                // It was another revision's, which has decided about it.
                if line.is_empty() {
                    self.decided_until = slot.at;
                }
                continue;
            }
            match self.fate_of(&slot) {
                Some(fate) if line.is_empty() => self.decide(slot, fate),
                fate => line.push((slot, fate)),
            }
        }
        Due { line, next: slots.next() }
    }

    /// The fate of a slot that does not run whatever the others do.
    fn fate_of(&self, slot: &Slot) -> Option<Fate> {
        let hold = self.standing.hold;
        if let Hold::Ends(miss) = hold {
            Some(Fate::Missed(miss))
        } else if slot.excepted {
            Some(Fate::Skipped(Skip::Excepted))
        } else if !self.campaign.may_send_at(slot.due) {
            Some(Fate::Skipped(Skip::Window))
        } else if let Hold::Replaced(miss) = hold {
            Some(Fate::Missed(miss))
        } else {
            hold.late().filter(|_| self.is_late(slot)).map(Fate::Missed)
        }
    }

    /// Settles the fate of the slots in line, as far as it can be now. Gives when to look again.
    fn resolve(&mut self, due: Due) -> Option<Timestamp> {
        let next_at = due.next.map(|slot| slot.due.max(self.now));
        if self.standing.hold != Hold::None {
            let first = due.line.first().map(|(slot, _)| *slot);
            return match first {
                None => next_at,
                Some(_) if self.standing.hold == Hold::Gone => None,
                Some(slot) => self.too_late_at(&slot),
            };
        }
        // Those that are due and have not been looked at yet are later than all that have.
        let more_is_due = due.next.is_some_and(|slot| slot.due <= self.now);
        let catch_up = self.campaign.lateness.catch_up;
        let may_run = |slot: &Slot, fate: &Option<Fate>| {
            fate.is_none() && (catch_up != CatchUp::None || self.was_attended(slot))
        };
        let last = due.line.iter().rposition(|(slot, fate)| may_run(slot, fate)).filter(|_| !more_is_due);
        for (place, (slot, fate)) in due.line.into_iter().enumerate() {
            let fate = match fate {
                Some(fate) => fate,
                None if catch_up != CatchUp::All && Some(place) != last => Fate::Missed(Miss::CatchUp),
                None if !self.running() => Fate::Run,
                // It takes its turn after the one before it, while it is not too late.
                None if catch_up == CatchUp::All && (self.has_run || !self.was_attended(&slot)) => {
                    return if self.was_attended(&slot) { Some(self.now) } else { self.too_late_at(&slot) };
                }
                None if self.campaign.overlap == Overlap::Queue => {
                    self.queue(slot);
                    continue;
                }
                None => Fate::Skipped(Skip::Overlap),
            };
            self.has_run |= fate == Fate::Run;
            self.decide(slot, fate);
        }
        let queue_at = self.queued.and_then(|at| at.checked_add(self.campaign.finish_within).ok());
        [next_at, queue_at].into_iter().flatten().min()
    }

    /// The slot waits for the last run to be over; another one that did waits no more.
    fn queue(&mut self, slot: Slot) {
        if let Some(replaced) = self.queued {
            self.leave_queue(self.slot_at(replaced), Fate::Skipped(Skip::Overlap));
        }
        self.queued = Some(slot.at);
        self.decided_until = slot.at;
    }

    /// Adds a slot's fate; one that does not run joins the row of those before it that do not for the same
    /// reason.
    fn decide(&mut self, slot: Slot, fate: Fate) {
        self.decided_until = slot.at;
        match self.decisions.last_mut() {
            Some(last) if self.row_is_open && last.fate == fate => {
                last.until = slot.at;
                last.count += 1;
            }
            _ => self.decisions.push(Decision::of(slot, fate)),
        }
        self.row_is_open = fate != Fate::Run;
    }
}

#[cfg(test)]
mod tests;
