//! Edits of a campaign: what fires after each and what does not, on a daemon that lives, on one that is
//! restarted after the edit, and on one that was down when the edit was made.

use campaignd::sandbox::Filter;

use super::{
    histories::{MESSAGE, Running, ids, play, seconds},
    *,
};

/// When an edit meets the daemon.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meets {
    Alive,
    AliveThenRestarted,
    Down,
}

/// A daemon and how edits meet it.
struct Stage {
    meets: Meets,
    running: Option<Running>,
}

impl Stage {
    /// An edit, a minute and a quarter after the last slot or more; it has been obeyed afterwards.
    async fn edit(&mut self, simulation: &Simulation, edit: impl FnOnce(&Simulation)) {
        if self.meets == Meets::Down {
            self.stop().await;
        }
        edit(simulation);
        match &self.running {
            Some(running) => running.signals.folder.notify_one(),
            None => self.running = Some(simulation.daemon()),
        }
        seconds(2).await;
        if self.meets == Meets::AliveThenRestarted {
            self.stop().await;
            self.running = Some(simulation.daemon());
        }
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// The slots of all campaigns, in order: when, what became of it, by which revision of the campaign.
const FIRED: &str = "SELECT substr(o.occurrence, 12, 8) || ' ' || o.decision || coalesce(' ' || o.reason, '')
        || CASE WHEN o.run IS NULL THEN '' ELSE ' r' || (SELECT count(*) FROM revision_log v
            WHERE v.campaign = o.campaign AND v.revision <= s.revision) END
        || CASE WHEN o.count > 1 THEN ' x' || o.count ELSE '' END
    FROM occurrence_log o LEFT JOIN run_summary s ON s.run = o.run
    WHERE o.campaign <> 'other' ORDER BY o.occurrence";

/// Plays a history that begins at midnight, once for each way in which edits meet the daemon.
fn check(history: impl AsyncFn(&Simulation, &mut Stage), expected: &[&str]) {
    for meets in [Meets::Alive, Meets::AliveThenRestarted, Meets::Down] {
        play(async |simulation| {
            // Never alone, so that the folder is never empty.
            simulation
                .write("other.yaml", &campaign("schedules: [{at: 2030-01-01T00:00}]\nrecvIDs: [u00009]"));
            let mut stage = Stage { meets, running: Some(simulation.daemon()) };
            seconds(1).await;
            history(simulation, &mut stage).await;
            assert_eq!(simulation.ask(FIRED), expected, "{meets:?}");
            stage.stop().await;
        });
    }
}

fn campaign(rest: &str) -> String {
    format!("{MESSAGE}\n{rest}\n")
}

const EVERY_TEN_MINUTES: &str = "schedules: [{cron: \"*/10 * * * *\"}]\nrecvIDs: [u00001]";

#[test]
fn a_changed_schedule_fires_nothing_of_the_past_and_loses_nothing_of_the_future() {
    check(
        async |simulation, stage| {
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(EVERY_TEN_MINUTES))).await;
            seconds(15 * 60).await;
            let changed = "schedules: [{cron: \"5,14,25,45 * * * *\"}]\nrecvIDs: [u00001]";
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(changed))).await;
            seconds(35 * 60).await;
        },
        &["00:10:00 run r1", "00:25:00 run r2", "00:45:00 run r2"],
    );
}

#[test]
fn a_changed_message_is_that_of_the_next_slot() {
    check(
        async |simulation, stage| {
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(EVERY_TEN_MINUTES))).await;
            seconds(15 * 60).await;
            let changed = campaign(EVERY_TEN_MINUTES).replace("hi", "bye");
            stage.edit(simulation, |it| it.write("a.yaml", &changed)).await;
            seconds(10 * 60).await;
            let mut contents = Vec::new();
            simulation
                .world
                .received(&Filter::default(), |received| contents.push(received.content.to_owned()));
            assert_eq!(contents, [r#"{"content":"hi"}"#, r#"{"content":"bye"}"#]);
        },
        &["00:10:00 run r1", "00:20:00 run r2"],
    );
}

