//! Runs: their making, the opening of an audience, their life.

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params, params};

use super::{
    super::{Drain, NewRun, PausedBy, RunRecord, StoreError, Stored},
    batch_values,
    batches::{self, Deliveries, NewBatch, Rank},
    campaign_id, campaigns, inquiries, json, optional_time, people, recipients, time,
};
use crate::{
    campaign::{CampaignID, RecipientID},
    run::{
        Counts, Ending, Outcome, RunEvent, RunID, RunState, Trigger, chunk::Chunk, delivery::Delivery,
        delivery::DeliveryEvent, failures::Judged, inquiry::Purpose, reply::Reason,
    },
};

pub const RUN: &str =
    "SELECT r.id, r.run, r.campaign, r.slot, r.trigger, r.state, r.ending, r.reason, v.yaml,
        -- Where the revision's file is now: its lists are beside it.
        coalesce((SELECT c.path FROM campaign c
            WHERE c.campaign = r.campaign AND c.revision = r.revision), v.path) AS path,
        r.gateway, r.only_to, r.due_at, r.start_by, r.finish_by, r.started_at, r.audience, r.accepted,
        r.refused, r.failed, r.unknown, r.excluded, r.expired, r.cancelled, r.pending, r.in_flight,
        r.judged_answered, r.judged_failed
     FROM run r JOIN revision v ON v.revision = r.revision ";

pub const OPEN: &str = "WHERE r.state IN ('pending', 'running', 'paused', 'ending') ORDER BY r.id";

pub fn make(connection: &Connection, campaign: &CampaignID, new: &NewRun) -> Stored<RunID> {
    let number = match new.trigger {
        Trigger::Schedule => 0,
        Trigger::Manual | Trigger::Test => runs_by_hand(connection, campaign, new)? + 1,
    };
    let run = RunID::new(campaign, new.slot, new.trigger, number);
    let made = connection
        .prepare_cached(
            "INSERT INTO run (run, campaign, slot, trigger, state, revision, gateway, only_to, due_at,
                start_by, finish_by)
             SELECT ?1, campaign, ?3, ?4, 'pending', revision, ?5, ?6, ?7, ?8, ?9
             FROM campaign WHERE campaign = ?2",
        )?
        .execute(params![
            run.as_str(),
            campaign.as_str(),
            new.slot.as_millisecond(),
            new.trigger.as_str(),
            new.gateway,
            new.only_to.as_ref().map(json).transpose()?,
            new.due_at.as_millisecond(),
            new.start_by.as_millisecond(),
            new.finish_by.as_millisecond(),
        ])?;
    if made == 1 { Ok(run) } else { Err(campaigns::unknown(campaign)) }
}

/// Runs by hand of the same kind that carry the same second in their name.
fn runs_by_hand(connection: &Connection, campaign: &CampaignID, new: &NewRun) -> Stored<u32> {
    Ok(connection
        .prepare_cached(
            "SELECT count(*) FROM run WHERE campaign = ?1 AND trigger = ?2 AND slot / 1000 = ?3 / 1000",
        )?
        .query_row(params![campaign.as_str(), new.trigger.as_str(), new.slot.as_millisecond()], |row| {
            row.get(0)
        })?)
}

pub fn open(connection: &Connection) -> Stored<Vec<RunRecord>> {
    let mut statement = connection.prepare_cached(&format!("{RUN} {OPEN}"))?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(record(row)?);
    }
    Ok(runs)
}

pub fn one(connection: &Connection, run: &RunID) -> Stored<RunRecord> {
    let mut statement = connection.prepare_cached(&format!("{RUN} WHERE r.run = ?1"))?;
    let mut rows = statement.query([run.as_str()])?;
    match rows.next()? {
        Some(row) => record(row),
        None => Err(StoreError::NotFound { what: "run", name: run.to_string() }),
    }
}

