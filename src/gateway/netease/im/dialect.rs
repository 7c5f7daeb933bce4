//! What a message to NetEase may hold, checked before anything is sent: the fields of the call that
//! carries it, their lengths in the provider's unit, and what a body of its type must hold.
//!
//! Pure. Must never know: files, the wire.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::parameters::{ATTACH, BATCH, BROADCAST, Form, Parameter, SINGLE, TYPES};
use crate::{
    campaign::{
        Dialect, Message,
        message::{AddressedTo, Fault, Step},
    },
    document::{Code, Severity, nearest::nearest},
    gateway::{
        netease::{
            accid,
            lengths::{self, json_text},
        },
        shape::{Faults, Field, Shape, kind_of},
    },
};

/// The most recipients of a call, and of one that gives message ids.
pub const MAX_BATCH_SIZE: u32 = 500;
const MAX_BATCH_SIZE_WITH_IDS: u32 = 100;
/// Fields of the calls that say who gets the message.
const AUDIENCE: [&str; 8] =
    ["to", "toAccids", "ope", "accids", "recvIDs", "isSendAll", "groupIDs", "recipients"];

/// Which call carries a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// One message to many.
    Batch,
    /// One message to one.
    Single,
    /// A system notification to many, which nothing keeps.
    Attach,
    /// A message to the whole application.
    Broadcast,
}

impl CallKind {
    /// The parameters that a message for this call may hold besides its sender.
    pub fn parameters(self) -> &'static [Parameter] {
        match self {
            CallKind::Batch => BATCH,
            CallKind::Single => SINGLE,
            CallKind::Attach => ATTACH,
            CallKind::Broadcast => BROADCAST,
        }
    }

    fn name(self) -> &'static str {
        match self {
            CallKind::Batch => "sendBatchMsg",
            CallKind::Single => "sendMsg",
            CallKind::Attach => "sendBatchAttachMsg",
            CallKind::Broadcast => "broadcastMsg",
        }
    }
}

/// What NetEase takes, with the defaults of one gateway.
#[derive(Debug, Clone)]
pub struct IMDialect {
    /// The call for named people.
    pub call: CallKind,
    pub defaults: Map<String, Value>,
    pub batch_size: u32,
    pub concurrency: u32,
}

impl Dialect for IMDialect {
    fn read_message(&self, message: &Map<String, Value>, to: AddressedTo) -> (Option<Message>, Vec<Fault>) {
        let call = if to == AddressedTo::Unlisted { CallKind::Broadcast } else { self.call };
        // A default for another call says nothing about this one.
        let is_of_another = |key: &str| {
            let all = [BATCH, SINGLE, ATTACH, BROADCAST];
            let known = |list: &[Parameter]| list.iter().any(|parameter| parameter.name == key);
            all.into_iter().any(known) && !known(call.parameters())
        };
        let mut fields: Map<String, Value> =
            self.defaults.clone().into_iter().filter(|(key, _)| !is_of_another(key)).collect();
        fields.extend(message.clone());
        let mut reading = Reading { call, said: message, fields, faults: Faults::of("NetEase") };
        if to == AddressedTo::Groups {
            let message = "this gateway writes to accounts, not to groups";
            reading.faults.error(Vec::new(), Code::Message, message, Some("use `recvIDs`".to_owned()));
        }
        reading.unknown_keys();
        reading.sender();
        for parameter in call.parameters() {
            reading.parameter(parameter);
        }
        reading.required();
        let Reading { fields, faults, .. } = reading;
        let good = faults.list.iter().all(|fault| fault.severity != Severity::Error);
        (good.then_some(Message(fields)), faults.list)
    }

    fn check_recipient(&self, id: &str) -> Result<(), String> {
        accid::check(id)
    }

