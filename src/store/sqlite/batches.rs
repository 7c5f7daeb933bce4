//! Batches, attempts and deliveries: the intent before a request, the answer with all that follows.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Row, named_params, params};
use sha2::{Digest, Sha256};

use super::{
    super::{AttemptEnd, Begun, Intent, StoreError, Stored},
    again, batch_values, held_back, inquiries, json, received, recipients, reopening, runs, suppressions,
};
use crate::{
    campaign::RecipientID,
    run::{
        Counts, Outcome, RunID, RunState, Settlement,
        inquiry::Doubt,
        look::Addressing,
        reply::{Reason, Reply},
        settlement::{WITHDRAWN, settle as settled},
    },
};

/// A batch that waits to be asked.
pub struct PendingBatch {
    pub id: i64,
    pub number: u64,
    pub attempts: u32,
    /// Whether its one recipient is asked by the call that says why it fails.
    pub single: bool,
    /// Tries that proved that nothing was done.
    pub tries: u32,
    pub recipients: Vec<RecipientID>,
}

/// Among the batches of a run that wait those of the lowest rank leave first, in an order that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(pub i64);

impl Rank {
    /// Of all that an opening writes. It writes nothing of their order, which costs it least.
    pub const FIRST: Rank = Rank(0);
}

/// A batch that is to wait. `single`: its one recipient is asked by the call that says why it fails.
pub struct NewBatch<'a> {
    pub number: u64,
    pub rank: Rank,
    pub attempts: u32,
    pub single: bool,
    pub recipients: &'a [RecipientID],
}

pub fn insert_pending(connection: &Connection, run: i64, batch: &NewBatch<'_>) -> Stored<()> {
    let recipients = batch.recipients;
    let (Some(first), Some(last)) = (recipients.first(), recipients.last()) else {
        return Err(StoreError::Corrupt("a batch without recipients".to_owned()));
    };
    connection
        .prepare_cached(
            "INSERT INTO batch (run, number, position, state, attempts, count, first, last, recipients, single)
             VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            run,
            batch.number as i64,
            batch.rank.0,
            batch.attempts,
            recipients.len() as i64,
            first.as_str(),
            last.as_str(),
            json(&recipients)?,
            batch.single,
        ])?;
    Ok(())
}

/// Adds the deliveries of one answer; the key refuses a second one for the same recipient.
pub struct Deliveries<'c> {
    insert: CachedStatement<'c>,
    run: i64,
    batch: Option<u64>,
    attempts: u32,
    send_time_ms: Option<i64>,
    /// The inquiry that seeks whoever is unknown.
    sought_by: Option<i64>,
    at_ms: i64,
}

impl<'c> Deliveries<'c> {
    /// Of recipients that are in no batch.
    pub fn of_run(connection: &'c Connection, run: i64, now: Timestamp) -> Stored<Deliveries<'c>> {
        let insert = connection.prepare_cached(
            "INSERT INTO delivery (run, recipient, outcome, reason_code, reason, attempts, batch, server_msg_id,
                client_msg_id, send_time, updated_at, sought_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        let at_ms = now.as_millisecond();
        Ok(Deliveries { insert, run, batch: None, attempts: 0, send_time_ms: None, sought_by: None, at_ms })
    }

    /// Of the recipients of a batch that has been asked so many times.
    pub fn of_batch(
        connection: &'c Connection,
        run: i64,
        batch: u64,
        attempts: u32,
        now: Timestamp,
    ) -> Stored<Deliveries<'c>> {
        let deliveries = Deliveries::of_run(connection, run, now)?;
        Ok(Deliveries { batch: Some(batch), attempts, ..deliveries })
    }

    pub fn add(&mut self, recipient: &RecipientID, outcome: &Outcome) -> Stored<()> {
        let reason = outcome.reason();
        let receipt = match outcome {
            Outcome::Accepted(receipt) => Some(receipt),
            _ => None,
        };
        self.insert.execute(params![
            self.run,
            recipient.as_str(),
            outcome.name(),
            reason.map(|reason| reason.code.as_str()),
            reason.map(|reason| reason.text.as_str()),
            self.attempts,
            self.batch,
            receipt.and_then(|receipt| receipt.server_msg_id.as_deref()),
            receipt.and_then(|receipt| receipt.client_msg_id.as_deref()),
            receipt.and_then(|receipt| receipt.send_time_ms).or(self.send_time_ms),
            self.at_ms,
            self.sought_by.filter(|_| matches!(outcome, Outcome::Unknown(_))),
        ])?;
        Ok(())
    }
}

pub const PENDING: &str = "SELECT id, number, attempts, single, tries, recipients FROM batch
     WHERE run = ?1 AND state = 'pending' ORDER BY position, id LIMIT ?2";

/// The first batches that wait.
pub fn pending(connection: &Connection, run: i64, most: u32) -> Stored<Vec<PendingBatch>> {
    let mut statement = connection.prepare_cached(PENDING)?;
    let mut rows = statement.query(params![run, most])?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(pending_batch(row)?);
    }
    Ok(batches)
}

