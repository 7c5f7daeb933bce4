//! Looking up: whoever is in doubt is sought by an inquiry until that is settled, and no run ends before.

use std::collections::HashMap;

use campaignd::{
    run::{
        Counts, Ending, RunEvent, RunID, RunState, Settlement,
        inquiry::{Conclusion, Doubt, Findings, Purpose},
        look::Addressing,
        provider_clock::ProviderClock,
        reply::{Reason, Receipt, Reply, Verdict},
        settlement::settle,
    },
    store::{Act, Begun, Confirmations, Drain, Inquiry, Intent, Store},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    accepted, answered, at, begin, change, end, is_refused, nothing_done, on_every_store, opened, reason,
    recipients,
};

const ALWAYS: u32 = u32::MAX;

fn act() -> Act {
    Act { at: at(50_000), who: "ann".to_owned(), why: None }
}

/// What follows when a batch was not answered, and doubt is treated so.
fn unanswered(begun: &Begun, doubt: Doubt) -> Settlement {
    settle(&begun.recipients, Reply::Unanswered(reason()), doubt).unwrap()
}

/// The verdicts, over and over, and whoever is in doubt is looked up.
fn inquired(begun: &Begun, verdicts: &[Verdict]) -> Settlement {
    Settlement { doubt: Doubt::Inquire, may_end_run: true, ..answered(begun, verdicts) }
}

fn all_due(store: &mut dyn Store) -> Vec<Inquiry> {
    store.inquiries_due("openim", Timestamp::MAX, 10_000).unwrap()
}

/// The only inquiry.
fn due(store: &mut dyn Store) -> Inquiry {
    let mut inquiries = all_due(store);
    assert_eq!(inquiries.len(), 1);
    inquiries.remove(0)
}

fn sought(inquiry: &Inquiry) -> Vec<&str> {
    inquiry.sought.iter().map(|(recipient, _)| recipient.as_str()).collect()
}

/// The same conclusions for those who are sought, over and over.
fn conclude(store: &mut dyn Store, inquiry: &Inquiry, conclusions: &[Conclusion], most_attempts: u32) {
    let findings = Findings {
        conclusions: inquiry
            .sought
            .iter()
            .zip(conclusions.iter().cycle())
            .map(|((recipient, _), conclusion)| (recipient.clone(), conclusion.clone()))
            .collect(),
        appeared_at: at(9),
        next_look_at: at(20_000),
        waits_for: "absence can be proven later".to_owned(),
    };
    change(store, |store| store.inquiry_settle(inquiry, &findings, None, most_attempts, at(10_000))).unwrap();
}

/// A run of three in one batch that was asked and not answered, with doubt treated so.
fn in_doubt(store: &mut dyn Store, doubt: Doubt) -> RunID {
    let run = opened(store, "sale", 3, 3);
    let begun = begin(store, &run, 3, 1).unwrap();
    change(store, |store| store.batch_settle(&end(begun.attempt, 5_000), &unanswered(&begun, doubt)))
        .unwrap();
    run
}

fn counts(store: &mut dyn Store, run: &RunID) -> Counts {
    store.run(run).unwrap().counts
}

#[test]
fn a_run_goes_on_while_somebody_is_looked_up() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::Inquire);
        assert_eq!(store.run(&run).unwrap().state, RunState::Running);
        assert_eq!(change(store, |store| store.run_drain(&run, 9, false, at(6_000))).unwrap(), Drain::Busy);
        // The first look comes a moment after the request ended.
        assert_eq!(store.inquiries_due("openim", at(5_999), 500).unwrap(), []);
        assert_eq!(store.inquiry_next_at("openim").unwrap(), Some(at(6_000)));
        assert_eq!(store.inquiry_next_at("another").unwrap(), None);
        let inquiry = due(store);
        assert_eq!(sought(&inquiry), ["u000", "u001", "u002"]);
        assert_eq!((inquiry.asked_at, inquiry.ended_at, inquiry.answered), (at(1), at(5_000), false));
        let found = Conclusion::Found(Receipt { server_msg_id: Some("m".to_owned()), ..Receipt::default() });
        conclude(store, &inquiry, &[found, Conclusion::Open], ALWAYS);
        assert_eq!(counts(store, &run), Counts { audience: 3, accepted: 2, unknown: 1, ..Counts::default() });
        assert_eq!(store.inquiry_next_at("openim").unwrap(), Some(at(20_000)));
        let inquiry = due(store);
        assert_eq!((sought(&inquiry), inquiry.progress.looks), (vec!["u001"], 1));
        conclude(store, &inquiry, &[Conclusion::Held(Reason::new("notProven", "not found"))], ALWAYS);
        assert_eq!(all_due(store), []);
        // Who is held may stay unknown in a run that is over.
        let over = change(store, |store| store.run_drain(&run, 9, false, at(30_000))).unwrap();
        assert_eq!(over, Drain::Over(RunState::Completed { reason: String::new() }));
        assert_eq!(counts(store, &run).unknown, 1);
    });
}

