//! The time of day: the one place that reads it, and the one thing of the rim that its neighbours
//! may hold, since a clock is handed in as a value.

use std::time::Duration;

use jiff::Timestamp;

/// Tells what time it is.
pub trait Clock: Send + Sync {
    /// The time of day. May jump when somebody sets the clock.
    fn now(&self) -> Timestamp;

    /// The time of day at the start plus the time that has passed since: never jumps. For limits
    /// and waits, which are about elapsed time.
    fn steady(&self) -> Timestamp;
}

/// The computer's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    steady: ElapsedClock,
}

impl SystemClock {
    /// Must be called inside a runtime.
    #[expect(clippy::new_without_default, reason = "two of them need not agree on what is steady")]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> SystemClock {
        SystemClock { steady: ElapsedClock::starting_at(Timestamp::now()) }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Timestamp {
        self.steady.now()
    }
}

/// The computer's clock and an error that a file tells, in milliseconds: so that a test can set the clock
/// of the real program. Builds for release do not have it.
#[cfg(debug_assertions)]
#[derive(Debug, Clone)]
pub struct MisledClock {
    pub clock: SystemClock,
    pub error: std::path::PathBuf,
}

#[cfg(debug_assertions)]
impl Clock for MisledClock {
    fn now(&self) -> Timestamp {
        let text = std::fs::read_to_string(&self.error).unwrap_or_default();
        let error_ms = text.trim().parse().unwrap_or(0);
        let now = self.clock.now();
        now.checked_add(jiff::SignedDuration::from_millis(error_ms)).unwrap_or(now)
    }

    fn steady(&self) -> Timestamp {
        self.clock.steady()
    }
}

/// A chosen start plus the runtime's elapsed time. Under tokio's paused time a month passes at
/// once; in real time it is a clock that nobody steps.
#[derive(Debug, Clone, Copy)]
pub struct ElapsedClock {
    start: Timestamp,
    epoch: tokio::time::Instant,
}

impl ElapsedClock {
    /// A clock that shows `start` now. Must be called inside a runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn starting_at(start: Timestamp) -> ElapsedClock {
        ElapsedClock { start, epoch: tokio::time::Instant::now() }
    }
}

impl Clock for ElapsedClock {
    fn now(&self) -> Timestamp {
        self.start + self.epoch.elapsed()
    }

    fn steady(&self) -> Timestamp {
        self.now()
    }
}

/// The longest nap before the wall clock is read again, so that a stepped clock or a suspended
/// machine is noticed.
const LONGEST_NAP: Duration = Duration::from_secs(2);

/// Returns when `clock` shows `instant` or later.
pub async fn sleep_until(clock: &dyn Clock, instant: Timestamp) {
    while let Ok(left) = Duration::try_from(instant.duration_since(clock.now())) {
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LONGEST_NAP)).await;
    }
}
