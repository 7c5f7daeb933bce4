//! What one application's `sendMsgToAll.action`, or an endpoint shaped like it, wants and answers: all
//! that its documentation leaves open, as the settings decide it.

use serde_json::Value;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub encoding: Encoding,
    pub body: BodyMode,
    /// In UTF-16 code units of the text that is sent; None: not limited.
    pub body_max_chars: Option<usize>,
    pub scalars: Scalars,
    pub recipients: RecipientList,
    pub success: Success,
    /// JSON pointer to the message's id.
    pub message_id: String,
    /// JSON pointer to whether moderation stopped the message.
    pub antispam: String,
}

/// How a request is written. The documentation shows both, so it is never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Form,
    JSON,
}

/// What `body` is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyMode {
    /// JSON text in a string.
    String,
    /// A JSON object; with [`Encoding::JSON`] only.
    Object,
    /// JSON text of a string that holds JSON text.
    DoubleEncoded,
}

/// How `type` and `markRead` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalars {
    Number,
    String,
}

/// How recipients are listed.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipientList {
    pub field: String,
    /// Each recipient, `$id` standing for the id.
    pub item: Value,
}

/// What stands for the id in an item.
pub const ID: &str = "$id";

/// How a success is recognised, besides an HTTP success.
#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    /// JSON pointer.
    pub pointer: String,
    pub equals: Value,
}

impl RecipientList {
    /// The item for one recipient.
    pub fn item_for(&self, id: &str) -> Value {
        fill(&self.item, id)
    }
}

/// Whether an item has a place for the id.
pub fn has_place(item: &Value) -> bool {
    match item {
        Value::String(text) => text.contains(ID),
        Value::Array(items) => items.iter().any(has_place),
        Value::Object(fields) => fields.values().any(has_place),
        _ => false,
    }
}

fn fill(item: &Value, id: &str) -> Value {
    match item {
        Value::String(text) => text.replace(ID, id).into(),
        Value::Array(items) => items.iter().map(|item| fill(item, id)).collect(),
        Value::Object(fields) => fields.iter().map(|(key, item)| (key.clone(), fill(item, id))).collect(),
        other => other.clone(),
    }
}

impl Success {
    /// Whether an answer says so; a number may be written as digits in a text.
    pub fn is_told_by(&self, answer: &Value) -> bool {
        let Some(found) = answer.pointer(&self.pointer) else { return false };
        let text = |value: &Value| match value {
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) => Some(text.trim().to_owned()),
            _ => None,
        };
        *found == self.equals || (text(found).is_some() && text(found) == text(&self.equals))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_is_filled_wherever_the_id_belongs() {
        for (item, expected) in [
            (json!("$id"), json!("u1")),
            (json!({"appregisterid": "$id"}), json!({"appregisterid": "u1"})),
            (json!({"a": ["user:$id", 1]}), json!({"a": ["user:u1", 1]})),
        ] {
            assert!(has_place(&item));
            assert_eq!(RecipientList { field: "two".into(), item }.item_for("u1"), expected);
        }
        assert!(!has_place(&json!({"id": 1})));
    }

    #[test]
    fn success_may_be_written_as_a_text() {
        let success = |pointer: &str, equals: Value| Success { pointer: pointer.into(), equals };
        let code = success("/code", json!(200));
        assert!(code.is_told_by(&json!({"code": 200})) && code.is_told_by(&json!({"code": "200"})));
        assert!(!code.is_told_by(&json!({"code": 201})) && !code.is_told_by(&json!({})));
        assert!(success("/ok", json!(true)).is_told_by(&json!({"ok": true})));
        assert!(!success("/ok", json!(true)).is_told_by(&json!({"ok": "true"})));
    }
}
