//! When a batch is asked again after a call that was proven to do nothing.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::RunID;
use crate::campaign::Retry;

/// A time in which a batch is not asked. Its beginning is kept as well, so that a clock that was set back
/// does not make it long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// Chance for one wait, the same whenever it is asked for: nobody else's batch shares it, so that what
/// failed together is not asked together again.
pub fn chance(run: &RunID, batch: u64, attempt: i64) -> u64 {
    let digest = Sha256::digest(format!("{run} {batch} {attempt}"));
    digest.iter().take(8).fold(0, |chance, byte| chance << 8 | u64::from(*byte))
}

/// The wait after so many tries (at least 1): anything between the shortest wait and what doubling it
/// for each try has reached, at most the longest, as `chance` has it. None when the tries are used up.
pub fn wait_after(retry: &Retry, tries: u32, at: Timestamp, chance: u64) -> Option<Wait> {
    (tries < retry.attempts).then(|| backoff(retry, tries, at, chance))
}

/// The same, however many tries there were.
pub fn backoff(retry: &Retry, tries: u32, at: Timestamp, chance: u64) -> Wait {
    let shortest_ms = retry.shortest.as_millis() as u64;
    let reached_ms = shortest_ms.saturating_mul(2u64.saturating_pow(tries.max(1)));
    let longest_ms = reached_ms.min(retry.longest.as_millis() as u64).max(shortest_ms);
    let ms = shortest_ms + chance % (longest_ms - shortest_ms + 1);
    Wait { from: at, until: at.saturating_add(SignedDuration::from_millis(ms as i64)).unwrap_or(at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::Trigger;

    /// The shortest and the longest wait in seconds after so many tries; none when they are used up.
    #[track_caller]
    fn check(retry: Retry, tries: u32, expected: Option<(i64, i64)>) {
        let at = Timestamp::UNIX_EPOCH;
        let seconds = |chance| {
            let wait = wait_after(&retry, tries, at, chance)?;
            assert_eq!(wait.from, at);
            Some(wait.until.duration_since(at).as_secs())
        };
        let waits: Vec<_> = (0..400_000).step_by(500).map(seconds).collect();
        let bounds = waits.iter().min().zip(waits.iter().max());
        assert_eq!(bounds.and_then(|(shortest, longest)| shortest.zip(*longest)), expected);
    }

    #[test]
    fn waits_double_between_their_bounds_until_the_tries_are_used_up() {
        let retry = Retry::default();
        check(retry, 1, Some((2, 4)));
        check(retry, 2, Some((2, 8)));
        check(retry, 4, Some((2, 32)));
        check(retry, 5, None);
        check(Retry { attempts: 1, ..retry }, 1, None);
        check(Retry { attempts: 100, ..retry }, 20, Some((2, 300)));
        check(Retry { longest: retry.shortest, ..retry }, 3, Some((2, 2)));
    }

    #[test]
    fn chance_is_the_same_for_the_same_batch_alone() {
        let run = RunID::new(&"c".parse().unwrap(), Timestamp::UNIX_EPOCH, Trigger::Schedule, 0);
        assert_eq!(chance(&run, 1, 1), chance(&run, 1, 1));
        assert_ne!(chance(&run, 1, 1), chance(&run, 2, 1));
        assert_ne!(chance(&run, 1, 1), chance(&run, 1, 2));
    }

    proptest! {
        #[test]
        fn no_wait_leaves_its_bounds(tries in 0u32..2_000, chance: u64, longest in 2i64..100_000) {
            let retry = Retry { longest: SignedDuration::from_secs(longest), ..Retry::default() };
            let wait = backoff(&retry, tries, Timestamp::UNIX_EPOCH, chance);
            let length = wait.until.duration_since(wait.from);
            prop_assert!(retry.shortest <= length && length <= retry.longest);
        }
    }
}
