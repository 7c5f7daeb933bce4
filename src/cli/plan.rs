//! `campaignd plan`: what a tree of campaign files would do, and every occurrence to come.

pub mod burden;
mod tree;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use burden::{Burden, Burdens, Quota};
use tree::{Changed, Compared};

use super::{
    Ended, Exit, Failure,
    output::{self, Look},
    problems::printable,
    table::{Column, Format, FormatArgs, Kind, RowWriter, Sheet},
};
use crate::{
    campaign::{Campaign, duration},
    document::difference::told,
    plan::{Expected, forecast},
    settings::Settings,
    store::sqlite::review::Cell,
};

/// Show what the campaign files would change, and every occurrence of a period.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The tree is compared with the ledger, which is only read; without one everything is added. An edit \
    that is rejected, and a removal that is held, leave the revision in force, whose occurrences are shown.\n\n\
    JSON is {campaigns: [{campaign, change, keys}], occurrences: [{campaign, due_at, local, zone, note}]}, with \
    --audience also quotas: [{gateway, day, recipients, unsized_occurrences, limit}]; CSV are the occurrences.\n\n\
    Examples:\n  campaignd plan\n  campaignd plan campaigns/new-year.yaml --for 365d\n  \
    campaignd plan --for 7d --audience\n  campaignd plan --format json | jq '.campaigns[] | select(.change != \"same\")'"
)]
pub struct PlanArgs {
    /// A campaign file or a folder of them [default: the campaigns folder]
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// How far it looks ahead: 12h, 7d
    #[arg(long = "for", value_name = "PERIOD", default_value = "7d", value_parser = duration::parse)]
    period: SignedDuration,
    /// As if it were this instant
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    /// With the size of audiences, the calls, and how long the limits make them take
    #[arg(long)]
    audience: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// One occurrence to come.
#[derive(Debug, Serialize)]
struct Occurrence {
    campaign: String,
    due_at: String,
    local: String,
    zone: String,
    note: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    burden: Option<Burden>,
    #[serde(skip)]
    at: Timestamp,
}

#[derive(Serialize)]
struct Planned<'a> {
    campaigns: &'a [Changed],
    occurrences: &'a [Occurrence],
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<&'a [Quota]>,
}

const COLUMNS: &[Column] = &[
    Column::new("LOCAL", Kind::Name, |row, _| with_weekday(&row.text("local"))),
    Column::new("CAMPAIGN", Kind::Name, |row, _| row.text("campaign")),
    Column::new("UTC", Kind::Name, |row, _| row.text("due_at")).spare(1),
    Column::new("ZONE", Kind::Name, |row, _| row.text("zone")).spare(2),
    Column::new("NOTE", Kind::Text, |row, _| row.text("note")),
];
const WITH_AUDIENCE: &[Column] = &[
    Column::new("LOCAL", Kind::Name, |row, _| with_weekday(&row.text("local"))),
    Column::new("CAMPAIGN", Kind::Name, |row, _| row.text("campaign")),
    Column::new("UTC", Kind::Name, |row, _| row.text("due_at")).spare(3),
    Column::new("ZONE", Kind::Name, |row, _| row.text("zone")).spare(2),
    Column::new("RECIPIENTS", Kind::Number, |row, _| row.text("recipients")),
    Column::new("CALLS", Kind::Number, |row, _| row.text("calls")).spare(1),
    Column::new("FINISH", Kind::Name, |row, _| with_weekday(&row.text("finish"))),
    Column::new("NOTE", Kind::Text, |row, _| row.text("note")),
];

pub fn run(args: &PlanArgs, settings: &Settings, now: Timestamp) -> Ended {
    let now = args.now.unwrap_or(now);
    let until = now.checked_add(args.period).map_err(anyhow::Error::from)?;
    let Compared { changed, in_force, paused } = tree::compare(args.path.as_deref(), settings, now)?;
    let mut burdens = Burdens::new(settings);
    let mut occurrences = Vec::new();
    for (campaign, source) in &in_force {
        let is_paused = paused.contains(&campaign.id);
        // Nothing of it is sent while it is paused, so it takes nobody's place.
        let mut load = (args.audience && !is_paused).then(|| burdens.of_campaign(campaign, source));
        for expected in forecast(campaign, now, until) {
            let notes = is_paused.then(|| "paused".to_owned()).into_iter();
            let mut notes: Vec<String> = notes.chain(notes_of(&expected, campaign)).collect();
            let burden = load.as_mut().and_then(|load| load.take_on(&expected, &mut notes));
            occurrences.push(occurrence(campaign, &expected, notes, burden));
        }
    }
    occurrences.sort_by(|a, b| (a.at, &a.campaign).cmp(&(b.at, &b.campaign)));
    let quotas = burdens.quotas();
    match args.format.format {
        Format::Json => {
            let quotas = args.audience.then_some(quotas.as_slice());
            let planned = Planned { campaigns: &changed, occurrences: &occurrences, quotas };
            output::write(&(serde_json::to_string(&planned)? + "\n"))?;
        }
        format => {
            write(format, args, settings, &changed, occurrences)?;
            if format == Format::Table && !quotas.is_empty() {
                write_quotas(&quotas, settings)?;
            }
        }
    }
    Ok(Exit::Good)
}

