//! A window: the local times at which sending is allowed, `{days: MON-FRI, between: "09:00-21:00"}`.
//!
//! It goes by what the clocks show: in a repeated hour both passes are inside or outside, and a window
//! that opens in a skipped hour opens right after it.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

/// The days on which it opens, and the ranges of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub days: Days,
    /// At least one.
    pub ranges: Vec<Range>,
}

/// Days of the week, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days([bool; 7]);

/// A range of the local time of day, in minutes since midnight: `from` inclusive, `to` exclusive. One
/// whose end is not after its start reaches into the next day, and belongs to the day of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from_minute: u16,
    /// At most 1440, the end of the day.
    pub to_minute: u16,
}

const DAY_MINUTES: u16 = 24 * 60;
/// The names of days, from Monday on.
pub const NAMES: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
/// A window of one range on one day opens and closes within a week; a clock change may cost one more.
const DAYS_AHEAD: i64 = 16;

impl Days {
    pub const EVERY: Days = Days([true; 7]);

    /// Reads `MON-FRI`, `MON,WED`, `FRI-MON`, `SAT,SUN`.
    pub fn parse(text: &str) -> Option<Days> {
        let place = |name: &str| NAMES.iter().position(|known| known.eq_ignore_ascii_case(name.trim()));
        let mut days = [false; 7];
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (place(first)?, place(last)?),
                None => (place(part)?, place(part)?),
            };
            // Around the end of the week where the last day comes first.
            let mut day = first;
            days[day] = true;
            while day != last {
                day = (day + 1) % 7;
                days[day] = true;
            }
        }
        Some(Days(days))
    }

    /// The days of either.
    pub fn and(self, other: Days) -> Days {
        Days(std::array::from_fn(|day| self.0[day] || other.0[day]))
    }

    fn has(self, day: Weekday) -> bool {
        self.0[day.to_monday_zero_offset().rem_euclid(7) as usize]
    }
}

impl Range {
    pub const WHOLE_DAY: Range = Range { from_minute: 0, to_minute: DAY_MINUTES };

    /// Reads `09:00-21:00`; `22:00-06:00` reaches into the next day, and `24:00` is the end of one.
    pub fn parse(text: &str) -> Option<Range> {
        let (from, to) = text.split_once('-')?;
        let range = Range { from_minute: minute(from.trim())?, to_minute: minute(to.trim())? };
        (range.from_minute < DAY_MINUTES && range.from_minute != range.to_minute).then_some(range)
    }

    fn crosses_midnight(self) -> bool {
        self.to_minute <= self.from_minute
    }
}

/// The minute of the day that `HH:MM` names, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|_| minutes.len() == 2)?);
    (minutes < 60).then_some(hours * 60 + minutes).filter(|minute| *minute <= DAY_MINUTES)
}

impl Window {
    /// Whether sending is allowed at an instant.
    pub fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        self.holds(zone.to_datetime(at))
    }

    fn holds(&self, local: DateTime) -> bool {
        let now = local.hour() as u16 * 60 + local.minute() as u16;
        let today = self.days.has(local.weekday());
        let yesterday = self.days.has(local.weekday().previous());
        self.ranges.iter().any(|range| {
            if range.crosses_midnight() {
                today && now >= range.from_minute || yesterday && now < range.to_minute
            } else {
                today && (range.from_minute..range.to_minute).contains(&now)
            }
        })
    }

    /// The first instant after `after` at which it opens or closes; None when it never does.
    pub fn changes_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let was_open = self.is_open(zone, after);
        let mut candidates = self.boundaries(zone, after);
        candidates.sort_unstable();
        candidates.into_iter().find(|at| self.is_open(zone, *at) != was_open)
    }

    /// The first instant at or after `at` at which it is open.
    pub fn opens_from(&self, zone: &TimeZone, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(zone, at) { Some(at) } else { self.changes_after(zone, at) }
    }

    /// Every instant soon after `after` at which it may open or close, in no order.
    fn boundaries(&self, zone: &TimeZone, after: Timestamp) -> Vec<Timestamp> {
        let end = after.checked_add(SignedDuration::from_hours(DAYS_AHEAD * 24)).unwrap_or(Timestamp::MAX);
        let changes = zone.following(after).map(|transition| transition.timestamp());
        let mut instants: Vec<Timestamp> = changes.take_while(|at| *at <= end).collect();
        let Ok(mut date) = zone.to_datetime(after).date().yesterday() else { return instants };
        for _ in 0..DAYS_AHEAD {
            for range in &self.ranges {
                instants.extend(instants_of(zone, date, range.from_minute));
                instants.extend(instants_of(zone, date, range.to_minute));
            }
            let Ok(tomorrow) = date.tomorrow() else { break };
            date = tomorrow;
        }
        instants.retain(|at| *at > after);
        instants
    }
}

