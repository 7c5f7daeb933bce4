//! Which file is which campaign, told as histories: renamed, gone, back, broken, claimed twice, and with
//! restarts in between.

use campaignd::store::Store;

use super::{
    histories::{MESSAGE, Running, play, seconds},
    *,
};

/// State, problem and path of each campaign.
const STATUS: &str = "SELECT campaign || ' ' || state || ' ' || coalesce(problem, '-') || ' ' || path
    FROM campaign_status ORDER BY campaign";
/// What became of each slot.
const SLOTS: &str = "SELECT campaign || ' ' || substr(occurrence, 12, 5) || ' ' || decision || ' '
    || coalesce(reason, '-') FROM occurrence_log ORDER BY campaign, occurrence";
const PROBLEMS: &str = "SELECT path || ' ' || code FROM problem_status ORDER BY path";
const REVISIONS: &str = "SELECT campaign || ' ' || path FROM revision_log ORDER BY revision";

/// A campaign for one person, every so often.
fn every(minutes: u32) -> String {
    format!("{MESSAGE}\nrecvIDs: [u00001]\nschedules: [{{every: {minutes}m}}]\n")
}

impl Simulation {
    fn remove(&self, path: &str) {
        self.folder.files.lock().unwrap().remove(path);
    }

    fn rename(&self, from: &str, to: &str) {
        let mut files = self.folder.files.lock().unwrap();
        let text = files.remove(from).unwrap();
        files.insert(to.to_owned(), text);
    }

    /// Four campaigns, each every ten minutes.
    fn write_four(&self) {
        for name in ["a", "b", "c", "d"] {
            self.write(&format!("{name}.yaml"), &every(10));
        }
    }

    fn allow_removals(&self) -> usize {
        let mut store = self.store();
        let act = Act { at: self.clock.now(), who: "somebody".to_owned(), why: None };
        store.begin().unwrap();
        let allowed = store.removals_allow(&act).unwrap();
        store.commit().unwrap();
        allowed.len()
    }
}

impl Running {
    /// Something changes in the folder, and is obeyed.
    async fn changed(&self) {
        self.signals.folder.notify_one();
        seconds(1).await;
    }

    /// Stopped, and another one started on the same ledger.
    async fn restarted(self, simulation: &Simulation) -> Running {
        self.stop().await;
        let daemon = simulation.daemon();
        seconds(1).await;
        daemon
    }
}

#[test]
fn a_renamed_file_keeps_a_campaign_that_has_an_id() {
    play(async |simulation| {
        simulation.write("a.yaml", &format!("id: sale\n{}", every(10)));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.rename("a.yaml", "autumn/b.yaml");
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS), ["sale active - autumn/b.yaml"]);
        // While nobody looks, too.
        daemon.stop().await;
        simulation.rename("autumn/b.yaml", "c.yaml");
        let daemon = simulation.daemon();
        seconds(700).await;
        assert_eq!(simulation.ask(STATUS), ["sale active - c.yaml"]);
        assert_eq!(simulation.ask(REVISIONS), ["sale a.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["sale 00:10 run -"]);
        daemon.stop().await;
    });
}

#[test]
fn a_renamed_file_without_an_id_is_another_campaign() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.rename("a.yaml", "b.yaml");
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS), ["a active fileGone a.yaml", "b active - b.yaml"]);
        let daemon = daemon.restarted(simulation).await;
        seconds(60).await;
        assert_eq!(simulation.ask(STATUS), ["a removed - a.yaml", "b active - b.yaml"]);
        daemon.stop().await;
    });
}

#[test]
fn a_file_that_is_renamed_and_broken_leaves_its_campaign_in_force() {
    play(async |simulation| {
        simulation.write("a.yaml", &format!("id: sale\n{}", every(10)));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.remove("a.yaml");
        simulation.write("b.yaml", &format!("id: sale\nbogus: 1\n{}", every(10)));
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        seconds(700).await;
        assert_eq!(simulation.ask(STATUS), ["sale active rejectedEdit a.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["sale 00:10 run -"]);
        daemon.stop().await;
    });
}

#[test]
fn a_file_that_is_gone_is_removed_after_its_grace_whatever_restarts() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        simulation.write("b.yaml", &every(60));
        let daemon = simulation.daemon();
        seconds(580).await;
        simulation.remove("a.yaml");
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[0], "a active fileGone a.yaml");
        seconds(30).await;
        // Its slot came meanwhile, and the grace goes on over a restart.
        let daemon = daemon.restarted(simulation).await;
        assert_eq!(simulation.ask(STATUS)[0], "a active fileGone a.yaml");
        seconds(40).await;
        assert_eq!(simulation.ask(STATUS)[0], "a removed - a.yaml");
        assert_eq!(simulation.ask(SLOTS), ["a 00:10 missed removed"]);
        daemon.stop().await;
    });
}

