//! How long sending takes when nothing but the limits holds it back: an estimate for people.

use jiff::{SignedDuration, Timestamp};

use super::{Allowance, Limits, SlidingLog};

/// So many calls are played; the time of more is taken to grow in proportion.
const CALLS_PLAYED: u64 = 20_000;

/// What a run costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub recipients: u64,
    pub calls: u64,
    /// From its first call to its last, all of them answered at once.
    pub sending: SignedDuration,
}

/// What it costs to send to so many recipients in calls of at most `batch_size` under all of these limits,
/// of which nothing is used up before.
pub fn cost(limits: &[&Limits], batch_size: u64, recipients: u64) -> Cost {
    let mut logs: Vec<SlidingLog> = limits.iter().map(|limits| SlidingLog::new(limits)).collect();
    let widest = logs.iter().map(SlidingLog::most_recipients_a_call).min().unwrap_or(u64::MAX);
    let batch_size = batch_size.min(widest).max(1);
    let calls = recipients.div_ceil(batch_size);
    let start = Timestamp::UNIX_EPOCH;
    let mut now = start;
    let played = calls.min(CALLS_PLAYED);
    for call in 0..played {
        let size = batch_size.min(recipients - call * batch_size);
        for log in &mut logs {
            // Another window may want it to wait longer; the one that was asked before is free then as well.
            while let Allowance::At(at) = log.allowance(now, size) {
                now = at;
            }
        }
        for log in &mut logs {
            log.ended(now, size);
        }
    }
    let sent = now.duration_since(start);
    let sending = match played {
        0 => SignedDuration::ZERO,
        _ => SignedDuration::from_millis_i128(sent.as_millis() * i128::from(calls) / i128::from(played)),
    };
    Cost { recipients, calls, sending }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        limits: &[&str],
        batch_size: u64,
        recipients: u64,
        calls: u64,
        seconds: std::ops::RangeInclusive<i64>,
    ) {
        let limits: Vec<Limits> = limits
            .iter()
            .map(|rates| {
                let rates = rates.split(' ').map(|rate| rate.parse().unwrap()).collect();
                Limits { recipients: rates, ..Limits::default() }
            })
            .collect();
        let cost = cost(&limits.iter().collect::<Vec<_>>(), batch_size, recipients);
        assert_eq!((cost.recipients, cost.calls), (recipients, calls));
        assert!(seconds.contains(&cost.sending.as_secs()), "{cost:?}");
    }

    #[test]
    fn the_tightest_limit_decides() {
        check(&[], 100, 100_000, 1_000, 0..=0);
        check(&["200/s"], 100, 100_000, 1_000, 495..=520);
        check(&["200/s", "100/min"], 100, 1_000, 10, 9 * 60..=9 * 60 + 20);
        check(&["50/s"], 100, 1_000, 20, 18..=21);
        check(&["1000/s 100000/day"], 100, 250_000, 2_500, 2 * 86_400..=2 * 86_400 + 8_000);
        check(&["200/s"], 100, 0, 0, 0..=0);
    }

    #[test]
    fn millions_are_estimated_in_proportion() {
        check(&["1000/s"], 1, 10_000_000, 10_000_000, 9_500..=10_500);
    }
}
