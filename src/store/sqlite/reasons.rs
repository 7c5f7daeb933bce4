//! Why recipients of a run were not accepted.

use rusqlite::{Connection, params};

use super::{
    super::{CountedReason, Stored},
    runs,
};
use crate::run::{Counts, RunID, reply::Reason};

/// Whoever was never asked shares one reason with all the others: ten million need not be read to tell it.
macro_rules! stopped {
    () => {
        "UNION ALL
     SELECT d.outcome, coalesce(d.reason_code, ''), coalesce(d.reason, ''),
        CASE d.outcome WHEN 'cancelled' THEN r.cancelled ELSE r.expired END
     FROM run r
     CROSS JOIN (SELECT 'cancelled' AS outcome UNION ALL SELECT 'expired') stopped
     CROSS JOIN delivery d ON (d.run, d.recipient) = (SELECT one.run, one.recipient FROM delivery one
            WHERE one.run = r.id AND one.outcome <> 'accepted' AND one.outcome = stopped.outcome LIMIT 1)
     WHERE r.run = ?1
     ORDER BY recipients DESC, outcome, reason_code LIMIT ?2"
    };
}

pub const OF_RUN: &str = concat!(
    "SELECT d.outcome AS outcome, coalesce(d.reason_code, '') AS reason_code,
        coalesce(min(d.reason), '') AS reason, count(*) AS recipients
     FROM run r CROSS JOIN delivery d ON d.run = r.id AND d.outcome <> 'accepted'
        AND d.outcome IN ('refused', 'failed', 'unknown', 'excluded')
     WHERE r.run = ?1
     GROUP BY d.outcome, d.reason_code ",
    stopped!()
);

/// The first recipients of a run with an outcome.
macro_rules! first {
    ($outcome:literal) => {
        concat!(
            "SELECT * FROM (SELECT d.outcome, d.reason_code, d.reason
                FROM run r CROSS JOIN delivery d ON d.run = r.id AND d.outcome <> 'accepted' AND d.outcome = '",
            $outcome,
            "' WHERE r.run = ?1 LIMIT ?3)"
        )
    };
}

/// The same of the first so many of each outcome.
pub const OF_FIRST: &str = concat!(
    "SELECT outcome, coalesce(reason_code, '') AS reason_code, coalesce(min(reason), '') AS reason,
        count(*) AS recipients
     FROM (",
    first!("refused"),
    " UNION ALL ",
    first!("failed"),
    " UNION ALL ",
    first!("unknown"),
    " UNION ALL ",
    first!("excluded"),
    ") GROUP BY outcome, reason_code ",
    stopped!()
);

/// So many of an outcome are read for their reasons while a person waits; of more, the first stand for all.
pub const MOST_READ: u32 = 100_000;

/// More deliveries than this are not read for their reasons while others wait for the ledger.
const DELIVERIES_A_REPORT: u64 = 100_000;

pub fn of_run(connection: &Connection, run: &RunID, most: u32) -> Stored<Vec<CountedReason>> {
    let counts = runs::one(connection, run)?.counts;
    let Counts { refused, failed, unknown, excluded, .. } = counts;
    if refused + failed + unknown + excluded > DELIVERIES_A_REPORT {
        return Ok(outcomes_alone(&counts, most));
    }
    let mut statement = connection.prepare_cached(OF_RUN)?;
    let rows = statement.query_map(params![run.as_str(), most], |row| {
        Ok(CountedReason {
            outcome: row.get(0)?,
            reason: Reason { code: row.get(1)?, text: row.get(2)? },
            recipients: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many had each outcome, with the outcome in place of the reason.
fn outcomes_alone(counts: &Counts, most: u32) -> Vec<CountedReason> {
    let Counts { refused, failed, unknown, excluded, expired, cancelled, .. } = *counts;
    let mut counted = vec![
        ("refused", refused),
        ("failed", failed),
        ("unknown", unknown),
        ("excluded", excluded),
        ("expired", expired),
        ("cancelled", cancelled),
    ];
    counted.retain(|(_, recipients)| *recipients > 0);
    counted.sort_by_key(|(_, recipients)| std::cmp::Reverse(*recipients));
    counted.truncate(most as usize);
    let reason = |outcome: &str| Reason { code: outcome.to_owned(), text: String::new() };
    counted
        .into_iter()
        .map(|(outcome, recipients)| CountedReason {
            outcome: outcome.to_owned(),
            reason: reason(outcome),
            recipients,
        })
        .collect()
}