    fn canonical<'a>(&self, id: &'a str) -> Cow<'a, str> {
        accid::lower(id)
    }

    fn default_batch_size(&self) -> u32 {
        self.batch_size.min(self.max_batch_size())
    }

    fn max_batch_size(&self) -> u32 {
        if self.call == CallKind::Single { 1 } else { MAX_BATCH_SIZE }
    }

    fn max_batch_size_of(&self, message: &Message) -> u32 {
        match message.0.get("returnMsgid") {
            Some(Value::Bool(true)) => MAX_BATCH_SIZE_WITH_IDS.min(self.max_batch_size()),
            _ => self.max_batch_size(),
        }
    }

    fn max_concurrency(&self) -> u32 {
        self.concurrency
    }

    /// Notifications leave no trace, but an identical request tells what became of them, for a while; and
    /// broadcasts are listed.
    fn can_be_asked(&self) -> bool {
        true
    }

    fn lists_everyone(&self) -> bool {
        false
    }

    fn check_test(&self, _message: &Message) -> Result<(), String> {
        Err("a broadcast reaches the whole application: it cannot be sent to a few as a test".to_owned())
    }
}

/// A message on its way from what the file says to what is sent.
struct Reading<'a> {
    call: CallKind,
    said: &'a Map<String, Value>,
    /// What is said, over the defaults.
    fields: Map<String, Value>,
    faults: Faults,
}