fn record(row: &Row<'_>) -> Stored<RunRecord> {
    let trigger: String = row.get("trigger")?;
    let only_to: Option<String> = row.get("only_to")?;
    Ok(RunRecord {
        id: RunID::from_text(row.get::<_, String>("run")?),
        campaign: campaign_id(&row.get::<_, String>("campaign")?)?,
        trigger: Trigger::ALL
            .into_iter()
            .find(|known| known.as_str() == trigger)
            .ok_or_else(|| StoreError::Corrupt(format!("a trigger {trigger:?}")))?,
        state: state(row)?,
        path: row.get("path")?,
        yaml: row.get("yaml")?,
        gateway: row.get("gateway")?,
        only_to: only_to.as_deref().map(recipients).transpose()?,
        slot: time(row.get("slot")?)?,
        due_at: time(row.get("due_at")?)?,
        start_by: time(row.get("start_by")?)?,
        finish_by: time(row.get("finish_by")?)?,
        started_at: optional_time(row.get("started_at")?)?,
        counts: Counts {
            audience: row.get("audience")?,
            accepted: row.get("accepted")?,
            refused: row.get("refused")?,
            failed: row.get("failed")?,
            unknown: row.get("unknown")?,
            excluded: row.get("excluded")?,
            expired: row.get("expired")?,
            cancelled: row.get("cancelled")?,
            pending: row.get("pending")?,
            in_flight: row.get("in_flight")?,
        },
        judged: Judged { answered: row.get("judged_answered")?, failed: row.get("judged_failed")? },
    })
}

fn state(row: &Row<'_>) -> Stored<RunState> {
    let name: String = row.get("state")?;
    let reason: Option<String> = row.get("reason")?;
    let reason = reason.unwrap_or_default();
    Ok(match name.as_str() {
        "pending" => RunState::Pending,
        "running" => RunState::Running,
        "paused" => RunState::Paused { reason },
        "ending" => {
            let ending: Option<String> = row.get("ending")?;
            let ending = Ending::ALL
                .into_iter()
                .find(|known| Some(known.as_str()) == ending.as_deref())
                .ok_or_else(|| StoreError::Corrupt(format!("an ending {ending:?}")))?;
            RunState::Ending { ending, reason }
        }
        "completed" => RunState::Completed { reason },
        "cancelled" => RunState::Cancelled { reason },
        "failed" => RunState::Failed { reason },
        other => return Err(StoreError::Corrupt(format!("a run state {other:?}"))),
    })
}

pub const STANDING: &str = "SELECT id, state, ending, reason, pending, in_flight FROM run WHERE run = ?1";

/// The row id, the state, and what is pending and in flight.
pub fn standing(connection: &Connection, run: &str) -> Stored<(i64, RunState, u64, u64)> {
    let mut statement = connection.prepare_cached(STANDING)?;
    let mut rows = statement.query([run])?;
    let row = rows.next()?.ok_or_else(|| StoreError::NotFound { what: "run", name: run.to_owned() })?;
    Ok((row.get("id")?, state(row)?, row.get("pending")?, row.get("in_flight")?))
}

/// Whether it is too late to ask anything, or to ask the first.
pub fn is_late(connection: &Connection, run: i64, at: Timestamp) -> Stored<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT ?2 > finish_by OR (started_at IS NULL AND ?2 > start_by) FROM run WHERE id = ?1",
        )?
        .query_row(params![run, at.as_millisecond()], |row| row.get(0))?)
}

pub fn ran_since(connection: &Connection, campaign: &CampaignID, since: Timestamp) -> Stored<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM run r JOIN campaign c ON c.campaign = r.campaign
                WHERE r.campaign = ?1 AND r.revision = c.revision AND r.trigger <> 'test'
                    AND (r.started_at >= ?2 OR r.finished_at IS NULL))",
        )?
        .query_row(params![campaign.as_str(), since.as_millisecond()], |row| row.get(0))?)
}

pub fn unopen(connection: &Connection, run: &RunID) -> Stored<()> {
    let (id, state, ..) = standing(connection, run.as_str())?;
    if state != RunState::Pending {
        return Err(StoreError::Corrupt(format!("{run} is {} and was to be opened anew", state.name())));
    }
    let written = connection
        .prepare_cached(
            "UPDATE run SET next_batch = 1, audience = 0, pending = 0, excluded = 0
             WHERE id = ?1 AND (audience > 0 OR next_batch > 1)",
        )?
        .execute([id])?;
    // Mostly it is opened for the first time.
    if written == 0 {
        return Ok(());
    }
    connection.execute("DELETE FROM batch WHERE run = ?1", [id])?;
    connection.execute("DELETE FROM delivery WHERE run = ?1", [id])?;
    connection.execute("DELETE FROM run_source WHERE run = ?1", [id])?;
    batch_values::remove_all(connection, id)
}

