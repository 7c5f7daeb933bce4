//! The `delivery:` part, completed with the gateway's figures.

use super::{
    super::{Delivery, Dialect, Message, OnUnknown, Retry},
    amounts::{CAMPAIGN_LIMIT_KEYS, limits},
    trying::{retry, stop_when},
};
use crate::{
    document::{
        Code,
        fields::{Cursor, Fields, Report},
    },
    limits::Limits,
};

/// The keys of `delivery`.
pub(crate) const KEYS: &[&str] = &[
    "batchSize",
    "concurrency",
    "limits",
    "retry",
    "onUnknown",
    "confirm",
    "stopWhen",
    "native",
    "ignoreSuppressions",
];

/// How the campaign is delivered. Without a dialect everything is checked and nothing is taken.
pub(super) fn delivery(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    message: Option<&Message>,
    report: &mut Report,
) -> Option<Delivery> {
    let fields = match fields.get("delivery") {
        Some(cursor) => Some(cursor.fields(report, KEYS)?),
        None => None,
    };
    let get = |key: &str| fields.as_ref().and_then(|fields| fields.get(key));
    // What it means for the audience is looked at elsewhere.
    let _ = get("native").map(|cursor| cursor.boolean(report));
    let ignores = get("ignoreSuppressions").map_or(Some(false), |cursor| cursor.boolean(report));
    let max_batch_size = match (dialect, message) {
        (Some(dialect), Some(message)) => dialect.max_batch_size_of(message),
        (dialect, _) => dialect.map_or(u32::MAX, Dialect::max_batch_size),
    };
    let max_concurrency = dialect.map_or(u32::MAX, Dialect::max_concurrency);
    let batch_size = get("batchSize").map(|cursor| figure(&cursor, report, max_batch_size));
    let concurrency = get("concurrency").map(|cursor| figure(&cursor, report, max_concurrency));
    let limits = get("limits").map(|cursor| limits(&cursor, report, CAMPAIGN_LIMIT_KEYS));
    let retry = get("retry").map(|cursor| retry(&cursor, report));
    let stop_when = get("stopWhen").map(|cursor| stop_when(&cursor, report));
    let asks = dialect.map(Dialect::can_be_asked);
    let on_unknown = get("onUnknown").map(|cursor| on_unknown(&cursor, asks, report));
    let confirm = get("confirm").map(|cursor| confirm(&cursor, asks, report));
    let dialect = dialect?;
    Some(Delivery {
        batch_size: batch_size.unwrap_or(Some(dialect.default_batch_size().min(max_batch_size)))?,
        concurrency: concurrency.unwrap_or(Some(max_concurrency))?,
        limits: limits.unwrap_or(Some(Limits::default()))?,
        retry: retry.unwrap_or(Some(Retry::default()))?,
        on_unknown: on_unknown.unwrap_or(Some(match dialect.can_be_asked() {
            true => OnUnknown::Reconcile,
            false => OnUnknown::Hold,
        }))?,
        confirm: confirm.unwrap_or(Some(false))?,
        stop_when: stop_when.map(|given| given.map(Some)).unwrap_or(Some(None))?,
        ignore_suppressions: ignores?,
    })
}

/// A count of at least 1, and at most what the gateway has.
fn figure(cursor: &Cursor<'_>, report: &mut Report, max: u32) -> Option<u32> {
    cursor.whole(report, 1..=u64::from(max)).and_then(|number| number.try_into().ok())
}

/// `asks`: whether the gateway's provider can be asked, where the gateway is known.
fn on_unknown(cursor: &Cursor<'_>, asks: Option<bool>, report: &mut Report) -> Option<OnUnknown> {
    match cursor.word(report, &["hold", "reconcile", "resend"])? {
        "hold" => Some(OnUnknown::Hold),
        "resend" => Some(OnUnknown::Resend),
        _ => look_ups(cursor, asks, report).then_some(OnUnknown::Reconcile),
    }
}

fn confirm(cursor: &Cursor<'_>, asks: Option<bool>, report: &mut Report) -> Option<bool> {
    let confirm = cursor.boolean(report)?;
    (!confirm || look_ups(cursor, asks, report)).then_some(confirm)
}

/// Refuses what needs to look messages up where the provider has no way to.
fn look_ups(cursor: &Cursor<'_>, asks: Option<bool>, report: &mut Report) -> bool {
    let possible = asks != Some(false);
    if !possible {
        let message = "the provider of this gateway has no way to look a message up";
        cursor.error(report, Code::BadValue, message, Some("leave it out, or use `onUnknown: hold`"));
    }
    possible
}
