//! `campaignd show`: one run, and what to do next.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Ended, Exit, Failure, gateways, names,
    output::{self, Look},
    problems::printable,
    runs,
    table::{self, Column, Format, Kind, Row, Sheet},
};
use crate::{
    campaign::source::BadLine,
    settings::Settings,
    store::{
        owner::Owner,
        sqlite::review::{Review, Rows},
    },
};

/// Show one run: where it comes from, what became of its recipients and why, what was asked when.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "JSON is one object: the run's row of run_summary and, besides, the lists `attempts` (rows of \
    attempt_log), `sources` (what the audience came from), `reasons` ({outcome, reason_code, reason, recipients}, the most frequent first; `reasons_of_first` is null, or says that only \
    so many of each outcome were read for them), `inquiries` \
    (what is being looked up) and `not_found` (who accepted, and has no message when looked up).\n\n\
    Examples:\n  campaignd show hello@20261111T010000Z\n  campaignd show hello\n  \
    campaignd show hello --format json | jq .reasons\n  campaignd show hello@20261111T010000Z --format yaml"
)]
pub struct ShowArgs {
    /// A run, or a campaign: its newest run
    #[arg(value_name = "RUN")]
    run: String,
    /// How it is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ShowFormat::Table)]
    format: ShowFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ShowFormat {
    /// For people: times in the settings' zone
    Table,
    /// One object
    Json,
    /// The bytes of the campaign file that the run was made from
    Yaml,
}

/// How many reasons and attempts the page for people has.
const REASONS: u32 = 10;
const ATTEMPTS: u32 = 8;
/// How many reasons programs get.
const MOST_REASONS: u32 = 1_000;
/// How many recipients are named whose message was accepted and not found.
const NOT_FOUND: u32 = 10;

const REASON_COLUMNS: &[Column] = &[
    Column::new("OUTCOME", Kind::Word, |row, _| row.text("outcome")),
    Column::new("RECIPIENTS", Kind::Number, |row, _| row.text("recipients")),
    Column::new("CODE", Kind::Name, |row, _| row.text("reason_code")),
    Column::new("REASON", Kind::Text, |row, _| row.text("reason")),
];

const ATTEMPT_COLUMNS: &[Column] = &[
    Column::new("ATTEMPT", Kind::Number, |row, _| row.text("attempt")),
    Column::new("KIND", Kind::Name, |row, _| row.text("kind")),
    Column::new("BATCH", Kind::Number, |row, _| row.text("batch")),
    Column::new("STARTED", Kind::Name, |row, look| look.time(&row.text("started_at"))).spare(1),
    Column::new("RECIPIENTS", Kind::Number, |row, _| row.text("recipients")),
    Column::new("ACCEPTED", Kind::Number, |row, _| row.text("accepted")),
    Column::new("VERDICT", Kind::Name, |row, _| row.text("verdict").replace('_', " ")),
    Column::new("ANSWER", Kind::Text, |row, _| answer(row)),
    Column::new("OPERATION", Kind::Name, |row, _| row.text("operation_id")).spare(2),
];

const SOURCE_COLUMNS: &[Column] = &[
    Column::new("SIDE", Kind::Name, |row, _| row.text("side")),
    Column::new("SOURCE", Kind::Text, |row, _| row.text("name")),
    Column::new("IDS", Kind::Number, |row, _| row.text("ids")),
    Column::new("BAD LINES", Kind::Number, |row, _| row.text("bad_lines")),
    Column::new("SHA-256", Kind::Name, |row, _| row.text("sha256").chars().take(16).collect()).spare(1),
];

/// How many bad lines of a source are told one by one.
const BAD_LINES: usize = 10;

/// The first lines of a list that were left out, and why.
fn bad_lines(source: &Row<'_>) -> Vec<String> {
    let told: Vec<BadLine> = serde_json::from_str(&source.text("first_bad_lines")).unwrap_or_default();
    let name = source.text("name");
    let lines = told.iter().take(BAD_LINES);
    lines.map(|bad| format!("{name}:{}: {}\n", bad.line, printable(&bad.what))).collect()
}

/// What the provider said, when it is worth a word.
fn answer(row: &Row<'_>) -> String {
    let code = row.text("provider_code");
    let parts = [
        ("HTTP ", row.text("http_status").replace("200", "")),
        ("code ", if code == "0" { String::new() } else { code }),
        ("", row.text("provider_message")),
    ];
    let said = parts.iter().filter(|(_, text)| !text.is_empty()).map(|(what, text)| format!("{what}{text}"));
    said.collect::<Vec<_>>().join(" ")
}

pub fn run(args: &ShowArgs, settings: &Settings, now: Timestamp) -> Ended {
    let review = Review::open(&settings.database)?;
    let name = names::run_or_newest(&review, &args.run)?;
    let rows = review.run(&name)?;
    let Some(row) = table::rows(&rows).next() else {
        return Err(names::not_found("run", &name, std::iter::empty()));
    };
    match args.format {
        ShowFormat::Json => output::write(&json(&review, &name, &row)?)?,
        ShowFormat::Yaml => output::write_bytes(&review.run_bytes(&name)?)?,
        ShowFormat::Table => page(&review, &name, &row, settings, now)?,
    }
    Ok(Exit::Good)
}

fn json(review: &Review, name: &str, row: &Row<'_>) -> Result<String, Failure> {
    let list = |rows: &Rows| {
        let objects: Vec<String> = table::rows(rows).map(|row| format!("    {}", row.json())).collect();
        if objects.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", objects.join(",\n")) }
    };
    let mut lines = Vec::new();
    for (column, cell) in row.columns.iter().zip(row.cells) {
        lines.push(format!("  {}: {}", serde_json::to_string(column)?, serde_json::to_string(cell)?));
    }
    lines.push(format!("  \"attempts\": {}", list(&review.attempts(name, None)?)));
    lines.push(format!("  \"sources\": {}", list(&review.sources(name)?)));
    let (reasons, of_first) = review.reasons(name, MOST_REASONS)?;
    lines.push(format!("  \"reasons\": {}", list(&reasons)));
    lines.push(format!("  \"reasons_of_first\": {}", serde_json::to_string(&of_first)?));
    lines.push(format!("  \"inquiries\": {}", list(&review.inquiries(name)?)));
    lines.push(format!("  \"not_found\": {}", list(&review.not_found(name, MOST_REASONS)?)));
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

fn page(
    review: &Review,
    name: &str,
    row: &Row<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), Failure> {
    let look = Look::new(settings);
    output::write(&provenance(row, settings, &look))?;
    if !row.text("pending").is_empty() && row.text("pending") != "0" {
        let known = gateways::rows(review, settings, now)?;
        let own = table::rows(&known).find(|known| known.text("gateway") == row.text("gateway"));
        if let Some(waits) = own.and_then(|own| gateways::waits(&own, &look)) {
            output::write(&format!("Waits     its gateway {waits}\n"))?;
        }
    }
    output::write(&look.heading("Outcomes"))?;
    output::write(&outcomes(row, &look))?;
    let looked_up = looked_up(review, name, &look)?;
    if !looked_up.is_empty() {
        output::write(&look.heading("Looked up"))?;
        output::write(&looked_up)?;
    }
    let sources = review.sources(name)?;
    if !sources.rows.is_empty() {
        output::write(&look.heading("Sources, as they were when the audience was opened"))?;
        table::write(Format::Table, SOURCE_COLUMNS, &look, &sources, "")?;
        let lines: Vec<String> = table::rows(&sources).flat_map(|source| bad_lines(&source)).collect();
        output::write(&lines.concat())?;
    }
    let (reasons, of_first) = review.reasons(name, REASONS)?;
    if !reasons.rows.is_empty() {
        let of = of_first.map_or(String::new(), |most| format!(", of the first {most} of each outcome"));
        output::write(&look.heading(&format!("Reasons, the most frequent first{of}")))?;
        table::write(Format::Table, REASON_COLUMNS, &look, &reasons, "")?;
    }
    let count = review.attempt_count(name)?;
    if count > 0 {
        let last = if count > i64::from(ATTEMPTS) { format!(", the last {ATTEMPTS}") } else { String::new() };
        output::write(&look.heading(&format!("Attempts: {count}{last}")))?;
        table::write(Format::Table, ATTEMPT_COLUMNS, &look, &review.attempts(name, Some(ATTEMPTS))?, "")?;
    }
    output::write(&look.heading("Timeline"))?;
    output::write(&timeline(row, &review.actions(name)?, &look))?;
    output::write(&look.heading("Next"))?;
    let daemon = Owner::of(&settings.database).is_some();
    let steps = next_steps(name, row, daemon, &review.holds(name)?);
    output::write(&steps.iter().map(|(what, command)| format!("{what}:\n  {command}\n")).collect::<String>())
}

/// Whom the provider is being asked about, what that waits for, and what confirming has brought.
fn looked_up(review: &Review, name: &str, look: &Look) -> Result<String, Failure> {
    let mut text = String::new();
    let inquiries = review.inquiries(name)?;
    // Batches that wait for the same are told together.
    let mut waiting: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in table::rows(&inquiries) {
        let recipients: i64 = row.text("recipients").parse().unwrap_or_default();
        *waiting.entry((row.text("purpose"), row.text("waits_for"))).or_default() += recipients;
    }
    for ((purpose, waits_for), recipients) in waiting {
        let who = if purpose == "settle" { "unknown" } else { "accepted" };
        let waits_for: Vec<String> = waits_for.split(' ').map(|word| look.time(word)).collect();
        let waits_for = waits_for.join(" ");
        let why = if waits_for.is_empty() { "the first look comes soon".to_owned() } else { waits_for };
        text += &format!("{recipients} {who}: {why}\n");
    }
    let confirmations = review.confirmations(name)?;
    if let Some(row) = table::rows(&confirmations).next() {
        let (confirmed, not_found) = (row.text("confirmed"), row.text("not_found"));
        text += &format!("{confirmed} confirmed, {not_found} accepted and not found");
        let missing = review.not_found(name, NOT_FOUND)?;
        let ids: Vec<String> = table::rows(&missing).map(|row| row.text("recipient")).collect();
        if !ids.is_empty() {
            let more = if ids.len() < not_found.parse().unwrap_or_default() { ", …" } else { "" };
            text += &format!(": {}{more}", ids.join(", "));
        }
        text.push('\n');
    }
    Ok(text)
}

fn provenance(row: &Row<'_>, settings: &Settings, look: &Look) -> String {
    let gateway = row.text("gateway");
    let nowhere = settings.gateways.get(&gateway).is_some_and(|known| !known.delivers());
    let why = |text: String| if text.is_empty() { text } else { format!(" ({text})") };
    let commit = row.text("commit_id");
    let commit = if commit.is_empty() { commit } else { format!(", commit {commit}") };
    let lines = [
        ("Run", row.text("run")),
        ("Campaign", row.text("campaign")),
        ("Labels", table::labels(&row.text("labels"))),
        ("State", row.text("state") + &why(row.text("reason"))),
        ("Trigger", row.text("trigger")),
        ("Revision", format!("{} of {}{commit}", row.text("revision"), row.text("path"))),
        ("Gateway", if nowhere { format!("{gateway} (SANDBOX: delivers nowhere)") } else { gateway }),
        ("Times in", look.zone_name().to_owned()),
    ];
    let shown = lines.iter().filter(|(_, value)| !value.is_empty());
    shown.map(|(what, value)| format!("{what:<9} {value}\n")).collect()
}

fn outcomes(row: &Row<'_>, look: &Look) -> String {
    let audience: f64 = row.text("audience").parse().unwrap_or_default();
    let counts = [
        "accepted",
        "refused",
        "failed",
        "unknown",
        "excluded",
        "expired",
        "cancelled",
        "pending",
        "in_flight",
    ];
    let mut rows: Vec<Vec<String>> = counts
        .iter()
        .map(|column| (column, row.text(column)))
        .filter(|(column, count)| **column == "accepted" || count != "0")
        .map(|(column, count)| {
            let part = count.parse::<f64>().ok().filter(|_| audience > 0.0);
            // 100 % is everyone, and 0 % nobody.
            let share = part.map(|part| match 100.0 * part / audience {
                share if part > 0.0 && part < audience => share.clamp(0.1, 99.9),
                share => share,
            });
            let share = share.map(|share| format!("{share:.1}%")).unwrap_or_default();
            vec![column.replace('_', " "), count, share]
        })
        .collect();
    rows.push(vec!["audience".to_owned(), row.text("audience"), String::new()]);
    let headings =
        vec![("OUTCOME", Kind::Word, 0), ("RECIPIENTS", Kind::Number, 0), ("SHARE", Kind::Number, 0)];
    Sheet::new(headings, look).block(&rows)
}

fn timeline(row: &Row<'_>, actions: &Rows, look: &Look) -> String {
    let because = |act: &Row<'_>| match act.text("why") {
        why if why.is_empty() => format!(", by {}", act.text("who")),
        why => format!(", by {}: {why}", act.text("who")),
    };
    let mut asked = if row.text("trigger") == "schedule" { "was to run" } else { "asked for" }.to_owned();
    let mut events = Vec::new();
    for act in table::rows(actions) {
        let action = act.text("action");
        match act.text("target") {
            // It was written down when the run was made already.
            _ if action == "send" => asked += &because(&act),
            run if run == row.text("run") => events.push((act.text("at"), action + &because(&act))),
            target => events.push((act.text("at"), format!("{action} {target}{}", because(&act)))),
        }
    }
    events.push((row.text("occurrence"), asked));
    let late = runs::milliseconds(&row.text("late_ms"));
    events.push((row.text("started_at"), format!("first request, {late} late")));
    events.push((row.text("finished_at"), row.text("state")));
    events.retain(|(at, _)| !at.is_empty());
    events.sort_by(|a, b| a.0.cmp(&b.0));
    events.iter().map(|(at, what)| format!("{}  {what}\n", look.time(at))).collect()
}

/// What a person may want to do now: what for, and the command.
fn next_steps(name: &str, row: &Row<'_>, daemon: bool, holds: &Rows) -> Vec<(&'static str, String)> {
    let mut steps = Vec::new();
    let state = row.text("state");
    let is_over = matches!(state.as_str(), "completed" | "cancelled" | "failed");
    if !is_over && !daemon {
        steps.push(("No daemon works; the run goes on when one does", "campaignd serve".to_owned()));
    }
    match state.as_str() {
        "paused" => {
            let campaign = row.text("campaign");
            let levels = [
                ("everything", "Go on with everything", "--all"),
                ("campaign", "Go on with its campaign", campaign.as_str()),
                ("run", "Go on", name),
            ];
            for (level, what, target) in levels {
                if holds.cell(0, level).number() == 1 {
                    steps.push((what, format!("campaignd resume {target}")));
                }
            }
            if steps.is_empty() {
                steps.push((
                    "It goes on by itself when its provider works again",
                    "campaignd status".to_owned(),
                ));
            }
        }
        "pending" | "running" => steps.push(("Hold it", format!("campaignd pause {name}"))),
        _ => {}
    }
    if !is_over {
        steps.push(("End it for good", format!("campaignd cancel {name}")));
    }
    let some = |column: &str| !matches!(row.text(column).as_str(), "0" | "");
    let deliveries = |outcomes: &str| format!("campaignd deliveries --run {name}{outcomes}");
    if some("unknown") {
        steps.push(("Whoever is unknown may have got it", deliveries(" --outcome unknown")));
        if is_over {
            steps.push(("Ask the provider what became of them", format!("campaignd reconcile {name}")));
        }
    }
    if is_over && some("failed") {
        steps.push(("Ask those again who failed", format!("campaignd retry {name} --only failed")));
    }
    let bad: Vec<&str> = ["refused", "failed", "expired"].into_iter().filter(|column| some(column)).collect();
    if !bad.is_empty() {
        steps.push(("Who did not get it", deliveries(&format!(" --outcome {}", bad.join(",")))));
    }
    if steps.is_empty() {
        steps.push(("Every recipient", deliveries("")));
    }
    steps
}