#[test]
fn whoever_is_held_ends_no_run_later() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::Hold);
        assert_eq!(all_due(store), []);
        assert_eq!(store.run(&run).unwrap().state, RunState::Completed { reason: String::new() });
    });
}

#[test]
fn whoever_was_proven_absent_is_asked_again_until_it_was_tried_often_enough() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::Inquire);
        let inquiry = due(store);
        conclude(store, &inquiry, &[Conclusion::Absent], 2);
        assert_eq!(counts(store, &run), Counts { audience: 3, pending: 3, ..Counts::default() });
        let again = begin(store, &run, 9, 11_000).unwrap();
        assert_eq!((again.recipients.clone(), again.addressing), (recipients(3), Addressing::Users));
        let settlement = unanswered(&again, Doubt::Inquire);
        change(store, |store| store.batch_settle(&end(again.attempt, 12_000), &settlement)).unwrap();
        let inquiry = due(store);
        conclude(store, &inquiry, &[Conclusion::Absent], 2);
        assert_eq!(counts(store, &run), Counts { audience: 3, failed: 3, ..Counts::default() });
        assert_eq!(store.run_reasons(&run, 9).unwrap()[0].reason.code, "notAccepted");
    });
}

#[test]
fn whom_a_batch_failed_without_a_reason_is_asked_alone() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 4);
        let begun = begin(store, &run, 4, 1).unwrap();
        let settlement = inquired(&begun, &[accepted(), Verdict::Unknown(reason())]);
        change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        let inquiry = due(store);
        assert_eq!((sought(&inquiry), inquiry.answered), (vec!["u001", "u003"], true));
        conclude(store, &inquiry, &[Conclusion::Absent], ALWAYS);
        // It stays so, also when it was never done.
        for (at_ms, is_done) in [(11_000, false), (12_000, true)] {
            let singles = [0, 1].map(|_| begin(store, &run, 9, at_ms).unwrap());
            let mut asked: Vec<&str> =
                singles.iter().flat_map(|single| &single.recipients).map(|id| id.as_str()).collect();
            asked.sort_unstable();
            assert_eq!(asked, ["u001", "u003"]);
            for single in &singles {
                assert_eq!(single.addressing, Addressing::User);
                let refused =
                    Settlement { may_end_run: false, ..answered(single, &[Verdict::Refused(reason())]) };
                let settlement = if is_done { refused } else { nothing_done(single) };
                change(store, |store| store.batch_settle(&end(single.attempt, at_ms + 1), &settlement))
                    .unwrap();
            }
        }
        assert_eq!(counts(store, &run), Counts { audience: 4, accepted: 2, refused: 2, ..Counts::default() });
    });
}

#[test]
fn an_author_who_accepts_duplicates_has_them_sent_again() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::SendAgain { most_attempts: 2 });
        assert_eq!(counts(store, &run), Counts { audience: 3, pending: 3, ..Counts::default() });
        let again = begin(store, &run, 9, 6_000).unwrap();
        let settlement = unanswered(&again, Doubt::SendAgain { most_attempts: 2 });
        change(store, |store| store.batch_settle(&end(again.attempt, 7_000), &settlement)).unwrap();
        // Twice is often enough.
        assert_eq!(counts(store, &run), Counts { audience: 3, unknown: 3, ..Counts::default() });
        assert_eq!(store.run(&run).unwrap().state, RunState::Completed { reason: String::new() });
    });
}

#[test]
fn what_was_in_flight_when_a_daemon_ended_is_looked_up() {
    on_every_store(|store| {
        let run = opened(store, "sale", 3, 3);
        begin(store, &run, 3, 1).unwrap();
        let doubts = HashMap::from([(run.clone(), Doubt::Inquire)]);
        assert_eq!(change(store, |store| store.recover(&doubts, at(40_000))).unwrap(), 3);
        let inquiry = due(store);
        // The provider may have worked on it until now, for all that is known.
        assert_eq!((sought(&inquiry).len(), inquiry.ended_at), (3, at(40_000)));
        assert_eq!(store.run(&run).unwrap().state, RunState::Running);
    });
}

