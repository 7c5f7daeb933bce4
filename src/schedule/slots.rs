//! The slots that schedules name, as an ordered walk through time.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{Pattern, Schedule};

/// The first slot strictly after `after` that any of the schedules names in `zone`; equal instants
/// of several schedules are one slot.
pub fn next_slot(schedules: &[Schedule], zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    schedules.iter().filter_map(|schedule| schedule.next_after(zone, after)).min()
}

impl Schedule {
    /// The first slot strictly after `after`, bounds applied.
    pub fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        // `from` is inclusive: the walk begins just before it.
        let after = match self.from {
            Some(from) => after.max(from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from)),
            None => after,
        };
        let next = match &self.pattern {
            Pattern::At(instant) => Some(*instant).filter(|instant| *instant > after),
            Pattern::Cron(line) => line.next_after(zone, after),
            Pattern::Every(period) => {
                next_multiple(self.from.unwrap_or(Timestamp::UNIX_EPOCH), *period, after)
            }
        };
        next.filter(|slot| self.until.is_none_or(|until| *slot < until))
    }
}

/// The first `anchor + n × period`, n ≥ 0, strictly after `after`.
fn next_multiple(anchor: Timestamp, period: SignedDuration, after: Timestamp) -> Option<Timestamp> {
    if after < anchor {
        return Some(anchor);
    }
    let period_ns = period.as_nanos();
    let elapsed_ns = after.as_nanosecond() - anchor.as_nanosecond();
    let steps = elapsed_ns / period_ns + 1;
    Timestamp::from_nanosecond(anchor.as_nanosecond() + steps * period_ns).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::CronLine;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The first slots after an instant, in the zone, as local text.
    #[track_caller]
    fn check(
        pattern: Pattern,
        bounds: (Option<&str>, Option<&str>),
        zone: &str,
        after: &str,
        expected: &[&str],
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let schedules = [Schedule { pattern, from: bounds.0.map(instant), until: bounds.1.map(instant) }];
        let slots: Vec<String> =
            std::iter::successors(next_slot(&schedules, &zone, instant(after)), |slot| {
                next_slot(&schedules, &zone, *slot)
            })
            .take(expected.len().max(1))
            .map(|slot| slot.to_zoned(zone.clone()).strftime("%a %F %T").to_string())
            .collect();
        assert_eq!(slots, expected);
    }

    fn cron(text: &str) -> Pattern {
        Pattern::Cron(CronLine::parse(text).unwrap())
    }

    #[test]
    fn at_fires_once() {
        let at = || Pattern::At(instant("2026-11-11T01:00:00Z"));
        check(at(), (None, None), "Asia/Shanghai", "2026-11-11T00:59:59Z", &["Wed 2026-11-11 09:00:00"]);
        check(at(), (None, None), "Asia/Shanghai", "2026-11-11T01:00:00Z", &[]);
    }

    #[test]
    fn cron_names_local_times() {
        check(
            cron("0 9 * * MON-FRI"),
            (None, None),
            "Asia/Shanghai",
            "2026-11-06T02:00:00Z",
            &["Mon 2026-11-09 09:00:00", "Tue 2026-11-10 09:00:00"],
        );
        check(
            cron("*/20 0 9 1 * *"),
            (None, None),
            "UTC",
            "2026-11-01T08:59:59Z",
            &[
                "Sun 2026-11-01 09:00:00",
                "Sun 2026-11-01 09:00:20",
                "Sun 2026-11-01 09:00:40",
                "Tue 2026-12-01 09:00:00",
            ],
        );
        check(
            cron("0 0 13 * 5"),
            (None, None),
            "UTC",
            "2026-11-01T00:00:00Z",
            &["Fri 2026-11-06 00:00:00", "Fri 2026-11-13 00:00:00"],
        );
        check(cron("0 0 * * 7"), (None, None), "UTC", "2026-11-01T00:00:00Z", &["Sun 2026-11-08 00:00:00"]);
    }

    #[test]
    fn a_fixed_time_runs_once_on_the_days_of_a_clock_change() {
        check(
            cron("30 2 * * *"),
            (None, None),
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            &["Sun 2026-03-29 03:00:00", "Mon 2026-03-30 02:30:00"],
        );
        check(
            cron("30 2 * * *"),
            (None, None),
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &["Sun 2026-10-25 02:30:00", "Mon 2026-10-26 02:30:00"],
        );
    }

    #[test]
    fn bounds_include_from_and_exclude_until() {
        let bounds = (Some("2026-11-02T09:00:00Z"), Some("2026-11-04T09:00:00Z"));
        check(
            cron("0 9 * * *"),
            bounds,
            "UTC",
            "2026-01-01T00:00:00Z",
            &["Mon 2026-11-02 09:00:00", "Tue 2026-11-03 09:00:00"],
        );
        check(cron("0 9 * * *"), bounds, "UTC", "2026-11-03T09:00:00Z", &[]);
    }

    #[test]
    fn every_counts_from_its_anchor() {
        let every = || Pattern::Every(SignedDuration::from_hours(6));
        check(
            every(),
            (Some("2026-11-01T01:00:00Z"), None),
            "UTC",
            "2026-10-01T00:00:00Z",
            &["Sun 2026-11-01 01:00:00", "Sun 2026-11-01 07:00:00"],
        );
        check(every(), (None, None), "UTC", "2026-11-01T06:00:00Z", &["Sun 2026-11-01 12:00:00"]);
    }

    #[test]
    fn a_date_that_never_comes_has_no_slot() {
        check(cron("0 0 30 2 *"), (None, None), "UTC", "2026-11-01T00:00:00Z", &[]);
    }

    #[test]
    fn equal_instants_are_one_slot() {
        let at = instant("2026-11-11T09:00:00Z");
        let schedules = [
            Schedule { pattern: Pattern::At(at), from: None, until: None },
            Schedule { pattern: cron("0 9 11 11 *"), from: None, until: None },
        ];
        let first = next_slot(&schedules, &TimeZone::UTC, instant("2026-11-11T08:00:00Z"));
        assert_eq!(first, Some(at));
        assert_eq!(next_slot(&schedules, &TimeZone::UTC, at), Some(instant("2027-11-11T09:00:00Z")),);
    }
}
