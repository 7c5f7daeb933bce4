//! Inquiries: which attempts' messages are being looked up, what was found, and what later messages
//! could be witnesses.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    super::{Act, AttemptEnd, Confirmations, Inquiry, StoreError, Stored},
    batch_values, looks, optional_time, people, recipient, reopening, runs, time,
};
use crate::{
    campaign::RecipientID,
    run::{
        Counts, Delivery, Outcome, RunID, RunState,
        delivery::DeliveryEvent,
        inquiry::{Conclusion, Findings, Progress, Purpose},
        look::Addressing,
        reply::Reason,
    },
};

/// An inquiry's first look comes so long after it was opened.
const FIRST_LOOK_MS: i64 = 1_000;

/// Opens an inquiry about recipients of an attempt that has just ended. None when there are none.
pub fn open(
    connection: &Connection,
    run: i64,
    end: &AttemptEnd,
    sought: &[RecipientID],
) -> Stored<Option<i64>> {
    let (Some(first), Some(last)) = (sought.iter().min(), sought.iter().max()) else { return Ok(None) };
    let at_ms = end.at.as_millisecond();
    connection
        .prepare_cached(
            "INSERT INTO inquiry (run, attempt, purpose, gateway, first, last, opened_at, appeared_at, next_look_at)
             SELECT run, attempt, 'settle', gateway, ?3, ?4, ?5, ?5, ?5 + ?6
             FROM attempt WHERE attempt = ?2 AND run = ?1",
        )?
        .execute(params![run, end.attempt, first.as_str(), last.as_str(), at_ms, FIRST_LOOK_MS])?;
    Ok(Some(connection.last_insert_rowid()))
}

pub const ANY_OF_RUN: &str = "SELECT EXISTS (SELECT 1 FROM inquiry WHERE run = ?1)";

pub fn any_of_run(connection: &Connection, run: i64) -> Stored<bool> {
    Ok(connection.prepare_cached(ANY_OF_RUN)?.query_row([run], |row| row.get(0))?)
}

/// A person wants a run's messages looked up: of those who are unknown and held, or all that were
/// accepted and not confirmed. Gives how many recipients.
pub fn ask(connection: &Connection, run: &RunID, purpose: Purpose, act: &Act) -> Stored<u64> {
    let (id, state, ..) = runs::standing(connection, run.as_str())?;
    if purpose == Purpose::Confirm && !state.is_over() {
        return Err(StoreError::Refused(format!("{run} is {}: confirm it when it is over", state.name())));
    }
    let sought = begin(connection, id, purpose, act.at)?;
    if sought > 0 {
        let action = match purpose {
            Purpose::Settle => "reconcile",
            Purpose::Confirm => "confirm",
        };
        people::record(connection, act, action, run.as_str())?;
    }
    Ok(sought)
}

