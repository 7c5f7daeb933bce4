//! The ledger checked by itself: the accounting counted again from the rows, and what one table says of
//! another.

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

/// What is looked for beyond the counters: rows of a name and a number, where anything is wrong at all.
const TIES: &[(&str, &str)] = &[
    (
        "a slot that runs, without its run",
        "SELECT o.campaign || '@' || strftime('%Y%m%dT%H%M%SZ', o.slot / 1000.0, 'unixepoch'), 1 FROM occurrence o
         WHERE o.decision = 'run' AND NOT EXISTS (SELECT 1 FROM run r
            WHERE r.campaign = o.campaign AND r.slot = o.slot AND r.trigger = 'schedule')",
    ),
    (
        "a scheduled run without its slot",
        "SELECT r.run, 1 FROM run r WHERE r.trigger = 'schedule' AND NOT EXISTS
            (SELECT 1 FROM occurrence o WHERE o.campaign = r.campaign AND o.slot = r.slot)",
    ),
    (
        "slots decided twice",
        "SELECT campaign || '@' || strftime('%Y%m%dT%H%M%SZ', slot / 1000.0, 'unixepoch'), 2
         FROM (SELECT campaign, slot, lag(until_at) OVER (PARTITION BY campaign ORDER BY slot) AS before
            FROM occurrence) WHERE before >= slot",
    ),
    (
        "batches that do not say whom they hold",
        "SELECT r.run, count(*) FROM batch b JOIN run r ON r.id = b.run
         WHERE b.count <> json_array_length(b.recipients) OR b.first <> b.recipients ->> 0
            OR b.last <> b.recipients ->> '$[#-1]' GROUP BY b.run",
    ),
    (
        "batches in flight without a request under way",
        "SELECT r.run, count(*) FROM batch b JOIN run r ON r.id = b.run
         WHERE b.state = 'in_flight' AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.attempt = b.attempt
            AND a.run = b.run AND a.batch = b.number AND a.kind = 'send' AND a.finished_at IS NULL)
         GROUP BY b.run",
    ),
    (
        "requests under way without a batch in flight",
        "SELECT r.run, count(*) FROM attempt a JOIN run r ON r.id = a.run
         WHERE a.kind = 'send' AND a.finished_at IS NULL AND a.probe IS NULL AND NOT EXISTS
            (SELECT 1 FROM batch b WHERE b.attempt = a.attempt AND b.state = 'in_flight') GROUP BY a.run",
    ),
    (
        "requests that share an operation id",
        // A provider that goes by it is told the same one whenever the same batch is asked.
        "SELECT min(r.run), count(*) FROM attempt a JOIN run r ON r.id = a.run GROUP BY a.operation_id
         HAVING count(DISTINCT a.run || ' ' || a.kind || ' ' || a.batch || ' ' || a.recipients) > 1",
    ),
    (
        "messages of one sender that share a send time",
        "SELECT min(r.run), count(*) FROM attempt a JOIN run r ON r.id = a.run
         WHERE a.kind = 'send' AND a.send_time IS NOT NULL
         GROUP BY a.gateway, a.sender, a.send_time HAVING count(*) > 1",
    ),
    (
        "deliveries of no run",
        "SELECT '', count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM run r WHERE r.id = d.run)
         HAVING count(*) > 0",
    ),
    ("rows that name a row that is not there", "SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1"),
    ("pages of the file that are not whole", "SELECT quick_check, 1 FROM pragma_quick_check WHERE quick_check <> 'ok'"),
];

pub fn verify(connection: &Connection) -> Stored<Vec<Discrepancy>> {
    let mut discrepancies = Vec::new();
    for (what, sql) in TIES {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Discrepancy { run: row.get(0)?, what: what.to_string(), counted: row.get(1)?, recorded: 0 })
        })?;
        discrepancies.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
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
