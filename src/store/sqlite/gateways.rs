//! What a gateway must remember: the calls that its limits still count, and whether it rests.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{GatewayRest, PastCall, Stored},
    time,
};
use crate::campaign::CampaignID;

pub const PAST_CALLS: &str = "SELECT a.finished_at, a.recipients FROM attempt a JOIN run r ON r.id = a.run
     WHERE a.kind = 'send' AND a.gateway = ?1 AND a.finished_at > ?2 AND a.verdict <> 'withdrawn'
        AND (?3 IS NULL OR r.campaign = ?3)";

pub fn past_calls(
    connection: &Connection,
    gateway: &str,
    campaign: Option<&CampaignID>,
    since: Timestamp,
) -> Stored<Vec<PastCall>> {
    let mut statement = connection.prepare_cached(PAST_CALLS)?;
    let mut rows =
        statement.query(params![gateway, since.as_millisecond(), campaign.map(CampaignID::as_str)])?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        calls.push(PastCall { ended_at: time(row.get(0)?)?, recipients: row.get(1)? });
    }
    Ok(calls)
}

pub fn gateway_rests(connection: &Connection, gateway: &str, rest: Option<&GatewayRest>) -> Stored<()> {
    match rest {
        None => {
            connection.execute("DELETE FROM gateway_rest WHERE gateway = ?1", [gateway])?;
        }
        Some(rest) => {
            let sql = "INSERT INTO gateway_rest (gateway, since, until, code, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (gateway) DO UPDATE SET until = max(since, ?3), code = ?4, reason = ?5";
            connection.execute(
                sql,
                params![
                    gateway,
                    rest.since.as_millisecond(),
                    rest.until.as_millisecond(),
                    rest.reason.code,
                    rest.reason.text,
                ],
            )?;
        }
    }
    Ok(())
}