/// Opens an inquiry for each batch of a run with somebody to look up. Gives how many recipients.
pub fn begin(connection: &Connection, run: i64, purpose: Purpose, now: Timestamp) -> Stored<u64> {
    let which = match purpose {
        Purpose::Settle => "d.outcome = 'unknown' AND d.outcome <> 'accepted' AND d.sought_by IS NULL",
        Purpose::Confirm => "d.outcome = 'accepted' AND d.confirmed_at IS NULL",
    };
    let now_ms = now.as_millisecond();
    connection.execute(
        &format!(
            "INSERT INTO inquiry (run, attempt, purpose, gateway, first, last, opened_at, appeared_at,
                next_look_at)
             SELECT b.run, a.attempt, ?2, a.gateway, b.first, b.last, ?3, min(a.finished_at, ?3), ?3
             FROM (SELECT d.run, d.batch, min(d.recipient) AS first, max(d.recipient) AS last
                    FROM delivery d WHERE d.run = ?1 AND {which} AND d.batch IS NOT NULL
                    GROUP BY d.run, d.batch) b
             JOIN attempt a ON a.attempt = (SELECT max(x.attempt) FROM attempt x
                WHERE x.run = ?1 AND x.kind = 'send' AND x.batch = b.batch AND x.probe IS NULL
                    AND x.verdict IN ('answered', 'unanswered'))
             WHERE true
             ON CONFLICT (attempt, purpose) DO UPDATE SET first = min(first, excluded.first),
                last = max(last, excluded.last), next_look_at = min(next_look_at, excluded.next_look_at)"
        ),
        params![run, purpose.as_str(), now_ms],
    )?;
    if purpose == Purpose::Confirm {
        connection.execute("UPDATE run SET confirming = 1 WHERE id = ?1", [run])?;
        let sql = "SELECT count(*) FROM delivery d
             WHERE d.run = ?1 AND d.outcome = 'accepted' AND d.confirmed_at IS NULL
                AND EXISTS (SELECT 1 FROM inquiry i WHERE i.run = ?1 AND i.purpose = 'confirm')";
        return Ok(connection.query_row(sql, [run], |row| row.get(0))?);
    }
    let sought = connection.execute(
        "UPDATE delivery AS d SET sought_by = (SELECT i.inquiry FROM inquiry i JOIN attempt a USING (attempt)
             WHERE i.run = d.run AND i.purpose = 'settle' AND a.batch = d.batch)
         WHERE d.run = ?1 AND d.outcome = 'unknown' AND d.outcome <> 'accepted' AND d.sought_by IS NULL
            AND d.batch IN (SELECT a.batch FROM inquiry i JOIN attempt a USING (attempt)
                WHERE i.run = ?1 AND i.purpose = 'settle')",
        [run],
    )?;
    Ok(sought as u64)
}

pub const DUE: &str =
    "SELECT i.inquiry, i.run AS run_row, r.run, i.attempt, i.purpose, i.first, i.last, i.opened_at, i.appeared_at,
        i.looks, a.batch, a.operation_id, a.addressing, a.started_at, a.finished_at, a.verdict,
        coalesce((SELECT f.started_at FROM attempt f WHERE f.attempt = a.repeats), a.started_at) AS asked_at
     FROM inquiry i JOIN attempt a ON a.attempt = i.attempt JOIN run r ON r.id = i.run
     WHERE i.gateway = ?1 AND i.next_look_at <= ?2 ORDER BY i.next_look_at, i.inquiry LIMIT ?3";

/// The most inquiries that are given at once.
const INQUIRIES: u32 = 100;

pub fn due(
    connection: &Connection,
    gateway: &str,
    now: Timestamp,
    most_recipients: usize,
) -> Stored<Vec<Inquiry>> {
    let mut statement = connection.prepare_cached(DUE)?;
    let mut rows = statement.query(params![gateway, now.as_millisecond(), INQUIRIES])?;
    let mut inquiries: Vec<Inquiry> = Vec::new();
    let mut recipients = 0;
    while let Some(row) = rows.next()? {
        let inquiry = inquiry(connection, row)?;
        recipients += inquiry.sought.len();
        if recipients > most_recipients && !inquiries.is_empty() {
            break;
        }
        inquiries.push(inquiry);
    }
    Ok(inquiries)
}

