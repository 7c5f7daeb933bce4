//! Kills at places that have a name: as soon as something is to be seen that is only there half-way. What is
//! half is never taken for whole, and the next start goes on.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    desk::{Desk, PATIENCE, Process},
    office::soon,
};

/// A gateway within the daemon; few may be asked, so that nothing is over soon.
const SETTINGS: &str = "listen: off\ntimezone: Asia/Shanghai\ngateways:\n  sandbox: {kind: sandbox, limits: {recipients: 100/day}}\n";
const HELLO: &str = "message: {contentType: text, content: {content: hi}}\n";

/// Starts a program and kills it once `seen`; tells whether it was alive then.
fn kill_when(mut command: Command, seen: impl Fn() -> bool) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..PATIENCE.as_millis() * 2 {
        if seen() {
            return kill(child);
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("it was never to be seen");
}

fn kill(mut child: Child) -> bool {
    let was_alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_alive
}

/// A number of the ledger; None while there is none, or it cannot be read.
fn count(database: &Path, sql: &str) -> Option<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ledger = Connection::open_with_flags(database, flags).ok()?;
    ledger.query_row(sql, [], |row| row.get(0)).ok()
}

#[test]
fn a_migration_that_is_killed_has_not_been() {
    let desk = Desk::new(SETTINGS, &[]);
    let (database, wal) = (desk.path("campaignd.db"), desk.path("campaignd.db-wal"));
    let old =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledgers/schema_1.sql"))
            .unwrap();
    let mut killed = 0;
    // The later the kill, the more of it has been written.
    for round in 0..12_u64 {
        for name in ["campaignd.db", "campaignd.db-wal", "campaignd.db-shm", "campaignd.db.generation"] {
            let _ = fs::remove_file(desk.path(name));
        }
        let ledger = Connection::open(&database).unwrap();
        ledger.execute_batch(&old).unwrap();
        drop(ledger);
        let version = || count(&database, "SELECT user_version FROM pragma_user_version");
        assert_eq!(version(), Some(1));
        let seen = || {
            let is_there = fs::metadata(&wal).is_ok_and(|wal| wal.len() >= round * 8_192);
            is_there && (round % 2 == 0 || version() != Some(1))
        };
        killed += u32::from(kill_when(desk.command(&["serve"]), seen));
        // Whole or not at all.
        let version = version().unwrap();
        let newest = {
            desk.serve().stop();
            count(&database, "SELECT user_version FROM pragma_user_version").unwrap()
        };
        assert!(version == 1 || version == newest, "left at {version}");
        desk.ends(&["db", "verify"], 0);
    }
    assert!(killed >= 6, "only {killed} were killed");
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_that_looks_like_one() {
    let desk = Desk::new(SETTINGS, &[]);
    desk.serve().stop();
    // Large enough that a copy takes a while.
    let ledger = Connection::open(desk.path("campaignd.db")).unwrap();
    ledger
        .execute_batch(
            "INSERT INTO suppression (recipient, reason, who, added_at)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
             SELECT 'p' || i, hex(zeroblob(50)), 'alice', 1 FROM n",
        )
        .unwrap();
    drop(ledger);
    let mut killed = 0;
    for round in 0..8_u64 {
        let (to, unfinished) = (desk.path("copy.db"), desk.path("copy.db.unfinished"));
        let seen = || fs::metadata(&unfinished).is_ok_and(|copy| copy.len() >= round * 2_000_000);
        let alive = kill_when(desk.command(&["db", "backup", "copy.db"]), seen);
        killed += u32::from(alive);
        if to.exists() {
            // It was done before it was killed.
            assert_eq!(count(&to, "SELECT count(*) FROM suppression"), Some(150_000));
            fs::remove_file(&to).unwrap();
        }
        // What is left half-way is replaced by the next.
        desk.ends(&["db", "backup", "copy.db"], 0);
        assert!(!unfinished.exists());
        assert_eq!(count(&to, "SELECT count(*) FROM suppression"), Some(150_000));
        assert_eq!(count(&to, "SELECT count(*) FROM ledger WHERE locked_reason IS NULL"), Some(0));
        fs::remove_file(&to).unwrap();
    }
    assert!(killed >= 4, "only {killed} were killed");
    desk.ends(&["db", "verify"], 0);
}

#[test]
fn an_opening_that_is_killed_is_begun_anew() {
    const PEOPLE: i64 = 60_000;
    let desk = Desk::new(SETTINGS, &[]);
    desk.write("campaigns/list.txt", &(0..PEOPLE).map(|n| format!("p{n:06}\n")).collect::<String>());
    let text = format!(
        "{HELLO}recipients: [{{file: list.txt}}]\nexclude: [{{ids: [p000007]}}]\nschedules: [{{at: {}}}]\n",
        soon(2)
    );
    desk.write("campaigns/many.yaml", &text);
    let database = desk.path("campaignd.db");
    let mut killed = 0;
    for round in 0..6 {
        let seen = || {
            let batches = "SELECT count(*) FROM batch WHERE (SELECT state FROM run) = 'pending'";
            count(&database, batches).is_some_and(|batches| batches > round * 60)
                || count(&database, "SELECT count(*) FROM run WHERE state <> 'pending'") > Some(0)
        };
        if count(&database, "SELECT count(*) FROM run WHERE state <> 'pending'") > Some(0) {
            break;
        }
        killed += u32::from(kill_when(desk.command(&["serve"]), seen));
        desk.ends(&["db", "verify"], 0);
    }
    assert!(killed > 0, "it was always sealed before");
    let daemon = desk.serve();
    desk.until_newest("many", |state, _| state == "running");
    daemon.stop();
    desk.ends(&["db", "verify"], 0);
    assert_eq!(count(&database, "SELECT count(*) FROM run"), Some(1));
    assert_eq!(count(&database, "SELECT audience FROM run_summary"), Some(PEOPLE));
    assert_eq!(count(&database, "SELECT excluded FROM run_summary"), Some(1));
    let known =
        "SELECT count(*) FROM (SELECT recipient FROM waiting_log UNION SELECT recipient FROM delivery_log)";
    assert_eq!(count(&database, known), Some(PEOPLE), "somebody stands there twice, or not");
}

#[test]
fn a_folder_whose_reading_is_killed_is_read_whole_the_next_time() {
    const FILES: i64 = 1_500;
    let desk = Desk::new(SETTINGS, &[]);
    let write = |revision: u32| {
        for number in 0..FILES {
            desk.write(
                &format!("campaigns/c{number:04}.yaml"),
                &format!(
                    "{HELLO}description: r{revision}\nrecvIDs: [u00001]\nschedules: [{{at: 2099-01-01T00:00}}]\n"
                ),
            );
        }
    };
    let database = desk.path("campaignd.db");
    let mut killed = 0;
    for revision in 1..=4 {
        write(revision);
        let wanted = format!("SELECT count(*) FROM revision WHERE yaml LIKE '%description: r{revision}%'");
        // As soon as the ledger is there, or the first file is applied.
        let seen = || match revision {
            1 => count(&database, "SELECT count(*) FROM campaign").is_some(),
            _ => count(&database, &wanted) > Some(0),
        };
        killed += u32::from(kill_when(desk.command(&["serve"]), seen));
        desk.serve().stop();
        assert_eq!(count(&database, &wanted), Some(FILES), "revision {revision}");
        let in_force = "SELECT count(*) FROM campaign_status WHERE state = 'active'";
        assert_eq!(count(&database, in_force), Some(FILES));
        desk.ends(&["db", "verify"], 0);
    }
    assert!(killed >= 3, "only {killed} were killed");
}

/// A process that stands still for longer than anybody waits, in the middle of sending: nobody twice.
#[test]
fn a_daemon_that_stood_still_withdraws_what_it_meant_to_ask() {
    use crate::office::{Office, numbered};
    const PEOPLE: u32 = 1_500;
    let office = Office::open(
        &["--users", "2000", "--latency-ms", "2"],
        "    batchSize: 25\n    concurrency: 3\n    timeout: 2s\n    settle: 2s\n",
    );
    office.desk.write("campaigns/list.txt", &numbered(1, PEOPLE));
    office.desk.write(
        "campaigns/sale.yaml",
        &format!(
            "{HELLO}recipients: [{{file: list.txt}}]\nschedules: [{{at: {}}}]\ndelivery: {{onUnknown: hold}}\n",
            soon(2)
        ),
    );
    let daemon = office.desk.serve();
    office.desk.until_newest("sale", |_, accepted| accepted >= 100);
    for _ in 0..3 {
        daemon.signal("STOP");
        // Longer than an intent may be old, and than a call may take.
        std::thread::sleep(Duration::from_secs(6));
        daemon.signal("CONT");
        std::thread::sleep(Duration::from_millis(300));
    }
    // And the provider stands still, longer than a call may take.
    let provider: &Process = office.server.as_ref().unwrap();
    provider.signal("STOP");
    std::thread::sleep(Duration::from_secs(4));
    provider.signal("CONT");
    daemon.hear(" completed: ");
    daemon.stop();
    let outcomes = office.compare("sale");
    assert_eq!(outcomes.values().sum::<usize>(), PEOPLE as usize, "{outcomes:?}");
}