#[test]
fn a_file_that_is_back_within_its_grace_goes_on_as_if_nothing_was() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        simulation.write("b.yaml", &every(60));
        let daemon = simulation.daemon();
        seconds(580).await;
        simulation.remove("a.yaml");
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        seconds(30).await;
        assert_eq!(simulation.ask(SLOTS), [""; 0]);
        simulation.write("a.yaml", &every(10));
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[0], "a active - a.yaml");
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml", "b b.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["a 00:10 run -"]);
        daemon.stop().await;
    });
}

#[test]
fn an_id_that_comes_back_makes_up_for_nothing() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        simulation.write("b.yaml", &every(60));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.remove("a.yaml");
        daemon.changed().await;
        seconds(620).await;
        let daemon = daemon.restarted(simulation).await;
        simulation.write("a.yaml", &every(10));
        daemon.changed().await;
        seconds(600).await;
        assert_eq!(simulation.ask(STATUS)[0], "a active - a.yaml");
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml", "b b.yaml", "a a.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["a 00:20 run -"], "00:10 came while it was removed");
        daemon.stop().await;
    });
}

#[test]
fn nothing_is_removed_while_git_changes_the_checkout() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        simulation.write("b.yaml", &every(60));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.folder.git_is_changing.store(true, Ordering::Relaxed);
        simulation.remove("a.yaml");
        daemon.changed().await;
        seconds(300).await;
        assert_eq!(simulation.ask(STATUS)[0], "a active fileGone a.yaml");
        simulation.folder.git_is_changing.store(false, Ordering::Relaxed);
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[0], "a removed - a.yaml");
        daemon.stop().await;
    });
}

#[test]
fn what_git_changes_is_taken_as_a_whole() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.folder.git_is_changing.store(true, Ordering::Relaxed);
        // A checkout that lasts.
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            simulation.write(name, &every(20));
            daemon.changed().await;
            seconds(3).await;
            assert_eq!(simulation.ask(REVISIONS), ["a a.yaml"]);
        }
        simulation.folder.git_is_changing.store(false, Ordering::Relaxed);
        seconds(1).await;
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml", "a a.yaml", "b b.yaml", "c c.yaml"]);
        // Whoever leaves a lock behind keeps nobody waiting for long.
        simulation.folder.git_is_changing.store(true, Ordering::Relaxed);
        simulation.write("a.yaml", &every(30));
        daemon.changed().await;
        seconds(4).await;
        assert_eq!(simulation.ask(REVISIONS).len(), 4);
        seconds(2).await;
        assert_eq!(simulation.ask(REVISIONS).len(), 5);
        daemon.stop().await;
    });
}

#[test]
fn nothing_is_removed_while_a_broken_file_may_be_it() {
    play(async |simulation| {
        simulation.write("a.yaml", &format!("id: sale\n{}", every(10)));
        simulation.write("b.yaml", &every(60));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.remove("a.yaml");
        simulation.write("new.yaml", "id: [");
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        seconds(300).await;
        assert_eq!(simulation.ask(STATUS)[1], "sale active fileGone a.yaml");
        // It was that one.
        simulation.write("new.yaml", &format!("id: sale\n{}", every(10)));
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[1], "sale active - new.yaml");
        daemon.stop().await;
    });
}

#[test]
fn many_that_vanish_at_once_are_held_and_fire() {
    play(async |simulation| {
        simulation.write_four();
        let daemon = simulation.daemon();
        seconds(1).await;
        for path in ["a.yaml", "b.yaml", "c.yaml"] {
            simulation.remove(path);
        }
        simulation.write("x.yaml", &every(60));
        simulation.write("y.yaml", &every(60));
        simulation.write("z.yaml", &every(60));
        daemon.changed().await;
        let held =
            ["a active removalHeld a.yaml", "b active removalHeld b.yaml", "c active removalHeld c.yaml"];
        assert_eq!(simulation.ask(STATUS)[..3], held);
        let daemon = daemon.restarted(simulation).await;
        seconds(700).await;
        // The three newcomers do not make up for them.
        assert_eq!(simulation.ask(STATUS)[..3], held);
        let ran = ["a 00:10 run -", "b 00:10 run -", "c 00:10 run -", "d 00:10 run -"];
        assert_eq!(simulation.ask(SLOTS), ran);
        // Enough of them are back: the last one is gone like any other.
        simulation.write("a.yaml", &every(10));
        simulation.write("b.yaml", &every(10));
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[..2], ["a active - a.yaml", "b active - b.yaml"]);
        assert_eq!(simulation.ask(STATUS)[2], "c active fileGone c.yaml");
        daemon.stop().await;
    });
}

