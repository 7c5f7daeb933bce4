//! The `schedules:` part: local times, cron text and periods, read in the campaign's calendar.

use std::collections::BTreeSet;

use jiff::{SignedDuration, civil::Date};

use super::{
    super::duration::display,
    Context, DatesFault,
    coverage::{Written, check_slots},
    duration,
    times::{TimeUse, local_time},
};
use crate::{
    document::{
        Code, Value,
        fields::{Cursor, Fields, Report, shorten},
        nearest::with_names_meant,
    },
    schedule::{Calendar, CronLine, Except, Pattern, Schedule, read_date},
};

/// The keys of one schedule.
pub(crate) const KEYS: &[&str] = &["at", "cron", "every", "from", "until", "except", "jitter"];
/// The keys of `except` when it names a file.
pub(crate) const EXCEPT_KEYS: &[&str] = &["file"];

/// The most schedules of one campaign; more are a program's work, which better writes several files.
const MAX_SCHEDULES: usize = 100;
/// The most dates that one schedule leaves out by itself; more belong into a file.
const MAX_DATES: usize = 1_000;
/// The longest period, a leap year.
const LONGEST_PERIOD: SignedDuration = SignedDuration::from_hours(366 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Names that cron text knows.
const CRON_NAMES: &[&str] = &[
    "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG",
    "SEP", "OCT", "NOV", "DEC",
];

/// All schedules, with their places. Without a calendar they are checked as far as that goes.
pub(super) fn schedules<'a>(
    fields: &Fields<'a>,
    calendar: Option<&Calendar>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Vec<Written<'a>>> {
    let cursor = fields.require(report, "schedules", "for example `schedules: [{at: 2026-11-11T09:00}]`")?;
    let items = cursor.items(report)?;
    if items.is_empty() || items.len() > MAX_SCHEDULES {
        let message = format!("a campaign has 1 to {MAX_SCHEDULES} schedules, not {}", items.len());
        cursor.error(report, Code::BadValue, message, None);
        return None;
    }
    let schedules: Vec<_> = items.iter().map(|item| schedule(item, calendar, context, report)).collect();
    schedules.into_iter().collect()
}

fn schedule<'a>(
    cursor: &Cursor<'a>,
    calendar: Option<&Calendar>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Written<'a>> {
    let fields = cursor.fields(report, KEYS)?;
    let mut bound = |key: &str| match fields.get(key) {
        Some(cursor) => local_time(&cursor, calendar, TimeUse::Bound, report).map(Some),
        None => Some(None),
    };
    let (from, until) = (bound("from"), bound("until"));
    let except =
        fields.get("except").map_or(Some(Except::default()), |cursor| except(&cursor, context, report));
    let jitter = fields
        .get("jitter")
        .map_or(Some(SignedDuration::ZERO), |cursor| duration(&cursor, report, SignedDuration::from_secs(1)));
    let patterns = fields.present(&["at", "cron", "every"]);
    let [(key, named)] = patterns.as_slice() else {
        let hint = "write each as a schedule of its own";
        cursor.error(report, Code::BadValue, "a schedule has exactly one of at, cron, every", Some(hint));
        return None;
    };
    let pattern = match *key {
        "at" => local_time(named, calendar, TimeUse::At, report).map(Pattern::At),
        "cron" => cron(named, report).map(Pattern::Cron),
        _ => period(named, report).map(Pattern::Every),
    };
    let schedule =
        Schedule { pattern: pattern?, from: from?, until: until?, except: except?, jitter: jitter? };
    let (until, jitter) = (fields.get("until"), fields.get("jitter"));
    let written = Written { schedule, named: named.clone(), until, jitter };
    check_slots(&written, calendar?, context.now, report);
    Some(written)
}

/// Dates that are left out: a list of them, or a file.
fn except(cursor: &Cursor<'_>, context: &Context<'_>, report: &mut Report) -> Option<Except> {
    if !matches!(cursor.node.value, Value::Mapping(_)) {
        let items = cursor.one_or_more();
        if items.len() > MAX_DATES {
            let message = format!("{} dates stand here; at most {MAX_DATES} can", items.len());
            cursor.error(report, Code::BadValue, message, Some("name a file: {file: holidays.txt}"));
            return None;
        }
        let dates: Vec<Option<Date>> = items.iter().map(|item| date(item, report)).collect();
        return Some(Except { dates: dates.into_iter().collect::<Option<_>>()?, file: None });
    }
    let fields = cursor.fields(report, EXCEPT_KEYS)?;
    let file = fields.require(report, "file", "for example {file: holidays.txt}, with one date a line")?;
    let path = file.text(report)?.to_owned();
    let dates = match context.dates.map(|look| look(&path)) {
        Some(Err(DatesFault::Missing)) => {
            let hint = "until it is there, no slot of this campaign runs";
            file.warning(report, Code::ListFile, format!("there is no file {path} now"), Some(hint));
            BTreeSet::new()
        }
        Some(Err(DatesFault::Unusable(why))) => {
            file.error(report, Code::ListFile, format!("{path} cannot be used: {why}"), None);
            return None;
        }
        Some(Ok(dates)) => dates,
        None => BTreeSet::new(),
    };
    Some(Except { dates, file: Some(path) })
}

fn date(cursor: &Cursor<'_>, report: &mut Report) -> Option<Date> {
    let text = cursor.text(report)?;
    let date = read_date(text);
    if date.is_none() {
        let message = format!("`{}` is no date", shorten(text));
        cursor.error(report, Code::BadValue, message, Some("write it as 2026-12-25"));
    }
    date
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
    fields.filter(|field| field.len() < 100).find_map(|field| with_names_meant(field, CRON_NAMES))
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
