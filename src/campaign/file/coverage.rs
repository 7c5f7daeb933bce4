//! Whether schedules ever fire: their bounds, exceptions, jitter, and the window.

use jiff::{SignedDuration, Timestamp};

use super::super::{CampaignID, duration::display};
use crate::{
    document::{
        Code,
        fields::{Cursor, Fields, Report},
    },
    schedule::{Calendar, Pattern, Schedule, Window, slots},
};

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);
/// How many slots are looked at for one that fires, each in a window of its own.
const SLOTS_LOOKED_AT: usize = 400;
/// How many distances between slots are compared with the jitter.
const DISTANCES_LOOKED_AT: usize = 200;

/// A schedule with the places of what it says.
pub(super) struct Written<'a> {
    pub schedule: Schedule,
    /// Its `at`, `cron` or `every`.
    pub named: Cursor<'a>,
    pub until: Option<Cursor<'a>>,
    pub jitter: Option<Cursor<'a>>,
}

/// Reports a schedule that has no slot at all, or none any more.
pub(super) fn check_slots(written: &Written<'_>, calendar: &Calendar, now: Timestamp, report: &mut Report) {
    let Written { schedule, named, until, jitter } = written;
    let hint = "nothing of it is sent any more";
    if let (Some(from), Some(until_instant), Some(until)) = (schedule.from, schedule.until, until)
        && from >= until_instant
    {
        until.error(report, Code::NeverFires, "`until` is not after `from`", None);
        return;
    }
    if let (Some(instant), Some(until)) = (schedule.until.filter(|until| *until <= now), until) {
        let passed = instant.to_zoned(calendar.zone.clone()).strftime("%F %T %:z").to_string();
        until.warning(report, Code::PastSchedule, format!("this schedule ended at {passed}"), Some(hint));
        return;
    }
    if schedule.next_after(calendar, anchor(schedule)).is_none() {
        let message = match schedule.pattern {
            Pattern::At(_) => "this time lies outside of its own `from` and `until`",
            _ if schedule.until.is_some() => "this names no time before its `until`",
            _ => "this names a time that never comes",
        };
        named.error(report, Code::NeverFires, message, None);
        return;
    }
    if let Pattern::At(at) = schedule.pattern {
        if at <= now {
            let hint = "it fires no more, unless it was due within `lateness.max`";
            named.warning(report, Code::PastSchedule, "this time has passed", Some(hint));
        }
    } else if schedule.next_after(calendar, now).is_none() {
        named.warning(report, Code::PastSchedule, "the last time that this names has passed", Some(hint));
    }
    if let Some(jitter) = jitter {
        check_jitter(schedule, jitter, calendar, report);
    }
}

/// Just before a schedule's first slot: whether a file is in error must not depend on the day it is read.
fn anchor(schedule: &Schedule) -> Timestamp {
    let first = match schedule.pattern {
        Pattern::At(at) => at,
        _ => schedule.from.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    first - NANOSECOND
}

/// Reports a jitter that would carry a slot past the next one.
fn check_jitter(schedule: &Schedule, cursor: &Cursor<'_>, calendar: &Calendar, report: &mut Report) {
    let first = schedule.next_after(calendar, anchor(schedule));
    let named = std::iter::successors(first, |slot| schedule.next_after(calendar, *slot));
    let named: Vec<Timestamp> = named.take(DISTANCES_LOOKED_AT).collect();
    let shortest = named.windows(2).map(|pair| pair[1].duration_since(pair[0])).min();
    if let Some(shortest) = shortest.filter(|shortest| schedule.jitter > *shortest) {
        let message = format!(
            "a jitter of {} reaches past the next time, which is {} away",
            display(schedule.jitter),
            display(shortest)
        );
        cursor.error(report, Code::BadValue, message, None);
    }
}

/// What all schedules of a campaign are held against.
pub(super) struct Frame<'a> {
    pub id: &'a CampaignID,
    pub calendar: &'a Calendar,
    pub window: Option<&'a Window>,
    pub finish_within: SignedDuration,
    pub now: Timestamp,
}

/// Reports schedules all of whose slots are left out or fall outside of the window, a jitter that may last
/// longer than a run, and a `finishWithin` that ends before the window opens.
pub(super) fn check_frame(all: &[Written<'_>], frame: &Frame<'_>, fields: &Fields<'_>, report: &mut Report) {
    let mut never_in_time = !all.is_empty();
    for written in all {
        if let Some(jitter) = &written.jitter
            && written.schedule.jitter >= frame.finish_within
        {
            let within = display(frame.finish_within);
            let message = format!("a slot could be delayed beyond its `finishWithin` of {within}");
            jitter.error(report, Code::BadValue, message, None);
        }
        let start = anchor(&written.schedule);
        let ever = first_stray(&written.schedule, frame, start);
        // Where the past had its own rules, the times to come count.
        let from_now = first_stray(&written.schedule, frame, start.max(frame.now));
        let (Ok(Some(ever)), Ok(from_now)) = (ever, from_now) else {
            never_in_time = false;
            continue;
        };
        let local =
            |at: Timestamp| at.to_zoned(frame.calendar.zone.clone()).strftime("%a %F %H:%M").to_string();
        match from_now.unwrap_or(ever) {
            Stray::Excepted(at) => {
                never_in_time = false;
                let message = format!("`except` leaves out all of its times, like {}", local(at));
                written.named.error(report, Code::NeverFires, message, None);
            }
            Stray::Outside { at, opens } => {
                never_in_time &= opens.is_none_or(|opens| opens.duration_since(at) >= frame.finish_within);
                let opens = opens.map(|opens| format!("the window opens next at {}", local(opens)));
                let message = format!("all of its times fall outside the window, like {}", local(at));
                written.named.error(report, Code::NeverFires, message, opens.as_deref());
            }
        }
    }
    if let Some(cursor) = fields.get("finishWithin").filter(|_| never_in_time) {
        let message = "this ends before the window opens";
        cursor.error(report, Code::NeverFires, message, Some("nothing could be sent within it"));
    }
}

/// A slot that does not fire, of a schedule that has no other.
enum Stray {
    Excepted(Timestamp),
    Outside { at: Timestamp, opens: Option<Timestamp> },
}

/// A slot of the schedule fires.
struct Fires;

/// The first slot of a schedule none of whose slots fires, if it has any.
fn first_stray(schedule: &Schedule, frame: &Frame<'_>, start: Timestamp) -> Result<Option<Stray>, Fires> {
    let zone = &frame.calendar.zone;
    let schedules = std::slice::from_ref(schedule);
    let mut after = start;
    let mut stray = None;
    for _ in 0..SLOTS_LOOKED_AT {
        let Some(slot) = slots(frame.id.as_str(), schedules, frame.calendar, after).next() else { break };
        after = slot.at;
        let found = if slot.excepted {
            Stray::Excepted(slot.at)
        } else {
            let window = frame.window.filter(|window| !window.is_open(zone, slot.due)).ok_or(Fires)?;
            let opens = window.opens_from(zone, slot.due);
            // The slots until then are outside as well.
            after = opens.map_or(after, |opens| after.max(opens - schedule.jitter - NANOSECOND));
            Stray::Outside { at: slot.at, opens }
        };
        stray = stray.or(Some(found));
    }
    Ok(stray)
}
