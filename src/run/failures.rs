//! `stopWhen`: when so many of a run fail that it pauses and tells why.

use super::Counts;
use crate::campaign::StopWhen;

/// What of a run was judged already: a person who resumes it has seen these, and they count no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// Accepted, refused or failed.
    pub answered: u64,
    /// Refused or failed.
    pub failed: u64,
}

impl Judged {
    /// All that a run's counters hold now.
    pub fn of(counts: &Counts) -> Judged {
        let failed = counts.refused + counts.failed;
        Judged { answered: counts.accepted + failed, failed }
    }
}

/// Why a run with these counters pauses, if it does. `judged`: what does not count.
pub fn too_many(stop_when: StopWhen, counts: &Counts, judged: Judged) -> Option<String> {
    let all = Judged::of(counts);
    let answered = all.answered.saturating_sub(judged.answered);
    let failed = all.failed.saturating_sub(judged.failed);
    let StopWhen { failure_percent, after } = stop_when;
    let too_many = answered >= after.max(1)
        && u128::from(failed) * 100 > u128::from(answered) * u128::from(failure_percent);
    too_many.then(|| {
        let since = if judged.answered > 0 { " since it was resumed" } else { "" };
        format!(
            "stopWhen: {failed} of {answered} answered{since} were refused or failed, which is more than \
             {failure_percent}%; resume it to go on"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a run with so many accepted, refused and failed stops at more than 20 % of at least 10, when
    /// so many answered and failed were judged before.
    #[track_caller]
    fn check(counts: (u64, u64, u64), judged: (u64, u64), expected: Option<&str>) {
        let (accepted, refused, failed) = counts;
        let counts = Counts { accepted, refused, failed, unknown: 1_000, ..Counts::default() };
        let judged = Judged { answered: judged.0, failed: judged.1 };
        let stop_when = StopWhen { failure_percent: 20, after: 10 };
        assert_eq!(too_many(stop_when, &counts, judged).as_deref(), expected);
    }

    #[test]
    fn more_than_the_rate_after_so_many_stops() {
        check((0, 0, 0), (0, 0), None);
        check((0, 9, 0), (0, 0), None);
        check((8, 1, 1), (0, 0), None);
        check(
            (7, 2, 1),
            (0, 0),
            Some(
                "stopWhen: 3 of 10 answered were refused or failed, which is more than 20%; resume it to go on",
            ),
        );
    }

    #[test]
    fn what_a_person_has_seen_counts_no_more() {
        check((7, 2, 1), (10, 3), None);
        check((7, 11, 1), (10, 3), None);
        check(
            (7, 12, 1),
            (10, 3),
            Some(
                "stopWhen: 10 of 10 answered since it was resumed were refused or failed, which is more than \
                 20%; resume it to go on",
            ),
        );
        check((107, 12, 1), (10, 3), None);
    }
}
