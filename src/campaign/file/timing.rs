//! How occurrences behave: `timezone` with `dst`, `lateness`, `overlap`, `window`, `finishWithin`.

use jiff::SignedDuration;

use super::{Context, amounts::duration, times::zone};
use crate::{
    campaign::{CatchUp, Lateness, Overlap},
    document::{
        Code,
        fields::{Cursor, Fields, Report, shorten},
        nearest::with_names_meant,
    },
    schedule::{
        Calendar, ClockChanges, Repeated, Skipped, Window,
        window::{Days, NAMES, Range},
    },
};

/// The keys of `lateness`.
pub(crate) const LATENESS_KEYS: &[&str] = &["max", "catchUp"];
/// The keys of `dst`.
pub(crate) const DST_KEYS: &[&str] = &["skipped", "repeated"];
/// The keys of `window`.
pub(crate) const WINDOW_KEYS: &[&str] = &["days", "between"];

/// The most ranges of a window; a day has no use for more.
const MAX_RANGES: usize = 24;

/// How late a run may start when nothing is said.
const DEFAULT_LATENESS: SignedDuration = SignedDuration::from_mins(15);
/// How long a run may take when nothing is said.
const DEFAULT_FINISH_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// The zone with its clock changes; None when there is no zone, which is reported.
pub(super) fn calendar(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Option<Calendar> {
    let zone = match fields.get("timezone") {
        Some(cursor) => zone(&cursor, report),
        None => {
            if context.default_zone.is_none() {
                let hint = "add `timezone: Asia/Shanghai`, or a timezone to the settings";
                let message = "no time zone says how local times are read";
                fields.cursor.error(report, Code::NoZone, message, Some(hint));
            }
            context.default_zone.clone()
        }
    };
    let changes = clock_changes(fields, report);
    Some(Calendar { zone: zone?, changes: changes? })
}

fn clock_changes(fields: &Fields<'_>, report: &mut Report) -> Option<ClockChanges> {
    let Some(cursor) = fields.get("dst") else { return Some(ClockChanges::default()) };
    let dst = cursor.fields(report, DST_KEYS)?;
    let skipped = match dst.get("skipped") {
        Some(cursor) => match cursor.word(report, &["after", "shift", "omit"]) {
            Some("shift") => Some(Skipped::Shift),
            Some("omit") => Some(Skipped::Omit),
            word => word.map(|_| Skipped::After),
        },
        None => Some(Skipped::default()),
    };
    let repeated = match dst.get("repeated") {
        Some(cursor) => match cursor.word(report, &["first", "second", "both"]) {
            Some("second") => Some(Repeated::Second),
            Some("both") => Some(Repeated::Both),
            word => word.map(|_| Repeated::First),
        },
        None => Some(Repeated::default()),
    };
    Some(ClockChanges { skipped: skipped?, repeated: repeated? })
}

pub(super) fn lateness(fields: &Fields<'_>, report: &mut Report) -> Option<Lateness> {
    let default = Lateness { max: DEFAULT_LATENESS, catch_up: CatchUp::default() };
    let Some(cursor) = fields.get("lateness") else { return Some(default) };
    let lateness = cursor.fields(report, LATENESS_KEYS)?;
    let max = match lateness.get("max") {
        Some(cursor) => duration(&cursor, report, SignedDuration::from_secs(1)),
        None => Some(DEFAULT_LATENESS),
    };
    let catch_up = match lateness.get("catchUp") {
        Some(cursor) => match cursor.word(report, &["none", "latest", "all"]) {
            Some("none") => Some(CatchUp::None),
            Some("all") => Some(CatchUp::All),
            word => word.map(|_| CatchUp::Latest),
        },
        None => Some(CatchUp::default()),
    };
    Some(Lateness { max: max?, catch_up: catch_up? })
}

pub(super) fn overlap(fields: &Fields<'_>, report: &mut Report) -> Option<Overlap> {
    let Some(cursor) = fields.get("overlap") else { return Some(Overlap::default()) };
    match cursor.word(report, &["skip", "queue"])? {
        "queue" => Some(Overlap::Queue),
        _ => Some(Overlap::Skip),
    }
}

pub(super) fn finish_within(fields: &Fields<'_>, report: &mut Report) -> Option<SignedDuration> {
    fields
        .get("finishWithin")
        .map_or(Some(DEFAULT_FINISH_WITHIN), |cursor| duration(&cursor, report, SignedDuration::from_secs(1)))
}

/// The window. The outer None has been reported, the inner says that there is none.
pub(super) fn window(fields: &Fields<'_>, report: &mut Report) -> Option<Option<Window>> {
    let Some(cursor) = fields.get("window") else { return Some(None) };
    let window = cursor.fields(report, WINDOW_KEYS)?;
    if window.present(WINDOW_KEYS).is_empty() {
        let hint = "for example {days: MON-FRI, between: \"09:00-21:00\"}";
        cursor.error(report, Code::MissingKey, "a window has `days`, `between`, or both", Some(hint));
        return None;
    }
    let days = window.get("days").map_or(Some(Days::EVERY), |cursor| days(&cursor, report));
    let ranges = window.get("between").map_or(Some(vec![Range::WHOLE_DAY]), |cursor| ranges(&cursor, report));
    Some(Some(Window { days: days?, ranges: ranges? }))
}

fn days(cursor: &Cursor<'_>, report: &mut Report) -> Option<Days> {
    let items = cursor.one_or_more();
    let read: Vec<Option<Days>> = items
        .iter()
        .map(|item| {
            let text = item.text(report)?;
            let days = Days::parse(text);
            if days.is_none() {
                let message = format!("`{}` names no days of the week", shorten(text));
                let meant = with_names_meant(text, &NAMES).filter(|_| text.len() < 100);
                let hint = meant.as_deref().unwrap_or("for example MON-FRI, or SAT,SUN");
                item.error(report, Code::BadValue, message, Some(hint));
            }
            days
        })
        .collect();
    let read: Vec<Days> = read.into_iter().collect::<Option<_>>()?;
    let all = read.into_iter().reduce(Days::and);
    if all.is_none() {
        cursor.error(report, Code::BadValue, "no day of the week is named", Some("for example MON-FRI"));
    }
    all
}

fn ranges(cursor: &Cursor<'_>, report: &mut Report) -> Option<Vec<Range>> {
    let items = cursor.one_or_more();
    if items.is_empty() || items.len() > MAX_RANGES {
        let message = format!("a window has 1 to {MAX_RANGES} ranges, not {}", items.len());
        cursor.error(report, Code::BadValue, message, None);
        return None;
    }
    let read: Vec<Option<Range>> = items
        .iter()
        .map(|item| {
            let text = item.text(report)?;
            let range = Range::parse(text);
            if range.is_none() {
                let message = format!("`{}` is no range of the time of day", shorten(text));
                let hint = "write it as \"09:00-21:00\"; \"22:00-06:00\" reaches into the next day";
                item.error(report, Code::BadValue, message, Some(hint));
            }
            range
        })
        .collect();
    read.into_iter().collect()
}
