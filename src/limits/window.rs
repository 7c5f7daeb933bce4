//! What has been sent within each limit's window.
//!
//! A call occupies its windows from its intent until its finish plus the window's length, because
//! the provider may count it at any instant between. Finished calls are kept in buckets of a
//! fiftieth of the window; an expiring bucket counts whole. So memory is constant, the limit is
//! never exceeded in any sliding window, and at most two per cent of a rate are lost.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{Limits, Rate};

/// How finely a window is kept.
const BUCKETS_A_WINDOW: i64 = 50;

/// Whether a call may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    Now,
    /// Not before this instant.
    At(Timestamp),
    /// Not before a call that is under way has ended.
    AfterACall,
}

/// The sliding windows of one account or one campaign.
#[derive(Debug, Clone, Default)]
pub struct SlidingLog {
    windows: Vec<Window>,
}

/// What one window holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowUse {
    /// `recipients` or `calls`.
    pub of: &'static str,
    /// The limit as it is written.
    pub rate: Rate,
    /// What it lets through once headroom is kept.
    pub capacity: u64,
    pub used: u64,
    /// When the next of what is used leaves the window; None while all of it is under way, or nothing is used.
    pub free_at: Option<Timestamp>,
}

impl WindowUse {
    pub fn left(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }
}

#[derive(Debug, Clone)]
struct Window {
    counts: Counts,
    rate: Rate,
    capacity: u64,
    length_ms: i64,
    bucket_ms: i64,
    /// Of calls whose intent is there and whose end is not.
    under_way: u64,
    /// Of calls that ended: (index of the bucket, how many), oldest first.
    ended: VecDeque<(i64, u64)>,
    ended_total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Recipients,
    Calls,
}

impl Counts {
    fn name(self) -> &'static str {
        match self {
            Counts::Recipients => "recipients",
            Counts::Calls => "calls",
        }
    }
}

impl SlidingLog {
    pub fn new(limits: &Limits) -> SlidingLog {
        let window = |counts, rate: &Rate| {
            let length_ms = rate.unit.window().as_millis() as i64;
            Window {
                counts,
                rate: *rate,
                capacity: (rate.count * u64::from(100 - limits.headroom_percent.min(90)) / 100).max(1),
                length_ms,
                bucket_ms: length_ms / BUCKETS_A_WINDOW,
                under_way: 0,
                ended: VecDeque::new(),
                ended_total: 0,
            }
        };
        let recipients = limits.recipients.iter().map(|rate| window(Counts::Recipients, rate));
        let calls = limits.calls.iter().map(|rate| window(Counts::Calls, rate));
        SlidingLog { windows: recipients.chain(calls).collect() }
    }

    /// The longest window, in milliseconds: what ended longer ago need not be told. 0 without limits.
    pub fn longest_window_ms(&self) -> i64 {
        self.windows.iter().map(|window| window.length_ms + window.bucket_ms).max().unwrap_or(0)
    }

    /// The most recipients that one call may ever have.
    pub fn most_recipients_a_call(&self) -> u64 {
        let recipients = self.windows.iter().filter(|window| window.counts == Counts::Recipients);
        recipients.map(|window| window.capacity).min().unwrap_or(u64::MAX)
    }

    /// Whether a call of so many recipients (at most [`Self::most_recipients_a_call`]) may leave.
    pub fn allowance(&mut self, now: Timestamp, recipients: u64) -> Allowance {
        let now_ms = now.as_millisecond();
        let mut at_ms = now_ms;
        for window in &mut self.windows {
            window.expire(now_ms);
            match window.free_at_ms(now_ms, recipients) {
                Some(free_ms) => at_ms = at_ms.max(free_ms),
                None => return Allowance::AfterACall,
            }
        }
        if at_ms == now_ms {
            Allowance::Now
        } else {
            Timestamp::from_millisecond(at_ms).map_or(Allowance::AfterACall, Allowance::At)
        }
    }

    /// What each window holds now, in the order in which the limits are written.
    pub fn uses(&mut self, now: Timestamp) -> Vec<WindowUse> {
        let now_ms = now.as_millisecond();
        let used = |window: &mut Window| {
            window.expire(now_ms);
            WindowUse {
                of: window.counts.name(),
                rate: window.rate,
                capacity: window.capacity,
                used: window.ended_total + window.under_way,
                free_at: window
                    .ended
                    .front()
                    .and_then(|(bucket, _)| Timestamp::from_millisecond(window.leaves_ms(*bucket)).ok()),
            }
        };
        self.windows.iter_mut().map(used).collect()
    }

