//! How long texts may be, counted as the provider counts: in UTF-16 code units, an emoji being two.

use serde_json::Value;

use crate::{
    campaign::message::Step,
    document::Code,
    gateway::shape::{Faults, kind_of},
};

/// The length in the provider's unit.
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Tells a text that is too long.
pub fn check(key: &str, text: &str, most: usize, faults: &mut Faults) {
    let units = units(text);
    if units > most {
        let message = format!("`{key}` is {units} characters long, at most {most} are taken");
        let hint = "counted as the provider counts, in UTF-16: an emoji is two".to_owned();
        faults.error(vec![Step::Key(key.to_owned())], Code::Message, message, Some(hint));
    }
}

/// What goes on the wire for a field that holds JSON text: the text as it stands, or a mapping or list
/// written as JSON. None, and told, for anything else.
pub fn json_text(key: &str, value: &Value, faults: &mut Faults) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // What was parsed serialises.
        Value::Object(_) | Value::Array(_) => serde_json::to_string(value).ok(),
        other => {
            let message = format!("`{key}` is {}, not a text or a mapping", kind_of(other));
            faults.error(vec![Step::Key(key.to_owned())], Code::WrongType, message, None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_in_utf_16() {
        assert_eq!([units("abc"), units("春季"), units("🎉")], [3, 2, 2]);
        let told = |text: &str, most| {
            let mut faults = Faults::of("NetEase");
            check("ext", text, most, &mut faults);
            faults.list.len()
        };
        assert_eq!([told("春季活动", 4), told("春季活动!", 4), told("🎉🎉", 3)], [0, 1, 1]);
    }
}
