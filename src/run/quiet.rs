//! The quiet that a provider asks for: nothing leaves for its time, whatever other calls bring.

use jiff::{SignedDuration, Timestamp};

use super::reply::Reason;

/// The first quiet when the provider does not say how long; each further one doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(2);
/// The longest quiet of our own choice.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Whether a gateway keeps quiet. `steady` is the steady clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quiet {
    asked: Option<Asked>,
    /// Throttle answers in a row that did not say how long.
    unsaid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    since: Timestamp,
    until: Timestamp,
    why: Reason,
}

/// What the ledger keeps of a quiet, by the time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietTime {
    pub since: Timestamp,
    pub until: Timestamp,
    pub why: Reason,
}

impl Quiet {
    /// The quiet of before a restart. One that is longer than any provider may ask for is cut.
    pub fn restore(time: QuietTime, steady: Timestamp, now: Timestamp) -> Quiet {
        let left = time.until.duration_since(now).clamp(SignedDuration::ZERO, LONGEST * 2);
        let asked = Asked { since: time.since, until: steady + left, why: time.why };
        Quiet { asked: Some(asked), unsaid: 0 }
    }

    /// The provider asks us to slow down, for so long where it says. What comes while it is quiet already
    /// was under way before: it only counts when it asks for longer.
    pub fn throttled(
        &mut self,
        steady: Timestamp,
        now: Timestamp,
        retry_after: Option<SignedDuration>,
        why: Reason,
    ) {
        let before = self.asked.as_ref().filter(|asked| asked.until > steady);
        let (since, quiet_until) = before.map_or((now, steady), |asked| (asked.since, asked.until));
        let until = match retry_after {
            Some(asked) => steady + asked.max(FIRST),
            None if before.is_some() => return,
            None => {
                self.unsaid = self.unsaid.saturating_add(1);
                steady + (FIRST * 2i32.saturating_pow(self.unsaid.min(9) - 1)).min(LONGEST)
            }
        };
        if until > quiet_until {
            self.asked = Some(Asked { since, until, why });
        }
    }

    /// The provider took a call. A quiet that it has asked for stays.
    pub fn worked(&mut self) {
        self.unsaid = 0;
    }

    /// Until when nothing leaves; None when calls may leave.
    pub fn until(&self, steady: Timestamp) -> Option<Timestamp> {
        self.asked.as_ref().map(|asked| asked.until).filter(|until| *until > steady)
    }

    /// The same for people, by the time of day.
    pub fn time(&self, steady: Timestamp, now: Timestamp) -> Option<QuietTime> {
        let asked = self.asked.as_ref().filter(|asked| asked.until > steady)?;
        let until = now + asked.until.duration_since(steady);
        Some(QuietTime { since: asked.since, until, why: asked.why.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: i64) -> Option<SignedDuration> {
        Some(SignedDuration::from_secs(count))
    }

    /// The quiets in seconds after these throttle answers, each when the last one is over.
    #[track_caller]
    fn check(answers: &[Option<SignedDuration>], expected: &[i64]) {
        let mut steady = Timestamp::UNIX_EPOCH;
        let mut quiet = Quiet::default();
        let mut lengths = Vec::new();
        for retry_after in answers {
            quiet.throttled(steady, steady, *retry_after, Reason::new("429", "slow down"));
            let until = quiet.until(steady).unwrap_or(steady);
            quiet.throttled(steady, steady, None, Reason::new("429", "the same again, while it is quiet"));
            assert_eq!(quiet.until(steady), Some(until));
            lengths.push(until.duration_since(steady).as_secs());
            steady = until;
        }
        assert_eq!(lengths, expected);
        assert_eq!(quiet.until(steady), None);
    }

    #[test]
    fn the_provider_says_how_long_or_it_doubles() {
        check(&[seconds(60), None, None, seconds(1), None], &[60, 2, 4, 2, 8]);
        check(&[None; 10], &[2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        check(&[seconds(600)], &[600]);
    }

    #[test]
    fn it_outlasts_other_calls_and_only_becomes_longer() {
        let steady = Timestamp::UNIX_EPOCH;
        let mut quiet = Quiet::default();
        let mut ask = |retry_after| {
            quiet.throttled(steady, steady, retry_after, Reason::new("429", "slow down"));
            quiet.worked();
            quiet.until(steady).map(|until| until.duration_since(steady).as_secs())
        };
        assert_eq!(ask(seconds(60)), Some(60));
        assert_eq!(ask(seconds(5)), Some(60));
        assert_eq!(ask(seconds(90)), Some(90));
    }

    #[test]
    fn it_outlasts_a_restart() {
        let steady = Timestamp::UNIX_EPOCH;
        let now = steady + SignedDuration::from_hours(3);
        let mut quiet = Quiet::default();
        quiet.throttled(steady, now, seconds(60), Reason::new("416", "too often"));
        let time = quiet.time(steady, now).unwrap();
        assert_eq!(time.until.duration_since(now), SignedDuration::from_secs(60));
        let restored = Quiet::restore(time, steady, now + SignedDuration::from_secs(20));
        assert_eq!(restored.until(steady), Some(steady + SignedDuration::from_secs(40)));
    }
}
