//! Stopping: events that have their place, endings that reach everyone who was not asked.

use campaignd::{
    run::{Counts, Ending, RunEvent, RunState, reply::Verdict},
    store::{Act, Drain},
};

use super::{accepted, answered, at, begin, change, end, is_refused, made, on_every_store, opened, reason};

fn why() -> String {
    "why".to_owned()
}

fn stop(ending: Ending) -> RunEvent {
    RunEvent::Stop { ending, reason: why() }
}

#[test]
fn each_retry_gives_a_run_as_much_time_as_it_had_at_first() {
    on_every_store(|store| {
        let run = opened(store, "sale", 3, 3);
        let begun = begin(store, &run, 3, 1).unwrap();
        let verdicts = [accepted(), Verdict::Refused(reason()), Verdict::Unknown(reason())];
        change(store, |store| store.batch_settle(&end(begun.attempt, 2), &answered(&begun, &verdicts)))
            .unwrap();
        let first = store.run(&run).unwrap();
        // The second while the first goes on, and the third after the clock was set back.
        for (outcome, ms, counts_from_ms) in
            [("refused", 50_000, 50_000), ("unknown", 9_000_000, 9_000_000), ("refused", 70_000, 9_000_000)]
        {
            let act = Act { at: at(ms), who: "ann".to_owned(), why: None };
            assert_eq!(
                change(store, |store| store.run_retry(&run, &[outcome], &act)).unwrap(),
                1,
                "{outcome}"
            );
            let run = store.run(&run).unwrap();
            assert_eq!(
                run.finish_by.duration_since(at(counts_from_ms)),
                first.finish_by.duration_since(first.due_at)
            );
            assert_eq!(
                run.start_by.duration_since(at(counts_from_ms)),
                first.start_by.duration_since(first.due_at)
            );
            // A daemon hears of it, whether it was over or not.
            assert_eq!(change(store, |store| store.runs_reopened()).unwrap(), [run]);
            if outcome == "unknown" {
                let begun = begin(store, &first.id, 1, 9_000_001).unwrap();
                let refused = answered(&begun, &[Verdict::Refused(reason())]);
                change(store, |store| store.batch_settle(&end(begun.attempt, 9_000_002), &refused)).unwrap();
            }
        }
    });
}

#[test]
fn an_event_without_a_place_is_refused_and_changes_nothing() {
    on_every_store(|store| {
        let pending = made(store, "pending");
        let running = opened(store, "running", 4, 2);
        let over = opened(store, "over", 2, 2);
        let begun = begin(store, &over, 2, 1).unwrap();
        change(store, |store| store.batch_settle(&end(begun.attempt, 2), &answered(&begun, &[accepted()])))
            .unwrap();
        let failed = RunEvent::OpeningFailed { reason: why() };
        let pause = RunEvent::Pause { reason: why() };
        let misplaced = [
            (&pending, vec![pause.clone(), RunEvent::Resume, RunEvent::Drained, stop(Ending::Failed)]),
            (&running, vec![RunEvent::Sealed, RunEvent::Resume, failed.clone()]),
            (
                &over,
                vec![RunEvent::Sealed, RunEvent::Resume, RunEvent::Drained, pause, stop(Ending::Cancelled)],
            ),
        ];
        for (run, events) in misplaced {
            let before = store.run(run).unwrap();
            for event in events {
                is_refused(change(store, |store| store.run_event(run, event, Some("late"), at(9))));
                assert_eq!(store.run(run).unwrap(), before);
            }
        }
    });
}

#[test]
fn an_ending_reaches_everyone_in_slices() {
    for (ending, state) in
        [(Ending::Cancelled, "cancelled"), (Ending::Expired, "completed"), (Ending::Failed, "failed")]
    {
        on_every_store(|store| {
            let run = opened(store, "sale", 10, 2);
            let begun = begin(store, &run, 2, 1).unwrap();
            assert_eq!(change(store, |store| store.run_drain(&run, 3, false, at(2))).unwrap(), Drain::Busy);
            change(store, |store| store.run_event(&run, stop(ending), None, at(3))).unwrap();
            for (expected, pending) in [(Drain::More, 2), (Drain::More, 0), (Drain::Busy, 0)] {
                assert_eq!(change(store, |store| store.run_drain(&run, 3, false, at(4))).unwrap(), expected);
                assert_eq!(store.run(&run).unwrap().counts.pending, pending);
            }
            let after = change(store, |store| {
                store.batch_settle(&end(begun.attempt, 5), &answered(&begun, &[accepted()]))
            });
            assert_eq!(after.as_ref().unwrap().name(), state);
            assert_eq!(
                change(store, |store| store.run_drain(&run, 3, false, at(6))).unwrap(),
                Drain::Over(after.unwrap())
            );
            let mut expected = Counts { audience: 10, accepted: 2, ..Counts::default() };
            *match ending {
                Ending::Cancelled => &mut expected.cancelled,
                Ending::Expired => &mut expected.expired,
                Ending::Failed => &mut expected.failed,
            } = 8;
            assert_eq!(store.run(&run).unwrap().counts, expected);
            let reasons = store.run_reasons(&run, 9).unwrap();
            let told: Vec<_> = reasons.iter().map(|one| (one.recipients, one.reason.text.as_str())).collect();
            assert_eq!(told, [(8, "why")]);
        });
    }
}

#[test]
fn a_second_stop_changes_nothing() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let first = change(store, |store| store.run_event(&run, stop(Ending::Expired), None, at(1))).unwrap();
        let second =
            change(store, |store| store.run_event(&run, stop(Ending::Cancelled), None, at(2))).unwrap();
        assert_eq!((first.name(), &first), ("ending", &second));
    });
}

#[test]
fn a_run_without_an_audience_is_over_when_it_is_drained() {
    on_every_store(|store| {
        let run = opened(store, "sale", 0, 2);
        assert_eq!(begin(store, &run, 2, 1), None);
        let over = Drain::Over(RunState::Completed { reason: String::new() });
        for _ in 0..2 {
            assert_eq!(change(store, |store| store.run_drain(&run, 1, false, at(2))).unwrap(), over);
        }
        let unopened = made(store, "news");
        assert_eq!(change(store, |store| store.run_drain(&unopened, 1, false, at(2))).unwrap(), Drain::Busy);
    });
}
