//! Cron text, read by the `croner` library: 5 fields, or 6 with leading seconds; names, `L`, `#`,
//! `W`, `@daily`. Day of month and weekday both restricted: either matches. 0 and 7 are Sunday.

use std::{fmt, sync::Arc};

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, tz::TimeZone};

/// One parsed cron expression; clones share the parsed form.
#[derive(Clone)]
pub struct CronLine {
    text: Arc<str>,
    parsed: Arc<Cron>,
}

/// Why a text is no cron expression, in the library's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronError(String);

impl CronLine {
    /// Reads an expression. One that can be read may still never fire ([`CronLine::next_after`]).
    pub fn parse(text: &str) -> Result<CronLine, CronError> {
        let parsed = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(text)
            .map_err(|error| CronError(error.to_string()))?;
        Ok(CronLine { text: text.into(), parsed: Arc::new(parsed) })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first instant strictly after `after` that the expression names in `zone`; None when there
    /// is none before the year 5000, where the library ends its search.
    pub fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone());
        let next = self.parsed.find_next_occurrence(&start, false).ok()?.timestamp();
        debug_assert!(next > after, "{} named {next} after {after}", self.text);
        (next > after).then_some(next)
    }
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