/// The batch of a row as [`PENDING`] gives it.
pub fn pending_batch(row: &Row<'_>) -> Stored<PendingBatch> {
    Ok(PendingBatch {
        id: row.get(0)?,
        number: row.get(1)?,
        attempts: row.get(2)?,
        single: row.get(3)?,
        tries: row.get(4)?,
        recipients: recipients(row.get_ref(5)?.as_str().unwrap_or_default())?,
    })
}

/// When the run may send again: None when it has nothing that waits, or does not run.
pub fn waits_until(connection: &Connection, run: &RunID) -> Stored<Option<Timestamp>> {
    let (run, state, ..) = runs::standing(connection, run.as_str())?;
    if state == RunState::Running { again::waits_until(connection, run) } else { Ok(None) }
}

pub fn begin(connection: &Connection, intent: &Intent) -> Stored<Option<Begun>> {
    let (run, state, pending, in_flight) = runs::standing(connection, intent.run.as_str())?;
    if state != RunState::Running || runs::is_late(connection, run, intent.at)? {
        return Ok(None);
    }
    let Some(batch) = next(connection, run, intent)? else { return Ok(None) };
    let most = usize::try_from(intent.most_recipients.max(1)).unwrap_or(usize::MAX);
    let batch = again::split(connection, run, batch, most)?;
    let addressing = if batch.single { Addressing::User } else { intent.addressing };
    let at_ms = intent.at.as_millisecond();
    let send_time_ms = match &intent.stamp {
        Some((sender, provider_now)) => Some(stamp(connection, &intent.run, sender, *provider_now)?),
        None => None,
    };
    let operation_id = match intent.names_batches {
        true => name_of(connection, run, &batch)?,
        false => new_operation_id(connection, &intent.run)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO attempt (kind, run, batch, gateway, operation_id, sender, send_time, started_at,
                recipients, addressing, first, last)
             SELECT 'send', id, ?2, gateway, ?10, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM run WHERE id = ?1",
        )?
        .execute(params![
            run,
            batch.number as i64,
            intent.stamp.as_ref().map(|(sender, _)| sender.as_str()),
            send_time_ms,
            at_ms,
            batch.recipients.len() as i64,
            addressing.as_str(),
            batch.recipients.first().map(RecipientID::as_str),
            batch.recipients.last().map(RecipientID::as_str),
            operation_id,
        ])?;
    let attempt = connection.last_insert_rowid();
    connection
        .prepare_cached(
            "UPDATE batch SET state = 'in_flight', attempt = ?2, attempts = attempts + 1 WHERE id = ?1",
        )?
        .execute(params![batch.id, attempt])?;
    connection
        .prepare_cached(
            "UPDATE run SET pending = pending - ?2, in_flight = in_flight + ?2,
                started_at = coalesce(started_at, ?3)
             WHERE id = ?1",
        )?
        .execute(params![run, batch.recipients.len() as i64, at_ms])?;
    Ok(Some(Begun {
        attempt,
        at: intent.at,
        operation_id,
        batch: batch.number,
        values: batch_values::of(connection, run, batch.number)?,
        addressing,
        tries: batch.tries,
        others: (pending + in_flight).saturating_sub(batch.recipients.len() as u64),
        recipients: batch.recipients,
        send_time_ms,
    }))
}

