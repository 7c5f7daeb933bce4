//! The accounting, counted again from the rows: what contract and counters say must be what is there.

use rusqlite::Connection;

use super::super::{Discrepancy, Stored};

/// What is counted for each run, and the column it must equal.
const COUNTS: &[(&str, &str, &str)] = &[
    ("accepted", "accepted", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'accepted'"),
    ("refused", "refused", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'refused'"),
    ("failed", "failed", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'failed'"),
    ("unknown", "unknown", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'unknown'"),
    ("excluded", "excluded", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'excluded'"),
    ("expired", "expired", "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'expired'"),
    (
        "cancelled",
        "cancelled",
        "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.outcome = 'cancelled'",
    ),
    (
        "pending",
        "pending",
        "SELECT coalesce(sum(json_array_length(b.recipients)), 0) FROM batch b
         WHERE b.run = r.id AND b.state = 'pending'",
    ),
    (
        "in flight",
        "in_flight",
        "SELECT coalesce(sum(json_array_length(b.recipients)), 0) FROM batch b
         WHERE b.run = r.id AND b.state = 'in_flight'",
    ),
    (
        "audience",
        "audience",
        "SELECT (SELECT count(*) FROM delivery d WHERE d.run = r.id)
            + (SELECT coalesce(sum(b.count), 0) FROM batch b WHERE b.run = r.id)",
    ),
    (
        "waiting although decided",
        "0",
        "SELECT count(*) FROM batch b, json_each(b.recipients) e
         WHERE b.run = r.id AND EXISTS
            (SELECT 1 FROM delivery d WHERE d.run = b.run AND d.recipient = e.value)",
    ),
    (
        "sought by no inquiry",
        "0",
        "SELECT count(*) FROM delivery d WHERE d.run = r.id AND d.sought_by IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM inquiry i WHERE i.inquiry = d.sought_by AND i.run = d.run
                AND d.recipient BETWEEN i.first AND i.last)",
    ),
    (
        "waiting twice",
        "0",
        "SELECT count(*) - count(DISTINCT e.value) FROM batch b, json_each(b.recipients) e WHERE b.run = r.id",
    ),
    (
        // What was read afterwards only moves recipients between these three, and whoever was asked again
        // stands in several attempts.
        "told by no attempt",
        "0",
        "SELECT max(0, r.accepted + r.unknown + r.refused - coalesce(sum(a.accepted + a.refused + a.unknown), 0))
         FROM attempt a WHERE a.run = r.id AND a.kind = 'send' AND a.probe IS NULL",
    ),
];

pub fn verify(connection: &Connection) -> Stored<Vec<Discrepancy>> {
    let mut discrepancies = Vec::new();
    for (what, column, sql) in COUNTS {
        let mut statement = connection.prepare(&format!(
            "SELECT run, counted, recorded FROM (SELECT r.run, ({sql}) AS counted, ({column}) AS recorded
                FROM run r ORDER BY r.id) WHERE counted <> recorded"
        ))?;
        let rows = statement.query_map([], |row| {
            Ok(Discrepancy {
                run: row.get(0)?,
                what: what.to_string(),
                counted: row.get(1)?,
                recorded: row.get(2)?,
            })
        })?;
        discrepancies.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(discrepancies)
}
