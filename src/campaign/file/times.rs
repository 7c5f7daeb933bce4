//! Times as people write them: zones, dates, local times, times with an offset.

use std::sync::OnceLock;

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

use crate::{
    document::{
        Code,
        fields::{Cursor, Report},
        nearest::did_you_mean,
    },
    schedule::{Calendar, read_date},
};

/// The zone named here: the system's, or the one that is built in where the system knows none of that
/// name.
pub(crate) fn zone(cursor: &Cursor<'_>, report: &mut Report) -> Option<TimeZone> {
    let name = cursor.text(report)?;
    if let Some(zone) = TimeZone::get(name).ok().filter(|zone| *zone == TimeZone::UTC || system_has_zones()) {
        return Some(zone);
    }
    if let Ok(zone) = TimeZoneDatabase::bundled().get(name) {
        let message =
            format!("this system knows no time zone `{name}`; the data built into campaignd is used");
        let hint = "install the system's time zone data (tzdata), which is kept up to date";
        cursor.warning(report, Code::UnknownZone, message, Some(hint));
        return Some(zone);
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    // An abbreviation has several meanings (CST), and a guess would be hours off.
    let guessable = name.contains('/') || name.chars().count() > 4;
    let hint = did_you_mean(name, names.iter().map(String::as_str))
        .filter(|_| guessable)
        .unwrap_or_else(|| "use an IANA name like Asia/Shanghai".to_owned());
    cursor.error(report, Code::UnknownZone, format!("there is no time zone `{name}`"), Some(&hint));
    None
}

/// Whether this system has time zone data at all; where it has none, the library takes what is built in without
/// a word but in what it shows of itself.
fn system_has_zones() -> bool {
    static SYSTEM_HAS_ZONES: OnceLock<bool> = OnceLock::new();
    *SYSTEM_HAS_ZONES.get_or_init(|| !format!("{:?}", jiff::tz::db()).contains("Bundled"))
}

/// What a local time is for; it decides what happens in an hour that the clocks skip.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum TimeUse {
    At,
    Bound,
}

/// The instant of a local time, a time with an offset, or (as a bound) of a date's midnight. Without a
/// calendar it is read as far as that goes.
pub(super) fn local_time(
    cursor: &Cursor<'_>,
    calendar: Option<&Calendar>,
    time_use: TimeUse,
    report: &mut Report,
) -> Option<Timestamp> {
    let text = cursor.text(report)?;
    let form = Form::of(text).filter(|form| *form != Form::Date || time_use == TimeUse::Bound);
    let instant = match form {
        Some(Form::Offset) => text.parse::<Timestamp>().ok(),
        Some(Form::Date | Form::Local) => match text.parse::<DateTime>() {
            Ok(local) => match calendar {
                Some(calendar) => resolve(cursor, local, calendar, time_use, report)?,
                None => TimeZone::UTC.to_timestamp(local).ok(),
            },
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

/// The instant that a zone's clocks show a local time. The outer None has been reported, the inner has
/// not.
fn resolve(
    cursor: &Cursor<'_>,
    local: DateTime,
    calendar: &Calendar,
    time_use: TimeUse,
    report: &mut Report,
) -> Option<Option<Timestamp>> {
    let zone = &calendar.zone;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    if time_use == TimeUse::Bound {
        return Some(ambiguous.compatible().ok());
    }
    if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        let after = ambiguous.compatible().ok()?.to_zoned(zone.clone()).strftime("%FT%H:%M").to_string();
        let message = format!("the clocks of {} skip this time", zone.iana_name().unwrap_or("this zone"));
        cursor.error(report, Code::SkippedTime, message, Some(&format!("for example {after}")));
        return None;
    }
    Some(calendar.once(local))
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
        if read_date(text).is_some() {
            return Some(Form::Date);
        }
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        let form = match shape.as_str() {
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
