//! Deliveries to `*`: whom the provider alone knows, by a call that names nobody. Nobody can be left out
//! of it, so a campaign that leaves people out must say that it means it.

use super::super::{Audience, Dialect, RecipientID};
use crate::document::{
    Code, Severity, Value,
    fields::{Cursor, Fields, Report},
};

/// The first field of the message by which the provider itself selects recipients.
pub(super) fn selector<'a>(fields: &Fields<'a>, dialect: Option<&dyn Dialect>) -> Option<Cursor<'a>> {
    let selectors = dialect.map_or(&[][..], Dialect::selectors);
    let message = fields.get("message")?;
    let Value::Mapping(entries) = &message.node.value else { return None };
    let entry = entries.iter().find(|entry| selectors.contains(&entry.key.as_str()))?;
    Some(message.entry(entry))
}

/// What `isSendAll: true` means: everyone, named one by one, or the provider's own call to everyone.
pub(super) fn everyone(fields: &Fields<'_>, dialect: Option<&dyn Dialect>) -> Audience {
    let lists = dialect.is_none_or(Dialect::lists_everyone);
    let native = switch(fields, "native").is_some();
    if lists && !native { Audience::Everyone } else { Audience::Unlisted }
}

/// A key of `delivery` that is switched on. What is wrong with it is told elsewhere.
fn switch<'a>(fields: &Fields<'a>, key: &str) -> Option<Cursor<'a>> {
    let delivery = fields.get("delivery")?;
    let Value::Mapping(entries) = &delivery.node.value else { return None };
    let cursor = delivery.entry(entries.iter().find(|entry| entry.key == key)?);
    matches!(&cursor.node.value, Value::Scalar { text, plain: true } if text == "true").then_some(cursor)
}

/// Tells what does not go together with the audience, and what its call cannot keep.
pub(super) fn check(
    fields: &Fields<'_>,
    audience: Option<&Audience>,
    dialect: Option<&dyn Dialect>,
    report: &mut Report,
) {
    let (native, ignored) = (switch(fields, "native"), switch(fields, "ignoreSuppressions"));
    if let (Some(cursor), false) = (&native, dialect.is_none_or(Dialect::calls_everyone)) {
        cursor.error(report, Code::BadValue, "this gateway's provider has no call to everyone", None);
    }
    match audience {
        None => {}
        Some(Audience::Unlisted) => unlisted(fields, ignored.is_some(), report),
        Some(_) => {
            for (key, cursor) in [("native", native), ("ignoreSuppressions", ignored)] {
                let Some(cursor) = cursor else { continue };
                let message = format!("`{key}` is only for a call to everyone that names nobody");
                cursor.error(report, Code::BadValue, message, Some("leave it out"));
            }
        }
    }
}

fn unlisted(fields: &Fields<'_>, ignores: bool, report: &mut Report) {
    let star = RecipientID::UNLISTED;
    if let Some(cursor) = fields.get("exclude") {
        let span = cursor.key_span.unwrap_or(cursor.node.span);
        let path = cursor.path.clone();
        let hint = "name the recipients, or say `delivery: {ignoreSuppressions: true}` when they may get it";
        if ignores {
            let message =
                format!("nobody can be left out of a delivery to `{star}`: these get it all the same");
            let hint = Some("leave `exclude` out".to_owned());
            report.add(Severity::Warning, span, Code::Unexcludable, &path, message, hint);
        } else {
            let message = format!("nobody can be left out of a delivery to `{star}`, which names nobody");
            report.error(span, Code::Unexcludable, &path, message, Some(hint.to_owned()));
        }
    }
    for (key, cursor) in fields.present(&["expect", "cap", "notAgainWithin", "sample", "holdout"]) {
        let span = cursor.key_span.unwrap_or(cursor.node.span);
        let message = format!("`{key}` needs recipients one by one, and a delivery to `{star}` names nobody");
        report.error(span, Code::Unexcludable, &cursor.path, message, Some("leave it out".to_owned()));
    }
}