/// Throws away a part of what an opening has left, so that nobody waits for millions.
pub fn unopen_part(connection: &Connection, run: &RunID, most: u32) -> Stored<bool> {
    let (id, state, ..) = standing(connection, run.as_str())?;
    if state != RunState::Pending {
        return Ok(true);
    }
    let (batches, pending): (u32, i64) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(count), 0) FROM (SELECT count FROM batch WHERE run = ?1 ORDER BY number LIMIT ?2)",
        )?
        .query_row(params![id, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    connection
        .prepare_cached(
            "DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE run = ?1 ORDER BY number LIMIT ?2)",
        )?
        .execute(params![id, most])?;
    let excluded = connection
        .prepare_cached(
            "DELETE FROM delivery WHERE run = ?1
                AND recipient IN (SELECT recipient FROM delivery WHERE run = ?1 LIMIT ?2)",
        )?
        .execute(params![id, most])?;
    let column_values = batch_values::remove_some(connection, id, most)?;
    connection
        .prepare_cached(
            "UPDATE run SET audience = audience - ?2 - ?3, pending = pending - ?2, excluded = excluded - ?3 WHERE id = ?1",
        )?
        .execute(params![id, pending, excluded as i64])?;
    Ok(batches < most && [excluded, column_values].iter().all(|removed| *removed < most as usize))
}

pub fn open_part(
    connection: &Connection,
    run: &RunID,
    chunks: &[Chunk],
    excluded: &[(RecipientID, Reason)],
    now: Timestamp,
) -> Stored<()> {
    let (id, state, ..) = standing(connection, run.as_str())?;
    if state != RunState::Pending {
        return Err(StoreError::Transition(crate::run::state::NoSuchTransition {
            state: state.name(),
            event: "take more of its audience",
        }));
    }
    let mut pending = 0;
    for chunk in chunks {
        pending += chunk.recipients.len();
        let batch = NewBatch {
            number: chunk.number,
            rank: Rank::FIRST,
            attempts: 0,
            single: false,
            recipients: &chunk.recipients,
        };
        batches::insert_pending(connection, id, &batch)?;
        if let Some(column_values) = &chunk.values {
            batch_values::write(connection, id, chunk.number, column_values)?;
        }
    }
    let mut deliveries = Deliveries::of_run(connection, id, now)?;
    for (recipient, reason) in excluded {
        deliveries.add(recipient, &Outcome::Excluded(reason.clone()))?;
    }
    connection
        .prepare_cached(
            "UPDATE run SET audience = audience + ?2 + ?3, pending = pending + ?2, excluded = excluded + ?3,
                next_batch = max(next_batch, ?4 + 1)
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            pending as i64,
            excluded.len() as i64,
            chunks.last().map_or(0, |chunk| chunk.number as i64)
        ])?;
    Ok(())
}

pub fn event(
    connection: &Connection,
    run: &RunID,
    event: RunEvent,
    missed: Option<&str>,
    now: Timestamp,
) -> Stored<RunState> {
    let (id, state, ..) = standing(connection, run.as_str())?;
    // A run that never opened and ends has no audience to account for.
    let unopened = state == RunState::Pending && !matches!(event, RunEvent::Sealed);
    let after = state.clone().after(event)?;
    if unopened {
        unopen(connection, run)?;
    }
    // What ends already is not missed for another reason.
    let missed = missed.filter(|_| after != state);
    let after = write_state(connection, id, after, now)?;
    if let Some(reason) = missed {
        connection.execute(
            "UPDATE occurrence SET decision = 'missed', reason = ?2, decided_at = ?3
             WHERE (campaign, slot) = (SELECT campaign, slot FROM run WHERE id = ?1 AND trigger = 'schedule')",
            params![id, reason, now.as_millisecond()],
        )?;
    }
    Ok(after)
}

/// Writes a state that the transition function gave, and gives what it has become: a run that is to
/// run is paused while its campaign or everything is.
pub fn write_state(connection: &Connection, id: i64, state: RunState, now: Timestamp) -> Stored<RunState> {
    let (state, paused_by) = match state {
        RunState::Running => match people::held_above(connection, id)? {
            Some((level, reason)) => (RunState::Paused { reason }, Some(level)),
            None => (RunState::Running, None),
        },
        RunState::Paused { .. } => (state, Some(PausedBy::Run)),
        _ => (state, None),
    };
    let ending = match &state {
        RunState::Ending { ending, .. } => Some(ending.as_str()),
        _ => None,
    };
    connection
        .prepare_cached(
            "UPDATE run SET state = :state, ending = :ending, reason = :reason, paused_by = :paused_by,
                finished_at = :finished
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": id,
            ":state": state.name(),
            ":ending": ending,
            ":reason": state.reason(),
            ":paused_by": paused_by.map(PausedBy::as_str),
            ":finished": state.is_over().then_some(now.as_millisecond()),
        })?;
    Ok(state)
}

