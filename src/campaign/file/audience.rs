//! Whom a campaign file names: the four audiences, exclusions, the expected size.

use std::collections::HashSet;

use super::{
    super::{
        Audience, Dialect, Expect, RecipientID, Source,
        audience::{ListFile, ListFormat},
    },
    Context, ListFileState,
};
use crate::document::{
    Code,
    fields::{Cursor, Fields, Report, not_supported},
};

/// The keys of one source of recipients.
pub(crate) const SOURCE_KEYS: &[&str] = &["ids", "file", "column", "encoding", "onBadLine", "membersOf"];
/// The keys of `expect`.
pub(crate) const EXPECT_KEYS: &[&str] = &["min", "max"];

/// The keys that each name an audience.
const AUDIENCES: [&str; 4] = ["recvIDs", "isSendAll", "groupIDs", "recipients"];

/// The one audience of the file. When there are several, all are checked and none is taken.
pub(super) fn audience(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Audience> {
    let mut found = Vec::new();
    for (key, cursor) in fields.present(&AUDIENCES) {
        let audience = match key {
            "recvIDs" => ids(&cursor, dialect, report).map(Audience::Named),
            "groupIDs" => ids(&cursor, dialect, report).map(Audience::Groups),
            "recipients" => sources(&cursor, dialect, context, report).map(Audience::Union),
            _ => match cursor.boolean(report) {
                Some(false) => continue,
                everyone => everyone.map(|_| Audience::Everyone),
            },
        };
        found.push((key, cursor, audience));
    }
    let choice = AUDIENCES.join(", ");
    match found.as_slice() {
        [] => {
            let hint = format!("add exactly one of {choice}");
            let message = "the campaign names nobody to send to";
            fields.cursor.error(report, Code::AudienceChoice, message, Some(&hint));
        }
        [_] => return found.pop().and_then(|(_, _, audience)| audience),
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
    cursor.and_then(|cursor| sources(&cursor, dialect, context, report)).unwrap_or_default()
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
fn ids(cursor: &Cursor<'_>, dialect: Option<&dyn Dialect>, report: &mut Report) -> Option<Vec<RecipientID>> {
    let items = cursor.items(report)?;
    if items.is_empty() {
        cursor.error(report, Code::AudienceChoice, "the list is empty", Some("name at least one id"));
        return None;
    }
    let ids: Vec<_> = items.iter().map(|item| id(item, dialect, report)).collect();
    ids.into_iter().collect()
}

fn id(cursor: &Cursor<'_>, dialect: Option<&dyn Dialect>, report: &mut Report) -> Option<RecipientID> {
    let text = cursor.id(report)?;
    let checked = RecipientID::new(text).map_err(|error| error.to_string()).and_then(|id| {
        dialect.map_or(Ok(()), |dialect| dialect.check_recipient(text))?;
        Ok(id)
    });
    checked.map_err(|reason| cursor.error(report, Code::BadID, reason, None)).ok()
}

/// A list of at least one source.
fn sources(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Vec<Source>> {
    let items = cursor.items(report)?;
    if items.is_empty() {
        cursor.error(report, Code::AudienceChoice, "the list is empty", Some("name at least one source"));
        return None;
    }
    let sources: Vec<_> = items.iter().map(|item| source(item, dialect, context, report)).collect();
    sources.into_iter().collect()
}

fn source(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Source> {
    let fields = cursor.fields(report, SOURCE_KEYS)?;
    if let Some(members) = fields.get("membersOf") {
        not_supported(report, &members, "membersOf", None);
        return None;
    }
    fields.not_supported(report, &[("encoding", Some("utf-8")), ("onBadLine", Some("problem"))]);
    match (fields.get("ids"), fields.get("file")) {
        (Some(list), None) => {
            for (key, of_file) in fields.present(&["column", "encoding", "onBadLine"]) {
                let message = format!("`{key}` belongs to a file, and this source has none");
                of_file.error(report, Code::BadValue, message, None);
            }
            ids(&list, dialect, report).map(Source::IDs)
        }
        (None, Some(file)) => list_file(&fields, &file, context, report).map(Source::File),
        _ => {
            let hint = "write it as `- ids: […]` or `- file: lists/people.csv`";
            cursor.error(
                report,
                Code::BadValue,
                "a source has exactly one of ids, file, membersOf",
                Some(hint),
            );
            None
        }
    }
}

fn list_file(
    fields: &Fields<'_>,
    cursor: &Cursor<'_>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<ListFile> {
    let path = cursor.text(report)?;
    if let Some(why) = bad_path(path) {
        let hint = "write it relative to this file, like lists/people.csv";
        cursor.error(report, Code::ListFile, format!("`{path}` {why}"), Some(hint));
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let column = fields.get("column");
    let format = if lower.ends_with(".csv") {
        let column = fields.require(report, "column", "name the header of the column that holds the ids")?;
        ListFormat::CSV { column: column.text(report)?.to_owned() }
    } else if lower.ends_with(".txt") {
        if let Some(column) = column {
            let message = "a .txt file has one id a line and no columns";
            column.error(report, Code::BadValue, message, Some("leave `column` out, or name a .csv file"));
            return None;
        }
        ListFormat::Lines
    } else if let Some(ending) = [".ndjson", ".gz"].iter().find(|ending| lower.ends_with(**ending)) {
        let message = format!("list files that end in {ending} are not supported yet");
        cursor.error(report, Code::NotSupported, message, Some("use a .csv or .txt file"));
        return None;
    } else {
        let message = format!("the ending of `{path}` does not tell how to read it");
        cursor.error(report, Code::ListFile, message, Some("use a .csv or .txt file"));
        return None;
    };
    let list = ListFile { path: path.to_owned(), format };
    let complaint = match context.list_file.map_or(ListFileState::Filled, |look| look(&list)) {
        ListFileState::Filled => return Some(list),
        ListFileState::Empty => format!("`{path}` is empty now"),
        ListFileState::Missing => format!("`{path}` is not there now"),
        ListFileState::Unusable(reason) => {
            cursor.error(report, Code::ListFile, format!("`{path}` cannot be used: {reason}"), None);
            return None;
        }
    };
    cursor.warning(report, Code::ListFile, complaint, Some("it is read when a run starts"));
    Some(list)
}

/// Why a path may not be used, if so: it must stay inside the campaigns folder on any system.
fn bad_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("names no file")
    } else if path.starts_with('/') || path.contains([':', '\\']) {
        Some("is not a relative path with `/` between its parts")
    } else if path.split('/').any(|part| part == "..") {
        Some("leads out of its folder")
    } else {
        None
    }
}
