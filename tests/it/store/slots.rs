//! Slots: each is decided once, and one run comes of each.

use campaignd::{
    plan::{Decision, Fate, Miss, Skip},
    run::{Ending, RunID, RunState, Trigger},
    schedule::Slot,
    store::{CampaignRecord, DecidedSlots, NewRun, Store, Stored},
};

use super::{
    RunEvent, accepted, answered, at, begin, campaign, change, end, is_not_found, new_run, on_every_store,
    opened, recipients, revision,
};

/// An hour in milliseconds: slots are that far apart here.
const HOUR: i64 = 3_600_000;

fn decision(slot: i64, count: u64, fate: Fate) -> (Decision, Option<NewRun>) {
    let until = at((slot + count as i64 - 1) * HOUR);
    let run = (fate == Fate::Run).then(|| new_run(Trigger::Schedule, at(slot * HOUR)));
    let named = Slot { at: at(slot * HOUR), due: at(slot * HOUR), excepted: false };
    (Decision { until, count, ..Decision::of(named, fate) }, run)
}

fn plan(name: &str, decisions: &[(Decision, Option<NewRun>)], until: i64) -> DecidedSlots {
    DecidedSlots {
        campaign: campaign(name),
        decisions: decisions.to_vec(),
        decided_until: at(until * HOUR),
        queued: None,
        next_occurrence: None,
    }
}

fn decide(
    store: &mut dyn Store,
    decisions: &[(Decision, Option<NewRun>)],
    until: i64,
) -> Stored<Option<RunID>> {
    let plans = [plan("sale", decisions, until)];
    let made = change(store, |store| store.slots_decide(&plans, at(until * HOUR)))?;
    assert_eq!(made.len(), 1);
    Ok(made.into_iter().flatten().next())
}

fn apply(store: &mut dyn Store) {
    change(store, |store| store.campaign_apply(&revision("sale", at(0)))).unwrap();
}

#[test]
fn a_slot_has_one_run_however_often_it_is_decided() {
    on_every_store(|store| {
        apply(store);
        let decisions = [decision(1, 2, Fate::Missed(Miss::Late)), decision(3, 1, Fate::Run)];
        let run = decide(store, &decisions, 3).unwrap().unwrap();
        assert_eq!(run.as_str(), "sale@20261111T040000Z");
        for _ in 0..3 {
            assert_eq!(decide(store, &decisions, 3).unwrap(), None);
        }
        let open = store.runs_open().unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((&open[0].id, &open[0].state, open[0].slot), (&run, &RunState::Pending, at(3 * HOUR)));
        assert_eq!(open[0], store.run(&run).unwrap());
    });
}

#[test]
fn plans_of_several_campaigns_are_recorded_together() {
    on_every_store(|store| {
        let decisions = [decision(1, 1, Fate::Run)];
        apply(store);
        change(store, |store| store.campaign_apply(&revision("news", at(0)))).unwrap();
        change(store, |store| store.slots_decide(&[plan("news", &decisions, 1)], at(HOUR))).unwrap();
        let plans = [
            plan("news", &[decision(1, 1, Fate::Run), decision(2, 1, Fate::Skipped(Skip::Overlap))], 2),
            plan("sale", &[decision(1, 1, Fate::Missed(Miss::Late)), decision(2, 1, Fate::Run)], 2),
        ];
        let made = change(store, |store| store.slots_decide(&plans, at(2 * HOUR))).unwrap();
        assert_eq!(made, [None, Some(RunID::from_text("sale@20261111T030000Z"))]);
        let until = |known: &CampaignRecord| known.decided_until;
        assert_eq!(store.campaigns().unwrap().iter().map(until).collect::<Vec<_>>(), [at(2 * HOUR); 2]);
        assert_eq!(change(store, |store| store.slots_decide(&[], at(0))).unwrap(), []);
        // One that is not known undoes all.
        let plans = [plan("sale", &[decision(3, 1, Fate::Run)], 3), plan("none", &decisions, 3)];
        is_not_found(change(store, |store| store.slots_decide(&plans, at(0))));
        assert_eq!(store.runs_open().unwrap().len(), 2);
    });
}

