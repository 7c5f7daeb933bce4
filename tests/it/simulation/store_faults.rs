//! The k-th call to the ledger fails, before or after its effect, for every k of a scenario: nobody twice,
//! nobody forgotten, and the daemon goes on by itself.

use std::collections::BTreeSet;

use campaignd::sandbox::faults::{CutAfter, Times};

use super::{
    watched::{Stumble, When},
    *,
};

/// How long a scenario goes on: what is in doubt is settled by then.
const LONG: SignedDuration = SignedDuration::from_mins(50);

/// What came of a scenario whose ledger failed once.
pub struct Scenario {
    /// How many calls its ledger had.
    pub calls: u64,
    /// Which failed.
    pub hit: Vec<&'static str>,
    pub findings: Vec<String>,
    pub story: Vec<String>,
}

/// Plays the scenario; a stumble comes at the call that it names.
pub fn play_scenario(stumble: Option<Stumble>) -> Scenario {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::new(1, folder.path());
        let lasts_unsaid = stumble.as_ref().is_some_and(|stumble| stumble.when == When::After);
        simulation.stumbles.plan(stumble);
        simulation.scenario().await;
        let calls = simulation.stumbles.calls();
        simulation.stumbles.plan(None);
        let hit = simulation.stumbles.hit();
        // A commit that lasted and was said to have failed is made good by the next start.
        if lasts_unsaid && hit.contains(&"commit") {
            simulation.tell("restart");
            simulation.rest(LONG).await;
        }
        let mut findings = simulation.judge().findings;
        findings.extend(simulation.unfinished());
        Scenario { calls, hit, findings, story: std::mem::take(&mut simulation.story) }
    })
}

impl Simulation {
    /// The campaigns of a scenario: one for so many people, one that sends slowly from an instant on and holds
    /// whoever is in doubt, and one that is sent often.
    pub(super) fn write_scenario(&self, people: u32, held_at: &str) {
        let message = "message: {contentType: text, content: {content: hi}}";
        let ids = |from: u32, to: u32| (from..=to).map(|n| format!("u{n:05}")).collect::<Vec<_>>().join(", ");
        self.write(
            "many.yaml",
            &format!(
                "{message}\nrecvIDs: [{}, nobody]\nexclude: [{{ids: [u00003]}}]\nschedules: [{{at: 2026-11-11T00:01}}]\n\
                 delivery: {{batchSize: 30}}\n",
                ids(1, people)
            ),
        );
        self.write(
            "held.yaml",
            &format!(
                "{message}\nrecvIDs: [{}]\nschedules: [{{at: {held_at}}}]\n\
                 delivery: {{batchSize: 10, onUnknown: hold, limits: {{recipients: 10/min}}}}\n",
                ids(200, 229)
            ),
        );
        // Whoever is in doubt needs something that is sent later.
        self.write(
            "often.yaml",
            &format!("{message}\nrecvIDs: [{}]\nschedules: [{{every: 5m}}]\n", ids(400, 470)),
        );
    }

    /// Files come, are edited and go; a cut answer and one that is lost; a pause and a resume; a suppression.
    async fn scenario(&mut self) {
        self.write_scenario(120, "2026-11-11T00:02");
        // Witnesses for whoever is in doubt of the one that is sent often: its own slots may be skipped meanwhile.
        self.write(
            "later.yaml",
            "message: {contentType: text, content: {content: later}}\nrecvIDs: [u00480, u00481]\n\
             schedules: [{every: 5m, from: \"2026-11-11T00:03\"}]\n",
        );
        let faults = Faults {
            cut_after: Some(CutAfter { recipients: 12, times: 1, path: None }),
            ..Faults::default()
        };
        self.world.set_faults(faults);
        let folder = Arc::clone(&self.folder);
        let world = Arc::clone(&self.world);
        let control = |simulation: &Simulation, control| {
            simulation.act(&Target::Campaign("held".parse().unwrap()), control);
        };
        self.rest(SignedDuration::from_secs(125)).await;
        control(self, Control::Pause);
        world.set_faults(Faults { drop_answer: Some(Times::new(1)), ..Faults::default() });
        self.rest(SignedDuration::from_secs(30)).await;
        control(self, Control::Resume);
        folder.files.lock().unwrap().remove("many.yaml");
        self.suppress();
        self.rest(LONG).await;
    }

    /// A daemon serves for so long and is then told to stop; one that ends by itself is started again, as a
    /// service manager does.
    pub(super) async fn rest(&mut self, time: SignedDuration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            let signals = Arc::new(Signals::default());
            let daemon = daemon::serve(self.parts(&signals));
            tokio::pin!(daemon);
            let left = end.duration_since(self.clock.now()).unsigned_abs();
            tokio::select! {
                biased;
                ended = &mut daemon => {
                    self.tell(format!("the daemon ended: {ended:?}"));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
                () = tokio::time::sleep(left) => {}
            }
            signals.stop();
            if let Err(error) = daemon.await {
                self.tell(format!("it stopped with {error}"));
            }
        }
    }

    /// Runs that should be over, and are not; and what has not happened at all.
    fn unfinished(&self) -> Vec<String> {
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        let ask = |sql: &str| -> Vec<String> {
            let mut statement = ledger.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let mut findings = ask(
            "SELECT run || ' is still ' || state || ', ' || pending || ' pending, ' || in_flight || ' in flight'
             FROM run_summary WHERE state NOT IN ('completed', 'failed', 'cancelled')",
        );
        // Whoever is in doubt of one that is not held is told in the end.
        findings.extend(ask(
            "SELECT run || ' has ' || unknown || ' unknown' FROM run_summary WHERE unknown > 0 AND campaign <> 'held'",
        ));
        let slots: BTreeSet<String> =
            ask("SELECT campaign || ' ' || substr(occurrence, 12, 5) || ' ' || decision FROM occurrence_log")
                .into_iter()
                .collect();
        for expected in ["many 00:01", "held 00:02", "often 00:05", "often 00:30"] {
            if !slots.iter().any(|slot| slot.starts_with(expected)) {
                findings.push(format!("nothing was decided of {expected}"));
            }
        }
        findings
    }
}

/// The errors that a ledger has, by turns.
pub fn error(number: u64) -> StoreError {
    match number % 4 {
        0 => StoreError::DiskFull,
        1 => StoreError::Busy,
        2 => StoreError::ReadOnly("made for a test".to_owned()),
        _ => StoreError::Failed("made for a test".to_owned()),
    }
}

/// The scenario with a ledger that fails at one call, or at many from there on.
pub fn stumble_at(call: u64, when: When) -> Scenario {
    // Mostly once; now and then for a while.
    let calls = if call.is_multiple_of(5) { 40 } else { 1 };
    play_scenario(Some(Stumble { from: call, calls, when, error: error(call) }))
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "an example has no tests")]
    use super::*;

    /// Every so many-th call: all of them are tried by the example `attack`.
    const EVERY: usize = 181;

    #[test]
    fn a_ledger_that_fails_once_is_gone_on_with() {
        let whole = play_scenario(None);
        assert_eq!(whole.findings, [""; 0], "{}", whole.story.join("\n"));
        for call in (1..=whole.calls).step_by(EVERY) {
            for when in [When::Before, When::After] {
                let scenario = stumble_at(call, when);
                assert!(
                    scenario.findings.is_empty(),
                    "call {call} fails {when:?} its effect ({:?}):\n{}\n{}",
                    scenario.hit,
                    scenario.findings.join("\n"),
                    scenario.story.join("\n")
                );
            }
        }
    }
}
