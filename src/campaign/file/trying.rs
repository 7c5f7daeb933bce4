//! What is tried again, and when too many failures stop a run: `delivery.retry` and `delivery.stopWhen`.

use jiff::SignedDuration;

use super::{
    super::{Retry, StopWhen},
    amounts::percent,
};
use crate::{
    campaign::duration::{DurationError, display, parse},
    document::{
        Code,
        fields::{Cursor, Report},
    },
};

/// The keys of `retry`.
pub(crate) const RETRY_KEYS: &[&str] = &["attempts", "backoff"];
/// The keys of `stopWhen`.
pub(crate) const STOP_WHEN_KEYS: &[&str] = &["failureRate", "after"];

/// The most calls for one batch.
const MOST_ATTEMPTS: u64 = 100;
/// The shortest wait before a next call.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
/// Answers before which a rate tells little, when a campaign does not say.
const AFTER: u64 = 500;

/// `retry: {attempts: 5, backoff: "2s..5m"}`.
pub(super) fn retry(cursor: &Cursor<'_>, report: &mut Report) -> Option<Retry> {
    let fields = cursor.fields(report, RETRY_KEYS)?;
    let default = Retry::default();
    let attempts = match fields.get("attempts") {
        Some(cursor) => cursor.whole(report, 1..=MOST_ATTEMPTS).and_then(|count| count.try_into().ok()),
        None => Some(default.attempts),
    };
    let backoff = match fields.get("backoff") {
        Some(cursor) => cursor.parsed(report, Code::BadValue, backoff),
        None => Some((default.shortest, default.longest)),
    };
    let ((shortest, longest), attempts) = (backoff?, attempts?);
    Some(Retry { attempts, shortest, longest })
}

/// `2s..5m`: the shortest and the longest wait.
fn backoff(text: &str) -> Result<(SignedDuration, SignedDuration), String> {
    let (shortest, longest) =
        text.split_once("..").ok_or("a backoff is written as two durations, like \"2s..5m\"")?;
    let read = |text: &str| parse(text).map_err(|error: DurationError| error.to_string());
    let (shortest, longest) = (read(shortest)?, read(longest)?);
    if shortest < SHORTEST {
        return Err(format!("{} is shorter than {}", display(shortest), display(SHORTEST)));
    }
    if longest < shortest {
        return Err(format!("{} is longer than {}", display(shortest), display(longest)));
    }
    Ok((shortest, longest))
}

/// `stopWhen: {failureRate: 20%, after: 500}`.
pub(super) fn stop_when(cursor: &Cursor<'_>, report: &mut Report) -> Option<StopWhen> {
    let fields = cursor.fields(report, STOP_WHEN_KEYS)?;
    let rate = |text: &str| percent(text, 1..=99).ok_or("a failure rate is written as 1% to 99%");
    let failure_percent = match fields.require(report, "failureRate", "add it, like failureRate: 20%") {
        Some(cursor) => cursor.parsed(report, Code::BadValue, rate),
        None => None,
    };
    let after = match fields.get("after") {
        Some(cursor) => cursor.whole(report, 1..=1_000_000_000),
        None => Some(AFTER),
    };
    Some(StopWhen { failure_percent: failure_percent?, after: after? })
}
