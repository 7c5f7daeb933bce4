//! Every zone of the system, 2020 to 2040: cron lines around each clock change, by the library and by the
//! brute-force oracle of the tests. `cargo bench --bench every_zone` (about a minute); it fails at the first
//! slot on which the two do not agree, and prints how many they agree on.

#[path = "../tests/it/oracle.rs"]
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use campaignd::schedule::{Calendar, ClockChanges, CronLine, Repeated, Skipped};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use oracle::{Days, Line, changes};

const LINES: [&str; 14] = [
    "0 0 * * *",
    "30 0 * * *",
    "30 1 * * *",
    "15,45 2 * * *",
    "0 0-4 * * *",
    "10-50/20 1,2,3 * * 0,5",
    "59 23 * * *",
    "0 9 1,15 * 1-5",
    "0 12 * * *",
    "*/20 * * * *",
    "*/15 2 * * *",
    "45 * * * *",
    "30 */2 * * *",
    "7 0-23/3 * * *",
];

const SKIPPED: [(&str, Skipped); 3] =
    [("after", Skipped::After), ("shift", Skipped::Shift), ("omit", Skipped::Omit)];
const REPEATED: [(&str, Repeated); 3] =
    [("first", Repeated::First), ("second", Repeated::Second), ("both", Repeated::Both)];

/// What a zone's clocks do: each change with the offset before and after, in seconds.
type Kind = Vec<(i64, i32, i32)>;

fn main() {
    let minute = |text: &str| text.parse::<Timestamp>().unwrap().as_second() / 60;
    let (from, to) = (minute("2020-01-01T00:00:00Z"), minute("2041-01-01T00:00:00Z"));
    // Zones that behave alike are looked at once.
    let mut zones: BTreeMap<Kind, (TimeZone, Vec<i64>)> = BTreeMap::new();
    let mut names = 0;
    for name in jiff::tz::db().available() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        let around = changes(&zone, from, to);
        let offset = |minute: i64| zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds();
        let mut kind: Kind = around.iter().map(|at| (*at, offset(at - 1), offset(*at))).collect();
        kind.push((0, offset(from), offset(from)));
        names += 1;
        zones.entry(kind).or_insert((zone, around));
    }
    let (mut around_changes, mut compared) = (0_u64, 0_u64);
    for (zone, mut around) in zones.into_values() {
        if around.is_empty() {
            around.push(from + 525_600);
        }
        for change in around {
            around_changes += 1;
            compared += compare(&zone, change - 36 * 60, change + 36 * 60);
        }
    }
    println!("{names} zones, {around_changes} clock changes, {compared} slots: the two agree");
}

/// Compares all lines under all policies in [from, to), minutes. Gives how many slots there were.
fn compare(zone: &TimeZone, from: i64, to: i64) -> u64 {
    let days = Days::walk(zone, from - 1_440, to + 1_440);
    let mut compared = 0;
    for text in LINES {
        let (line, oracle) = (CronLine::parse(text).unwrap(), Line::parse(text));
        for (skipped_word, skipped) in SKIPPED {
            for (repeated_word, repeated) in REPEATED {
                let changes = ClockChanges { skipped, repeated };
                let calendar = Calendar { zone: zone.clone(), changes };
                let found = slots(&line, &calendar, from, to);
                let mut expected = days.slots(&oracle, skipped_word, repeated_word);
                expected.retain(|minute| (from..to).contains(minute));
                assert_eq!(found, expected, "{:?} {text} {changes:?}", zone.iana_name());
                compared += found.len() as u64;
            }
        }
    }
    compared
}

fn slots(line: &CronLine, calendar: &Calendar, from: i64, to: i64) -> BTreeSet<i64> {
    let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
    let first = line.next_after(calendar, at(from) - SignedDuration::from_nanos(1));
    std::iter::successors(first, |slot| line.next_after(calendar, *slot))
        .take_while(|slot| *slot < at(to))
        .map(|slot| slot.as_second() / 60)
        .collect()
}
