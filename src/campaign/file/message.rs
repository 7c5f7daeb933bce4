//! The `message:` part: ours is where things stand, the gateway's kind knows what they mean.

use std::collections::BTreeSet;

use super::super::{
    Audience, Dialect, Message, Template,
    message::{AddressedTo, Fault, Step},
    template::BadTemplate,
};
use crate::document::{
    Code, Severity, Value,
    fields::{Cursor, Fields, Report},
    nearest::did_you_mean,
};

/// The message, completed and checked by the gateway's kind, and the template that it is. `columns`: those
/// of the audience's lists, where they are known.
pub(super) fn message(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    audience: Option<&Audience>,
    columns: Option<&BTreeSet<String>>,
    report: &mut Report,
) -> Option<(Message, Option<Template>)> {
    let hint = "for example `message: {contentType: text, content: {content: \"hello!!\"}}`";
    let cursor = fields.require(report, "message", hint)?;
    let entries = cursor.mapping(report)?;
    let mut object = cursor.json_object(report, entries)?;
    let template = match Template::read(&object) {
        Ok(template) => template,
        Err(bad) => {
            bad.into_iter().for_each(|bad| tell(&cursor, fault(bad, None), report));
            return None;
        }
    };
    if let Some(template) = &template {
        let same = dialect.map_or(&[][..], Dialect::same_for_all);
        for key in same.iter().filter(|key| template.has_variables_at(key)) {
            let what = format!("`{key}` is the same for everyone");
            let bad = BadTemplate { path: vec![Step::Key((*key).to_owned())], what };
            tell(&cursor, fault(bad, Some("write it out".to_owned())), report);
        }
        if let Some(columns) = columns {
            check_columns(template, columns, &cursor, report);
        }
        object = match template.example() {
            Ok(example) => example,
            Err(bad) => {
                tell(&cursor, fault(bad, None), report);
                return None;
            }
        };
    }
    let to = audience.map_or(AddressedTo::Users, Audience::addressed_to);
    let (message, faults) = dialect?.read_message(&object, to);
    for fault in faults {
        tell(&cursor, fault, report);
    }
    message.map(|message| (message, template))
}

/// Every variable is a column of a list that the audience comes from.
fn check_columns(template: &Template, columns: &BTreeSet<String>, cursor: &Cursor<'_>, report: &mut Report) {
    for (name, path) in template.places().iter().filter(|(name, _)| !columns.contains(*name)) {
        let hint = did_you_mean(name, columns.iter().map(String::as_str)).unwrap_or_else(|| {
            match columns.is_empty() {
                true => "variables are columns of a .csv or .ndjson file under `recipients`".to_owned(),
                false => {
                    format!("its lists have: {}", columns.iter().cloned().collect::<Vec<_>>().join(", "))
                }
            }
        });
        let what = format!("`{name}` is no column of the audience's lists");
        tell(cursor, fault(BadTemplate { path: path.clone(), what }, Some(hint)), report);
    }
}

fn fault(bad: BadTemplate, hint: Option<String>) -> Fault {
    let BadTemplate { path, what } = bad;
    Fault { severity: Severity::Error, path, code: Code::Template, message: what, hint }
}

/// Reports a fault of the message where it stands in the file.
fn tell(cursor: &Cursor<'_>, fault: Fault, report: &mut Report) {
    let mut place = cursor.clone();
    let mut path = cursor.path.clone();
    let mut reached = true;
    for step in &fault.path {
        let child = reached.then(|| child(&place, step)).flatten();
        reached = child.is_some();
        path = match step {
            Step::Key(key) => format!("{path}.{key}"),
            Step::Index(index) => format!("{path}[{index}]"),
        };
        place = child.unwrap_or(place);
    }
    let span = match fault.code {
        // What is wrong with these is the key.
        Code::UnknownKey | Code::SendTime => place.key_span.unwrap_or(place.node.span),
        _ => place.place(),
    };
    report.add(fault.severity, span, fault.code, &path, fault.message, fault.hint);
}

fn child<'a>(cursor: &Cursor<'a>, step: &Step) -> Option<Cursor<'a>> {
    match (&cursor.node.value, step) {
        (Value::Mapping(entries), Step::Key(key)) => {
            entries.iter().find(|entry| entry.key == *key).map(|entry| cursor.entry(entry))
        }
        (Value::Sequence(items), Step::Index(index)) => items.get(*index).map(|node| Cursor {
            node,
            path: format!("{}[{index}]", cursor.path),
            key_span: None,
        }),
        _ => None,
    }
}
