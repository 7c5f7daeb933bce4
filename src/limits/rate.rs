//! A rate as people write it: `200/s`, `100/min`, `5000/h`, `100000/day`.

use std::{fmt, str::FromStr};

use jiff::SignedDuration;

/// So many within a window of fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// At least 1.
    pub count: u64,
    pub unit: Unit,
}

/// The length of a rate's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    /// How the unit is written after the slash.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
            Unit::Day => "day",
        }
    }

    /// The window's length; a day is 24 hours.
    pub fn window(self) -> SignedDuration {
        SignedDuration::from_secs(match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3_600,
            Unit::Day => 86_400,
        })
    }
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    #[error("a rate is written as a count, a slash and s, min, h or day")]
    Form,
    #[error("a rate lets at least 1 and at most 1000000000 through")]
    Count,
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Rate, RateError> {
        let (count, unit) = text.split_once('/').ok_or(RateError::Form)?;
        let unit = match unit {
            "s" => Unit::Second,
            "min" => Unit::Minute,
            "h" => Unit::Hour,
            "day" => Unit::Day,
            _ => return Err(RateError::Form),
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Form);
        }
        match count.parse() {
            Ok(count @ 1..=1_000_000_000) => Ok(Rate { count, unit }),
            _ => Err(RateError::Count),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.count, self.unit.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_alike() {
        for text in ["200/s", "100/min", "5000/h", "100000/day", "1/s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for (text, error) in [
            ("200", RateError::Form),
            ("/s", RateError::Form),
            ("-1/s", RateError::Form),
            ("1.5/s", RateError::Form),
            ("2/sec", RateError::Form),
            ("0/s", RateError::Count),
            ("1000000001/s", RateError::Count),
            ("99999999999999999999/s", RateError::Count),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
    }
}