fn notes_of<'a>(expected: &'a Expected, campaign: &'a Campaign) -> impl Iterator<Item = String> + 'a {
    let zone = &campaign.calendar.zone;
    expected.notes.iter().map(move |note| match note {
        crate::plan::Note::Jittered => {
            format!("jittered from {}", expected.slot.at.to_zoned(zone.clone()).strftime("%H:%M:%S"))
        }
        note => note.text().to_owned(),
    })
}

fn occurrence(
    campaign: &Campaign,
    expected: &Expected,
    notes: Vec<String>,
    burden: Option<Burden>,
) -> Occurrence {
    let (due, zone) = (expected.slot.due, &campaign.calendar.zone);
    Occurrence {
        campaign: campaign.id.to_string(),
        due_at: utc(due),
        local: local(due, zone),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        note: (!notes.is_empty()).then(|| notes.join(", ")),
        burden,
        at: due,
    }
}

fn write(
    format: Format,
    args: &PlanArgs,
    settings: &Settings,
    changed: &[Changed],
    occurrences: Vec<Occurrence>,
) -> Result<(), Failure> {
    let look = Look::new(settings);
    if format == Format::Table {
        let keys = |changed: &Changed| match changed.change {
            "changed" => printable(&told(&changed.keys)),
            _ => String::new(),
        };
        let rows: Vec<Vec<String>> = changed
            .iter()
            .filter(|changed| changed.change != "same")
            .map(|changed| vec![changed.campaign.clone(), changed.change.to_owned(), keys(changed)])
            .collect();
        let same = changed.len() - rows.len();
        if !rows.is_empty() {
            let headings =
                vec![("CAMPAIGN", Kind::Name, 0), ("CHANGE", Kind::Name, 0), ("KEYS", Kind::Text, 0)];
            output::write(&(Sheet::new(headings, &look).block(&rows) + "\n"))?;
        }
        output::say(format!("{} campaigns change, {same} stay as they are", rows.len()));
    }
    let layout = if args.audience { WITH_AUDIENCE } else { COLUMNS };
    let mut writer = RowWriter::new(format, layout, &look);
    let mut columns: Vec<String> =
        ["campaign", "due_at", "local", "zone", "note"].map(str::to_owned).to_vec();
    if args.audience {
        columns.extend(Burden::COLUMNS.map(str::to_owned));
    }
    for occurrence in occurrences {
        let note = occurrence.note.map_or(Cell::Null, Cell::Text);
        let mut cells = vec![
            Cell::Text(occurrence.campaign),
            Cell::Text(occurrence.due_at),
            Cell::Text(occurrence.local),
            Cell::Text(occurrence.zone),
            note,
        ];
        if args.audience {
            cells.extend(occurrence.burden.map_or([const { Cell::Null }; 4], Burden::cells));
        }
        writer.row(&columns, &cells)?;
    }
    writer.finish(&columns, "nothing is due in this period")
}

/// What the days that have a quota are asked for.
fn write_quotas(quotas: &[Quota], settings: &Settings) -> Result<(), Failure> {
    let look = Look::new(settings);
    let headings = vec![
        ("DAY", Kind::Name, 0),
        ("GATEWAY", Kind::Name, 0),
        ("RECIPIENTS", Kind::Number, 0),
        ("QUOTA", Kind::Number, 0),
        ("NOTE", Kind::Text, 0),
    ];
    let row = |quota: &Quota| {
        let besides = match quota.unsized_occurrences {
            0 => None,
            1 => Some("and 1 occurrence whose size is not known".to_owned()),
            count => Some(format!("and {count} occurrences whose size is not known")),
        };
        let beyond = (quota.recipients > quota.limit).then(|| "what is too much waits".to_owned());
        let notes: Vec<String> = besides.into_iter().chain(beyond).collect();
        vec![
            with_weekday(&quota.day.to_string()),
            quota.gateway.clone(),
            quota.recipients.to_string(),
            quota.limit.to_string(),
            notes.join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = quotas.iter().map(row).collect();
    output::write(&format!("\n{}\n", Sheet::new(headings, &look).block(&rows)))?;
    Ok(())
}

/// An instant as the ledger's views write it.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// An instant as the clocks of a zone show it, with their offset.
pub fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A local time with its weekday, for people.
pub fn with_weekday(local: &str) -> String {
    match local.get(..10).and_then(|date| date.parse::<jiff::civil::Date>().ok()) {
        Some(date) => format!("{} {}", date.strftime("%a"), local.replacen('T', " ", 1)),
        None => local.to_owned(),
    }
}
