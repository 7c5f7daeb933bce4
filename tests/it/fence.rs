//! The fence: histories after which a ledger may be an older copy of itself, so that sending from it
//! would send again what its original has sent. Each ends locked; and the histories of every day do not.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use campaignd::{
    campaign::RecipientID,
    run::{
        RunEvent, RunID, RunState, Trigger,
        chunk::Cutter,
        inquiry::Doubt,
        look::Addressing,
        reply::{Receipt, Reply, Verdict},
        settlement::settle,
    },
    store::{
        Act, AttemptEnd, Intent, Ledger, LockReason, NewRevision, NewRun, Store, StoreError, Stored,
        sqlite::{self, SqliteStore},
    },
};
use jiff::{SignedDuration, Timestamp};

fn now() -> Timestamp {
    "2026-11-11T01:00:00Z".parse().unwrap()
}

fn change<R>(store: &mut dyn Store, work: impl FnOnce(&mut dyn Store) -> Stored<R>) -> Stored<R> {
    store.begin()?;
    let result = work(store);
    match result {
        Ok(_) => store.commit()?,
        Err(_) => store.roll_back(),
    }
    result
}

/// A folder with a ledger and its generation file.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("campaignd.db")
    }

    fn file(&self) -> PathBuf {
        self.path("campaignd.db.generation")
    }

    /// A daemon starts: what it finds of its ledger.
    fn start(&self) -> (SqliteStore, Option<LockReason>) {
        let mut store = SqliteStore::open(&self.database(), now()).unwrap();
        let locked = change(&mut store, |store| store.claim()).unwrap();
        (store, locked)
    }

    /// A daemon starts on a ledger that is the newest.
    #[track_caller]
    fn serve(&self) -> SqliteStore {
        let (store, locked) = self.start();
        assert_eq!(locked, None);
        store
    }

    /// A daemon starts, sends, counts a generation and stops.
    #[track_caller]
    fn send(&self, run: &str) {
        let mut store = self.serve();
        sent(&mut store, run);
        change(&mut store, |store| store.generation_advance()).unwrap();
    }

    /// What a daemon that starts says of the ledger's being locked.
    #[track_caller]
    fn is_locked(&self) -> LockReason {
        let (mut store, locked) = self.start();
        let locked = locked.expect("it is not locked");
        drop(store);
        // So it stays.
        let again;
        (store, again) = self.start();
        assert_eq!(again, Some(LockReason::Locked(locked.to_string())));
        assert_eq!(store.lock_reason().unwrap(), again);
        locked
    }

    fn copy(&self, from: &Path, to: &str) -> PathBuf {
        let to = self.path(to);
        fs::copy(from, &to).unwrap();
        to
    }
}

/// A run of one recipient, asked and answered.
fn sent(store: &mut SqliteStore, name: &str) {
    let run = opened(store, name, 1);
    let begun = asked(store, &run);
    let verdict = Verdict::Accepted(Receipt::default());
    let verdicts = begun.recipients.iter().map(|id| (id.clone(), verdict.clone())).collect();
    let settlement = settle(&begun.recipients, Reply::Answered(verdicts), Doubt::Hold).unwrap();
    let end = AttemptEnd {
        attempt: begun.attempt,
        at: now(),
        http_status: Some(200),
        provider_code: Some(0),
        provider_message: None,
    };
    change(store, |store| store.batch_settle(&end, &settlement)).unwrap();
}

fn opened(store: &mut SqliteStore, name: &str, recipients: usize) -> RunID {
    let revision = NewRevision {
        campaign: name.parse().unwrap(),
        path: format!("{name}.yaml"),
        sha256: String::new(),
        yaml: Vec::new(),
        commit_id: None,
        dirty: None,
        gateway: "openim".to_owned(),
        labels: "{}".to_owned(),
        enabled: true,
        applied_at: now(),
        decided_until: now(),
    };
    let new = NewRun {
        trigger: Trigger::Manual,
        slot: now(),
        due_at: now(),
        start_by: now() + SignedDuration::from_hours(1),
        finish_by: now() + SignedDuration::from_hours(8),
        gateway: "openim".to_owned(),
        only_to: None,
    };
    change(store, |store| {
        store.campaign_apply(&revision)?;
        let run = store.run_make(&revision.campaign, &new)?;
        let mut cutter = Cutter::new(2);
        let ids = (0..recipients).map(|n| RecipientID::new(format!("u{n:03}")).unwrap());
        let mut chunks: Vec<_> = ids.filter_map(|id| cutter.push(id)).collect();
        chunks.extend(cutter.finish());
        store.run_open_part(&run, &chunks, &[], now())?;
        store.run_event(&run, RunEvent::Sealed, None, now())?;
        Ok(run)
    })
    .unwrap()
}

