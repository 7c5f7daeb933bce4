//! Stopping: events that have their place, endings that reach everyone who was not asked.

use campaignd::{
    run::{Counts, Ending, RunEvent, RunState},
    store::Drain,
};

use super::{accepted, answered, at, begin, change, end, is_refused, made, on_every_store, opened};

fn why() -> String {
    "why".to_owned()
}

fn stop(ending: Ending) -> RunEvent {
    RunEvent::Stop { ending, reason: why() }
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
