//! Durations and limits, which campaign files and settings write alike.

use std::ops::RangeInclusive;

use jiff::SignedDuration;

use crate::{
    campaign::duration::{display, parse},
    document::{
        Code,
        fields::{Cursor, Report},
    },
    limits::{Limits, Rate},
};

/// The keys of a campaign's `limits`.
pub(crate) const CAMPAIGN_LIMIT_KEYS: &[&str] = &["recipients", "calls"];
/// The keys of a gateway's `limits`.
pub(crate) const GATEWAY_LIMIT_KEYS: &[&str] = &["recipients", "calls", "headroom"];

/// A duration of at least `shortest`.
pub(crate) fn duration(
    cursor: &Cursor<'_>,
    report: &mut Report,
    shortest: SignedDuration,
) -> Option<SignedDuration> {
    let duration = cursor.parsed(report, Code::BadValue, parse)?;
    if duration < shortest {
        let message = format!("{} is shorter than {}", display(duration), display(shortest));
        cursor.error(report, Code::BadValue, message, None);
        return None;
    }
    Some(duration)
}

/// The limits here. `keys` says whose they are.
pub(crate) fn limits(
    cursor: &Cursor<'_>,
    report: &mut Report,
    keys: &'static [&'static str],
) -> Option<Limits> {
    let fields = cursor.fields(report, keys)?;
    let headroom = keys.contains(&"headroom").then(|| fields.get("headroom")).flatten();
    let headroom_percent = match headroom {
        Some(cursor) => {
            let headroom = |text: &str| percent(text, 0..=90).ok_or("headroom is written as 0% to 90%");
            cursor.parsed(report, Code::BadValue, headroom)?
        }
        None => 0,
    };
    let mut rates = |key: &str| match fields.get(key) {
        Some(cursor) => rates(&cursor, report, headroom_percent),
        None => Some(Vec::new()),
    };
    let (recipients, calls) = (rates("recipients"), rates("calls"));
    Some(Limits { recipients: recipients?, calls: calls?, headroom_percent })
}

/// One rate or a list of them, of which something must remain below the headroom.
fn rates(cursor: &Cursor<'_>, report: &mut Report, headroom_percent: u8) -> Option<Vec<Rate>> {
    let rates: Vec<_> = cursor
        .one_or_more()
        .iter()
        .map(|item| {
            let rate: Rate = item.parsed(report, Code::BadValue, str::parse)?;
            if rate.count * u64::from(100 - headroom_percent) < 100 {
                let message = format!("a headroom of {headroom_percent}% leaves nothing of {rate}");
                item.error(report, Code::BadValue, message, None);
                return None;
            }
            Some(rate)
        })
        .collect();
    rates.into_iter().collect()
}

/// Whole per cent within a range, like `20%`.
pub(super) fn percent(text: &str, range: RangeInclusive<u8>) -> Option<u8> {
    text.strip_suffix('%')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|percent| range.contains(percent))
}