fn inquiry(connection: &Connection, row: &Row<'_>) -> Stored<Inquiry> {
    let purpose: String = row.get("purpose")?;
    let purpose = Purpose::ALL
        .into_iter()
        .find(|known| known.as_str() == purpose)
        .ok_or_else(|| StoreError::Corrupt(format!("an inquiry's purpose {purpose:?}")))?;
    let (id, run): (i64, i64) = (row.get("inquiry")?, row.get("run_row")?);
    let (first, last): (String, String) = (row.get("first")?, row.get("last")?);
    let batch: u64 = row.get("batch")?;
    let mut sought = Vec::new();
    let mut statement = connection.prepare_cached(match purpose {
        Purpose::Settle => SOUGHT,
        Purpose::Confirm => UNCONFIRMED,
    })?;
    let mut rows = match purpose {
        Purpose::Settle => statement.query(params![run, first, last, id])?,
        Purpose::Confirm => statement.query(params![run, first, last, batch as i64])?,
    };
    while let Some(row) = rows.next()? {
        sought.push((recipient(row.get_ref(0)?)?, row.get(1)?));
    }
    let verdict: Option<String> = row.get("verdict")?;
    let asked_last_at = time(row.get("started_at")?)?;
    let opened_at = time(row.get("opened_at")?)?;
    Ok(Inquiry {
        id,
        run: RunID::from_text(row.get::<_, String>("run")?),
        batch,
        attempt: row.get("attempt")?,
        operation_id: row.get("operation_id")?,
        addressing: addressing(row.get("addressing")?)?,
        values: batch_values::of(connection, run, batch)?,
        asked_at: time(row.get("asked_at")?)?,
        asked_last_at,
        // Unless the clock was ahead then.
        ended_at: optional_time(row.get("finished_at")?)?.unwrap_or(asked_last_at).min(opened_at),
        answered: verdict.as_deref() == Some("answered"),
        progress: Progress {
            purpose,
            opened_at,
            appeared_at: time(row.get("appeared_at")?)?,
            looks: row.get("looks")?,
        },
        sought,
    })
}

pub const SOUGHT: &str = "SELECT recipient, send_time FROM delivery
     WHERE run = ?1 AND recipient BETWEEN ?2 AND ?3 AND sought_by = ?4";

pub const UNCONFIRMED: &str = "SELECT recipient, send_time FROM delivery
     WHERE run = ?1 AND recipient BETWEEN ?2 AND ?3 AND batch = ?4 AND outcome = 'accepted'
        AND confirmed_at IS NULL";

/// How an attempt of an old schema, which did not record it, addressed its recipients is not known: by
/// the batch call, as nearly all did.
pub fn addressing(word: Option<String>) -> Stored<Addressing> {
    let Some(word) = word else { return Ok(Addressing::Users) };
    Addressing::ALL
        .into_iter()
        .find(|known| known.as_str() == word)
        .ok_or_else(|| StoreError::Corrupt(format!("a way to address {word:?}")))
}

pub fn next_at(connection: &Connection, gateway: &str) -> Stored<Option<Timestamp>> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(next_look_at) FROM inquiry WHERE gateway = ?1")?
        .query_row([gateway], |row| row.get(0))?;
    optional_time(next)
}

pub const CONFIRM: &str =
    "UPDATE delivery SET confirmed_at = ?3, reason_code = NULL, reason = NULL, updated_at = ?3
     WHERE run = ?1 AND recipient = ?2 AND outcome = 'accepted'";

/// Only of a run with something to confirm: it reads all deliveries.
pub const CONFIRMATIONS: &str = "SELECT count(d.confirmed_at) AS confirmed,
        count(*) FILTER (WHERE d.outcome = 'accepted' AND d.reason_code = 'notFound') AS not_found
     FROM run r JOIN delivery d ON d.run = r.id
     WHERE r.run = ?1 AND r.confirming = 1 GROUP BY r.id";

pub fn confirmations(connection: &Connection, run: &RunID) -> Stored<Option<Confirmations>> {
    Ok(connection
        .prepare_cached(CONFIRMATIONS)?
        .query_row([run.as_str()], |row| Ok(Confirmations { confirmed: row.get(0)?, not_found: row.get(1)? }))
        .optional()?)
}

/// The code of an accepted message that was looked up and not found.
pub const NOT_FOUND: &str = "notFound";

