//! What people do: pause, resume, cancel; what commands ask of the daemon.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{Act, Control, Question, Reply, StoreError, Stored, Target},
    json, runs, time,
};
use crate::run::{Ending, RunEvent, RunID, RunState};

pub fn control(connection: &Connection, target: &Target, control: Control, act: &Act) -> Stored<Vec<String>> {
    let reason = act.why.clone().unwrap_or_else(|| format!("by {}", act.who));
    let (verb, name) = (verb(control), target_name(target));
    let mut told = Vec::new();
    match (target, control) {
        (Target::Run(run), _) => {
            if control == Control::Resume
                && let Some(reason) = paused_reason(connection, run)?
            {
                return Err(StoreError::Refused(format!(
                    "the campaign of {run}, or everything, is paused ({reason}): resume that first"
                )));
            }
            let (id, state, ..) = runs::standing(connection, run.as_str())?;
            let after = state.after(event(control, &reason))?;
            if matches!(after, RunState::Cancelled { .. }) {
                runs::unopen(connection, run)?;
            }
            runs::write_state(connection, id, &after, act.at)?;
            told.push(run.to_string());
        }
        (_, Control::Cancel) => {
            return Err(StoreError::Refused("only a run can be cancelled: name one".to_owned()));
        }
        (Target::Campaign(campaign), _) => {
            let value = (control == Control::Pause).then_some(&reason);
            let changed = connection.execute(
                "UPDATE campaign SET paused_reason = ?2 WHERE campaign = ?1",
                params![campaign.as_str(), value],
            )?;
            if changed == 0 {
                return Err(StoreError::NotFound { what: "campaign", name });
            }
            told.push(campaign.to_string());
            if control == Control::Resume
                && connection
                    .query_row("SELECT paused_reason IS NOT NULL FROM ledger", [], |row| row.get(0))?
            {
                return Err(StoreError::Refused(
                    "everything is paused: `campaignd resume --all` comes first".to_owned(),
                ));
            }
            told.extend(control_runs(connection, Some(campaign.as_str()), control, &reason, act.at)?);
        }
        (Target::All, _) => {
            let value = (control == Control::Pause).then_some(&reason);
            connection.execute("UPDATE ledger SET paused_reason = ?1", params![value])?;
            if control == Control::Resume {
                connection.execute("UPDATE campaign SET paused_reason = NULL", [])?;
            }
            told.push("everything".to_owned());
            told.extend(control_runs(connection, None, control, &reason, act.at)?);
        }
    }
    record(connection, act, verb, &name)?;
    Ok(told)
}

/// Lets the control happen to the open runs of a campaign, or of all; those it does not fit stay.
fn control_runs(
    connection: &Connection,
    campaign: Option<&str>,
    control: Control,
    reason: &str,
    now: Timestamp,
) -> Stored<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT run FROM run WHERE state IN ('running', 'paused') AND (?1 IS NULL OR campaign = ?1)
         ORDER BY id",
    )?;
    let names: Vec<String> =
        statement.query_map(params![campaign], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut told = Vec::new();
    for name in names {
        let (id, state, ..) = runs::standing(connection, &name)?;
        if let Ok(after) = state.after(event(control, reason)) {
            runs::write_state(connection, id, &after, now)?;
            told.push(name);
        }
    }
    Ok(told)
}

fn event(control: Control, reason: &str) -> RunEvent {
    let reason = reason.to_owned();
    match control {
        Control::Pause => RunEvent::Pause { reason },
        Control::Resume => RunEvent::Resume,
        Control::Cancel => RunEvent::Stop { ending: Ending::Cancelled, reason },
    }
}

fn verb(control: Control) -> &'static str {
    match control {
        Control::Pause => "pause",
        Control::Resume => "resume",
        Control::Cancel => "cancel",
    }
}

fn target_name(target: &Target) -> String {
    match target {
        Target::All => "--all".to_owned(),
        Target::Campaign(campaign) => campaign.to_string(),
        Target::Run(run) => run.to_string(),
    }
}

/// Why the campaign of a run is paused, or everything is.
pub fn paused_reason(connection: &Connection, run: &RunID) -> Stored<Option<String>> {
    let reason: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT coalesce(c.paused_reason, (SELECT paused_reason FROM ledger))
             FROM run r JOIN campaign c ON c.campaign = r.campaign WHERE r.run = ?1",
        )?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?;
    Ok(reason.flatten())
}

pub fn record(connection: &Connection, act: &Act, verb: &str, target: &str) -> Stored<()> {
    connection.execute(
        "INSERT INTO action (at, who, verb, target, why) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![act.at.as_millisecond(), act.who, verb, target, act.why],
    )?;
    Ok(())
}

pub fn ask(connection: &Connection, question: &Question, now: Timestamp) -> Stored<i64> {
    connection.execute(
        "INSERT INTO request (at, question) VALUES (?1, ?2)",
        params![now.as_millisecond(), json(question)?],
    )?;
    Ok(connection.last_insert_rowid())
}

pub fn open(connection: &Connection) -> Stored<Vec<(i64, Timestamp, Question)>> {
    let mut statement = connection.prepare_cached(
        "SELECT request, question, at FROM request WHERE answer IS NULL ORDER BY request LIMIT 100",
    )?;
    let mut rows = statement.query([])?;
    let mut questions = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(1)?;
        let question = serde_json::from_str(&text)
            .map_err(|error| StoreError::Corrupt(format!("a request {text:?}: {error}")))?;
        questions.push((row.get(0)?, time(row.get(2)?)?, question));
    }
    Ok(questions)
}

pub fn answer(connection: &Connection, question: i64, reply: &Reply) -> Stored<()> {
    connection
        .execute("UPDATE request SET answer = ?2 WHERE request = ?1", params![question, json(reply)?])?;
    Ok(())
}

pub fn withdraw(connection: &Connection, question: i64) -> Stored<()> {
    connection.execute("DELETE FROM request WHERE request = ?1 AND answer IS NULL", [question])?;
    Ok(())
}

pub fn reply(connection: &Connection, question: i64) -> Stored<Option<Reply>> {
    let text: Option<Option<String>> = connection
        .query_row("SELECT answer FROM request WHERE request = ?1", [question], |row| row.get(0))
        .optional()?;
    match text.flatten() {
        None => Ok(None),
        Some(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| StoreError::Corrupt(format!("an answer {text:?}: {error}"))),
    }
}
