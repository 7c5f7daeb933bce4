//! The `schedules:` part: local times, cron text and periods, read in the campaign's zone.

use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{super::duration::display, duration};
use crate::{
    document::{
        Code,
        fields::{Cursor, Fields, Report},
        nearest::did_you_mean,
    },
    schedule::{CronLine, Pattern, Schedule},
};

/// The keys of one schedule.
pub(crate) const KEYS: &[&str] = &["at", "cron", "every", "from", "until", "except", "jitter"];

/// The most schedules of one campaign; more are a program's work, which better writes several files.
const MAX_SCHEDULES: usize = 100;
/// The longest period, a leap year.
const LONGEST_PERIOD: SignedDuration = SignedDuration::from_hours(366 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// Names that cron text knows.
const CRON_NAMES: &[&str] = &[
    "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG",
    "SEP", "OCT", "NOV", "DEC",
];

/// The zone named here.
pub(crate) fn zone(cursor: &Cursor<'_>, report: &mut Report) -> Option<TimeZone> {
    let name = cursor.text(report)?;
    let zone = TimeZone::get(name).ok();
    if zone.is_none() {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        // An abbreviation has several meanings (CST), and a guess would be hours off.
        let guessable = name.contains('/') || name.chars().count() > 4;
        let hint = did_you_mean(name, names.iter().map(String::as_str))
            .filter(|_| guessable)
            .unwrap_or_else(|| "use an IANA name like Asia/Shanghai".to_owned());
        cursor.error(report, Code::UnknownZone, format!("there is no time zone `{name}`"), Some(&hint));
    }
    zone
}

/// All schedules. Without a zone they are checked as far as that goes.
pub(super) fn schedules(
    fields: &Fields<'_>,
    zone: Option<&TimeZone>,
    now: Timestamp,
    report: &mut Report,
) -> Option<Vec<Schedule>> {
    let cursor = fields.require(report, "schedules", "for example `schedules: [{at: 2026-11-11T09:00}]`")?;
    let items = cursor.items(report)?;
    if items.is_empty() || items.len() > MAX_SCHEDULES {
        let message = format!("a campaign has 1 to {MAX_SCHEDULES} schedules, not {}", items.len());
        cursor.error(report, Code::BadValue, message, None);
        return None;
    }
    let schedules: Vec<_> = items.iter().map(|item| schedule(item, zone, now, report)).collect();
    schedules.into_iter().collect()
}

fn schedule(
    cursor: &Cursor<'_>,
    zone: Option<&TimeZone>,
    now: Timestamp,
    report: &mut Report,
) -> Option<Schedule> {
    let fields = cursor.fields(report, KEYS)?;
    fields.not_supported(report, &[("except", None), ("jitter", None)]);
    let mut bound = |key: &str| match fields.get(key) {
        Some(cursor) => local_time(&cursor, zone, TimeUse::Bound, report).map(Some),
        None => Some(None),
    };
    let (from, until) = (bound("from"), bound("until"));
    let patterns = fields.present(&["at", "cron", "every"]);
    let [(key, named)] = patterns.as_slice() else {
        let hint = "write each as a schedule of its own";
        cursor.error(report, Code::BadValue, "a schedule has exactly one of at, cron, every", Some(hint));
        return None;
    };
    let pattern = match *key {
        "at" => local_time(named, zone, TimeUse::At, report).map(Pattern::At),
        "cron" => cron(named, report).map(Pattern::Cron),
        _ => period(named, report).map(Pattern::Every),
    };
    let schedule = Schedule { pattern: pattern?, from: from?, until: until? };
    check_slots(&schedule, named, fields.get("until").as_ref(), zone?, now, report);
    Some(schedule)
}

/// Reports a schedule that has no slot at all, or none any more.
fn check_slots(
    schedule: &Schedule,
    named: &Cursor<'_>,
    until: Option<&Cursor<'_>>,
    zone: &TimeZone,
    now: Timestamp,
    report: &mut Report,
) {
    let hint = "nothing of it is sent any more";
    if let (Some(from), Some(until_instant), Some(until)) = (schedule.from, schedule.until, until)
        && from >= until_instant
    {
        until.error(report, Code::NeverFires, "`until` is not after `from`", None);
        return;
    }
    if let (Some(instant), Some(until)) = (schedule.until.filter(|until| *until <= now), until) {
        let passed = instant.to_zoned(zone.clone()).strftime("%F %T %:z").to_string();
        until.warning(report, Code::PastSchedule, format!("this schedule ended at {passed}"), Some(hint));
        return;
    }
    // An `at` may lie before now; anything else has a slot from now or from its bound on.
    let start = match schedule.pattern {
        Pattern::At(at) => at,
        _ => schedule.from.unwrap_or(now).max(now),
    };
    if schedule.next_after(zone, start - NANOSECOND).is_none() {
        let message = match schedule.pattern {
            Pattern::At(_) => "this time lies outside of its own `from` and `until`",
            _ if schedule.until.is_some() => "this names no time before its `until`",
            _ => "this names a time that never comes",
        };
        named.error(report, Code::NeverFires, message, None);
    } else if let Pattern::At(at) = schedule.pattern
        && at <= now
    {
        let hint = "it fires no more, unless it was due within `lateness.max`";
        named.warning(report, Code::PastSchedule, "this time has passed", Some(hint));
    }
}

fn cron(cursor: &Cursor<'_>, report: &mut Report) -> Option<CronLine> {
    let text = cursor.text(report)?;
    CronLine::parse(text)
        .map_err(|error| {
            let hint = nearest_cron(text).unwrap_or_else(|| {
                "minute hour day-of-month month day-of-week, like \"0 9 * * MON-FRI\"".to_owned()
            });
            let message = format!("the cron expression cannot be read: {error}");
            cursor.error(report, Code::BadCron, message, Some(&hint));
        })
        .ok()
}

/// What was meant where one name is misspelt.
fn nearest_cron(text: &str) -> Option<String> {
    let fields = text.split_whitespace();
    fields.filter(|field| field.len() < 100).find_map(|field| {
        let known = |name: &str| CRON_NAMES.contains(&name.to_ascii_uppercase().as_str()) || name.len() < 2;
        let wrong = field.split(|c: char| !c.is_alphabetic()).find(|name| !known(name))?;
        let right = did_you_mean(wrong, CRON_NAMES.iter().copied())?;
        let right = right.split('`').nth(1)?;
        Some(format!("did you mean `{}`?", field.replace(wrong, right)))
    })
}

fn period(cursor: &Cursor<'_>, report: &mut Report) -> Option<SignedDuration> {
    let period = duration(cursor, report, SignedDuration::from_secs(1))?;
    if period > LONGEST_PERIOD {
        let message = format!("a period is at most 366d, not {}", display(period));
        cursor.error(report, Code::BadValue, message, None);
        return None;
    }
    if period.as_secs() % DAY.as_secs() == 0 {
        let hint = "use cron for a time of the day, like \"0 9 * * *\"";
        let message = "whole days are counted as 24 hours each and drift when the clocks change";
        cursor.warning(report, Code::BadValue, message, Some(hint));
    }
    Some(period)
}

/// What a local time is for; it decides what happens in an hour that the clocks skip.
#[derive(Clone, Copy, PartialEq)]
enum TimeUse {
    At,
    Bound,
}

/// The instant of a local time, a time with an offset, or (as a bound) of a date's midnight.
fn local_time(
    cursor: &Cursor<'_>,
    zone: Option<&TimeZone>,
    time_use: TimeUse,
    report: &mut Report,
) -> Option<Timestamp> {
    let text = cursor.text(report)?;
    let form = Form::of(text).filter(|form| *form != Form::Date || time_use == TimeUse::Bound);
    let instant = match form {
        Some(Form::Offset) => text.parse::<Timestamp>().ok(),
        Some(Form::Date | Form::Local) => match text.parse::<DateTime>() {
            Ok(local) => resolve(cursor, local, zone.unwrap_or(&TimeZone::UTC), time_use, report)?,
            Err(_) => None,
        },
        None => None,
    };
    if instant.is_none() {
        let hint = match time_use {
            TimeUse::At => "write it as 2026-11-11T09:00, with an offset if need be (2026-11-11T09:00+08:00)",
            TimeUse::Bound => "write it as 2026-11-11 or 2026-11-11T09:00",
        };
        cursor.error(report, Code::BadValue, format!("`{text}` is no date and time"), Some(hint));
    }
    instant
}

/// The instant that a zone's clocks show a local time; the first of two. The outer None has been
/// reported, the inner has not.
fn resolve(
    cursor: &Cursor<'_>,
    local: DateTime,
    zone: &TimeZone,
    time_use: TimeUse,
    report: &mut Report,
) -> Option<Option<Timestamp>> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if time_use == TimeUse::At && matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        let after = ambiguous.compatible().ok()?.to_zoned(zone.clone()).strftime("%FT%H:%M").to_string();
        let message = format!("the clocks of {} skip this time", zone.iana_name().unwrap_or("this zone"));
        cursor.error(report, Code::SkippedTime, message, Some(&format!("for example {after}")));
        return None;
    }
    Some(ambiguous.compatible().ok())
}

/// How a date-time is written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Date,
    Local,
    Offset,
}

impl Form {
    /// The form of a text that looks right, in a year that schedules can have.
    fn of(text: &str) -> Option<Form> {
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        let form = match shape.as_str() {
            "9999-99-99" => Form::Date,
            "9999-99-99T99:99" | "9999-99-99T99:99:99" => Form::Local,
            "9999-99-99T99:99Z"
            | "9999-99-99T99:99:99Z"
            | "9999-99-99T99:99+99:99"
            | "9999-99-99T99:99-99:99"
            | "9999-99-99T99:99:99+99:99"
            | "9999-99-99T99:99:99-99:99" => Form::Offset,
            _ => return None,
        };
        let leap_second = text.get(16..19) == Some(":60");
        (!leap_second && ("1970".."2200").contains(&&text[..4])).then_some(form)
    }
}
