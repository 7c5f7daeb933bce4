//! Reading afterwards: what became of those whose outcome was unknown.

use campaignd::{
    run::{
        Counts, Outcome, RunID,
        reply::{Receipt, Verdict},
    },
    store::{Store, StoreError},
};

use super::{
    accepted, answered, at, begin, change, end, is_not_found, on_every_store, opened, reason, recipients,
};

/// A run of which u000 is accepted, u001 refused, u002 and u003 unknown, and u004 pending.
fn half_known(store: &mut dyn Store) -> RunID {
    let run = opened(store, "sale", 5, 5);
    let begun = begin(store, &run, 4, 1).unwrap();
    let unknown = || Verdict::Unknown(reason());
    let verdicts = [accepted(), Verdict::Refused(reason()), unknown(), unknown()];
    change(store, |store| store.batch_settle(&end(begun.attempt, 2), &answered(&begun, &verdicts))).unwrap();
    run
}

fn look(store: &mut dyn Store, run: &RunID, outcomes: &[(usize, Outcome)]) -> Result<Counts, StoreError> {
    let everyone = recipients(6);
    let outcomes: Vec<_> =
        outcomes.iter().map(|(number, outcome)| (everyone[*number].clone(), outcome.clone())).collect();
    let (attempt, _) = change(store, |store| store.look_begin(run, 1, 4, at(3)))?;
    change(store, |store| store.look_end(&end(attempt, 4), true))?;
    change(store, |store| store.look_read(run, Some(attempt), &outcomes, at(4)))?;
    Ok(store.run(run)?.counts)
}

#[test]
fn only_what_is_unknown_changes() {
    on_every_store(|store| {
        let run = half_known(store);
        let before = store.run(&run).unwrap().counts;
        let yes = || Outcome::Accepted(Receipt::default());
        let no = || Outcome::Refused(reason());
        // The other way round, pending, and not of this run.
        assert_eq!(look(store, &run, &[(0, no()), (1, yes()), (4, yes()), (5, yes())]).unwrap(), before);
        let still = Outcome::Unknown(reason());
        assert_eq!(look(store, &run, &[(2, still.clone()), (3, still)]).unwrap(), before);
        let after = Counts { accepted: 2, refused: 2, unknown: 0, ..before };
        assert_eq!(look(store, &run, &[(2, yes()), (3, no())]).unwrap(), after);
        assert_eq!(look(store, &run, &[(2, no()), (3, yes())]).unwrap(), after);
    });
}

#[test]
fn nothing_is_read_that_cannot_be() {
    on_every_store(|store| {
        let run = half_known(store);
        let before = store.run(&run).unwrap();
        for outcome in [Outcome::Failed(reason()), Outcome::Cancelled(reason()), Outcome::Excluded(reason())]
        {
            let error = look(store, &run, &[(2, outcome)]).unwrap_err();
            assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        }
        assert_eq!(store.run(&run).unwrap(), before);
    });
}

#[test]
fn a_look_belongs_to_a_run_and_ends_once() {
    on_every_store(|store| {
        let run = half_known(store);
        is_not_found(change(store, |store| store.look_begin(&RunID::from_text("none"), 1, 1, at(3))));
        let (attempt, _) = change(store, |store| store.look_begin(&run, 1, 1, at(3))).unwrap();
        change(store, |store| store.look_end(&end(attempt, 4), false)).unwrap();
        is_not_found(change(store, |store| store.look_end(&end(attempt, 5), true)));
        // A request that sends is no look.
        let begun = begin(store, &run, 1, 6).unwrap();
        is_not_found(change(store, |store| store.look_end(&end(begun.attempt, 7), true)));
    });
}
