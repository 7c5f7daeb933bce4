use std::sync::mpsc;

use super::{super::Ledger, *};

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("campaignd.db"), Timestamp::UNIX_EPOCH).unwrap();
    (folder, store)
}

#[test]
fn what_is_asked_for_every_batch_is_found_by_an_index() {
    let (_folder, store) = store();
    let open = format!("{} {}", runs::RUN, runs::OPEN);
    let pending: &[&str] = &["SEARCH batch USING INDEX batch_waiting (run=?)"];
    for (sql, expected) in [
        (batches::PENDING, pending),
        (again::DUE, pending),
        (again::DRAWN, &["SEARCH batch USING INDEX batch_waiting (run=? AND position=? AND rowid>?)"]),
        (
            again::LOWEST,
            &[
                "SEARCH lowest USING COVERING INDEX batch_waiting (run=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH batch USING COVERING INDEX batch_waiting (run=? AND position=?)",
            ],
        ),
        (again::BEHIND, &["SEARCH batch USING COVERING INDEX batch_waiting (run=?)"]),
        (gateways::STATE, &["SEARCH gateway_state USING PRIMARY KEY (gateway=?)"]),
        (
            gateways::UNDER_WAY,
            &["SEARCH attempt USING INDEX attempt_of_gateway (gateway=? AND finished_at=?)"],
        ),
        (runs::STANDING, &["SEARCH run USING INDEX sqlite_autoindex_run_1 (run=?)"]),
        (
            batches::UNDER_WAY,
            &[
                "SEARCH a USING INTEGER PRIMARY KEY (rowid=?)",
                "SEARCH b USING INDEX sqlite_autoindex_batch_1 (run=? AND number=?)",
                "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
            ],
        ),
        // A start looks at what was under way and at nothing else, however much is waiting or was asked.
        (
            batches::IN_FLIGHT,
            &["SCAN b USING INDEX batch_in_flight", "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"],
        ),
        (batches::UNANSWERED, &["SCAN attempt USING INDEX attempt_under_way"]),
        (looks::READ, &["SEARCH delivery USING PRIMARY KEY (run=? AND recipient=?)"]),
        (suppressions::IN_FORCE, &["SEARCH suppression USING PRIMARY KEY (recipient=?)"]),
        (
            received::RUNS_OF_CAMPAIGN,
            &[
                "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
                "LIST SUBQUERY 2",
                "COMPOUND QUERY",
                "LEFT-MOST SUBQUERY",
                "SEARCH run USING COVERING INDEX run_of_campaign_over (campaign=? AND finished_at=?)",
                "UNION ALL",
                "SEARCH run USING COVERING INDEX run_of_campaign_over (campaign=? AND finished_at>?)",
            ],
        ),
        (
            received::RUNS_OF_LABELS,
            &[
                "MULTI-INDEX OR",
                "INDEX 1",
                "SEARCH r USING INDEX run_over (finished_at=?)",
                "INDEX 2",
                "SEARCH r USING INDEX run_over (finished_at>?)",
                "SEARCH v USING INTEGER PRIMARY KEY (rowid=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SCAN w VIRTUAL TABLE INDEX 1:",
                "SCAN l VIRTUAL TABLE INDEX 1:",
                "SCALAR SUBQUERY 2",
                "SCAN json_each VIRTUAL TABLE INDEX 1:",
            ],
        ),
        (
            received::ACTIVE_SINCE,
            &[
                "SCAN CONSTANT ROW",
                "SCALAR SUBQUERY 1",
                "SEARCH this USING INTEGER PRIMARY KEY (rowid=?)",
                "MULTI-INDEX OR",
                "INDEX 1",
                "SEARCH r USING INDEX run_over (finished_at=?)",
                "INDEX 2",
                "SEARCH r USING INDEX run_over (finished_at>?)",
            ],
        ),
        (suppressions::BETWEEN, &["SEARCH suppression USING PRIMARY KEY (recipient>? AND recipient<?)"]),
        (
            gateways::PAST_CALLS,
            &[
                "SEARCH a USING INDEX attempt_of_gateway (gateway=? AND finished_at>?)",
                "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)",
            ],
        ),
        (
            &open,
            &[
                "SCAN r USING INDEX run_open",
                "SEARCH v USING INTEGER PRIMARY KEY (rowid=?)",
                "CORRELATED SCALAR SUBQUERY 1",
                "SEARCH c USING PRIMARY KEY (campaign=?)",
            ],
        ),
        (
            "SELECT * FROM delivery_log WHERE recipient = ?",
            &["SCAN r", "SEARCH d USING PRIMARY KEY (run=? AND recipient=?)"],
        ),
        (
            "SELECT * FROM delivery_log WHERE run = ?",
            &["SEARCH r USING INDEX sqlite_autoindex_run_1 (run=?)", "SEARCH d USING PRIMARY KEY (run=?)"],
        ),
        (
            reasons::OF_RUN,
            &[
                "MERGE (UNION ALL)",
                "LEFT",
                "SEARCH r USING COVERING INDEX sqlite_autoindex_run_1 (run=?)",
                "SEARCH d USING INDEX delivery_not_accepted (run=? AND outcome=?)",
                "USE TEMP B-TREE FOR GROUP BY",
                "USE TEMP B-TREE FOR ORDER BY",
                "RIGHT",
                "MATERIALIZE stopped",
                "COMPOUND QUERY",
                "LEFT-MOST SUBQUERY",
                "SCAN CONSTANT ROW",
                "UNION ALL",
                "SCAN CONSTANT ROW",
                "SEARCH r USING INDEX sqlite_autoindex_run_1 (run=?)",
                "SCAN stopped",
                "SEARCH d USING PRIMARY KEY (run=? AND recipient=?)",
                "CORRELATED SCALAR SUBQUERY 4",
                "SEARCH one USING COVERING INDEX delivery_not_accepted (run=? AND outcome=?)",
                "USE TEMP B-TREE FOR ORDER BY",
            ],
        ),
    ] {
        let mut statement = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = rusqlite::params_from_iter(vec![None::<i64>; statement.parameter_count()]);
        let steps = statement.query_map(nothing, |row| row.get::<_, String>("detail")).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert_eq!(steps, expected, "{sql}");
    }
}

