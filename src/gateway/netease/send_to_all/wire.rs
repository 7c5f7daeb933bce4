//! Requests of the profile: the message's fields in the order of the documentation's table, and whom
//! they are for.

use serde_json::{Map, Value};

use super::profile::{Encoding, Profile};
use crate::{
    campaign::RecipientID,
    gateway::{Addressees, Call},
};

/// The fields of the documentation's table, in its order.
pub const FIELDS: [&str; 7] = ["from", "areaid", "enterptypeid", "type", "body", "ext", "markRead"];
/// The fields by which the server itself selects recipients.
pub const SELECTORS: &[&str] = &["areaid", "enterptypeid"];

/// What is written, and how it calls itself.
pub struct Request {
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// For people: an object, or the form's own text.
    pub shown: Value,
}

/// The request of a call. Selectors never stand beside named recipients: what a server makes of both is
/// told nowhere.
pub fn request(call: &Call, profile: &Profile) -> Request {
    let mut fields = call.message.0.clone();
    match &call.to {
        Addressees::Unlisted(_) => {}
        named => {
            for selector in SELECTORS {
                fields.remove(*selector);
            }
            let list = list(named.recipients(), profile);
            fields.insert(profile.recipients.field.clone(), list);
        }
    }
    match profile.encoding {
        Encoding::JSON => Request {
            content_type: "application/json; charset=utf-8",
            // Keys are texts, which cannot fail.
            body: serde_json::to_vec(&fields).unwrap_or_default(),
            shown: Value::Object(fields),
        },
        Encoding::Form => {
            let text = form(&fields);
            Request {
                content_type: "application/x-www-form-urlencoded;charset=utf-8",
                body: text.clone().into_bytes(),
                shown: text.into(),
            }
        }
    }
}

fn list(recipients: &[RecipientID], profile: &Profile) -> Value {
    recipients.iter().map(|id| profile.recipients.item_for(id.as_str())).collect()
}

fn form(fields: &Map<String, Value>) -> String {
    let in_table = FIELDS.iter().filter_map(|name| Some((*name, fields.get(*name)?)));
    let others = fields.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in in_table.chain(others.map(|(name, value)| (name.as_str(), value))) {
        match value {
            Value::String(text) => form.append_pair(name, text),
            // Lists and mappings are JSON text in one field; numbers and booleans are written the same.
            other => form.append_pair(name, &other.to_string()),
        };
    }
    form.finish()
}
