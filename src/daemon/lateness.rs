//! How late runs are handed to those who work on them: a histogram.

use jiff::SignedDuration;

/// The upper bounds of the buckets, in milliseconds; what is later falls into one more.
const BOUNDS_MS: [i64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 15_000, 60_000, 300_000];

/// Counts of runs by their lateness, from the due instant to when they were handed over, their
/// decision committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lateness {
    counts: [u64; BOUNDS_MS.len() + 1],
}

impl Lateness {
    /// Counts so many runs.
    pub fn record(&mut self, late: SignedDuration, runs: u64) {
        let late_ms = late.as_millis().max(0);
        let bucket = BOUNDS_MS.partition_point(|bound| i128::from(*bound) < late_ms);
        self.counts[bucket] += runs;
    }

    /// The bound that so many per cent of the runs kept, in milliseconds; None when there is none, or
    /// the bound is beyond the last.
    pub fn percentile_ms(&self, percent: u64) -> Option<i64> {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bound, count) in BOUNDS_MS.iter().zip(self.counts) {
            seen += count;
            if seen >= wanted {
                return Some(*bound);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_bounds_that_were_kept() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.percentile_ms(99), None);
        for late_ms in [0, 1, 3, 3, 3, 3, 3, 3, 3, 18] {
            lateness.record(SignedDuration::from_millis(late_ms), 1);
        }
        let percentiles = [10, 20, 50, 90, 99].map(|percent| lateness.percentile_ms(percent));
        assert_eq!(percentiles, [Some(1), Some(1), Some(5), Some(5), Some(20)]);
        lateness.record(SignedDuration::from_hours(1), 1);
        assert_eq!(lateness.percentile_ms(100), None);
    }
}
