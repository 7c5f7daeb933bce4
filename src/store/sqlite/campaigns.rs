//! Campaigns, their revisions, and what is wrong in the folder.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row, Rows, params};

use super::{
    super::{Act, CampaignMark, CampaignRecord, NewRevision, ProblemRecord, StoreError, Stored},
    campaign_id, json, optional_time, people, time,
};
use crate::campaign::CampaignID;

/// A campaign with its revision in force.
const KNOWN: &str =
    "SELECT c.campaign, c.revision, c.path, v.sha256, v.yaml, c.state, c.rejected, c.gone_since,
        coalesce(c.paused_reason, (SELECT paused_reason FROM ledger)) AS paused, c.decided_until,
        c.in_force_since, c.held_since, c.removal_allowed, c.queued_slot, c.counts_from
     FROM campaign c JOIN revision v ON v.revision = c.revision";

pub fn all(connection: &Connection) -> Stored<Vec<CampaignRecord>> {
    let mut statement = connection.prepare_cached(&format!("{KNOWN} ORDER BY c.campaign"))?;
    let mut rows = statement.query([])?;
    read(&mut rows)
}

pub fn named(connection: &Connection, names: &[CampaignID]) -> Stored<Vec<CampaignRecord>> {
    let names: Vec<&str> = names.iter().map(CampaignID::as_str).collect();
    let mut statement = connection
        .prepare_cached(&format!("{KNOWN} WHERE c.campaign IN (SELECT value FROM json_each(?1))"))?;
    let mut rows = statement.query([json(&names)?])?;
    read(&mut rows)
}

fn read(rows: &mut Rows<'_>) -> Stored<Vec<CampaignRecord>> {
    let mut campaigns = Vec::new();
    while let Some(row) = rows.next()? {
        campaigns.push(record(row)?);
    }
    Ok(campaigns)
}

fn record(row: &Row<'_>) -> Stored<CampaignRecord> {
    // By place: looking for names in thousands of rows takes as long as reading them.
    let state: String = row.get(5)?;
    Ok(CampaignRecord {
        id: campaign_id(&row.get::<_, String>(0)?)?,
        revision: row.get(1)?,
        path: row.get(2)?,
        sha256: row.get(3)?,
        yaml: row.get(4)?,
        enabled: state == "active",
        removed: state == "removed",
        rejected: row.get(6)?,
        gone_since: optional_time(row.get(7)?)?,
        paused: row.get(8)?,
        decided_until: time(row.get(9)?)?,
        in_force_since: time(row.get(10)?)?,
        held_since: optional_time(row.get(11)?)?,
        removal_allowed: row.get(12)?,
        queued: optional_time(row.get(13)?)?,
        counts_from: time(row.get(14)?)?,
    })
}

pub fn apply(connection: &Connection, new: &NewRevision) -> Stored<i64> {
    connection
        .prepare_cached(
            "INSERT INTO revision (campaign, path, sha256, commit_id, dirty, applied_at, labels, yaml)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            new.campaign.as_str(),
            new.path,
            new.sha256,
            new.commit_id,
            new.dirty,
            new.applied_at.as_millisecond(),
            new.labels,
            new.yaml,
        ])?;
    let revision = connection.last_insert_rowid();
    let state = if new.enabled { "active" } else { "disabled" };
    // A new revision counts from the moment it is applied: the slots before it were the old one's.
    connection
        .prepare_cached(
            "INSERT INTO campaign
                (campaign, state, revision, path, gateway, decided_until, counts_from, in_force_since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
             ON CONFLICT (campaign) DO UPDATE SET state = ?2, revision = ?3, path = ?4, gateway = ?5,
                decided_until = max(decided_until, ?6), counts_from = ?7, rejected = 0, removal_held = 0,
                held_since = NULL, removal_allowed = 0, gone_since = NULL, next_occurrence = NULL,
                in_force_since = CASE state WHEN 'removed' THEN ?7 ELSE in_force_since END",
        )?
        .execute(params![
            new.campaign.as_str(),
            state,
            revision,
            new.path,
            new.gateway,
            new.decided_until.as_millisecond(),
            new.applied_at.as_millisecond(),
        ])?;
    Ok(revision)
}

