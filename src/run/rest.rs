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
}

impl Rest {
    /// The provider did nothing for this cause. A first refused token costs no rest: the next call
    /// fetches another.
    ///
    /// What fails while it rests already was under way before, and tells nothing new.
    pub fn failed(&mut self, now: Timestamp, cause: Cause, reason: Reason) {
        if self.until(now).is_some() {
            return;
        }
        self.failures += 1;
        let backoff = FIRST * 2i32.saturating_pow(self.failures.min(9) - 1);
        let rest = match cause {
            Cause::Token if self.failures == 1 => return,
            Cause::Throttled { retry_after: Some(asked) } => asked.max(FIRST),
            Cause::Throttled { retry_after: None } | Cause::Token | Cause::Unreachable | Cause::Outage => {
                backoff
            }
        };
        self.until = Some((now + rest.min(LONGEST), reason));
    }

    /// The provider did something.
    pub fn worked(&mut self) {
        *self = Rest::default();
    }

    /// Until when nothing leaves, and why; None when calls may leave.
    pub fn until(&self, now: Timestamp) -> Option<(Timestamp, &Reason)> {
        self.until.as_ref().filter(|(until, _)| *until > now).map(|(until, reason)| (*until, reason))
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
        rest.worked();
        assert_eq!(rest, Rest::default());
    }

    #[test]
    fn rests_double_up_to_five_minutes() {
        check(&[Cause::Unreachable; 10], &[2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_refused_token_is_tried_again_at_once_and_only_once() {
        let now = Timestamp::UNIX_EPOCH;
        let mut rest = Rest::default();
        let mut refused = || {
            rest.failed(now, Cause::Token, Reason::new("1507", "no such token"));
            rest.until(now).is_some()
        };
        assert_eq!([refused(), refused()], [false, true]);
    }

    #[test]
    fn a_throttle_is_obeyed() {
        let asked = Cause::Throttled { retry_after: Some(SignedDuration::from_secs(60)) };
        check(&[asked, Cause::Throttled { retry_after: None }], &[60, 4]);
    }
}
