//! Opening: an audience is written in parts, then sealed, or thrown away and written anew.

use campaignd::{
    campaign::source::Values,
    run::{Counts, RunEvent, RunState, chunk::Chunk},
    store::{Control, StoreError, Target},
};

use super::{at, begin, change, chunks, is_refused, made, on_every_store, people::act, reason, recipients};

#[test]
fn an_audience_is_opened_in_parts() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let everyone = recipients(12);
        let (left_out, included) = everyone.split_at(2);
        let left_out: Vec<_> = left_out.iter().map(|id| (id.clone(), reason())).collect();
        let chunks = chunks(included, 4);
        for (part, excluded) in [(&chunks[..2], &left_out[..1]), (&chunks[2..], &left_out[1..]), (&[], &[])] {
            change(store, |store| store.run_open_part(&run, part, excluded, at(1))).unwrap();
            assert_eq!(begin(store, &run, 9, 1), None, "nothing is asked before it is sealed");
        }
        let counts = Counts { audience: 12, pending: 10, excluded: 2, ..Counts::default() };
        assert_eq!(store.run(&run).unwrap().counts, counts);
        let state = change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(2))).unwrap();
        assert_eq!(state, RunState::Running);
        assert!(begin(store, &run, 9, 3).is_some());
        assert_eq!(store.run(&run).unwrap().started_at, Some(at(3)));
    });
}

#[test]
fn an_opening_that_was_cut_short_begins_anew() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let everyone = recipients(9);
        let excluded = [(everyone[8].clone(), reason())];
        let chunks = chunks(&everyone[..8], 4);
        for part in [&chunks[..1], &chunks[..]] {
            change(store, |store| store.run_unopen(&run)).unwrap();
            assert_eq!(store.run(&run).unwrap().counts, Counts::default());
            change(store, |store| store.run_open_part(&run, part, &excluded, at(1))).unwrap();
        }
        assert_eq!(store.run(&run).unwrap().counts.audience, 9);
        // A part split off a batch takes the next number, which no chunk has.
        change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(2))).unwrap();
        let numbers: Vec<u64> =
            std::iter::from_fn(|| begin(store, &run, 3, 3)).map(|begun| begun.batch).collect();
        let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
        assert_eq!((numbers.len(), distinct.len()), (4, 4), "{numbers:?}");
    });
}

#[test]
fn what_an_opening_has_left_is_thrown_away_in_parts() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let everyone = recipients(12);
        let left_out: Vec<_> = everyone[8..].iter().map(|id| (id.clone(), reason())).collect();
        let values = Values([("name".to_owned(), "Li".to_owned())].into());
        let filled = |chunk| Chunk { values: Some(values.clone()), ..chunk };
        let chunks: Vec<Chunk> = chunks(&everyone[..8], 2).into_iter().map(filled).collect();
        change(store, |store| store.run_open_part(&run, &chunks, &left_out, at(1))).unwrap();
        let mut left = Vec::new();
        while !change(store, |store| store.run_unopen_part(&run, 3)).unwrap() {
            left.push(store.run(&run).unwrap().counts.audience);
            assert_eq!(store.verify().unwrap(), []);
        }
        assert_eq!((left, store.run(&run).unwrap().counts), (vec![3], Counts::default()));
        // With what filled in messages: nothing stands where it is written anew.
        change(store, |store| store.run_open_part(&run, &chunks, &left_out, at(1))).unwrap();
        change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(2))).unwrap();
        assert!(change(store, |store| store.run_unopen_part(&run, 3)).unwrap());
        assert_eq!(store.run(&run).unwrap().counts.audience, 12);
    });
}

#[test]
fn an_opening_that_fills_in_messages_begins_anew() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let values = Values([("name".to_owned(), "Li".to_owned())].into());
        let chunks: Vec<Chunk> = chunks(&recipients(4), 2)
            .into_iter()
            .map(|chunk| Chunk { values: Some(values.clone()), ..chunk })
            .collect();
        // It is cut short twice; what it has left is thrown away in parts, or at once.
        for in_parts in [true, false, true] {
            while in_parts && !change(store, |store| store.run_unopen_part(&run, 1)).unwrap() {}
            change(store, |store| {
                store.run_unopen(&run)?;
                store.run_open_part(&run, &chunks, &[], at(1))
            })
            .unwrap();
        }
        change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(2))).unwrap();
        assert_eq!(store.run(&run).unwrap().counts.pending, 4);
        assert_eq!(store.verify().unwrap(), []);
    });
}

#[test]
fn what_is_sealed_is_not_opened_again() {
    on_every_store(|store| {
        let run = super::opened(store, "sale", 4, 2);
        let before = store.run(&run).unwrap();
        is_refused(change(store, |store| store.run_open_part(&run, &[], &[], at(1))));
        is_refused(change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(1))));
        let error = change(store, |store| store.run_unopen(&run)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert_eq!(store.run(&run).unwrap(), before);
    });
}

#[test]
fn an_opening_that_failed_leaves_no_audience() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let chunks = chunks(&recipients(4), 2);
        change(store, |store| store.run_open_part(&run, &chunks, &[], at(1))).unwrap();
        let failed = RunEvent::OpeningFailed { reason: "no list".to_owned() };
        let state = change(store, |store| store.run_event(&run, failed, Some("audience"), at(2))).unwrap();
        assert_eq!(state, RunState::Failed { reason: "no list".to_owned() });
        let record = store.run(&run).unwrap();
        assert_eq!((record.state, record.counts), (state, Counts::default()));
        assert_eq!(store.runs_open().unwrap(), []);
    });
}

#[test]
fn a_run_of_a_paused_campaign_is_paused_when_it_is_sealed() {
    on_every_store(|store| {
        let run = made(store, "sale");
        let target = Target::Campaign("sale".parse().unwrap());
        change(store, |store| store.control(&target, Control::Pause, &act("stock is out"))).unwrap();
        let state = change(store, |store| store.run_event(&run, RunEvent::Sealed, None, at(2))).unwrap();
        assert_eq!(state, RunState::Paused { reason: "stock is out".to_owned() });
        assert_eq!(store.run(&run).unwrap().state, state);
        let state = change(store, |store| store.run_event(&run, RunEvent::Resume, None, at(3))).unwrap();
        assert_eq!(state, store.run(&run).unwrap().state);
        assert_eq!(state.name(), "paused");
        // It waits for its campaign alone.
        let told = change(store, |store| store.control(&target, Control::Resume, &act(""))).unwrap();
        assert_eq!((told.names, told.still), (vec!["sale".to_owned(), run.to_string()], vec![]));
    });
}
