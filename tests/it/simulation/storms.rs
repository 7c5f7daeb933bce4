//! A provider that throttles by the minute, and blocks for one: a campaign comes through it, nobody twice.

use super::{
    histories::{play, seconds},
    *,
};

const ATTEMPTS: &str = "SELECT provider_code || ' ' || verdict || ' ' || count(*) FROM attempt_log
     WHERE kind = 'send' GROUP BY provider_code, verdict ORDER BY 1";
const COUNTS: &str =
    "SELECT state || ' ' || accepted || ' accepted ' || failed || ' failed' FROM run_summary";

#[test]
fn a_416_storm_is_waited_out_and_everyone_gets_it_once() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1));
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
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        simulation.world.received_by_netease(&sandbox::Filter::default(), None, |shown| {
            let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
            *times.entry(shown["recipient"].as_str().unwrap().to_owned()).or_default() += 1;
        });
        assert!(times.len() == 600 && times.values().all(|times| *times == 1), "{times:?}");
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
