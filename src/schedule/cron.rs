//! Cron text, read by the `croner` library: 5 fields, or 6 with leading seconds; names, `L`, `#`,
//! `W`, `@daily`. Day of month and weekday both restricted: either matches. 0 and 7 are Sunday.
//!
//! The library only says which local times a line names. Which instants those are, on the days of a
//! clock change too, says the [`Calendar`].

use std::{fmt, sync::Arc};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, civil::DateTime};

use super::{Calendar, ClockChanges};

/// One parsed cron expression; clones share the parsed form.
#[derive(Clone)]
pub struct CronLine {
    text: Arc<str>,
    parsed: Arc<Cron>,
    follows_real_time: bool,
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error("5 fields are needed, or 6 with leading seconds, not {0}")]
    Fields(usize),
    #[error("a list has an empty item")]
    EmptyItem,
    #[error("`{0}` is no name of a schedule; @hourly @daily @weekly @monthly @yearly are")]
    Name(String),
    #[error("its {field} `{text}` is none: {holds}")]
    Field { field: &'static str, text: String, holds: &'static str },
    #[error("its fields do not go together")]
    Unreadable,
}

/// The fields of six, with what each may hold beside `*`, lists, ranges and steps.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59, as a list `0,30`, a range `0-10` or a step `*/15`"),
    ("minute", "0 to 59, as a list `0,30`, a range `0-10` or a step `*/15`"),
    ("hour", "0 to 23, as a list `9,18`, a range `9-17` or a step `*/2`"),
    ("day of the month", "1 to 31, `L` for the last, `15W` for the working day nearest to it"),
    ("month", "1 to 12 or JAN to DEC, as a list or a range"),
    (
        "weekday",
        "0 to 7 (0 and 7 are Sunday) or SUN to SAT, as a list or a range, `MON#2` for the second, `FRIL` for the last",
    ),
];
/// The longest field that a problem repeats.
const LONGEST_SHOWN: usize = 40;

impl CronLine {
    /// Reads an expression. One that can be read may still never fire ([`CronLine::next_after`]).
    pub fn parse(text: &str) -> Result<CronLine, CronError> {
        // The library takes `,` for a field that names nothing, and then searches for it until the year 5000.
        if text.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(CronError::EmptyItem);
        }
        let parsed = parsed(text).ok_or_else(|| fault(text))?;
        let follows_real_time = follows_real_time(text);
        Ok(CronLine { text: text.into(), parsed: Arc::new(parsed), follows_real_time })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The expression in English words.
    pub fn in_words(&self) -> String {
        self.parsed.describe()
    }

    /// Whether it has a `*` in its minute or hour field: then it names every instant at which the clocks
    /// show a time of it. All others name fixed times, which a clock change must not lose or double.
    pub fn follows_real_time(&self) -> bool {
        self.follows_real_time
    }

    /// The first local time at or after `local` that the expression names; None when there is none
    /// before the year 5000, where the library ends its search.
    pub fn next_local(&self, local: DateTime) -> Option<DateTime> {
        self.parsed.find_next_occurrence(&local, true).ok()
    }

    /// The first instant strictly after `after` that the expression names.
    pub fn next_after(&self, calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
        let next_local = |local| self.next_local(local);
        let next = if self.follows_real_time {
            let zone = calendar.zone.clone();
            Calendar { zone, changes: ClockChanges::REAL_TIME }.next_after(after, next_local)
        } else {
            calendar.next_after(after, next_local)
        };
        debug_assert!(next.is_none_or(|next| next > after), "{} named {next:?} after {after}", self.text);
        next
    }
}

fn parsed(text: &str) -> Option<Cron> {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build().parse(text).ok()
}

/// What is wrong with an expression that cannot be read: the library does not say where, so each field is tried
/// by itself.
fn fault(text: &str) -> CronError {
    let shown = |text: &str| text.chars().take(LONGEST_SHOWN).collect::<String>();
    if text.trim_start().starts_with('@') {
        return CronError::Name(shown(text.trim()));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let Some(names) = FIELDS.len().checked_sub(fields.len()).filter(|left_out| *left_out <= 1) else {
        return CronError::Fields(fields.len());
    };
    let bad = fields.iter().enumerate().find(|(place, field)| {
        let alone: Vec<&str> =
            (0..fields.len()).map(|other| if other == *place { **field } else { "*" }).collect();
        parsed(&alone.join(" ")).is_none()
    });
    match bad {
        Some((place, text)) => {
            let (field, holds) = FIELDS[names + place];
            CronError::Field { field, text: shown(text), holds }
        }
        None => CronError::Unreadable,
    }
}

/// Whether the minute or the hour of an expression that can be read has a `*`.
fn follows_real_time(text: &str) -> bool {
    let text = text.trim();
    if text.starts_with('@') {
        return text.eq_ignore_ascii_case("@hourly");
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    // Leading seconds, where there are six.
    let minute = fields.len().saturating_sub(5);
    fields.iter().skip(minute).take(2).any(|field| field.contains('*'))
}

impl PartialEq for CronLine {
    fn eq(&self, other: &CronLine) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for CronLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CronLine({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_by_its_field() {
        let check = |text: &str, expected: &str| {
            let told = CronLine::parse(text).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{text}: {told}");
        };
        check("61 9 * * *", "its minute `61` is none: 0 to 59");
        check("61 0 9 * * *", "its second `61` is none");
        check("0 9-25 * * *", "its hour `9-25` is none");
        check("0 9 32 * *", "its day of the month `32` is none");
        check("0 9 * JANUARY *", "its month `JANUARY` is none");
        check("0 9 * * MON-FRY", "its weekday `MON-FRY` is none");
        check("0 9 * * MON#6", "its weekday `MON#6` is none");
        check("0 9 * *", "5 fields are needed, or 6 with leading seconds, not 4");
        check("0 0 9 * * * 2027", "5 fields are needed, or 6 with leading seconds, not 7");
        check("", "5 fields are needed, or 6 with leading seconds, not 0");
        check("@fortnightly", "`@fortnightly` is no name of a schedule");
    }

    #[test]
    fn a_list_has_no_empty_item() {
        for text in [", * * * *", "0 9, * * *", "0 9 * * MON,,FRI"] {
            assert_eq!(CronLine::parse(text).unwrap_err().to_string(), "a list has an empty item", "{text}");
        }
    }

    #[test]
    fn a_star_in_minute_or_hour_follows_real_time() {
        for text in ["* * * * *", "*/5 2 * * *", "30 * * * *", "0 */2 * * *", "0 0 * * * *", "@hourly"] {
            assert!(CronLine::parse(text).unwrap().follows_real_time(), "{text}");
        }
        let fixed =
            ["30 2 * * *", "0,30 2 * * *", "0-30/10 2 * * *", "*/20 0 9 * * *", "@daily", "0 9 * * 1"];
        for text in fixed {
            assert!(!CronLine::parse(text).unwrap().follows_real_time(), "{text}");
        }
    }
}
