//! How many calls may be under way at once: as many as make the provider faster, and no more.
//!
//! A provider that works through a queue of its own answers no faster for more pressure, only later; another one
//! serves each further call beside the others. Which of the two it is shows in the latency a recipient: with `c`
//! calls that take `l` seconds a recipient each, `c / l` recipients a second come through. So the pace steps up while
//! that grows, steps back when it did not, and tries again from time to time. Where calls are so quick that all of
//! them together make no queue worth speaking of there is nothing to ease. Pure: times are arguments.

/// A step up must bring so much of what it could bring if calls did not slow each other down.
const WORTH: f64 = 0.2;
/// Rounds at one level before another is tried again.
const CALM_ROUNDS: u32 = 8;
/// Latencies up to so many times the best known show no queue, so that fewer calls need not be tried.
const NO_QUEUE: f64 = 1.3;
/// What the best known latency forgets in a round, so that it follows a provider that has become slower.
const FORGETS: f64 = 1.02;
/// When so much less comes through at the same level, fewer calls are tried at once.
const SUDDENLY_LESS: f64 = 0.5;
/// Calls that take no longer wait in no queue that matters to anybody, be they many: no level is too high then.
const QUICK_SECONDS: f64 = 0.02;
/// No call takes less time, however coarse the clock.
const SHORTEST_SECONDS: f64 = 1e-6;

/// The pace of a gateway.
#[derive(Debug, Clone)]
pub struct Pace {
    ceiling: u32,
    /// Calls under way at once now, from 1 to the ceiling.
    level: u32,
    round: Round,
    /// The level that was the best so far, and recipients a second at it.
    best: Option<(u32, f64)>,
    /// Whether no step up has failed yet: then they are large.
    doubles: bool,
    calm: u32,
    /// The lowest latency a recipient that is remembered, in seconds.
    shortest: f64,
}

/// What the calls at a level have shown.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    calls: u32,
    recipients: f64,
    seconds: f64,
}

impl Pace {
    /// A pace up to `ceiling` calls at once, which begins with one.
    pub fn new(ceiling: u32) -> Pace {
        let ceiling = ceiling.max(1);
        Pace {
            ceiling,
            level: 1,
            round: Round::default(),
            best: None,
            doubles: true,
            calm: 0,
            shortest: f64::INFINITY,
        }
    }

    /// How many calls may be under way at once.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// A call has ended that took so long for so many recipients. `beside`: the calls that were under way when it
    /// began, itself included. Those that began at another level tell nothing of this one.
    pub fn ended(&mut self, beside: u32, recipients: u64, seconds: f64) {
        if beside != self.level || recipients == 0 {
            return;
        }
        self.round.calls += 1;
        self.round.recipients += recipients as f64;
        self.round.seconds += seconds.max(SHORTEST_SECONDS);
        if self.round.calls >= self.level.max(2) {
            let round = std::mem::take(&mut self.round);
            let is_quick = round.seconds / f64::from(round.calls) <= QUICK_SECONDS;
            self.judge(round.seconds / round.recipients, is_quick);
        }
    }

    /// A round at this level took `latency` seconds a recipient.
    fn judge(&mut self, latency: f64, is_quick: bool) {
        self.shortest = latency.min(self.shortest * FORGETS);
        let here = f64::from(self.level) / latency;
        if is_quick {
            self.best = Some((self.level, here));
            return self.step_up();
        }
        let Some((best, there)) = self.best else {
            self.best = Some((self.level, here));
            return self.step_up();
        };
        // Of the two levels, whether the higher one is worth its calls.
        let [(low, low_rate), (high, high_rate)] = match best < self.level {
            true => [(best, there), (self.level, here)],
            false => [(self.level, here), (best, there)],
        };
        let worth = high_rate >= low_rate * (1.0 + WORTH * (f64::from(high) / f64::from(low) - 1.0));
        match self.level {
            level if level > best && worth => {
                self.best = Some((level, here));
                self.step_up();
            }
            level if level < best && !worth => {
                self.best = Some((level, here));
                self.step_down();
            }
            level if level != best => {
                // Back to where it was better; from above, steps are small from now on.
                self.doubles &= level < best;
                self.settle(best);
            }
            level => {
                self.best = Some((level, here));
                self.calm = if here < there * SUDDENLY_LESS { 0 } else { self.calm.saturating_sub(1) };
                if self.calm == 0 {
                    match latency > self.shortest * NO_QUEUE && level > 1 {
                        true => self.step_down(),
                        false => self.step_up(),
                    }
                }
            }
        }
    }

