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

/// Why a text is no cron expression, in the library's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronError(String);

impl CronLine {
    /// Reads an expression. One that can be read may still never fire ([`CronLine::next_after`]).
    pub fn parse(text: &str) -> Result<CronLine, CronError> {
        // The library takes `,` for a field that names nothing, and then searches for it until the year 5000.
        if text.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(CronError("a list has an empty item".to_owned()));
        }
        let parsed = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(text)
            .map_err(|error| CronError(error.to_string()))?;
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
