//! What a refused request means for its run: one bad recipient, or a request that is bad for everyone.
//!
//! A provider that refuses a whole request does not say for whose sake. So the batch is cut into halves, which
//! are asked next: one bad recipient is found in a few calls, and what is answered on the way shows that the
//! request itself is good. Who is refused alone, while others were answered, is the bad one.

/// So many refused calls in a row, when none of the run was ever answered, are the request's fault: enough to
/// come from the largest batch to recipients alone, and to try some of those.
const NEVER_ANSWERED: u64 = 16;
/// So many are, although calls were answered before: the provider has changed its mind. As many as a large
/// batch costs in which everyone is bad.
const NO_LONGER_ANSWERED: u64 = 500;

/// How a run's requests were refused, as far as this daemon has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    in_a_row: u64,
    ever_answered: bool,
}

/// What becomes of a batch whose request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Its run fails: the request is refused, whoever is in it.
    FailRun,
    /// Its halves are asked.
    Halve,
    /// It is one recipient, and nobody knows yet whether it is the bad one: it is asked once more behind
    /// everyone else.
    Defer,
    /// Its one recipient is the bad one.
    RefuseRecipient,
}

impl Refusals {
    /// Of a run of which somebody was accepted before, or nobody.
    pub fn of_run(ever_answered: bool) -> Refusals {
        Refusals { in_a_row: 0, ever_answered }
    }

    /// A request was answered for its recipients.
    pub fn answered(&mut self) {
        *self = Refusals::of_run(true);
    }

    /// A request for so many recipients was refused; `others` of the run are pending or in flight besides.
    pub fn refused(&mut self, recipients: usize, others: u64) -> AfterRefusal {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let most = match self.ever_answered {
            true => NO_LONGER_ANSWERED,
            // Cutting everyone who is left down to one each takes so many calls: all were refused.
            false => {
                let left = others.saturating_add(recipients as u64);
                NEVER_ANSWERED.min(left.saturating_mul(2).saturating_sub(1))
            }
        };
        match recipients {
            _ if self.in_a_row >= most => AfterRefusal::FailRun,
            2.. => AfterRefusal::Halve,
            _ if self.ever_answered => AfterRefusal::RefuseRecipient,
            _ => AfterRefusal::Defer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    /// How a run of `batches` ends whose provider refuses each request that holds one of the `bad`: who was
    /// refused, whether the run failed, and the calls that this took.
    fn play(batches: Vec<Vec<u32>>, bad: &[u32]) -> (Vec<u32>, bool, u32) {
        let mut waiting: VecDeque<Vec<u32>> = batches.into();
        let (mut refusals, mut refused, mut calls) = (Refusals::default(), Vec::new(), 0);
        while let Some(batch) = waiting.pop_front() {
            calls += 1;
            if !batch.iter().any(|id| bad.contains(id)) {
                refusals.answered();
                continue;
            }
            let others = waiting.iter().map(Vec::len).sum::<usize>() as u64;
            match refusals.refused(batch.len(), others) {
                AfterRefusal::FailRun => return (refused, true, calls),
                AfterRefusal::Halve => {
                    let (first, second) = batch.split_at(batch.len().div_ceil(2));
                    waiting.push_front(second.to_vec());
                    waiting.push_front(first.to_vec());
                }
                AfterRefusal::Defer => waiting.push_back(batch),
                AfterRefusal::RefuseRecipient => refused.extend(batch),
            }
        }
        (refused, false, calls)
    }

    fn batches(count: u32, size: usize) -> Vec<Vec<u32>> {
        (0..count).collect::<Vec<_>>().chunks(size).map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn one_bad_recipient_is_found_wherever_it_stands() {
        for bad in 0..64 {
            // The first of all is asked once more when another was answered.
            let calls = if bad == 0 { 14 } else { 13 };
            assert_eq!(play(batches(64, 64), &[bad]), (vec![bad], false, calls));
        }
        // Alone in its batch, before anyone was answered.
        assert_eq!(play(batches(3, 1), &[0]), (vec![0], false, 4));
    }

    #[test]
    fn a_request_that_is_bad_for_everyone_fails_its_run() {
        let everyone: Vec<u32> = (0..1_000).collect();
        assert_eq!(play(batches(1, 1), &everyone), (vec![], true, 1));
        assert_eq!(play(batches(2, 2), &everyone), (vec![], true, 3));
        assert_eq!(play(batches(1_000, 100), &everyone), (vec![], true, 16));
        assert_eq!(play(batches(1_000, 1_000), &everyone), (vec![], true, 16));
        for count in 1..20 {
            let (refused, failed, calls) = play(batches(count, 3), &everyone);
            assert_eq!((refused, failed), (vec![], true));
            assert!(calls <= 16 && calls <= 2 * count, "{calls} calls for {count}");
        }
    }

    #[test]
    fn a_provider_that_changes_its_mind_fails_the_run() {
        let later: Vec<u32> = (100..100_000).collect();
        let (refused, failed, calls) = play(batches(100_000, 100), &later);
        assert!(failed && refused.len() <= 250, "{} refused", refused.len());
        assert_eq!(calls, 501);
    }

    #[test]
    fn many_bad_ones_here_and_there_or_side_by_side_fail_nobody_else() {
        let every_twentieth: Vec<u32> = (0..10_000).step_by(20).collect();
        assert_eq!(play(batches(10_000, 100), &every_twentieth).0.len(), 500);
        let side_by_side: Vec<u32> = (4_950..5_150).collect();
        let (refused, failed, _) = play(batches(10_000, 100), &side_by_side);
        assert_eq!((refused, failed), (side_by_side, false));
    }

    proptest! {
        #[test]
        fn a_few_bad_ones_cost_few_calls(bad in prop::collection::btree_set(0u32..1_000, 0..12)) {
            let ids: Vec<u32> = bad.iter().copied().collect();
            let (refused, failed, calls) = play(batches(1_000, 100), &ids);
            prop_assert!(!failed);
            prop_assert_eq!(refused.into_iter().collect::<BTreeSet<_>>(), bad);
            prop_assert!(calls as usize <= 10 + ids.len() * (2 * 7 + 1));
        }
    }
}
