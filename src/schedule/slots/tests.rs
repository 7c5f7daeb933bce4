use jiff::tz::TimeZone;

use super::*;
use crate::schedule::{CronLine, Except};

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar(zone: &str) -> Calendar {
    Calendar::usual(TimeZone::get(zone).unwrap())
}

fn cron(text: &str) -> Pattern {
    Pattern::Cron(CronLine::parse(text).unwrap())
}

/// The first slots after an instant, as local text; what differs from a plain slot is told.
#[track_caller]
fn check(schedules: &[Schedule], zone: &str, after: &str, expected: &[&str]) {
    let calendar = calendar(zone);
    let told: Vec<String> = slots("greeting", schedules, &calendar, instant(after))
        .take(expected.len().max(1))
        .map(|slot| {
            let mut text = slot.at.to_zoned(calendar.zone.clone()).strftime("%a %F %T").to_string();
            if slot.due != slot.at {
                text += &format!(" +{:?}", slot.due.duration_since(slot.at));
            }
            if slot.excepted { text + " excepted" } else { text }
        })
        .collect();
    assert_eq!(told, expected);
}

fn bounded(pattern: Pattern, from: Option<&str>, until: Option<&str>) -> [Schedule; 1] {
    [Schedule { from: from.map(instant), until: until.map(instant), ..Schedule::of(pattern) }]
}

#[test]
fn at_fires_once() {
    let at = [Schedule::of(Pattern::At(instant("2026-11-11T01:00:00Z")))];
    check(&at, "Asia/Shanghai", "2026-11-11T00:59:59Z", &["Wed 2026-11-11 09:00:00"]);
    check(&at, "Asia/Shanghai", "2026-11-11T01:00:00Z", &[]);
}

#[test]
fn cron_names_local_times() {
    let line = |text: &str| [Schedule::of(cron(text))];
    check(
        &line("0 9 * * MON-FRI"),
        "Asia/Shanghai",
        "2026-11-06T02:00:00Z",
        &["Mon 2026-11-09 09:00:00", "Tue 2026-11-10 09:00:00"],
    );
    check(
        &line("*/20 0 9 1 * *"),
        "UTC",
        "2026-11-01T08:59:59Z",
        &[
            "Sun 2026-11-01 09:00:00",
            "Sun 2026-11-01 09:00:20",
            "Sun 2026-11-01 09:00:40",
            "Tue 2026-12-01 09:00:00",
        ],
    );
    // Either of a restricted day of the month and a restricted day of the week.
    check(
        &line("0 0 13 * 5"),
        "UTC",
        "2026-11-01T00:00:00Z",
        &["Fri 2026-11-06 00:00:00", "Fri 2026-11-13 00:00:00"],
    );
    check(&line("0 0 * * 7"), "UTC", "2026-11-01T00:00:00Z", &["Sun 2026-11-08 00:00:00"]);
}

#[test]
fn cron_knows_names_and_days_counted_from_an_end() {
    let check = |text: &str, expected: &[&str]| {
        check(&[Schedule::of(cron(text))], "UTC", "2026-11-01T12:00:00Z", expected);
    };
    check("0 9 L * *", &["Mon 2026-11-30 09:00:00", "Thu 2026-12-31 09:00:00"]);
    check("0 9 * * FRI#2", &["Fri 2026-11-13 09:00:00", "Fri 2026-12-11 09:00:00"]);
    check("0 9 * * FRIL", &["Fri 2026-11-27 09:00:00", "Fri 2026-12-25 09:00:00"]);
    check("0 9 15W * *", &["Mon 2026-11-16 09:00:00", "Tue 2026-12-15 09:00:00"]);
    check("0 9 LW * *", &["Mon 2026-11-30 09:00:00", "Thu 2026-12-31 09:00:00"]);
    check("@daily", &["Mon 2026-11-02 00:00:00", "Tue 2026-11-03 00:00:00"]);
    check("0 9 1 JAN,DEC *", &["Tue 2026-12-01 09:00:00", "Fri 2027-01-01 09:00:00"]);
    check("0 0 29 2 *", &["Tue 2028-02-29 00:00:00", "Sun 2032-02-29 00:00:00"]);
}

#[test]
fn bounds_include_from_and_exclude_until() {
    let within = bounded(cron("0 9 * * *"), Some("2026-11-02T09:00:00Z"), Some("2026-11-04T09:00:00Z"));
    check(&within, "UTC", "2026-01-01T00:00:00Z", &["Mon 2026-11-02 09:00:00", "Tue 2026-11-03 09:00:00"]);
    check(&within, "UTC", "2026-11-03T09:00:00Z", &[]);
}

