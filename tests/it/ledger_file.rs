//! The ledger as a file: who may read it, and which files are refused, with what words.

use std::{collections::HashMap, fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use campaignd::{
    run::{RunID, RunState},
    store::{
        Store, StoreError,
        sqlite::{SqliteStore, review::Review},
    },
};
use jiff::Timestamp;
use rusqlite::Connection;

fn now() -> Timestamp {
    "2026-11-11T01:00:00Z".parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_group_may_review_and_others_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    let mut store = SqliteStore::open(&path, now()).unwrap();
    store.begin().unwrap();
    store.commit().unwrap();
    for name in ["campaignd.db", "campaignd.db-wal", "campaignd.db-shm"] {
        assert_eq!(mode(&folder.path().join(name)), 0o640, "{name}");
    }
}

#[test]
fn a_mode_that_a_person_chose_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    SqliteStore::open(&path, now()).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let _store = SqliteStore::open(&path, now()).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("campaignd.db-wal")), 0o600);
}

/// A file that `make` has made is refused by writers and readers with these words (`{path}` for its path),
/// and stays as it is.
#[track_caller]
fn check_refused(make: impl Fn(&Path), expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    make(&path);
    let before = std::fs::read(&path).ok();
    let expected = expected.replace("{path}", &path.display().to_string());
    let said = |error: Option<StoreError>| error.map(|error| error.to_string());
    assert_eq!(said(SqliteStore::open(&path, now()).err()).as_deref(), Some(expected.as_str()));
    assert_eq!(said(SqliteStore::open_existing(&path, now()).err()).as_deref(), Some(expected.as_str()));
    assert_eq!(said(Review::open(&path).err()).as_deref(), Some(expected.as_str()));
    assert_eq!(std::fs::read(&path).ok(), before, "the file was changed");
}

/// A database of somebody else, which says that its schema has this version.
fn foreign(user_version: i64) -> impl Fn(&Path) {
    move |path| {
        let other = Connection::open(path).unwrap();
        other.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x')").unwrap();
        other.pragma_update(None, "user_version", user_version).unwrap();
    }
}

#[test]
fn what_is_no_ledger_is_refused_and_left_alone() {
    const NOT_OURS: &str = "{path} is not a campaignd ledger; name another file as `database`";
    check_refused(|path| std::fs::write(path, "name: sale\n".repeat(200)).unwrap(), NOT_OURS);
    for user_version in [0, 1, 7, -1] {
        check_refused(foreign(user_version), NOT_OURS);
    }
    check_refused(|path| std::fs::create_dir(path).unwrap(), NOT_OURS);
}

#[test]
fn a_newer_ledger_is_refused_and_left_alone() {
    let newer = |path: &Path| {
        SqliteStore::open(path, now()).unwrap();
        Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    let known = {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("campaignd.db");
        SqliteStore::open(&path, now()).unwrap();
        let version =
            Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0));
        let version: i64 = version.unwrap();
        version
    };
    check_refused(
        newer,
        &format!(
            "the ledger was written by a newer campaignd (schema 99, this one knows {known}); use that one"
        ),
    );
}

#[test]
fn without_its_folder_no_ledger_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/campaignd.db");
    let error = SqliteStore::open(&path, now()).err().unwrap().to_string();
    let expected = format!(
        "the ledger cannot be written: {}: No such file or directory (os error 2); check its permissions and \
         those of its folder",
        path.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn a_command_makes_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    let expected = format!("there is no ledger at {}; `campaignd serve` makes one", path.display());
    assert_eq!(SqliteStore::open_existing(&path, now()).err().unwrap().to_string(), expected);
    assert_eq!(Review::open(&path).err().unwrap().to_string(), expected);
    assert!(!path.exists());
}

/// A ledger as a build of that schema has left it: a daemon that was killed with a batch in flight.
const OLD_LEDGERS: &[&str] = &[
    include_str!("../fixtures/ledgers/schema_1.sql"),
    include_str!("../fixtures/ledgers/schema_2.sql"),
    include_str!("../fixtures/ledgers/schema_3.sql"),
    include_str!("../fixtures/ledgers/schema_4.sql"),
    include_str!("../fixtures/ledgers/schema_5.sql"),
    include_str!("../fixtures/ledgers/schema_6.sql"),
    include_str!("../fixtures/ledgers/schema_7.sql"),
    include_str!("../fixtures/ledgers/schema_8.sql"),
    include_str!("../fixtures/ledgers/schema_9.sql"),
];

#[test]
fn a_ledger_of_every_old_schema_opens_and_goes_on() {
    for (index, dump) in OLD_LEDGERS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("campaignd.db");
        Connection::open(&path).unwrap().execute_batch(dump).unwrap();
        let mut store = SqliteStore::open(&path, now()).unwrap();
        assert_eq!(store.verify().unwrap(), [], "schema {}", index + 1);
        // Nothing was kept beside it: it is the newest that there is.
        store.begin().unwrap();
        assert_eq!(store.claim().unwrap(), None);
        store.commit().unwrap();
        let campaigns = store.campaigns().unwrap();
        assert_eq!(campaigns.iter().map(|known| known.id.as_str()).collect::<Vec<_>>(), ["news", "sale"]);
        let open = store.runs_open().unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].counts.pending, open[0].counts.in_flight), (2, 2));
        store.begin().unwrap();
        assert_eq!(store.recover(&HashMap::new(), now()).unwrap(), 2);
        store.commit().unwrap();
        let over = store.run(&RunID::from_text("news@20261111T010000Z.m1")).unwrap();
        assert_eq!(over.state, RunState::Completed { reason: String::new() });
        let rows = Review::open(&path).unwrap().campaigns().unwrap();
        assert_eq!(rows.cell(0, "last_state").text(), "completed");
        assert_eq!(store.verify().unwrap(), []);
    }
}
