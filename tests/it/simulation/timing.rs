//! Windows, queues, catching up, exceptions: the daemon obeys what the plan says, across restarts too.

use campaignd::sandbox::Filter;

use super::{
    histories::{MESSAGE, RUNS, SLOTS, ids, play, seconds},
    *,
};

fn campaign(rest: &str) -> String {
    format!("{MESSAGE}\n{rest}\n")
}

/// Forty recipients, ten a minute: four minutes.
fn slow(rest: &str) -> String {
    campaign(&format!("recvIDs: [{}]\ndelivery: {{limits: {{recipients: 10/min}}}}\n{rest}", ids(40)))
}

#[test]
fn a_run_pauses_outside_of_its_window_and_resumes_inside() {
    for restarts in [false, true] {
        play(async |simulation| {
            simulation.write(
                "a.yaml",
                &slow("schedules: [{at: 2026-11-11T00:01}]\nwindow: {between: [\"00:00-00:03\", \"00:30-01:00\"]}"),
            );
            let mut daemon = simulation.daemon();
            seconds(5 * 60).await;
            let paused = "paused window: closed until Wed 2026-11-11 00:30 +00:00 accepted 20 pending 20 expired 0 \
                          cancelled 0";
            assert_eq!(simulation.ask(RUNS), [paused]);
            if restarts {
                daemon.stop().await;
                daemon = simulation.daemon();
                seconds(60).await;
                assert_eq!(simulation.ask(RUNS), [paused]);
            }
            // Half a minute after it opens.
            seconds(if restarts { 24 * 60 + 30 } else { 25 * 60 + 30 }).await;
            assert!(
                simulation.ask(RUNS)[0].starts_with("running  accepted 30"),
                "{:?}",
                simulation.ask(RUNS)
            );
            seconds(5 * 60).await;
            assert_eq!(simulation.ask(RUNS), ["completed  accepted 40 pending 0 expired 0 cancelled 0"]);
            // Nobody got it while the window was closed.
            let mut outside = 0;
            simulation.world.received(&Filter::default(), |received| {
                let minute = received.received_at / 60_000 % 60;
                outside += u32::from((3..30).contains(&minute));
            });
            assert_eq!(outside, 0);
            daemon.stop().await;
        });
    }
}

#[test]
fn what_a_closed_window_holds_back_expires_when_its_time_is_over() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &slow(
                "schedules: [{at: 2026-11-11T00:01}]\nwindow: {between: \"00:00-00:03\"}\nfinishWithin: 10m\n",
            ),
        );
        let daemon = simulation.daemon();
        seconds(15 * 60).await;
        assert_eq!(
            simulation.ask(RUNS),
            ["completed finishWithin is over accepted 20 pending 0 expired 20 cancelled 0"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_retry_of_a_run_that_goes_on_gives_it_as_much_time_as_it_had_at_first() {
    use campaignd::store::Store;
    for (retries, ends) in [
        (false, "completed finishWithin is over accepted"),
        // Another three minutes, which are enough.
        (true, "completed  accepted"),
    ] {
        play(async |simulation| {
            let ids: Vec<String> =
                (1..=20).flat_map(|number| [format!("u{number:05}"), format!("nobody{number:05}")]).collect();
            simulation.write(
                "a.yaml",
                &campaign(&format!(
                    "recvIDs: [{}]\ndelivery: {{limits: {{recipients: 10/min}}}}\nfinishWithin: 3m\n\
                     schedules: [{{at: 2026-11-11T00:01}}]",
                    ids.join(", ")
                )),
            );
            let daemon = simulation.daemon();
            seconds(3 * 60 + 30).await;
            if retries {
                let run = simulation.ask("SELECT run FROM run_summary").remove(0);
                let act = Act { at: simulation.clock.now(), who: "somebody".to_owned(), why: None };
                let mut store = simulation.store();
                store.begin().unwrap();
                assert!(store.run_retry(&RunID::from_text(run), &["refused"], &act).unwrap() > 0);
                store.commit().unwrap();
            }
            seconds(10 * 60).await;
            let told = simulation.ask(RUNS);
            assert!(told[0].starts_with(ends), "{told:?}");
            daemon.stop().await;
        });
    }
}

#[test]
fn a_slot_outside_of_the_window_is_skipped_and_a_send_by_hand_waits() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &campaign(
                "recvIDs: [u00001]\nschedules: [{cron: \"*/10 * * * *\"}]\nwindow: {between: \"00:15-00:25\"}",
            ),
        );
        let daemon = simulation.daemon();
        seconds(5 * 60).await;
        simulation.ask_to_send("a", &[], true);
        simulation.ask_to_send("a", &["u00002"], true);
        seconds(5).await;
        let states = "SELECT trigger || ' ' || state || ' ' || coalesce(reason, '') FROM run_summary
            WHERE trigger <> 'schedule' ORDER BY trigger";
        let waits = "manual paused window: closed until Wed 2026-11-11 00:15 +00:00";
        assert_eq!(simulation.ask(states), [waits, "test completed "]);
        seconds(30 * 60).await;
        assert_eq!(simulation.ask(states), ["manual completed ", "test completed "]);
        assert_eq!(
            simulation.ask(SLOTS),
            ["00:10:00 skipped window 1", "00:20:00 run  1", "00:30:00 skipped window 1"]
        );
        daemon.stop().await;
    });
}