fn asked(store: &mut SqliteStore, run: &RunID) -> campaignd::store::Begun {
    let intent = Intent {
        caps: Default::default(),
        names_batches: false,
        run: run.clone(),
        at: now(),
        most_recipients: 10,
        addressing: Addressing::Users,
        stamp: None,
    };
    change(store, |store| store.batch_begin(&intent)).unwrap().unwrap()
}

fn act() -> Act {
    Act { at: now(), who: "alice".to_owned(), why: None }
}

fn is_older(locked: &LockReason) -> bool {
    matches!(locked, LockReason::Older { .. })
}

#[test]
fn restarts_and_crashes_lock_nothing() {
    let place = Place::new();
    for run in ["a", "b", "c"] {
        place.send(run);
        // Killed before it has counted.
        sent(&mut place.serve(), &format!("{run}2"));
    }
}

#[test]
fn a_crash_between_the_commit_and_the_file_locks_nothing() {
    let place = Place::new();
    place.send("a");
    for run in ["b", "c"] {
        // The file of before, which keeps its birth, is put back after the commit.
        fs::hard_link(place.file(), place.path("before")).unwrap();
        drop(place.serve());
        fs::rename(place.path("before"), place.file()).unwrap();
        place.send(run);
    }
}

#[test]
fn a_crash_before_the_commit_locks_nothing() {
    let place = Place::new();
    place.send("a");
    let mut store = SqliteStore::open(&place.database(), now()).unwrap();
    store.begin().unwrap();
    assert_eq!(store.claim().unwrap(), None);
    assert!(place.path("campaignd.db.generation.new").exists(), "nothing was written ahead");
    drop(store);
    place.send("b");
}

#[tokio::test]
async fn a_generation_that_is_taken_back_is_not_published() {
    let place = Place::new();
    place.send("a");
    let before = fs::read(place.file()).unwrap();
    for ledger in [
        Ledger::inline(Box::new(SqliteStore::open(&place.database(), now()).unwrap())),
        Ledger::threaded(Box::new(SqliteStore::open(&place.database(), now()).unwrap())).unwrap(),
    ] {
        let work = |store: &mut dyn Store| {
            assert_eq!(store.claim()?, None);
            Err::<(), _>(StoreError::Busy)
        };
        assert!(matches!(ledger.call(work).await, Err(StoreError::Busy)));
        ledger.close().await;
        assert_eq!(fs::read(place.file()).unwrap(), before);
    }
    place.send("b");
}

#[test]
fn moving_and_owning_the_folder_locks_nothing() {
    let place = Place::new();
    place.send("a");
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o600)).unwrap();
    let elsewhere = Place::new();
    for name in ["campaignd.db", "campaignd.db.generation"] {
        fs::rename(place.path(name), elsewhere.path(name)).unwrap();
    }
    elsewhere.send("b");
}

#[test]
fn a_copy_that_is_put_back_after_more_was_sent_is_locked() {
    let place = Place::new();
    place.send("a");
    let copy = place.copy(&place.database(), "copy.db");
    place.send("b");
    fs::copy(&copy, place.database()).unwrap();
    let locked = place.is_locked();
    assert!(is_older(&locked), "{locked:?}");
    assert_eq!(
        locked.to_string(),
        "it is an older copy: generation 2, and the file beside it has seen generation 4"
    );
}

#[test]
fn a_copy_made_by_cp_while_the_daemon_sends_is_locked() {
    let place = Place::new();
    let mut store = place.serve();
    sent(&mut store, "a");
    let copies = ["campaignd.db", "campaignd.db-wal"]
        .map(|name| (place.copy(&place.path(name), &format!("{name}.copy")), name));
    sent(&mut store, "b");
    // The daemon's next count, while it goes on; then it is killed.
    change(&mut store, |store| store.generation_advance()).unwrap();
    drop(store);
    for (copy, name) in copies {
        fs::copy(copy, place.path(name)).unwrap();
    }
    assert!(is_older(&place.is_locked()));
}

