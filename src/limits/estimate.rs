//! How long sending takes when nothing but the limits holds it back: an estimate for people.

use jiff::{SignedDuration, Timestamp};

use super::{Allowance, Limits, SlidingLog};

/// So many calls are played; the time of more is taken to grow in proportion.
const CALLS_PLAYED: usize = 20_000;

/// The calls of a run.
#[derive(Debug)]
pub struct Calls {
    /// The most recipients that the limits allow to one.
    widest: u64,
    recipients: u64,
    count: u64,
    /// The recipients of each of the first, as many as are played.
    first: Vec<u64>,
}

impl Calls {
    /// None yet, under all of these limits.
    pub fn under(limits: &[&Limits]) -> Calls {
        let widest = limits.iter().map(|limits| SlidingLog::new(limits).most_recipients_a_call()).min();
        Calls { widest: widest.unwrap_or(u64::MAX).max(1), recipients: 0, count: 0, first: Vec::new() }
    }

    /// So many recipients more, who may share a call as far as the limits allow it.
    pub fn add(&mut self, mut recipients: u64) {
        while recipients > 0 {
            let size = recipients.min(self.widest);
            if self.first.len() < CALLS_PLAYED {
                self.first.push(size);
            }
            self.count += 1;
            self.recipients += size;
            recipients -= size;
        }
    }
}

/// What a run costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub recipients: u64,
    pub calls: u64,
    /// From its first call to its last, all of them answered at once.
    pub sending: SignedDuration,
}

/// What these calls cost under all of these limits, of which nothing is used up before.
pub fn cost(limits: &[&Limits], calls: &Calls) -> Cost {
    let mut logs: Vec<SlidingLog> = limits.iter().map(|limits| SlidingLog::new(limits)).collect();
    let start = Timestamp::UNIX_EPOCH;
    let mut now = start;
    for size in calls.first.iter().copied() {
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
    let sending = match calls.first.len() as i128 {
        0 => SignedDuration::ZERO,
        played => SignedDuration::from_millis_i128(sent.as_millis() * i128::from(calls.count) / played),
    };
    Cost { recipients: calls.recipients, calls: calls.count, sending }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        limits: &[&str],
        batch_size: usize,
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
        let limits: Vec<&Limits> = limits.iter().collect();
        let mut sent = Calls::under(&limits);
        (0..recipients)
            .step_by(batch_size)
            .for_each(|from| sent.add((recipients - from).min(batch_size as u64)));
        let cost = cost(&limits, &sent);
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
