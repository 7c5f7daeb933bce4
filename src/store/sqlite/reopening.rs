//! Recipients that are asked again: their deliveries go, and they wait in batches as before.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{
    super::{Act, StoreError, Stored},
    batch_values,
    batches::{NewBatch, Rank, insert_pending},
    people, recipient, runs,
};
use crate::{
    campaign::{RecipientID, source::Values},
    run::{Counts, Outcome, RunEvent, RunID},
};

/// The most recipients in a batch that is made of those who are asked again.
const BATCH: usize = 500;
/// Recipients that are reopened at once.
const PAGE: u32 = 10_000;

/// Makes recipients pending whose outcome is unknown, refused or failed. `single`: each is asked by the
/// call that says why it fails. Gives how many.
pub fn reopen(connection: &Connection, run: i64, who: &[RecipientID], single: bool) -> Stored<u64> {
    let mut who: Vec<&RecipientID> = who.iter().collect();
    who.sort();
    let mut delete = connection.prepare_cached(&format!(
        "DELETE FROM delivery WHERE run = ?1 AND recipient = ?2 AND outcome IN ('{}')
         RETURNING outcome, attempts, batch",
        Outcome::REOPENABLE.join("', '")
    ))?;
    let mut counts = Counts::default();
    let mut reopened = 0u64;
    // Those who were promised different messages do not share a batch.
    let mut alike: BTreeMap<Option<Values>, Vec<(RecipientID, u32)>> = BTreeMap::new();
    for recipient in who {
        let mut rows = delete.query(params![run, recipient.as_str()])?;
        let Some(row) = rows.next()? else { continue };
        match row.get_ref(0)?.as_str().unwrap_or_default() {
            "unknown" => counts.unknown += 1,
            "refused" => counts.refused += 1,
            _ => counts.failed += 1,
        }
        let promised = match row.get::<_, Option<u64>>(2)? {
            Some(batch) => batch_values::of(connection, run, batch)?,
            None => None,
        };
        alike.entry(promised).or_default().push((recipient.clone(), row.get(1)?));
    }
    for (promised, who) in alike {
        for part in who.chunks(if single { 1 } else { BATCH }) {
            let recipients: Vec<RecipientID> = part.iter().map(|(recipient, _)| recipient.clone()).collect();
            let attempts = part.iter().map(|(_, attempts)| *attempts).max().unwrap_or_default();
            reopened += recipients.len() as u64;
            let number: i64 = connection
                .prepare_cached(
                    "UPDATE run SET next_batch = next_batch + 1 WHERE id = ?1 RETURNING next_batch - 1",
                )?
                .query_row([run], |row| row.get(0))?;
            let batch = NewBatch {
                number: number as u64,
                rank: Rank::FIRST,
                attempts,
                single,
                recipients: &recipients,
            };
            insert_pending(connection, run, &batch)?;
            if let Some(promised) = &promised {
                batch_values::write(connection, run, batch.number, promised)?;
            }
        }
    }
    connection
        .prepare_cached(
            "UPDATE run SET pending = pending + ?2, unknown = unknown - ?3, refused = refused - ?4,
                failed = failed - ?5
             WHERE id = ?1",
        )?
        .execute(params![run, reopened, counts.unknown, counts.refused, counts.failed])?;
    Ok(reopened)
}

/// A person wants everyone with one of these outcomes asked again: the run goes on, and has as much time
/// for them as it had at first. Whoever is being looked up is left alone.
pub fn retry(connection: &Connection, run: &RunID, outcomes: &[&str], act: &Act) -> Stored<u64> {
    let (id, state, ..) = runs::standing(connection, run.as_str())?;
    let after = state.clone().after(RunEvent::Reopen).map_err(|_| {
        StoreError::Refused(format!("{run} is {}: wait until it is running or over", state.name()))
    })?;
    let mut wanted = false;
    for outcome in outcomes {
        wanted |= !with_outcome(connection, id, outcome)?.is_empty();
    }
    if !wanted {
        return Ok(0);
    }
    connection
        .prepare_cached(
            "UPDATE run SET finish_by = finish_by + n.more, start_by = start_by + n.more,
                time_counts_from = coalesce(time_counts_from, due_at) + n.more, confirming = 0, reopened = 1
             FROM (SELECT max(0, ?2 - coalesce(time_counts_from, due_at)) AS more FROM run WHERE id = ?1) n
             WHERE id = ?1",
        )?
        .execute(params![id, act.at.as_millisecond()])?;
    // Before anybody is pending: a run that is over has nobody.
    if after != state {
        runs::write_state(connection, id, after, act.at)?;
    }
    let mut reopened = 0;
    for outcome in outcomes {
        // Those that are reopened are found no more.
        loop {
            let who = with_outcome(connection, id, outcome)?;
            if who.is_empty() {
                break;
            }
            reopened += reopen(connection, id, &who, false)?;
        }
    }
    people::record(connection, act, "retry", run.as_str())?;
    Ok(reopened)
}

/// Some of a run's recipients with an outcome that are not being looked up.
fn with_outcome(connection: &Connection, run: i64, outcome: &str) -> Stored<Vec<RecipientID>> {
    let mut statement = connection.prepare_cached(
        "SELECT recipient FROM delivery
         WHERE run = ?1 AND outcome = ?2 AND outcome <> 'accepted' AND sought_by IS NULL LIMIT ?3",
    )?;
    let mut rows = statement.query(params![run, outcome, PAGE])?;
    let mut who = Vec::new();
    while let Some(row) = rows.next()? {
        who.push(recipient(row.get_ref(0)?)?);
    }
    Ok(who)
}
