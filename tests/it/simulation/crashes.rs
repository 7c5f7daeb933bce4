//! A daemon that is dropped between any two steps of its tasks, for every such place of a scenario, and another
//! that goes on from the ledger: nobody twice, nobody forgotten.

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    task::Poll,
};

use campaignd::{
    sandbox::faults::{CutAfter, Times},
    store::Stored,
};

use super::{watched::Watch, *};

/// How many times in a row the daemon is looked at before time goes on: as often as its tasks have something
/// to do at one instant, which is seen by nothing being asked any more.
const QUIET_STEPS: u32 = 12;
/// The instants at which things happen in the scenario are multiples of it.
const TICK: Duration = Duration::from_millis(100);
/// What is in doubt is settled by then, and no slot comes just at the end.
const LONG: SignedDuration = SignedDuration::from_mins(52);

/// Which of the scenario's stretches it is that is walked step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stretch {
    /// The first start: the files are read and applied.
    Start,
    /// A slot comes: it is decided, its audience opened, its batches sent; one answer is cut, one lost.
    Run,
    /// Whoever is in doubt is looked up, what failed is tried again.
    Doubt,
    /// A person pauses and resumes, a file goes.
    Change,
    /// It is told to stop.
    Stop,
}

impl Stretch {
    pub const ALL: [Stretch; 5] =
        [Stretch::Start, Stretch::Run, Stretch::Doubt, Stretch::Change, Stretch::Stop];
}

/// What came of a scenario whose daemon was dropped.
pub struct Crashed {
    /// None: the stretch was over before.
    pub at: Option<&'static str>,
    pub findings: Vec<String>,
    pub story: Vec<String>,
}

/// The last call to the ledger, for whoever wants to know where a crash came.
#[derive(Debug, Default)]
struct LastCall {
    name: Mutex<&'static str>,
    calls: std::sync::atomic::AtomicU64,
}

impl LastCall {
    fn note(&self, call: &'static str) -> Stored<()> {
        // Looks, five times a second, are nothing that happens.
        if !["begin", "change_mark", "commit"].contains(&call) {
            *self.name.lock().unwrap() = call;
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Watch for Arc<LastCall> {
    fn before(&mut self, call: &'static str) -> Stored<()> {
        self.note(call)
    }

    fn after(&mut self, _: &'static str) -> Stored<()> {
        Ok(())
    }
}

/// Plays the scenario; within the stretch the daemon is dropped after so many steps.
pub fn crash_at(stretch: Stretch, steps: u64) -> Crashed {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    // One task is let go on between two looks of whoever drops the daemon.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1)
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut simulation = Simulation::new(1, folder.path());
        let last = Arc::new(LastCall::default());
        let crashed = simulation.walk(stretch, steps, &last).await;
        let at = crashed.then(|| *last.name.lock().unwrap());
        simulation.resume();
        simulation.world.set_faults(Faults::default());
        simulation.rest(LONG).await;
        let mut findings = simulation.judge().findings;
        findings.extend(simulation.left_over());
        Crashed { at, findings, story: std::mem::take(&mut simulation.story) }
    })
}

impl Simulation {
    /// Serves through the scenario. Tells whether the daemon was dropped within the stretch.
    async fn walk(&mut self, stretch: Stretch, steps: u64, last: &Arc<LastCall>) -> bool {
        self.write_scenario(90, "2026-11-11T00:01");
        let signals = Arc::new(Signals::default());
        let mut parts = self.parts(&signals);
        parts.ledger = Ledger::inline(watched::Watched::new(self.store(), Arc::clone(last)));
        let daemon = daemon::serve(parts);
        tokio::pin!(daemon);
        for part in Stretch::ALL {
            let control = |control| self.act(&Target::Campaign("held".parse().unwrap()), control);
            let seconds = match part {
                Stretch::Start => 1,
                Stretch::Run => {
                    pass(&mut daemon, 58).await;
                    self.world.set_faults(Faults {
                        cut_after: Some(CutAfter { recipients: 12, times: 1, path: None }),
                        drop_answer: Some(Times::new(1)),
                        ..Faults::default()
                    });
                    3
                }
                Stretch::Doubt => {
                    self.world.set_faults(Faults::default());
                    5
                }
                Stretch::Change => {
                    control(Control::Pause);
                    self.folder.files.lock().unwrap().remove("many.yaml");
                    signals.folder.notify_one();
                    2
                }
                Stretch::Stop => {
                    control(Control::Resume);
                    signals.stop();
                    2
                }
            };
            if part != stretch {
                pass(&mut daemon, seconds).await;
                continue;
            }
            return self.step_by_step(&mut daemon, seconds, steps, last).await;
        }
        false
    }

