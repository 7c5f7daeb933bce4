//! Reading the ledger for people: the documented views, row by row, on a connection that cannot write.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, params, types::ValueRef};

use super::{
    super::{CampaignRecord, Discrepancy, PastCall, StoreError, Stored},
    campaigns,
    error::opened,
    fence, gateways, inquiries, reasons, received,
    schema::check_schema,
    suppressions, verify,
};
use crate::{
    campaign::{CampaignID, Caps, RecipientID},
    run::reply::Reason,
};

/// One cell of a view.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Cell {
    Null,
    Integer(i64),
    Text(String),
}

impl Cell {
    /// The cell's text; nothing for null.
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Integer(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        }
    }

    /// The number in the cell, 0 when it has none.
    pub fn number(&self) -> i64 {
        match self {
            Cell::Integer(value) => *value,
            Cell::Null | Cell::Text(_) => 0,
        }
    }
}

/// Rows of a view, with the names of their columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Rows {
    /// The cell of a row by its column's name; null when there is no such column.
    pub fn cell(&self, row: usize, column: &str) -> &Cell {
        let place = self.columns.iter().position(|name| name == column);
        place.and_then(|place| self.rows.get(row)?.get(place)).unwrap_or(&Cell::Null)
    }
}

/// Which deliveries are wanted; all conditions hold together.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub run: Option<String>,
    pub campaign: Option<String>,
    pub recipient: Option<String>,
    /// Gateways whose providers keep the recipient's id otherwise, and how.
    pub recipient_kept: Vec<(String, String)>,
    /// Any of these; empty for all.
    pub outcomes: Vec<String>,
    pub since: Option<Timestamp>,
}

/// Calls through a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallsOf {
    pub ended: Vec<PastCall>,
    /// Recipients of each call without an end.
    pub under_way: Vec<u64>,
}

/// A reader's connection.
pub struct Review {
    connection: Connection,
}