pub fn settle(
    connection: &Connection,
    inquiry: &Inquiry,
    findings: &Findings,
    look: Option<i64>,
    most_attempts: u32,
    now: Timestamp,
) -> Stored<()> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT run FROM inquiry WHERE inquiry = ?1 AND attempt = ?2 AND purpose = ?3")?
        .query_row(params![inquiry.id, inquiry.attempt, inquiry.progress.purpose.as_str()], |row| row.get(0))
        .optional()?;
    // It was closed meanwhile, by a fence or a person; another may have its number by now.
    let Some(run) = known else { return Ok(()) };
    let open = match inquiry.progress.purpose {
        Purpose::Settle => settle_unknown(connection, run, inquiry, findings, look, most_attempts, now)?,
        Purpose::Confirm => confirm(connection, run, findings, look, now)?,
    };
    if open {
        connection
            .prepare_cached(
                "UPDATE inquiry SET appeared_at = ?2, looks = looks + 1, next_look_at = ?3, waits_for = ?4
                 WHERE inquiry = ?1",
            )?
            .execute(params![
                inquiry.id,
                findings.appeared_at.as_millisecond(),
                findings.next_look_at.as_millisecond(),
                findings.waits_for,
            ])?;
    } else {
        connection.prepare_cached("DELETE FROM inquiry WHERE inquiry = ?1")?.execute([inquiry.id])?;
    }
    Ok(())
}

/// Records what became of the unknown. Tells whether anything is open.
fn settle_unknown(
    connection: &Connection,
    run: i64,
    inquiry: &Inquiry,
    findings: &Findings,
    look: Option<i64>,
    most_attempts: u32,
    now: Timestamp,
) -> Stored<bool> {
    let now_ms = now.as_millisecond();
    let (_, state, ..) = runs::standing(connection, inquiry.run.as_str())?;
    let may_send =
        matches!(state, RunState::Running | RunState::Paused { .. }) && !runs::is_late(connection, run, now)?;
    let mut counts = Counts::default();
    let mut absent = Vec::new();
    let mut open = false;
    for (recipient, conclusion) in &findings.conclusions {
        match conclusion {
            Conclusion::Found(receipt)
                if looks::is_of_another_run(connection, run, inquiry.id, recipient, receipt)? =>
            {
                let reason = Reason::new(
                    "anotherRuns",
                    "what was found there is, or may be, the message of another run",
                );
                end_search(connection, run, recipient, inquiry.id, &Outcome::Unknown(reason), now_ms)?;
                counts.unknown += 1;
            }
            Conclusion::Found(receipt) => {
                counts.accepted += looks::found(connection, run, inquiry.id, recipient, receipt, now_ms)?;
            }
            Conclusion::Absent => absent.push(recipient.clone()),
            Conclusion::Held(reason) => {
                end_search(
                    connection,
                    run,
                    recipient,
                    inquiry.id,
                    &Outcome::Unknown(reason.clone()),
                    now_ms,
                )?;
                counts.unknown += 1;
            }
            Conclusion::Open => open = true,
        }
    }
    connection
        .prepare_cached("UPDATE run SET unknown = unknown - ?2, accepted = accepted + ?2 WHERE id = ?1")?
        .execute(params![run, counts.accepted])?;
    let (again, exhausted) = by_attempts(connection, run, absent, if may_send { most_attempts } else { 0 })?;
    // A failed id of a batch's answer carries no reason: the call for one recipient gives it.
    let single = match inquiry.addressing {
        Addressing::Users => inquiry.answered,
        Addressing::User => true,
        Addressing::Group | Addressing::Unlisted => false,
    };
    reopening::reopen(connection, run, &again, single)?;
    let why = match (may_send, state.is_over()) {
        (true, _) => "proven not accepted, tried as often as `delivery.retry` allows",
        (false, true) => "proven not accepted, and the run is over",
        (false, false) => "proven not accepted, and there is no time left to ask again",
    };
    let mut failed = 0;
    for recipient in &exhausted {
        let unknown = Delivery::Decided(Outcome::Unknown(Reason::new("", "")));
        let event = DeliveryEvent::Exhausted(Reason::new("notAccepted", why));
        let Ok(Delivery::Decided(outcome)) = unknown.after(event) else {
            return Err(StoreError::Corrupt("an absence that decides nothing".to_owned()));
        };
        failed += end_search(connection, run, recipient, inquiry.id, &outcome, now_ms)?;
    }
    connection
        .prepare_cached("UPDATE run SET unknown = unknown - ?2, failed = failed + ?2 WHERE id = ?1")?
        .execute(params![run, failed])?;
    count_look(connection, look, &counts)?;
    Ok(open)
}

