//! The one writer: changes that share a commit, of which one may fail.

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