/// The instants at which the clocks show a minute of a day: none in a skipped hour, two in a repeated one.
fn instants_of(zone: &TimeZone, date: Date, minute: u16) -> Vec<Timestamp> {
    let (date, minute) =
        if minute == DAY_MINUTES { (date.tomorrow().unwrap_or(date), 0) } else { (date, minute) };
    let local = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        // The clock change itself is looked at anyway.
        AmbiguousOffset::Gap { .. } => Vec::new(),
        AmbiguousOffset::Fold { before, after } => {
            [before, after].into_iter().filter_map(|offset| offset.to_timestamp(local).ok()).collect()
        }
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &str, ranges: &[&str]) -> Window {
        let ranges = ranges.iter().map(|text| Range::parse(text).unwrap()).collect();
        Window { days: Days::parse(days).unwrap(), ranges }
    }

    /// Its changes after an instant, in local time with the offset: `+` where it opens.
    #[track_caller]
    fn check(window: &Window, zone: &str, after: &str, expected: &[&str]) {
        let zone = TimeZone::get(zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let mut found = Vec::new();
        while found.len() < expected.len().max(1)
            && let Some(next) = window.changes_after(&zone, at)
        {
            assert!(next > at);
            let sign = if window.is_open(&zone, next) { '+' } else { '-' };
            found.push(format!("{sign} {}", next.to_zoned(zone.clone()).strftime("%a %F %H:%M %:z")));
            at = next;
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn days_and_ranges() {
        check(
            &window("MON-FRI", &["09:00-12:00", "14:00-21:00"]),
            "Asia/Shanghai",
            "2026-11-13T05:00:00Z",
            &[
                "+ Fri 2026-11-13 14:00 +08:00",
                "- Fri 2026-11-13 21:00 +08:00",
                "+ Mon 2026-11-16 09:00 +08:00",
                "- Mon 2026-11-16 12:00 +08:00",
            ],
        );
        check(&window("MON-SUN", &["00:00-24:00"]), "UTC", "2026-11-13T05:00:00Z", &[]);
        check(
            &window("SAT,SUN", &["0:00-24:00"]),
            "UTC",
            "2026-11-13T05:00:00Z",
            &["+ Sat 2026-11-14 00:00 +00:00", "- Mon 2026-11-16 00:00 +00:00"],
        );
    }

    #[test]
    fn a_range_across_midnight_belongs_to_the_day_of_its_start() {
        check(
            &window("FRI", &["22:00-06:00"]),
            "Asia/Shanghai",
            "2026-11-12T16:00:00Z",
            &[
                "+ Fri 2026-11-13 22:00 +08:00",
                "- Sat 2026-11-14 06:00 +08:00",
                "+ Fri 2026-11-20 22:00 +08:00",
            ],
        );
        check(&window("MON-SUN", &["22:00-06:00", "06:00-22:00"]), "UTC", "2026-11-12T16:00:00Z", &[]);
        let is_open = |at: &str| window("FRI", &["22:00-06:00"]).is_open(&TimeZone::UTC, at.parse().unwrap());
        assert!(is_open("2026-11-14T03:00:00Z") && !is_open("2026-11-13T03:00:00Z"));
    }

    #[test]
    fn it_goes_by_what_the_clocks_show() {
        // Opens in the skipped hour: right after it.
        check(
            &window("SUN", &["02:30-05:00"]),
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            &["+ Sun 2026-03-29 03:00 +02:00", "- Sun 2026-03-29 05:00 +02:00"],
        );
        // Closes in the repeated hour: twice, since the clocks show the time before it again.
        check(
            &window("SUN", &["01:00-02:30"]),
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &[
                "+ Sun 2026-10-25 01:00 +02:00",
                "- Sun 2026-10-25 02:30 +02:00",
                "+ Sun 2026-10-25 02:00 +01:00",
                "- Sun 2026-10-25 02:30 +01:00",
            ],
        );
        // The clocks skip midnight.
        check(
            &window("SUN", &["00:00-12:00"]),
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            &["+ Sun 2026-09-06 01:00 -03:00", "- Sun 2026-09-06 12:00 -03:00"],
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in ["", "MON-", "MO", "MON..FRI", "MON FRI", "8"] {
            assert_eq!(Days::parse(bad), None, "{bad}");
        }
        let bad_ranges =
            ["", "09:00", "9-17", "09:00-09:00", "09:60-10:00", "24:00-08:00", "09:00-24:01", "-1:00-2:00"];
        for bad in bad_ranges {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
        assert_eq!(Days::parse("fri-mon"), Days::parse("FRI,SAT,SUN,MON"));
    }
}