    /// The recipients that the windows have room for, as of the last [`Self::allowance`].
    pub fn recipients_left(&self) -> u64 {
        let recipients = self.windows.iter().filter(|window| window.counts == Counts::Recipients);
        let left = |window: &Window| window.capacity.saturating_sub(window.ended_total + window.under_way);
        recipients.map(left).min().unwrap_or(u64::MAX)
    }

    /// A call has been promised, with at most so many recipients.
    pub fn begin(&mut self, recipients: u64) {
        for window in &mut self.windows {
            window.under_way += window.share(recipients);
        }
    }

    /// A promised call never left: it counts nowhere.
    pub fn withdraw(&mut self, recipients: u64) {
        for window in &mut self.windows {
            window.under_way = window.under_way.saturating_sub(window.share(recipients));
        }
    }

    /// A call that was promised with `begun` recipients left with `recipients` and ended now.
    pub fn end(&mut self, now: Timestamp, begun: u64, recipients: u64) {
        self.withdraw(begun);
        self.ended(now, recipients);
    }

    /// A call ended at this instant; for calls of the past, told in any order.
    pub fn ended(&mut self, at: Timestamp, recipients: u64) {
        let at_ms = at.as_millisecond();
        for window in &mut self.windows {
            let count = window.share(recipients);
            window.add(at_ms, count);
        }
    }
}

impl Window {
    fn share(&self, recipients: u64) -> u64 {
        match self.counts {
            Counts::Recipients => recipients,
            Counts::Calls => 1,
        }
    }

    /// When the last call of a bucket leaves the window.
    fn leaves_ms(&self, bucket: i64) -> i64 {
        (bucket + 1) * self.bucket_ms + self.length_ms
    }

    fn expire(&mut self, now_ms: i64) {
        while let Some(&(bucket, count)) = self.ended.front() {
            if self.leaves_ms(bucket) > now_ms {
                break;
            }
            self.ended.pop_front();
            self.ended_total -= count;
        }
    }

    fn add(&mut self, at_ms: i64, count: u64) {
        let bucket = at_ms.div_euclid(self.bucket_ms);
        self.ended_total += count;
        let place = self.ended.partition_point(|(other, _)| *other < bucket);
        match self.ended.get_mut(place) {
            Some((other, sum)) if *other == bucket => *sum += count,
            _ => self.ended.insert(place, (bucket, count)),
        }
    }

