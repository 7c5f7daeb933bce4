//! Looks: requests that ask what became of recipients, and what they told.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{AttemptEnd, Begun, StoreError, Stored},
    batches::{end_attempt, new_operation_id, stamp},
    runs,
};
use crate::{
    campaign::RecipientID,
    run::{Counts, Outcome, RunID, look::Addressing, reply::Receipt},
};

pub fn begin(
    connection: &Connection,
    run: &RunID,
    batch: u64,
    recipients: u64,
    now: Timestamp,
) -> Stored<(i64, String)> {
    let operation_id = new_operation_id(connection, run)?;
    let made = connection
        .prepare_cached(
            "INSERT INTO attempt (kind, run, batch, gateway, operation_id, started_at, recipients)
             SELECT 'look', id, ?2, gateway, ?5, ?3, ?4 FROM run WHERE run = ?1",
        )?
        .execute(params![
            run.as_str(),
            batch as i64,
            now.as_millisecond(),
            recipients as i64,
            operation_id
        ])?;
    if made == 0 {
        return Err(StoreError::NotFound { what: "run", name: run.to_string() });
    }
    Ok((connection.last_insert_rowid(), operation_id))
}

pub fn probe_begin(
    connection: &Connection,
    run: &RunID,
    batch: u64,
    probe: &RecipientID,
    stamped: Option<(&str, Timestamp)>,
    now: Timestamp,
) -> Stored<Begun> {
    let send_time_ms =
        stamped.map(|(sender, provider_now)| stamp(connection, run, sender, provider_now)).transpose()?;
    let operation_id = new_operation_id(connection, run)?;
    connection
        .prepare_cached(
            "INSERT INTO attempt (kind, run, batch, gateway, operation_id, sender, send_time, started_at,
                recipients, addressing, probe)
             SELECT 'send', id, ?2, gateway, ?8, ?3, ?4, ?5, 1, ?6, ?7 FROM run WHERE run = ?1",
        )?
        .execute(params![
            run.as_str(),
            batch as i64,
            stamped.map(|(sender, _)| sender),
            send_time_ms,
            now.as_millisecond(),
            Addressing::Users.as_str(),
            probe.as_str(),
            operation_id,
        ])?;
    Ok(Begun {
        attempt: connection.last_insert_rowid(),
        at: now,
        operation_id,
        batch,
        values: None,
        addressing: Addressing::Users,
        tries: 0,
        others: 0,
        recipients: vec![probe.clone()],
        send_time_ms,
    })
}

pub fn probe_end(connection: &Connection, end: &AttemptEnd, accepted: bool, verdict: &str) -> Stored<()> {
    let counts = Counts { accepted: u64::from(accepted), ..Counts::default() };
    end_attempt(connection, end, &counts, verdict)
}

pub fn end(connection: &Connection, end: &AttemptEnd, answered: bool) -> Stored<()> {
    let under_way: Option<i64> = connection
        .prepare_cached(
            "SELECT attempt FROM attempt WHERE attempt = ?1 AND kind = 'look' AND finished_at IS NULL",
        )?
        .query_row([end.attempt], |row| row.get(0))
        .optional()?;
    if under_way.is_none() {
        return Err(StoreError::NotFound { what: "look under way", name: end.attempt.to_string() });
    }
    let verdict = if answered { "answered" } else { "unanswered" };
    end_attempt(connection, end, &Counts::default(), verdict)
}

pub const READ: &str = "UPDATE delivery SET outcome = ?3, reason_code = ?4, reason = ?5,
        server_msg_id = coalesce(?6, server_msg_id), client_msg_id = coalesce(?7, client_msg_id),
        updated_at = ?8, sought_by = CASE ?3 WHEN 'unknown' THEN sought_by END
     WHERE run = ?1 AND recipient = ?2 AND outcome = 'unknown'";