#[test]
fn only_a_loose_commit_does_not_wait_for_the_disk() {
    let (_folder, mut store) = store();
    let synchronous = |store: &SqliteStore| {
        store.connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap()
    };
    for loose in [false, true, true, false] {
        if loose { store.begin_loosely() } else { store.begin() }.unwrap();
        store.question_ask(&question(), Timestamp::UNIX_EPOCH).unwrap();
        // NORMAL, or FULL.
        assert_eq!(synchronous(&store), if loose { 1 } else { 2 });
        store.commit().unwrap();
    }
    assert_eq!(store.questions_open().unwrap().len(), 4);
}

fn question() -> Question {
    Question::Send { campaign: "sale".to_owned(), to: Vec::new(), again: false }
}

/// More than the ledger may grow by.
fn huge() -> NewRevision {
    NewRevision {
        campaign: "sale".parse().unwrap(),
        path: String::new(),
        sha256: String::new(),
        yaml: vec![0; 1 << 20],
        commit_id: None,
        dirty: None,
        gateway: "openim".to_owned(),
        labels: "{}".to_owned(),
        enabled: true,
        applied_at: Timestamp::UNIX_EPOCH,
        decided_until: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn of_very_many_the_first_tell_the_reasons() {
    let (_folder, mut store) = store();
    let at = Timestamp::UNIX_EPOCH;
    let new = NewRun {
        trigger: crate::run::Trigger::Manual,
        slot: at,
        due_at: at,
        start_by: at,
        finish_by: at,
        gateway: "openim".to_owned(),
        only_to: None,
    };
    store.campaign_apply(&huge()).unwrap();
    let run = store.run_make(&"sale".parse().unwrap(), &new).unwrap();
    let excluded: Vec<(RecipientID, Reason)> = (1..=5)
        .map(|number| (RecipientID::new(format!("u{number}")).unwrap(), Reason::new("exclude", "why")))
        .collect();
    store.run_open_part(&run, &[], &excluded, at).unwrap();
    let count = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| -> Vec<(String, i64)> {
        let mut statement = store.connection.prepare(sql).unwrap();
        let rows = statement.query_map(parameters, |row| Ok((row.get("outcome")?, row.get("recipients")?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(count(reasons::OF_RUN, &[&run.as_str(), &9]), [("excluded".to_owned(), 5)]);
    assert_eq!(count(reasons::OF_FIRST, &[&run.as_str(), &9, &3]), [("excluded".to_owned(), 3)]);
}

/// A store that may grow by a few pages only, as on a disk that is nearly full.
fn nearly_full() -> (tempfile::TempDir, Box<dyn Store>) {
    let (folder, store) = store();
    let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let _: i64 = store
        .connection
        .pragma_update_and_check(None, "max_page_count", pages + 20, |row| row.get(0))
        .unwrap();
    (folder, Box::new(store))
}

#[tokio::test]
async fn a_full_disk_undoes_what_shares_the_commit_and_says_so() {
    let (_folder, store) = nearly_full();
    let ledger = Ledger::threaded(store).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let ask = |store: &mut dyn Store| store.question_ask(&question(), Timestamp::UNIX_EPOCH);
    // The first change holds the writer until the others wait for it, so that all share one commit.
    let (before, full, after, ()) = tokio::join!(
        ledger.call(move |store| {
            wait.recv().unwrap();
            ask(store)
        }),
        ledger.call(|store| store.campaign_apply(&huge())),
        ledger.call(ask),
        async { go.send(()).unwrap() },
    );
    assert!(matches!(full, Err(StoreError::DiskFull)), "{full:?}");
    assert!(before.is_err(), "its commit is lost: {before:?}");
    assert!(after.is_err(), "its commit was lost before it: {after:?}");
    assert_eq!(ledger.call(|store| store.questions_open()).await.unwrap(), []);
    // What still fits goes on.
    let asked = ledger.call(ask).await.unwrap();
    let open = ledger.call(|store| store.questions_open()).await.unwrap();
    assert_eq!(open, [(asked, Timestamp::UNIX_EPOCH, question())]);
}

#[tokio::test]
async fn a_full_disk_undoes_a_change_whole() {
    let (_folder, store) = nearly_full();
    let ledger = Ledger::inline(store);
    let full = ledger
        .call(|store| {
            store.question_ask(&question(), Timestamp::UNIX_EPOCH)?;
            store.campaign_apply(&huge())
        })
        .await;
    assert!(matches!(full, Err(StoreError::DiskFull)), "{full:?}");
    assert_eq!(ledger.call(|store| store.questions_open()).await.unwrap(), []);
    assert_eq!(ledger.call(|store| store.campaigns()).await.unwrap(), []);
}

/// Writes a megabyte in each of so many commits, and gives the longest that the WAL was, in bytes.
fn write_megabytes(store: &mut SqliteStore, wal: &Path, count: usize) -> u64 {
    let mut longest = 0;
    for _ in 0..count {
        store.begin().unwrap();
        store.campaign_apply(&huge()).unwrap();
        store.commit().unwrap();
        longest = longest.max(wal.metadata().unwrap().len());
    }
    longest
}

#[test]
fn the_wal_begins_over_beside_a_writer_that_never_rests() {
    let (folder, store) = store();
    let (path, wal) = (folder.path().join("campaignd.db"), folder.path().join("campaignd.db-wal"));
    let bounds = Bounds { some: 50, long: 500, full: 2_000 };
    let mut store = store.checkpointed(&path, bounds).unwrap();
    let longest = write_megabytes(&mut store, &wal, 60);
    // What is full, and one commit.
    assert!(longest < 10 << 20, "{longest}");
    // Whoever reads holds it, and only so long.
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM revision").unwrap();
    write_megabytes(&mut store, &wal, 10);
    drop(reader);
    let after = write_megabytes(&mut store, &wal, 60);
    assert!(after < longest + (30 << 20), "{after}");
    drop(store);
    assert!(!wal.exists(), "what was closed is one file");
}