impl Review {
    /// Opens the ledger at `path`, which must be there.
    pub fn open(path: &Path) -> Stored<Review> {
        if !path.exists() {
            return Err(StoreError::Missing { path: path.display().to_string() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| opened(path, error))?;
        connection.busy_timeout(super::BUSY)?;
        match check_schema(&connection, path)? {
            0 => Err(StoreError::NotALedger { path: path.display().to_string() }),
            _ => Ok(Review { connection }),
        }
    }

    fn query(&self, sql: &str, params: impl Params) -> Stored<Rows> {
        let mut rows = Rows::default();
        rows.columns = self.each(sql, params, |_, row| {
            rows.rows.push(row);
            Stored::Ok(())
        })?;
        Ok(rows)
    }

    /// Hands every row to `take`, so that no result needs to fit into memory. Gives the columns. An error
    /// of `take` ends it.
    fn each<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(&[String], Vec<Cell>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let failed = |error: rusqlite::Error| E::from(StoreError::from(error));
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let cells = (0..columns.len())
                .map(|place| Ok(cell(row.get_ref(place)?)))
                .collect::<Result<Vec<_>, rusqlite::Error>>()
                .map_err(failed)?;
            take(&columns, cells)?;
        }
        Ok(columns)
    }

    /// The campaigns as the daemon knows them, their revisions in force included.
    pub fn campaign_records(&self) -> Stored<Vec<CampaignRecord>> {
        campaigns::all(&self.connection)
    }

    pub fn campaigns(&self) -> Stored<Rows> {
        self.query("SELECT * FROM campaign_status ORDER BY campaign", [])
    }

    pub fn problems(&self) -> Stored<Rows> {
        self.query(r#"SELECT * FROM problem_status ORDER BY path, line, "column", code"#, [])
    }

    /// The newest runs first, of one campaign or of all, row by row.
    pub fn runs<E: From<StoreError>>(
        &self,
        campaign: Option<&str>,
        most: Option<u32>,
        take: impl FnMut(&[String], Vec<Cell>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        self.each(
            "SELECT s.* FROM run r JOIN run_summary s ON s.run = r.run
             WHERE ?1 IS NULL OR r.campaign = ?1 ORDER BY r.id DESC LIMIT ?2",
            params![campaign, most.map_or(-1, i64::from)],
            take,
        )
    }

    /// The names of the newest runs, the newest first.
    pub fn newest_runs(&self, most: u32) -> Stored<Vec<String>> {
        let mut statement = self.connection.prepare("SELECT run FROM run ORDER BY id DESC LIMIT ?1")?;
        let names = statement.query_map([most], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// One run, as a single row or none.
    pub fn run(&self, run: &str) -> Stored<Rows> {
        self.query("SELECT * FROM run_summary WHERE run = ?1", [run])
    }

    /// The newest run of a campaign, by name.
    pub fn newest_run(&self, campaign: &str) -> Stored<Option<String>> {
        let rows =
            self.query("SELECT run FROM run WHERE campaign = ?1 ORDER BY id DESC LIMIT 1", [campaign])?;
        Ok(rows.rows.first().map(|_| rows.cell(0, "run").text()))
    }

    /// A run's last attempts, or all, the oldest first.
    pub fn attempts(&self, run: &str, most: Option<u32>) -> Stored<Rows> {
        self.query(
            "SELECT * FROM (SELECT * FROM attempt_log WHERE run = ?1 ORDER BY attempt DESC LIMIT ?2)
             ORDER BY attempt",
            params![run, most.map_or(-1, i64::from)],
        )
    }

    /// How many attempts a run has had.
    pub fn attempt_count(&self, run: &str) -> Stored<i64> {
        let sql = "SELECT count(*) FROM attempt a JOIN run r ON r.id = a.run WHERE r.run = ?1";
        Ok(self.connection.query_row(sql, [run], |row| row.get(0))?)
    }

    /// What a run's audience came from: side, name, sha256, ids, bad_lines, first_bad_lines.
    pub fn sources(&self, run: &str) -> Stored<Rows> {
        self.query(
            "SELECT s.side, s.name, s.sha256, s.ids, s.bad_lines, s.first_bad_lines
             FROM run r JOIN run_source s ON s.run = r.id WHERE r.run = ?1 ORDER BY s.number",
            [run],
        )
    }

    /// What people did that touched a run while it went, the oldest first.
    pub fn actions(&self, run: &str) -> Stored<Rows> {
        self.query(
            "SELECT l.* FROM action_log l JOIN run_summary s ON s.run = ?1
             WHERE l.target = s.run OR (l.target IN (s.campaign, '--all')
                AND l.at BETWEEN s.occurrence AND coalesce(s.finished_at, l.at))
             ORDER BY l.at",
            [run],
        )
    }

    /// Why recipients of a run were not accepted: outcome, reason_code, reason (one of them), recipients;
    /// the most frequent first. Where an outcome has very many, of its first so many, as is told besides.
    pub fn reasons(&self, run: &str, most: u32) -> Stored<(Rows, Option<u32>)> {
        let sql = "SELECT max(refused, failed, unknown, excluded) FROM run WHERE run = ?1";
        let largest: u64 = self.connection.query_row(sql, [run], |row| row.get(0)).optional()?.unwrap_or(0);
        let most_read = reasons::MOST_READ;
        Ok(match largest > u64::from(most_read) {
            true => (self.query(reasons::OF_FIRST, params![run, most, most_read])?, Some(most_read)),
            false => (self.query(reasons::OF_RUN, params![run, most])?, None),
        })
    }

    /// What is being looked up of a run: purpose, recipients, next_look_at, waits_for; a row for each batch.
    pub fn inquiries(&self, run: &str) -> Stored<Rows> {
        self.query(
            "SELECT i.purpose, a.batch,
                (SELECT count(*) FROM delivery d
                    WHERE d.run = i.run AND d.recipient BETWEEN i.first AND i.last
                        AND CASE i.purpose WHEN 'settle' THEN d.sought_by IS i.inquiry
                            ELSE d.batch = a.batch AND d.outcome = 'accepted' AND d.confirmed_at IS NULL END)
                    AS recipients,
                strftime('%Y-%m-%dT%H:%M:%fZ', i.opened_at / 1000.0, 'unixepoch') AS opened_at, i.looks,
                strftime('%Y-%m-%dT%H:%M:%fZ', i.next_look_at / 1000.0, 'unixepoch') AS next_look_at,
                i.waits_for
             FROM inquiry i JOIN attempt a ON a.attempt = i.attempt JOIN run r ON r.id = i.run
             WHERE r.run = ?1 ORDER BY i.purpose DESC, a.batch",
            [run],
        )
    }

    /// How many accepted messages of a run were seen again, and how many were looked for in vain: one row
    /// with confirmed, not_found. None where nothing was to be confirmed.
    pub fn confirmations(&self, run: &str) -> Stored<Rows> {
        self.query(inquiries::CONFIRMATIONS, [run])
    }

    /// Recipients of a run who accepted and whose message was not found.
    pub fn not_found(&self, run: &str, most: u32) -> Stored<Rows> {
        self.query(
            "SELECT d.recipient FROM run r JOIN delivery d ON d.run = r.id
             WHERE r.run = ?1 AND d.outcome = 'accepted' AND d.reason_code = 'notFound' LIMIT ?2",
            params![run, most],
        )
    }

    /// A campaign's revisions, the newest first, row by row.
    pub fn revisions<E: From<StoreError>>(
        &self,
        campaign: &str,
        take: impl FnMut(&[String], Vec<Cell>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let sql = "SELECT * FROM revision_log WHERE campaign = ?1 ORDER BY revision DESC";
        self.each(sql, [campaign], take)
    }

    /// The exact bytes of a campaign's revision, when it has that one.
    pub fn revision_bytes(&self, campaign: &str, revision: i64) -> Stored<Option<Vec<u8>>> {
        let sql = "SELECT yaml FROM revision WHERE campaign = ?1 AND revision = ?2";
        Ok(self.connection.query_row(sql, params![campaign, revision], |row| row.get(0)).optional()?)
    }

    /// The exact bytes that a run was made from.
    pub fn run_bytes(&self, run: &str) -> Stored<Vec<u8>> {
        let sql = "SELECT v.yaml FROM run r JOIN revision v ON v.revision = r.revision WHERE r.run = ?1";
        Ok(self.connection.query_row(sql, [run], |row| row.get(0))?)
    }

    /// The decisions on a campaign's slots, newest first.
    pub fn occurrences(&self, campaign: &str, most: u32) -> Stored<Rows> {
        self.query(
            "SELECT * FROM occurrence_log WHERE campaign = ?1 ORDER BY occurrence DESC LIMIT ?2",
            params![campaign, most],
        )
    }

    /// The delivery log, in the order of runs and recipients, row by row.
    pub fn deliveries<E: From<StoreError>>(
        &self,
        filter: &DeliveryFilter,
        take: impl FnMut(&[String], Vec<Cell>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let mut sql = "SELECT l.* FROM delivery_log l WHERE 1".to_owned();
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut equals = |column: &str, value: &Option<String>, sql: &mut String| {
            if let Some(value) = value {
                values.push(value.clone().into());
                *sql += &format!(" AND l.{column} = ?{}", values.len());
            }
        };
        equals("run", &filter.run, &mut sql);
        equals("campaign", &filter.campaign, &mut sql);
        if let Some(recipient) = &filter.recipient {
            let mut place = |value: &String| {
                values.push(value.clone().into());
                format!("?{}", values.len())
            };
            let written = place(recipient);
            let (mut all, mut each) = (written.clone(), format!("l.recipient = {written}"));
            for (gateway, kept) in &filter.recipient_kept {
                let (gateway, kept) = (place(gateway), place(kept));
                all += &format!(", {kept}");
                each += &format!(
                    " OR l.recipient = {kept} AND l.run IN (SELECT run FROM run WHERE gateway = {gateway})"
                );
            }
            // The first finds them by their key.
            sql += &format!(" AND l.recipient IN ({all}) AND ({each})");
        }
        if !filter.outcomes.is_empty() {
            let places: Vec<String> = filter
                .outcomes
                .iter()
                .map(|outcome| {
                    values.push(outcome.clone().into());
                    format!("?{}", values.len())
                })
                .collect();
            sql += &format!(" AND l.outcome IN ({})", places.join(", "));
            if !filter.outcomes.iter().any(|outcome| outcome == "accepted") {
                sql += " AND l.outcome <> 'accepted'";
            }
        }
        if let Some(since) = filter.since {
            values.push(since.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string().into());
            sql += &format!(" AND l.updated_at >= ?{}", values.len());
        }
        self.each(&sql, rusqlite::params_from_iter(values), take)
    }

    /// Who is suppressed, in the order of the ids, row by row; None: also those whose time is over.
    pub fn suppressions<E: From<StoreError>>(
        &self,
        in_force_at: Option<Timestamp>,
        take: impl FnMut(&[String], Vec<Cell>) -> Result<(), E>,
    ) -> Result<Vec<String>, E> {
        let at_ms = in_force_at.map(Timestamp::as_millisecond);
        self.each(
            "SELECT recipient, reason, who,
                strftime('%Y-%m-%dT%H:%M:%fZ', added_at / 1000.0, 'unixepoch') AS added_at,
                strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1000.0, 'unixepoch') AS expires_at
             FROM suppression WHERE ?1 IS NULL OR suppression.expires_at IS NULL OR suppression.expires_at > ?1
             ORDER BY recipient",
            [at_ms],
            take,
        )
    }

    /// Imports of suppressions that are under way or were cut short: begun_at, who, list.
    pub fn unfinished_imports(&self) -> Stored<Rows> {
        self.query(suppressions::UNFINISHED, [])
    }

    /// Who of all ids from `first` to `last` is suppressed, in their order, with the reason.
    pub fn suppressed_between(
        &self,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>> {
        suppressions::between(&self.connection, first, last, now)
    }

    /// Who of all ids from `first` to `last` a new run of this campaign would leave alone.
    pub fn capped_between(
        &self,
        campaign: &CampaignID,
        caps: &Caps,
        first: &RecipientID,
        last: &RecipientID,
        now: Timestamp,
    ) -> Stored<Vec<(RecipientID, Reason)>> {
        received::between(&self.connection, "", campaign.as_str(), caps, (first, last), now)
    }

    /// Counts every row again and compares.
    pub fn verify(&self) -> Stored<Vec<Discrepancy>> {
        verify::verify(&self.connection)
    }

    /// Which levels hold a run, as one row of 0 and 1: run, campaign, everything.
    pub fn holds(&self, run: &str) -> Stored<Rows> {
        self.query(
            "SELECT r.paused_by IS 'run' AS run, c.paused_reason IS NOT NULL AS campaign,
                (SELECT paused_reason FROM ledger) IS NOT NULL AS everything
             FROM run r JOIN campaign c ON c.campaign = r.campaign WHERE r.run = ?1",
            [run],
        )
    }

    /// Gateways that have ever waited for their provider.
    pub fn gateways(&self) -> Stored<Rows> {
        self.query("SELECT * FROM gateway_status ORDER BY gateway", [])
    }

    /// Calls through a gateway that its limits count since then.
    pub fn calls(&self, gateway: &str, since: Timestamp) -> Stored<CallsOf> {
        let ended = gateways::past_calls(&self.connection, gateway, None, since)?;
        let mut statement = self.connection.prepare_cached(gateways::UNDER_WAY)?;
        let under_way = statement.query_map([gateway], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(CallsOf { ended, under_way })
    }

    /// Why nothing is sent from the ledger, if it is locked.
    pub fn locked(&self) -> Stored<Option<String>> {
        fence::locked(&self.connection)
    }

    /// How many runs are over.
    pub fn runs_over(&self) -> Stored<i64> {
        let sql = "SELECT count(*) FROM run WHERE state IN ('completed', 'cancelled', 'failed')";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// How many runs the ledger holds.
    pub fn run_count(&self) -> Stored<i64> {
        Ok(self.connection.query_row("SELECT count(*) FROM run", [], |row| row.get(0))?)
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Text(value.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Cell::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}
