//! Asking: the intent before a request, the answer after it, and the send times in between.

use std::collections::{BTreeSet, HashMap};

use campaignd::{
    run::{
        Counts, RunState,
        inquiry::Doubt,
        look::Addressing,
        reply::{Reason, Reply, Verdict},
        settlement::settle,
    },
    store::{Begun, Intent, Store, StoreError},
};

use super::{
    accepted, answered, at, begin, change, end, is_not_found, nothing_done, on_every_store, opened, reason,
    recipients,
};

#[test]
fn batches_partition_the_audience_however_they_are_split() {
    on_every_store(|store| {
        let run = opened(store, "sale", 50, 10);
        let mut asked = Vec::new();
        let mut numbers = BTreeSet::new();
        for most in [10, 3, 1, 4, 100].into_iter().cycle() {
            let Some(begun) = begin(store, &run, most, 1) else { break };
            assert!((1..=most).contains(&(begun.recipients.len() as u64)));
            assert!(begun.recipients.is_sorted());
            assert!(numbers.insert(begun.batch), "two batches in flight are both number {}", begun.batch);
            asked.extend(begun.recipients);
        }
        asked.sort();
        assert_eq!(asked, recipients(50));
        let counts = Counts { audience: 50, in_flight: 50, ..Counts::default() };
        assert_eq!(store.run(&run).unwrap().counts, counts);
    });
}

#[test]
fn every_attempt_has_an_operation_id_of_its_own() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let mut ids = BTreeSet::new();
        for _ in 0..3 {
            let begun = begin(store, &run, 2, 1).unwrap();
            assert!(begun.operation_id.ends_with(run.as_str()), "{}", begun.operation_id);
            assert!(ids.insert(begun.operation_id.clone()));
            change(store, |store| store.batch_settle(&end(begun.attempt, 2), &nothing_done(&begun))).unwrap();
        }
        let (_, look) = change(store, |store| store.look_begin(&run, 1, 2, at(3))).unwrap();
        assert!(ids.insert(look));
    });
}

#[test]
fn an_answer_is_recorded_with_what_follows() {
    on_every_store(|store| {
        let run = opened(store, "sale", 6, 3);
        let begun = begin(store, &run, 3, 1).unwrap();
        let settlement =
            answered(&begun, &[accepted(), Verdict::Refused(reason()), Verdict::Unknown(reason())]);
        let state = change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        assert_eq!(state, RunState::Running);
        let counts =
            Counts { audience: 6, pending: 3, accepted: 1, refused: 1, unknown: 1, ..Counts::default() };
        assert_eq!(store.run(&run).unwrap().counts, counts);

        let begun = begin(store, &run, 3, 3).unwrap();
        let state = change(store, |store| {
            store.batch_settle(&end(begun.attempt, 4), &answered(&begun, &[accepted()]))
        })
        .unwrap();
        assert_eq!(state, RunState::Completed { reason: String::new() });
        assert_eq!(begin(store, &run, 3, 5), None);
    });
}

#[test]
fn a_run_whose_last_answer_is_yet_to_be_explained_stays_open() {
    on_every_store(|store| {
        let run = opened(store, "sale", 1, 1);
        let begun = begin(store, &run, 1, 1).unwrap();
        let settlement = answered(&begun, &[Verdict::Unknown(reason())]);
        let state = change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        assert_eq!(state, RunState::Running);
    });
}

#[test]
fn a_request_that_the_provider_refuses_ends_its_run() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let settlement = settle(&begun.recipients, Reply::Rejected(reason()), Doubt::Hold).unwrap();
        let state = change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        assert_eq!(state.name(), "ending");
        assert_eq!(begin(store, &run, 2, 3), None);
        let reasons = store.run_reasons(&run, 9).unwrap();
        assert_eq!(reasons.len(), 1);
        assert_eq!(
            (reasons[0].outcome.as_str(), &reasons[0].reason, reasons[0].recipients),
            ("failed", &reason(), 2)
        );
    });
}