#[test]
fn a_change_lasts_although_the_file_of_its_generation_cannot_take_its_place() {
    let place = Place::new();
    let mut store = place.serve();
    sent(&mut store, "a");
    let run = opened(&mut store, "b", 1);
    let intent = Intent {
        caps: Default::default(),
        names_batches: false,
        run,
        at: now(),
        most_recipients: 1,
        addressing: Addressing::Users,
        stamp: None,
    };
    store.begin().unwrap();
    let begun = store.batch_begin(&intent).unwrap().unwrap();
    store.generation_advance().unwrap();
    // The commit lasts; then the rename fails.
    fs::rename(place.file(), place.path("before")).unwrap();
    fs::create_dir(place.file()).unwrap();
    fs::write(place.file().join("in the way"), "").unwrap();
    store.commit().unwrap();
    for _ in 0..2 {
        let error = store.begin().unwrap_err();
        assert!(error.to_string().contains("the generation file beside it"), "{error}");
    }
    fs::remove_dir_all(place.file()).unwrap();
    // The lock's record is whole, and nothing of the change was forgotten.
    change(&mut store, |store| store.batch_withdraw(begun.attempt, now())).unwrap();
    drop(store);
    place.send("c");
}

#[test]
fn nothing_is_counted_where_nothing_was_asked() {
    let place = Place::new();
    let mut store = place.serve();
    let before = fs::read(place.file()).unwrap();
    change(&mut store, |store| store.generation_advance()).unwrap();
    assert_eq!(fs::read(place.file()).unwrap(), before);
    sent(&mut store, "a");
    change(&mut store, |store| store.generation_advance()).unwrap();
    assert_ne!(fs::read(place.file()).unwrap(), before);
}

#[test]
fn a_backup_is_born_locked_wherever_it_is_put() {
    let place = Place::new();
    let mut store = place.serve();
    sent(&mut store, "a");
    let backup = place.path("backup.db");
    sqlite::backup(&place.database(), &backup, "it is a backup", now()).unwrap();
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o640);
    // Whole, by itself, and without traces of its making.
    let names: Vec<_> =
        fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("unfinished")), "{names:?}");
    let mut copy = SqliteStore::open(&backup, now()).unwrap();
    assert_eq!(copy.verify().unwrap(), []);
    drop(copy);
    let alone = Place::new();
    fs::copy(&backup, alone.database()).unwrap();
    let locked = Some(LockReason::Locked("it is a backup".to_owned()));
    assert_eq!(alone.start().1, locked);
    drop(store);
    // Nothing was sent since; it is locked all the same.
    fs::copy(&backup, place.database()).unwrap();
    assert_eq!(place.start().1, locked);
}