/// Nothing seeks a recipient any more: this is the outcome, without a receipt. Gives how many that changes.
fn end_search(
    connection: &Connection,
    run: i64,
    recipient: &RecipientID,
    inquiry: i64,
    outcome: &Outcome,
    now_ms: i64,
) -> Stored<u64> {
    let reason = outcome.reason();
    let changed = connection
        .prepare_cached(
            "UPDATE delivery SET outcome = ?4, reason_code = ?5, reason = ?6, updated_at = ?7, sought_by = NULL
             WHERE run = ?1 AND recipient = ?2 AND sought_by = ?3",
        )?
        .execute(params![
            run,
            recipient.as_str(),
            inquiry,
            outcome.name(),
            reason.map(|reason| reason.code.as_str()),
            reason.map(|reason| reason.text.as_str()),
            now_ms,
        ])?;
    Ok(changed as u64)
}

/// Those who have been asked less often than that, and the others.
fn by_attempts(
    connection: &Connection,
    run: i64,
    who: Vec<RecipientID>,
    most_attempts: u32,
) -> Stored<(Vec<RecipientID>, Vec<RecipientID>)> {
    let mut statement =
        connection.prepare_cached("SELECT attempts FROM delivery WHERE run = ?1 AND recipient = ?2")?;
    let (mut fewer, mut others) = (Vec::new(), Vec::new());
    for recipient in who {
        let attempts: u32 = statement.query_row(params![run, recipient.as_str()], |row| row.get(0))?;
        if attempts < most_attempts { fewer.push(recipient) } else { others.push(recipient) }
    }
    Ok((fewer, others))
}

/// Records which accepted messages were seen. Tells whether anything is open.
fn confirm(
    connection: &Connection,
    run: i64,
    findings: &Findings,
    look: Option<i64>,
    now: Timestamp,
) -> Stored<bool> {
    let mut counts = Counts::default();
    let mut open = false;
    for (recipient, conclusion) in &findings.conclusions {
        let missing = match conclusion {
            Conclusion::Found(_) => {
                counts.accepted += 1;
                connection.prepare_cached(CONFIRM)?.execute(params![
                    run,
                    recipient.as_str(),
                    now.as_millisecond()
                ])?;
                continue;
            }
            Conclusion::Absent => (NOT_FOUND, "accepted by the provider, and not found when looked up"),
            Conclusion::Held(reason) => (reason.code.as_str(), reason.text.as_str()),
            Conclusion::Open => {
                open = true;
                continue;
            }
        };
        connection
            .prepare_cached(
                "UPDATE delivery SET reason_code = ?3, reason = ?4, updated_at = ?5
                 WHERE run = ?1 AND recipient = ?2 AND outcome = 'accepted' AND confirmed_at IS NULL",
            )?
            .execute(params![run, recipient.as_str(), missing.0, missing.1, now.as_millisecond()])?;
    }
    count_look(connection, look, &counts)?;
    Ok(open)
}

fn count_look(connection: &Connection, look: Option<i64>, counts: &Counts) -> Stored<()> {
    if let Some(look) = look {
        connection
            .prepare_cached(
                "UPDATE attempt SET accepted = accepted + ?2, unknown = unknown + ?3
                 WHERE attempt = ?1 AND kind = 'look'",
            )?
            .execute(params![look, counts.accepted, counts.unknown])?;
    }
    Ok(())
}
