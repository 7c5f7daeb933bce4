//! A campaign whose schedule keys are drawn: zones with a clock change, exceptions, jitter, windows, queues,
//! catching up. What its slots must be says the brute-force oracle.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rusqlite::Connection;

use super::scale::Scale;
use crate::{
    dice::Dice,
    oracle::{Days, Line},
};

/// Midnights UTC of days on which Berlin's clocks are changed an hour later, and of one on which they are not.
const STARTS: [&str; 3] = ["2026-10-25T00:00:00Z", "2027-03-28T00:00:00Z", "2026-11-11T00:00:00Z"];
const ZONE: &str = "Europe/Berlin";
/// Until when in the night it may send, where it has a window: in local minutes.
const WINDOW_TO: i64 = 3 * 60 + 30;

/// When a history begins. A brief one begins five minutes before the clocks are changed, or before the window
/// closes.
pub fn start(seed: u64, scale: Scale) -> Timestamp {
    let number = seed as usize % STARTS.len();
    let day: Timestamp = STARTS[number].parse().unwrap();
    match scale {
        Scale::Long => day,
        Scale::Brief => day + SignedDuration::from_mins([55, 55, 2 * 60 + 25][number]),
    }
}

/// The schedule's lines.
fn often(scale: Scale) -> &'static str {
    match scale {
        Scale::Long => "0,12,24,36,48 0-6 * * *",
        Scale::Brief => "0,3,6,9,12,15,18,21,24,27,30,33,36,39,42,45,48,51,54,57 0-6 * * *",
    }
}

/// The one whose date may be left out.
fn seldom(scale: Scale) -> &'static str {
    match scale {
        Scale::Long => "6,30 0-6 * * *",
        Scale::Brief => "2,8,23,29,34,52,58 0-6 * * *",
    }
}

/// What the dice say of the campaign's schedules.
pub struct Drawn {
    scale: Scale,
    /// Its own, so that the rest of a history is what it is without this campaign.
    dice: Dice,
    start: Timestamp,
    skipped: &'static str,
    repeated: &'static str,
    jitter: bool,
    excepted: bool,
    window: bool,
}

impl Drawn {
    pub fn draw(seed: u64, scale: Scale, start: Timestamp) -> Drawn {
        let mut dice = Dice::new(!seed);
        Drawn {
            scale,
            start,
            skipped: ["after", "shift", "omit"][dice.up_to(3)],
            repeated: ["first", "second", "both"][dice.up_to(3)],
            jitter: dice.up_to(2) == 0,
            excepted: dice.up_to(2) == 0,
            window: dice.up_to(2) == 0,
            dice,
        }
    }

    /// The campaign's file. What does not name slots is drawn anew each time: an edit loses none of them.
    pub fn file(&mut self) -> String {
        let (dice, scale) = (&mut self.dice, self.scale);
        let (often, seldom) = (often(scale), seldom(scale));
        let date = self.start.to_zoned(TimeZone::get(ZONE).unwrap()).date();
        let except = if self.excepted { format!(", except: [{date}]") } else { String::new() };
        let jitter = if self.jitter { format!(", jitter: {}", scale.minutes(4)) } else { String::new() };
        let window = if self.window { "window: {between: \"00:00-03:30\"}\n" } else { "" };
        let overlap = ["skip", "queue"][dice.up_to(2)];
        let catch_up = ["none", "latest", "all"][dice.up_to(3)];
        let most = scale.minutes(2 + dice.up_to(20) as i64);
        format!(
            "message: {{contentType: text, content: {{content: \"{overlap} {catch_up} {most}\"}}}}\n\
             recvIDs: [u00011, u00012, u00013]\ntimezone: {ZONE}\noverlap: {overlap}\n\
             lateness: {{max: {most}, catchUp: {catch_up}}}\n\
             finishWithin: {}\n\
             dst: {{skipped: {}, repeated: {}}}\n{window}\
             schedules: [{{cron: \"{often}\"{jitter}}}, {{cron: \"{seldom}\"{jitter}{except}}}]\n",
            scale.minutes(20),
            self.skipped,
            self.repeated
        )
    }

