//! What people have had of earlier runs, for caps: accepted or unknown, and what is in flight to them now.
//! Test sends do not count.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::{super::Stored, json, people, suppressions::recipient};
use crate::{
    campaign::{Caps, RecipientID, duration},
    run::{RunID, reply::Reason},
};

/// The codes of those who are excluded for what they have had.
const CAP: &str = "cap";
const NOT_AGAIN: &str = "notAgainWithin";

/// Messages of some runs that count against one person.
struct Rule {
    runs: Vec<i64>,
    /// Unix milliseconds.
    since_ms: i64,
    /// So many are enough to be left alone.
    enough: u64,
    reason: Reason,
}

/// Whose runs count.
enum Whose<'a> {
    /// Those of this campaign.
    Campaign(&'a str),
    /// Those of campaigns with these labels, a JSON object.
    Labels(&'a str),
}

/// Runs that go on, and those that were over since: each kind is a range of an index, also beside years of old runs.
pub const RUNS_OF_CAMPAIGN: &str = "SELECT r.id FROM run r
     WHERE r.trigger <> 'test' AND r.run <> ?1 AND r.started_at IS NOT NULL
        AND r.id IN (SELECT id FROM run WHERE campaign = ?3 AND finished_at IS NULL
            UNION ALL SELECT id FROM run WHERE campaign = ?3 AND finished_at > ?2)";

pub const RUNS_OF_LABELS: &str = "SELECT r.id FROM run r JOIN revision v ON v.revision = r.revision
     WHERE r.trigger <> 'test' AND r.run <> ?1 AND r.started_at IS NOT NULL
        AND (r.finished_at IS NULL OR r.finished_at > ?2)
        AND (SELECT count(*) FROM json_each(?3) w JOIN json_each(v.labels) l ON l.key = w.key AND l.value = w.value)
            = (SELECT count(*) FROM json_each(?3))";

impl Rule {
    fn new(
        connection: &Connection,
        run: &str,
        whose: &Whose<'_>,
        within: SignedDuration,
        now: Timestamp,
        enough: u64,
        reason: Reason,
    ) -> Stored<Rule> {
        let since_ms = now.as_millisecond() - i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
        let (sql, whose) = match whose {
            Whose::Campaign(campaign) => (RUNS_OF_CAMPAIGN, campaign),
            Whose::Labels(labels) => (RUNS_OF_LABELS, labels),
        };
        let mut statement = connection.prepare_cached(sql)?;
        let runs = statement.query_map(params![run, since_ms, whose], |row| row.get(0))?;
        Ok(Rule { runs: runs.collect::<Result<_, _>>()?, since_ms, enough, reason })
    }

    /// Counts what each person of a range has had.
    fn count_had(
        &self,
        connection: &Connection,
        (first, last): (&str, &str),
        counts: &mut HashMap<String, u64>,
    ) -> Stored<()> {
        let mut had = connection.prepare_cached(HAD)?;
        for run in &self.runs {
            let mut rows = had.query(params![run, first, last, self.since_ms])?;
            while let Some(row) = rows.next()? {
                *counts.entry(row.get(0)?).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Counts what is in flight to each person of a range.
    fn count_in_flight(
        &self,
        connection: &Connection,
        (first, last): (&str, &str),
        counts: &mut HashMap<String, u64>,
    ) -> Stored<()> {
        let mut asked = connection.prepare_cached(IN_FLIGHT)?;
        for run in &self.runs {
            let mut rows = asked.query(params![run, first, last])?;
            while let Some(row) = rows.next()? {
                *counts.entry(row.get(0)?).or_default() += 1;
            }
        }
        Ok(())
    }
}

pub const HAD: &str = "SELECT recipient FROM delivery
     WHERE run = ?1 AND recipient BETWEEN ?2 AND ?3 AND outcome IN ('accepted', 'unknown') AND updated_at > ?4";

pub const IN_FLIGHT: &str = "SELECT e.value FROM batch b, json_each(b.recipients) e
     WHERE b.run = ?1 AND b.state = 'in_flight' AND e.value BETWEEN ?2 AND ?3";

/// The rules of a run of this campaign.
fn rules(
    connection: &Connection,
    run: &str,
    campaign: &str,
    caps: &Caps,
    now: Timestamp,
) -> Stored<Vec<Rule>> {
    let mut rules = Vec::new();
    if let Some(within) = caps.not_again_within {
        let reason =
            Reason::new(NOT_AGAIN, format!("had this campaign within {}", duration::display(within)));
        rules.push(Rule::new(connection, run, &Whose::Campaign(campaign), within, now, 1, reason)?);
    }
    if let Some(cap) = &caps.cap {
        let rate = cap.per_recipient;
        let within = rate.unit.window();
        let reason = Reason::new(CAP, format!("has had as many messages as the cap allows ({rate})"));
        let labels = json(&cap.across)?;
        rules.push(Rule::new(connection, run, &Whose::Labels(&labels), within, now, rate.count, reason)?);
    }
    Ok(rules)
}

/// Who of all ids from `first` to `last` has had enough, in their order, with the reason.
pub fn between(
    connection: &Connection,
    run: &str,
    campaign: &str,
    caps: &Caps,
    (first, last): (&RecipientID, &RecipientID),
    now: Timestamp,
) -> Stored<Vec<(RecipientID, Reason)>> {
    let mut found: HashMap<String, Reason> = HashMap::new();
    for rule in rules(connection, run, campaign, caps, now)? {
        let mut counts = HashMap::new();
        let range = (first.as_str(), last.as_str());
        rule.count_had(connection, range, &mut counts)?;
        rule.count_in_flight(connection, range, &mut counts)?;
        for (recipient, _) in counts.into_iter().filter(|(_, count)| *count >= rule.enough) {
            found.entry(recipient).or_insert_with(|| rule.reason.clone());
        }
    }
    let mut found: Vec<(RecipientID, Reason)> =
        found.into_iter().map(|(id, reason)| Ok((recipient(id)?, reason))).collect::<Stored<_>>()?;
    found.sort();
    Ok(found)
}

/// The same for a run of the ledger.
pub fn of_run(
    connection: &Connection,
    run: &RunID,
    caps: &Caps,
    range: (&RecipientID, &RecipientID),
    now: Timestamp,
) -> Stored<Vec<(RecipientID, Reason)>> {
    if caps.is_empty() {
        return Ok(Vec::new());
    }
    let campaign = people::campaign_of(connection, run)?;
    between(connection, run.as_str(), &campaign, caps, range, now)
}

/// Whether a run that counts may have written to anybody since the run was due, when its audience was
/// judged at the earliest.
pub const ACTIVE_SINCE: &str = "SELECT EXISTS (SELECT 1 FROM run r JOIN run this ON this.id = ?1
     WHERE r.id <> this.id AND r.started_at IS NOT NULL
        AND (r.finished_at IS NULL OR r.finished_at >= this.due_at))";

/// Who of the recipients of a batch has had enough meanwhile.
pub fn of(
    connection: &Connection,
    run: i64,
    recipients: &[RecipientID],
    caps: &Caps,
    now: Timestamp,
) -> Stored<Vec<(RecipientID, Reason)>> {
    let mut found = Vec::new();
    let active =
        |run: i64| connection.prepare_cached(ACTIVE_SINCE)?.query_row([run], |row| row.get::<_, bool>(0));
    if caps.is_empty() || !active(run)? {
        return Ok(found);
    }
    let (name, campaign): (String, String) = connection
        .prepare_cached("SELECT run, campaign FROM run WHERE id = ?1")?
        .query_row([run], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for rule in rules(connection, &name, &campaign, caps, now)? {
        let mut counts = HashMap::new();
        if let (Some(first), Some(last)) = (recipients.iter().min(), recipients.iter().max()) {
            rule.count_in_flight(connection, (first.as_str(), last.as_str()), &mut counts)?;
        }
        for recipient in recipients {
            let id = recipient.as_str();
            rule.count_had(connection, (id, id), &mut counts)?;
            let is_known = found.iter().any(|(known, _)| known == recipient);
            if !is_known && counts.get(id).is_some_and(|count| *count >= rule.enough) {
                found.push((recipient.clone(), rule.reason.clone()));
            }
        }
    }
    Ok(found)
}
