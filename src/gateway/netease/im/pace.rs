//! How fast the history may be asked, so that look-ups fit into what the provider allows.
//!
//! Pure: `steady` is the steady clock. The provider counts calls of all that an application asks, by whichever
//! process; beyond its quota it blocks them. A look needs a call for each recipient, so that some hundred at once
//! would be blocked, and whatever was sought behind them never read.

use jiff::{SignedDuration, Timestamp};

/// Between two calls while nothing says otherwise: 80 a second, of the 100 that the vendor allows.
const SHORTEST: SignedDuration = SignedDuration::from_micros(12_500);
/// However often others use the quota up: 5 a second.
const LONGEST: SignedDuration = SignedDuration::from_millis(200);
/// How long the provider blocks calls once there were too many, and a little more. 10 s are inferred from its other
/// quotas of 100/s.
pub const BLOCK: SignedDuration = SignedDuration::from_secs(11);

/// When the next call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    interval: SignedDuration,
    free_at: Timestamp,
    blocked_until: Timestamp,
}

/// What a call is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// After this wait. Its place is taken.
    Call { after: SignedDuration },
    /// The provider blocks calls for so long.
    NotFor(SignedDuration),
}

impl Pace {
    pub fn new(steady: Timestamp) -> Pace {
        Pace { interval: SHORTEST, free_at: steady, blocked_until: steady }
    }

    /// Takes the next place.
    pub fn next(&mut self, steady: Timestamp) -> May {
        if steady < self.blocked_until {
            return May::NotFor(self.blocked_until.duration_since(steady));
        }
        let at = self.free_at.max(steady);
        self.free_at = at + self.interval;
        May::Call { after: at.duration_since(steady) }
    }

    /// A call was answered: the pace comes back slowly to what it was.
    pub fn answered(&mut self) {
        self.interval = (self.interval - self.interval / 64).max(SHORTEST);
    }

    /// A call was one too many although we keep our pace: others ask as well, so it is halved.
    pub fn throttled(&mut self, steady: Timestamp) {
        self.interval = (self.interval * 2).min(LONGEST);
        self.blocked_until = steady + BLOCK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
    }

    /// How many of calls one after the other are made within a second.
    fn in_a_second(pace: &mut Pace, from: Timestamp) -> usize {
        let (mut now, mut calls) = (from, 0);
        while let May::Call { after } = pace.next(now) {
            now += after;
            if now.duration_since(from) >= SignedDuration::from_secs(1) {
                break;
            }
            calls += 1;
        }
        calls
    }

    #[test]
    fn calls_keep_below_the_quota() {
        let mut pace = Pace::new(at(0));
        assert_eq!(pace.next(at(0)), May::Call { after: SignedDuration::ZERO });
        assert_eq!(pace.next(at(0)), May::Call { after: SHORTEST });
        // Nothing is saved up for later.
        assert_eq!(pace.next(at(9_000)), May::Call { after: SignedDuration::ZERO });
        assert_eq!(in_a_second(&mut Pace::new(at(0)), at(0)), 80);
    }

    #[test]
    fn a_block_is_waited_out_and_the_pace_is_halved_until_answers_come() {
        let mut pace = Pace::new(at(0));
        pace.throttled(at(100));
        assert_eq!(pace.next(at(100)), May::NotFor(BLOCK));
        assert_eq!(pace.next(at(11_099)), May::NotFor(SignedDuration::from_millis(1)));
        assert_eq!(in_a_second(&mut pace.clone(), at(11_100)), 40);
        (0..50).for_each(|_| pace.answered());
        assert_eq!(in_a_second(&mut pace.clone(), at(20_000)), 80);
        // However often.
        (0..20).for_each(|_| pace.throttled(at(100)));
        assert_eq!(in_a_second(&mut pace, at(20_000)), 5);
    }
}
