use super::*;
use crate::schedule::CronLine;

/// The slots of a line during some hours, as local time with its offset, under each policy that matters.
#[track_caller]
fn check(zone: &str, line: &str, from: &str, hours: i64, changes: ClockChanges, expected: &[&str]) {
    let zone = TimeZone::get(zone).unwrap();
    let calendar = Calendar { zone: zone.clone(), changes };
    let line = CronLine::parse(line).unwrap();
    let from: Timestamp = from.parse().unwrap();
    let end = from + SignedDuration::from_hours(hours);
    let first = line.next_after(&calendar, from);
    let slots = std::iter::successors(first, |slot| line.next_after(&calendar, *slot));
    let told: Vec<String> = slots
        .take_while(|slot| *slot < end)
        .map(|slot| slot.to_zoned(zone.clone()).strftime("%a %H:%M:%S %:z").to_string())
        .collect();
    assert_eq!(told, expected, "{line:?} {changes:?}");
}

fn skipped(skipped: Skipped) -> ClockChanges {
    ClockChanges { skipped, ..ClockChanges::default() }
}

fn repeated(repeated: Repeated) -> ClockChanges {
    ClockChanges { repeated, ..ClockChanges::default() }
}

const SPRING: &str = "2026-03-29T00:00:00Z";
const AUTUMN: &str = "2026-10-24T23:00:00Z";

#[test]
fn a_skipped_time_runs_after_shifted_or_not_at_all() {
    let check = |line, changes, expected: &[&str]| check("Europe/Berlin", line, SPRING, 4, changes, expected);
    check("30 2 * * *", skipped(Skipped::After), &["Sun 03:00:00 +02:00"]);
    check("30 2 * * *", skipped(Skipped::Shift), &["Sun 03:30:00 +02:00"]);
    check("30 2 * * *", skipped(Skipped::Omit), &[]);
    // All times of the skipped hour, and that of the hour after it, are one slot where they meet.
    check(
        "0,20,40 2,3 * * *",
        skipped(Skipped::After),
        &["Sun 03:00:00 +02:00", "Sun 03:20:00 +02:00", "Sun 03:40:00 +02:00"],
    );
    check("15,45 2,3 * * *", skipped(Skipped::Shift), &["Sun 03:15:00 +02:00", "Sun 03:45:00 +02:00"]);
    check("15 2,3 * * *", skipped(Skipped::After), &["Sun 03:00:00 +02:00", "Sun 03:15:00 +02:00"]);
    check("30 15 2 * * *", skipped(Skipped::Shift), &["Sun 03:15:30 +02:00"]);
}

#[test]
fn a_repeated_time_runs_first_second_or_both() {
    let check = |line, changes, expected: &[&str]| check("Europe/Berlin", line, AUTUMN, 4, changes, expected);
    check("30 2 * * *", repeated(Repeated::First), &["Sun 02:30:00 +02:00"]);
    check("30 2 * * *", repeated(Repeated::Second), &["Sun 02:30:00 +01:00"]);
    check("30 2 * * *", repeated(Repeated::Both), &["Sun 02:30:00 +02:00", "Sun 02:30:00 +01:00"]);
    check(
        "0,30 2,3 * * *",
        repeated(Repeated::Both),
        &[
            "Sun 02:00:00 +02:00",
            "Sun 02:30:00 +02:00",
            "Sun 02:00:00 +01:00",
            "Sun 02:30:00 +01:00",
            "Sun 03:00:00 +01:00",
            "Sun 03:30:00 +01:00",
        ],
    );
    check("59 1,2 * * *", repeated(Repeated::Second), &["Sun 01:59:00 +02:00", "Sun 02:59:00 +01:00"]);
    check("0 2,3 * * *", repeated(Repeated::First), &["Sun 02:00:00 +02:00", "Sun 03:00:00 +01:00"]);
}

#[test]
fn a_star_follows_real_time_whatever_the_policy() {
    for changes in [skipped(Skipped::Shift), repeated(Repeated::First), ClockChanges::default()] {
        check(
            "Europe/Berlin",
            "30 * * * *",
            SPRING,
            3,
            changes,
            &["Sun 01:30:00 +01:00", "Sun 03:30:00 +02:00", "Sun 04:30:00 +02:00"],
        );
        check(
            "Europe/Berlin",
            "30 * * * *",
            AUTUMN,
            4,
            changes,
            &["Sun 01:30:00 +02:00", "Sun 02:30:00 +02:00", "Sun 02:30:00 +01:00", "Sun 03:30:00 +01:00"],
        );
        check("Europe/Berlin", "*/30 2 * * *", SPRING, 24, changes, &[]);
    }
}

#[test]
fn a_lost_day_skips_its_slots() {
    for kind in [Skipped::After, Skipped::Shift, Skipped::Omit] {
        check(
            "Pacific/Apia",
            "0 9 * * *",
            "2011-12-29T12:00:00Z",
            48,
            skipped(kind),
            &["Thu 09:00:00 -10:00", "Sat 09:00:00 +14:00"],
        );
    }
}

#[test]
fn the_walk_begins_anywhere() {
    // Within a second, before the epoch, in the second pass of a repeated hour.
    let next = |line: &str, after: &str| {
        let calendar = Calendar::usual(TimeZone::get("Europe/Berlin").unwrap());
        CronLine::parse(line).unwrap().next_after(&calendar, after.parse().unwrap()).unwrap().to_string()
    };
    assert_eq!(next("* * * * * *", "2026-10-25T01:00:00.999Z"), "2026-10-25T01:00:01Z");
    assert_eq!(next("* * * * * *", "2026-10-25T01:00:00Z"), "2026-10-25T01:00:01Z");
    assert_eq!(next("* * * * * *", "1969-12-31T23:59:58.5Z"), "1969-12-31T23:59:59Z");
    assert_eq!(next("30 2 * * *", "2026-10-25T01:10:00Z"), "2026-10-26T01:30:00Z");
    // Forty years without a slot, then one.
    assert_eq!(next("0 0 29 2 *", "2096-03-01T00:00:00Z"), "2104-02-28T23:00:00Z");
}
