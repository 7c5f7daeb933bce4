//! The ledger's views: their columns, their times, and what they say of slots and runs.

use std::path::PathBuf;

use campaignd::{
    campaign::RecipientID,
    plan::{Decision, Fate, Miss},
    run::{
        RunEvent, Trigger,
        chunk::Cutter,
        inquiry::Doubt,
        look::Addressing,
        reply::{Cause, Reason, Reply},
        settlement::settle,
    },
    schedule::Slot,
    store::{
        Act, AttemptEnd, Begun, CampaignMark, DecidedSlots, Intent, NewRevision, NewRun, Store,
        sqlite::{SqliteStore, review::Review},
    },
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;

fn now() -> Timestamp {
    "2026-11-11T01:00:00Z".parse().unwrap()
}

struct Desk {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: SqliteStore,
}

fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaignd.db");
    let store = SqliteStore::open(&path, now()).unwrap();
    Desk { _folder: folder, path, store }
}

impl Desk {
    fn apply(&mut self) {
        let revision = NewRevision {
            campaign: "sale".parse().unwrap(),
            path: "campaigns/sale.yaml".to_owned(),
            sha256: "00".repeat(32),
            yaml: b"name: sale\n".to_vec(),
            commit_id: Some("c0ffee".to_owned()),
            dirty: Some(false),
            gateway: "openim".to_owned(),
            labels: r#"{"team":"growth"}"#.to_owned(),
            enabled: true,
            applied_at: now(),
            decided_until: now(),
        };
        self.store.campaign_apply(&revision).unwrap();
    }

    fn decide(&mut self, slot: Timestamp, count: u64, fate: Fate) {
        let until = slot + SignedDuration::from_hours(count as i64 - 1);
        let run = NewRun {
            trigger: Trigger::Schedule,
            slot,
            due_at: slot,
            start_by: slot,
            finish_by: slot,
            gateway: "openim".to_owned(),
            only_to: None,
        };
        let named = Slot { at: slot, due: slot, excepted: false };
        let decision = Decision { until, count, ..Decision::of(named, fate) };
        let plan = DecidedSlots {
            campaign: "sale".parse().unwrap(),
            decisions: vec![(decision, (fate == Fate::Run).then_some(run))],
            decided_until: until,
            queued: None,
            next_occurrence: Some(until),
        };
        self.store.slots_decide(&[plan], now()).unwrap();
    }

    /// The rows of `occurrence_log`, the newest first: when, until when, how many, what, why, its run.
    fn occurrences(&self) -> Vec<String> {
        let rows = Review::open(&self.path).unwrap().occurrences("sale", 9).unwrap();
        let columns = ["occurrence", "until_at", "count", "decision", "reason", "run"];
        (0..rows.rows.len())
            .map(|row| columns.map(|column| rows.cell(row, column).text()).join(" "))
            .collect()
    }
}

/// The documented interface: a column may be added in a later schema, none moves or goes.
const VIEWS: &[(&str, &str)] = &[
    (
        "campaign_status",
        "campaign state problem gateway labels revision path commit_id next_occurrence last_run last_state",
    ),
    ("occurrence_log", "campaign occurrence due_at until_at count decision reason late_ms run"),
    (
        "run_summary",
        "run campaign occurrence trigger state reason revision path commit_id gateway labels audience accepted \
         refused failed unknown excluded expired cancelled pending in_flight started_at finished_at late_ms",
    ),
    (
        "delivery_log",
        "run campaign occurrence recipient outcome reason_code reason attempts batch server_msg_id \
         client_msg_id send_time confirmed_at updated_at",
    ),
    ("waiting_log", "run campaign recipient state batch"),
    (
        "attempt_log",
        "attempt kind run batch gateway operation_id started_at finished_at recipients http_status \
         provider_code provider_message accepted refused unknown verdict",
    ),
    ("problem_status", "path campaign severity line column code message since"),
    (
        "gateway_status",
        "gateway breaker since until failures reason_code reason quiet_since quiet_until quiet_code quiet_reason",
    ),
    ("revision_log", "revision campaign path sha256 commit_id dirty applied_at yaml"),
    ("action_log", "at who action target why"),
];

