//! Crowds, whose slots are decided ahead of their instant: whatever happens in between is obeyed as if it had
//! happened to slots that nobody had decided yet.

use super::{
    histories::{MESSAGE, RUNS, Running, SLOTS, SetClock, play_with, seconds},
    *,
};

/// Two campaigns due at one minute past midnight, a crowd, two seconds before which the test begins to speak.
struct Scene<'a> {
    simulation: &'a mut Simulation,
    clock: Arc<SetClock>,
    daemon: Option<Running>,
}

impl Scene<'_> {
    fn write(&self, name: &str, text: &str, schedule: &str) {
        let text = format!(
            "message: {{contentType: text, content: {{content: {text}}}}}\nrecvIDs: [u00001]\nschedules: [{{{schedule}}}]\n\
             lateness: {{max: 10m, catchUp: none}}\n"
        );
        self.simulation.write(&format!("{name}.yaml"), &text);
    }

    /// How many slots are decided ahead of the instant.
    fn ahead(&self) -> usize {
        if self.simulation.crowd == 2 { 2 } else { 0 }
    }

    fn start(&mut self) {
        let mut parts = self.simulation.parts(&Arc::default());
        parts.clock = self.clock.clone();
        self.daemon = Some(Running::start(parts));
    }

    fn daemon(&mut self) -> Running {
        self.daemon.take().unwrap()
    }

    /// The folder has changed, and is read once it has been quiet.
    async fn folder_changes(&self) {
        self.daemon.as_ref().unwrap().signals.folder.notify_one();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }

    /// What campaign `a` has said, in the order in which the provider took it.
    fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        self.simulation.world.received(&campaignd::sandbox::Filter::default(), |received| {
            said.push(received.content.to_string());
        });
        said
    }
}

const AT: &str = "at: 2026-11-11T00:01";

