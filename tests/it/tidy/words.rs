//! One word for one thing: the states in the code, in the ledger's constraints and in the drawings
//! are the same.

use std::collections::{BTreeMap, BTreeSet};

use campaignd::{
    document::Severity,
    plan::Fate,
    run::{
        Delivery, Ending, Outcome, RunEvent, RunState, Trigger,
        breaker::Standing,
        delivery::DeliveryEvent,
        inquiry::Purpose,
        look::Addressing,
        reply::{Reason, Receipt, Verdict},
        settlement::VERDICTS,
        source::Side,
    },
    store::{PausedBy, sqlite::SqliteStore},
};
use jiff::Timestamp;

use super::source::read;

/// The words that each constrained column of the ledger may hold.
fn words() -> BTreeMap<&'static str, Vec<&'static str>> {
    let severity = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let batch = [Delivery::Pending, Delivery::InFlight].map(|delivery| delivery.name());
    BTreeMap::from([
        ("campaign.state", vec!["active", "disabled", "removed"]),
        ("run.trigger", Trigger::ALL.map(Trigger::as_str).to_vec()),
        ("run.state", RunState::NAMES.to_vec()),
        ("run.ending", Ending::ALL.map(Ending::as_str).to_vec()),
        ("run.paused_by", PausedBy::ALL.map(PausedBy::as_str).to_vec()),
        ("occurrence.decision", Fate::NAMES.to_vec()),
        ("batch.state", batch.to_vec()),
        ("attempt.kind", vec!["send", "look"]),
        ("attempt.addressing", Addressing::ALL.map(Addressing::as_str).to_vec()),
        ("inquiry.purpose", Purpose::ALL.map(Purpose::as_str).to_vec()),
        // An attempt that never left is withdrawn; all others end with what the reply was.
        ("attempt.verdict", [VERDICTS.as_slice(), &["withdrawn"]].concat()),
        ("gateway_state.breaker", Standing::NAMES.to_vec()),
        ("delivery.outcome", Outcome::NAMES.to_vec()),
        ("run_source.side", Side::ALL.map(Side::as_str).to_vec()),
        ("problem.severity", [Severity::Error, Severity::Warning].map(severity).to_vec()),
    ])
}

