//! The gateways as `status` shows them: whether they work, what their limits have left.

use jiff::{SignedDuration, Timestamp};

use super::{
    Failure,
    output::Look,
    table::{self, Column, Format, Kind, Sheet},
};
use crate::{
    limits::{Limits, SlidingLog, WindowUse},
    settings::Settings,
    store::{
        PastCall,
        sqlite::review::{Cell, Review, Rows},
    },
};

/// The columns for programs: a row for each limit of a gateway, one without limits has a single row.
const COLUMNS: [&str; 20] = [
    "gateway",
    "kind",
    "delivers",
    "concurrency",
    "batch_size",
    "breaker",
    "since",
    "until",
    "failures",
    "reason_code",
    "reason",
    "quiet_since",
    "quiet_until",
    "quiet_reason",
    "limit_of",
    "rate",
    "capacity",
    "used",
    "left",
    "free_at",
];

/// The gateways of the settings, each with its standing and the use of its limits now.
pub fn rows(review: &Review, settings: &Settings, now: Timestamp) -> Result<Rows, Failure> {
    let standing = review.gateways()?;
    let mut rows = Rows { columns: COLUMNS.map(str::to_owned).to_vec(), rows: Vec::new() };
    for (name, gateway) in &settings.gateways {
        let stands = table::rows(&standing).position(|row| row.text("gateway") == *name);
        let known = |column: &str| stands.map_or(Cell::Null, |row| standing.cell(row, column).clone());
        let text = |text: &str| Cell::Text(text.to_owned());
        let breaker = if stands.is_some() { known("breaker") } else { text("closed") };
        // A quiet that is over tells nothing any more.
        let quiet = known("quiet_until").text().parse().is_ok_and(|until: Timestamp| until > now);
        let of_quiet = |column: &str| if quiet { known(column) } else { Cell::Null };
        let figures = gateway.figures();
        let common = [
            text(name),
            text(gateway.kind()),
            Cell::Integer(i64::from(gateway.delivers())),
            Cell::Integer(i64::from(figures.concurrency)),
            Cell::Integer(i64::from(figures.batch_size)),
            breaker,
            known("since"),
            known("until"),
            known("failures"),
            known("reason_code"),
            known("reason"),
            of_quiet("quiet_since"),
            of_quiet("quiet_until"),
            of_quiet("quiet_reason"),
        ];
        let uses = uses(review, name, &figures.limits, now)?;
        let limits = uses.iter().map(|used| {
            let free_at = used.free_at.map(|at| text(&at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()));
            [
                text(used.of),
                text(&used.rate.to_string()),
                number(used.capacity),
                number(used.used),
                number(used.left()),
                free_at.unwrap_or(Cell::Null),
            ]
        });
        let none = uses.is_empty().then(|| std::array::from_fn(|_| Cell::Null));
        rows.rows.extend(limits.chain(none).map(|limit| common.iter().cloned().chain(limit).collect()));
    }
    Ok(rows)
}

fn number(count: u64) -> Cell {
    Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What each window of a gateway holds now, by the ledger: the same arithmetic by which the daemon sends.
fn uses(review: &Review, name: &str, limits: &Limits, now: Timestamp) -> Result<Vec<WindowUse>, Failure> {
    let mut log = SlidingLog::new(limits);
    let reach_ms = log.longest_window_ms();
    if reach_ms == 0 {
        return Ok(Vec::new());
    }
    let calls = review.calls(name, now - SignedDuration::from_millis(reach_ms))?;
    for PastCall { ended_at, recipients } in calls.ended {
        log.ended(ended_at.min(now), recipients);
    }
    for recipients in calls.under_way {
        log.begin(recipients);
    }
    Ok(log.uses(now))
}

/// The table for people, and below it why a gateway does not send.
pub fn page(settings: &Settings, rows: &Rows, look: &Look) -> String {
    let default = settings.default_gateway.as_deref();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut notes = String::new();
    for row in table::rows(rows) {
        let name = row.text("gateway");
        let limit = limit(&row, look);
        let headroom = match settings.gateways.get(&name).map(|known| known.figures().limits.headroom_percent)
        {
            Some(percent @ 1..) if !limit.is_empty() => format!(", headroom {percent}% kept"),
            _ => String::new(),
        };
        let shown = if default == Some(&name) { format!("{name} (default)") } else { name.clone() };
        if lines.last().is_some_and(|line| line.first() == Some(&shown)) {
            // A further limit of the same gateway.
            if let Some(cell) = lines.last_mut().and_then(|line| line.last_mut()) {
                *cell = format!("{}; {limit}{headroom}", cell.trim_end_matches(&headroom));
            }
            continue;
        }
        let kind = row.text("kind");
        let kind = if row.text("delivers") == "0" { format!("{kind} (SANDBOX)") } else { kind };
        lines.push(vec![shown, kind, state(&row), row.text("concurrency"), limit + &headroom]);
        if let Some(waits) = waits(&row, look) {
            notes += &format!("{name} {waits}\n");
        }
    }
    let headings = vec![
        ("GATEWAY", Kind::Name, 0),
        ("KIND", Kind::Name, 2),
        ("STATE", Kind::Word, 0),
        ("CALLS AT ONCE", Kind::Number, 1),
        ("LIMITS", Kind::Text, 0),
    ];
    Sheet::new(headings, look).block(&lines) + &notes
}

fn state(row: &table::Row<'_>) -> String {
    let closed = row.text("breaker") == "closed";
    match (closed, row.text("quiet_until").is_empty()) {
        (true, true) => "works",
        (true, false) => "quiet",
        (false, _) => "out of order",
    }
    .to_owned()
}

/// One limit: `recipients 200/s: 12 used, 168 left`.
fn limit(row: &table::Row<'_>, look: &Look) -> String {
    let of = row.text("limit_of");
    if of.is_empty() {
        return String::new();
    }
    let left = match (row.text("left").as_str(), row.text("free_at")) {
        ("0", at) if !at.is_empty() => format!("none left until {}", look.time(&at)),
        (left, _) => format!("{left} left"),
    };
    format!("{of} {}: {} used, {left}", row.text("rate"), row.text("used"))
}

/// Why a gateway of [`rows`] does not send, since when, and when it tries again; None when it sends.
pub fn waits(row: &table::Row<'_>, look: &Look) -> Option<String> {
    let reason = |text: &str, code: &str| match row.text(code) {
        code if code.is_empty() => row.text(text),
        code => format!("{} ({code})", row.text(text)),
    };
    let since = look.time(&row.text("since"));
    let outage = match row.text("breaker").as_str() {
        "open" => Some(format!(
            "is out of order since {since}, is asked again at {}: {}",
            look.time(&row.text("until")),
            reason("reason", "reason_code")
        )),
        "half_open" => Some(format!(
            "is out of order since {since}, is being asked: {}",
            reason("reason", "reason_code")
        )),
        _ => None,
    };
    let quiet = Some(row.text("quiet_until")).filter(|until| !until.is_empty()).map(|until| {
        let since = look.time(&row.text("quiet_since"));
        let why = row.text("quiet_reason");
        format!("keeps quiet since {since} until {}: {why}", look.time(&until))
    });
    outage.or(quiet)
}

/// Writes the rows for programs.
pub fn write(format: Format, rows: &Rows, look: &Look) -> Result<(), Failure> {
    const NONE: &[Column] = &[];
    table::write(format, NONE, look, rows, "")
}