#[test]
fn every_counts_from_its_anchor() {
    let every = || Pattern::Every(SignedDuration::from_hours(6));
    check(
        &bounded(every(), Some("2026-11-01T01:00:00Z"), None),
        "UTC",
        "2026-10-01T00:00:00Z",
        &["Sun 2026-11-01 01:00:00", "Sun 2026-11-01 07:00:00"],
    );
    check(&bounded(every(), None, None), "UTC", "2026-11-01T06:00:00Z", &["Sun 2026-11-01 12:00:00"]);
    // Elapsed time: an hour earlier by the clocks once they have been set back.
    check(
        &bounded(every(), None, None),
        "Europe/Berlin",
        "2026-10-24T21:00:00Z",
        &["Sun 2026-10-25 02:00:00", "Sun 2026-10-25 07:00:00", "Sun 2026-10-25 13:00:00"],
    );
}

#[test]
fn a_date_that_never_comes_has_no_slot() {
    check(&[Schedule::of(cron("0 0 30 2 *"))], "UTC", "2026-11-01T00:00:00Z", &[]);
}

#[test]
fn equal_instants_are_one_slot() {
    let schedules =
        [Schedule::of(Pattern::At(instant("2026-11-11T09:00:00Z"))), Schedule::of(cron("0 9 11 11 *"))];
    check(&schedules, "UTC", "2026-11-11T08:00:00Z", &["Wed 2026-11-11 09:00:00", "Thu 2027-11-11 09:00:00"]);
}

#[test]
fn exceptions_are_local_dates_of_their_own_schedule() {
    let dates = ["2026-12-25", "2026-12-26"].map(|date| date.parse().unwrap());
    let daily = Schedule {
        except: Except { dates: dates.into_iter().collect(), file: None },
        ..Schedule::of(cron("0 1 * * *"))
    };
    check(
        std::slice::from_ref(&daily),
        "Asia/Shanghai",
        "2026-12-23T17:00:00Z",
        &["Fri 2026-12-25 01:00:00 excepted", "Sat 2026-12-26 01:00:00 excepted", "Sun 2026-12-27 01:00:00"],
    );
    // Another schedule that names the same instant keeps it.
    let at = Schedule::of(Pattern::At(instant("2026-12-24T17:00:00Z")));
    check(
        &[daily, at],
        "Asia/Shanghai",
        "2026-12-23T17:00:00Z",
        &["Fri 2026-12-25 01:00:00", "Sat 2026-12-26 01:00:00 excepted"],
    );
}

#[test]
fn a_slot_is_never_due_before_an_earlier_one() {
    let spread = Schedule { jitter: SignedDuration::from_mins(50), ..Schedule::of(cron("2 * * * *")) };
    let schedules = [spread, Schedule::of(cron("*/5 * * * *"))];
    let calendar = calendar("UTC");
    let from = instant("2026-11-11T00:00:00Z");
    let all: Vec<Slot> = slots("greeting", &schedules, &calendar, from).take(2_000).collect();
    assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].due <= pair[1].due));
    assert!(all.iter().all(|slot| slot.due >= slot.at));
    // Those that have no jitter of their own wait for one that has.
    let waits = |slot: &Slot| slot.at.as_second() % 300 == 0 && slot.due > slot.at;
    assert!(all.iter().filter(|slot| waits(slot)).count() > 500);
    // Wherever the walk begins, a slot is due at the same instant.
    for place in (0..1_900).step_by(7) {
        let after = slots("greeting", &schedules, &calendar, all[place].at).next();
        assert_eq!(after, Some(all[place + 1]));
    }
}

#[test]
fn a_slot_that_a_clock_change_touches_is_told() {
    let touch = |text: &str, after: &str| {
        let (schedules, calendar) = ([Schedule::of(cron(text))], calendar("Europe/Berlin"));
        let slot = slots("greeting", &schedules, &calendar, instant(after)).next().unwrap().at;
        touched(&schedules, &calendar, slot)
    };
    assert_eq!(touch("30 2 * * *", "2026-03-28T12:00:00Z"), Some(Touch::AfterSkipped));
    assert_eq!(touch("0 3 * * *", "2026-03-28T12:00:00Z"), None);
    assert_eq!(touch("30 2 * * *", "2026-10-24T12:00:00Z"), Some(Touch::First));
    assert_eq!(touch("30 * * * *", "2026-10-25T01:00:00Z"), Some(Touch::Second));
    assert_eq!(touch("30 2 * * *", "2026-10-25T12:00:00Z"), None);
}
