//! A provider that throttles calls by the minute, and questions by the second: campaigns come through it, nobody twice.

use super::{
    histories::{play, seconds},
    *,
};

const ATTEMPTS: &str = "SELECT provider_code || ' ' || verdict || ' ' || count(*) FROM attempt_log
     WHERE kind = 'send' GROUP BY provider_code, verdict ORDER BY 1";
const COUNTS: &str =
    "SELECT state || ' ' || accepted || ' accepted ' || failed || ' failed' FROM run_summary";

/// So many people got a message that holds this mark, each once.
#[track_caller]
fn everyone_once(simulation: &Simulation, mark: &str, people: usize) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    simulation.world.received_by_netease(&sandbox::Filter::default(), None, |shown| {
        let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
        if shown["content"].to_string().contains(mark) {
            *times.entry(shown["recipient"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    });
    assert!(times.len() == people && times.values().all(|times| *times == 1), "{times:?}");
}

#[test]
fn a_416_storm_is_waited_out_and_everyone_gets_it_once() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        let people = (1..=600).map(|n| format!("u{n:05}")).collect::<Vec<_>>().join(", ");
        simulation.write(
            "storm.yaml",
            &format!(
                "gateway: batch\nmessage: {{type: 0, body: {{msg: storm}}}}\nrecvIDs: [{people}]\n\
                 schedules: [{{at: 2026-11-11T00:01}}]\n"
            ),
        );
        // Far below our limit: ten batches of 60 meet a quota of three a minute.
        let faults = serde_json::json!({"netease": {"quota": 3}});
        simulation.world.set_faults(serde_json::from_value(faults).unwrap());
        let daemon = simulation.daemon();
        seconds(20 * 60).await;
        daemon.stop().await;
        assert_eq!(simulation.ask(COUNTS), ["completed 600 accepted 0 failed"]);
        everyone_once(simulation, "storm", 600);
        let attempts = simulation.ask(ATTEMPTS);
        assert_eq!(attempts[0], "200 answered 10");
        assert!(attempts.len() == 2 && attempts[1].starts_with("416 nothing_done "), "{attempts:?}");
        // After each 416 nothing leaves for a minute.
        let too_soon = simulation.ask(
            "SELECT a.started_at FROM attempt_log a JOIN attempt_log b ON b.provider_code = 416
                AND a.started_at > b.finished_at
                AND (julianday(a.started_at) - julianday(b.finished_at)) * 86400 < 60.0",
        );
        assert_eq!(too_soon, Vec::<String>::new());
    });
}

/// A campaign whose first call comes to nothing, and tells nothing; and one to many people, whose messages show how
/// far the provider has come. What their messages say is theirs.
fn doubtful(simulation: &mut Simulation, message: &str) {
    simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
    let people = |from: u32, to: u32| {
        let rows: String = (from..=to).map(|n| format!("u{n:05},name-{n}\n")).collect();
        format!("userID,name\n{rows}")
    };
    let folder = simulation.database.with_file_name("few.csv");
    std::fs::write(&folder, people(1, 60)).unwrap();
    std::fs::write(folder.with_file_name("many.csv"), people(101, 700)).unwrap();
    for (id, list, minute) in [("few", "few", 1), ("many", "many", 2)] {
        simulation.write(
            &format!("{id}.yaml"),
            &format!(
                "gateway: looks\nmessage: {{type: 0, body: {{msg: \"{id} {message}\"}}}}\n\
                 recipients: [{{file: {list}.csv, column: userID}}]\nschedules: [{{at: 2026-11-11T00:0{minute}}}]\n\
                 delivery: {{batchSize: 60, concurrency: 1}}\nfinishWithin: 3h\n"
            ),
        );
    }
}

/// How a doubtful campaign stands after so many minutes under these faults: how many look-ups came too soon.
#[track_caller]
fn settles(message: &str, faults: serde_json::Value, minutes: u64, expected: &str) -> usize {
    let mut too_soon = 0;
    play(async |simulation| {
        doubtful(simulation, message);
        simulation.world.set_faults(serde_json::from_value(faults.clone()).unwrap());
        let daemon = simulation.daemon();
        seconds(60 * minutes).await;
        daemon.stop().await;
        let counts =
            "SELECT state || ' ' || accepted || ' accepted ' || unknown || ' unknown' FROM run_summary
             WHERE campaign = 'few'";
        assert_eq!(simulation.ask(counts), [expected]);
        everyone_once(simulation, "many", 600);
        if expected == "completed 60 accepted 0 unknown" {
            everyone_once(simulation, "few", 60);
        }
        assert_eq!(simulation.store_verified(), []);
        let throttled = "SELECT operation_id FROM attempt_log WHERE kind = 'look' AND provider_code = 416";
        too_soon = simulation.ask(throttled).len();
    });
    too_soon
}

/// The first call of the few comes to a proxy that gives up, so nothing was done.
fn nothing_done() -> serde_json::Value {
    serde_json::json!({"httpStatus": {"status": 504, "times": 1}})
}

#[test]
fn look_ups_fit_into_the_quota_so_that_absence_is_proven_by_many_witnesses() {
    // Sixty that are sought and two hundred witnesses, of a hundred questions a second.
    let settled = "completed 60 accepted 0 unknown";
    assert_eq!(settles("hi", nothing_done(), 15, settled), 0);
}

#[test]
fn look_ups_that_others_leave_no_room_for_are_made_later_and_settle_all_the_same() {
    let mut faults = nothing_done();
    faults["netease"] = serde_json::json!({"codeBefore":
        {"code": 416, "desc": "query too fast", "times": 15, "path": "/nimserver/history"}});
    let too_soon = settles("hi", faults.clone(), 25, "completed 60 accepted 0 unknown");
    assert_eq!(too_soon, 15);
    // While it lasts nobody is given up, and the provider is asked no more than it blocks.
    faults["netease"]["codeBefore"]["times"] = 4_000.into();
    let too_soon = settles("hi", faults, 15, "running 0 accepted 60 unknown");
    assert!(too_soon > 10 && too_soon < 15 * 60 / 11, "{too_soon}");
}

#[test]
fn messages_with_variables_are_recognised_each_as_it_was_sent() {
    // A call for each person, whose words are their own: some were done, and some were not.
    let mut faults = serde_json::json!({"dropAnswer": {"times": 3}});
    let settled = "completed 60 accepted 0 unknown";
    settles("hi {{name}}", faults.clone(), 40, settled);
    faults["httpStatus"] = serde_json::json!({"status": 504, "times": 3});
    settles("hi {{name}}", faults, 60, settled);
}