    /// The slots, in minutes since the Unix epoch, each with whether it is left out.
    fn slots(&self, until: Timestamp) -> BTreeMap<i64, bool> {
        let zone = TimeZone::get(ZONE).unwrap();
        let days = Days::walk(&zone, self.start.as_second() / 60 - 1_440, until.as_second() / 60 + 1_440);
        let of =
            |text: &str| -> BTreeSet<i64> { days.slots(&Line::parse(text), self.skipped, self.repeated) };
        let seldom = of(seldom(self.scale)).into_iter().map(|minute| (minute, self.excepted));
        // Where both name one, it is not left out.
        seldom.chain(of(often(self.scale)).into_iter().map(|minute| (minute, false))).collect()
    }

    /// What is wrong with the ledger's rows of its slots, up to now; how many were looked at.
    pub fn judge(&self, ledger: &Connection, now: Timestamp) -> (Vec<String>, usize) {
        let applied = "SELECT min(unixepoch(applied_at)) FROM revision_log WHERE campaign = 'timed'";
        let applied: Option<i64> = ledger.query_row(applied, [], |row| row.get(0)).unwrap();
        let Some(applied) = applied else { return (vec!["timed.yaml was never applied".to_owned()], 0) };
        let mut expected = self.slots(now);
        // The slots of the last minutes may still be held back, by the jitter or by the queue.
        let settled = (now - SignedDuration::from_secs(self.scale.seconds(30))).as_second() / 60;
        expected.retain(|minute, _| *minute * 60 > applied && *minute <= now.as_second() / 60);
        let mut findings = Vec::new();
        let mut statement = ledger
            .prepare(
                "SELECT unixepoch(occurrence), unixepoch(until_at), unixepoch(due_at), count,
                    coalesce(reason, decision)
                 FROM occurrence_log WHERE campaign = 'timed' ORDER BY occurrence",
            )
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut looked_at = 0;
        while let Some(row) = rows.next().unwrap() {
            let number = |place: usize| row.get::<_, i64>(place).unwrap();
            let (from, until, due, count) = (number(0), number(1), number(2), number(3));
            let fate: String = row.get(4).unwrap();
            let minutes: Vec<i64> =
                expected.range(from / 60..=until / 60).map(|(minute, _)| *minute).collect();
            looked_at += minutes.len();
            if minutes.len() as i64 != count || minutes.first() != Some(&(from / 60)) {
                findings.push(format!("a row of {count} slots from {from} to {until}; they are {minutes:?}"));
            }
            if !(0..if self.jitter { self.scale.seconds(4) } else { 1 }).contains(&(due - from)) {
                findings.push(format!("the slot {from} is due {} s later", due - from));
            }
            for minute in minutes {
                let excepted = expected.remove(&minute) == Some(true);
                let right = match (excepted, self.jitter || !self.window) {
                    // A pause outlasts a slot, whatever else is said of it.
                    _ if fate == "paused" => true,
                    (true, _) => fate == "excepted",
                    (false, true) => fate != "excepted" && (self.window || fate != "window"),
                    (false, false) => fate != "excepted" && self.is_open(minute) == (fate != "window"),
                };
                if !right {
                    findings.push(format!("the slot {} is {fate}", minute * 60));
                }
            }
        }
        let lost: Vec<i64> = expected.into_keys().filter(|minute| *minute <= settled).collect();
        if !lost.is_empty() {
            findings.push(format!("no decision about the slots {lost:?} (minutes)"));
        }
        (findings.into_iter().map(|finding| format!("timed: {finding}")).collect(), looked_at)
    }

    fn is_open(&self, minute: i64) -> bool {
        let local = Timestamp::from_second(minute * 60).unwrap().to_zoned(TimeZone::get(ZONE).unwrap());
        i64::from(local.hour()) * 60 + i64::from(local.minute()) < WINDOW_TO
    }
}
