//! Histories of doubt: a message of which no answer tells, and a provider that makes it hard to know.
//! Whatever it does, nobody gets the message twice, and what cannot be proven is not believed.

use campaignd::{
    gateway::{
        Pending,
        openim::OpenIM,
        transport::{self, RawAnswer, Transport, TransportFault},
    },
    run::inquiry::Purpose,
    sandbox::{
        Filter,
        faults::{CutAfter, Hang, Times},
        truth::Fate,
    },
    store::Store,
};

use super::{
    histories::{MESSAGE, Running, SetClock, ids, play, seconds},
    *,
};

/// A campaign whose messages show how far the provider has come, to so many users from number 101 on.
fn noise(simulation: &Simulation, users: u32) {
    let list: String = (101..101 + users).map(|n| format!("u{n:05}\n")).collect();
    std::fs::write(simulation.database.with_file_name("noise.txt"), list).unwrap();
    simulation.write(
        "noise.yaml",
        &format!(
            "{MESSAGE}\nrecipients: [{{file: noise.txt}}]\n\
             schedules: [{{every: 1m, from: \"2026-11-11T00:02\"}}]\n"
        ),
    );
}

/// A campaign to the first so many users at one minute past midnight.
fn doubtful(simulation: &Simulation, users: u32, delivery: &str) {
    simulation.write(
        "doubt.yaml",
        &format!(
            "{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: 2026-11-11T00:01}}]\ndelivery: {{{delivery}}}\n",
            ids(users)
        ),
    );
}

const OUTCOMES: &str =
    "SELECT outcome || ' ' || coalesce(reason_code, '') || ' ' || count(*) FROM delivery_log
    WHERE campaign = 'doubt' GROUP BY outcome, reason_code ORDER BY 1";
const STATE: &str = "SELECT state FROM run_summary WHERE campaign = 'doubt'";