/// Plays what happens within the last second before a crowd's instant, or soon after it. Tells of each slot what was
/// decided, and of each run how it ended, whom it reached and when it began, an hour later.
/// The same where they are no crowd.
fn check(mut happens: impl AsyncFnMut(&mut Scene<'_>), expected: &[&str]) {
    for crowd in [2, daemon::CROWD] {
        check_with(crowd, &mut happens, expected);
    }
}

fn check_with(crowd: usize, happens: impl AsyncFnOnce(&mut Scene<'_>), expected: &[&str]) {
    play_with(crowd, async |simulation| {
        let clock = SetClock::new(simulation.clock.clone());
        let mut scene = Scene { simulation, clock, daemon: None };
        scene.write("a", "one", AT);
        scene.write("b", "two", AT);
        scene.start();
        tokio::time::sleep(Duration::from_millis(59_000)).await;
        let ahead = scene.ahead();
        assert_eq!(scene.simulation.ask(SLOTS), vec!["00:01:00 run  1"; ahead], "they are decided ahead");
        assert_eq!(scene.simulation.ask("SELECT state FROM run_summary"), vec!["pending"; ahead]);
        assert!(scene.said().is_empty(), "and not sent");
        happens(&mut scene).await;
        if scene.daemon.is_none() {
            scene.start();
        }
        seconds(3_600).await;
        scene.daemon().stop().await;
        let told = scene.simulation.ask(
            "SELECT o.campaign || ' ' || substr(o.occurrence, 12, 8) || ' ' || decision || ' ' || coalesce(o.reason, '')
                || coalesce(state || ' ' || accepted || coalesce(' at ' || substr(started_at, 12, 8), ''), '')
             FROM occurrence_log o LEFT JOIN run_summary r ON r.run = o.run ORDER BY o.campaign, o.occurrence",
        );
        assert_eq!(told, expected);
        assert_eq!(scene.simulation.store_verified(), []);
        assert_eq!(scene.simulation.ask("SELECT crowd_due_at FROM ledger"), [""]);
    });
}

const A_RUNS: &str = "a 00:01:00 run completed 1 at 00:01:00";
const B_RUNS: &str = "b 00:01:00 run completed 1 at 00:01:00";

#[test]
fn a_crowd_is_decided_ahead_and_sent_at_its_instant() {
    check(
        async |scene| {
            tokio::time::sleep(Duration::from_millis(990)).await;
            assert!(scene.said().is_empty());
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(scene.said().len(), 2);
        },
        &[A_RUNS, B_RUNS],
    );
}

#[test]
fn an_edit_in_the_last_second_counts() {
    check(
        async |scene| {
            scene.write("a", "three", AT);
            scene.folder_changes().await;
            seconds(5).await;
            assert!(scene.said().iter().any(|said| said.contains("three")), "{:?}", scene.said());
            assert!(!scene.said().iter().any(|said| said.contains("one")), "{:?}", scene.said());
        },
        &[A_RUNS, B_RUNS],
    );
    check(
        async |scene| {
            scene.write("a", "one", "at: 2026-11-11T00:02");
            scene.folder_changes().await;
        },
        &["a 00:02:00 run completed 1 at 00:02:00", B_RUNS],
    );
    check(
        async |scene| {
            scene.simulation.folder.files.lock().unwrap().remove("a.yaml");
            scene.folder_changes().await;
            seconds(20).await;
            scene.write("a", "one", AT);
            scene.folder_changes().await;
        },
        &["a 00:01:00 missed catchUp", B_RUNS],
    );
}

#[test]
fn a_person_is_obeyed_in_the_last_second() {
    let a_run = || Target::Run(RunID::from_text("a@20261111T000100Z"));
    check_with(
        2,
        async |scene| scene.simulation.act(&a_run(), Control::Cancel),
        &["a 00:01:00 run cancelled 0", B_RUNS],
    );
    // Nobody has seen that it was decided.
    check(
        async |scene| {
            let campaign = Target::Campaign("a".parse().unwrap());
            scene.simulation.act(&campaign, Control::Pause);
            seconds(30).await;
            assert_eq!(scene.simulation.ask("SELECT campaign FROM run_summary"), ["b"]);
            scene.simulation.act(&campaign, Control::Resume);
        },
        &["a 00:01:00 missed catchUp", B_RUNS],
    );
    check(
        async |scene| scene.simulation.act(&Target::All, Control::Pause),
        &["a 00:01:00 missed paused", "b 00:01:00 missed paused"],
    );
    check(
        async |scene| {
            // A run by hand, which the slot finds under way; the other waits for its turn.
            let latency = Faults { latency_ms: 3_000.0, ..Faults::default() };
            scene.simulation.world.set_faults(latency);
            scene.simulation.ask_to_send("a", &[], true);
        },
        &["a 00:01:00 skipped overlap", "b 00:01:00 run completed 1 at 00:01:02"],
    );
}

#[test]
fn a_daemon_that_is_gone_before_the_instant_has_decided_nothing() {
    let missed = ["a 00:01:00 missed catchUp", "b 00:01:00 missed catchUp"];
    for stops in [false, true] {
        let leave = async |scene: &mut Scene<'_>, downtime: u64| {
            match stops {
                true => scene.daemon().stop().await,
                false => scene.daemon().abort_after(0).await,
            }
            let left = scene.simulation.ask("SELECT run FROM run_summary").len();
            assert_eq!(left, if stops { 0 } else { scene.ahead() });
            tokio::time::sleep(Duration::from_millis(downtime)).await;
        };
        check(async |scene| leave(scene, 300).await, &[A_RUNS, B_RUNS]);
        check(async |scene| leave(scene, 60_000).await, &missed);
        check(
            async |scene| {
                leave(scene, 300).await;
                scene.write("a", "one", "at: 2026-11-11T00:02");
            },
            &["a 00:02:00 run completed 1 at 00:02:00", B_RUNS],
        );
    }
}

#[test]
fn a_daemon_that_is_gone_after_the_instant_goes_on() {
    check(
        async |scene| {
            // Nothing of it can be opened yet.
            scene
                .simulation
                .spoil("CREATE TRIGGER full BEFORE INSERT ON batch BEGIN SELECT raise(ABORT, 'full'); END");
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            scene.daemon().abort_after(0).await;
            seconds(60).await;
            scene.simulation.spoil("DROP TRIGGER full");
        },
        &["a 00:01:00 run completed 1 at 00:02:00", "b 00:01:00 run completed 1 at 00:02:00"],
    );
}

#[test]
fn a_clock_that_is_set_in_the_last_second_counts() {
    check(async |scene| scene.clock.set(30), &["a 00:01:00 missed catchUp", "b 00:01:00 missed catchUp"]);
    check(
        async |scene| {
            scene.clock.set(-30);
            seconds(20).await;
            assert!(scene.said().is_empty());
        },
        &[A_RUNS, B_RUNS],
    );
}

#[test]
fn a_ledger_that_cannot_take_back_what_was_decided_lets_none_of_it_begin() {
    check_with(
        2,
        async |scene| {
            scene
                .simulation
                .spoil("CREATE TRIGGER full BEFORE DELETE ON run BEGIN SELECT raise(ABORT, 'full'); END");
            scene.write("a", "one", "at: 2026-11-11T00:05");
            scene.folder_changes().await;
            seconds(30).await;
            assert!(scene.said().is_empty());
            scene.simulation.spoil("DROP TRIGGER full");
        },
        // The edit could not be recorded before the instant either, so that slot is still of the first revision.
        &[
            "a 00:01:00 run completed 1 at 00:01:30",
            "a 00:05:00 run completed 1 at 00:05:00",
            "b 00:01:00 run completed 1 at 00:01:30",
        ],
    );
}

#[test]
fn a_crowd_that_the_ledger_lets_not_begin_waits_whoever_comes_after_it() {
    check_with(
        2,
        async |scene| {
            for name in ["c", "d"] {
                scene.write(name, "three", "at: 2026-11-11T00:01:03");
            }
            scene.folder_changes().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let refuses = "CREATE TRIGGER full BEFORE UPDATE OF crowd_due_at ON ledger \
                           BEGIN SELECT raise(ABORT, 'full'); END";
            scene.simulation.spoil(refuses);
            seconds(5).await;
            scene.write("d", "four", "at: 2026-11-11T00:01:03");
            scene.folder_changes().await;
            seconds(25).await;
            assert_eq!(scene.said().len(), 2, "those who come after it do not wait");
            scene.simulation.spoil("DROP TRIGGER full");
        },
        &[
            "a 00:01:00 run completed 1 at 00:01:31",
            "b 00:01:00 run completed 1 at 00:01:31",
            "c 00:01:03 run completed 1 at 00:01:03",
            "d 00:01:03 run completed 1 at 00:01:03",
        ],
    );
}

#[test]
fn a_ledger_that_takes_nothing_ahead_has_it_decided_at_the_instant() {
    play_with(2, async |simulation| {
        for name in ["a", "b"] {
            let text = format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{{AT}}}]\n");
            simulation.write(&format!("{name}.yaml"), &text);
        }
        let daemon = simulation.daemon();
        seconds(30).await;
        simulation.spoil(
            "CREATE TRIGGER full BEFORE UPDATE OF crowd_due_at ON ledger WHEN NEW.crowd_due_at IS NOT NULL
             BEGIN SELECT raise(ABORT, 'full'); END",
        );
        tokio::time::sleep(Duration::from_millis(29_500)).await;
        assert!(simulation.ask(SLOTS).is_empty());
        seconds(30).await;
        assert_eq!(simulation.ask(SLOTS), ["00:01:00 run  1"; 2]);
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 1 pending 0 expired 0 cancelled 0"; 2]);
        daemon.stop().await;
    });
}
