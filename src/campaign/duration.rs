//! A duration as people write it: `90s`, `15m`, `4h`, `7d`. A day is 24 hours of elapsed time.

use jiff::SignedDuration;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("a duration is written as a whole number and s, m, h or d")]
    Form,
    #[error("a duration is at most 3660 days")]
    Long,
}

/// The longest duration taken, ten years and a little.
const MAX_SECONDS: i64 = 3_660 * 86_400;

/// Reads a duration.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(DurationError::Form)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(DurationError::Form),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::Form);
    }
    digits
        .parse::<i64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_seconds))
        .filter(|seconds| *seconds <= MAX_SECONDS)
        .map(SignedDuration::from_secs)
        .ok_or(DurationError::Long)
}

/// Writes a duration in the largest unit that divides it.
pub fn display(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    for (unit_seconds, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds != 0 && seconds % unit_seconds == 0 {
            return format!("{}{unit}", seconds / unit_seconds);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for text in ["0s", "90s", "15m", "4h", "7d"] {
            assert_eq!(display(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "5", "-5s", "1.5h", "5 m", "5min", "５s", "é"] {
            assert_eq!(parse(text), Err(DurationError::Form), "{text}");
        }
        for text in ["3661d", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(DurationError::Long), "{text}");
        }
    }
}
