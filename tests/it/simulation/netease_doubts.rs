//! Doubts of which NetEase's history says too little: nobody is taken for absent, or for present, by what another
//! account or another message shows.

use super::{
    histories::{Running, SetClock, play, seconds},
    *,
};

const OUTCOMES: &str = "SELECT outcome FROM delivery_log ORDER BY run, recipient";

fn faults(simulation: &Simulation, faults: serde_json::Value) {
    simulation.world.set_faults(serde_json::from_value(faults).unwrap());
}

/// What is sent later to others shows how far the provider has come, so that absence can be proven.
fn witnesses(simulation: &Simulation, from: &str) {
    simulation.write(
        "later.yaml",
        &format!(
            "gateway: looks\nmessage: {{type: 0, body: {{msg: later}}}}\nrecvIDs: [u00100, u00101]\n\
             schedules: [{{every: 2m, from: \"2026-11-11T{from}\"}}]\n"
        ),
    );
}

/// A campaign to one person at one minute past midnight.
fn one(simulation: &Simulation) {
    simulation.write(
        "one.yaml",
        "gateway: looks\nmessage: {type: 0, body: {msg: hi}}\nrecvIDs: [u00001]\n\
         schedules: [{at: 2026-11-11T00:01}]\n",
    );
}

const OUTCOME_OF_ONE: &str = "SELECT outcome FROM delivery_log WHERE campaign = 'one'";