#[test]
fn a_run_that_was_stopped_waits_for_no_look_and_asks_nobody_again() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::Inquire);
        let stop = RunEvent::Stop { ending: Ending::Cancelled, reason: "wrong text".to_owned() };
        change(store, |store| store.run_event(&run, stop, None, at(6_000))).unwrap();
        let over = change(store, |store| store.run_drain(&run, 9, false, at(6_001))).unwrap();
        assert!(matches!(over, Drain::Over(RunState::Cancelled { .. })), "{over:?}");
        // What becomes of them is recorded all the same.
        let inquiry = due(store);
        conclude(store, &inquiry, &[Conclusion::Found(Receipt::default()), Conclusion::Absent], ALWAYS);
        let expected = Counts { audience: 3, accepted: 2, failed: 1, ..Counts::default() };
        assert_eq!(counts(store, &run), expected);
    });
}

#[test]
fn a_person_reopens_a_run_for_those_whom_it_did_not_reach() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 4);
        let begun = begin(store, &run, 4, 1).unwrap();
        let verdicts = [accepted(), Verdict::Refused(reason()), Verdict::Unknown(reason()), accepted()];
        let settlement = Settlement { may_end_run: true, ..answered(&begun, &verdicts) };
        change(store, |store| store.batch_settle(&end(begun.attempt, 2), &settlement)).unwrap();
        let before = store.run(&run).unwrap();
        assert_eq!(before.state, RunState::Completed { reason: String::new() });
        let retry = |store: &mut dyn Store, outcomes: &[&str]| {
            change(store, |store| store.run_retry(&run, outcomes, &act())).unwrap()
        };
        assert_eq!(retry(store, &["failed", "accepted"]), 0);
        assert_eq!(store.run(&run).unwrap(), before);
        assert_eq!(retry(store, &["refused", "failed"]), 1);
        let reopened = store.run(&run).unwrap();
        assert_eq!(reopened.state, RunState::Running);
        assert_eq!(
            reopened.counts,
            Counts { audience: 4, accepted: 2, unknown: 1, pending: 1, ..Counts::default() }
        );
        // It has as much time as it had at first.
        assert_eq!(
            reopened.finish_by.duration_since(act().at),
            before.finish_by.duration_since(before.due_at)
        );
        // It is told to a daemon once.
        let told = |store: &mut dyn Store| change(store, |store| store.runs_reopened()).unwrap().len();
        assert_eq!((told(store), told(store)), (1, 0));
        let again = begin(store, &run, 9, 60_000).unwrap();
        assert_eq!(again.recipients, recipients(4)[1..2]);
        // Whoever is being looked up is left alone.
        let settlement = Settlement { may_end_run: true, ..answered(&again, &[accepted()]) };
        change(store, |store| store.batch_settle(&end(again.attempt, 60_001), &settlement)).unwrap();
        assert_eq!(change(store, |store| store.run_inquire(&run, Purpose::Settle, &act())).unwrap(), 1);
        assert_eq!(retry(store, &["unknown"]), 0);
    });
}

#[test]
fn a_run_that_is_ending_is_not_reopened() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        let stop = RunEvent::Stop { ending: Ending::Cancelled, reason: "wrong text".to_owned() };
        change(store, |store| store.run_event(&run, stop, None, at(1))).unwrap();
        is_refused(change(store, |store| store.run_retry(&run, &["failed"], &act())));
    });
}

#[test]
fn a_person_has_the_unknown_looked_up() {
    on_every_store(|store| {
        let run = in_doubt(store, Doubt::Hold);
        assert_eq!(change(store, |store| store.run_inquire(&run, Purpose::Settle, &act())).unwrap(), 3);
        // Those are being looked up already.
        assert_eq!(change(store, |store| store.run_inquire(&run, Purpose::Settle, &act())).unwrap(), 0);
        let inquiry = due(store);
        conclude(store, &inquiry, &[Conclusion::Absent], ALWAYS);
        // The run is over, so nobody is asked again.
        assert_eq!(counts(store, &run), Counts { audience: 3, failed: 3, ..Counts::default() });
        assert!(store.run(&run).unwrap().state.is_over());
    });
}