#[test]
fn the_views_have_the_documented_columns() {
    let desk = desk();
    let ledger = Connection::open(&desk.path).unwrap();
    let names = |sql: &str| {
        let mut statement = ledger.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    for (view, columns) in VIEWS {
        let found = names(&format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid"));
        assert_eq!(found.join(" "), *columns, "{view}");
    }
    let mut documented: Vec<&str> = VIEWS.iter().map(|(view, _)| *view).collect();
    documented.sort_unstable();
    assert_eq!(names("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name"), documented);
}

#[test]
fn misses_are_counted_in_one_row_and_a_run_beside_them() {
    let mut desk = desk();
    desk.apply();
    desk.decide(now(), 24, Fate::Missed(Miss::Late));
    desk.decide(now(), 24, Fate::Missed(Miss::Paused));
    desk.decide(now() + SignedDuration::from_hours(24), 1, Fate::Run);
    let missed = "2026-11-11T01:00:00.000Z 2026-11-12T00:00:00.000Z 24 missed late ";
    let slot = "2026-11-12T01:00:00.000Z 2026-11-12T01:00:00.000Z 1";
    assert_eq!(desk.occurrences(), [&format!("{slot} run  sale@20261112T010000Z"), missed]);

    let run = desk.store.runs_open().unwrap().remove(0).id;
    let failed = RunEvent::OpeningFailed { reason: "no list".to_owned() };
    desk.store.run_event(&run, failed, Some("audience"), now()).unwrap();
    assert_eq!(desk.occurrences(), [&format!("{slot} missed audience {run}"), missed]);
}

#[test]
fn what_is_wrong_with_a_campaign_is_shown() {
    let mut desk = desk();
    desk.apply();
    let marks = [
        (CampaignMark::Rejected, "rejectedEdit"),
        (CampaignMark::Accepted, ""),
        (CampaignMark::Gone { since: now() }, "fileGone"),
        (CampaignMark::Held { since: now() }, "removalHeld"),
        (CampaignMark::Back, ""),
        (CampaignMark::Removed, ""),
    ];
    for (mark, expected) in marks {
        desk.store.campaign_mark(&"sale".parse().unwrap(), &mark).unwrap();
        let rows = Review::open(&desk.path).unwrap().campaigns().unwrap();
        assert_eq!(rows.cell(0, "problem").text(), expected, "{mark:?}");
        assert_eq!(rows.cell(0, "state").text() == "removed", mark == CampaignMark::Removed);
    }
}

#[test]
fn a_delivery_tells_how_often_it_was_tried() {
    let mut desk = desk();
    desk.apply();
    desk.decide(now(), 1, Fate::Run);
    let run = desk.store.runs_open().unwrap().remove(0).id;
    let mut cutter = Cutter::new(1);
    let chunk = cutter.push(RecipientID::new("u001").unwrap()).unwrap();
    desk.store.run_open_part(&run, &[chunk], &[], now()).unwrap();
    desk.store.run_event(&run, RunEvent::Sealed, None, now()).unwrap();
    let intent = Intent {
        names_batches: false,
        run: run.clone(),
        at: now(),
        most_recipients: 1,
        caps: Default::default(),
        addressing: Addressing::Users,
        stamp: None,
    };
    let withdrawn = desk.store.batch_begin(&intent).unwrap().unwrap().attempt;
    desk.store.batch_withdraw(withdrawn, now()).unwrap();
    let reason = || Reason::new("1501", "token expired");
    for reply in [Reply::NothingDone(Cause::Token, reason()), Reply::Unanswered(reason())] {
        let Begun { attempt, recipients, .. } = desk.store.batch_begin(&intent).unwrap().unwrap();
        let end =
            AttemptEnd { attempt, at: now(), http_status: None, provider_code: None, provider_message: None };
        desk.store.batch_settle(&end, &settle(&recipients, reply, Doubt::Hold).unwrap()).unwrap();
    }
    let ledger = Connection::open(&desk.path).unwrap();
    let row: (String, i64) = ledger
        .query_row("SELECT outcome, attempts FROM delivery_log", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(row, ("unknown".to_owned(), 2), "what never left is no try");
}

/// The first instant of 2200.
const YEAR_2200_MS: i64 = 7_258_118_400_000;

proptest! {
    #[test]
    fn times_are_shown_to_the_millisecond(instants in proptest::collection::vec(0..YEAR_2200_MS, 50)) {
        let mut desk = desk();
        let instants = instants.into_iter().chain([0, 1, 999, 59_999, YEAR_2200_MS - 1]);
        let instants: Vec<_> = instants.map(|ms| Timestamp::from_millisecond(ms).unwrap()).collect();
        desk.store.begin().unwrap();
        for at in &instants {
            let act = Act { at: *at, who: "alice".to_owned(), why: None };
            desk.store.act_record(&act, "pause", "sale").unwrap();
        }
        desk.store.commit().unwrap();
        let ledger = Connection::open(&desk.path).unwrap();
        let mut statement = ledger.prepare("SELECT at FROM action_log").unwrap();
        let shown = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let shown: Vec<String> = shown.collect::<Result<_, _>>().unwrap();
        let expected: Vec<_> = instants.iter().map(|at| format!("{at:.3}")).collect();
        prop_assert_eq!(&shown, &expected);
        let read: Vec<Timestamp> = shown.iter().map(|text| text.parse().unwrap()).collect();
        prop_assert_eq!(read, instants);
    }
}

#[test]
fn every_time_is_shown_in_the_same_way() {
    let desk = desk();
    let ledger = Connection::open(&desk.path).unwrap();
    let mut statement = ledger.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view'").unwrap();
    let views = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut times = 0;
    for view in views {
        let (name, sql): (String, String) = view.unwrap();
        for call in sql.split("strftime(").skip(1) {
            times += 1;
            assert!(call.starts_with("'%Y-%m-%dT%H:%M:%fZ', "), "{name}: {call}");
            assert!(call.contains(" / 1000.0, 'unixepoch')"), "{name}: {call}");
        }
    }
    assert_eq!(times, 20);
}
