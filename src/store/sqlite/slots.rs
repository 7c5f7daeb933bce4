//! Slots: what has been decided about them, and the runs that come of it.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{DecidedSlots, StoreError, Stored},
    campaign_id, campaigns, json, runs, time,
};
use crate::{
    campaign::CampaignID,
    plan::Fate,
    run::{RunID, Trigger},
};

/// A decision, as JSON: its columns by name.
#[derive(serde::Serialize)]
struct DecisionRow<'a> {
    campaign: &'a str,
    slot: i64,
    due_at: i64,
    until_at: i64,
    count: u64,
    decision: &'a str,
    reason: Option<&'a str>,
}

/// How far a campaign is decided, as JSON: its columns by name.
#[derive(serde::Serialize)]
struct Progress<'a> {
    campaign: &'a str,
    decided_until: i64,
    queued_slot: Option<i64>,
    next_occurrence: Option<i64>,
}

/// Records plans by three statements, however many there are: a thousand slots may be due at once.
pub fn decide(connection: &Connection, plans: &[DecidedSlots], now: Timestamp) -> Stored<Vec<Option<RunID>>> {
    let new = insert(connection, plans, now)?;
    let mut made: Vec<Option<RunID>> = Vec::with_capacity(plans.len());
    let mut runs = Vec::new();
    for plan in plans {
        let mut run_of_plan = None;
        for (decision, new_run) in &plan.decisions {
            let is_new = new.contains(&(plan.campaign.as_str().to_owned(), decision.slot.as_millisecond()));
            if is_new && decision.fate == Fate::Run {
                let no_run = || StoreError::Corrupt("a slot that runs without a run".to_owned());
                let new_run = new_run.as_ref().ok_or_else(no_run)?;
                let run = RunID::new(&plan.campaign, new_run.slot, Trigger::Schedule, 0);
                runs.push((&plan.campaign, run.clone(), new_run));
                run_of_plan = Some(run);
            }
        }
        made.push(run_of_plan);
    }
    let runs: Vec<_> = runs.iter().map(|(campaign, run, new)| (*campaign, run, *new)).collect();
    runs::make_all(connection, &runs)?;
    note_progress(connection, plans)?;
    Ok(made)
}

/// Inserts the decisions on slots that have none yet; gives those by campaign and slot.
fn insert(connection: &Connection, plans: &[DecidedSlots], now: Timestamp) -> Stored<HashSet<(String, i64)>> {
    let rows: Vec<_> = plans
        .iter()
        .flat_map(|plan| plan.decisions.iter().map(|(decision, _)| (&plan.campaign, decision)))
        .map(|(campaign, decision)| DecisionRow {
            campaign: campaign.as_str(),
            slot: decision.slot.as_millisecond(),
            due_at: decision.due.as_millisecond(),
            until_at: decision.until.as_millisecond(),
            count: decision.count,
            decision: decision.fate.name(),
            reason: decision.fate.reason(),
        })
        .collect();
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO occurrence
            (campaign, slot, due_at, until_at, count, decision, reason, decided_at)
         SELECT value ->> 'campaign', value ->> 'slot', value ->> 'due_at', value ->> 'until_at',
            value ->> 'count', value ->> 'decision', value ->> 'reason', ?2
         FROM json_each(?1) WHERE 1
         RETURNING campaign, slot",
    )?;
    let new = statement
        .query_map(params![json(&rows)?, now.as_millisecond()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(new.collect::<Result<_, _>>()?)
}

fn note_progress(connection: &Connection, plans: &[DecidedSlots]) -> Stored<()> {
    let rows: Vec<_> = plans
        .iter()
        .map(|plan| Progress {
            campaign: plan.campaign.as_str(),
            decided_until: plan.decided_until.as_millisecond(),
            queued_slot: plan.queued.map(Timestamp::as_millisecond),
            next_occurrence: plan.next_occurrence.map(Timestamp::as_millisecond),
        })
        .collect();
    let known = connection
        .prepare_cached(
            "UPDATE campaign SET decided_until = max(decided_until, p.value ->> 'decided_until'),
                queued_slot = p.value ->> 'queued_slot', next_occurrence = p.value ->> 'next_occurrence'
             FROM json_each(?1) p WHERE campaign = p.value ->> 'campaign'",
        )?
        .execute([json(&rows)?])?;
    match known == plans.len() {
        true => Ok(()),
        false => Err(campaigns::unknown_among(connection, plans.iter().map(|plan| &plan.campaign))?),
    }
}

/// Takes back what was decided of slots that are still to come, but for runs: a slot that has one keeps it.
pub fn reopen(connection: &Connection, now: Timestamp) -> Stored<Vec<CampaignID>> {
    let now = now.as_millisecond();
    let mut ahead = connection.prepare(
        "SELECT campaign FROM campaign WHERE decided_until > ?1 OR counts_from > ?1 ORDER BY campaign",
    )?;
    let names: Vec<String> = ahead.query_map([now], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in &names {
        // A row of slots that reaches past now is decided anew from its first slot on.
        connection.execute(
            "UPDATE campaign SET counts_from = min(counts_from, ?2),
                decided_until = min(decided_until, ?2, coalesce((SELECT min(slot) - 1 FROM occurrence
                    WHERE campaign = ?1 AND decision <> 'run' AND until_at > ?2), ?2))
             WHERE campaign = ?1",
            params![name, now],
        )?;
        connection.execute(
            "DELETE FROM occurrence WHERE campaign = ?1 AND decision <> 'run' AND until_at > ?2
                AND NOT EXISTS (SELECT 1 FROM run r
                    WHERE r.campaign = ?1 AND r.slot = occurrence.slot AND r.trigger = 'schedule')",
            params![name, now],
        )?;
    }
    names.iter().map(|name| campaign_id(name)).collect()
}

/// Slots that are decided beyond those up to which all are.
pub fn ahead(connection: &Connection) -> Stored<Vec<(CampaignID, Timestamp)>> {
    let mut statement = connection.prepare(
        "SELECT o.campaign, o.slot FROM campaign c
         CROSS JOIN occurrence o ON o.campaign = c.campaign AND o.slot > c.decided_until
         ORDER BY o.campaign, o.slot",
    )?;
    let mut rows = statement.query([])?;
    let mut slots = Vec::new();
    while let Some(row) = rows.next()? {
        slots.push((campaign_id(&row.get::<_, String>(0)?)?, time(row.get(1)?)?));
    }
    Ok(slots)
}
