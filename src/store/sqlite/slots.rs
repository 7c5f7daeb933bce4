//! Slots: what has been decided about them, and the runs that come of it.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{DecidedSlots, StoreError, Stored},
    campaign_id, campaigns, runs, time,
};
use crate::{
    campaign::CampaignID,
    plan::{Decision, Fate},
    run::RunID,
};

/// Records plans. Ten thousand slots may be due at once: a few statements, prepared once, whose values are
/// bound, not read out of JSON.
pub fn decide(connection: &Connection, plans: &[DecidedSlots], now: Timestamp) -> Stored<Vec<Option<RunID>>> {
    plans.iter().map(|plan| record(connection, plan, now)).collect()
}

/// Records a plan and makes the run that comes of it, if one does that has not been made before.
fn record(connection: &Connection, plan: &DecidedSlots, now: Timestamp) -> Stored<Option<RunID>> {
    let mut made = None;
    for (decision, new_run) in &plan.decisions {
        let is_new = insert(connection, &plan.campaign, decision, now)?;
        if is_new && decision.fate == Fate::Run {
            let no_run = || StoreError::Corrupt("a slot that runs without a run".to_owned());
            made = Some(runs::make(connection, &plan.campaign, new_run.as_ref().ok_or_else(no_run)?)?);
        }
    }
    note_progress(connection, plan)?;
    Ok(made)
}

/// Inserts a decision; tells whether its slot had none yet.
fn insert(
    connection: &Connection,
    campaign: &CampaignID,
    decision: &Decision,
    now: Timestamp,
) -> Stored<bool> {
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO occurrence
                (campaign, slot, due_at, until_at, count, decision, reason, decided_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            campaign.as_str(),
            decision.slot.as_millisecond(),
            decision.due.as_millisecond(),
            decision.until.as_millisecond(),
            decision.count,
            decision.fate.name(),
            decision.fate.reason(),
            now.as_millisecond(),
        ])?;
    Ok(inserted == 1)
}

fn note_progress(connection: &Connection, plan: &DecidedSlots) -> Stored<()> {
    let known = connection
        .prepare_cached(
            "UPDATE campaign SET decided_until = max(decided_until, ?2), queued_slot = ?3, next_occurrence = ?4
             WHERE campaign = ?1",
        )?
        .execute(params![
            plan.campaign.as_str(),
            plan.decided_until.as_millisecond(),
            plan.queued.map(Timestamp::as_millisecond),
            plan.next_occurrence.map(Timestamp::as_millisecond),
        ])?;
    if known == 1 { Ok(()) } else { Err(campaigns::unknown(&plan.campaign)) }
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