#[test]
fn what_is_answered_late_is_recorded_and_starts_nothing() {
    use super::people::control;
    use campaignd::store::{Control, Target};
    for (what, answered_as) in [(Control::Pause, "paused"), (Control::Cancel, "ending")] {
        on_every_store(|store| {
            let run = opened(store, "sale", 6, 2);
            let asked = [(), (), ()].map(|()| begin(store, &run, 2, 1).unwrap());
            control(store, Target::Run(run.clone()), what).unwrap();
            let [first, second, third] = &asked;
            let replies = [
                (first, answered(first, &[accepted()])),
                (second, nothing_done(second)),
                (third, settle(&third.recipients, Reply::Unanswered(reason()), Doubt::Hold).unwrap()),
            ];
            for (begun, settlement) in replies {
                let state =
                    change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
                assert_eq!(state.name(), answered_as);
                assert_eq!(state.reason(), Some("why"));
            }
            let counts = Counts { audience: 6, accepted: 2, unknown: 2, pending: 2, ..Counts::default() };
            assert_eq!(store.run(&run).unwrap().counts, counts);
            assert_eq!(begin(store, &run, 2, 3), None);
        });
    }
}

#[test]
fn a_withdrawn_request_was_never_made() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let before = store.run(&run).unwrap();
        let begun = begin(store, &run, 2, 1).unwrap();
        change(store, |store| store.batch_withdraw(begun.attempt, at(2))).unwrap();
        assert_eq!(store.run(&run).unwrap(), before);
        let again = begin(store, &run, 2, 9).unwrap();
        assert_eq!((again.batch, &again.recipients), (begun.batch, &begun.recipients));
        assert_eq!(store.run(&run).unwrap().started_at, Some(at(9)));
    });
}

#[test]
fn an_attempt_ends_once() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let (done, nothing) = (answered(&begun, &[accepted()]), nothing_done(&begun));
        change(store, |store| store.batch_settle(&end(begun.attempt, 2), &done)).unwrap();
        let after = store.run(&run).unwrap();
        for again in [&done, &nothing] {
            is_not_found(change(store, |store| store.batch_settle(&end(begun.attempt, 3), again)));
        }
        is_not_found(change(store, |store| store.batch_withdraw(begun.attempt, at(3))));
        assert_eq!(store.run(&run).unwrap(), after);
    });
}

#[test]
fn an_answer_for_a_part_of_a_batch_is_not_taken() {
    on_every_store(|store| {
        let run = opened(store, "sale", 3, 3);
        let begun = begin(store, &run, 3, 1).unwrap();
        let before = store.run(&run).unwrap();
        let mut settlement = answered(&begun, &[accepted()]);
        settlement.outcomes.pop();
        let error =
            change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert_eq!(store.run(&run).unwrap(), before);
    });
}

#[test]
fn nobody_is_decided_twice() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let first = begin(store, &run, 2, 1).unwrap();
        change(store, |store| store.batch_settle(&end(first.attempt, 2), &answered(&first, &[accepted()])))
            .unwrap();
        let second = begin(store, &run, 2, 3).unwrap();
        let before = store.run(&run).unwrap();
        // An answer that names those of the first batch once more.
        let settlement = answered(&Begun { recipients: first.recipients, ..second.clone() }, &[accepted()]);
        assert!(change(store, |store| store.batch_settle(&end(second.attempt, 4), &settlement)).is_err());
        assert_eq!(store.run(&run).unwrap(), before);
    });
}

#[test]
fn send_times_of_an_account_increase_whatever_its_clock_says() {
    on_every_store(|store| {
        let runs = ["sale", "news"].map(|name| opened(store, name, 20, 1));
        let mut stamp = |run: usize, sender: &str, provider_now: i64| {
            let stamp = Some((sender.to_owned(), at(provider_now)));
            let intent = Intent {
                names_batches: false,
                run: runs[run].clone(),
                at: at(0),
                most_recipients: 1,
                caps: Default::default(),
                addressing: Addressing::Users,
                stamp,
            };
            let begun = change(store, |store| store.batch_begin(&intent)).unwrap().unwrap();
            begun.send_time_ms.unwrap() - at(0).as_millisecond()
        };
        let steps = [
            (0, "notice", 100, 100),
            (0, "notice", 100, 101),
            (1, "notice", 100, 102),
            // The provider's clock goes back.
            (1, "notice", -5000, 103),
            (0, "notice", 200, 200),
            // Another account has times of its own.
            (0, "robot", 100, 100),
            (0, "robot", 90, 101),
            (1, "notice", 200, 201),
        ];
        for (run, sender, provider_now, expected) in steps {
            assert_eq!(stamp(run, sender, provider_now), expected, "{run} {sender} {provider_now}");
        }
    });
}

