//! Clocks that are set, that are slewed, and machines that sleep: no slot twice, none lost.

use campaignd::store::Stored;

use super::{
    histories::{MESSAGE, RUNS, Running, SLOTS, SetClock, play, seconds},
    watched::Watch,
    *,
};

/// A campaign that fires every five minutes, on a clock that the test sets.
struct Stage {
    simulation: Simulation,
    clock: Arc<SetClock>,
    running: Option<Running>,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// It is midnight, and a daemon has just begun.
    fn new(crowd: usize, catch_up: &str, overlap: &str) -> Stage {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut simulation = Simulation::new(1, folder.path());
        simulation.crowd = crowd;
        simulation.write(
            "a.yaml",
            &format!(
                "{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{cron: \"*/5 * * * *\"}}]\n\
                 lateness: {{max: 12m, catchUp: {catch_up}}}\noverlap: {overlap}\n"
            ),
        );
        let clock = SetClock::new(simulation.clock.clone());
        let mut stage = Stage { simulation, clock, running: None, _folder: folder };
        stage.start();
        stage
    }

    fn start(&mut self) {
        let mut parts = self.simulation.parts(&Arc::default());
        parts.clock = self.clock.clone();
        self.running = Some(Running::start(parts));
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    fn slots(&self) -> Vec<String> {
        self.simulation.ask(SLOTS)
    }
}

/// Plays a history of the clock; gives its slots.
fn slots(catch_up: &str, mut history: impl AsyncFnMut(&mut Stage)) -> Vec<String> {
    play(async |simulation| {
        let mut stage = Stage::new(simulation.crowd, catch_up, "skip");
        history(&mut stage).await;
        let slots = stage.slots();
        stage.stop().await;
        slots
    })
}

#[test]
fn a_clock_that_is_set_ahead_or_a_machine_that_slept_is_a_downtime() {
    let ahead = async |stage: &mut Stage| {
        seconds(7 * 60).await;
        stage.clock.set(20 * 60 + 30);
        seconds(5 * 60).await;
    };
    let check = |catch_up, caught_up: &[&str]| {
        let before = ["00:05:00 run  1", "00:10:00 missed late 2"];
        assert_eq!(slots(catch_up, ahead), [&before, caught_up, &["00:30:00 run  1"]].concat(), "{catch_up}");
    };
    check("none", &["00:20:00 missed catchUp 2"]);
    check("latest", &["00:20:00 missed catchUp 1", "00:25:00 run  1"]);
    check("all", &["00:20:00 run  1", "00:25:00 run  1"]);
}

#[test]
fn a_clock_that_is_set_back_comes_to_no_slot_twice() {
    let back = slots("latest", async |stage| {
        seconds(12 * 60).await;
        stage.clock.set(-10 * 60);
        seconds(14 * 60).await;
    });
    assert_eq!(back, ["00:05:00 run  1", "00:10:00 run  1", "00:15:00 run  1"]);
}

#[test]
fn what_a_clock_that_was_ahead_for_a_moment_has_missed_is_not_lost() {
    for restarts in [false, true] {
        let slots = slots("latest", async |stage| {
            seconds(7 * 60).await;
            stage.clock.set(86_400);
            seconds(10).await;
            assert!(stage.slots().len() > 3, "{:?}", stage.slots());
            if restarts {
                stage.stop().await;
            }
            stage.clock.set(0);
            if restarts {
                stage.start();
            }
            seconds(15 * 60).await;
        });
        // The last is tomorrow's, which ran when the clock said so, and will not again.
        let expected = ["00:05:00", "00:10:00", "00:15:00", "00:20:00", "00:05:00"];
        assert_eq!(slots, expected.map(|time| format!("{time} run  1")), "restarts: {restarts}");
    }
}

#[test]
fn a_folder_that_nobody_speaks_of_is_read_all_the_same() {
    play(async |simulation| {
        let mut stage = Stage::new(simulation.crowd, "latest", "skip");
        seconds(60).await;
        // The jobs that keep house fall silent then; and no file event comes.
        stage.clock.set(-3_600);
        stage.simulation.write(
            "b.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2027-01-01T00:00}}]\n"),
        );
        seconds(61).await;
        let known = "SELECT campaign FROM campaign_status ORDER BY campaign";
        assert_eq!(stage.simulation.ask(known), ["a", "b"]);
        stage.stop().await;
    });
}