#[test]
fn a_run_under_way_goes_on_with_what_it_started_with() {
    check(
        async |simulation, stage| {
            let slow = format!(
                "schedules: [{{at: 2026-11-11T00:10}}]\nrecvIDs: [{}]\ndelivery: {{limits: {{recipients: 5/min}}}}",
                ids(40)
            );
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(&slow))).await;
            seconds(13 * 60).await;
            let changed = campaign(&slow).replace("hi", "bye").replace("5/min", "10/min");
            stage.edit(simulation, |it| it.write("a.yaml", &changed)).await;
            seconds(20 * 60).await;
            let mut byes = 0;
            simulation.world.received(&Filter::default(), |received| {
                byes += u32::from(received.content.contains("bye"));
            });
            assert_eq!(byes, 0);
            assert_eq!(simulation.ask("SELECT CAST(accepted AS TEXT) FROM run_summary"), ["40"]);
        },
        &["00:10:00 run r1"],
    );
}

#[test]
fn a_changed_audience_is_that_of_the_next_slot() {
    check(
        async |simulation, stage| {
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(EVERY_TEN_MINUTES))).await;
            seconds(15 * 60).await;
            let changed = campaign(EVERY_TEN_MINUTES).replace("[u00001]", "[u00002, u00003]");
            stage.edit(simulation, |it| it.write("a.yaml", &changed)).await;
            seconds(10 * 60).await;
            let audiences = "SELECT CAST(audience AS TEXT) FROM run_summary ORDER BY occurrence";
            assert_eq!(simulation.ask(audiences), ["1", "2"]);
        },
        &["00:10:00 run r1", "00:20:00 run r2"],
    );
}

#[test]
fn a_changed_zone_moves_the_slots() {
    check(
        async |simulation, stage| {
            let daily = "schedules: [{cron: \"30 1 * * *\"}]\nrecvIDs: [u00001]\ntimezone: UTC";
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(daily))).await;
            seconds(15 * 60).await;
            let changed = campaign(daily).replace("UTC", "Europe/Berlin");
            stage.edit(simulation, |it| it.write("a.yaml", &changed)).await;
            seconds(2 * 3_600).await;
        },
        &["00:30:00 run r2"],
    );
}

#[test]
fn a_disabled_campaign_has_no_slots_until_it_is_enabled() {
    check(
        async |simulation, stage| {
            let set = |enabled| campaign(&format!("{EVERY_TEN_MINUTES}\nenabled: {enabled}"));
            stage.edit(simulation, |it| it.write("a.yaml", &set(true))).await;
            seconds(15 * 60).await;
            stage.edit(simulation, |it| it.write("a.yaml", &set(false))).await;
            seconds(20 * 60).await;
            stage.edit(simulation, |it| it.write("a.yaml", &set(true))).await;
            seconds(10 * 60).await;
        },
        &["00:10:00 run r1", "00:40:00 run r3"],
    );
}

#[test]
fn a_removed_campaign_misses_the_slots_of_its_grace_and_comes_back_anew() {
    check(
        async |simulation, stage| {
            let seconds_too = "schedules: [{cron: \"30 */5 * * * *\"}]\nrecvIDs: [u00001]";
            let write = |it: &Simulation| it.write("a.yaml", &campaign(seconds_too));
            stage.edit(simulation, write).await;
            seconds(15 * 60 - 10).await;
            stage.edit(simulation, |it| drop(it.folder.files.lock().unwrap().remove("a.yaml"))).await;
            seconds(20 * 60).await;
            stage.edit(simulation, write).await;
            seconds(6 * 60).await;
        },
        &[
            "00:00:30 run r1",
            "00:05:30 run r1",
            "00:10:30 run r1",
            "00:15:30 missed removed",
            "00:35:30 run r2",
            "00:40:30 run r2",
        ],
    );
}

