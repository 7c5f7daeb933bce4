//! When a campaign is due: its schedules, and the slots they name.
//!
//! Knows: local times, zones, cron text, elapsed periods, windows. Must never know: campaigns, runs,
//! and what time it is now.

pub mod calendar;
pub mod cron;
pub mod jitter;
pub mod slots;
pub mod window;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::Date};

pub use calendar::{Calendar, ClockChanges, Repeated, Skipped, Touch};
pub use cron::{CronError, CronLine};
pub use slots::{Slot, Slots, next_slot, slots, touched};
pub use window::Window;

/// One line of `schedules`, read in its campaign's calendar.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub pattern: Pattern,
    /// Inclusive. For `every` it is the anchor as well.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    pub except: Except,
    /// Each slot is delayed by [0, jitter); zero when there is none.
    pub jitter: SignedDuration,
}

/// How a schedule names its slots.
#[derive(Debug, Clone, PartialEq)]
pub enum Pattern {
    /// Once.
    At(Timestamp),
    /// By calendar, in the campaign's zone.
    Cron(CronLine),
    /// By elapsed time, at least one second, counted from `from` or the Unix epoch.
    Every(SignedDuration),
}

/// The dates of the campaign's calendar on which a schedule does not fire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Except {
    pub dates: BTreeSet<Date>,
    /// A file that names such dates, one a line; its path is relative to the campaign file. Whoever reads
    /// it adds them to `dates`.
    pub file: Option<String>,
}

impl Schedule {
    /// A schedule without bounds, exceptions and jitter.
    pub fn of(pattern: Pattern) -> Schedule {
        Schedule { pattern, from: None, until: None, except: Except::default(), jitter: SignedDuration::ZERO }
    }
}

impl Except {
    /// Reads a file of dates: one a line, `2026-12-25`; blank lines and what follows a `#` do not count.
    /// The error is the number of the first line that is no date, with its text.
    pub fn read_dates(text: &str) -> Result<BTreeSet<Date>, (usize, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut dates = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            dates.insert(read_date(line).ok_or_else(|| (index + 1, line.to_owned()))?);
        }
        Ok(dates)
    }
}

/// A date as people write it, `2026-12-25`, in a year that schedules can have.
pub fn read_date(text: &str) -> Option<Date> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    let in_range = || ("1970".."2200").contains(&&text[..4]);
    (shape == "9999-99-99" && in_range()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_dates_has_one_a_line() {
        let good = "\u{feff}# holidays\r\n2026-12-25\r\n\n 2027-01-01  # new year\n2026-12-25\n";
        let dates: Vec<String> = Except::read_dates(good).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(dates, ["2026-12-25", "2027-01-01"]);
        for bad in ["25.12.2026", "2026-12-25T00:00", "2026-02-30", "0000-01-01", "２０２６-12-25"] {
            let error = Except::read_dates(&format!("2026-12-24\n{bad}\n")).unwrap_err();
            assert_eq!(error, (2, bad.to_owned()));
        }
    }
}