/// The name of a batch for a provider that goes by it: 32 hex digits, the same whenever these recipients
/// of this batch are asked, and never those of others.
fn name_of(connection: &Connection, run: i64, batch: &PendingBatch) -> Stored<String> {
    let (identity, name): (String, String) = connection
        .prepare_cached("SELECT (SELECT identity FROM ledger), run FROM run WHERE id = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut digest = Sha256::new();
    for part in [identity.as_str(), &name, &batch.number.to_string()] {
        digest.update(part);
        digest.update([0]);
    }
    for recipient in &batch.recipients {
        digest.update(recipient.as_str());
        digest.update([0]);
    }
    Ok(digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// The next batch without those who must not be asked any more.
fn next(connection: &Connection, run: i64, intent: &Intent) -> Stored<Option<PendingBatch>> {
    while let Some(batch) = again::due(connection, run, intent.at)? {
        let mut held = suppressions::of(connection, &batch.recipients, intent.at)?;
        held.extend(received::of(connection, run, &batch.recipients, &intent.caps, intent.at)?);
        if held.is_empty() {
            return Ok(Some(batch));
        }
        if let Some(rest) = held_back::take_out(connection, run, batch, held, intent.at)? {
            return Ok(Some(rest));
        }
    }
    Ok(None)
}

/// The name of a run's next attempt, which no other attempt of any ledger has.
pub fn new_operation_id(connection: &Connection, run: &RunID) -> Stored<String> {
    let (identity, number): (String, i64) = connection
        .prepare_cached("SELECT identity, (SELECT coalesce(max(attempt), 0) + 1 FROM attempt) FROM ledger")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(format!("{identity}-{number}-{run}"))
}

/// Writes down who is left in a batch: somebody is.
pub fn shrink(connection: &Connection, batch: &PendingBatch) -> Stored<()> {
    let [first, last] =
        [batch.recipients.first(), batch.recipients.last()].map(|id| id.map(RecipientID::as_str));
    connection
        .prepare_cached("UPDATE batch SET count = ?2, first = ?3, last = ?4, recipients = ?5 WHERE id = ?1")?
        .execute(params![batch.id, batch.recipients.len() as i64, first, last, json(&batch.recipients)?])?;
    Ok(())
}

/// A send time that no message of this account has had: the provider's time, or one more than the last.
pub fn stamp(connection: &Connection, run: &RunID, sender: &str, provider_now: Timestamp) -> Stored<i64> {
    Ok(connection
        .prepare_cached(
            "INSERT INTO stamp (gateway, sender, last_send_time)
             SELECT gateway, ?2, ?3 FROM run WHERE run = ?1
             ON CONFLICT (gateway, sender)
                DO UPDATE SET last_send_time = max(last_send_time + 1, excluded.last_send_time)
             RETURNING last_send_time",
        )?
        .query_row(params![run.as_str(), sender, provider_now.as_millisecond()], |row| row.get(0))?)
}

/// An attempt that is under way, with its batch.
pub struct UnderWay {
    run: i64,
    pub run_name: String,
    pub batch: i64,
    number: u64,
    attempts: u32,
    send_time_ms: Option<i64>,
    /// How many recipients it asked.
    pub asked: u64,
}

pub const UNDER_WAY: &str = "SELECT b.run, r.run, b.id, b.number, b.attempts, a.send_time, b.count
     FROM attempt a JOIN batch b ON b.run = a.run AND b.number = a.batch JOIN run r ON r.id = a.run
     WHERE a.attempt = ?1 AND a.finished_at IS NULL AND b.attempt = a.attempt";

pub fn under_way(connection: &Connection, attempt: i64) -> Stored<UnderWay> {
    let mut statement = connection.prepare_cached(UNDER_WAY)?;
    let mut rows = statement.query([attempt])?;
    let row = rows
        .next()?
        .ok_or_else(|| StoreError::NotFound { what: "attempt under way", name: attempt.to_string() })?;
    Ok(UnderWay {
        run: row.get(0)?,
        run_name: row.get(1)?,
        batch: row.get(2)?,
        number: row.get(3)?,
        attempts: row.get(4)?,
        send_time_ms: row.get(5)?,
        asked: row.get(6)?,
    })
}

/// Who stands in a batch.
pub fn recipients_of(connection: &Connection, batch: i64) -> Stored<Vec<RecipientID>> {
    let text: String = connection
        .prepare_cached("SELECT recipients FROM batch WHERE id = ?1")?
        .query_row([batch], |row| row.get(0))?;
    recipients(&text)
}

pub fn settle(connection: &Connection, end: &AttemptEnd, settlement: &Settlement) -> Stored<RunState> {
    let batch = under_way(connection, end.attempt)?;
    let mut counts = Counts::default();
    // A replay that never left is no attempt.
    let attempts = batch.attempts.saturating_sub(u32::from(settlement.verdict == WITHDRAWN));
    let mut deliveries = Deliveries::of_batch(connection, batch.run, batch.number, attempts, end.at)?;
    deliveries.send_time_ms = batch.send_time_ms;
    let unknown: Vec<RecipientID> = settlement
        .outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)))
        .map(|(recipient, _)| recipient.clone())
        .collect();
    if settlement.doubt == Doubt::Inquire {
        deliveries.sought_by = inquiries::open(connection, batch.run, end, &unknown)?;
    }
    for (recipient, outcome) in &settlement.outcomes {
        *counts.of(outcome) += 1;
        deliveries.add(recipient, outcome)?;
    }
    match settlement.outcomes.len() as u64 {
        0 => {
            again::put_back(connection, batch.run, batch.batch, &settlement.again)?;
            counts.pending = batch.asked;
        }
        decided if decided == batch.asked => {
            connection.prepare_cached("DELETE FROM batch WHERE id = ?1")?.execute([batch.batch])?;
        }
        decided => {
            let asked = batch.asked;
            return Err(StoreError::Corrupt(format!("{decided} outcomes for {asked} recipients asked")));
        }
    }
    end_attempt(connection, end, &counts, settlement.verdict)?;
    connection
        .prepare_cached(
            "UPDATE run SET in_flight = in_flight - :asked, pending = pending + :pending,
                accepted = accepted + :accepted, refused = refused + :refused, failed = failed + :failed,
                unknown = unknown + :unknown
             WHERE id = :run",
        )?
        .execute(named_params! {
            ":run": batch.run,
            ":asked": batch.asked,
            ":pending": counts.pending,
            ":accepted": counts.accepted,
            ":refused": counts.refused,
            ":failed": counts.failed,
            ":unknown": counts.unknown,
        })?;
    if let Doubt::SendAgain { most_attempts } = settlement.doubt
        && attempts < most_attempts
    {
        reopening::reopen(connection, batch.run, &unknown, false)?;
    }
    let (id, mut state, ..) = runs::standing(connection, &batch.run_name)?;
    if let Some(event) = settlement.run.clone()
        // A run that a person has stopped meanwhile stays stopped.
        && let Ok(after) = state.clone().after(event)
    {
        state = runs::write_state(connection, id, after, end.at)?;
    }
    match settlement.may_end_run {
        true => runs::end_if_drained(connection, &batch.run_name, end.at),
        false => Ok(state),
    }
}

