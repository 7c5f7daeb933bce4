//! The slots to come, for people: what `plan` shows, and the next occurrence of `status`.

use jiff::{SignedDuration, Timestamp};

use crate::{
    campaign::Campaign,
    schedule::{Slot, Touch, touched},
};

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);
/// How many slots are looked at for one that may run; those outside of the window are passed over at once.
const SLOTS_LOOKED_AT: usize = 1_000;

/// A slot to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub slot: Slot,
    /// What is to be said of it.
    pub notes: Vec<Note>,
}

/// What is worth knowing of a slot to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// Its date is left out: it does not run.
    Excepted,
    /// It falls outside of the window: it does not run.
    OutsideWindow,
    ClockChange(Touch),
    Jittered,
}

impl Note {
    /// The note in words.
    pub fn text(self) -> &'static str {
        match self {
            Note::Excepted => "excepted",
            Note::OutsideWindow => "outside window",
            Note::ClockChange(Touch::AfterSkipped) => "dst: its time is skipped",
            Note::ClockChange(Touch::First) => "dst: first of two",
            Note::ClockChange(Touch::Second) => "dst: second of two",
            Note::Jittered => "jittered",
        }
    }
}

impl Expected {
    /// Whether it will run, if nothing comes between.
    pub fn runs(&self) -> bool {
        !self.notes.iter().any(|note| matches!(note, Note::Excepted | Note::OutsideWindow))
    }
}

/// The slots of a campaign in [from, until).
pub fn forecast(campaign: &Campaign, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Expected> {
    let before = from.checked_sub(NANOSECOND).unwrap_or(from);
    let slots = campaign.slots_after(before).take_while(move |slot| slot.at < until);
    slots.map(|slot| Expected { slot, notes: notes(campaign, slot) })
}

fn notes(campaign: &Campaign, slot: Slot) -> Vec<Note> {
    let mut notes = Vec::new();
    if slot.excepted {
        notes.push(Note::Excepted);
    } else if !campaign.may_send_at(slot.due) {
        notes.push(Note::OutsideWindow);
    }
    notes.extend(touched(&campaign.schedules, &campaign.calendar, slot.at).map(Note::ClockChange));
    if slot.due != slot.at {
        notes.push(Note::Jittered);
    }
    notes
}

/// The first slot strictly after `after` that is neither left out nor outside of the window; None when
/// there is none, or none among the many that are looked at.
pub fn next_occurrence(campaign: &Campaign, after: Timestamp) -> Option<Timestamp> {
    let zone = &campaign.calendar.zone;
    let longest = campaign.schedules.iter().map(|schedule| schedule.jitter).max().unwrap_or_default();
    let mut after = after;
    for _ in 0..SLOTS_LOOKED_AT {
        let slot = campaign.slots_after(after).next()?;
        after = slot.at;
        if slot.excepted {
            // So is the rest of its date, where no other schedule has a say.
            if campaign.schedules.len() == 1 {
                let midnight = campaign.calendar.local(slot.at).date().tomorrow().ok()?;
                after = after.max(zone.to_timestamp(midnight.at(0, 0, 0, 0)).ok()? - NANOSECOND);
            }
            continue;
        }
        match &campaign.window {
            Some(window) if !window.is_open(zone, slot.due) => {
                let opens = window.opens_from(zone, slot.due)?;
                after = after.max(opens - longest - NANOSECOND);
            }
            _ => return Some(slot.at),
        }
    }
    None
}