    /// When a call of so many fits if nothing else begins; None when only the end of a call tells.
    fn free_at_ms(&self, now_ms: i64, recipients: u64) -> Option<i64> {
        let wanted = self.share(recipients).min(self.capacity);
        let mut over = (self.ended_total + self.under_way + wanted).saturating_sub(self.capacity);
        if over == 0 {
            return Some(now_ms);
        }
        for &(bucket, count) in &self.ended {
            over = over.saturating_sub(count);
            if over == 0 {
                return Some(self.leaves_ms(bucket));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(recipients: &[&str], calls: &[&str], headroom_percent: u8) -> Limits {
        let rates = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Limits { recipients: rates(recipients), calls: rates(calls), headroom_percent }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_window_fills_and_frees_again() {
        let mut log = SlidingLog::new(&limits(&["100/s"], &[], 0));
        assert_eq!(log.allowance(at(0), 100), Allowance::Now);
        log.begin(100);
        assert_eq!(log.allowance(at(5), 1), Allowance::AfterACall);
        log.end(at(10), 100, 100);
        assert_eq!(log.allowance(at(11), 1), Allowance::At(at(1_020)));
        assert_eq!(log.allowance(at(1_020), 100), Allowance::Now);
    }

    #[test]
    fn a_withdrawn_call_counts_nowhere() {
        let mut log = SlidingLog::new(&limits(&["100/s"], &["1/min"], 0));
        log.begin(100);
        log.withdraw(100);
        assert_eq!(log.allowance(at(0), 100), Allowance::Now);
    }

    #[test]
    fn the_tightest_window_bounds_a_call_and_headroom_is_kept() {
        let log = SlidingLog::new(&limits(&["1000/s", "50/min"], &["3/s"], 10));
        assert_eq!(log.most_recipients_a_call(), 45);
    }

    #[test]
    fn what_is_used_and_left_is_told() {
        let mut log = SlidingLog::new(&limits(&["100/s", "1000/day"], &["3/min"], 10));
        log.ended(at(0), 40);
        log.begin(30);
        let told: Vec<_> = log
            .uses(at(500))
            .iter()
            .map(|used| (used.of, used.rate.to_string(), used.capacity, used.used, used.left()))
            .collect();
        assert_eq!(
            told,
            [
                ("recipients", "100/s".to_owned(), 90, 70, 20),
                ("recipients", "1000/day".to_owned(), 900, 70, 830),
                ("calls", "3/min".to_owned(), 2, 2, 0),
            ]
        );
        assert_eq!(log.uses(at(500))[0].free_at, Some(at(1_020)));
        let later = log.uses(at(2_000));
        assert_eq!((later[0].used, later[0].free_at), (30, None));
    }

    #[test]
    fn without_limits_everything_leaves() {
        let mut log = SlidingLog::new(&Limits::default());
        assert_eq!(log.most_recipients_a_call(), u64::MAX);
        assert_eq!(log.allowance(at(0), 1_000_000), Allowance::Now);
    }

    /// One call as the judge sees it: the provider may count it anywhere from `begun_ms` to `ended_ms`.
    #[derive(Debug, Clone, Copy)]
    struct Sent {
        begun_ms: i64,
        ended_ms: i64,
        recipients: u64,
    }

    /// The most that any window of `length_ms` can hold, whatever instant each call is counted at.
    fn worst_window(sent: &[Sent], length_ms: i64, count: impl Fn(&Sent) -> u64) -> u64 {
        let starts = sent.iter().flat_map(|call| [call.ended_ms, call.begun_ms - length_ms + 1]);
        let held = |start: i64| {
            let inside = |call: &&Sent| call.begun_ms < start + length_ms && call.ended_ms >= start;
            sent.iter().filter(inside).map(&count).sum()
        };
        starts.map(held).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_sliding_window_ever_exceeds_a_limit(
            per_second in 1u64..60, per_minute in 20u64..600, calls in 1u64..20,
            steps in prop::collection::vec((0i64..700, 1u64..40, 0i64..900), 1..120),
        ) {
            let limits = limits(
                &[&format!("{per_second}/s"), &format!("{per_minute}/min")], &[&format!("{calls}/s")], 0,
            );
            let mut log = SlidingLog::new(&limits);
            let mut sent: Vec<Sent> = Vec::new();
            let mut under_way: Vec<Sent> = Vec::new();
            let mut now_ms = 0;
            for (pause_ms, wanted, takes_ms) in steps {
                now_ms += pause_ms;
                under_way.sort_by_key(|call| call.ended_ms);
                while under_way.first().is_some_and(|call| call.ended_ms <= now_ms) {
                    let call = under_way.remove(0);
                    log.end(at(call.ended_ms), call.recipients, call.recipients);
                    sent.push(call);
                }
                let recipients = wanted.min(log.most_recipients_a_call());
                if log.allowance(at(now_ms), recipients) == Allowance::Now {
                    log.begin(recipients);
                    under_way.push(Sent { begun_ms: now_ms, ended_ms: now_ms + takes_ms, recipients });
                }
            }
            sent.extend(under_way);
            prop_assert!(worst_window(&sent, 1_000, |call| call.recipients) <= per_second);
            prop_assert!(worst_window(&sent, 60_000, |call| call.recipients) <= per_minute);
            prop_assert!(worst_window(&sent, 1_000, |_| 1) <= calls);
        }

        #[test]
        fn what_is_promised_for_an_instant_is_kept(
            ended in prop::collection::vec((0i64..5_000, 1u64..50), 1..40), wanted in 1u64..50,
        ) {
            let mut log = SlidingLog::new(&limits(&["50/s"], &[], 0));
            for (at_ms, recipients) in ended {
                log.ended(at(at_ms), recipients);
            }
            match log.allowance(at(5_000), wanted) {
                Allowance::Now => {}
                Allowance::At(instant) => prop_assert_eq!(log.allowance(instant, wanted), Allowance::Now),
                Allowance::AfterACall => prop_assert!(false, "nothing is under way"),
            }
        }
    }
}
