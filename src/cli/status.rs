//! `campaignd status`: where everything stands now.

use jiff::Timestamp;

use super::{
    Ended, Exit, gateways,
    output::{self, Look},
    suppress,
    table::{self, Column, Format, FormatArgs, Kind},
};
use crate::{
    settings::Settings,
    store::{owner::Owner, sqlite::review::Review},
};

/// Show the campaigns in force, what is wrong in the folder, the gateways, and whether a daemon works.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "JSON and CSV are the view campaign_status alone, times in UTC; `labels` is a JSON text as it is \
    there. With --gateways they have a row for each limit of a gateway: gateway, breaker (closed, open, half_open), \
    since, until, reason, limit_of, rate, capacity, used, left, free_at and more.\n\n\
    Examples:\n  campaignd status\n  campaignd status --format json | jq '.[] | {campaign, next_occurrence}'\n  \
    campaignd status --gateways --format json | jq '.[] | select(.breaker != \"closed\")'"
)]
pub struct StatusArgs {
    /// Only the gateways: whether they work, since when and why not, what their limits have left
    #[arg(long)]
    gateways: bool,
    #[command(flatten)]
    format: FormatArgs,
}

const CAMPAIGNS: &[Column] = &[
    Column::new("CAMPAIGN", Kind::Name, |row, _| row.text("campaign")),
    Column::new("STATE", Kind::Word, |row, _| {
        let (state, problem) = (row.text("state"), row.text("problem"));
        if problem.is_empty() { state } else { format!("{state}, {problem}") }
    }),
    Column::new("NEXT", Kind::Name, |row, look| look.time(&row.text("next_occurrence"))),
    Column::new("LAST RUN", Kind::Name, |row, _| row.text("last_run")).spare(1),
    Column::new("LAST STATE", Kind::Word, |row, _| row.text("last_state")),
    Column::new("GATEWAY", Kind::Name, |row, _| row.text("gateway")).spare(2),
    Column::new("LABELS", Kind::Text, |row, _| table::labels(&row.text("labels"))).spare(3),
    Column::new("FILE", Kind::Name, |row, _| row.text("path")).spare(4),
];

const PROBLEMS: &[Column] = &[
    Column::new("FILE", Kind::Name, |row, _| match row.text("line").as_str() {
        "0" => row.text("path"),
        line => format!("{}:{line}:{}", row.text("path"), row.text("column")),
    }),
    Column::new("SEVERITY", Kind::Name, |row, _| row.text("severity")),
    Column::new("CODE", Kind::Name, |row, _| row.text("code")),
    Column::new("WHAT IS WRONG", Kind::Text, |row, _| row.text("message")),
    Column::new("SINCE", Kind::Name, |row, look| look.time(&row.text("since"))).spare(1),
];

pub fn run(args: &StatusArgs, settings: &Settings, now: Timestamp) -> Ended {
    let review = Review::open(&settings.database)?;
    let look = Look::new(settings);
    if args.gateways && args.format.format != Format::Table {
        gateways::write(args.format.format, &gateways::rows(&review, settings, now)?, &look)?;
        return Ok(Exit::Good);
    }
    if args.gateways {
        output::write(&gateways::page(settings, &gateways::rows(&review, settings, now)?, &look))?;
        return Ok(Exit::Good);
    }
    let campaigns = review.campaigns()?;
    if args.format.format != Format::Table {
        table::write(args.format.format, CAMPAIGNS, &look, &campaigns, "")?;
        return Ok(Exit::Good);
    }
    output::write(&standing(settings, review.locked()?, &look))?;
    for unfinished in suppress::unfinished(&review, &look)? {
        output::write(&format!("UNFINISHED  {unfinished}\n"))?;
    }
    output::write(&look.heading("Campaigns"))?;
    table::write(
        Format::Table,
        CAMPAIGNS,
        &look,
        &campaigns,
        "there is no campaign yet; `campaignd new` makes one",
    )?;
    let problems = review.problems()?;
    if !problems.rows.is_empty() {
        output::write(&look.heading("Problems in the folder"))?;
        table::write(Format::Table, PROBLEMS, &look, &problems, "")?;
    }
    output::write(&look.heading("Gateways"))?;
    output::write(&gateways::page(settings, &gateways::rows(&review, settings, now)?, &look))?;
    Ok(Exit::Good)
}

/// The daemon, the ledger, and whether anything is delivered at all.
fn standing(settings: &Settings, locked: Option<String>, look: &Look) -> String {
    let daemon = match Owner::of(&settings.database) {
        Some(owner) => owner,
        None => "none, so nothing is sent; `campaignd serve` starts one".to_owned(),
    };
    let nowhere: Vec<&str> = settings
        .gateways
        .iter()
        .filter(|(_, gateway)| !gateway.delivers())
        .map(|(name, _)| name.as_str())
        .collect();
    let mut text = String::new();
    if !nowhere.is_empty() {
        text += &format!("SANDBOX   {} delivers nowhere\n", nowhere.join(", "));
    }
    text += &format!("Daemon    {daemon}\n");
    text += &format!("Ledger    {}\n", settings.database.display());
    if let Some(reason) = locked {
        text += &format!("LOCKED    nothing is sent until `campaignd db unlock`: {reason}\n");
    }
    text += &format!("Folder    {}\n", settings.campaigns.display());
    text += &format!("Times in  {}\n", look.zone_name());
    text
}