#[test]
fn the_queue_keeps_one_slot_across_restarts() {
    for restarts in [false, true] {
        play(async |simulation| {
            // Four minutes each.
            simulation.write(
                "a.yaml",
                &slow("schedules: [{cron: \"1,2,3,30 * * * *\"}]\noverlap: queue\nlateness: {max: 2m}"),
            );
            let mut daemon = simulation.daemon();
            seconds(4 * 60).await;
            assert_eq!(simulation.ask(SLOTS), ["00:01:00 run  1", "00:02:00 skipped overlap 1"]);
            if restarts {
                daemon.stop().await;
                daemon = simulation.daemon();
            }
            seconds(10 * 60).await;
            assert_eq!(
                simulation.ask(SLOTS),
                ["00:01:00 run  1", "00:02:00 skipped overlap 1", "00:03:00 run  1"]
            );
            assert_eq!(simulation.ask(RUNS), ["completed  accepted 40 pending 0 expired 0 cancelled 0"; 2]);
            daemon.stop().await;
        });
    }
}

/// The slots after a downtime from 00:11 to 00:27, of a campaign that fires every five minutes.
fn after_downtime(catch_up: &str) -> Vec<String> {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &campaign(&format!(
                "recvIDs: [u00001]\nschedules: [{{cron: \"*/5 * * * *\"}}]\nlateness: {{max: 8m, catchUp: {catch_up}}}"
            )),
        );
        let daemon = simulation.daemon();
        seconds(11 * 60).await;
        daemon.stop().await;
        seconds(16 * 60).await;
        let daemon = simulation.daemon();
        seconds(5 * 60).await;
        daemon.stop().await;
        simulation.ask(SLOTS)
    })
}

#[test]
fn after_a_downtime_none_the_latest_or_all_are_caught_up() {
    let check = |catch_up, missed: &[&str]| {
        let around = [&["00:05:00 run  1", "00:10:00 run  1"], missed, &["00:30:00 run  1"]].concat();
        assert_eq!(after_downtime(catch_up), around, "{catch_up}");
    };
    check("none", &["00:15:00 missed late 1", "00:20:00 missed catchUp 2"]);
    check("latest", &["00:15:00 missed late 1", "00:20:00 missed catchUp 1", "00:25:00 run  1"]);
    check("all", &["00:15:00 missed late 1", "00:20:00 run  1", "00:25:00 run  1"]);
}

#[test]
fn a_long_outage_of_a_fast_schedule_is_a_few_rows() {
    play(async |simulation| {
        simulation
            .write("a.yaml", &campaign("recvIDs: [u00001]\nschedules: [{every: 1s}]\nlateness: {max: 1m}"));
        let daemon = simulation.daemon();
        seconds(3).await;
        daemon.stop().await;
        seconds(24 * 3_600).await;
        let daemon = simulation.daemon();
        seconds(3).await;
        daemon.stop().await;
        // A few rows, and none missing between the first and the last.
        let rows = "SELECT (count(*) < 40) || ' ' || (sum(count)
                = unixepoch(max(until_at)) - unixepoch(min(occurrence)) + 1) || ' ' || (sum(count) > 86400)
            FROM occurrence_log";
        assert_eq!(simulation.ask(rows), ["1 1 1"]);
    });
}

#[test]
fn dates_of_a_file_are_left_out_as_the_file_is_when_the_slot_is_due() {
    play(async |simulation| {
        let holidays = simulation.database.with_file_name("holidays.txt");
        let hourly = "recvIDs: [u00001]\nschedules: [{cron: \"*/10 * * * *\", except: {file: holidays.txt}}]\n\
                      lateness: {max: 5m}";
        simulation.write("a.yaml", &campaign(hourly));
        // Not there: nothing is sent.
        let daemon = simulation.daemon();
        seconds(17 * 60).await;
        std::fs::write(&holidays, "2026-11-11\n").unwrap();
        seconds(10 * 60).await;
        std::fs::write(&holidays, "2026-11-12\n").unwrap();
        seconds(10 * 60).await;
        assert_eq!(
            simulation.ask(SLOTS),
            ["00:10:00 missed except 1", "00:20:00 skipped excepted 1", "00:30:00 run  1"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_paused_campaign_catches_up_when_it_is_resumed() {
    play(async |simulation| {
        let rest =
            "recvIDs: [u00001]\nschedules: [{cron: \"*/5 * * * *\"}]\nlateness: {max: 8m, catchUp: none}";
        simulation.write("a.yaml", &campaign(rest));
        let daemon = simulation.daemon();
        seconds(6 * 60).await;
        let target = Target::Campaign("a".parse().unwrap());
        simulation.act(&target, Control::Pause);
        seconds(16 * 60).await;
        simulation.act(&target, Control::Resume);
        seconds(5 * 60).await;
        assert_eq!(
            simulation.ask(SLOTS),
            ["00:05:00 run  1", "00:10:00 missed paused 1", "00:15:00 missed catchUp 2", "00:25:00 run  1"]
        );
        daemon.stop().await;
    });
}