#[test]
fn an_account_that_is_gone_may_have_got_its_message() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        let campaign = |recipients: &str, schedule: &str| {
            format!(
                "gateway: looks\nmessage: {{type: 0, body: {{msg: hi}}}}\nrecvIDs: [{recipients}]\n\
                 schedules: [{{{schedule}}}]\n"
            )
        };
        simulation.write("one.yaml", &campaign("u00001", "at: 2026-11-11T00:01"));
        // What is sent later shows how far the provider has come.
        simulation.write("later.yaml", &campaign("u00100, u00101", "every: 2m"));
        faults(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
        let daemon = simulation.daemon();
        // It has left, and nobody has looked yet.
        tokio::time::sleep(Duration::from_millis(60_500)).await;
        faults(simulation, serde_json::json!({"refuse": ["u00001"]}));
        // For longer than what proves absence takes.
        seconds(30 * 60).await;
        let outcome = "SELECT outcome FROM delivery_log WHERE campaign = 'one'";
        assert_eq!(simulation.ask(outcome), ["unknown"]);
        assert_eq!(
            simulation.ask("SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%'"),
            ["1"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_was_set_makes_no_other_message_ours() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        simulation.write(
            "everyone.yaml",
            "gateway: batch\nmessage: {body: {banner: 1}, isOffline: true}\nisSendAll: true\n\
             schedules: [{at: 2026-11-11T00:01}, {at: 2026-11-11T00:05}]\n",
        );
        let daemon = simulation.daemon();
        seconds(4 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted"]);
        // The second comes to nothing, and by the provider's clock the first is as young as the second.
        faults(
            simulation,
            serde_json::json!({"httpStatus": {"status": 502, "times": 1}, "netease": {"clockAheadS": -301}}),
        );
        seconds(60 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted", "unknown"]);
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_was_ahead_before_makes_no_other_message_ours() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        simulation.write(
            "everyone.yaml",
            "gateway: batch\nmessage: {body: {banner: 1}, isOffline: true}\nisSendAll: true\n\
             schedules: [{at: 2026-11-11T00:01}, {at: 2026-11-11T00:05}]\n",
        );
        faults(simulation, serde_json::json!({"netease": {"clockAheadS": 301}}));
        let daemon = simulation.daemon();
        seconds(4 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted"]);
        // Another daemon knows nothing of that clock.
        daemon.stop().await;
        faults(simulation, serde_json::json!({"httpStatus": {"status": 502, "times": 1}}));
        let daemon = simulation.daemon();
        seconds(60 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted", "unknown"]);
        daemon.stop().await;
    });
}

#[test]
fn a_clock_that_is_behind_makes_no_message_absent() {
    // By less than what the provider refuses, so that nobody notices; all the time, and until the look.
    for is_set_right in [false, true] {
        play(async |simulation| {
            simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
            one(simulation);
            witnesses(simulation, "00:03");
            let behind = serde_json::json!({"clockAheadS": -200});
            faults(simulation, serde_json::json!({"dropAnswer": {"times": 1}, "netease": behind}));
            let daemon = simulation.daemon();
            tokio::time::sleep(Duration::from_millis(60_500)).await;
            if is_set_right {
                faults(simulation, serde_json::json!({}));
            }
            seconds(60 * 60).await;
            assert_eq!(simulation.ask(OUTCOME_OF_ONE), ["unknown"]);
            assert_eq!(
                simulation
                    .ask("SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%'"),
                ["1"]
            );
            daemon.stop().await;
        });
    }
}

#[test]
fn a_message_of_an_earlier_run_is_not_found_again() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        simulation.write(
            "one.yaml",
            "gateway: looks\nmessage: {type: 0, body: {msg: hi}, returnMsgid: true}\nrecvIDs: [u00001]\n\
             schedules: [{at: 2026-11-11T00:01}, {at: 2026-11-11T00:05}]\n",
        );
        // The first bears a time of the future, which by then is that of the second.
        faults(simulation, serde_json::json!({"netease": {"clockAheadS": 245}}));
        let daemon = simulation.daemon();
        seconds(4 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted"]);
        faults(simulation, serde_json::json!({"httpStatus": {"status": 502, "times": 1}}));
        seconds(60 * 60).await;
        assert_eq!(simulation.ask(OUTCOMES), ["accepted", "unknown"]);
        assert_eq!(simulation.store_verified(), []);
        daemon.stop().await;
    });
}

#[test]
fn a_message_of_a_later_run_is_not_taken_for_that_of_an_earlier_one() {
    // By its id, or where none is known.
    for with_ids in [true, false] {
        play(async |simulation| {
            simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
            simulation.write(
                "one.yaml",
                &format!(
                    "gateway: looks\nmessage: {{type: 0, body: {{msg: hi}}, returnMsgid: {with_ids}}}\n\
                     recvIDs: [u00001]\nschedules: [{{at: 2026-11-11T00:01}}, {{at: 2026-11-11T00:02}}]\n"
                ),
            );
            // The first comes to nothing, and is still looked for when it has been cancelled and the second comes.
            faults(simulation, serde_json::json!({"hang": {"times": 1, "forMs": 86_400_000}}));
            let daemon = simulation.daemon();
            seconds(90).await;
            simulation.act(&Target::Run(RunID::from_text("one@20261111T000100Z")), Control::Cancel);
            seconds(60 * 60).await;
            assert_eq!(simulation.ask(OUTCOMES), ["unknown", "accepted"]);
            assert_eq!(
                simulation.ask("SELECT reason_code FROM delivery_log WHERE outcome = 'unknown'"),
                ["anotherRuns"]
            );
            assert_eq!(simulation.store_verified(), []);
            daemon.stop().await;
        });
    }
}

#[test]
fn a_clock_that_was_wrong_is_known_to_the_next_daemon() {
    // So far that the provider refuses our time: ahead, and behind.
    for ahead_s in [301, -301, 3_600, -3_600] {
        play(async |simulation| {
            simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
            one(simulation);
            // Whoever is written to before has the provider's clock learnt.
            witnesses(simulation, "00:00:30");
            let wrong = serde_json::json!({"clockAheadS": ahead_s});
            faults(simulation, serde_json::json!({"netease": wrong}));
            let daemon = simulation.daemon();
            tokio::time::sleep(Duration::from_millis(59_900)).await;
            // Its answer is lost.
            faults(
                simulation,
                serde_json::json!({"hang": {"times": 1, "afterWork": true}, "netease": wrong}),
            );
            seconds(3).await;
            daemon.abort_after(0).await;
            faults(simulation, serde_json::json!({}));
            let daemon = simulation.daemon();
            seconds(60 * 60).await;
            assert_eq!(simulation.ask(OUTCOME_OF_ONE), ["unknown"], "{ahead_s}");
            assert_eq!(
                simulation.ask(
                    "SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%' AND verdict <> 'nothing_done'"
                ),
                ["1"]
            );
            daemon.stop().await;
        });
    }
}

#[test]
fn a_message_that_leaves_no_trace_with_its_sender_is_found_all_the_same() {
    play(async |simulation| {
        simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
        simulation.write(
            "one.yaml",
            "gateway: looks\nmessage: {type: 0, body: {msg: hi}, msgSenderNoSense: 1}\nrecvIDs: [u00001]\n\
             schedules: [{at: 2026-11-11T00:01}]\n",
        );
        witnesses(simulation, "00:03");
        faults(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
        let daemon = simulation.daemon();
        seconds(60 * 60).await;
        assert_eq!(simulation.ask(OUTCOME_OF_ONE), ["accepted"]);
        assert_eq!(
            simulation.ask("SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%'"),
            ["1"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_message_that_left_before_our_clock_was_set_back_is_not_sought_where_it_left_by_that() {
    play(async |simulation| {
        let netease = netease::NetEase::new(1, Scale::Long);
        let clock = SetClock::new(simulation.clock.clone());
        clock.set(20 * 60);
        one(simulation);
        let due = "schedules: [{at: 2026-11-11T00:21}]\n";
        let file = simulation.folder.files.lock().unwrap()["one.yaml"].clone();
        simulation.write("one.yaml", &(file.split("schedules").next().unwrap().to_owned() + due));
        witnesses(simulation, "00:20:30");
        let mut parts = simulation.parts(&Arc::default());
        parts.clock = clock.clone();
        parts.gateways.0.extend(netease.posts(&simulation.world, &clock));
        let daemon = Running::start(parts);
        seconds(59).await;
        // Its answer is lost.
        faults(simulation, serde_json::json!({"dropAnswer": {"times": 1}}));
        seconds(4).await;
        clock.set(0);
        seconds(3 * 60 * 60).await;
        assert_eq!(simulation.ask(OUTCOME_OF_ONE), ["unknown"]);
        assert_eq!(
            simulation.ask("SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%' AND verdict <> 'nothing_done'"),
            ["1"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_broadcast_that_the_provider_keeps_no_more_is_not_absent() {
    // Its time is over when it is looked up; and it is not, so that it is found.
    for (ttl, outcome) in [(1, "unknown"), (24, "accepted")] {
        play(async |simulation| {
            simulation.netease = Some(netease::NetEase::new(1, Scale::Long));
            simulation.write(
                "one.yaml",
                &format!(
                    "gateway: looks\nmessage: {{body: {{banner: 1}}, isOffline: true, ttl: {ttl}}}\n\
                     isSendAll: true\nschedules: [{{at: 2026-11-11T00:01}}]\n"
                ),
            );
            simulation.write(
                "later.yaml",
                "gateway: looks\nmessage: {body: {banner: 2}, isOffline: true}\nisSendAll: true\n\
                 schedules: [{every: 5m, from: \"2026-11-11T00:05\"}]\n",
            );
            let no_history =
                serde_json::json!({"status": 502, "times": 1_000_000, "path": "/nimserver/history"});
            faults(simulation, serde_json::json!({"dropAnswer": {"times": 1}, "httpStatus": no_history}));
            let daemon = simulation.daemon();
            seconds(2 * 60 * 60).await;
            faults(simulation, serde_json::json!({}));
            seconds(60 * 60).await;
            assert_eq!(simulation.ask(OUTCOME_OF_ONE), [outcome]);
            assert_eq!(
                simulation
                    .ask("SELECT count(*) || '' FROM attempt_log WHERE kind = 'send' AND run LIKE 'one@%'"),
                ["1"]
            );
            daemon.stop().await;
        });
    }
}
