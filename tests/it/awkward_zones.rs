//! Clock changes in the zones that break schedulers, against the table of what people expect there and
//! against the brute-force oracle.

use std::collections::BTreeSet;

use campaignd::schedule::{Calendar, ClockChanges, CronLine, Repeated, Skipped};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    desk::Desk,
    oracle::{Days, Line, changes},
};

/// The zones with what is awkward in them.
const ZONES: [(&str, &str); 10] = [
    ("Australia/Lord_Howe", "the clocks change by half an hour"),
    ("Africa/Cairo", "midnight is skipped, on a Friday"),
    ("Africa/Casablanca", "the clocks go back for Ramadan"),
    ("Antarctica/Troll", "the clocks change by two hours"),
    ("Pacific/Apia", "a whole day was lost"),
    ("Pacific/Kiritimati", "the first to see a day"),
    ("Europe/Dublin", "summer is standard time, winter is set back"),
    ("Atlantic/Azores", "midnight is skipped, an hour west of Greenwich"),
    ("America/Santiago", "midnight is skipped, in September"),
    ("Asia/Tehran", "clock changes were abolished"),
];

/// Lines around the hours of clock changes.
const LINES: [&str; 12] = [
    "0 0 * * *",
    "30 0 * * *",
    "30 1 * * *",
    "15,45 2 * * *",
    "0 0-3 * * *",
    "10-50/20 1,2,3 * * 0,5",
    "59 23 * * *",
    "0 9 1,15 * 1-5",
    "*/20 * * * *",
    "*/15 2 * * *",
    "45 * * * *",
    "30 */2 * * *",
];

const SKIPPED: [(&str, Skipped); 3] =
    [("after", Skipped::After), ("shift", Skipped::Shift), ("omit", Skipped::Omit)];
const REPEATED: [(&str, Repeated); 3] =
    [("first", Repeated::First), ("second", Repeated::Second), ("both", Repeated::Both)];

fn minute(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second() / 60
}

/// What the library says of a line in [from, to), in minutes.
fn slots(line: &CronLine, calendar: &Calendar, from: i64, to: i64) -> BTreeSet<i64> {
    let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
    let first = line.next_after(calendar, at(from) - jiff::SignedDuration::from_nanos(1));
    std::iter::successors(first, |slot| line.next_after(calendar, *slot))
        .take_while(|slot| *slot < at(to))
        .map(|slot| slot.as_second() / 60)
        .collect()
}

#[test]
fn the_library_and_the_minute_walk_agree_around_every_change() {
    let mut compared = 0;
    for (name, why) in ZONES {
        let zone = TimeZone::get(name).unwrap();
        let mut around: Vec<i64> =
            changes(&zone, minute("2025-01-01T00:00:00Z"), minute("2027-01-01T00:00:00Z"));
        around.extend(match name {
            "Pacific/Apia" => vec![minute("2011-12-30T10:00:00Z"), minute("2021-04-03T14:00:00Z")],
            "Asia/Tehran" => vec![minute("2022-03-21T20:30:00Z"), minute("2022-09-21T19:30:00Z")],
            "Pacific/Kiritimati" => vec![minute("1994-12-31T10:40:00Z")],
            _ => Vec::new(),
        });
        assert!(!around.is_empty(), "{name}: {why}");
        for change in around {
            let (from, to) = (change - 36 * 60, change + 36 * 60);
            // A day more on both sides, so that the edges of the walk do not count.
            let days = Days::walk(&zone, from - 1_440, to + 1_440);
            for text in LINES {
                let (line, oracle) = (CronLine::parse(text).unwrap(), Line::parse(text));
                for (skipped_word, skipped) in SKIPPED {
                    for (repeated_word, repeated) in REPEATED {
                        let changes = ClockChanges { skipped, repeated };
                        let calendar = Calendar { zone: zone.clone(), changes };
                        let found = slots(&line, &calendar, from, to);
                        let mut expected = days.slots(&oracle, skipped_word, repeated_word);
                        expected.retain(|minute| (from..to).contains(minute));
                        assert_eq!(found, expected, "{name} {text} {changes:?} around minute {change}");
                        compared += found.len();
                    }
                }
            }
        }
    }
    assert!(compared > 50_000, "{compared} slots were compared");
}

