//! `campaignd runs`: the run history.

use super::{
    Ended, Exit, Failure, names,
    output::Look,
    table::{Column, Format, FormatArgs, Kind, RowWriter},
};
use crate::{settings::Settings, store::sqlite::review::Review};

/// Show runs, the newest first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "JSON and CSV have the columns of the view run_summary, times in UTC; `labels` is a JSON text \
    as it is there. The table shows the newest 50, JSON and CSV show all; --most says otherwise.\n\n\
    Examples:\n  campaignd runs\n  campaignd runs hello --most 5\n  \
    campaignd runs --format json | jq '.[] | select(.unknown > 0) | .run'"
)]
pub struct RunsArgs {
    /// Of this campaign only
    campaign: Option<String>,
    /// Show so many at most
    #[arg(long, value_name = "N")]
    most: Option<u32>,
    #[command(flatten)]
    format: FormatArgs,
}

/// How many rows a table has when nobody says.
const TABLE_ROWS: u32 = 50;

const LAYOUT: &[Column] = &[
    Column::new("RUN", Kind::Name, |row, _| row.text("run")),
    Column::new("STATE", Kind::Word, |row, _| row.text("state")),
    Column::new("ACCEPTED", Kind::Number, |row, _| {
        format!("{} of {}", row.text("accepted"), row.text("audience"))
    }),
    Column::new("OTHERS", Kind::Text, |row, _| others(row)),
    Column::new("STARTED", Kind::Name, |row, look| look.time(&row.text("started_at"))).spare(1),
    Column::new("LATE", Kind::Number, |row, _| milliseconds(&row.text("late_ms"))).spare(2),
    Column::new("FINISHED", Kind::Name, |row, look| look.time(&row.text("finished_at"))).spare(3),
    Column::new("GATEWAY", Kind::Name, |row, _| row.text("gateway")).spare(4),
];

/// What became of those who were not accepted: `3 refused, 1 unknown`.
pub fn others(row: &super::table::Row<'_>) -> String {
    let counts = ["refused", "failed", "unknown", "excluded", "expired", "cancelled", "pending", "in_flight"];
    let told = counts.iter().filter_map(|column| match row.text(column).as_str() {
        "0" | "" => None,
        count => Some(format!("{count} {}", column.replace('_', " "))),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Milliseconds as people read them.
pub fn milliseconds(text: &str) -> String {
    match text.parse::<i64>() {
        Ok(ms) if ms.abs() < 1_000 => format!("{ms} ms"),
        Ok(ms) => format!("{}.{} s", ms / 1_000, ms.abs() % 1_000 / 100),
        Err(_) => text.to_owned(),
    }
}

pub fn run(args: &RunsArgs, settings: &Settings) -> Ended {
    let review = Review::open(&settings.database)?;
    if let Some(campaign) = &args.campaign {
        names::known_campaign(&review, campaign)?;
    }
    let format = args.format.format;
    let most = args.most.or((format == Format::Table).then_some(TABLE_ROWS));
    let look = Look::new(settings);
    let mut writer = RowWriter::new(format, LAYOUT, &look);
    let columns = review.runs(args.campaign.as_deref(), most, |columns, cells| -> Result<(), Failure> {
        writer.row(columns, &cells)
    })?;
    writer.finish(&columns, "no run has been made yet")?;
    Ok(Exit::Good)
}
