//! What people do: pause, resume, cancel; what commands ask of the daemon.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{Act, Control, Controlled, PausedBy, Question, Reply, StoreError, Stored, Target},
    json, runs, time,
};
use crate::run::{Ending, RunEvent, RunID, RunState};

pub fn control(connection: &Connection, target: &Target, control: Control, act: &Act) -> Stored<Controlled> {
    let name = target_name(target);
    // Of a campaign and of everything: what is written where the reason of the pause is kept.
    let by = (control == Control::Pause).then(|| format!("by {}", act.who));
    let why = act.why.as_ref().filter(|_| control == Control::Pause);
    let mut told = Controlled::default();
    match (target, control) {
        (Target::Run(run), _) => {
            control_run(connection, run, control, act)?;
            told.names.push(name.clone());
        }
        (_, Control::Cancel) => {
            return Err(StoreError::Refused("only a run can be cancelled: name one".to_owned()));
        }
        (Target::Campaign(campaign), _) => {
            let changed = connection.execute(
                "UPDATE campaign SET paused_reason =
                    CASE WHEN ?3 IS NOT NULL THEN coalesce(?2, paused_reason, ?3) END
                 WHERE campaign = ?1",
                params![campaign.as_str(), why, by],
            )?;
            if changed == 0 {
                return Err(StoreError::NotFound { what: "campaign", name });
            }
            told.names.push(name.clone());
            told.names.extend(hold_anew(connection, Some(campaign.as_str()), PausedBy::Campaign, act.at)?);
        }
        (Target::All, _) => {
            connection.execute(
                "UPDATE ledger SET paused_reason =
                    CASE WHEN ?2 IS NOT NULL THEN coalesce(?1, paused_reason, ?2) END",
                params![why, by],
            )?;
            told.names.push("everything".to_owned());
            told.names.extend(hold_anew(connection, None, PausedBy::All, act.at)?);
        }
    }
    if control == Control::Resume {
        told.still = still_paused(connection, target)?;
    }
    record(connection, act, verb(control), &name)?;
    Ok(told)
}

fn control_run(connection: &Connection, run: &RunID, control: Control, act: &Act) -> Stored<()> {
    let (id, state, ..) = runs::standing(connection, run.as_str())?;
    let holder = paused_by(connection, id)?;
    let reason = match (&act.why, holder, control) {
        (Some(why), ..) => why.clone(),
        // Said again without a reason: the first one stays.
        (None, Some(PausedBy::Run), Control::Pause) => state.reason().unwrap_or_default().to_owned(),
        (None, ..) => format!("by {}", act.who),
    };
    let event = match control {
        Control::Pause => RunEvent::Pause { reason },
        Control::Resume => RunEvent::Resume,
        Control::Cancel => RunEvent::Stop { ending: Ending::Cancelled, reason },
    };
    let why = state.reason().unwrap_or_default().to_owned();
    if state == RunState::Running
        && control == Control::Resume
        && let Some(outage) = out_of_order(connection, id)?
    {
        return Err(StoreError::Refused(format!(
            "{run} waits for its provider ({outage}) and goes on by itself: `campaignd status` tells when it is \
             asked again"
        )));
    }
    let after = state.after(event)?;
    if control == Control::Resume {
        if holder == Some(PausedBy::Window) {
            return Err(StoreError::Refused(format!(
                "{run} waits for its window, and goes on by itself: {why}"
            )));
        }
        let (level, target) = match holder {
            Some(PausedBy::Campaign) => ("its campaign", campaign_of(connection, run)?),
            Some(PausedBy::All) => ("everything", "--all".to_owned()),
            Some(PausedBy::Run | PausedBy::Window) | None => ("", String::new()),
        };
        if !level.is_empty() {
            return Err(StoreError::Refused(format!(
                "{run} waits because {level} is paused ({why}): `campaignd resume {target}` goes on"
            )));
        }
    }
    if matches!(after, RunState::Cancelled { .. }) {
        runs::unopen(connection, run)?;
    }
    runs::write_state(connection, id, after, act.at)?;
    Ok(())
}