/// The slots of a daily line around a change, as people there see their clocks.
#[track_caller]
fn check(zone: &str, line: &str, from: &str, expected: &[&str]) {
    let calendar = Calendar::usual(TimeZone::get(zone).unwrap());
    let line = CronLine::parse(line).unwrap();
    let first = line.next_after(&calendar, from.parse().unwrap());
    let told: Vec<String> = std::iter::successors(first, |slot| line.next_after(&calendar, *slot))
        .take(expected.len())
        .map(|slot| slot.to_zoned(calendar.zone.clone()).strftime("%a %d %H:%M %:z").to_string())
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn lord_howe_skips_half_an_hour() {
    let from = "2026-10-02T20:00:00Z";
    check("Australia/Lord_Howe", "15 2 * * *", from, &["Sun 04 02:30 +11:00", "Mon 05 02:15 +11:00"]);
    check("Australia/Lord_Howe", "45 2 * * *", from, &["Sun 04 02:45 +11:00", "Mon 05 02:45 +11:00"]);
}

#[test]
fn cairo_skips_midnight() {
    check(
        "Africa/Cairo",
        "30 0 * * *",
        "2026-04-23T12:00:00Z",
        &["Fri 24 01:00 +03:00", "Sat 25 00:30 +03:00"],
    );
}

#[test]
fn casablanca_sets_back_for_ramadan() {
    let from = "2026-02-14T12:00:00Z";
    check("Africa/Casablanca", "30 2 * * *", from, &["Sun 15 02:30 +01:00", "Mon 16 02:30 +00:00"]);
}

#[test]
fn troll_changes_by_two_hours() {
    check(
        "Antarctica/Troll",
        "30 1,2 * * *",
        "2026-03-28T12:00:00Z",
        &["Sun 29 03:00 +02:00", "Mon 30 01:30 +02:00"],
    );
}

#[test]
fn apia_lost_a_day() {
    check(
        "Pacific/Apia",
        "0 9 * * *",
        "2011-12-29T12:00:00Z",
        &["Thu 29 09:00 -10:00", "Sat 31 09:00 +14:00"],
    );
}

#[test]
fn kiritimati_is_fourteen_hours_ahead() {
    let from = "2026-11-10T12:00:00Z";
    check("Pacific/Kiritimati", "0 9 * * *", from, &["Wed 11 09:00 +14:00", "Thu 12 09:00 +14:00"]);
}

#[test]
fn dublin_is_set_back_in_winter() {
    let from = "2026-10-24T12:00:00Z";
    check("Europe/Dublin", "30 1 * * *", from, &["Sun 25 01:30 +01:00", "Mon 26 01:30 +00:00"]);
}

#[test]
fn the_azores_skip_midnight() {
    let from = "2026-03-28T12:00:00Z";
    check("Atlantic/Azores", "30 0 * * *", from, &["Sun 29 01:00 +00:00", "Mon 30 00:30 +00:00"]);
}

#[test]
fn santiago_skips_midnight_and_repeats_the_last_hour_of_a_day() {
    let zone = "America/Santiago";
    check(zone, "0 0 * * *", "2026-09-05T12:00:00Z", &["Sun 06 01:00 -03:00", "Mon 07 00:00 -03:00"]);
    check(zone, "30 23 * * *", "2026-04-04T12:00:00Z", &["Sat 04 23:30 -03:00", "Sun 05 23:30 -04:00"]);
}

#[test]
fn tehran_changes_no_more() {
    let from = "2026-03-20T12:00:00Z";
    check("Asia/Tehran", "30 0 * * *", from, &["Sat 21 00:30 +03:30", "Sun 22 00:30 +03:30"]);
    check(
        "Asia/Tehran",
        "30 0 * * *",
        "2022-03-21T12:00:00Z",
        &["Tue 22 01:00 +04:30", "Wed 23 00:30 +04:30"],
    );
}

#[test]
fn a_zone_that_the_system_does_not_know_is_the_built_in_one_and_that_is_said() {
    let berlin = "/usr/share/zoneinfo/Europe/Berlin";
    if !std::path::Path::new(berlin).exists() {
        return println!("NOT TRIED: this system has no zones");
    }
    let campaign = |zone| {
        format!(
            "timezone: {zone}\nmessage: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001]\n\
             schedules: [{{cron: \"0 9 * * *\"}}]\n"
        )
    };
    let (berlins, shanghais) = (campaign("Europe/Berlin"), campaign("Asia/Shanghai"));
    let desk = Desk::new(
        "gateways: {sandbox: {kind: sandbox}}\n",
        &[("berlin.yaml", &berlins), ("shanghai.yaml", &shanghais), ("utc.yaml", &campaign("UTC"))],
    );
    std::fs::create_dir_all(desk.path("zones/Europe")).unwrap();
    std::fs::copy(berlin, desk.path("zones/Europe/Berlin")).unwrap();
    let mut check = desk.command(&["check", "--format", "json"]);
    let output = check.env("TZDIR", desk.path("zones")).output().unwrap();
    assert!(output.status.success());
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = problems.as_array().unwrap().iter();
    let told: Vec<_> =
        told.map(|problem| [&problem["file"], &problem["code"], &problem["severity"]]).collect();
    assert_eq!(told, [["campaigns/shanghai.yaml", "C023", "warning"]]);
}
