//! The server's clock: how far it is from ours, as far as that is known.
//!
//! Ours may be set while we run. Then what was learnt of the server's is no longer true, which shows
//! in the time of day and the time that has passed telling different spans.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

use crate::{clock::Clock, run::provider_clock::NO_CLOCK};

/// So far the two spans may differ: clocks that are only kept in step do.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// What is known of the server's clock.
#[derive(Debug, Default)]
pub struct ServerClock {
    /// The server's clock minus ours, in milliseconds.
    offset_ms: AtomicI64,
    learnt: Mutex<Option<Learnt>>,
}

/// When it was learnt.
#[derive(Debug, Clone, Copy)]
struct Learnt {
    now: Timestamp,
    steady: Timestamp,
}

impl ServerClock {
    /// The server's clock minus ours; zero where it was never learnt.
    pub fn offset(&self) -> SignedDuration {
        SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Takes in that the server told `server_ms` (Unix milliseconds) when it was asked at `before` and
    /// had answered by now. A time that is none, as one in microseconds, says nothing.
    pub fn learn(&self, server_ms: i64, before: Timestamp, clock: &dyn Clock) {
        let now = clock.now();
        let middle = (before.as_millisecond() + now.as_millisecond()) / 2;
        let offset_ms = server_ms.saturating_sub(middle);
        if SignedDuration::from_millis(offset_ms).abs() > NO_CLOCK {
            return;
        }
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        *self.learnt() = Some(Learnt { now, steady: clock.steady() });
    }

    /// Whether ours was set since it was learnt. What is told then is kept as the best there is.
    pub fn is_stale(&self, clock: &dyn Clock) -> bool {
        self.learnt().is_some_and(|learnt| !learnt.holds(clock))
    }

    /// Whether it is known.
    pub fn is_known(&self, clock: &dyn Clock) -> bool {
        self.learnt().is_some_and(|learnt| learnt.holds(clock))
    }

    /// Lets go of what was learnt, so that nothing is concluded from it any more.
    pub fn doubt(&self) {
        *self.learnt() = None;
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Option<Learnt>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learnt {
    fn holds(&self, clock: &dyn Clock) -> bool {
        let by_day = clock.now().duration_since(self.now);
        let passed = clock.steady().duration_since(self.steady);
        (by_day - passed).abs() <= TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is set by hand, in seconds: what it shows, and what has passed.
    #[derive(Clone, Copy)]
    struct Hands(i64, i64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0).unwrap()
        }

        fn steady(&self) -> Timestamp {
            Timestamp::from_second(self.1).unwrap()
        }
    }

    #[test]
    fn what_was_learnt_holds_until_our_clock_is_set() {
        let known = ServerClock::default();
        assert_eq!(known.offset(), SignedDuration::ZERO);
        assert!(!known.is_known(&Hands(0, 0)) && !known.is_stale(&Hands(0, 0)), "never learnt");
        // Asked at 98 s, answered at 102 s: it is taken to have looked at its clock in between.
        known.learn(90_000, Timestamp::from_second(98).unwrap(), &Hands(102, 500));
        assert_eq!(known.offset(), SignedDuration::from_secs(-10));
        for (what, clock, holds) in [
            ("a day later", Hands(86_502, 86_900), true),
            ("kept in step", Hands(86_503, 86_900), true),
            ("set forward", Hands(86_506, 86_900), false),
            ("set back", Hands(102, 600), false),
            ("slept, which the steady clock does not count", Hands(3_702, 510), false),
        ] {
            assert_eq!((known.is_known(&clock), known.is_stale(&clock)), (holds, !holds), "{what}");
        }
        known.doubt();
        assert!(!known.is_known(&Hands(102, 500)) && !known.is_stale(&Hands(102, 500)));
        assert_eq!(known.offset(), SignedDuration::from_secs(-10), "the best there is");
    }
}
