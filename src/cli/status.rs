//! `campaignd status`: where everything stands now.

use super::{
    Ended, Exit,
    output::{self, Look},
    table::{self, Column, Format, FormatArgs, Kind, Sheet},
};
use crate::{
    limits::Limits,
    settings::Settings,
    store::{
        owner::Owner,
        sqlite::review::{Review, Rows},
    },
};

/// Show the campaigns in force, what is wrong in the folder, the gateways, and whether a daemon works.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "JSON and CSV are the view campaign_status alone, times in UTC; `labels` is a JSON text as it is \
    there.\n\n\
    Examples:\n  campaignd status\n  campaignd status --format json | jq '.[] | {campaign, next_occurrence}'"
)]
pub struct StatusArgs {
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

pub fn run(args: &StatusArgs, settings: &Settings) -> Ended {
    let review = Review::open(&settings.database)?;
    let look = Look::new(settings);
    let campaigns = review.campaigns()?;
    if args.format.format != Format::Table {
        table::write(args.format.format, CAMPAIGNS, &look, &campaigns, "")?;
        return Ok(Exit::Good);
    }
    output::write(&standing(settings, &look))?;
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
    output::write(&gateways(settings, &look))?;
    let resting = review.resting_gateways()?;
    for name in settings.gateways.keys() {
        if let Some(rests) = resting_text(&resting, name, &look) {
            output::write(&format!("{name} rests {rests}\n"))?;
        }
    }
    Ok(Exit::Good)
}

/// The daemon, the ledger, and whether anything is delivered at all.
fn standing(settings: &Settings, look: &Look) -> String {
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
    text += &format!("Folder    {}\n", settings.campaigns.display());
    text += &format!("Times in  {}\n", look.zone_name());
    text
}

fn gateways(settings: &Settings, look: &Look) -> String {
    let default = settings.default_gateway.as_deref();
    let rows: Vec<Vec<String>> = settings
        .gateways
        .iter()
        .map(|(name, gateway)| {
            let mark = if default == Some(name) { " (default)" } else { "" };
            let kind = if gateway.delivers() {
                gateway.kind().to_owned()
            } else {
                format!("{} (SANDBOX)", gateway.kind())
            };
            vec![
                format!("{name}{mark}"),
                kind,
                gateway.figures().concurrency.to_string(),
                limits(&gateway.figures().limits),
            ]
        })
        .collect();
    let headings = vec![
        ("GATEWAY", Kind::Name, 0),
        ("KIND", Kind::Name, 0),
        ("CALLS AT ONCE", Kind::Number, 1),
        ("LIMITS", Kind::Text, 0),
    ];
    Sheet::new(headings, look).block(&rows)
}

/// Why a gateway rests, and until when, if it does.
pub fn resting_text(resting: &Rows, gateway: &str, look: &Look) -> Option<String> {
    let row = table::rows(resting).find(|row| row.text("gateway") == gateway)?;
    Some(format!(
        "since {}, tries again at {}: {} ({})",
        look.time(&row.text("since")),
        look.time(&row.text("until")),
        row.text("reason"),
        row.text("code")
    ))
}

/// Limits as the settings write them: `recipients 200/s 100000/day, calls 100/min`.
fn limits(limits: &Limits) -> String {
    let mut parts = Vec::new();
    for (what, rates) in [("recipients", &limits.recipients), ("calls", &limits.calls)] {
        if !rates.is_empty() {
            let rates: Vec<String> = rates.iter().map(ToString::to_string).collect();
            parts.push(format!("{what} {}", rates.join(" ")));
        }
    }
    if limits.headroom_percent > 0 && !parts.is_empty() {
        parts.push(format!("headroom {}%", limits.headroom_percent));
    }
    parts.join(", ")
}