#[test]
fn a_decision_stands() {
    on_every_store(|store| {
        apply(store);
        assert_eq!(decide(store, &[decision(1, 1, Fate::Skipped(Skip::Overlap))], 1).unwrap(), None);
        assert_eq!(decide(store, &[decision(1, 1, Fate::Run)], 1).unwrap(), None);
        assert_eq!(store.runs_open().unwrap(), []);
    });
}

#[test]
fn the_slots_decided_never_become_fewer() {
    on_every_store(|store| {
        apply(store);
        for (until, expected) in [(2, 2), (1, 2), (5, 5)] {
            decide(store, &[], until).unwrap();
            assert_eq!(store.campaigns().unwrap()[0].decided_until, at(expected * HOUR));
        }
    });
}

#[test]
fn slots_of_no_campaign_are_not_decided() {
    on_every_store(|store| {
        is_not_found(decide(store, &[decision(1, 1, Fate::Missed(Miss::Late))], 1));
        is_not_found(decide(store, &[decision(1, 1, Fate::Run)], 1));
        // Neither left anything behind.
        apply(store);
        assert!(decide(store, &[decision(1, 1, Fate::Run)], 1).unwrap().is_some());
    });
}

#[test]
fn runs_by_hand_of_the_same_second_have_names_of_their_own() {
    on_every_store(|store| {
        apply(store);
        let named = NewRun { only_to: Some(recipients(2)), ..new_run(Trigger::Test, at(0)) };
        let mut make = |new: &NewRun| change(store, |store| store.run_make(&campaign("sale"), new)).unwrap();
        let runs = [
            make(&new_run(Trigger::Manual, at(0))),
            make(&new_run(Trigger::Manual, at(999))),
            make(&named),
            make(&NewRun { slot: at(1), ..named.clone() }),
            make(&new_run(Trigger::Manual, at(1000))),
        ];
        let names = runs.each_ref().map(RunID::as_str);
        let expected = [
            "sale@20261111T010000Z.m1",
            "sale@20261111T010000Z.m2",
            "sale@20261111T010000Z.t1",
            "sale@20261111T010000Z.t2",
            "sale@20261111T010001Z.m1",
        ];
        assert_eq!(names, expected);
        assert_eq!(store.run(&runs[2]).unwrap().only_to, Some(recipients(2)));
        is_not_found(change(store, |store| store.run_make(&campaign("none"), &named)));
        is_not_found(store.run(&RunID::from_text("none")));
    });
}

#[test]
fn a_revision_that_ran_or_is_about_to_is_known() {
    on_every_store(|store| {
        let ran_since = |store: &mut dyn Store, ms| store.ran_since(&campaign("sale"), at(ms)).unwrap();
        apply(store);
        assert!(!ran_since(store, 0));
        let test = NewRun { only_to: Some(recipients(1)), ..new_run(Trigger::Test, at(0)) };
        change(store, |store| store.run_make(&campaign("sale"), &test)).unwrap();
        assert!(!ran_since(store, 0), "a test send is not the audience");
        let run = opened(store, "sale", 1, 1);
        assert!(ran_since(store, 0), "it will be asked any moment");
        let begun = begin(store, &run, 1, 10).unwrap();
        change(store, |store| store.batch_settle(&end(begun.attempt, 20), &answered(&begun, &[accepted()])))
            .unwrap();
        assert!(ran_since(store, 10));
        assert!(!ran_since(store, 11));
        apply(store);
        assert!(!ran_since(store, 0), "this revision has not run");
    });
}

#[test]
fn a_run_that_was_never_asked_has_not_run() {
    on_every_store(|store| {
        let run = super::made(store, "sale");
        let failed = RunEvent::OpeningFailed { reason: "no list".to_owned() };
        change(store, |store| store.run_event(&run, failed, None, at(5))).unwrap();
        assert!(!store.ran_since(&campaign("sale"), at(0)).unwrap());
    });
}

