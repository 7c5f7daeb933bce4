//! `campaignd next`: one cron expression in words, and when it fires next.

use anyhow::anyhow;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{
    Ended, Exit, Failure,
    output::{self, Look},
    table::{Column, Format, FormatArgs, Kind, RowWriter},
};
use crate::{
    schedule::{Calendar, CronLine, Pattern, Schedule, Touch, slots, touched},
    settings::Settings,
    store::sqlite::review::Cell,
};

/// Tell a cron expression in words, and its next instants in a time zone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "5 fields, or 6 with leading seconds; names, L, #, W, @daily. A time that a clock change skips runs right \
    after it, one that comes twice runs at its first; a `*` in the minute or hour follows real time.\n\n\
    JSON is {expression, words, zone, occurrences: [{due_at, local, zone, note}]}.\n\n\
    Examples:\n  campaignd next \"0 9 * * MON-FRI\" --zone Asia/Shanghai\n  \
    campaignd next \"0 30 2 * * *\" --zone Europe/Berlin -n 3 --now 2027-03-27T00:00:00Z"
)]
pub struct NextArgs {
    /// The expression, in one argument
    #[arg(value_name = "EXPR")]
    expression: String,
    /// The zone in which its times are read [default: the settings' timezone]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// How many instants are shown
    #[arg(short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// As if it were this instant
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    #[command(flatten)]
    format: FormatArgs,
}

const COLUMNS: &[Column] = &[
    Column::new("LOCAL", Kind::Name, |row, _| super::plan::with_weekday(&row.text("local"))),
    Column::new("UTC", Kind::Name, |row, _| row.text("due_at")),
    Column::new("NOTE", Kind::Text, |row, _| row.text("note")),
];

#[derive(Serialize)]
struct Told<'a> {
    expression: &'a str,
    words: &'a str,
    zone: &'a str,
    occurrences: Vec<Instant>,
}

#[derive(Serialize)]
struct Instant {
    due_at: String,
    local: String,
    zone: String,
    note: Option<String>,
}

pub fn run(args: &NextArgs, settings: &Settings, now: Timestamp) -> Ended {
    let usage = |message: String| Failure::new(Exit::Usage, anyhow!(message));
    let line = CronLine::parse(&args.expression)
        .map_err(|error| usage(format!("{:?} cannot be read: {error}", args.expression)))?;
    let zone = match &args.zone {
        Some(name) => TimeZone::get(name).map_err(|_| usage(format!("there is no time zone {name:?}")))?,
        None => settings.zone.clone().ok_or_else(|| {
            usage("name a zone, like --zone Asia/Shanghai; the settings have none".to_owned())
        })?,
    };
    let (words, calendar) = (line.in_words(), Calendar::usual(zone));
    let schedules = [Schedule::of(Pattern::Cron(line))];
    let from = args.now.unwrap_or(now);
    let zone = calendar.zone.iana_name().unwrap_or("UTC").to_owned();
    let occurrences: Vec<Instant> = slots("", &schedules, &calendar, from)
        .take(args.count as usize)
        .map(|slot| Instant {
            due_at: super::plan::utc(slot.at),
            local: super::plan::local(slot.at, &calendar.zone),
            zone: zone.clone(),
            note: touched(&schedules, &calendar, slot.at).map(|touch| note(touch).to_owned()),
        })
        .collect();
    if occurrences.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            anyhow!("{:?} names a time that never comes", args.expression),
        ));
    }
    if args.format.format == Format::Json {
        let told = Told { expression: &args.expression, words: &words, zone: &zone, occurrences };
        output::write(&(serde_json::to_string_pretty(&told)? + "\n"))?;
        return Ok(Exit::Good);
    }
    if args.format.format == Format::Table {
        output::write(&format!("{words} ({zone})\n\n"))?;
    }
    let look = Look::new(settings);
    let mut writer = RowWriter::new(args.format.format, COLUMNS, &look);
    let columns = ["due_at", "local", "zone", "note"].map(str::to_owned);
    for instant in occurrences {
        let note = instant.note.map_or(Cell::Null, Cell::Text);
        writer.row(
            &columns,
            &[Cell::Text(instant.due_at), Cell::Text(instant.local), Cell::Text(instant.zone), note],
        )?;
    }
    writer.finish(&columns, "")?;
    Ok(Exit::Good)
}

fn note(touch: Touch) -> &'static str {
    crate::plan::Note::ClockChange(touch).text()
}
