//! Suppressions: who must never be written to, whatever a run has promised before.

use campaignd::{
    campaign::RecipientID,
    run::RunState,
    store::{Drain, Store, Suppression},
};
use jiff::Timestamp;

use super::{accepted, answered, at, begin, change, end, on_every_store, opened, people::act, recipients};

/// Suppresses the recipients with these numbers, until then.
fn suppress(store: &mut dyn Store, numbers: &[usize], expires_at: Option<Timestamp>) -> u64 {
    let all = recipients(100);
    let suppressions: Vec<_> = numbers
        .iter()
        .map(|number| Suppression {
            recipient: all[*number].clone(),
            reason: format!("reason {number}"),
            expires_at,
        })
        .collect();
    change(store, |store| store.suppress(&suppressions, &act(""))).unwrap()
}

fn between(store: &mut dyn Store, first: usize, last: usize, ms: i64) -> Vec<String> {
    let all = recipients(100);
    let found = store.suppressed_between(&all[first], &all[last], at(ms)).unwrap();
    found.into_iter().map(|(id, reason)| format!("{id} {} {}", reason.code, reason.text)).collect()
}

#[test]
fn a_suppression_holds_until_it_is_lifted_or_expires() {
    on_every_store(|store| {
        assert!(!store.any_suppressed(at(60)).unwrap());
        assert_eq!(suppress(store, &[3, 5], None), 2);
        assert_eq!(suppress(store, &[5, 7], Some(at(90))), 1, "5 was suppressed already");
        assert!(store.any_suppressed(at(60)).unwrap());
        let told = |number: usize| format!("u{number:03} suppressed reason {number}");
        assert_eq!(between(store, 0, 99, 60), [told(3), told(5), told(7)]);
        assert_eq!(between(store, 4, 5, 60), [told(5)]);
        assert_eq!(between(store, 0, 99, 90), [told(3)], "the others' time is over");
        let gone: Vec<RecipientID> = [3, 4].iter().map(|number| recipients(100)[*number].clone()).collect();
        assert_eq!(change(store, |store| store.suppress_end(&gone)).unwrap(), 1);
        assert!(!store.any_suppressed(at(90)).unwrap());
    });
}

#[test]
fn whoever_is_suppressed_meanwhile_is_not_asked() {
    on_every_store(|store| {
        let run = opened(store, "sale", 6, 3);
        suppress(store, &[0, 1, 2, 4], None);
        let begun = begin(store, &run, 10, 61).unwrap();
        let asked: Vec<&str> = begun.recipients.iter().map(RecipientID::as_str).collect();
        assert_eq!(asked, ["u003", "u005"]);
        let counts = store.run(&run).unwrap().counts;
        // The batch of the first three may wait behind this one.
        assert_eq!((counts.in_flight, counts.excluded + counts.pending), (2, 4));
        let settled = change(store, |store| {
            store.batch_settle(&end(begun.attempt, 62), &answered(&begun, &[accepted()]))
        });
        settled.unwrap();
        assert!(begin(store, &run, 10, 63).is_none());
        let over = change(store, |store| store.run_drain(&run, 10, false, at(64))).unwrap();
        assert_eq!(over, Drain::Over(RunState::Completed { reason: String::new() }));
        let counts = store.run(&run).unwrap().counts;
        assert_eq!((counts.accepted, counts.excluded), (2, 4));
        let reasons = store.run_reasons(&run, 9).unwrap();
        let reasons: Vec<_> =
            reasons.iter().map(|one| (one.outcome.as_str(), one.reason.code.as_str())).collect();
        assert_eq!(reasons, [("excluded", "suppressed")]);
    });
}