#[test]
fn a_person_can_say_that_removals_are_meant_with_and_without_a_daemon() {
    for with_daemon in [true, false] {
        play(async |simulation| {
            simulation.write_four();
            let mut daemon = simulation.daemon();
            seconds(1).await;
            for path in ["a.yaml", "b.yaml", "c.yaml"] {
                simulation.remove(path);
            }
            daemon.changed().await;
            if with_daemon {
                assert_eq!(simulation.allow_removals(), 3);
            } else {
                daemon.stop().await;
                assert_eq!(simulation.allow_removals(), 3);
                daemon = simulation.daemon();
            }
            seconds(2).await;
            let removed = ["a removed - a.yaml", "b removed - b.yaml", "c removed - c.yaml"];
            assert_eq!(simulation.ask(STATUS)[..3], removed);
            assert_eq!(simulation.ask(STATUS)[3], "d active - d.yaml");
            assert_eq!(simulation.allow_removals(), 0);
            daemon.stop().await;
        });
    }
}

#[test]
fn a_guard_can_be_changed_under_way() {
    play(async |simulation| {
        simulation.write_four();
        let daemon = simulation.daemon();
        seconds(1).await;
        for path in ["a.yaml", "b.yaml", "c.yaml"] {
            simulation.remove(path);
        }
        daemon.changed().await;
        daemon.signals.guard.send_replace(campaignd::revision::Guard { max_removed_percent: 100, from: 3 });
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS)[0], "a active fileGone a.yaml");
        daemon.stop().await;
    });
}

#[test]
fn an_empty_folder_removes_nothing() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.remove("a.yaml");
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        seconds(700).await;
        assert_eq!(simulation.ask(STATUS), ["a active removalHeld a.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["a 00:10 run -"]);
        daemon.stop().await;
    });
}

#[test]
fn of_two_files_with_one_id_the_campaign_in_force_stays() {
    play(async |simulation| {
        simulation.write("z.yaml", &format!("id: sale\n{}", every(10)));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.write("a.yaml", &format!("id: sale\n{}", every(7)));
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        assert_eq!(simulation.ask(STATUS), ["sale active - z.yaml"]);
        assert_eq!(simulation.ask(PROBLEMS), ["a.yaml C050"]);
        // Nor does it take the place of one that breaks.
        simulation.write("z.yaml", "id: sale\nmessage: [");
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        assert_eq!(simulation.ask(STATUS), ["sale active rejectedEdit z.yaml"]);
        assert_eq!(simulation.ask(REVISIONS), ["sale z.yaml"]);
        // When the other is gone, it is the campaign.
        simulation.remove("z.yaml");
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS), ["sale active - a.yaml"]);
        assert_eq!(simulation.ask(PROBLEMS), [""; 0]);
        daemon.stop().await;
    });
}

#[test]
fn a_broken_edit_leaves_its_last_good_revision_in_force() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        let daemon = simulation.daemon();
        seconds(1).await;
        simulation.write("a.yaml", "message: [");
        daemon.changed().await;
        let daemon = daemon.restarted(simulation).await;
        seconds(700).await;
        assert_eq!(simulation.ask(STATUS), ["a active rejectedEdit a.yaml"]);
        assert_eq!(simulation.ask(SLOTS), ["a 00:10 run -"]);
        simulation.write("a.yaml", &every(10));
        daemon.changed().await;
        assert_eq!(simulation.ask(STATUS), ["a active - a.yaml"]);
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml"]);
        daemon.stop().await;
    });
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    play(async |simulation| {
        simulation.write("a.yaml", &every(10));
        let daemon = simulation.daemon();
        seconds(1).await;
        // Half of it is a good campaign, too.
        simulation.write("a.yaml", &every(7));
        daemon.signals.folder_is_written.store(true, Ordering::Relaxed);
        daemon.changed().await;
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml"]);
        simulation.write("a.yaml", &every(8));
        daemon.signals.folder_is_written.store(false, Ordering::Relaxed);
        daemon.changed().await;
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml"; 2]);
        // A writer that never ends is not waited for for ever.
        simulation.write("a.yaml", &every(9));
        daemon.signals.folder_is_written.store(true, Ordering::Relaxed);
        daemon.changed().await;
        seconds(5).await;
        assert_eq!(simulation.ask(REVISIONS), ["a a.yaml"; 3]);
        daemon.stop().await;
    });
}