#[test]
fn what_a_clock_that_was_ahead_has_decided_comes_again() {
    on_every_store(|store| {
        apply(store);
        let sale = campaign("sale");
        // The clock says 09:00, and eight slots are missed at once; one of them had run before.
        decide(store, &[decision(1, 1, Fate::Run)], 1).unwrap();
        decide(store, &[decision(2, 7, Fate::Missed(Miss::Late))], 9).unwrap();
        let reopen =
            |store: &mut dyn Store, hour| change(store, |store| store.slots_reopen(at(hour * HOUR))).unwrap();
        assert_eq!(reopen(store, 9), [], "the clock is where it was");
        assert_eq!(reopen(store, 4), std::slice::from_ref(&sale));
        // The row reached past now: all of it is decided anew, and the run stays.
        assert_eq!(store.campaigns().unwrap()[0].decided_until, at(2 * HOUR - 1));
        assert!(decide(store, &[decision(2, 1, Fate::Run)], 2).unwrap().is_some());
        assert_eq!(reopen(store, 1), [sale]);
        assert_eq!(decide(store, &[decision(1, 1, Fate::Run), decision(2, 1, Fate::Run)], 2).unwrap(), None);
        assert_eq!(store.campaigns().unwrap()[0].counts_from, at(0));
    });
}

#[test]
fn the_slot_in_the_queue_is_kept() {
    on_every_store(|store| {
        apply(store);
        let queue = |store: &mut dyn Store, queued| {
            let plans = [DecidedSlots { queued, ..plan("sale", &[], 1) }];
            change(store, |store| store.slots_decide(&plans, at(HOUR))).unwrap();
            store.campaigns().unwrap()[0].queued
        };
        assert_eq!(queue(store, Some(at(HOUR))), Some(at(HOUR)));
        change(store, |store| store.campaign_apply(&revision("sale", at(2)))).unwrap();
        assert_eq!(store.campaigns().unwrap()[0].queued, Some(at(HOUR)), "an edit leaves it there");
        assert_eq!(queue(store, None), None);
    });
}

#[test]
fn what_is_decided_ahead_can_be_taken_back_until_its_instant() {
    on_every_store(|store| {
        apply(store);
        change(store, |store| store.campaign_apply(&revision("news", at(0)))).unwrap();
        decide(store, &[decision(1, 1, Fate::Run)], 1).unwrap();
        let due = at(2 * HOUR);
        let plans = ["sale", "news"].map(|name| plan(name, &[decision(2, 1, Fate::Run)], 2));
        let ahead = |store: &mut dyn Store| {
            let decided = change(store, |store| store.crowd_decide(due, &plans, at(2 * HOUR - 1_000)));
            decided.unwrap().into_iter().flatten().count()
        };
        let disperse_of =
            |store: &mut dyn Store, due| change(store, |store| store.crowd_disperse(due)).unwrap();
        let disperse = |store: &mut dyn Store| disperse_of(store, None);
        let until = |store: &mut dyn Store| store.campaigns().unwrap()[1].decided_until;
        assert_eq!(disperse(store), 0);
        assert_eq!((ahead(store), ahead(store)), (2, 0));
        assert_eq!(until(store), due);
        assert_eq!(disperse_of(store, Some(at(HOUR))), 0, "another instant is none of theirs");
        assert_eq!(disperse_of(store, Some(due)), 2);
        assert_eq!((until(store), store.runs_open().unwrap().len()), (at(2 * HOUR - 1), 1));
        assert_eq!(disperse(store), 0);
        // Whoever was cancelled stays so.
        assert_eq!(ahead(store), 2);
        let run = RunID::from_text("news@20261111T030000Z");
        let stop = RunEvent::Stop { ending: Ending::Cancelled, reason: "not now".to_owned() };
        change(store, |store| store.run_event(&run, stop.clone(), None, at(2 * HOUR - 500))).unwrap();
        assert_eq!(disperse(store), 1);
        assert!(store.run(&run).unwrap().state.is_over());
        // What has begun stays, and so does a run of the same instant that was not made ahead.
        assert_eq!(ahead(store), 1);
        change(store, |store| store.crowd_begin(at(HOUR))).unwrap();
        assert_eq!(disperse(store), 1, "it was another instant that began");
        assert_eq!(ahead(store), 1);
        change(store, |store| store.crowd_begin(due)).unwrap();
        assert_eq!(disperse(store), 0);
        assert_eq!(store.runs_open().unwrap().len(), 2);
    });
}