pub fn mark(connection: &Connection, campaign: &CampaignID, mark: &CampaignMark) -> Stored<()> {
    let id = campaign.as_str();
    let changed = match mark {
        CampaignMark::Moved { path } => {
            connection.execute("UPDATE campaign SET path = ?2 WHERE campaign = ?1", params![id, path])?
        }
        CampaignMark::Rejected => {
            connection.execute("UPDATE campaign SET rejected = 1 WHERE campaign = ?1", [id])?
        }
        CampaignMark::Accepted => {
            connection.execute("UPDATE campaign SET rejected = 0 WHERE campaign = ?1", [id])?
        }
        CampaignMark::Gone { since } => connection.execute(
            "UPDATE campaign SET gone_since = ?2, removal_held = 0, held_since = NULL WHERE campaign = ?1",
            params![id, since.as_millisecond()],
        )?,
        CampaignMark::Held { since } => connection.execute(
            "UPDATE campaign SET gone_since = NULL, removal_held = 1, held_since = ?2 WHERE campaign = ?1",
            params![id, since.as_millisecond()],
        )?,
        CampaignMark::Back => connection.execute(
            "UPDATE campaign SET gone_since = NULL, removal_held = 0, held_since = NULL, removal_allowed = 0
             WHERE campaign = ?1",
            [id],
        )?,
        CampaignMark::Removed => connection.execute(
            "UPDATE campaign SET state = 'removed', rejected = 0, removal_held = 0, held_since = NULL,
                removal_allowed = 0, gone_since = NULL, next_occurrence = NULL
             WHERE campaign = ?1",
            [id],
        )?,
    };
    match changed {
        1 => Ok(()),
        _ => Err(StoreError::NotFound { what: "campaign", name: id.to_owned() }),
    }
}

/// The error for a change of a campaign that is not known.
pub fn unknown(campaign: &CampaignID) -> StoreError {
    StoreError::NotFound { what: "campaign", name: campaign.to_string() }
}

pub fn removals_allow(connection: &Connection, act: &Act) -> Stored<Vec<CampaignID>> {
    let mut statement = connection.prepare(
        "UPDATE campaign SET removal_allowed = 1 WHERE removal_held AND NOT removal_allowed RETURNING campaign",
    )?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut campaigns: Vec<CampaignID> = names.iter().map(|name| campaign_id(name)).collect::<Stored<_>>()?;
    campaigns.sort();
    for campaign in &campaigns {
        people::record(connection, act, "apply --removals", campaign.as_str())?;
    }
    Ok(campaigns)
}

pub fn problems_replace(connection: &Connection, problems: &[ProblemRecord], now: Timestamp) -> Stored<()> {
    // All at once: there may be thousands, and they have no key.
    let mut known: HashMap<(String, String, String, u32), i64> = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT path, code, message, line, since FROM problem")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let since: i64 = row.get(4)?;
        let earliest = known.entry((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)).or_insert(since);
        *earliest = since.min(*earliest);
    }
    let since = problems.iter().map(|problem| {
        let key = (problem.path.clone(), problem.code.clone(), problem.message.clone(), problem.line);
        known.get(&key).copied().unwrap_or(now.as_millisecond())
    });
    connection.execute("DELETE FROM problem", [])?;
    let mut insert = connection.prepare_cached(
        r#"INSERT INTO problem (path, campaign, severity, line, "column", code, message, since)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"#,
    )?;
    for (problem, since) in problems.iter().zip(since) {
        let severity = match problem.severity {
            crate::document::Severity::Error => "error",
            crate::document::Severity::Warning => "warning",
        };
        insert.execute(params![
            problem.path,
            problem.campaign,
            severity,
            problem.line,
            problem.column,
            problem.code,
            problem.message,
            since,
        ])?;
    }
    Ok(())
}
