//! Replays: a batch in flight whose request is made again, as an attempt of its own.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{AttemptEnd, Stored},
    batches, runs, suppressions,
};
use crate::run::{Counts, RunState, settlement::UNANSWERED};

/// Ends an attempt whose answer was lost, and commits that its request is made again: gives the new attempt.
/// None, and nothing changes, when the run does not run, it is too late, or somebody must not be asked any more.
pub fn begin(connection: &Connection, end: &AttemptEnd, at: Timestamp) -> Stored<Option<i64>> {
    let batch = batches::under_way(connection, end.attempt)?;
    let (run, state, ..) = runs::standing(connection, &batch.run_name)?;
    if state != RunState::Running || runs::is_late(connection, run, at)? {
        return Ok(None);
    }
    let asked = batches::recipients_of(connection, batch.batch)?;
    if !suppressions::of(connection, &asked, at)?.is_empty() {
        return Ok(None);
    }
    let counts = Counts { unknown: batch.asked, ..Counts::default() };
    batches::end_attempt(connection, end, &counts, UNANSWERED)?;
    connection
        .prepare_cached(
            "INSERT INTO attempt (kind, run, batch, gateway, operation_id, sender, send_time, started_at,
                recipients, addressing, first, last, repeats)
             SELECT kind, run, batch, gateway, operation_id, sender, send_time, ?2,
                recipients, addressing, first, last, coalesce(repeats, attempt)
             FROM attempt WHERE attempt = ?1",
        )?
        .execute(params![end.attempt, at.as_millisecond()])?;
    let attempt = connection.last_insert_rowid();
    connection
        .prepare_cached("UPDATE batch SET attempt = ?2, attempts = attempts + 1 WHERE id = ?1")?
        .execute(params![batch.batch, attempt])?;
    Ok(Some(attempt))
}
