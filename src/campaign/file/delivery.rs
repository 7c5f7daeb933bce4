//! The `delivery:` part, completed with the gateway's figures.

use super::{
    super::{Delivery, Dialect, OnUnknown},
    amounts::{CAMPAIGN_LIMIT_KEYS, limits},
};
use crate::{
    document::fields::{Cursor, Fields, Report, not_supported},
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
    report: &mut Report,
) -> Option<Delivery> {
    let fields = match fields.get("delivery") {
        Some(cursor) => Some(cursor.fields(report, KEYS)?),
        None => None,
    };
    let get = |key: &str| fields.as_ref().and_then(|fields| fields.get(key));
    if let Some(fields) = &fields {
        fields.not_supported(
            report,
            &[
                ("retry", None),
                ("confirm", Some("false")),
                ("stopWhen", None),
                ("native", Some("false")),
                ("ignoreSuppressions", Some("false")),
            ],
        );
    }
    let max_batch_size = dialect.map_or(u32::MAX, Dialect::max_batch_size);
    let max_concurrency = dialect.map_or(u32::MAX, Dialect::max_concurrency);
    let batch_size = get("batchSize").map(|cursor| figure(&cursor, report, max_batch_size));
    let concurrency = get("concurrency").map(|cursor| figure(&cursor, report, max_concurrency));
    let limits = get("limits").map(|cursor| limits(&cursor, report, CAMPAIGN_LIMIT_KEYS));
    let on_unknown = get("onUnknown").map(|cursor| on_unknown(&cursor, report));
    let dialect = dialect?;
    Some(Delivery {
        batch_size: batch_size.unwrap_or(Some(dialect.default_batch_size()))?,
        concurrency: concurrency.unwrap_or(Some(max_concurrency))?,
        limits: limits.unwrap_or(Some(Limits::default()))?,
        on_unknown: on_unknown.unwrap_or(Some(OnUnknown::Hold))?,
    })
}

/// A count of at least 1, and at most what the gateway has.
fn figure(cursor: &Cursor<'_>, report: &mut Report, max: u32) -> Option<u32> {
    cursor.whole(report, 1..=u64::from(max)).and_then(|number| number.try_into().ok())
}

fn on_unknown(cursor: &Cursor<'_>, report: &mut Report) -> Option<OnUnknown> {
    match cursor.word(report, &["hold", "reconcile", "resend"])? {
        "hold" => Some(OnUnknown::Hold),
        later => {
            not_supported(report, cursor, &format!("onUnknown: {later}"), Some("hold"));
            None
        }
    }
}
