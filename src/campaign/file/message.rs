//! The `message:` part: ours is where things stand, the gateway's kind knows what they mean.

use super::super::{
    Audience, Dialect, Message,
    message::{AddressedTo, Fault, Step},
};
use crate::document::{
    Code, Value,
    fields::{Cursor, Fields, Report},
};

/// The message, completed and checked by the gateway's kind.
pub(super) fn message(
    fields: &Fields<'_>,
    dialect: Option<&dyn Dialect>,
    audience: Option<&Audience>,
    report: &mut Report,
) -> Option<Message> {
    let hint = "for example `message: {contentType: text, content: {content: \"hello!!\"}}`";
    let cursor = fields.require(report, "message", hint)?;
    refuse_templates(&cursor, report);
    let entries = cursor.mapping(report)?;
    let object = cursor.json_object(report, entries)?;
    let to = match audience {
        Some(Audience::Groups(_)) => AddressedTo::Groups,
        Some(Audience::Everyone) => AddressedTo::Everyone,
        Some(Audience::Unlisted) => AddressedTo::Unlisted,
        _ => AddressedTo::Users,
    };
    let (message, faults) = dialect?.read_message(&object, to);
    for fault in faults {
        tell(&cursor, fault, report);
    }
    message
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

/// Templates are not built yet, and to send `{{name}}` to everybody is what nobody means.
fn refuse_templates(cursor: &Cursor<'_>, report: &mut Report) {
    match &cursor.node.value {
        Value::Scalar { text, .. } if text.contains("{{") => {
            let message = "templates (`{{column}}`) are not supported yet";
            cursor.error(
                report,
                Code::NotSupported,
                message,
                Some("write the text out, the same for everyone"),
            );
        }
        Value::Scalar { .. } => {}
        Value::Sequence(_) => cursor.one_or_more().iter().for_each(|item| refuse_templates(item, report)),
        Value::Mapping(entries) => {
            entries.iter().for_each(|entry| refuse_templates(&cursor.entry(entry), report));
        }
    }
}
