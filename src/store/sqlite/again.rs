//! Batches that go back among those that wait, because nothing of them was done.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{StoreError, Stored},
    batch_values,
    batches::{self, NewBatch, PendingBatch, Rank},
    optional_time,
};
use crate::run::{chunk::drawn, retry::Wait, settlement::Again};

pub const BEHIND: &str = "SELECT max(position) FROM batch WHERE run = ?1 AND state = 'pending'";

/// Puts a batch that was in flight back.
pub fn put_back(connection: &Connection, run: i64, batch: i64, again: &Again) -> Stored<()> {
    connection
        .prepare_cached("UPDATE batch SET state = 'pending', attempt = NULL WHERE id = ?1")?
        .execute([batch])?;
    match again {
        Again::Later { tries, wait } => later(connection, batch, *tries, *wait),
        Again::Last => move_behind(connection, run, batch),
        Again::Halves => {
            let whole = one(connection, batch)?;
            let half = whole.recipients.len().div_ceil(2);
            split(connection, run, whole, half).map(|_| ())
        }
    }
}

fn later(connection: &Connection, batch: i64, tries: u32, wait: Option<Wait>) -> Stored<()> {
    let ms = |instant: fn(Wait) -> Timestamp| wait.map(|wait| instant(wait).as_millisecond());
    connection
        .prepare_cached("UPDATE batch SET tries = ?2, waits_from = ?3, waits_until = ?4 WHERE id = ?1")?
        .execute(params![batch, tries, ms(|wait| wait.from), ms(|wait| wait.until)])?;
    Ok(())
}

/// Behind all that wait to be sent.
fn move_behind(connection: &Connection, run: i64, batch: i64) -> Stored<()> {
    let last: Option<i64> = connection.prepare_cached(BEHIND)?.query_row([run], |row| row.get(0))?;
    connection
        .prepare_cached(
            "UPDATE batch SET position = ?2, waits_from = NULL, waits_until = NULL WHERE id = ?1",
        )?
        .execute(params![batch, last.unwrap_or_default().saturating_add(1)])?;
    Ok(())
}

fn one(connection: &Connection, batch: i64) -> Stored<PendingBatch> {
    let mut statement = connection
        .prepare_cached("SELECT id, number, attempts, single, tries, recipients FROM batch WHERE id = ?1")?;
    let mut rows = statement.query([batch])?;
    match rows.next()? {
        Some(row) => batches::pending_batch(row),
        None => Err(StoreError::Corrupt("a batch that is put back is gone".to_owned())),
    }
}

/// Splits the first `most` recipients off a batch: they keep its number and place, the rest becomes a
/// batch of its own behind them.
pub fn split(
    connection: &Connection,
    run: i64,
    mut batch: PendingBatch,
    most: usize,
) -> Stored<PendingBatch> {
    let rest = batch.recipients.split_off(most.min(batch.recipients.len()));
    if rest.is_empty() {
        return Ok(batch);
    }
    let (number, rank): (i64, i64) = connection
        .prepare_cached(
            "SELECT r.next_batch, b.position FROM run r JOIN batch b ON b.run = r.id WHERE b.id = ?1",
        )?
        .query_row([batch.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    connection.prepare_cached("UPDATE run SET next_batch = next_batch + 1 WHERE id = ?1")?.execute([run])?;
    let new = NewBatch {
        number: number as u64,
        rank: Rank(rank),
        attempts: batch.attempts,
        single: false,
        recipients: &rest,
    };
    batches::insert_pending(connection, run, &new)?;
    let inserted = connection.last_insert_rowid();
    batch_values::copy(connection, run, batch.number, new.number)?;
    // What the whole has used up, each of its parts has.
    connection
        .prepare_cached("UPDATE batch SET tries = ?2 WHERE id = ?1")?
        .execute(params![inserted, batch.tries])?;
    batches::shrink(connection, &batch)?;
    Ok(batch)
}

/// The lowest rank of those that wait, with the first and the last of it.
pub const LOWEST: &str = "SELECT position, id, (SELECT max(id) FROM batch
        WHERE run = ?1 AND state = 'pending' AND position = lowest.position)
     FROM batch lowest WHERE run = ?1 AND state = 'pending' ORDER BY position, id LIMIT 1";

/// Of a rank, from one on.
pub const DRAWN: &str = "SELECT id, number, attempts, single, tries, recipients FROM batch
     WHERE run = ?1 AND state = 'pending' AND position = ?3 AND id >= ?4
        AND (waits_until IS NULL OR waits_until <= ?2 OR waits_from > ?2)
     ORDER BY id LIMIT 1";

pub const DUE: &str = "SELECT id, number, attempts, single, tries, recipients FROM batch
     WHERE run = ?1 AND state = 'pending'
        -- A wait that begins in the future is one of before the clock was set back.
        AND (waits_until IS NULL OR waits_until <= ?2 OR waits_from > ?2)
     ORDER BY position, id LIMIT 1";

/// The next batch whose wait is over: of the lowest rank, if it can be, and then drawn.
pub fn due(connection: &Connection, run: i64, at: Timestamp) -> Stored<Option<PendingBatch>> {
    let lowest = connection
        .prepare_cached(LOWEST)?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((rank, first, last)): Option<(i64, i64, i64)> = lowest else { return Ok(None) };
    let turn = connection
        .prepare_cached("SELECT coalesce(max(attempt), 0) FROM attempt")?
        .query_row([], |row| row.get(0))?;
    let at_ms = at.as_millisecond();
    let from = drawn(run, turn, first, last);
    let mut statement = connection.prepare_cached(DRAWN)?;
    let mut rows = statement.query(params![run, at_ms, rank, from])?;
    if let Some(row) = rows.next()? {
        return batches::pending_batch(row).map(Some);
    }
    let mut statement = connection.prepare_cached(DUE)?;
    let mut rows = statement.query(params![run, at_ms])?;
    rows.next()?.map(batches::pending_batch).transpose()
}

/// When the next of the batches that wait may be asked.
pub fn waits_until(connection: &Connection, run: i64) -> Stored<Option<Timestamp>> {
    let ms = connection
        .prepare_cached("SELECT min(waits_until) FROM batch WHERE run = ?1 AND state = 'pending'")?
        .query_row([run], |row| row.get(0))?;
    optional_time(ms)
}