#[test]
fn a_backup_replaces_nothing() {
    let place = Place::new();
    place.send("a");
    fs::write(place.path("there"), "x").unwrap();
    for there in ["there", "campaignd.db"] {
        let error = sqlite::backup(&place.database(), &place.path(there), "", now()).unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    }
    assert_eq!(fs::read(place.path("there")).unwrap(), b"x");
    let error = sqlite::backup(&place.path("none"), &place.path("new"), "", now()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    assert!(!place.path("new").exists());
    place.send("b");
}

#[test]
fn a_backup_is_whole_while_the_daemon_writes() {
    let place = Place::new();
    let mut store = place.serve();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                sent(&mut store, &format!("c{number}"));
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        for number in 0..5 {
            let backup = place.path(&format!("backup{number}.db"));
            sqlite::backup(&place.database(), &backup, "it is a backup", now()).unwrap();
            assert_eq!(SqliteStore::open(&backup, now()).unwrap().verify().unwrap(), []);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn both_files_copied_elsewhere_are_locked() {
    let place = Place::new();
    place.send("a");
    let elsewhere = Place::new();
    for name in ["campaignd.db", "campaignd.db.generation"] {
        fs::copy(place.path(name), elsewhere.path(name)).unwrap();
    }
    assert_eq!(elsewhere.is_locked(), LockReason::CopiedTogether);
}

#[test]
fn both_files_put_back_in_place_are_locked() {
    let place = Place::new();
    place.send("a");
    let copies = ["campaignd.db", "campaignd.db.generation"]
        .map(|name| (place.copy(&place.path(name), &format!("{name}.copy")), name));
    place.send("b");
    for (copy, name) in copies {
        // Over what is there, which keeps its inode.
        fs::copy(copy, place.path(name)).unwrap();
    }
    assert_eq!(place.is_locked(), LockReason::CopiedTogether);
}

#[test]
fn a_folder_copied_half_before_a_count_and_half_after_it_is_locked() {
    let place = Place::new();
    place.send("a");
    let file = place.copy(&place.file(), "file.copy");
    let mut store = place.serve();
    drop(SqliteStore::open(&place.database(), now()).unwrap());
    let database = place.copy(&place.database(), "database.copy");
    sent(&mut store, "b");
    drop(store);
    fs::copy(file, place.file()).unwrap();
    fs::copy(database, place.database()).unwrap();
    let _ = fs::remove_file(place.path("campaignd.db-wal"));
    let _ = fs::remove_file(place.path("campaignd.db-shm"));
    let locked = place.is_locked();
    assert!(matches!(locked, LockReason::CopiedTogether), "{locked:?}");
}

#[test]
fn without_its_generation_file_a_ledger_is_locked() {
    let place = Place::new();
    place.send("a");
    fs::remove_file(place.file()).unwrap();
    assert_eq!(place.is_locked(), LockReason::NoFile);
    let place = Place::new();
    place.send("a");
    fs::write(place.file(), "").unwrap();
    assert_eq!(place.is_locked(), LockReason::Illegible);
}

#[test]
fn beside_the_generation_file_of_another_a_ledger_is_locked_unless_it_is_new() {
    let (one, other) = (Place::new(), Place::new());
    one.send("a");
    other.send("a");
    fs::copy(other.file(), one.file()).unwrap();
    assert_eq!(one.is_locked(), LockReason::Foreign);
    // Removed for a fresh start.
    for name in ["campaignd.db", "campaignd.db-wal", "campaignd.db-shm"] {
        let _ = fs::remove_file(other.path(name));
    }
    other.send("b");
}

#[test]
fn each_of_two_restores_is_locked() {
    let place = Place::new();
    place.send("a");
    let first = place.copy(&place.database(), "first.db");
    place.send("b");
    let second = place.copy(&place.database(), "second.db");
    place.send("c");
    for copy in [&first, &second, &first] {
        fs::copy(copy, place.database()).unwrap();
        assert!(is_older(&place.is_locked()));
        let mut store = SqliteStore::open(&place.database(), now()).unwrap();
        change(&mut store, |store| store.unlock(&act(), true)).unwrap();
        drop(store);
        // Unlocked it is the newest, and sends.
        place.send("d");
    }
}

#[test]
fn a_crash_in_an_unlock_leaves_it_locked_or_unlocked() {
    let place = Place::new();
    place.send("a");
    let copy = place.copy(&place.database(), "copy.db");
    place.send("b");
    fs::copy(copy, place.database()).unwrap();
    assert!(is_older(&place.is_locked()));
    let mut store = SqliteStore::open(&place.database(), now()).unwrap();
    store.begin().unwrap();
    store.unlock(&act(), true).unwrap();
    drop(store);
    assert!(matches!(place.start().1, Some(LockReason::Locked(_))), "before the commit");
    fs::hard_link(place.file(), place.path("before")).unwrap();
    let mut store = SqliteStore::open(&place.database(), now()).unwrap();
    change(&mut store, |store| store.unlock(&act(), true)).unwrap();
    drop(store);
    fs::rename(place.path("before"), place.file()).unwrap();
    place.send("c");
}

#[test]
fn of_two_daemons_the_first_can_do_nothing_more() {
    let place = Place::new();
    let mut first = place.serve();
    let run = opened(&mut first, "a", 4);
    let begun = asked(&mut first, &run);
    // The file of the lock was removed, so a second daemon starts.
    let mut second = place.serve();
    change(&mut second, |store| store.recover(&HashMap::new(), now())).unwrap();
    let verdicts =
        begun.recipients.iter().map(|id| (id.clone(), Verdict::Accepted(Receipt::default()))).collect();
    let settlement = settle(&begun.recipients, Reply::Answered(verdicts), Doubt::Hold).unwrap();
    let end = AttemptEnd {
        attempt: begun.attempt,
        at: now(),
        http_status: Some(200),
        provider_code: None,
        provider_message: None,
    };
    let taken_over = |result: Stored<()>| assert!(matches!(result, Err(StoreError::TakenOver)), "{result:?}");
    taken_over(change(&mut first, |store| store.batch_settle(&end, &settlement).map(|_| ())));
    let intent = Intent {
        caps: Default::default(),
        names_batches: false,
        run: run.clone(),
        at: now(),
        most_recipients: 10,
        addressing: Addressing::Users,
        stamp: None,
    };
    taken_over(change(&mut first, |store| store.batch_begin(&intent).map(|_| ())));
    asked(&mut second, &run);
    assert_eq!(second.run(&run).unwrap().state, RunState::Running);
}

#[test]
fn a_daemon_whose_ledger_is_locked_under_it_can_do_nothing_more() {
    let place = Place::new();
    let mut daemon = place.serve();
    let mut person = SqliteStore::open(&place.database(), now()).unwrap();
    change(&mut person, |store| store.lock("a reason")).unwrap();
    let result = change(&mut daemon, |store| store.campaigns());
    assert!(matches!(result, Err(StoreError::TakenOver)), "{result:?}");
}