#[test]
fn what_was_accepted_is_confirmed_before_the_run_ends() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 2);
        for ms in [1, 3] {
            let begun = begin(store, &run, 2, ms).unwrap();
            let settlement = Settlement { may_end_run: false, ..answered(&begun, &[accepted()]) };
            change(store, |store| store.batch_settle(&end(begun.attempt, ms + 1), &settlement)).unwrap();
        }
        assert_eq!(store.run_confirmations(&run).unwrap(), None);
        let drain =
            |store: &mut dyn Store| change(store, |store| store.run_drain(&run, 9, true, at(5))).unwrap();
        assert_eq!(drain(store), Drain::Busy);
        let inquiries = all_due(store);
        assert_eq!(inquiries.len(), 2);
        for inquiry in &inquiries {
            assert_eq!((inquiry.progress.purpose, inquiry.sought.len()), (Purpose::Confirm, 2));
            let found = Conclusion::Found(Receipt::default());
            conclude(store, inquiry, &[found, Conclusion::Absent], ALWAYS);
        }
        assert_eq!(drain(store), Drain::Over(RunState::Completed { reason: String::new() }));
        // Whoever is missing is accepted all the same, and told.
        assert_eq!(counts(store, &run), Counts { audience: 4, accepted: 4, ..Counts::default() });
        let expected = Confirmations { confirmed: 2, not_found: 2 };
        assert_eq!(store.run_confirmations(&run).unwrap(), Some(expected));
        // A person may look again for those.
        assert_eq!(change(store, |store| store.run_inquire(&run, Purpose::Confirm, &act())).unwrap(), 2);
    });
}

/// An attempt with a send time of its own that is accepted by all.
fn sent(store: &mut dyn Store, run: &RunID, most: u64, ms: i64, verdicts: &[Verdict]) -> Begun {
    let stamp = Some(("notice".to_owned(), at(ms)));
    let intent = Intent {
        run: run.clone(),
        at: at(ms),
        most_recipients: most,
        caps: Default::default(),
        names_batches: false,
        addressing: Addressing::Users,
        stamp,
    };
    let begun = change(store, |store| store.batch_begin(&intent)).unwrap().unwrap();
    let settlement = inquired(&begun, verdicts);
    change(store, |store| store.batch_settle(&end(begun.attempt, ms + 1), &settlement)).unwrap();
    begun
}

#[test]
fn witnesses_were_accepted_later_each_once() {
    on_every_store(|store| {
        let doubted = opened(store, "sale", 1, 1);
        let other = opened(store, "news", 6, 2);
        let early = sent(store, &other, 2, 1, &[accepted()]);
        let begun = begin(store, &doubted, 1, 3).unwrap();
        let settlement = unanswered(&begun, Doubt::Inquire);
        change(store, |store| store.batch_settle(&end(begun.attempt, 10), &settlement)).unwrap();
        let inquiry = due(store);
        let witnesses = |store: &mut dyn Store, inquiry: &Inquiry, most| {
            let found = store.inquiry_witnesses("openim", inquiry, most, at(100)).unwrap();
            found.into_iter().map(|witness| witness.recipient).collect::<Vec<_>>()
        };
        assert_eq!(witnesses(store, &inquiry, 9), []);
        // One that began before the doubted request ended shows nothing.
        let later = sent(store, &other, 2, 11, &[accepted(), Verdict::Refused(reason())]);
        assert_eq!(witnesses(store, &inquiry, 9), later.recipients[..1]);
        let latest = sent(store, &other, 2, 13, &[accepted()]);
        let expected: Vec<_> = later.recipients[..1].iter().chain(&latest.recipients).cloned().collect();
        assert_eq!(witnesses(store, &inquiry, 9), expected);
        assert_eq!(witnesses(store, &inquiry, 2), expected[..2]);
        assert!(!expected.contains(&early.recipients[0]));
        // What is sent to see it again counts as well.
        let probe = campaignd::campaign::RecipientID::new("probe").unwrap();
        let run = doubted.clone();
        let begun =
            change(store, |store| store.probe_begin(&run, 1, &probe, Some(("notice", at(20))), at(20)))
                .unwrap();
        change(store, |store| store.probe_end(&end(begun.attempt, 21), true, "answered")).unwrap();
        assert_eq!(witnesses(store, &inquiry, 9).last(), Some(&probe));
    });
}