#[test]
fn the_ledgers_constraints_are_the_words_of_the_code() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("campaignd.db");
    SqliteStore::open(&database, Timestamp::UNIX_EPOCH).unwrap();
    let ledger = rusqlite::Connection::open(&database).unwrap();
    let mut tables = ledger.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").unwrap();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rows = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for row in rows {
        let (table, sql): (String, String) = row.unwrap();
        found.extend(listed(&sql).into_iter().map(|(column, words)| (format!("{table}.{column}"), words)));
    }
    let expected: BTreeMap<String, Vec<String>> = words()
        .into_iter()
        .map(|(column, words)| (column.to_owned(), words.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(found, expected);
}

/// The columns that `CHECK (column IN ('a', 'b'))` constrains, with their words.
fn listed(sql: &str) -> Vec<(String, Vec<String>)> {
    let checks = sql.split("CHECK (").skip(1);
    checks
        .filter_map(|check| {
            let (column, rest) = check.split_once(" IN ('")?;
            let (list, _) = rest.split_once("')")?;
            let is_name = column.chars().all(|char| char.is_ascii_lowercase() || char == '_');
            is_name.then(|| (column.to_owned(), list.split("', '").map(str::to_owned).collect()))
        })
        .collect()
}

/// An arrow of a drawing: from, to, what happens.
type Arrow = (String, String, String);

fn arrow(from: &str, to: &str, label: &str) -> Arrow {
    (from.to_owned(), to.to_owned(), label.to_owned())
}

/// The arrows of the drawing in ARCHITECTURE.md that begins with the comment `%% name`.
fn drawn(name: &str) -> BTreeSet<Arrow> {
    let page = read("ARCHITECTURE.md");
    let start = page.find(&format!("%% {name}\n")).unwrap_or_else(|| panic!("there is no drawing {name}"));
    let drawing = page[start..].split("```").next().unwrap_or_default();
    let arrows = drawing.lines().filter_map(|line| line.trim().split_once(" --> "));
    arrows
        .filter_map(|(from, rest)| {
            // Beginnings and ends have no label.
            let (to, label) = rest.split_once(": ")?;
            Some(arrow(from, to.trim(), label))
        })
        .collect()
}

#[test]
fn the_life_of_a_run_is_drawn_as_it_is() {
    let reason = || "why".to_owned();
    let mut states = vec![
        RunState::Pending,
        RunState::Running,
        RunState::Paused { reason: reason() },
        RunState::Completed { reason: reason() },
        RunState::Cancelled { reason: reason() },
        RunState::Failed { reason: reason() },
    ];
    states.extend(Ending::ALL.map(|ending| RunState::Ending { ending, reason: reason() }));
    let mut events = vec![
        RunEvent::Sealed,
        RunEvent::OpeningFailed { reason: reason() },
        RunEvent::Pause { reason: reason() },
        RunEvent::Resume,
        RunEvent::Drained,
        RunEvent::Reopen,
    ];
    events.extend(Ending::ALL.map(|ending| RunEvent::Stop { ending, reason: reason() }));
    let mut arrows = BTreeSet::new();
    for state in &states {
        for event in &events {
            let label = match (state, event) {
                (RunState::Ending { ending, .. }, RunEvent::Drained) => {
                    format!("drained ({})", ending.as_str())
                }
                (_, event) => event.name().trim_start_matches("be ").to_owned(),
            };
            match state.clone().after(event.clone()) {
                Ok(after) if after.name() != state.name() => {
                    arrows.insert(arrow(state.name(), after.name(), &label));
                }
                _ => {}
            }
        }
    }
    assert_eq!(drawn("run"), arrows);
}

#[test]
fn the_life_of_a_delivery_is_drawn_as_it_is() {
    let reason = || Reason::new("code", "text");
    let verdicts =
        || [Verdict::Accepted(Receipt::default()), Verdict::Refused(reason()), Verdict::Unknown(reason())];
    let outcomes = [
        Outcome::Accepted(Receipt::default()),
        Outcome::Refused(reason()),
        Outcome::Failed(reason()),
        Outcome::Unknown(reason()),
        Outcome::Excluded(reason()),
        Outcome::Expired(reason()),
        Outcome::Cancelled(reason()),
    ];
    let mut events = vec![
        ("asked", DeliveryEvent::Asked),
        ("unanswered", DeliveryEvent::Unanswered(reason())),
        ("nothing done", DeliveryEvent::NothingDone),
        ("rejected", DeliveryEvent::Rejected(reason())),
        ("held back", DeliveryEvent::HeldBack(reason())),
        ("reopened", DeliveryEvent::Reopened),
        ("exhausted", DeliveryEvent::Exhausted(reason())),
        ("given up", DeliveryEvent::GivenUp(reason())),
    ];
    events.extend(verdicts().map(|verdict| ("answered", DeliveryEvent::Answered(verdict))));
    events.extend(verdicts().map(|verdict| ("read", DeliveryEvent::Read(verdict))));
    events.extend(Ending::ALL.map(|ending| ("stopped", DeliveryEvent::Stopped(ending, reason()))));
    let states = [Delivery::Pending, Delivery::InFlight].into_iter().chain(outcomes.map(Delivery::Decided));
    let mut arrows = BTreeSet::new();
    for state in states {
        for (label, event) in &events {
            match state.clone().after(event.clone()) {
                Ok(after) if after.name() != state.name() => {
                    arrows.insert(arrow(state.name(), after.name(), label));
                }
                _ => {}
            }
        }
    }
    assert_eq!(drawn("delivery"), arrows);
}
