//! `campaignd history`: a campaign's revisions, and the difference between two.

use anyhow::anyhow;
use similar::TextDiff;

use super::{
    Ended, Exit, Failure, names,
    output::{self, Look},
    problems::printable,
    table::{Column, Format, FormatArgs, Kind, RowWriter},
};
use crate::{
    document::difference::{changed_keys, told},
    settings::Settings,
    store::sqlite::review::Review,
};

/// Show a campaign's revisions, the newest first, and the difference between two of them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without numbers: all revisions, and what the newest one changed. With one: what that one changed. \
    With two: the difference between them. A commit with a `*` had the file otherwise. JSON and CSV are the \
    campaign's rows of the view revision_log.\n\n\
    Examples:\n  campaignd history hello\n  campaignd history hello 3\n  campaignd history hello 3 7\n  \
    campaignd history hello --format json | jq -r '.[0].yaml'"
)]
pub struct HistoryArgs {
    /// The campaign
    campaign: String,
    /// A revision's number
    #[arg(value_name = "FROM", conflicts_with = "format")]
    from: Option<i64>,
    /// Another one's
    #[arg(value_name = "TO", conflicts_with = "format")]
    to: Option<i64>,
    #[command(flatten)]
    format: FormatArgs,
}

const LAYOUT: &[Column] = &[
    Column::new("REVISION", Kind::Number, |row, _| row.text("revision")),
    Column::new("APPLIED", Kind::Name, |row, look| look.time(&row.text("applied_at"))),
    Column::new("COMMIT", Kind::Name, |row, _| {
        let commit: String = row.text("commit_id").chars().take(12).collect();
        if row.text("dirty") == "1" { commit + "*" } else { commit }
    }),
    Column::new("SHA256", Kind::Name, |row, _| row.text("sha256").chars().take(12).collect()).spare(1),
    Column::new("FILE", Kind::Name, |row, _| row.text("path")),
];

pub fn run(args: &HistoryArgs, settings: &Settings) -> Ended {
    let review = Review::open(&settings.database)?;
    names::known_campaign(&review, &args.campaign)?;
    let mut numbers = Vec::new();
    let look = Look::new(settings);
    let format = args.format.format;
    let mut writer = (args.from.is_none()).then(|| RowWriter::new(format, LAYOUT, &look));
    let columns = review.revisions(&args.campaign, |columns, cells| -> Result<(), Failure> {
        numbers.extend(cells.first().map(|cell| cell.number()));
        writer.as_mut().map_or(Ok(()), |writer| writer.row(columns, &cells))
    })?;
    if let Some(writer) = writer {
        writer.finish(&columns, "")?;
    }
    if format != Format::Table {
        return Ok(Exit::Good);
    }
    let before = |number: i64| numbers.iter().copied().find(|known| *known < number);
    let pair = match (args.from, args.to) {
        (Some(from), Some(to)) => Some((from, to)),
        (Some(to), None) => Some((before(to).unwrap_or(to), to)),
        (None, _) => numbers.first().and_then(|newest| Some((before(*newest)?, *newest))),
    };
    if let Some((from, to)) = pair {
        let text = difference(&review, &args.campaign, from, to)?;
        if args.from.is_none() {
            output::write(&look.heading(&format!("What revision {to} changed")))?;
        }
        output::write(&text)?;
    }
    Ok(Exit::Good)
}

/// The keys that differ, and the lines.
fn difference(review: &Review, campaign: &str, from: i64, to: i64) -> Result<String, Failure> {
    let bytes = |number: i64| {
        let found = review.revision_bytes(campaign, number)?;
        found.ok_or_else(|| {
            Failure::new(Exit::NotFound, anyhow!("the campaign {campaign} has no revision {number}"))
        })
    };
    let (before, after) = (bytes(from)?, bytes(to)?);
    let keys = if before == after { "the same".to_owned() } else { told(&changed_keys(&before, &after)) };
    let (before, after) = (String::from_utf8_lossy(&before), String::from_utf8_lossy(&after));
    let diff = TextDiff::from_lines(before.as_ref(), after.as_ref());
    let name = |number: i64| format!("{campaign} revision {number}");
    let lines = diff.unified_diff().context_radius(3).header(&name(from), &name(to)).to_string();
    // What a file holds must not steer a terminal.
    let lines: String = lines.lines().map(|line| printable(&line.replace('\t', "    ")) + "\n").collect();
    Ok(format!("Changed   {}\n{lines}", printable(&keys)))
}