/// Marks a run as being confirmed. Tells whether it was not before.
fn begins_to_confirm(connection: &Connection, id: i64) -> Stored<bool> {
    let sql = "UPDATE run SET confirming = 1 WHERE id = ?1 AND confirming = 0";
    Ok(connection.prepare_cached(sql)?.execute([id])? == 1)
}

pub fn reopened(connection: &Connection) -> Stored<Vec<RunRecord>> {
    let mut statement = connection.prepare_cached(&format!("{RUN} WHERE r.reopened = 1 ORDER BY r.id"))?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(record(row)?);
    }
    if !runs.is_empty() {
        connection.execute("UPDATE run SET reopened = 0 WHERE reopened = 1", [])?;
    }
    Ok(runs)
}

/// Ends a run of which nothing is pending, in flight or, unless it was told to stop, being looked up.
/// Gives its state then.
pub fn end_if_drained(connection: &Connection, run: &str, now: Timestamp) -> Stored<RunState> {
    let (id, state, pending, in_flight) = standing(connection, run)?;
    let waits = pending > 0
        || in_flight > 0
        || matches!(state, RunState::Pending)
        || (!matches!(state, RunState::Ending { .. }) && inquiries::any_of_run(connection, id)?);
    match state.clone().after(RunEvent::Drained) {
        Ok(after) if !waits => write_state(connection, id, after, now),
        _ => Ok(state),
    }
}

pub fn drain(
    connection: &Connection,
    run: &RunID,
    most_batches: u32,
    confirms: bool,
    now: Timestamp,
) -> Stored<Drain> {
    let (id, state, pending, in_flight) = standing(connection, run.as_str())?;
    if state.is_over() {
        return Ok(Drain::Over(state));
    }
    if pending == 0 && in_flight == 0 && state != RunState::Pending {
        let goes_on = matches!(state, RunState::Running | RunState::Paused { .. });
        if confirms
            && goes_on
            && !inquiries::any_of_run(connection, id)?
            && begins_to_confirm(connection, id)?
        {
            inquiries::begin(connection, id, Purpose::Confirm, now)?;
        }
        return Ok(match end_if_drained(connection, run.as_str(), now)? {
            over if over.is_over() => Drain::Over(over),
            _ => Drain::Busy,
        });
    }
    let RunState::Ending { ending, reason } = state else { return Ok(Drain::Busy) };
    if pending == 0 {
        return Ok(Drain::Busy);
    }
    let code = match ending {
        Ending::Cancelled => "cancelled",
        Ending::Expired => "expired",
        // Not tried and failed: the provider had refused the request itself before.
        Ending::Failed => "notAsked",
    };
    let mut counts = Counts::default();
    for batch in batches::pending(connection, id, most_batches)? {
        // Whoever was tried in vain before the time was over has failed.
        let event = match (ending, batch.tries) {
            (Ending::Expired, 1..) => {
                let text = format!("{reason}; tried {} times, and nothing was done", batch.tries);
                DeliveryEvent::GivenUp(Reason::new("timeUsedUp", text))
            }
            _ => DeliveryEvent::Stopped(ending, Reason::new(code, reason.as_str())),
        };
        let Ok(Delivery::Decided(outcome)) = Delivery::Pending.after(event) else {
            return Err(StoreError::Corrupt("a stop that decides nothing".to_owned()));
        };
        let mut deliveries = Deliveries::of_batch(connection, id, batch.number, batch.attempts, now)?;
        for recipient in &batch.recipients {
            deliveries.add(recipient, &outcome)?;
            *counts.of(&outcome) += 1;
        }
        connection.prepare_cached("DELETE FROM batch WHERE id = ?1")?.execute([batch.id])?;
    }
    let Counts { failed, expired, cancelled, .. } = counts;
    connection
        .prepare_cached(
            "UPDATE run SET pending = pending - ?2 - ?3 - ?4, failed = failed + ?2, expired = expired + ?3,
                cancelled = cancelled + ?4
             WHERE id = ?1",
        )?
        .execute(params![id, failed, expired, cancelled])?;
    Ok(Drain::More)
}

pub fn judged(connection: &Connection, run: &RunID, judged: Judged) -> Stored<()> {
    connection
        .prepare_cached("UPDATE run SET judged_answered = ?2, judged_failed = ?3 WHERE run = ?1")?
        .execute(params![run.as_str(), judged.answered, judged.failed])?;
    Ok(())
}
