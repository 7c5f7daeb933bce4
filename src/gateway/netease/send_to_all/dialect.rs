//! What a message of `netease-send-to-all` may hold: the documentation's table. What it leaves open is
//! sent as it is said, since the application behind it may know more than its page tells.
//!
//! Pure. Must never know: files, the wire.

use serde_json::{Map, Value};

use super::{
    profile::{BodyMode, Profile, Scalars},
    wire::{FIELDS, SELECTORS},
};
use crate::{
    campaign::{
        Dialect, Message,
        message::{AddressedTo, Fault, Step},
    },
    document::{Code, Severity, nearest::nearest},
    gateway::{
        netease::lengths::{self, json_text},
        shape::{Faults, kind_of},
    },
};

/// The longest sender and extension, in the provider's unit.
const LONGEST_FROM: usize = 32;
const LONGEST_EXT: usize = 1_024;
/// Fields that say who gets the message in files of campaigns.
const AUDIENCE: [&str; 4] = ["recvIDs", "isSendAll", "groupIDs", "recipients"];

/// What one endpoint takes, with the defaults of one gateway.
#[derive(Debug, Clone)]
pub struct SendToAllDialect {
    pub profile: Profile,
    pub defaults: Map<String, Value>,
    pub batch_size: u32,
    pub max_batch_size: u32,
    pub concurrency: u32,
}

impl Dialect for SendToAllDialect {
    fn read_message(&self, message: &Map<String, Value>, to: AddressedTo) -> (Option<Message>, Vec<Fault>) {
        let mut fields = self.defaults.clone();
        fields.extend(message.clone());
        let mut reading =
            Reading { profile: &self.profile, said: message, fields, faults: Faults::of("the gateway") };
        if to == AddressedTo::Groups {
            let message = "this gateway writes to users, not to groups";
            reading.faults.error(Vec::new(), Code::Message, message, Some("use `recvIDs`".to_owned()));
        }
        reading.other_fields();
        reading.sender();
        reading.selectors(to, &self.defaults);
        reading.scalar("type", 0..=i64::from(i32::MAX), true);
        reading.scalar("markRead", 0..=1, false);
        reading.body();
        reading.extension();
        let Reading { fields, faults, .. } = reading;
        let good = faults.list.iter().all(|fault| fault.severity != Severity::Error);
        (good.then_some(Message(fields)), faults.list)
    }

    /// An application's own ids: nothing is known of them.
    fn check_recipient(&self, _id: &str) -> Result<(), String> {
        Ok(())
    }

    fn default_batch_size(&self) -> u32 {
        self.batch_size
    }

    fn max_batch_size(&self) -> u32 {
        self.max_batch_size
    }

    fn max_concurrency(&self) -> u32 {
        self.concurrency
    }

    fn lists_everyone(&self) -> bool {
        false
    }

    fn selectors(&self) -> &'static [&'static str] {
        SELECTORS
    }
}

/// A message on its way from what the file says to what is sent.
struct Reading<'a> {
    profile: &'a Profile,
    said: &'a Map<String, Value>,
    /// What is said, over the defaults.
    fields: Map<String, Value>,
    faults: Faults,
}