/// Nobody has any message of a run twice, unless the provider has lost one of them.
#[track_caller]
fn nobody_twice(simulation: &Simulation) {
    let mut got = BTreeMap::new();
    let attempts: BTreeMap<String, String> = {
        let pairs = simulation.ask("SELECT operation_id || ' ' || run FROM attempt_log WHERE kind = 'send'");
        pairs.iter().map(|pair| pair.split_once(' ').unwrap()).map(|(a, b)| (a.into(), b.into())).collect()
    };
    simulation.world.received(&Filter::default(), |received| {
        if received.fate != Fate::Lost {
            let run = attempts[received.operation_id].clone();
            *got.entry((run, received.recipient.to_owned())).or_insert(0) += 1;
        }
    });
    let twice: Vec<_> = got.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// A doubtful campaign under these faults; how it stands after so many minutes.
#[track_caller]
fn check(faults: Faults, users: u32, witnesses: u32, minutes: u64, expected: (&str, &[&str])) {
    play(async |simulation| {
        doubtful(simulation, users, "batchSize: 50, concurrency: 1");
        noise(simulation, witnesses);
        simulation.world.set_faults(faults.clone());
        let daemon = simulation.daemon();
        seconds(60 * minutes).await;
        assert_eq!((simulation.ask(STATE)[0].as_str(), simulation.ask(OUTCOMES)), {
            let outcomes: Vec<String> = expected.1.iter().map(|text| text.to_string()).collect();
            (expected.0, outcomes)
        });
        nobody_twice(simulation);
        assert_eq!(simulation.store_verified(), []);
        daemon.stop().await;
    });
}

fn cut_after(recipients: usize) -> Faults {
    Faults { cut_after: Some(CutAfter { recipients, times: 1, path: None }), ..Faults::default() }
}

fn answer_dropped() -> Faults {
    Faults { drop_answer: Some(Times::new(1)), ..Faults::default() }
}

#[test]
fn a_batch_whose_answer_is_lost_is_found() {
    check(answer_dropped(), 50, 1, 2, ("completed", &["accepted  50"]));
}

#[test]
fn the_rest_of_a_cut_batch_is_sent_when_its_absence_is_proven() {
    // Those who have it are found at once; the others wait until ten quiet minutes are over.
    check(cut_after(20), 50, 1, 11, ("running", &["accepted  20", "unknown noAnswer 30"]));
    check(cut_after(20), 50, 1, 13, ("completed", &["accepted  50"]));
}

#[test]
fn what_is_stored_late_is_not_sent_again() {
    let faults = |late_minutes: u32| Faults { store_late_ms: late_minutes * 60_000, ..answer_dropped() };
    // What is sent later is as late, so it proves nothing.
    check(faults(20), 50, 3, 15, ("running", &["unknown noAnswer 50"]));
    check(faults(20), 50, 3, 25, ("completed", &["accepted  50"]));
}

#[test]
fn a_partition_that_lags_alone_proves_nothing_for_itself() {
    // Most of what is sent later is visible, far more than 64 of it: but not all in a row.
    let lags = vec![0, 0, 0, 0, 0, 25 * 60_000, 0, 0];
    let faults = Faults { partition_late_ms: lags, ..answer_dropped() };
    check(faults, 50, 200, 40, ("completed", &["accepted  50"]));
}

/// A doubtful campaign whose clock is set while it is looked up; how it stands after so many minutes.
#[track_caller]
fn check_clock(faults: Faults, (before, after): (i64, i64), minutes: u64, expected: &str) {
    play(async |simulation| {
        let clock = SetClock::new(simulation.clock.clone());
        clock.set(before);
        let due = (clock.now() + SignedDuration::from_mins(1)).strftime("%Y-%m-%dT%H:%M").to_string();
        doubtful(simulation, 50, "");
        let file = simulation.folder.files.lock().unwrap()["doubt.yaml"].clone();
        simulation.write("doubt.yaml", &file.replace("2026-11-11T00:01", &due));
        noise(simulation, 1);
        simulation.world.set_faults(faults.clone());
        let mut parts = simulation.parts(&Arc::default());
        parts.clock = clock.clone();
        let gateway = sandbox::gateway(simulation.world.clone(), sandbox::account(), clock.clone());
        parts.gateways.0.get_mut("sandbox").unwrap().gateway = Arc::new(gateway);
        let daemon = Running::start(parts);
        seconds(150).await;
        clock.set(after);
        seconds(60 * minutes - 150).await;
        assert_eq!(simulation.ask(OUTCOMES), [expected]);
        nobody_twice(simulation);
        assert_eq!(simulation.store_verified(), []);
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_is_set_ahead_is_no_quiet() {
    let lags = vec![0, 0, 0, 0, 0, 5 * 60_000, 0, 0];
    let faults = || Faults { partition_late_ms: lags.clone(), ..answer_dropped() };
    check_clock(faults(), (0, 11 * 60), 20, "accepted  50");
}

#[test]
fn a_clock_that_was_ahead_makes_nobody_wait_for_its_time() {
    check_clock(cut_after(20), (86_400, 0), 15, "accepted  50");
}

#[test]
fn messages_that_the_provider_loses_are_no_hindrance_where_there_are_many() {
    let faults = Faults { lose_every: 90, ..cut_after(20) };
    check(faults, 50, 200, 40, ("completed", &["accepted  50"]));
}

#[test]
fn whoever_failed_although_it_was_stored_is_found() {
    let faults = Faults { fail_stored_every: 7, ..Faults::default() };
    check(faults, 50, 1, 3, ("completed", &["accepted  50"]));
}

#[test]
fn whoever_failed_for_a_reason_that_no_list_tells_is_asked_alone() {
    let refuse = ["u00003", "u00007"].map(str::to_owned).into();
    let faults = Faults { refuse, ..Faults::default() };
    check(faults, 50, 1, 20, ("completed", &["accepted  48", "refused 1302 2"]));
}

#[test]
fn copies_that_the_provider_makes_are_one_message() {
    check(Faults { store_again: 50, ..answer_dropped() }, 50, 1, 3, ("completed", &["accepted  50"]));
}

#[test]
fn what_a_look_leaves_out_is_not_absent() {
    let faults = Faults { omit_conversations_every: 1, ..answer_dropped() };
    check(faults, 3, 1, 20, ("running", &["unknown noAnswer 3"]));
    let faults = Faults { omit_conversations_every: 1, ..answer_dropped() };
    check(faults, 3, 1, 60, ("completed", &["unknown notProven 3"]));
}

#[test]
fn without_any_later_message_absence_is_not_believed() {
    play(async |simulation| {
        doubtful(simulation, 1, "");
        simulation.world.set_faults(cut_after(0));
        let daemon = simulation.daemon();
        seconds(60 * 29).await;
        assert_eq!(simulation.ask(STATE), ["running"]);
        seconds(60 * 5).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        assert_eq!(simulation.ask(OUTCOMES), ["unknown notProven 1"]);
        daemon.stop().await;
    });
}

#[test]
fn an_account_of_ours_shows_how_far_the_provider_has_come() {
    play(async |simulation| {
        doubtful(simulation, 1, "");
        simulation.world.set_faults(cut_after(0));
        let mut parts = simulation.parts(&Arc::default());
        let probe = campaignd::campaign::RecipientID::new("u00700").unwrap();
        parts.gateways.0.get_mut("sandbox").unwrap().probe = Some(probe);
        let daemon = Running::start(parts);
        seconds(60 * 14).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        assert_eq!(simulation.ask(OUTCOMES), ["accepted  1"]);
        let mut got = Vec::new();
        simulation.world.received(&Filter::default(), |received| got.push(received.recipient.to_owned()));
        assert_eq!(got, ["u00700", "u00001"]);
        assert_eq!(simulation.store_verified(), []);
        daemon.stop().await;
    });
}

#[test]
fn a_server_that_was_restored_from_a_backup_is_not_believed() {
    play(async |simulation| {
        doubtful(simulation, 3, "batchSize: 3");
        noise(simulation, 1);
        // Each has messages already, and the look reads how far their conversations go.
        simulation.write(
            "before.yaml",
            &format!("{MESSAGE}\nrecvIDs: [{}]\nschedules: [{{at: \"2026-11-11T00:00:30\"}}]\n", ids(3)),
        );
        let daemon = simulation.daemon();
        seconds(50).await;
        simulation.world.set_faults(cut_after(0));
        seconds(60).await;
        simulation.world.set_faults(Faults { restore_backup_of_ms_ago: Some(100_000), ..Faults::default() });
        seconds(60 * 60).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        let outcomes = simulation.ask(OUTCOMES);
        assert!(outcomes.iter().all(|outcome| outcome.starts_with("unknown ")), "{outcomes:?}");
        nobody_twice(simulation);
        daemon.stop().await;
    });
}

#[test]
fn what_cannot_be_looked_up_is_held_and_says_why() {
    play(async |simulation| {
        simulation.write(
            "doubt.yaml",
            "message: {contentType: text, content: {content: hi}, isOnlineOnly: true}\nrecvIDs: [u00001]\n\
             schedules: [{at: 2026-11-11T00:01}]\n",
        );
        simulation.world.set_faults(answer_dropped());
        let daemon = simulation.daemon();
        seconds(90).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        let reasons = simulation.ask("SELECT outcome || ': ' || reason FROM delivery_log");
        assert!(reasons[0].starts_with("unknown: ") && reasons[0].contains("; held: "), "{reasons:?}");
        daemon.stop().await;
    });
}

#[test]
fn what_was_accepted_and_is_lost_is_told_when_it_is_confirmed() {
    play(async |simulation| {
        doubtful(simulation, 50, "confirm: true");
        simulation.world.set_faults(Faults { lose_every: 10, ..Faults::default() });
        let daemon = simulation.daemon();
        seconds(60 * 5).await;
        assert_eq!(simulation.ask(STATE), ["running"]);
        seconds(60 * 10).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        assert_eq!(simulation.ask(OUTCOMES), ["accepted  45", "accepted notFound 5"]);
        let confirmed = "SELECT count(confirmed_at) || '' FROM delivery_log";
        assert_eq!(simulation.ask(confirmed), ["45"]);
        let lost = simulation.lost();
        let missing = simulation.ask("SELECT recipient FROM delivery_log WHERE reason_code = 'notFound'");
        assert_eq!(missing, lost);
        daemon.stop().await;
    });
}

#[test]
fn what_was_accepted_is_confirmed_although_the_daemon_was_gone_at_the_last_batch() {
    play(async |simulation| {
        let delivery = "batchSize: 25, confirm: true, onUnknown: hold, limits: {recipients: 25/min}";
        doubtful(simulation, 50, delivery);
        let daemon = simulation.daemon();
        seconds(100).await;
        simulation.world.set_faults(Faults {
            hang: Some(Hang { times: 1, path: None, for_ms: None, after_work: false }),
            ..Faults::default()
        });
        seconds(25).await;
        daemon.abort_after(0).await;
        simulation.world.set_faults(Faults::default());
        let daemon = simulation.daemon();
        seconds(60 * 15).await;
        assert_eq!(simulation.ask(STATE), ["completed"]);
        assert_eq!(simulation.ask(OUTCOMES), ["accepted  25", "unknown interrupted 25"]);
        assert_eq!(simulation.ask("SELECT count(confirmed_at) || '' FROM delivery_log"), ["25"]);
        daemon.stop().await;
    });
}

#[test]
fn the_record_of_a_message_that_is_lost_confirms_nothing() {
    play(async |simulation| {
        simulation.write(
            "doubt.yaml",
            &format!(
                "{MESSAGE}\ngroupIDs: [g1001]\nschedules: [{{at: 2026-11-11T00:01}}]\ndelivery: {{confirm: true}}\n"
            ),
        );
        simulation.world.set_faults(Faults { lose_every: 1, ..answer_dropped() });
        let daemon = simulation.daemon();
        seconds(60 * 15).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted notFound 1"]);
        daemon.stop().await;
    });
}

#[test]
fn an_author_who_accepts_duplicates_does_not_wait() {
    play(async |simulation| {
        doubtful(simulation, 50, "onUnknown: resend, batchSize: 50");
        simulation.world.set_faults(answer_dropped());
        let daemon = simulation.daemon();
        seconds(100).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted  50"]);
        assert_eq!(simulation.ask("SELECT DISTINCT attempts || '' FROM delivery_log"), ["2"]);
        daemon.stop().await;
    });
}

#[test]
fn a_crash_at_any_moment_of_a_look_up_changes_nothing() {
    for polls in (1..200).step_by(25) {
        play(async |simulation| {
            doubtful(simulation, 50, "batchSize: 50, concurrency: 1");
            noise(simulation, 2);
            simulation.world.set_faults(cut_after(20));
            let daemon = simulation.daemon();
            seconds(60 * 12 + 1).await;
            daemon.abort_after(polls).await;
            let daemon = simulation.daemon();
            seconds(60 * 40).await;
            assert_eq!(simulation.ask(STATE), ["completed"]);
            assert_eq!(simulation.ask(OUTCOMES), ["accepted  50"], "crash after {polls} polls");
            nobody_twice(simulation);
            assert_eq!(simulation.store_verified(), []);
            daemon.stop().await;
        });
    }
}

/// Lets each request that looks something up take its time.
struct SlowLooks(sandbox::transport::InProcess);

impl Transport for SlowLooks {
    fn post<'a>(&'a self, post: transport::Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            if post.path.contains("seq") {
                seconds(100).await;
            }
            self.0.post(post).await
        })
    }
}

/// A message that becomes visible together with the witnesses, between two looks, would be taken for
/// absent if they were looked at after it.
#[test]
fn witnesses_are_looked_at_before_the_message() {
    // Wherever in the rhythm of looks it becomes visible.
    for half_minutes in 0..14 {
        play(async |simulation| {
            doubtful(simulation, 1, "");
            simulation.write(
                "noise.yaml",
                &format!("{MESSAGE}\nrecvIDs: [u00101]\nschedules: [{{at: \"2026-11-11T00:01:05\"}}]\n"),
            );
            let store_late_ms = (14 * 60 + 30 * half_minutes) * 1_000;
            simulation.world.set_faults(Faults { store_late_ms, ..answer_dropped() });
            let mut parts = simulation.parts(&Arc::default());
            let transport = Arc::new(SlowLooks(sandbox::transport::InProcess::new(simulation.world.clone())));
            let gateway = OpenIM::new(sandbox::account(), transport, simulation.clock.clone());
            parts.gateways.0.get_mut("sandbox").unwrap().gateway = Arc::new(gateway);
            let daemon = Running::start(parts);
            seconds(60 * 60).await;
            assert_eq!(simulation.ask(OUTCOMES), ["accepted  1"]);
            nobody_twice(simulation);
            daemon.stop().await;
        });
    }
}

#[test]
fn what_was_seen_for_an_inquiry_that_is_over_says_nothing_for_the_next() {
    play(async |simulation| {
        for (name, at) in [("first", "00:01"), ("doubt", "00:12")] {
            let schedules = format!("schedules: [{{at: 2026-11-11T{at}}}]");
            simulation
                .write(&format!("{name}.yaml"), &format!("{MESSAGE}\nrecvIDs: [u00001]\n{schedules}\n"));
        }
        noise(simulation, 100);
        let daemon = simulation.daemon();
        seconds(90).await;
        simulation.world.set_faults(Faults { restore_backup_of_ms_ago: Some(60_000), ..Faults::default() });
        seconds(10 * 60).await;
        // The message is there, and nobody knows yet: its answer is awaited.
        let hang = serde_json::json!({"hang": {"times": 1, "afterWork": true}});
        simulation.world.set_faults(serde_json::from_value(hang).unwrap());
        seconds(50).await;
        let act = Act { at: simulation.clock.now(), who: "somebody".to_owned(), why: None };
        let first = RunID::from_text("first@20261111T000100Z");
        let mut store = simulation.store();
        store.begin().unwrap();
        store.run_inquire(&first, Purpose::Confirm, &act).unwrap();
        store.commit().unwrap();
        seconds(20 * 60).await;
        daemon.stop().await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted  1"]);
        let sent = "SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'doubt@%'";
        assert_eq!(simulation.ask(sent), ["1"]);
        let confirmed = "SELECT reason_code FROM delivery_log WHERE campaign = 'first'";
        assert_eq!(simulation.ask(confirmed), ["notFound"]);
        nobody_twice(simulation);
    });
}