#[test]
fn what_was_in_flight_at_a_crash_is_unknown() {
    on_every_store(|store| {
        let running = opened(store, "sale", 6, 2);
        let last = opened(store, "news", 1, 1);
        for (run, times) in [(&running, 2), (&last, 1)] {
            for _ in 0..times {
                begin(store, run, 2, 1).unwrap();
            }
        }
        let (look, _) = change(store, |store| store.look_begin(&running, 1, 2, at(1))).unwrap();
        for expected in [5, 0] {
            assert_eq!(change(store, |store| store.recover(&HashMap::new(), at(5))).unwrap(), expected);
            let counts = Counts { audience: 6, unknown: 4, pending: 2, ..Counts::default() };
            assert_eq!(store.run(&running).unwrap().counts, counts);
            assert_eq!(store.run(&running).unwrap().state, RunState::Running);
            assert_eq!(store.run(&last).unwrap().state.name(), "completed");
        }
        let interrupted = Reason::new("interrupted", "campaignd ended before an answer came");
        assert_eq!(store.run_reasons(&running, 9).unwrap()[0].reason, interrupted);
        is_not_found(change(store, |store| store.look_end(&end(look, 6), true)));
    });
}

/// Asks, and answers everyone; gives the attempt.
fn call(store: &mut dyn Store, run: &campaignd::run::RunID, most: u64, ended: i64) -> i64 {
    let begun = begin(store, run, most, 1).unwrap();
    let settlement = answered(&begun, &[accepted()]);
    change(store, |store| store.batch_settle(&end(begun.attempt, ended), &settlement)).unwrap();
    begun.attempt
}

#[test]
fn the_calls_of_the_past_are_those_that_were_made() {
    on_every_store(|store| {
        let sale = opened(store, "sale", 20, 10);
        let news = opened(store, "news", 20, 10);
        call(store, &sale, 2, 1000);
        call(store, &news, 3, 2000);
        let nothing = begin(store, &sale, 4, 1).unwrap();
        change(store, |store| store.batch_settle(&end(nothing.attempt, 3000), &nothing_done(&nothing)))
            .unwrap();
        let withdrawn = begin(store, &sale, 5, 1).unwrap();
        change(store, |store| store.batch_withdraw(withdrawn.attempt, at(4000))).unwrap();
        begin(store, &news, 6, 1).unwrap();
        let (look, _) = change(store, |store| store.look_begin(&sale, 1, 7, at(1))).unwrap();
        change(store, |store| store.look_end(&end(look, 5000), true)).unwrap();

        let mut past = |gateway: &str, name: Option<&str>, since: i64| {
            let name = name.map(super::campaign);
            let mut calls: Vec<_> = store
                .past_calls(gateway, name.as_ref(), at(since))
                .unwrap()
                .iter()
                .map(|call| (call.ended_at.as_millisecond() - at(0).as_millisecond(), call.recipients))
                .collect();
            calls.sort_unstable();
            calls
        };
        assert_eq!(past("openim", None, 0), [(1000, 2), (2000, 3), (3000, 4)]);
        assert_eq!(past("openim", None, 1500), [(2000, 3), (3000, 4)]);
        assert_eq!(past("openim", Some("news"), 0), [(2000, 3)]);
        assert_eq!(past("openim", Some("sale"), 1500), [(3000, 4)]);
        assert_eq!(past("netease", None, 0), []);
    });
}

#[test]
fn an_intent_that_comes_too_late_is_none() {
    on_every_store(|store| {
        let (start_by, finish_by) = (5 * 60_000, 8 * 3_600_000);
        let run = opened(store, "sale", 6, 2);
        assert_eq!(begin(store, &run, 2, start_by + 1), None);
        assert!(begin(store, &run, 2, start_by).is_some());
        // It has started: now its end counts.
        assert!(begin(store, &run, 2, finish_by).is_some());
        assert_eq!(begin(store, &run, 2, finish_by + 1), None);
    });
}
