//! The behaviour of the ledger: one list of cases, run on every implementation of [`Store`].

mod asking;
mod campaigns;
mod inquiring;
mod opening;
mod people;
mod reading;
mod replaying;
mod slots;
mod stopping;
mod suppressing;
mod walk;
mod writer;

use std::path::Path;

use campaignd::{
    campaign::{CampaignID, RecipientID},
    run::{
        RunEvent, RunID, Settlement, Trigger,
        chunk::{Chunk, Cutter},
        inquiry::Doubt,
        look::Addressing,
        reply::{Cause, Reason, Receipt, Reply, Verdict},
        settlement::settle,
    },
    store::{AttemptEnd, Begun, Intent, NewRevision, NewRun, Store, StoreError, Stored, sqlite::SqliteStore},
};
use jiff::{SignedDuration, Timestamp};

/// Opens the ledger that stands at a path, making it where there is none.
type Open = fn(&Path) -> Box<dyn Store>;

/// Every implementation, by name.
const STORES: &[(&str, Open)] =
    &[("SQLite", |path| Box::new(SqliteStore::open(&path.join("campaignd.db"), at(0)).unwrap()))];

/// Runs a case on a new ledger of every implementation.
fn on_every_store(case: impl Fn(&mut dyn Store)) {
    for (name, open) in STORES {
        // Told when the case fails.
        println!("on {name}");
        let folder = tempfile::tempdir().unwrap();
        case(open(folder.path()).as_mut());
    }
}

/// A change as the ledger makes it: whole, or not at all. What the counters say must hold after each.
fn change<R>(store: &mut dyn Store, work: impl FnOnce(&mut dyn Store) -> Stored<R>) -> Stored<R> {
    store.begin()?;
    let result = match work(store) {
        Ok(value) => store.commit().map(|()| value),
        Err(error) => {
            store.roll_back();
            Err(error)
        }
    };
    assert_eq!(store.verify().unwrap(), [], "the rows deny the counters");
    assert!(store.runs_open().unwrap().iter().all(|run| run.counts.balanced()));
    result
}

/// The instant so many milliseconds after the singles' day sale began.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_794_358_800_000 + ms).unwrap()
}

fn campaign(name: &str) -> CampaignID {
    name.parse().unwrap()
}

/// Recipients `u000`, `u001`, … in the order of their ids.
fn recipients(count: usize) -> Vec<RecipientID> {
    (0..count).map(|number| RecipientID::new(format!("u{number:03}")).unwrap()).collect()
}

fn reason() -> Reason {
    Reason::new("1004", "not found")
}

fn revision(name: &str, applied_at: Timestamp) -> NewRevision {
    NewRevision {
        campaign: campaign(name),
        path: format!("campaigns/{name}.yaml"),
        sha256: "00".repeat(32),
        yaml: format!("name: {name}\n").into_bytes(),
        commit_id: None,
        dirty: None,
        gateway: "openim".to_owned(),
        labels: "{}".to_owned(),
        enabled: true,
        applied_at,
        decided_until: applied_at,
    }
}

fn new_run(trigger: Trigger, slot: Timestamp) -> NewRun {
    NewRun {
        trigger,
        slot,
        due_at: slot,
        start_by: slot + SignedDuration::from_mins(5),
        finish_by: slot + SignedDuration::from_hours(8),
        gateway: "openim".to_owned(),
        only_to: None,
    }
}

/// The audience of a run in calls of `size`.
fn chunks(audience: &[RecipientID], size: u32) -> Vec<Chunk> {
    let mut cutter = Cutter::new(size);
    let mut chunks: Vec<Chunk> =
        audience.iter().filter_map(|recipient| cutter.push(recipient.clone())).collect();
    chunks.extend(cutter.finish());
    chunks
}

/// A run by hand of a campaign, made and still to be opened.
fn made(store: &mut dyn Store, name: &str) -> RunID {
    change(store, |store| {
        store.campaign_apply(&revision(name, at(0)))?;
        store.run_make(&campaign(name), &new_run(Trigger::Manual, at(0)))
    })
    .unwrap()
}

/// A run by hand of `count` recipients in calls of `size`, sealed.
fn opened(store: &mut dyn Store, name: &str, count: usize, size: u32) -> RunID {
    let run = made(store, name);
    let chunks = chunks(&recipients(count), size);
    change(store, |store| {
        store.run_open_part(&run, &chunks, &[], at(0))?;
        store.run_event(&run, RunEvent::Sealed, None, at(0))
    })
    .unwrap();
    run
}

fn begin(store: &mut dyn Store, run: &RunID, most_recipients: u64, ms: i64) -> Option<Begun> {
    let intent = Intent {
        run: run.clone(),
        at: at(ms),
        most_recipients,
        caps: Default::default(),
        names_batches: false,
        addressing: Addressing::Users,
        stamp: None,
    };
    change(store, |store| store.batch_begin(&intent)).unwrap()
}

fn end(attempt: i64, ms: i64) -> AttemptEnd {
    AttemptEnd { attempt, at: at(ms), http_status: Some(200), provider_code: Some(0), provider_message: None }
}

fn accepted() -> Verdict {
    Verdict::Accepted(Receipt { server_msg_id: Some("message".to_owned()), ..Receipt::default() })
}

/// What follows when the recipients of a batch are answered with these verdicts, over and over.
fn answered(begun: &Begun, verdicts: &[Verdict]) -> Settlement {
    let verdicts = begun.recipients.iter().cloned().zip(verdicts.iter().cloned().cycle()).collect();
    settle(&begun.recipients, Reply::Answered(verdicts), Doubt::Hold).unwrap()
}

/// What follows when a batch was proven not to be done.
fn nothing_done(begun: &Begun) -> Settlement {
    settle(&begun.recipients, Reply::NothingDone(Cause::Token, reason()), Doubt::Hold).unwrap()
}

#[track_caller]
fn is_refused<R: std::fmt::Debug>(result: Stored<R>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_) | StoreError::Transition(_)), "{error:?}");
}

#[track_caller]
fn is_not_found<R: std::fmt::Debug>(result: Stored<R>) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}
