//! How long a gateway rests when its provider does nothing.

use jiff::{SignedDuration, Timestamp};

use super::reply::{Cause, Reason};

/// The first rest after a failure; each further one doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(2);
/// The longest rest.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Whether a gateway rests, until when and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    /// Calls in a row that did nothing.
    failures: u32,
    until: Option<(Timestamp, Reason)>,
    /// What the provider has asked for, which other calls' success does not take back.
    throttled_until: Option<(Timestamp, Reason)>,
}

impl Rest {
    /// The provider did nothing for this cause. A refused token costs no rest: the next call fetches
    /// another, and one that is never accepted is told as an outage.
    ///
    /// What fails while it rests already was under way before, and tells nothing new, unless the
    /// provider asks for a longer rest.
    pub fn failed(&mut self, now: Timestamp, cause: Cause, reason: Reason) {
        let resting_until = self.until(now).map(|(until, _)| until);
        if let Cause::Throttled { retry_after: Some(asked) } = cause {
            let until = now + asked.max(FIRST);
            if resting_until.is_none_or(|resting| until > resting) {
                self.throttled_until = Some((until, reason));
            }
            return;
        }
        if resting_until.is_some() || cause == Cause::Token {
            return;
        }
        self.failures += 1;
        let backoff = FIRST * 2i32.saturating_pow(self.failures.min(9) - 1);
        let until = Some((now + backoff.min(LONGEST), reason));
        match cause {
            Cause::Throttled { .. } => self.throttled_until = until,
            Cause::Token | Cause::Unreachable | Cause::Outage => self.until = until,
        }
    }

    /// The provider did something. Tells whether it had not before.
    pub fn worked(&mut self) -> bool {
        let had_failed = self.until.is_some() || self.throttled_until.is_some();
        *self = Rest { throttled_until: self.throttled_until.take(), ..Rest::default() };
        had_failed
    }

    /// Until when nothing leaves, and why; None when calls may leave.
    pub fn until(&self, now: Timestamp) -> Option<(Timestamp, &Reason)> {
        let rests = [&self.until, &self.throttled_until].into_iter().flatten();
        rests.filter(|(until, _)| *until > now).map(|(until, reason)| (*until, reason)).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rests in seconds after these causes in a row.
    #[track_caller]
    fn check(causes: &[Cause], expected: &[i64]) {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut rest = Rest::default();
        let mut rests = Vec::new();
        for cause in causes {
            rest.failed(now, *cause, Reason::new("x", "y"));
            let until = rest.until(now).map_or(now, |(until, _)| until);
            rest.failed(now, *cause, Reason::new("x", "the same again, while it rests"));
            rests.push(until.duration_since(now).as_secs());
            now = until;
        }
        assert_eq!(rests, expected);
        assert!(rest.worked());
        assert_eq!(rest.failures, 0);
        assert_eq!(rest.until(now), None);
    }

    #[test]
    fn rests_double_up_to_five_minutes() {
        check(&[Cause::Unreachable; 10], &[2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_refused_token_costs_no_rest() {
        check(&[Cause::Token, Cause::Unreachable, Cause::Token, Cause::Outage], &[0, 2, 0, 4]);
    }

    #[test]
    fn a_throttle_is_obeyed() {
        let asked = Cause::Throttled { retry_after: Some(SignedDuration::from_secs(60)) };
        check(&[asked, Cause::Throttled { retry_after: None }], &[60, 2]);
        let long = Cause::Throttled { retry_after: Some(SignedDuration::from_secs(600)) };
        check(&[long], &[600]);
    }

    #[test]
    fn a_throttle_outlasts_other_calls() {
        let now = Timestamp::UNIX_EPOCH;
        let asked = Cause::Throttled { retry_after: Some(SignedDuration::from_secs(60)) };
        let mut rest = Rest::default();
        rest.failed(now, Cause::Unreachable, Reason::new("x", "y"));
        rest.failed(now, asked, Reason::new("429", "slow down"));
        rest.worked();
        let until = rest.until(now).map(|(until, _)| until.duration_since(now).as_secs());
        assert_eq!(until, Some(60));
    }
}