#[test]
fn a_clock_that_is_slewed_loses_nothing() {
    for second in [1, -1] {
        let slots = slots("none", async |stage| {
            seconds(2).await;
            for slew in 1..=60 {
                stage.clock.set(slew * second);
                seconds(10).await;
            }
            seconds(65).await;
        });
        assert_eq!(slots, ["00:05:00 run  1", "00:10:00 run  1"], "{second} s every 10 s");
    }
}

/// 2026-11-11T00:05:00Z.
const FIRST: i64 = 1_794_355_500;

/// However the clock is set and the daemon restarted: each slot has one row, and one run at most.
#[test]
fn every_slot_is_decided_once_however_the_clock_is_set() {
    for seed in 1..=12 {
        play(async |simulation| {
            let mut dice = Dice::new(seed);
            let overlap = ["skip", "queue"][seed as usize % 2];
            let mut stage =
                Stage::new(simulation.crowd, ["none", "latest", "all"][seed as usize % 3], overlap);
            let mut story = Vec::new();
            for _ in 0..10 {
                seconds(dice.up_to(600) as u64).await;
                let restarts = dice.up_to(3) == 0;
                if restarts {
                    stage.stop().await;
                }
                if dice.up_to(3) > 0 {
                    stage.clock.set(dice.up_to(5_400) as i64 - 1_800);
                }
                story.push(format!("{restarts} {}", stage.clock.now()));
                if restarts {
                    stage.start();
                }
            }
            // The clock says later than it ever did, and everything comes to rest.
            stage.clock.set(3_700);
            seconds(20 * 60).await;
            let end = stage.clock.now();
            let rows = "SELECT strftime('%s', occurrence) || ' ' || strftime('%s', until_at) || ' ' || count
                FROM occurrence_log WHERE until_at > '2026-11-11T00:00:00.000Z' ORDER BY occurrence";
            let mut next = FIRST;
            for row in stage.simulation.ask(rows) {
                let numbers: Vec<i64> = row.split(' ').map(|number| number.parse().unwrap()).collect();
                let [from, until, count] = numbers[..] else { panic!("{row}") };
                if next == FIRST {
                    // A row may reach back to before the campaign first appeared.
                    next = next.min(from);
                }
                assert_eq!(
                    (from, (until - from) / 300 + 1),
                    (next, count),
                    "seed {seed}: {:?}",
                    stage.slots()
                );
                next = until + 300;
            }
            assert!(next > end.as_second() && next - 300 <= end.as_second(), "seed {seed}: up to {next}");
            stage.stop().await;
        });
    }
}

/// Sets the clock ahead as soon as a first intent is committed, before its request leaves.
struct SleepsAfterTheIntent {
    clock: Arc<SetClock>,
    slept: bool,
}

impl Watch for SleepsAfterTheIntent {
    fn before(&mut self, _: &'static str) -> Stored<()> {
        Ok(())
    }

    fn after(&mut self, call: &'static str) -> Stored<()> {
        if call == "batch_begin" && !std::mem::replace(&mut self.slept, true) {
            self.clock.set(6);
        }
        Ok(())
    }
}

#[test]
fn an_intent_that_grew_old_before_its_request_left_is_withdrawn() {
    play(async |simulation| {
        simulation.write(
            "a.yaml",
            &format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{at: 2026-11-11T00:01}}]\n"),
        );
        let clock = SetClock::new(simulation.clock.clone());
        let mut parts = simulation.parts(&Arc::default());
        parts.clock = clock.clone();
        let watch = SleepsAfterTheIntent { clock, slept: false };
        parts.ledger = Ledger::inline(Watched::new(simulation.store(), watch));
        let daemon = Running::start(parts);
        seconds(120).await;
        let verdicts = simulation.ask("SELECT verdict FROM attempt_log ORDER BY attempt");
        assert_eq!(verdicts, ["withdrawn", "answered"]);
        assert_eq!(simulation.ask(RUNS), ["completed  accepted 1 pending 0 expired 0 cancelled 0"]);
        daemon.stop().await;
    });
}