#[test]
fn what_only_a_clock_that_was_ahead_makes_later_is_no_witness() {
    on_every_store(|store| {
        let doubted = opened(store, "sale", 1, 1);
        let other = opened(store, "news", 6, 2);
        // The clock is set back between the two.
        sent(store, &other, 2, 50, &[accepted()]);
        let begun = begin(store, &doubted, 1, 3).unwrap();
        let settlement = unanswered(&begun, Doubt::Inquire);
        change(store, |store| store.batch_settle(&end(begun.attempt, 10), &settlement)).unwrap();
        let inquiry = due(store);
        assert!(store.inquiry_witnesses("openim", &inquiry, 9, at(100)).unwrap().is_empty());
        // And here once more, just after these two.
        sent(store, &other, 2, 70, &[accepted()]);
        assert!(store.inquiry_witnesses("openim", &inquiry, 9, at(20)).unwrap().is_empty());
        assert_eq!(store.inquiry_witnesses("openim", &inquiry, 9, at(100)).unwrap().len(), 2);
    });
}

#[test]
fn a_clock_that_was_set_leaves_nothing_ahead_and_quiet_begins_anew() {
    on_every_store(|store| {
        let run = opened(store, "sale", 1, 1);
        let begun = begin(store, &run, 1, 3).unwrap();
        let settlement = unanswered(&begun, Doubt::Inquire);
        change(store, |store| store.batch_settle(&end(begun.attempt, 50), &settlement)).unwrap();
        store.gateway_unhealthy("openim", at(50)).unwrap();
        let standing = |store: &mut dyn Store| {
            let inquiry = due(store);
            let unhealthy_at = store.gateway_unhealthy_at("openim").unwrap().unwrap();
            (inquiry.progress.opened_at, inquiry.progress.appeared_at, inquiry.ended_at, unhealthy_at)
        };
        // Those of another gateway stay.
        change(store, |store| store.inquiries_by_clock("other", at(40), at(40))).unwrap();
        assert_eq!(standing(store), (at(50), at(50), at(50), at(50)));
        change(store, |store| store.inquiries_by_clock("openim", at(60), at(0))).unwrap();
        assert_eq!(standing(store), (at(50), at(50), at(50), at(50)));
        change(store, |store| store.inquiries_by_clock("openim", at(60), at(60))).unwrap();
        assert_eq!(standing(store), (at(50), at(60), at(50), at(50)));
        change(store, |store| store.inquiries_by_clock("openim", at(40), at(0))).unwrap();
        assert_eq!(standing(store), (at(40), at(40), at(40), at(40)));
        // Its next look is soon, and not when the clock that was ahead would have had it.
        assert_eq!(store.inquiry_next_at("openim").unwrap(), Some(at(1_050)));
        change(store, |store| store.inquiries_by_clock("openim", at(-100_000), at(-100_000))).unwrap();
        assert_eq!(store.inquiry_next_at("openim").unwrap(), Some(at(-40_000)));
    });
}

#[test]
fn those_behind_a_failed_one_in_its_own_batch_are_witnesses() {
    on_every_store(|store| {
        let run = opened(store, "sale", 4, 4);
        let failed = || Verdict::Unknown(reason());
        sent(store, &run, 4, 1, &[accepted(), failed(), accepted(), accepted()]);
        let inquiry = due(store);
        let found = store.inquiry_witnesses("openim", &inquiry, 9, at(100)).unwrap();
        let found: Vec<_> = found.iter().map(|witness| witness.recipient.as_str()).collect();
        assert_eq!(found, ["u002", "u003"]);
    });
}

#[test]
fn what_is_known_of_a_providers_clock_is_kept() {
    on_every_store(|store| {
        assert_eq!(store.gateway_clock("netease").unwrap(), ProviderClock::default());
        let known = [
            ProviderClock {
                offset: SignedDuration::from_secs(-301),
                learnt_at: Some(at(5)),
                ahead_until: None,
            },
            ProviderClock { offset: SignedDuration::ZERO, learnt_at: Some(at(9)), ahead_until: Some(at(7)) },
        ];
        for clock in known {
            change(store, |store| store.gateway_clock_learnt("netease", clock)).unwrap();
            assert_eq!(store.gateway_clock("netease").unwrap(), clock);
        }
        assert_eq!(store.gateway_clock("another").unwrap(), ProviderClock::default());
    });
}

#[test]
fn the_latest_instant_at_which_a_gateway_did_not_work_is_kept() {
    on_every_store(|store| {
        assert_eq!(store.gateway_unhealthy_at("openim").unwrap(), None);
        for ms in [5, 9, 7] {
            change(store, |store| store.gateway_unhealthy("openim", at(ms))).unwrap();
        }
        assert_eq!(store.gateway_unhealthy_at("openim").unwrap(), Some(at(9)));
        assert_eq!(store.gateway_unhealthy_at("another").unwrap(), None);
    });
}
