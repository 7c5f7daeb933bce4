//! Lists that a provider tells page by page, while they move, fail, or never end.

use std::collections::BTreeSet;

use super::sources::{MESSAGE, numbered, send};
use crate::office::Office;

/// More than two pages.
const USERS: u32 = 2_400;

/// What becomes of a campaign while pages go wrong.
enum Expected {
    /// Everyone gets it.
    Complete,
    /// The run does not start, for a reason that says so.
    Missed(&'static str),
}

#[track_caller]
fn check(office: &Office, name: &str, faults: &str, audience: &str, expected: &Expected) {
    let desk = &office.desk;
    office.ask("PUT", "/sandbox/faults", faults);
    desk.write(&format!("campaigns/{name}.yaml"), &format!("{MESSAGE}lateness: {{max: 10s}}\n{audience}\n"));
    let said = send(desk, name);
    office.ask("DELETE", "/sandbox/faults", "");
    let got: BTreeSet<String> = office.taken(name).into_keys().collect();
    let run = &desk.json(&["runs", name])[0];
    match expected {
        Expected::Complete => {
            assert_eq!(said.code, 0, "{name}: {} {run}", said.err);
            let mut everyone = numbered(1, USERS);
            if audience.contains("membersOf") {
                everyone.insert("notice".to_owned());
            }
            assert_eq!(got, everyone, "{name}");
            office.compare(name);
        }
        Expected::Missed(why) => {
            assert_eq!(
                (said.code, &run["state"], &run["audience"]),
                (1, &"failed".into(), &0.into()),
                "{name}"
            );
            let reason = run["reason"].as_str().unwrap();
            assert!(reason.starts_with("audience: ") && reason.contains(why), "{name}: {reason}");
            assert!(got.is_empty(), "{name} is missed, and was sent");
        }
    }
}

#[test]
fn pages_that_move_fail_or_repeat_give_everyone_or_nobody() {
    use Expected::{Complete, Missed};
    let members = USERS.to_string();
    let office = Office::open(&["--users", &members, "--groups", "1", "--members", &members], "");
    let _daemon = office.desk.serve();
    for (kind, audience, path) in [
        ("everyone", "isSendAll: true", "/user/get_users"),
        ("members", "recipients: [{membersOf: g1001}]", "/group/get_group_member_list"),
    ] {
        for (what, faults, expected) in [
            ("moved", r#"{"movePages": {"by": 3, "times": 1}}"#.to_owned(), Complete),
            (
                "moving",
                r#"{"movePages": {"by": 3, "times": 1000}}"#.to_owned(),
                Missed("changed, or were not all listed, in each of 3 passes"),
            ),
            (
                "failed",
                format!(r#"{{"httpStatus": {{"status": 502, "times": 2, "path": "{path}"}}}}"#),
                Complete,
            ),
            (
                "failing",
                format!(r#"{{"httpStatus": {{"status": 502, "times": 1000, "path": "{path}"}}}}"#),
                Missed("could not be listed in time: "),
            ),
            (
                "repeating",
                r#"{"repeatPages": {"times": 1000}}"#.to_owned(),
                Missed("is the one before it again"),
            ),
        ] {
            check(&office, &format!("{kind}-{what}"), &faults, audience, &expected);
        }
    }
}

#[test]
fn whoever_asks_for_an_audience_is_told_what_it_waits_for_and_not_kept_waiting() {
    let office = Office::open(&["--users", "20"], "");
    let desk = &office.desk;
    desk.write("campaigns/everyone.yaml", &format!("{MESSAGE}isSendAll: true\n"));
    let failing = |times: u32| {
        let fault = format!(r#"{{"httpStatus": {{"status": 502, "times": {times}, "path": "/user/"}}}}"#);
        office.ask("PUT", "/sandbox/faults", &fault);
    };
    failing(1);
    let said = desk.ends(&["audience", "everyone", "--count"], 0);
    assert_eq!(said.out, "20\n");
    let told = "page 1 of the provider's users cannot be read and is asked for again: ";
    assert!(said.err.contains(told), "{}", said.err);
    failing(1_000);
    let said = desk.ends(&["audience", "everyone", "--list"], 1);
    assert!(said.out.is_empty());
    assert!(said.err.contains("the provider's users could not be listed in time"), "{}", said.err);
}

#[test]
fn why_one_is_in_or_out_of_what_the_provider_lists() {
    let office = Office::open(&["--users", "20"], "");
    let desk = &office.desk;
    let sources = "isSendAll: true\nexclude: [{ids: [u00002]}]\n";
    desk.write("campaigns/everyone.yaml", &format!("{MESSAGE}{sources}"));
    for (id, expected) in [
        ("u00001", "u00001 is in: named by isSendAll\n  named by isSendAll\n"),
        (
            "u00002",
            "u00002 is out: exclude: named by `exclude`\n  named by isSendAll\n  excluded by ids (1)\n",
        ),
        ("u00099", "u00099 is out: notNamed: no source names it\n"),
    ] {
        assert_eq!(desk.ends(&["audience", "everyone", "--explain", id], 0).out, expected);
    }
}
