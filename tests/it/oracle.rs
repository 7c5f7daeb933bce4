//! A brute-force oracle of fixed and real-time cron lines: it walks a zone's minutes one by one, looks at
//! what the clocks show, and shares no code with the library beyond the zone's offsets.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};

/// Minutes since the Unix epoch: of the world, or of what the clocks show.
type Minute = i64;

/// A line of five fields: numbers, `*`, ranges, lists and steps.
pub struct Line {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    days: Vec<bool>,
    months: Vec<bool>,
    weekdays: Vec<bool>,
    any_day: bool,
    any_weekday: bool,
    follows_real_time: bool,
}

impl Line {
    pub fn parse(text: &str) -> Line {
        let fields: Vec<&str> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = fields[..] else { panic!("{text}") };
        Line {
            minutes: field(minute, 0, 59),
            hours: field(hour, 0, 23),
            days: field(day, 1, 31),
            months: field(month, 1, 12),
            weekdays: field(weekday, 0, 6),
            any_day: day == "*",
            any_weekday: weekday == "*",
            follows_real_time: minute.contains('*') || hour.contains('*'),
        }
    }

    /// Whether the clocks show a time of the line.
    fn names(&self, shown: Minute) -> bool {
        let days = shown.div_euclid(1_440);
        let (hour, minute) = (shown.rem_euclid(1_440) / 60, shown.rem_euclid(60));
        if !self.minutes[minute as usize] || !self.hours[hour as usize] {
            return false;
        }
        let (month, day) = month_and_day(days);
        // 1970-01-01 was a Thursday.
        let weekday = (days + 4).rem_euclid(7) as usize;
        let (by_day, by_weekday) = (self.days[day], self.weekdays[weekday]);
        let day_is_named = match (self.any_day, self.any_weekday) {
            (false, false) => by_day || by_weekday,
            _ => by_day && by_weekday,
        };
        self.months[month] && day_is_named
    }
}

/// Which numbers a field names.
fn field(text: &str, least: usize, most: usize) -> Vec<bool> {
    let mut named = vec![false; most + 1];
    for part in text.split(',') {
        let (range, step) =
            part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None if range == "*" => (least, most),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).step_by(step).for_each(|number| named[number] = true);
    }
    named
}

/// The month and the day of the month, counted by walking through the years.
fn month_and_day(days_since_1970: i64) -> (usize, usize) {
    let mut left = days_since_1970;
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in lengths.into_iter().enumerate() {
            if left < length {
                return (month + 1, left as usize + 1);
            }
            left -= length;
        }
    }
    unreachable!()
}

/// What a zone's clocks show in each minute of some days.
pub struct Days {
    from: Minute,
    shown: Vec<Minute>,
}

impl Days {
    /// The minutes of [from, to) with a day around them.
    pub fn walk(zone: &TimeZone, from: Minute, to: Minute) -> Days {
        let shown = |minute: Minute| {
            let offset_s = zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds();
            assert_eq!(offset_s % 60, 0, "clocks that are not whole minutes apart");
            minute + i64::from(offset_s / 60)
        };
        Days { from, shown: (from..to).map(shown).collect() }
    }

    /// The instants, in minutes, at which a line fires, those at the very edges left out.
    pub fn slots(&self, line: &Line, skipped: &str, repeated: &str) -> BTreeSet<Minute> {
        let minutes = || (self.from..).zip(self.shown.iter().copied());
        if line.follows_real_time {
            return minutes().filter(|(_, shown)| line.names(*shown)).map(|(minute, _)| minute).collect();
        }
        let mut slots = BTreeSet::new();
        let mut shown_at: BTreeMap<Minute, Vec<Minute>> = BTreeMap::new();
        for (minute, shown) in minutes().filter(|(_, shown)| line.names(*shown)) {
            shown_at.entry(shown).or_default().push(minute);
        }
        for times in shown_at.values() {
            match repeated {
                "first" => slots.insert(times[0]),
                "second" => slots.insert(times[times.len() - 1]),
                _ => {
                    slots.extend(times);
                    true
                }
            };
        }
        for ((minute, before), (next, after)) in minutes().zip(minutes().skip(1)) {
            let skips = before + 1..after;
            // A lost day is lost.
            if after - before > 180 {
                continue;
            }
            for lost in skips.filter(|shown| line.names(*shown)) {
                match skipped {
                    "after" => slots.insert(next),
                    "shift" => slots.insert(minute + (lost - before)),
                    _ => false,
                };
            }
        }
        slots
    }
}

/// The minutes from which a zone's clocks run otherwise than before, found by looking at every hour.
pub fn changes(zone: &TimeZone, from: Minute, to: Minute) -> Vec<Minute> {
    let offset = |minute: Minute| zone.to_offset(Timestamp::from_second(minute * 60).unwrap());
    let hours = (from..to).step_by(60);
    let changed = hours.filter(|hour| offset(*hour) != offset(hour + 60));
    changed.map(|hour| (hour..=hour + 60).find(|minute| offset(*minute) != offset(hour)).unwrap()).collect()
}
