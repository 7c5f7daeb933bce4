//! Histories of requests that are made again because their answers were lost: while their provider answers them again,
//! and never when it would do them again.

use super::{
    histories::{ids, play, seconds},
    *,
};

/// How many messages each person got, and the most that anybody got.
fn copies(simulation: &Simulation) -> (usize, usize) {
    copies_at(&simulation.world)
}

fn copies_at(world: &World) -> (usize, usize) {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    world.received_by_netease(&sandbox::Filter::default(), None, |shown| {
        let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
        *times.entry(shown["recipient"].as_str().unwrap().to_owned()).or_default() += 1;
    });
    (times.len(), times.into_values().max().unwrap_or(0))
}

/// A campaign to fifty people at one minute past midnight, whose calls come to a provider with these faults.
fn begin(simulation: &mut Simulation, faults: serde_json::Value) {
    simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
    simulation.write(
        "replayed.yaml",
        &format!(
            "gateway: batch\nmessage: {{type: 0, body: {{msg: hi}}}}\nrecvIDs: [{}]\n\
             schedules: [{{at: 2026-11-11T00:01}}]\n",
            ids(50)
        ),
    );
    simulation.world.set_faults(serde_json::from_value(faults).unwrap());
}

const COUNTS: &str = "SELECT state || ' ' || accepted || ' accepted' FROM run_summary";
/// Seconds between the first request and each of the others under its name.
const REPLAYS: &str = "SELECT round((julianday(a.started_at) - julianday(f.started_at)) * 86400) || ' s'
     FROM attempt_log a JOIN (SELECT operation_id, min(started_at) AS started_at FROM attempt_log
        WHERE kind = 'send' GROUP BY operation_id) f USING (operation_id)
     WHERE a.kind = 'send' ORDER BY a.attempt";

#[test]
fn no_replay_leaves_when_its_minute_may_be_over() {
    play(async |simulation| {
        // The work is done, and of the answers none comes within the twenty seconds that we wait.
        begin(simulation, serde_json::json!({"hang": {"times": 4, "afterWork": true}}));
        let daemon = simulation.daemon();
        seconds(5 * 60).await;
        daemon.stop().await;
        assert_eq!(copies(simulation), (50, 1));
        assert_eq!(simulation.ask(REPLAYS), ["0.0 s", "25.0 s"]);
        assert_eq!(simulation.ask(COUNTS), ["completed 50 accepted"]);
    });
}

#[test]
fn a_lost_answer_is_replayed_at_once_and_nobody_is_in_doubt() {
    play(async |simulation| {
        begin(simulation, serde_json::json!({"dropAnswer": {"times": 2}}));
        let daemon = simulation.daemon();
        seconds(90).await;
        daemon.stop().await;
        assert_eq!(copies(simulation), (50, 1));
        assert_eq!(simulation.ask(REPLAYS), ["0.0 s", "5.0 s", "10.0 s"]);
        assert_eq!(simulation.ask(COUNTS), ["completed 50 accepted"]);
    });
}

#[test]
fn a_replay_that_is_heard_after_its_minute_does_nothing() {
    play(async |simulation| {
        begin(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
        let daemon = simulation.daemon();
        seconds(62).await;
        // The work is done; the replay is kept by the provider until its minute is over, and a second more.
        let hang = serde_json::json!({"hang": {"times": 1, "forMs": 56_000}});
        simulation.world.set_faults(serde_json::from_value(hang).unwrap());
        seconds(10 * 60).await;
        daemon.stop().await;
        assert_eq!(copies(simulation), (50, 1));
        assert_eq!(simulation.ask(REPLAYS), ["0.0 s", "5.0 s", "30.0 s"]);
        assert_eq!(simulation.ask(COUNTS), ["completed 50 accepted"]);
    });
}

#[test]
fn no_replay_leaves_after_a_restart() {
    // At once, within the minute, and after it.
    for downtime in [0, 20, 70] {
        play(async |simulation| {
            begin(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
            let daemon = simulation.daemon();
            // It has asked, and waits for the time of its replay.
            seconds(62).await;
            assert_eq!(simulation.ask(REPLAYS), ["0.0 s"]);
            daemon.abort_after(1).await;
            seconds(downtime).await;
            let daemon = simulation.daemon();
            seconds(5 * 60).await;
            daemon.stop().await;
            assert_eq!(copies(simulation), (50, 1));
            assert_eq!(simulation.ask(REPLAYS), ["0.0 s"], "{downtime}");
            assert_eq!(simulation.ask(COUNTS), ["completed 50 accepted"]);
        });
    }
}

#[test]
fn a_replay_goes_to_no_other_host_than_the_first_request() {
    // The first host can be reached when it is time for the replay, or cannot.
    for is_down in [false, true] {
        play(async |simulation| {
            begin(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
            let second = Arc::new(World::new(&sandbox::Options::default(), simulation.clock.clone()));
            let netease = simulation.netease.as_mut().unwrap();
            netease.second = Some(Arc::clone(&second));
            let first_host_is_down = Arc::clone(&netease.first_host_is_down);
            let daemon = simulation.daemon();
            seconds(62).await;
            first_host_is_down.store(is_down, Ordering::Relaxed);
            seconds(60).await;
            daemon.stop().await;
            assert_eq!((copies(simulation), copies_at(&second)), ((50, 1), (0, 0)));
            assert_eq!(simulation.ask(REPLAYS), ["0.0 s", "5.0 s"]);
            let accepted = if is_down { "running 0 accepted" } else { "completed 50 accepted" };
            assert_eq!(simulation.ask(COUNTS), [accepted]);
        });
    }
}
