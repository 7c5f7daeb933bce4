//! Witnesses: messages that a provider has accepted later than those that are sought.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    super::{Inquiry, StoreError, Stored, Witness},
    batch_values,
    inquiries::addressing,
    recipient, time,
};
use crate::{campaign::RecipientID, run::RunID};

pub const LATER: &str =
    "SELECT a.run AS run_row, r.run, a.batch, a.operation_id, a.addressing, a.started_at, a.send_time,
        a.first, a.last, a.probe,
        coalesce((SELECT f.started_at FROM attempt f WHERE f.attempt = a.repeats), a.started_at) AS asked_at
     FROM attempt a JOIN run r ON r.id = a.run
     WHERE a.kind = 'send' AND a.gateway = ?1 AND a.finished_at > ?2 AND a.started_at > ?2
        AND a.accepted > 0 AND a.attempt > ?4 AND a.finished_at <= ?5
     ORDER BY a.finished_at LIMIT ?3";

/// How many attempts are searched for witnesses.
const ATTEMPTS: u32 = 200;

pub fn later(
    connection: &Connection,
    gateway: &str,
    inquiry: &Inquiry,
    most: usize,
    now: Timestamp,
) -> Stored<Vec<Witness>> {
    let mut witnesses: Vec<Witness> = Vec::new();
    let mut add = |witness: Witness| {
        if witnesses.len() < most && !witnesses.iter().any(|known| known.recipient == witness.recipient) {
            witnesses.push(witness);
        }
        witnesses.len() < most
    };
    // A batch is gone through in its order: whoever was accepted behind the last one sought came later.
    if inquiry.answered
        && let Some((last_sought, _)) = inquiry.sought.last()
    {
        let mut own = connection.prepare_cached(
            "SELECT a.run AS run_row, r.run, a.batch, a.operation_id, a.addressing, a.started_at, a.send_time,
                a.first, a.last, a.probe,
                coalesce((SELECT f.started_at FROM attempt f WHERE f.attempt = a.repeats), a.started_at) AS asked_at
             FROM attempt a JOIN run r ON r.id = a.run WHERE a.attempt = ?1",
        )?;
        let mut rows = own.query([inquiry.attempt])?;
        if let Some(row) = rows.next()? {
            for witness in accepted(connection, row, most, Some(last_sought))? {
                add(witness);
            }
        }
    }
    // By the time of day alone, what was sent before the clock was set back may seem to be later.
    let mut statement = connection.prepare_cached(LATER)?;
    let mut rows = statement.query(params![
        gateway,
        inquiry.ended_at.as_millisecond(),
        ATTEMPTS,
        inquiry.attempt,
        now.as_millisecond()
    ])?;
    'attempts: while let Some(row) = rows.next()? {
        for witness in accepted(connection, row, most, None)? {
            if !add(witness) {
                break 'attempts;
            }
        }
    }
    Ok(witnesses)
}

/// Whom an attempt reached for all that is known, behind a recipient where one is given.
fn accepted(
    connection: &Connection,
    row: &Row<'_>,
    most: usize,
    behind: Option<&RecipientID>,
) -> Stored<Vec<Witness>> {
    let values = batch_values::of(connection, row.get("run_row")?, row.get("batch")?)?;
    let witness = |recipient: RecipientID, send_time_ms: Option<i64>| -> Stored<Witness> {
        Ok(Witness {
            run: RunID::from_text(row.get::<_, String>("run")?),
            addressing: addressing(row.get("addressing")?)?,
            values: values.clone(),
            operation_id: row.get("operation_id")?,
            asked_at: time(row.get("asked_at")?)?,
            asked_last_at: time(row.get("started_at")?)?,
            recipient,
            send_time_ms,
        })
    };
    let probe: Option<String> = row.get("probe")?;
    if let Some(probe) = probe {
        let probe = RecipientID::new(probe).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        return Ok(vec![witness(probe, row.get("send_time")?)?]);
    }
    let (first, last): (Option<String>, Option<String>) = (row.get("first")?, row.get("last")?);
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT recipient, send_time FROM delivery
         WHERE run = ?1 AND recipient BETWEEN ?2 AND ?3 AND batch = ?4 AND outcome = 'accepted'
            AND (?5 IS NULL OR recipient > ?5)
         LIMIT ?6",
    )?;
    let behind = behind.map(RecipientID::as_str);
    let mut rows = statement.query(params![
        row.get::<_, i64>("run_row")?,
        first,
        last,
        row.get::<_, i64>("batch")?,
        behind,
        most as i64
    ])?;
    let mut witnesses = Vec::new();
    while let Some(row) = rows.next()? {
        witnesses.push(witness(recipient(row.get_ref(0)?)?, row.get(1)?)?);
    }
    Ok(witnesses)
}
