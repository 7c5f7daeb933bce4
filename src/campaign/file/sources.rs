//! Where a campaign file has recipients come from: ids, list files, the members of groups.

use std::collections::BTreeSet;

use super::{
    super::{
        Dialect, Source,
        source::{BadListName, Encoding, ListFile, ListFormat, MOST_SOURCES, OnBadLine},
    },
    Context, ListFileState,
    audience::{id, ids},
};
use crate::document::{
    Code,
    fields::{Cursor, Fields, Report},
};

/// The keys of one source of recipients.
pub(crate) const SOURCE_KEYS: &[&str] = &["ids", "file", "column", "encoding", "onBadLine", "membersOf"];
/// The keys that say how a file is read.
const FILE_KEYS: &[&str] = &["column", "encoding", "onBadLine"];

/// The columns that lists have; None where one of them has not been seen.
pub(super) type Columns = Option<BTreeSet<String>>;

/// A list of at least one source. The columns of its files are added to `columns`.
pub(super) fn sources(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    columns: &mut Columns,
    report: &mut Report,
) -> Option<Vec<Source>> {
    let items = cursor.items(report)?;
    if items.is_empty() {
        cursor.error(report, Code::AudienceChoice, "the list is empty", Some("name at least one source"));
        return None;
    }
    if items.len() > MOST_SOURCES {
        let message = format!("{} sources; at most {MOST_SOURCES} are taken", items.len());
        cursor.error(report, Code::BadValue, message, Some("put ids together into one list file"));
        return None;
    }
    let sources: Vec<_> = items.iter().map(|item| source(item, dialect, context, columns, report)).collect();
    sources.into_iter().collect()
}

fn source(
    cursor: &Cursor<'_>,
    dialect: Option<&dyn Dialect>,
    context: &Context<'_>,
    columns: &mut Columns,
    report: &mut Report,
) -> Option<Source> {
    let fields = cursor.fields(report, SOURCE_KEYS)?;
    let kinds = fields.present(&["ids", "file", "membersOf"]);
    let [(kind, source)] = kinds.as_slice() else {
        let hint = "write it as `- ids: […]`, `- file: lists/people.csv` or `- membersOf: g1001`";
        let message = "a source has exactly one of ids, file, membersOf";
        cursor.error(report, Code::BadValue, message, Some(hint));
        return None;
    };
    if *kind == "file" {
        return list_file(&fields, source, context, columns, report).map(Source::File);
    }
    for (key, of_file) in fields.present(FILE_KEYS) {
        let message = format!("`{key}` belongs to a file, and this source has none");
        of_file.error(report, Code::BadValue, message, None);
    }
    if *kind == "ids" {
        return ids(source, dialect, report).map(Source::IDs);
    }
    if dialect.is_some_and(|dialect| !dialect.lists_members()) {
        let message = "this gateway cannot list the members of a group";
        source.error(report, Code::BadValue, message, Some("name a list file instead"));
        return None;
    }
    id(source, dialect, report).map(Source::MembersOf)
}

fn list_file(
    fields: &Fields<'_>,
    cursor: &Cursor<'_>,
    context: &Context<'_>,
    columns: &mut Columns,
    report: &mut Report,
) -> Option<ListFile> {
    let path = cursor.text(report)?;
    if let Some(why) = bad_path(path) {
        let hint = "write it relative to this file, like lists/people.csv";
        cursor.error(report, Code::ListFile, format!("`{path}` {why}"), Some(hint));
        return None;
    }
    let column = match fields.get("column") {
        Some(cursor) => Some(cursor.text(report)?),
        None => None,
    };
    let format = match (ListFormat::of(path, column), fields.get("column")) {
        (Ok(format), _) => format,
        (Err(BadListName::NoColumn), _) => {
            fields.require(report, "column", "name the header of the column that holds the ids");
            return None;
        }
        (Err(reason @ BadListName::NoColumns), Some(column)) => {
            let hint = "leave `column` out, or name a .csv file";
            column.error(report, Code::BadValue, reason.to_string(), Some(hint));
            return None;
        }
        (Err(_), _) => {
            let message = format!("the ending of `{path}` does not tell how to read it");
            let hint = "use a .csv, .txt or .ndjson file; each may end in .gz besides";
            cursor.error(report, Code::ListFile, message, Some(hint));
            return None;
        }
    };
    let encoding = match fields.get("encoding") {
        Some(cursor) => match cursor.word(report, &["utf-8", "gb18030"])? {
            "gb18030" => Encoding::GB18030,
            _ => Encoding::UTF8,
        },
        None => Encoding::default(),
    };
    let on_bad_line = match fields.get("onBadLine") {
        Some(cursor) => match cursor.word(report, &["problem", "skip"])? {
            "skip" => OnBadLine::Skip,
            _ => OnBadLine::Problem,
        },
        None => OnBadLine::default(),
    };
    let list = ListFile { path: path.to_owned(), format, encoding, on_bad_line };
    let Some(look) = context.list_file else {
        *columns = None;
        return Some(list);
    };
    let complaint = match look(&list) {
        ListFileState::Filled { columns: seen } => {
            columns.iter_mut().for_each(|columns| columns.extend(seen.iter().cloned()));
            return Some(list);
        }
        ListFileState::Empty => format!("`{path}` is empty now"),
        ListFileState::Missing => format!("`{path}` is not there now"),
        ListFileState::Unusable(reason) => {
            cursor.error(report, Code::ListFile, format!("`{path}` cannot be used: {reason}"), None);
            return None;
        }
    };
    *columns = None;
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