/// Has the runs of a campaign, or all, that run or wait for this level follow what is paused now.
/// Gives those that were paused or go on by it.
fn hold_anew(
    connection: &Connection,
    campaign: Option<&str>,
    level: PausedBy,
    now: Timestamp,
) -> Stored<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT run FROM run WHERE (state = 'running' OR paused_by = ?2) AND (?1 IS NULL OR campaign = ?1)
         ORDER BY id",
    )?;
    let names: Vec<String> = statement
        .query_map(params![campaign, level.as_str()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut changed = Vec::new();
    for name in names {
        let (id, before, ..) = runs::standing(connection, &name)?;
        let after = runs::write_state(connection, id, RunState::Running, now)?;
        if after.name() != before.name() {
            changed.push(name);
        }
    }
    Ok(changed)
}

/// The pauses that hold the target still, or a part of it.
fn still_paused(connection: &Connection, target: &Target) -> Stored<Vec<String>> {
    let campaign = match target {
        Target::All => None,
        Target::Campaign(campaign) => Some(campaign.to_string()),
        Target::Run(run) => Some(campaign_of(connection, run)?),
    };
    let is_run = matches!(target, Target::Run(_));
    let mut statement = connection.prepare(
        "SELECT 'everything' AS what, paused_reason AS why FROM ledger WHERE why IS NOT NULL
         UNION ALL
         SELECT campaign, paused_reason FROM campaign
         WHERE paused_reason IS NOT NULL AND (?1 IS NULL OR campaign = ?1)
         UNION ALL
         SELECT run, coalesce(reason, '') FROM run
         WHERE paused_by = 'run' AND NOT ?2 AND (?1 IS NULL OR campaign = ?1)",
    )?;
    let told = statement.query_map(params![campaign, is_run], |row| {
        let (what, why): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("{what} is still paused ({why})"))
    })?;
    Ok(told.collect::<Result<_, _>>()?)
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

/// What holds a run besides itself, and why: its campaign when that is paused, everything, or its window.
pub fn held_above(connection: &Connection, run: i64) -> Stored<Option<(PausedBy, String)>> {
    let (campaign, all, window): (Option<String>, Option<String>, Option<String>) = connection
        .prepare_cached(
            "SELECT c.paused_reason, (SELECT paused_reason FROM ledger), r.window_closed
             FROM run r JOIN campaign c ON c.campaign = r.campaign WHERE r.id = ?1",
        )?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let campaign = campaign.map(|reason| (PausedBy::Campaign, reason));
    let all = all.map(|reason| (PausedBy::All, reason));
    Ok(campaign.or(all).or(window.map(|reason| (PausedBy::Window, reason))))
}

/// Opens or closes the window of a run. One that is paused by it goes on where it is open, and nothing else
/// holds it.
pub fn window(
    connection: &Connection,
    run: &RunID,
    closed: Option<&str>,
    now: Timestamp,
) -> Stored<RunState> {
    let (id, state, ..) = runs::standing(connection, run.as_str())?;
    connection.execute("UPDATE run SET window_closed = ?2 WHERE id = ?1", params![id, closed])?;
    let follows = match state {
        RunState::Running => true,
        RunState::Paused { .. } => paused_by(connection, id)? == Some(PausedBy::Window),
        _ => false,
    };
    if follows { runs::write_state(connection, id, RunState::Running, now) } else { Ok(state) }
}

/// Why the breaker of a run's gateway is not closed, if it is not.
fn out_of_order(connection: &Connection, run: i64) -> Stored<Option<String>> {
    Ok(connection
        .prepare_cached(
            "SELECT g.reason FROM gateway_state g JOIN run r ON r.gateway = g.gateway
             WHERE r.id = ?1 AND g.breaker <> 'closed'",
        )?
        .query_row([run], |row| row.get(0))
        .optional()?)
}

pub fn paused_by(connection: &Connection, run: i64) -> Stored<Option<PausedBy>> {
    let word: Option<String> =
        connection.query_row("SELECT paused_by FROM run WHERE id = ?1", [run], |row| row.get(0))?;
    Ok(PausedBy::ALL.into_iter().find(|known| Some(known.as_str()) == word.as_deref()))
}

pub fn campaign_of(connection: &Connection, run: &RunID) -> Stored<String> {
    Ok(connection.query_row("SELECT campaign FROM run WHERE run = ?1", [run.as_str()], |row| row.get(0))?)
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