    /// Lets the daemon go on step by step for so long, or until so many steps are done.
    async fn step_by_step<F: Future + Unpin>(
        &mut self,
        daemon: &mut F,
        seconds: u64,
        mut steps: u64,
        last: &LastCall,
    ) -> bool {
        for _ in 0..Duration::from_secs(seconds).as_millis() / TICK.as_millis() {
            let (mut quiet, mut calls) = (0, last.calls.load(Ordering::Relaxed));
            while quiet < QUIET_STEPS {
                if steps == 0 {
                    self.tell("crash");
                    return true;
                }
                steps -= 1;
                if once(daemon).await {
                    return false;
                }
                let now = last.calls.load(Ordering::Relaxed);
                quiet = if now == calls { quiet + 1 } else { 0 };
                calls = now;
            }
            if wait(daemon, TICK).await {
                return false;
            }
        }
        false
    }

    /// Runs that should be over, and are not; and whoever is still in doubt.
    fn left_over(&self) -> Vec<String> {
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        let mut statement = ledger
            .prepare(
                "SELECT run || ' is ' || state || ' with ' || unknown || ' unknown, ' || pending || ' pending'
                 FROM run_summary WHERE state NOT IN ('completed', 'failed', 'cancelled')
                    OR (unknown > 0 AND campaign <> 'held')",
            )
            .unwrap();
        let mut findings: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let slots: BTreeSet<String> = {
            let mut slots = ledger
                .prepare("SELECT campaign || ' ' || substr(occurrence, 12, 5) FROM occurrence_log")
                .unwrap();
            slots.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        for expected in ["many 00:01", "held 00:01", "often 00:05", "often 00:30"] {
            if !slots.contains(expected) {
                findings.push(format!("nothing was decided of {expected}"));
            }
        }
        findings
    }
}

/// One look at the daemon, and one task of its after it. Tells whether it has ended.
async fn once<F: Future + Unpin>(daemon: &mut F) -> bool {
    let mut looked = false;
    poll_fn(|context| {
        if looked {
            return Poll::Ready(false);
        }
        looked = true;
        if std::pin::Pin::new(&mut *daemon).poll(context).is_ready() {
            return Poll::Ready(true);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn wait<F: Future + Unpin>(daemon: &mut F, time: Duration) -> bool {
    tokio::select! {
        biased;
        _ = daemon => true,
        () = tokio::time::sleep(time) => false,
    }
}

/// Lets the daemon go on for so long. One that was told to stop may end.
async fn pass<F: Future + Unpin>(daemon: &mut F, seconds: u64) {
    wait(daemon, Duration::from_secs(seconds)).await;
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "an example has no tests")]
    use super::*;

    /// Every so many-th place: all of them are tried by the example `attack`.
    const EVERY: usize = 397;

    #[test]
    fn a_daemon_that_is_dropped_anywhere_is_gone_on_from() {
        let mut places = BTreeSet::new();
        for stretch in Stretch::ALL {
            for steps in (0..).step_by(EVERY) {
                let crashed = crash_at(stretch, steps);
                let Some(call) = crashed.at else { break };
                places.insert((stretch, call));
                assert!(
                    crashed.findings.is_empty(),
                    "{stretch:?}, dropped after {steps} steps, last {call}:\n{}\n{}",
                    crashed.findings.join("\n"),
                    crashed.story.join("\n")
                );
            }
        }
        assert!(places.len() > 2, "{places:?}");
    }
}