    fn step_up(&mut self) {
        let step = if self.doubles { self.level } else { (self.level / 4).max(1) };
        match self.level.saturating_add(step).min(self.ceiling) {
            level if level == self.level => self.settle(level),
            level => self.level = level,
        }
    }

    fn step_down(&mut self) {
        let step = (self.level / 4).max(1);
        match self.level.saturating_sub(step).max(1) {
            level if level == self.level => self.settle(level),
            level => self.level = level,
        }
    }

    fn settle(&mut self, level: u32) {
        self.level = level;
        self.calm = CALM_ROUNDS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider: seconds a recipient when so many calls are under way.
    type Provider = fn(u32) -> f64;

    /// Stops getting faster at 350 recipients a second: more calls only wait for each other.
    fn saturated(calls: u32) -> f64 {
        (f64::from(calls) / 350.0).max(0.002)
    }

    /// Serves every call beside the others.
    fn never_slow(_: u32) -> f64 {
        0.001
    }

    /// Serves up to five calls beside each other.
    fn five_at_once(calls: u32) -> f64 {
        (f64::from(calls) / 1_500.0).max(0.0033)
    }

    /// Works through a queue, but in a tenth of a millisecond each call.
    fn quick(calls: u32) -> f64 {
        f64::from(calls) / 1_000_000.0
    }

    /// The average level, and the recipients a second, of the last half of so many calls of a hundred.
    fn play(pace: &mut Pace, provider: Provider, calls: u32) -> (f64, f64) {
        let (mut levels, mut rates, mut counted) = (0.0, 0.0, 0.0);
        for number in 0..calls {
            let level = pace.level();
            // Every call is a little faster or slower than the one before.
            let noise = 1.0 + f64::from(number * 7 % 11) / 50.0 - 0.1;
            let latency = provider(level) * noise;
            if number >= calls / 2 {
                levels += f64::from(level);
                rates += f64::from(level) / provider(level);
                counted += 1.0;
            }
            pace.ended(level, 100, latency * 100.0);
        }
        (levels / counted, rates / counted)
    }

    /// How a provider is paced within a ceiling: the average level lies within, and at least so many recipients a
    /// second come through.
    #[track_caller]
    fn check(provider: Provider, ceiling: u32, levels: std::ops::RangeInclusive<f64>, least_rate: f64) {
        let (level, rate) = play(&mut Pace::new(ceiling), provider, 1_000);
        assert!(levels.contains(&level), "{level} calls at once");
        assert!(rate >= least_rate, "{rate} a second");
    }

    #[test]
    fn pressure_is_given_where_it_helps_and_nowhere_else() {
        check(saturated, 4, 1.0..=1.3, 340.0);
        check(saturated, 16, 1.0..=1.3, 340.0);
        check(never_slow, 4, 4.0..=4.0, 4_000.0);
        check(never_slow, 16, 15.5..=16.0, 15_500.0);
        check(never_slow, 200, 190.0..=200.0, 190_000.0);
        check(five_at_once, 16, 4.0..=7.0, 1_350.0);
        check(quick, 8, 8.0..=8.0, 1_000_000.0);
        check(quick, 16, 16.0..=16.0, 1_000_000.0);
        // Two hundred calls would wait 20 ms for each other: from there on pressure must help.
        check(quick, 1_000, 100.0..=300.0, 990_000.0);
        check(never_slow, 1, 1.0..=1.0, 1_000.0);
        check(saturated, 1, 1.0..=1.0, 340.0);
    }

    #[test]
    fn it_eases_off_when_queues_fill_and_speeds_up_when_they_are_empty_again() {
        let mut pace = Pace::new(16);
        play(&mut pace, never_slow, 200);
        assert_eq!(pace.level(), 16);
        let (level, _) = play(&mut pace, saturated, 400);
        assert!(level < 2.0, "{level} calls at once");
        let (level, _) = play(&mut pace, never_slow, 2_000);
        assert!(level > 14.0, "{level} calls at once");
    }

    #[test]
    fn it_never_leaves_its_bounds() {
        for ceiling in [1, 2, 3, 7, 256] {
            let mut pace = Pace::new(ceiling);
            for number in 0u32..5_000 {
                assert!((1..=ceiling).contains(&pace.level()));
                let seconds = f64::from(number.wrapping_mul(2_654_435_761) % 1_000) / 100.0;
                pace.ended(pace.level(), u64::from(number % 3), seconds);
            }
        }
    }

    #[test]
    fn calls_of_another_level_tell_nothing() {
        let mut pace = Pace::new(8);
        for _ in 0..100 {
            pace.ended(2, 100, 0.1);
            pace.ended(5, 100, 9.0);
        }
        assert_eq!(pace.level(), 1);
    }
}
