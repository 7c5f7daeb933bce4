//! The real program while its clock is set: a file that its debug builds take the clock's error from. A machine
//! that slept looks the same, the clock jumps and elapsed time does not.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};

use crate::desk::{Desk, Process};

const SETTINGS: &str = "timezone: UTC\nlisten: \"off\"\ngateways: {sandbox: {kind: sandbox}}\n";
const HOURLY: &str = "message: {contentType: text, content: {content: hi}}\nrecvIDs: [u00001]\nschedules: [{cron: \"0 * * * *\"}]\n";

#[expect(clippy::disallowed_methods, reason = "the daemon's clock is the computer's")]
fn real_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millisecond(since.as_millis() as i64).unwrap()
}

/// Sets the daemon's clock to an instant.
fn set(desk: &Desk, to: Timestamp) {
    let ahead_ms = to.duration_since(real_now()).as_millis();
    desk.write("clock.new", &ahead_ms.to_string());
    std::fs::rename(desk.path("clock.new"), desk.path("clock")).unwrap();
}

fn serve(desk: &Desk) -> Process {
    let mut command = desk.command(&["serve"]);
    command.env("CAMPAIGND_TEST_CLOCK", desk.path("clock"));
    Process::start(command, "ready: ")
}

/// What became of the slots, the oldest first: the hour after the first, decision, reason, count.
fn slots(desk: &Desk, first: Timestamp) -> Vec<String> {
    let rows = desk.review().occurrences("hourly", 100).unwrap();
    let told = |row: usize| {
        let at: Timestamp = rows.cell(row, "occurrence").text().parse().unwrap();
        let hour = at.duration_since(first).as_hours();
        let words = ["decision", "reason", "count"].map(|column| rows.cell(row, column).text());
        format!("{hour} {}", words.join(" "))
    };
    (0..rows.rows.len()).rev().map(told).collect()
}

#[test]
fn the_program_runs_each_slot_once_while_its_clock_is_set() {
    let desk = Desk::new(SETTINGS, &[("hourly.yaml", HOURLY)]);
    let hour = SignedDuration::from_hours(1);
    let first = Timestamp::from_second((real_now().as_second() / 3_600 + 2) * 3_600).unwrap();
    let just_before = |slot: Timestamp| slot - SignedDuration::from_secs(2);
    set(&desk, just_before(first));
    let daemon = serve(&desk);
    daemon.hear(" completed: 1 of 1 accepted");
    // The clock comes to the slot a second time.
    set(&desk, just_before(first) - SignedDuration::from_secs(1));
    daemon.hear("the clock was set back");
    // It is ahead by hours for a moment: what is decided then comes again.
    set(&desk, first + hour * 3 + SignedDuration::from_mins(30));
    daemon.hear("ahead of the time that has passed");
    daemon.hear("missed (late)");
    assert_eq!(slots(&desk, first), ["0 run  1", "1 missed late 3"]);
    set(&desk, just_before(first + hour));
    daemon.hear("they come again");
    daemon.hear(" completed: 1 of 1 accepted");
    assert_eq!(slots(&desk, first), ["0 run  1", "1 run  1"]);
    // A restart with a clock that is behind again.
    daemon.stop();
    set(&desk, just_before(first));
    let daemon = serve(&desk);
    set(&desk, just_before(first + hour * 2));
    daemon.hear(" completed: 1 of 1 accepted");
    daemon.stop();
    assert_eq!(slots(&desk, first), ["0 run  1", "1 run  1", "2 run  1"]);
    desk.ends(&["db", "verify"], 0);
}
