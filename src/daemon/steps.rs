//! Steps of the clock: somebody sets it, or the machine sleeps. Slews go unnoticed, as they should.

use jiff::{SignedDuration, Timestamp};

use super::conductor::Conductor;
use crate::store::Stored;

/// The time of day and elapsed time part by more than this between two looks: a step.
const STEP: SignedDuration = SignedDuration::from_secs(2);

/// How far the time of day is ahead of elapsed time, when it was last looked at.
pub struct ClockSteps {
    ahead: SignedDuration,
}

impl ClockSteps {
    pub fn new(now: Timestamp, steady: Timestamp) -> ClockSteps {
        ClockSteps { ahead: now.duration_since(steady) }
    }

    /// By how much the clock was set since the last look, if it was: ahead, or back when negative.
    pub fn look(&mut self, now: Timestamp, steady: Timestamp) -> Option<SignedDuration> {
        let ahead = now.duration_since(steady);
        let step = ahead - self.ahead;
        self.ahead = ahead;
        (step.abs() >= STEP).then_some(step)
    }
}

impl Conductor {
    /// Notices a step of the clock. Slots that it has jumped over are caught up as after a downtime; slots
    /// that it comes to again have been decided already, but for those that had no chance to run. Gives the
    /// instant at which it looked: every step up to it is known.
    pub async fn look_at_clock(&mut self) -> Timestamp {
        let (now, steady) = (self.parts.clock.now(), self.parts.clock.steady());
        let Some(step) = self.steps.look(now, steady) else { return now };
        let seconds = step.abs().as_secs_f64();
        if let Err(error) = self.disperse_crowd().await {
            tracing::error!(%error, "what is decided ahead of its time cannot be taken back, and waits");
        }
        if step.is_positive() {
            tracing::warn!(
                "the clock is {seconds:.1} s ahead of the time that has passed: it was set, or the machine slept"
            );
            self.catalogue.unattended_until(now);
        } else {
            tracing::warn!("the clock was set back by {seconds:.1} s");
            let reopened = async {
                self.reopen(now).await?;
                self.refresh().await
            };
            if let Err(error) = reopened.await {
                tracing::error!(%error, "what was decided ahead of time cannot be taken back");
            }
        }
        // What waits for an instant goes by the clock as it is now.
        self.catalogue.wake_all(now);
        now
    }

    /// Takes back what was decided ahead of time by a clock that has been set back since.
    pub async fn reopen(&mut self, now: Timestamp) -> Stored<()> {
        // What was decided within the last moments is not worth a second look.
        let just_ahead = now + STEP;
        let reopened = self.parts.ledger.call(move |store| {
            let campaigns = store.slots_reopen(just_ahead)?;
            Ok((campaigns, store.slots_ahead()?))
        });
        let (campaigns, ahead) = reopened.await?;
        self.catalogue.take_decided_ahead(ahead);
        for campaign in campaigns {
            tracing::warn!(%campaign, "its slots after {now} were decided by a clock that was ahead: they come again");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_noticed_and_a_slew_is_not() {
        let at = |ms: i64| Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap();
        let mut steps = ClockSteps::new(at(500), at(0));
        assert_eq!(steps.look(at(1_500), at(1_000)), None);
        // An hour of slewing by half a second each look.
        for look in 1..100 {
            assert_eq!(steps.look(at(1_500 + look * 1_500), at(1_000 + look * 1_000)), None);
        }
        let (now, steady) = (1_500 + 99 * 1_500, 1_000 + 99 * 1_000);
        assert_eq!(steps.look(at(now + 5_000), at(steady)), Some(SignedDuration::from_secs(5)));
        assert_eq!(steps.look(at(now + 5_000), at(steady)), None);
        assert_eq!(steps.look(at(now - 3_600_000), at(steady)), Some(SignedDuration::from_secs(-3_605)));
    }
}
