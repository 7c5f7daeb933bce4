//! The slots that schedules name, as an ordered walk through time.

use jiff::{SignedDuration, Timestamp};

use super::{Calendar, ClockChanges, Pattern, Schedule, Skipped, calendar::Touch, jitter};

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// One slot of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its nominal instant, which is its identity.
    pub at: Timestamp,
    /// The instant that is meant to run: `at` and the jitter. A slot is never due before an earlier one.
    pub due: Timestamp,
    /// Every schedule that names it leaves its date out.
    pub excepted: bool,
}

/// The slots of some schedules in their order, from some instant on; those at one instant are one slot.
pub struct Slots<'a> {
    name: &'a str,
    schedules: &'a [Schedule],
    calendar: &'a Calendar,
    /// Of each schedule.
    next: Vec<Option<Timestamp>>,
    latest_due: Timestamp,
}

/// The slots strictly after `after`. `name` is whose they are: jitter is drawn by it.
pub fn slots<'a>(
    name: &'a str,
    schedules: &'a [Schedule],
    calendar: &'a Calendar,
    after: Timestamp,
) -> Slots<'a> {
    // A slot before may be due later than one after it; those that could be are walked over.
    let longest = schedules.iter().map(|schedule| schedule.jitter).max().unwrap_or_default();
    let start = after.checked_sub(longest).unwrap_or(after);
    let next = schedules.iter().map(|schedule| schedule.next_after(calendar, start)).collect();
    let mut slots = Slots { name, schedules, calendar, next, latest_due: Timestamp::MIN };
    while slots.earliest().is_some_and(|earliest| earliest <= after) {
        slots.next();
    }
    slots
}

/// The first slot strictly after `after` that any of the schedules names, excepted or not.
pub fn next_slot(schedules: &[Schedule], calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
    schedules.iter().filter_map(|schedule| schedule.next_after(calendar, after)).min()
}

/// How a clock change touches a slot: it is named by a time that comes twice, or only because a time before
/// it was skipped.
pub fn touched(schedules: &[Schedule], calendar: &Calendar, slot: Timestamp) -> Option<Touch> {
    let touch = calendar.touch(slot)?;
    let changes = ClockChanges { skipped: Skipped::Omit, ..calendar.changes };
    let unmoved = || Calendar { zone: calendar.zone.clone(), changes };
    let named_anyway = || next_slot(schedules, &unmoved(), slot - NANOSECOND) == Some(slot);
    (touch != Touch::AfterSkipped || !named_anyway()).then_some(touch)
}

impl Slots<'_> {
    /// When the next slot is, without taking it.
    fn earliest(&self) -> Option<Timestamp> {
        self.next.iter().flatten().min().copied()
    }
}

impl Iterator for Slots<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let at = self.earliest()?;
        let mut delay: Option<SignedDuration> = None;
        let mut excepted = true;
        for (schedule, next) in self.schedules.iter().zip(&mut self.next) {
            if *next != Some(at) {
                continue;
            }
            *next = schedule.next_after(self.calendar, at);
            if schedule.excepts(self.calendar, at) {
                continue;
            }
            excepted = false;
            let own = jitter::delay(self.name, at, schedule.jitter);
            delay = Some(delay.map_or(own, |other| other.min(own)));
        }
        let due = at.checked_add(delay.unwrap_or_default()).unwrap_or(at);
        self.latest_due = self.latest_due.max(due);
        Some(Slot { at, due: self.latest_due, excepted })
    }
}

impl Schedule {
    /// The first slot strictly after `after`, bounds applied.
    pub fn next_after(&self, calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
        // `from` is inclusive: the walk begins just before it.
        let after = match self.from {
            Some(from) => after.max(from.checked_sub(NANOSECOND).unwrap_or(from)),
            None => after,
        };
        let next = match &self.pattern {
            Pattern::At(instant) => Some(*instant).filter(|instant| *instant > after),
            Pattern::Cron(line) => line.next_after(calendar, after),
            Pattern::Every(period) => {
                next_multiple(self.from.unwrap_or(Timestamp::UNIX_EPOCH), *period, after)
            }
        };
        next.filter(|slot| self.until.is_none_or(|until| *slot < until))
    }

    /// Whether its exceptions leave out the local date of a slot.
    fn excepts(&self, calendar: &Calendar, slot: Timestamp) -> bool {
        !self.except.dates.is_empty() && self.except.dates.contains(&calendar.local(slot).date())
    }
}

/// The first `anchor + n × period`, n ≥ 0, strictly after `after`.
fn next_multiple(anchor: Timestamp, period: SignedDuration, after: Timestamp) -> Option<Timestamp> {
    if after < anchor {
        return Some(anchor);
    }
    let period_ns = period.as_nanos();
    let elapsed_ns = after.as_nanosecond() - anchor.as_nanosecond();
    let steps = elapsed_ns / period_ns + 1;
    Timestamp::from_nanosecond(anchor.as_nanosecond() + steps * period_ns).ok()
}

#[cfg(test)]
mod tests;