pub fn read(
    connection: &Connection,
    run: &RunID,
    look: Option<i64>,
    outcomes: &[(RecipientID, Outcome)],
    now: Timestamp,
) -> Stored<()> {
    let (run, ..) = runs::standing(connection, run.as_str())?;
    let mut counts = Counts::default();
    for (recipient, outcome) in outcomes {
        let reason = outcome.reason();
        let receipt = match outcome {
            Outcome::Accepted(receipt) => receipt.clone(),
            Outcome::Refused(_) | Outcome::Unknown(_) => Default::default(),
            other => return Err(StoreError::Corrupt(format!("{recipient} was read as {}", other.name()))),
        };
        let changed = connection.prepare_cached(READ)?.execute(params![
            run,
            recipient.as_str(),
            outcome.name(),
            reason.map(|reason| reason.code.as_str()),
            reason.map(|reason| reason.text.as_str()),
            receipt.server_msg_id,
            receipt.client_msg_id,
            now.as_millisecond(),
        ])?;
        *counts.of(outcome) += changed as u64;
    }
    connection
        .prepare_cached(
            "UPDATE run SET unknown = unknown - ?2 - ?3, accepted = accepted + ?2, refused = refused + ?3
             WHERE id = ?1",
        )?
        .execute(params![run, counts.accepted, counts.refused])?;
    if let Some(look) = look {
        connection
            .prepare_cached(
                "UPDATE attempt SET accepted = accepted + ?2, refused = refused + ?3, unknown = unknown + ?4
                 WHERE attempt = ?1 AND kind = 'look'",
            )?
            .execute(params![look, counts.accepted, counts.refused, counts.unknown])?;
    }
    Ok(())
}

/// The latest runs of a campaign whose messages are told apart from each other's.
const OTHER_RUNS: u32 = 50;
/// Whoever was written to longer before the message that is sought cannot have that as theirs, however far a
/// provider's clock is from ours without refusing our time.
const BEFORE_MS: i64 = 300_000;

/// Whether the receipt is, or may be, that of another run of the same campaign: a provider whose history knows
/// messages by their words and times alone shows one where another is sought that left at nearly the same time, or
/// when its clock has been set.
pub fn is_of_another_run(
    connection: &Connection,
    run: i64,
    inquiry: i64,
    recipient: &RecipientID,
    receipt: &Receipt,
) -> Stored<bool> {
    // Who names a message itself is shown that one.
    let (Some(server_msg_id), None) = (&receipt.server_msg_id, &receipt.client_msg_id) else {
        return Ok(false);
    };
    Ok(connection
        .prepare_cached(
            "WITH other AS MATERIALIZED (
                SELECT id FROM run WHERE campaign = (SELECT campaign FROM run WHERE id = ?1) AND id <> ?1
                ORDER BY id DESC LIMIT ?5)
             SELECT EXISTS (
                SELECT 1 FROM other JOIN delivery d ON d.run = other.id AND d.recipient = ?2
                WHERE d.server_msg_id = ?3
                    OR d.server_msg_id IS NULL AND d.outcome IN ('accepted', 'unknown')
                        AND d.updated_at > (SELECT a.started_at FROM inquiry JOIN attempt a USING (attempt)
                            WHERE inquiry = ?4) - ?6)
             OR EXISTS (
                SELECT 1 FROM other JOIN batch b ON b.run = other.id
                WHERE b.state = 'in_flight' AND ?2 BETWEEN b.first AND b.last)",
        )?
        .query_row(
            params![run, recipient.as_str(), server_msg_id, inquiry, OTHER_RUNS, BEFORE_MS],
            |row| row.get(0),
        )?)
}

/// Whoever was sought got it: confirmed, where the receipt names what is stored with them. Gives how many that changes.
pub fn found(
    connection: &Connection,
    run: i64,
    inquiry: i64,
    recipient: &RecipientID,
    receipt: &Receipt,
    now_ms: i64,
) -> Stored<u64> {
    let changed = connection
        .prepare_cached(
            "UPDATE delivery SET outcome = 'accepted', reason_code = NULL, reason = NULL,
                server_msg_id = coalesce(?4, server_msg_id), client_msg_id = coalesce(?5, client_msg_id),
                confirmed_at = iif(coalesce(?4, ?5) IS NULL, NULL, ?6), updated_at = ?6, sought_by = NULL
             WHERE run = ?1 AND recipient = ?2 AND sought_by = ?3",
        )?
        .execute(params![
            run,
            recipient.as_str(),
            inquiry,
            receipt.server_msg_id,
            receipt.client_msg_id,
            now_ms
        ])?;
    Ok(changed as u64)
}