impl Reading<'_> {
    fn error(&mut self, key: &str, code: Code, message: impl Into<String>, hint: Option<String>) {
        let by_default = !self.said.contains_key(key) && self.fields.contains_key(key);
        let by_default = by_default.then(|| format!("`{key}` comes from the gateway's defaults"));
        self.faults.error(vec![Step::Key(key.to_owned())], code, message, by_default.or(hint));
    }

    fn unknown_keys(&mut self) {
        let call = self.call;
        let names = || call.parameters().iter().map(|parameter| parameter.name).chain(["from"]);
        let unknown: Vec<String> =
            self.fields.keys().filter(|key| !names().any(|name| name == *key)).cloned().collect();
        for key in unknown {
            if AUDIENCE.contains(&key.as_str()) {
                let message = format!("`{key}` belongs to the audience, not to the message");
                let hint = "say it beside `message`: recvIDs, recipients or isSendAll";
                self.error(&key, Code::UnknownKey, message, Some(hint.to_owned()));
                continue;
            }
            let near = if key == "fromAccid" { Some("from") } else { nearest(&key, names()) };
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            self.error(&key, Code::UnknownKey, format!("{} knows no `{key}`", call.name()), hint);
        }
    }

    fn sender(&mut self) {
        match self.fields.get("from") {
            None if self.call == CallKind::Broadcast => {}
            None => {
                let hint = "say it, or give the gateway a default `from` in the settings";
                self.error("from", Code::MissingKey, "`from` is missing", Some(hint.to_owned()));
            }
            Some(value) => {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) if number.is_u64() => number.to_string(),
                    other => {
                        let message = format!("`from` is {}, not an accid", kind_of(other));
                        return self.error("from", Code::WrongType, message, Some("quote it".to_owned()));
                    }
                };
                match accid::check(&text) {
                    Ok(()) => {
                        let lower = accid::lower(&text).into_owned();
                        self.fields.insert("from".to_owned(), lower.into());
                    }
                    Err(reason) => self.error("from", Code::Message, reason, None),
                }
            }
        }
    }

    /// Checks a parameter and puts in its place what is sent.
    fn parameter(&mut self, parameter: &Parameter) {
        let key = parameter.name;
        let Some(value) = self.fields.get(key).cloned() else { return };
        let text = match (&parameter.form, &value) {
            (Form::Whole { min, max }, _) => return self.shape(key, Shape::Integer { min: *min, max: *max }),
            (Form::Flag, _) => return self.shape(key, Shape::Boolean),
            (Form::Text { most }, Value::String(text)) => Some((text.clone(), *most)),
            (Form::Text { .. }, _) => return self.shape(key, Shape::Text),
            (Form::JSONText { most }, _) => {
                if let Value::String(text) = &value
                    && serde_json::from_str::<Value>(text).is_err()
                {
                    let hint = "a mapping is written as JSON; a text must be JSON: '{\"msg\":\"hello\"}'";
                    self.error(key, Code::Message, format!("`{key}` is no JSON text"), Some(hint.to_owned()));
                    return;
                }
                json_text(key, &value, &mut self.faults).map(|text| (text, *most))
            }
            (Form::TextOrJSON { most }, _) => {
                json_text(key, &value, &mut self.faults).map(|text| (text, *most))
            }
            (Form::Options(fields), _) => return self.options(key, fields, &value),
            (Form::Words(words), _) => return self.words(key, words, &value),
        };
        if let Some((text, most)) = text {
            lengths::check(key, &text, most, &mut self.faults);
            self.fields.insert(key.to_owned(), text.into());
        }
    }

    fn shape(&mut self, name: &'static str, shape: Shape) {
        let field = Field::optional(name, shape);
        self.faults.check(&field, &self.fields, &mut Vec::new(), Code::Message);
    }

    /// An object of switches, which may be written as JSON text.
    fn options(&mut self, key: &'static str, fields: &'static [Field], value: &Value) {
        let parsed = match value {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        let Value::Object(object) = parsed else {
            let message = format!("`{key}` is no mapping of switches");
            return self.error(
                key,
                Code::WrongType,
                message,
                Some("like {push: true, history: true}".into()),
            );
        };
        self.faults.check_all(fields, &object, &mut vec![Step::Key(key.to_owned())], Code::Message);
        if let Some(text) = json_text(key, value, &mut self.faults) {
            self.fields.insert(key.to_owned(), text.into());
        }
    }

    fn words(&mut self, key: &'static str, words: &[&str], value: &Value) {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let good = |item: &Value| item.as_str().is_some_and(|word| words.contains(&word));
        if list.is_empty() || !list.iter().all(good) {
            let message = format!("`{key}` is a list of: {}", words.join(", "));
            self.error(key, Code::Message, message, None);
        }
    }

    /// What must be there, and what a body of its type must hold.
    fn required(&mut self) {
        let needed: &[&str] = match self.call {
            CallKind::Batch | CallKind::Single => &["type", "body"],
            CallKind::Attach => &["attach"],
            CallKind::Broadcast => &["body"],
        };
        for key in needed {
            if !self.fields.contains_key(*key) {
                self.error(key, Code::MissingKey, format!("`{key}` is missing"), None);
            }
        }
        if self.fields.contains_key("ttl") && self.fields.get("isOffline") != Some(&Value::Bool(true)) {
            let message = "`ttl` counts only for clients that are offline";
            self.error("ttl", Code::Message, message, Some("add `isOffline: true`".to_owned()));
        }
        if matches!(self.call, CallKind::Batch | CallKind::Single) {
            self.body();
        }
    }

    fn body(&mut self) {
        let Some(kind) = self.fields.get("type").and_then(Value::as_i64) else { return };
        let Some((_, needed)) = TYPES.iter().find(|(number, _)| *number == kind) else {
            let numbers: Vec<String> = TYPES.iter().map(|(number, _)| number.to_string()).collect();
            let message = format!("`type` {kind} is none that NetEase sends");
            return self.error("type", Code::Message, message, Some(format!("one of {}", numbers.join(" "))));
        };
        let Some(body) = self.fields.get("body").and_then(Value::as_str) else { return };
        let Ok(body) = serde_json::from_str::<Value>(body) else { return };
        let has = needed.is_none_or(|key| body[key].as_str().is_some_and(|text| !text.is_empty()));
        if !body.is_object() || !has {
            let example =
                needed.map_or("a mapping".to_owned(), |key| format!("a mapping with a text `{key}`"));
            let message = format!("`body` of type {kind} is {example}");
            self.error("body", Code::Content, message, None);
        }
        if matches!(kind, 0 | 10) && self.said.contains_key("msgDesc") {
            self.error(
                "msgDesc",
                Code::Message,
                "`msgDesc` is not for texts",
                Some("leave it out".to_owned()),
            );
        }
    }
}

#[cfg(test)]
mod tests;