pub fn end_attempt(connection: &Connection, end: &AttemptEnd, counts: &Counts, verdict: &str) -> Stored<()> {
    connection
        .prepare_cached(
            "UPDATE attempt SET finished_at = max(?2, started_at), http_status = ?3, provider_code = ?4,
                provider_message = ?5, accepted = ?6, refused = ?7, unknown = ?8, verdict = ?9
             WHERE attempt = ?1",
        )?
        .execute(params![
            end.attempt,
            end.at.as_millisecond(),
            end.http_status,
            end.provider_code,
            end.provider_message,
            counts.accepted,
            counts.refused,
            counts.unknown,
            verdict,
        ])?;
    Ok(())
}

fn end_without_answer(attempt: i64, at: Timestamp) -> AttemptEnd {
    AttemptEnd { attempt, at, http_status: None, provider_code: None, provider_message: None }
}

pub fn withdraw(connection: &Connection, attempt: i64, now: Timestamp) -> Stored<()> {
    let batch = under_way(connection, attempt)?;
    end_attempt(connection, &end_without_answer(attempt, now), &Counts::default(), WITHDRAWN)?;
    connection
        .prepare_cached(
            "UPDATE batch SET state = 'pending', attempt = NULL, attempts = attempts - 1 WHERE id = ?1",
        )?
        .execute([batch.batch])?;
    connection
        .prepare_cached("UPDATE run SET in_flight = in_flight - ?2, pending = pending + ?2 WHERE id = ?1")?
        .execute(params![batch.run, batch.asked])?;
    // `started_at` is when the first intent that counts was committed.
    connection
        .prepare_cached(
            "UPDATE run SET started_at = NULL WHERE id = ?1 AND NOT EXISTS
                (SELECT 1 FROM attempt WHERE run = ?1 AND kind = 'send' AND verdict IS NOT 'withdrawn')",
        )?
        .execute([batch.run])?;
    Ok(())
}

/// By the index of what is in flight: a run of millions has many batches that wait.
pub const IN_FLIGHT: &str = "SELECT b.attempt, b.recipients, r.run FROM batch b JOIN run r ON r.id = b.run
     WHERE b.state = 'in_flight'";

pub const UNANSWERED: &str = "UPDATE attempt SET finished_at = max(?1, started_at), verdict = 'unanswered'
     WHERE finished_at IS NULL AND (kind = 'look' OR probe IS NOT NULL)";

pub fn recover(connection: &Connection, doubts: &HashMap<RunID, Doubt>, now: Timestamp) -> Stored<u64> {
    let mut statement = connection.prepare(IN_FLIGHT)?;
    let mut in_flight: Vec<(i64, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    in_flight.sort_unstable();
    let mut unknown = 0;
    for (attempt, asked, run) in in_flight {
        let asked = recipients(&asked)?;
        unknown += asked.len() as u64;
        let reason = Reason::new("interrupted", "campaignd ended before an answer came");
        let doubt = doubts.get(&RunID::from_text(run)).copied();
        let mut settlement = settled(&asked, Reply::Unanswered(reason), doubt.unwrap_or(Doubt::Hold))
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        // What was accepted may have to be confirmed: its lane ends the run, where it has one.
        settlement.may_end_run = doubt.is_none();
        settle(connection, &end_without_answer(attempt, now), &settlement)?;
    }
    // A look or a probe changes nothing by itself; one that was interrupted is simply over.
    connection.execute(UNANSWERED, [now.as_millisecond()])?;
    Ok(unknown)
}
