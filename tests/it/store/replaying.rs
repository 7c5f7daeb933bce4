//! Replays: an attempt whose answer was lost ends, and the same request stands there as another.

use campaignd::{
    run::{
        Counts, Ending, RunEvent,
        inquiry::Doubt,
        reply::Reply,
        settlement::{WITHDRAWN, settle},
    },
    store::{Act, Suppression},
};

use super::{accepted, answered, at, begin, change, end, on_every_store, opened, reason};

fn act() -> Act {
    Act { at: at(2), who: "ann".to_owned(), why: None }
}

#[test]
fn a_replay_is_an_attempt_of_its_own_and_its_batch_stays_in_flight() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let first = begun.attempt;
        let second = change(store, |store| store.batch_replay(&end(first, 2), at(3))).unwrap().unwrap();
        let third = change(store, |store| store.batch_replay(&end(second, 4), at(5))).unwrap().unwrap();
        assert!(first < second && second < third);
        let counts = Counts { audience: 2, in_flight: 2, ..Counts::default() };
        assert_eq!(store.run(&run).unwrap().counts, counts);
        // Each occupies the limits by itself.
        assert_eq!(store.past_calls("openim", None, at(0)).unwrap().len(), 2);
        // The first is over.
        assert!(change(store, |store| store.batch_replay(&end(first, 6), at(6))).is_err());
        let settlement = answered(&begun, &[accepted()]);
        change(store, |store| store.batch_settle(&end(third, 7), &settlement)).unwrap();
        assert!(store.run(&run).unwrap().state.is_over());
        assert_eq!(store.verify().unwrap(), []);
    });
}

#[test]
fn what_a_replay_leaves_in_doubt_is_sought_from_the_first_request_on() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let second =
            change(store, |store| store.batch_replay(&end(begun.attempt, 2), at(3))).unwrap().unwrap();
        let settlement = settle(&begun.recipients, Reply::Unanswered(reason()), Doubt::Inquire).unwrap();
        change(store, |store| store.batch_settle(&end(second, 4), &settlement)).unwrap();
        let inquiries = store.inquiries_due("openim", jiff::Timestamp::MAX, 10).unwrap();
        let inquiry = &inquiries[0];
        assert_eq!((inquiries.len(), inquiry.attempt), (1, second));
        assert_eq!((inquiry.asked_at, inquiry.asked_last_at, inquiry.ended_at), (at(1), at(3), at(4)));
        assert_eq!(inquiry.operation_id, begun.operation_id);
    });
}

#[test]
fn a_daemon_that_ends_in_a_replay_leaves_one_batch_in_doubt() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        change(store, |store| store.batch_replay(&end(begun.attempt, 2), at(3))).unwrap().unwrap();
        let doubts = [(run.clone(), Doubt::Inquire)].into();
        assert_eq!(change(store, |store| store.recover(&doubts, at(9))).unwrap(), 2);
        let inquiries = store.inquiries_due("openim", jiff::Timestamp::MAX, 10).unwrap();
        assert_eq!((inquiries.len(), inquiries[0].asked_at), (1, at(1)));
        assert_eq!(store.verify().unwrap(), []);
    });
}

#[test]
fn nothing_is_asked_again_that_must_not_be_asked() {
    on_every_store(|store| {
        let run = opened(store, "stopped", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let stop = RunEvent::Stop { ending: Ending::Cancelled, reason: "no".to_owned() };
        change(store, |store| store.run_event(&run, stop, None, at(2))).unwrap();
        assert_eq!(change(store, |store| store.batch_replay(&end(begun.attempt, 2), at(3))).unwrap(), None);

        let run = opened(store, "suppressed", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let suppression = Suppression {
            recipient: begun.recipients[0].clone(),
            reason: "asked for it".to_owned(),
            expires_at: None,
        };
        change(store, |store| store.suppress(&[suppression], &act())).unwrap();
        assert_eq!(change(store, |store| store.batch_replay(&end(begun.attempt, 2), at(3))).unwrap(), None);
        // Nothing has changed: the first attempt is under way, and ends as any.
        change(store, |store| store.batch_settle(&end(begun.attempt, 4), &answered(&begun, &[accepted()])))
            .unwrap();
        assert_eq!(store.run(&run).unwrap().counts.accepted, 2);
    });
}

#[test]
fn a_replay_that_never_left_occupies_nothing() {
    on_every_store(|store| {
        let run = opened(store, "sale", 2, 2);
        let begun = begin(store, &run, 2, 1).unwrap();
        let second =
            change(store, |store| store.batch_replay(&end(begun.attempt, 2), at(3))).unwrap().unwrap();
        let mut settlement = settle(&begun.recipients, Reply::Unanswered(reason()), Doubt::Hold).unwrap();
        settlement.verdict = WITHDRAWN;
        change(store, |store| store.batch_settle(&end(second, 4), &settlement)).unwrap();
        assert_eq!(store.past_calls("openim", None, at(0)).unwrap().len(), 1);
        assert_eq!(store.run(&run).unwrap().counts.unknown, 2);
        assert_eq!(store.verify().unwrap(), []);
    });
}
