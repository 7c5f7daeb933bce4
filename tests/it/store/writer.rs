//! The one writer: changes that share a commit, of which one may fail.

use std::sync::{Arc, Mutex, mpsc};

use campaignd::store::{Ledger, Question, StoreError};

use super::{STORES, at};

/// As many as no single commit takes, and more than may wait.
const CALLERS: i64 = 600;

fn question(number: i64) -> Question {
    Question::Send { campaign: format!("c{number}"), to: Vec::new(), again: false }
}

/// Every seventh change writes something and fails then; the others must be there, and it must not.
async fn some_fail(ledger: Ledger) {
    let calls = (0..CALLERS).map(|number| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            ledger
                .call(move |store| {
                    let asked = store.question_ask(&question(number), at(0))?;
                    match number % 7 {
                        3 => Err(StoreError::Refused("changed its mind".to_owned())),
                        _ => Ok((number, asked)),
                    }
                })
                .await
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut kept = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        match call.await.unwrap() {
            Ok(asked) => kept.push(asked),
            Err(StoreError::Refused(why)) => assert_eq!((number % 7, why.as_str()), (3, "changed its mind")),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(kept.len(), (0..CALLERS).filter(|number| number % 7 != 3).count());
    // A hundred are shown at a time.
    let mut recorded = Vec::new();
    while recorded.len() < kept.len() {
        let open = ledger.call(|store| store.questions_open()).await.unwrap();
        assert!(!open.is_empty(), "only {} of {} are recorded", recorded.len(), kept.len());
        recorded.extend(open.clone());
        ledger
            .call(move |store| open.iter().try_for_each(|(asked, ..)| store.question_withdraw(*asked)))
            .await
            .unwrap();
    }
    assert_eq!(ledger.call(|store| store.questions_open()).await.unwrap(), []);
    let mut expected: Vec<_> =
        kept.into_iter().map(|(number, asked)| (asked, at(0), question(number))).collect();
    expected.sort_by_key(|(asked, ..)| *asked);
    assert_eq!(recorded, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_leaves_those_that_share_its_commit() {
    for (_, open) in STORES {
        let folder = tempfile::tempdir().unwrap();
        some_fail(Ledger::threaded(open(folder.path())).unwrap()).await;
        let folder = tempfile::tempdir().unwrap();
        some_fail(Ledger::inline(open(folder.path()))).await;
    }
}

#[tokio::test]
async fn what_is_told_as_done_is_there_for_the_next_daemon() {
    for (_, open) in STORES {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let ledger = Ledger::threaded(open(folder.path())).unwrap();
            ledger.call(move |store| store.question_ask(&question(number), at(0))).await.unwrap();
            let open = ledger.call(|store| store.questions_open()).await.unwrap();
            assert_eq!(open.len(), number as usize);
        }
    }
}

fn unheard() -> StoreError {
    StoreError::Failed("nobody lets the writer go".to_owned())
}

/// Holds the writer until the others wait for it: then one that has time, or more, and others behind it.
/// Gives the order in which they were done.
async fn in_order(patient: usize, others: usize) -> Vec<&'static str> {
    let (_, open) = STORES[0];
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::threaded(open(folder.path())).unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let (go, wait) = mpsc::channel::<()>();
    let note = |name: &'static str| {
        let done = Arc::clone(&done);
        move |_: &mut dyn campaignd::store::Store| {
            done.lock().unwrap().push(name);
            Ok(())
        }
    };
    let first = ledger.clone();
    let first = tokio::spawn(async move { first.call(move |_| wait.recv().map_err(|_| unheard())).await });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..patient {
        let (ledger, work) = (ledger.clone(), note("patient"));
        calls.spawn(async move { ledger.call_loosely(work).await });
    }
    for _ in 0..others {
        let (ledger, work) = (ledger.clone(), note("other"));
        calls.spawn(async move { ledger.call(work).await });
    }
    // All have asked by then.
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap();
    }
    let done = done.lock().unwrap();
    done.clone()
}

#[tokio::test]
async fn those_that_have_time_let_others_pass_but_not_for_ever() {
    let order = in_order(2, 5).await;
    assert_eq!(order, ["other", "other", "other", "other", "other", "patient", "patient"]);
    // More others than may wait. How many pass depends on how fast they come: whoever finds nobody waiting goes on.
    let order = in_order(20, 2_000).await;
    assert_eq!(order.len(), 2_020);
    let first = order.iter().position(|name| *name == "patient").unwrap();
    assert!(first < 2_000, "the first patient one was number {first}");
}
