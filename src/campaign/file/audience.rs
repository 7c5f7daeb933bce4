//! Whom a campaign file names: the four audiences, exclusions, the expected size.

use std::collections::HashSet;

use super::{
    super::{Audience, Dialect, Expect, RecipientID, Source},
    Context,
    sources::{Columns, sources},
    unlisted,
};
use crate::document::{
    Code,
    fields::{Cursor, Fields, Report},
};

/// The keys of `expect`.
pub(crate) const EXPECT_KEYS: &[&str] = &["min", "max"];

/// The keys that each name an audience.
const AUDIENCES: [&str; 4] = ["recvIDs", "isSendAll", "groupIDs", "recipients"];

/// The one audience of the file. When there are several, all are checked and none is taken.
pub(super) fn audience(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    columns: &mut Columns,
    report: &mut Report,
) -> Option<Audience> {
    let mut found = Vec::new();
    for (key, cursor) in fields.present(&AUDIENCES) {
        let audience = match key {
            "recvIDs" => ids(&cursor, dialect, report).map(Audience::Named),
            "groupIDs" => ids(&cursor, dialect, report).map(Audience::Groups),
            "recipients" => sources(&cursor, dialect, context, columns, report).map(Audience::Union),
            _ => match cursor.boolean(report) {
                Some(false) => continue,
                everyone => everyone.map(|_| unlisted::everyone(fields, dialect)),
            },
        };
        found.push((key, cursor, audience));
    }
    let choice = AUDIENCES.join(", ");
    let selector = unlisted::selector(fields, dialect);
    match found.as_slice() {
        [] if selector.is_some() => return Some(Audience::Unlisted),
        [] => {
            let hint = format!("add exactly one of {choice}");
            let message = "the campaign names nobody to send to";
            fields.cursor.error(report, Code::AudienceChoice, message, Some(&hint));
        }
        [(key, ..)] => {
            if let (Some(selector), "isSendAll") = (&selector, *key) {
                let message = "`isSendAll` is everyone, and this selects some";
                let hint = "keep one of them";
                selector.error(report, Code::AudienceChoice, message, Some(hint));
            }
            return found.pop().and_then(|(_, _, audience)| audience);
        }
        [(first, ..), others @ ..] => {
            for (key, cursor, _) in others {
                let span = cursor.key_span.unwrap_or(cursor.node.span);
                let message = format!("`{key}` and `{first}` both name the audience");
                let hint = format!("keep exactly one of {choice}");
                report.error(span, Code::AudienceChoice, &cursor.path, message, Some(hint));
            }
        }
    }
    None
}

/// The sources whose recipients are left out; empty when there are none, or none is good.
pub(super) fn exclude(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<Source> {
    let cursor = fields.get("exclude");
    cursor.and_then(|cursor| sources(&cursor, dialect, context, &mut None, report)).unwrap_or_default()
}

/// The expected size, compared with the audience where its size is known from the file alone.
pub(super) fn expect(
    fields: &Fields<'_>,
    audience: Option<&Audience>,
    nobody_excluded: bool,
    report: &mut Report,
) -> Option<Expect> {
    let cursor = fields.get("expect")?;
    let expect = cursor.fields(report, EXPECT_KEYS)?;
    let mut bound = |key: &str, default: u64| match expect.get(key) {
        Some(cursor) => cursor.whole(report, 0..=i64::MAX as u64),
        None => Some(default),
    };
    let (min, max) = (bound("min", 0), bound("max", i64::MAX as u64));
    let expect = Expect { min: min?, max: max? };
    let named = match audience {
        Some(Audience::Named(ids) | Audience::Groups(ids)) => {
            Some(ids.iter().collect::<HashSet<_>>().len() as u64)
        }
        _ => None,
    };
    if expect.min > expect.max {
        let message = format!("min {} is more than max {}", expect.min, expect.max);
        cursor.error(report, Code::Expectation, message, None);
    } else if let Some(named) = named
        && (named < expect.min || (named > expect.max && nobody_excluded))
    {
        let message =
            format!("{} to {} recipients are expected, the file names {named}", expect.min, expect.max);
        cursor.error(report, Code::Expectation, message, Some("no run of it would start"));
    }
    Some(expect)
}

/// A list of at least one id.
pub(super) fn ids(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    report: &mut Report,
) -> Option<Vec<RecipientID>> {
    let items = cursor.items(report)?;
    if items.is_empty() {
        cursor.error(report, Code::AudienceChoice, "the list is empty", Some("name at least one id"));
        return None;
    }
    let ids: Vec<_> = items.iter().map(|item| id(item, dialect, report)).collect();
    ids.into_iter().collect()
}

pub(super) fn id(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    report: &mut Report,
) -> Option<RecipientID> {
    let text = cursor.id(report)?;
    let checked = match dialect {
        Some(dialect) => dialect.recipient(text),
        None => RecipientID::new(text).map_err(|error| error.to_string()),
    };
    checked.map_err(|reason| cursor.error(report, Code::BadID, reason, None)).ok()
}
