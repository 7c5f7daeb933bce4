//! A crowd of slots that are due at one instant: decided ahead of it, and taken back where it does not come as
//! it was seen.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{DecidedSlots, Stored},
    runs, slots,
};
use crate::run::RunID;

/// Records plans ahead of the instant at which the runs that come of them are due.
pub fn decide(
    connection: &Connection,
    due: Timestamp,
    plans: &[DecidedSlots],
    now: Timestamp,
) -> Stored<Vec<Option<RunID>>> {
    connection.prepare_cached("UPDATE ledger SET crowd_due_at = ?1")?.execute([due.as_millisecond()])?;
    slots::decide(connection, plans, now)
}

/// The instant has come: from now on these runs are like any others.
pub fn begin(connection: &Connection, due: Timestamp) -> Stored<()> {
    connection
        .execute("UPDATE ledger SET crowd_due_at = NULL WHERE crowd_due_at = ?1", [due.as_millisecond()])?;
    Ok(())
}

/// Takes back the runs of an instant that has not come. One that a person has cancelled meanwhile stays.
pub fn disperse(connection: &Connection, due: Option<Timestamp>) -> Stored<u64> {
    // A run of the same instant that was not decided ahead is an older one: the clock has been set back.
    let mut waiting = connection.prepare(
        "SELECT r.id, r.run, r.campaign, r.slot FROM ledger l
         JOIN run r ON r.due_at = l.crowd_due_at AND r.trigger = 'schedule' AND r.state = 'pending'
            AND r.state IN ('pending', 'running', 'paused', 'ending')
         JOIN occurrence o ON o.campaign = r.campaign AND o.slot = r.slot AND o.decided_at < o.due_at
         WHERE l.crowd_due_at = coalesce(?1, l.crowd_due_at) ORDER BY r.id",
    )?;
    let due_ms = due.map(Timestamp::as_millisecond);
    let waiting: Vec<(i64, String, String, i64)> = waiting
        .query_map([due_ms], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (id, run, campaign, slot) in &waiting {
        runs::unopen(connection, &RunID::from_text(run.clone()))?;
        connection.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([id])?;
        connection
            .prepare_cached("DELETE FROM occurrence WHERE campaign = ?1 AND slot = ?2")?
            .execute(params![campaign, slot])?;
        connection
            .prepare_cached(
                "UPDATE campaign SET decided_until = min(decided_until, ?2 - 1), next_occurrence = ?2
                 WHERE campaign = ?1",
            )?
            .execute(params![campaign, slot])?;
    }
    connection.execute(
        "UPDATE ledger SET crowd_due_at = NULL WHERE crowd_due_at = coalesce(?1, crowd_due_at)",
        [due_ms],
    )?;
    Ok(waiting.len() as u64)
}