#[test]
fn a_campaign_that_is_back_within_its_grace_goes_on_as_if_nothing_was() {
    check(
        async |simulation, stage| {
            let seconds_too = "schedules: [{cron: \"30 */5 * * * *\"}]\nrecvIDs: [u00001]";
            let write = |it: &Simulation| it.write("a.yaml", &campaign(seconds_too));
            stage.edit(simulation, write).await;
            seconds(5 * 60 + 15).await;
            stage.edit(simulation, |it| drop(it.folder.files.lock().unwrap().remove("a.yaml"))).await;
            seconds(30).await;
            stage.edit(simulation, write).await;
            seconds(5 * 60).await;
        },
        &["00:00:30 run r1", "00:05:30 run r1", "00:10:30 run r1"],
    );
}

#[test]
fn a_renamed_file_keeps_its_campaign() {
    check(
        async |simulation, stage| {
            let named = campaign(&format!("id: a\n{EVERY_TEN_MINUTES}"));
            stage.edit(simulation, |it| it.write("a.yaml", &named)).await;
            seconds(15 * 60).await;
            stage
                .edit(simulation, |it| {
                    it.folder.files.lock().unwrap().remove("a.yaml");
                    it.write("z.yaml", &named);
                })
                .await;
            seconds(10 * 60).await;
        },
        &["00:10:00 run r1", "00:20:00 run r1"],
    );
}

#[test]
fn an_edit_long_after_the_daemon_stopped_counts_from_its_start() {
    play(async |simulation| {
        simulation.write("a.yaml", &campaign(EVERY_TEN_MINUTES));
        let daemon = simulation.daemon();
        seconds(12 * 60).await;
        daemon.stop().await;
        let changed = "schedules: [{cron: \"5,25,31,45 * * * *\"}]\nrecvIDs: [u00001]";
        simulation.write("a.yaml", &campaign(changed));
        seconds(20 * 60).await;
        let daemon = simulation.daemon();
        seconds(15 * 60).await;
        // What was due meanwhile was the revision's that was in force.
        assert_eq!(
            simulation.ask(FIRED),
            ["00:10:00 run r1", "00:20:00 missed catchUp", "00:30:00 run r1", "00:45:00 run r2"]
        );
        daemon.stop().await;
    });
}

#[test]
fn a_slot_that_the_jitter_holds_back_is_not_lost_to_an_edit() {
    check(
        async |simulation, stage| {
            let spread = "schedules: [{cron: \"0 10 * * * *\", jitter: 9m}]\nrecvIDs: [u00001]";
            stage.edit(simulation, |it| it.write("a.yaml", &campaign(spread))).await;
            seconds(10 * 60).await;
            let changed = campaign(spread).replace("hi", "bye");
            stage.edit(simulation, |it| it.write("a.yaml", &changed)).await;
            seconds(15 * 60).await;
            let due = "SELECT CAST(due_at > occurrence AS TEXT) || ' ' || CAST(late_ms < 1000 AS TEXT) FROM occurrence_log";
            assert_eq!(simulation.ask(due), ["1 1"]);
        },
        &["00:10:00 run r2"],
    );
}

#[test]
fn a_slot_in_the_queue_survives_an_edit_and_not_its_disabling() {
    let slow = |enabled: bool| {
        campaign(&format!(
            "schedules: [{{at: 2026-11-11T00:01}}, {{at: 2026-11-11T00:02}}]\nrecvIDs: [{}]\noverlap: queue\n\
             enabled: {enabled}\ndelivery: {{limits: {{recipients: 10/min}}}}",
            ids(40)
        ))
    };
    check(
        async |simulation, stage| {
            stage.edit(simulation, |it| it.write("a.yaml", &slow(true))).await;
            seconds(150).await;
            stage.edit(simulation, |it| it.write("a.yaml", &slow(true).replace("hi", "bye"))).await;
            seconds(30 * 60).await;
        },
        &["00:01:00 run r1", "00:02:00 run r2"],
    );
    check(
        async |simulation, stage| {
            stage.edit(simulation, |it| it.write("a.yaml", &slow(true))).await;
            seconds(150).await;
            stage.edit(simulation, |it| it.write("a.yaml", &slow(false))).await;
            seconds(30 * 60).await;
        },
        &["00:01:00 run r1", "00:02:00 missed disabled"],
    );
}
