//! Suppressions: people who must never be written to, whatever a campaign says.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::super::{Act, StoreError, Stored, Suppression};
use crate::{campaign::RecipientID, run::reply::Reason};

/// The code of whoever is excluded because of a suppression.
pub const SUPPRESSED: &str = "suppressed";

/// Adds suppressions; one that is there already gets the new reason and expiry. Gives how many were not
/// in force before.
pub fn add(connection: &Connection, suppressions: &[Suppression], act: &Act) -> Stored<u64> {
    let mut is_in_force = connection.prepare_cached(IN_FORCE)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO suppression (recipient, reason, who, added_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (recipient) DO UPDATE
            SET reason = ?2, who = ?3, added_at = ?4, expires_at = ?5",
    )?;
    let at_ms = act.at.as_millisecond();
    let mut added = 0;
    for suppression in suppressions {
        let recipient = suppression.recipient.as_str();
        added += u64::from(!is_in_force.exists(params![recipient, at_ms])?);
        insert.execute(params![
            recipient,
            suppression.reason,
            act.who,
            at_ms,
            suppression.expires_at.map(Timestamp::as_millisecond),
        ])?;
    }
    Ok(added)
}

/// Lifts suppressions. Gives how many there were.
pub fn remove(connection: &Connection, recipients: &[RecipientID]) -> Stored<u64> {
    let mut delete = connection.prepare_cached("DELETE FROM suppression WHERE recipient = ?1")?;
    let mut removed = 0;
    for recipient in recipients {
        removed += delete.execute([recipient.as_str()])? as u64;
    }
    Ok(removed)
}

/// Imports that were begun and are not recorded as done, each list once.
pub const UNFINISHED: &str =
    "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', begun.at / 1000.0, 'unixepoch') AS begun_at,
        begun.who, begun.target AS list
     FROM action begun
     WHERE begun.verb = 'suppress begun' AND NOT EXISTS (SELECT 1 FROM action later
        WHERE later.action > begun.action AND later.target = begun.target
            AND later.verb IN ('suppress', 'suppress begun'))
     ORDER BY begun.action";

pub const ANY: &str = "SELECT EXISTS (SELECT 1 FROM suppression WHERE expires_at IS NULL OR expires_at > ?1)";

/// Whether any is in force.
pub fn any(connection: &Connection, now: Timestamp) -> Stored<bool> {
    Ok(connection.prepare_cached(ANY)?.query_row([now.as_millisecond()], |row| row.get(0))?)
}

pub const IN_FORCE: &str = "SELECT reason FROM suppression
     WHERE recipient = ?1 AND (expires_at IS NULL OR expires_at > ?2)";

/// Those of `recipients` who are suppressed, with the reason.
pub fn of(
    connection: &Connection,
    recipients: &[RecipientID],
    now: Timestamp,
) -> Stored<Vec<(RecipientID, Reason)>> {
    let mut found = Vec::new();
    if !any(connection, now)? {
        return Ok(found);
    }
    let mut statement = connection.prepare_cached(IN_FORCE)?;
    for recipient in recipients {
        let mut rows = statement.query(params![recipient.as_str(), now.as_millisecond()])?;
        if let Some(row) = rows.next()? {
            found.push((recipient.clone(), Reason::new(SUPPRESSED, row.get::<_, String>(0)?)));
        }
    }
    Ok(found)
}

pub const BETWEEN: &str = "SELECT recipient, reason FROM suppression
     WHERE recipient BETWEEN ?1 AND ?2 AND (expires_at IS NULL OR expires_at > ?3)";

/// Who is suppressed of all ids from `first` to `last`, in their order, with the reason.
pub fn between(
    connection: &Connection,
    first: &RecipientID,
    last: &RecipientID,
    now: Timestamp,
) -> Stored<Vec<(RecipientID, Reason)>> {
    let mut statement = connection.prepare_cached(BETWEEN)?;
    let mut rows = statement.query(params![first.as_str(), last.as_str(), now.as_millisecond()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((recipient(row.get(0)?)?, Reason::new(SUPPRESSED, row.get::<_, String>(1)?)));
    }
    Ok(found)
}

/// An id out of the ledger.
pub fn recipient(text: String) -> Stored<RecipientID> {
    RecipientID::new(text).map_err(|error| StoreError::Corrupt(error.to_string()))
}
