//! `db verify`: whatever is wrong in a ledger is told, each kind by its name.

use campaignd::store::sqlite::{SqliteStore, review::Review};
use jiff::Timestamp;
use rusqlite::Connection;

/// A ledger of two runs, with batches pending and in flight.
const LEDGER: &str = include_str!("../fixtures/ledgers/schema_1.sql");

/// Breaks the ledger, and looks what is told: run, what, how many were counted.
#[track_caller]
fn check(broken_by: &str, expected: &[(&str, &str, i64)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(LEDGER).unwrap();
    drop(SqliteStore::open(&path, Timestamp::UNIX_EPOCH).unwrap());
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
    connection.execute_batch(broken_by).unwrap();
    let told = Review::open(&path).unwrap().verify().unwrap();
    let told: Vec<_> = told.iter().map(|one| (one.run.as_str(), one.what.as_str(), one.counted)).collect();
    assert_eq!(told, expected, "{broken_by}");
}

#[test]
fn a_ledger_that_is_whole_is_told_to_be() {
    check("", &[]);
}

#[test]
fn slots_and_their_runs_belong_together() {
    let slot =
        "INSERT INTO occurrence (campaign, slot, due_at, until_at, count, decision, reason, decided_at)";
    check(
        &format!("{slot} VALUES ('news', 1794358800000, 0, 1794358800000, 1, 'run', NULL, 0)"),
        &[("news@20261111T010000Z", "a slot that runs, without its run", 1)],
    );
    check(
        "UPDATE run SET trigger = 'schedule' WHERE id = 1",
        &[("news@20261111T010000Z.m1", "a scheduled run without its slot", 1)],
    );
    check(
        &format!("{slot} VALUES ('sale', 1794362400000, 0, 1794362400000, 1, 'skipped', 'overlap', 0)"),
        &[("sale@20261111T020000Z", "slots decided twice", 2)],
    );
}

#[test]
fn batches_and_their_requests_belong_together() {
    let sale = "sale@20261111T010000Z.m1";
    check(
        "UPDATE batch SET last = 'u009' WHERE id = 4",
        &[(sale, "batches that do not say whom they hold", 1)],
    );
    check(
        "UPDATE batch SET state = 'pending', attempt = NULL WHERE id = 1;
         UPDATE run SET pending = pending + 2, in_flight = in_flight - 2 WHERE id = 2",
        &[(sale, "requests under way without a batch in flight", 1)],
    );
    check(
        "UPDATE attempt SET finished_at = started_at, verdict = 'answered' WHERE attempt = 5",
        &[(sale, "batches in flight without a request under way", 1)],
    );
    check(
        "UPDATE attempt SET operation_id = (SELECT operation_id FROM attempt WHERE attempt = 3) WHERE attempt = 4",
        &[(sale, "requests that share an operation id", 2)],
    );
    check(
        "UPDATE attempt SET send_time = (SELECT send_time FROM attempt WHERE attempt = 3) WHERE attempt = 4",
        &[(sale, "messages of one sender that share a send time", 2)],
    );
}

#[test]
fn every_row_has_its_place() {
    check(
        "INSERT INTO delivery (run, recipient, outcome, attempts, updated_at) VALUES (7, 'u1', 'accepted', 1, 0)",
        &[("", "deliveries of no run", 1)],
    );
    check(
        "UPDATE campaign SET revision = 9 WHERE campaign = 'news'",
        &[("campaign", "rows that name a row that is not there", 1)],
    );
    check(
        "DELETE FROM delivery WHERE recipient = 'u005'",
        &[("sale@20261111T010000Z.m1", "unknown", 1), ("sale@20261111T010000Z.m1", "audience", 7)],
    );
}
