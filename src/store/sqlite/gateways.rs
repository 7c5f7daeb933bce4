//! What a gateway must remember: the calls that its limits still count, and whether its calls may leave.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{GatewayRecord, PastCall, StoreError, Stored},
    optional_time, time,
};
use crate::{
    campaign::CampaignID,
    run::{
        breaker::{Outage, Standing},
        provider_clock::ProviderClock,
        quiet::QuietTime,
        reply::Reason,
    },
};

pub const PAST_CALLS: &str = "SELECT a.finished_at, a.recipients FROM attempt a JOIN run r ON r.id = a.run
     WHERE a.kind = 'send' AND a.gateway = ?1 AND a.finished_at > ?2 AND a.verdict <> 'withdrawn'
        AND (?3 IS NULL OR r.campaign = ?3)";

pub const UNDER_WAY: &str = "SELECT recipients FROM attempt
     WHERE kind = 'send' AND gateway = ?1 AND finished_at IS NULL";

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

pub fn stands(connection: &Connection, gateway: &str, record: &GatewayRecord) -> Stored<()> {
    let (since, until, outage) = match &record.breaker {
        Standing::Closed { since } => (*since, None, None),
        Standing::Open { outage, until } => (Some(outage.since), Some(*until), Some(outage)),
        Standing::HalfOpen { outage } => (Some(outage.since), None, Some(outage)),
    };
    let quiet = record.quiet.as_ref();
    let ms = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO gateway_state (gateway, breaker, since, until, failures, code, reason,
                quiet_since, quiet_until, quiet_code, quiet_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            gateway,
            record.breaker.name(),
            ms(since),
            ms(until),
            outage.map_or(0, |outage| outage.failures),
            outage.map(|outage| outage.why.code.as_str()),
            outage.map(|outage| outage.why.text.as_str()),
            ms(quiet.map(|quiet| quiet.since)),
            ms(quiet.map(|quiet| quiet.until)),
            quiet.map(|quiet| quiet.why.code.as_str()),
            quiet.map(|quiet| quiet.why.text.as_str()),
        ])?;
    Ok(())
}

pub const STATE: &str =
    "SELECT breaker, since, until, failures, code, reason, quiet_since, quiet_until, quiet_code,
        quiet_reason FROM gateway_state WHERE gateway = ?1";

/// A gateway of which nothing is known has always worked.
pub fn record(connection: &Connection, gateway: &str) -> Stored<GatewayRecord> {
    let mut statement = connection.prepare_cached(STATE)?;
    let mut rows = statement.query([gateway])?;
    let Some(row) = rows.next()? else { return Ok(GatewayRecord::default()) };
    let at = |column: &str| -> Stored<Option<Timestamp>> { optional_time(row.get(column)?) };
    let reason = |code: &str, text: &str| -> Stored<Reason> {
        let text: Option<String> = row.get(text)?;
        Ok(Reason::new(row.get::<_, Option<String>>(code)?.unwrap_or_default(), text.unwrap_or_default()))
    };
    let corrupt = || StoreError::Corrupt(format!("the state of gateway {gateway}"));
    let since = at("since")?;
    let outage = || -> Stored<Outage> {
        let (since, failures) = (since.ok_or_else(corrupt)?, row.get("failures")?);
        Ok(Outage { since, why: reason("code", "reason")?, failures })
    };
    let breaker = match row.get::<_, String>("breaker")?.as_str() {
        "closed" => Standing::Closed { since },
        "open" => Standing::Open { outage: outage()?, until: at("until")?.ok_or_else(corrupt)? },
        "half_open" => Standing::HalfOpen { outage: outage()? },
        _ => return Err(corrupt()),
    };
    let quiet = match (at("quiet_since")?, at("quiet_until")?) {
        (Some(since), Some(until)) => {
            Some(QuietTime { since, until, why: reason("quiet_code", "quiet_reason")? })
        }
        _ => None,
    };
    Ok(GatewayRecord { breaker, quiet })
}

pub fn clock_learnt(connection: &Connection, gateway: &str, clock: ProviderClock) -> Stored<()> {
    let ms = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO gateway_clock (gateway, \"offset\", learnt_at, ahead_until)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            gateway,
            clock.offset.as_millis() as i64,
            ms(clock.learnt_at),
            ms(clock.ahead_until)
        ])?;
    Ok(())
}

pub fn clock(connection: &Connection, gateway: &str) -> Stored<ProviderClock> {
    let mut statement = connection
        .prepare_cached("SELECT \"offset\", learnt_at, ahead_until FROM gateway_clock WHERE gateway = ?1")?;
    let mut rows = statement.query([gateway])?;
    let Some(row) = rows.next()? else { return Ok(ProviderClock::default()) };
    Ok(ProviderClock {
        offset: SignedDuration::from_millis(row.get(0)?),
        learnt_at: optional_time(row.get(1)?)?,
        ahead_until: optional_time(row.get(2)?)?,
    })
}

pub fn unhealthy(connection: &Connection, gateway: &str, at: Timestamp) -> Stored<()> {
    connection
        .prepare_cached(
            "INSERT INTO gateway_health (gateway, unhealthy_at) VALUES (?1, ?2)
             ON CONFLICT (gateway) DO UPDATE SET unhealthy_at = max(unhealthy_at, ?2)",
        )?
        .execute(params![gateway, at.as_millisecond()])?;
    Ok(())
}

/// The longest time until an inquiry is looked at again.
const LONGEST_WAIT_MS: i64 = 60_000;

/// What has been written down with a time that is still to come, by a clock that was ahead, is of now, and no quiet counts
/// from before `quiet_since`.
pub fn by_clock(
    connection: &Connection,
    gateway: &str,
    now: Timestamp,
    quiet_since: Timestamp,
) -> Stored<()> {
    let now_ms = now.as_millisecond();
    connection
        .prepare_cached(
            "UPDATE inquiry SET opened_at = min(opened_at, ?2), appeared_at = max(min(appeared_at, ?2), ?3),
                next_look_at = min(next_look_at, ?2 + ?4)
             WHERE gateway = ?1
                AND (opened_at > ?2 OR appeared_at > ?2 OR appeared_at < ?3 OR next_look_at > ?2 + ?4)",
        )?
        .execute(params![gateway, now_ms, quiet_since.as_millisecond().min(now_ms), LONGEST_WAIT_MS])?;
    connection
        .prepare_cached(
            "UPDATE gateway_health SET unhealthy_at = ?2 WHERE gateway = ?1 AND unhealthy_at > ?2",
        )?
        .execute(params![gateway, now_ms])?;
    Ok(())
}

pub fn unhealthy_at(connection: &Connection, gateway: &str) -> Stored<Option<Timestamp>> {
    let at: Option<i64> = connection
        .prepare_cached("SELECT unhealthy_at FROM gateway_health WHERE gateway = ?1")?
        .query_row([gateway], |row| row.get(0))
        .optional()?;
    optional_time(at)
}