impl Reading<'_> {
    fn error(&mut self, key: &str, code: Code, message: impl Into<String>, hint: Option<&str>) {
        let by_default = !self.said.contains_key(key) && self.fields.contains_key(key);
        let by_default = by_default.then(|| format!("`{key}` comes from the gateway's defaults"));
        let hint = by_default.or(hint.map(str::to_owned));
        self.faults.error(vec![Step::Key(key.to_owned())], code, message, hint);
    }

    fn other_fields(&mut self) {
        let field = self.profile.recipients.field.clone();
        let others = self.fields.keys().filter(|key| !FIELDS.contains(&key.as_str()));
        for key in others.cloned().collect::<Vec<_>>() {
            if key == field || AUDIENCE.contains(&key.as_str()) {
                let message = format!("`{key}` belongs to the audience, not to the message");
                let hint = "say it beside `message`: recvIDs, recipients or isSendAll";
                self.error(&key, Code::UnknownKey, message, Some(hint));
                continue;
            }
            let near = nearest(&key, FIELDS.into_iter());
            self.faults.list.push(Fault {
                severity: Severity::Warning,
                path: vec![Step::Key(key.clone())],
                code: Code::Message,
                message: format!("the documentation knows no `{key}`; it is sent as it is"),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        }
    }

    /// May be left out: then the server knows who sends.
    fn sender(&mut self) {
        let Some(text) = self.text_or_digits("from") else { return };
        if text.is_empty() {
            self.error("from", Code::Message, "`from` is empty", Some("leave it out, or name the sender"));
        }
        lengths::check("from", &text, LONGEST_FROM, &mut self.faults);
    }

    fn selectors(&mut self, to: AddressedTo, defaults: &Map<String, Value>) {
        for key in SELECTORS {
            if defaults.contains_key(*key) {
                let message =
                    format!("`{key}` selects recipients, and a default would do so for every campaign");
                self.error(key, Code::Message, message, Some("say it in the campaign's message"));
            }
            let Some(text) = self.text_or_digits(key) else { continue };
            if text.is_empty() {
                let message = format!("`{key}` is empty, and what a server makes of that nobody tells");
                self.error(key, Code::Message, message, Some("leave it out"));
            } else if to != AddressedTo::Unlisted {
                let message = format!("`{key}` selects recipients, and the campaign names them besides");
                self.error(key, Code::AudienceChoice, message, Some("keep one of them"));
            }
        }
    }

    /// A text; digits written without quotes are taken for one. None when it is absent or wrong.
    fn text_or_digits(&mut self, key: &str) -> Option<String> {
        match self.fields.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_u64() => {
                let digits = number.to_string();
                self.fields.insert(key.to_owned(), digits.clone().into());
                Some(digits)
            }
            other => {
                let message = format!("`{key}` is {}, not a text", kind_of(other));
                self.error(key, Code::WrongType, message, Some("quote it"));
                None
            }
        }
    }

    /// A whole number, written as the profile wants it.
    fn scalar(&mut self, key: &str, range: std::ops::RangeInclusive<i64>, required: bool) {
        let number = match self.fields.get(key) {
            None => {
                if required {
                    let hint = "0 text, 1 image, 2 audio, by the documentation";
                    self.error(key, Code::MissingKey, format!("`{key}` is missing"), Some(hint));
                }
                return;
            }
            Some(Value::String(text)) => text.parse::<i64>().ok(),
            Some(value) => value.as_i64(),
        };
        let Some(number) = number.filter(|number| range.contains(number)) else {
            let message = format!("`{key}` is no whole number from {} to {}", range.start(), range.end());
            self.error(key, Code::Message, message, None);
            return;
        };
        let written = match self.profile.scalars {
            Scalars::Number => number.into(),
            Scalars::String => number.to_string().into(),
        };
        self.fields.insert(key.to_owned(), written);
    }

    fn body(&mut self) {
        let Some(body) = self.fields.get("body").cloned() else {
            let hint = "a mapping, or JSON text like '{\"msg\":\"hello\"}'";
            self.error("body", Code::MissingKey, "`body` is missing", Some(hint));
            return;
        };
        let parsed = match &body {
            Value::String(text) => serde_json::from_str::<Value>(text).ok(),
            other => Some(other.clone()),
        };
        let Some(text) = json_text("body", &body, &mut self.faults) else { return };
        let written = match (self.profile.body, parsed) {
            (BodyMode::String, parsed) => {
                if parsed.is_none() {
                    self.not_json();
                }
                Value::String(text)
            }
            (BodyMode::DoubleEncoded, parsed) => {
                if parsed.is_none() {
                    self.not_json();
                }
                // A text serialises.
                serde_json::to_string(&text).unwrap_or_default().into()
            }
            (BodyMode::Object, Some(object @ Value::Object(_))) => object,
            (BodyMode::Object, _) => {
                let message = "`body` is no mapping, and the gateway's `body` is set to object";
                self.error("body", Code::WrongType, message, Some("write a mapping"));
                return;
            }
        };
        if let Some(most) = self.profile.body_max_chars {
            let sent = match &written {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let units = lengths::units(&sent);
            if units > most {
                let message =
                    format!("`body` is {units} characters long as it is sent, at most {most} are taken");
                let hint =
                    "counted in UTF-16, an emoji being two; the gateway's `bodyMaxChars` says how many";
                self.error("body", Code::Message, message, Some(hint));
            }
        }
        self.fields.insert("body".to_owned(), written);
    }

    fn not_json(&mut self) {
        self.faults.list.push(Fault {
            severity: Severity::Warning,
            path: vec![Step::Key("body".to_owned())],
            code: Code::Message,
            message: "`body` is no JSON text, which the documentation asks for; it is sent as it is"
                .to_owned(),
            hint: Some("write a mapping, which is encoded".to_owned()),
        });
    }

    fn extension(&mut self) {
        let Some(value) = self.fields.get("ext").cloned() else { return };
        let Some(text) = json_text("ext", &value, &mut self.faults) else { return };
        lengths::check("ext", &text, LONGEST_EXT, &mut self.faults);
        self.fields.insert("ext".to_owned(), text.into());
    }
}

#[cfg(test)]
mod tests;
