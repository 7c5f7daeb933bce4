//! What a message to OpenIM may hold, checked before anything is sent: the server refuses some
//! faults with riddles and does something awful with others.
//!
//! Pure. Knows: the fields of a message and how kinds of message and audience go together; the
//! shapes of `content` are [`content`](super::content)'s. Must never know: files, the wire.

use serde_json::{Map, Value};

use super::content::{self, ContentType};
use crate::{
    campaign::{
        Dialect, Message,
        message::{AddressedTo, Fault, Step},
    },
    document::{Code, Severity, nearest::did_you_mean},
    gateway::shape::{Faults, Field, Shape},
};

/// More recipients than this in one call are refused: the server works through them one by one, and
/// everything that lies in a call is at stake when its answer is lost.
pub const MAX_BATCH_SIZE: u32 = 1_000;

/// Session types of the server.
const SINGLE: i64 = 1;
const GROUP: i64 = 3;
pub const NOTIFICATION: i64 = 4;
const SESSION_NAMES: [(&str, i64); 3] =
    [("single", SINGLE), ("group", GROUP), ("notification", NOTIFICATION)];

const OFFLINE_PUSH: &[Field] = &[
    Field::optional("title", Shape::Text),
    Field::optional("desc", Shape::Text),
    Field::optional("ex", Shape::Text),
    Field::optional("iOSPushSound", Shape::Text),
    Field::optional("iOSBadgeCount", Shape::Boolean),
    Field::optional("signalInfo", Shape::Text),
];

/// The fields whose shape is all there is to say of them.
const PLAIN: &[Field] = &[
    Field::optional("senderNickname", Shape::Text),
    Field::optional("senderFaceURL", Shape::Text),
    Field::optional("senderPlatformID", Shape::Integer { min: 0, max: 11 }),
    Field::optional("isOnlineOnly", Shape::Boolean),
    Field::optional("notOfflinePush", Shape::Boolean),
    Field::optional("sendTime", Shape::Integer { min: 0, max: i64::MAX }),
    Field::optional("offlinePushInfo", Shape::Object(OFFLINE_PUSH)),
    Field::optional("ex", Shape::Text),
];
/// The fields that mean more.
const OTHERS: [&str; 4] = ["sendID", "contentType", "sessionType", "content"];
/// Fields of the server's requests that say who gets the message.
const AUDIENCE: [&str; 4] = ["recvIDs", "isSendAll", "groupID", "recvID"];
/// Fields that the server takes and ignores.
const IGNORED: [&str; 7] =
    ["clientMsgID", "serverMsgID", "createTime", "msgFrom", "status", "seq", "atUserIDList"];

/// What OpenIM takes, with the defaults of one gateway.
#[derive(Debug, Clone)]
pub struct OpenIMDialect {
    defaults: Map<String, Value>,
    batch_size: u32,
    concurrency: u32,
}

impl OpenIMDialect {
    pub fn new(defaults: Map<String, Value>, batch_size: u32, concurrency: u32) -> OpenIMDialect {
        OpenIMDialect {
            defaults,
            batch_size: batch_size.clamp(1, MAX_BATCH_SIZE),
            concurrency: concurrency.max(1),
        }
    }
}

impl Dialect for OpenIMDialect {
    fn read_message(&self, message: &Map<String, Value>, to: AddressedTo) -> (Option<Message>, Vec<Fault>) {
        let mut reading =
            Reading { said: message, fields: self.defaults.clone(), faults: Faults::of("OpenIM") };
        reading.fields.extend(message.clone());
        reading.unknown_keys();
        reading.plain_fields();
        reading.sender();
        let content_type = reading.content_type();
        reading.session_type(content_type, to);
        reading.content(content_type);
        reading.send_time();
        let Reading { fields, faults, .. } = reading;
        let good = faults.list.iter().all(|fault| fault.severity != Severity::Error);
        (good.then_some(Message(fields)), faults.list)
    }

    fn check_recipient(&self, id: &str) -> Result<(), String> {
        if id.contains(':') {
            return Err("OpenIM registers no id with a colon".into());
        }
        Ok(())
    }

    fn same_for_all(&self) -> &'static [&'static str] {
        &["sendID"]
    }

    fn lists_members(&self) -> bool {
        true
    }

    fn default_batch_size(&self) -> u32 {
        self.batch_size
    }

    fn max_batch_size(&self) -> u32 {
        MAX_BATCH_SIZE
    }

    fn can_be_asked(&self) -> bool {
        true
    }

    fn max_concurrency(&self) -> u32 {
        self.concurrency
    }
}

/// A message on its way from what the file says to what is sent.
struct Reading<'a> {
    said: &'a Map<String, Value>,
    /// What is said, over the defaults.
    fields: Map<String, Value>,
    faults: Faults,
}

impl Reading<'_> {
    fn error(&mut self, key: &str, code: Code, message: impl Into<String>, hint: Option<String>) {
        self.faults.error(vec![Step::Key(key.into())], code, message, self.by_default(key).or(hint));
    }

    /// A hint for what the file itself does not say.
    fn by_default(&self, key: &str) -> Option<String> {
        let by_default = !self.said.contains_key(key) && self.fields.contains_key(key);
        by_default.then(|| format!("`{key}` comes from the gateway's defaults"))
    }

    fn unknown_keys(&mut self) {
        let known = || PLAIN.iter().map(|field| field.name).chain(OTHERS);
        let unknown = self.fields.keys().filter(|key| !known().any(|known| known == *key)).cloned();
        for key in unknown.collect::<Vec<_>>() {
            let name = key.as_str();
            if AUDIENCE.contains(&name) {
                let hint = "say it beside `message`: recvIDs, isSendAll, groupIDs or recipients";
                let message = format!("`{name}` belongs to the audience, not to the message");
                self.error(name, Code::UnknownKey, message, Some(hint.into()));
            } else if IGNORED.contains(&name) {
                self.error(
                    name,
                    Code::UnknownKey,
                    format!("OpenIM ignores `{name}`"),
                    Some("leave it out".into()),
                );
            } else {
                let hint = did_you_mean(name, known());
                self.error(name, Code::UnknownKey, format!("OpenIM knows no `{name}` in a message"), hint);
            }
        }
    }

    fn plain_fields(&mut self) {
        for field in PLAIN {
            let before = self.faults.list.len();
            self.faults.check(field, &self.fields, &mut Vec::new(), Code::Message);
            let hint = self.by_default(field.name);
            for fault in &mut self.faults.list[before..] {
                fault.hint = hint.clone().or(fault.hint.take());
            }
        }
    }

    fn sender(&mut self) {
        match self.fields.get("sendID") {
            None => {
                let hint = "say it, or give the gateway a default `sendID` in the settings";
                self.error("sendID", Code::MissingKey, "`sendID` is missing", Some(hint.into()));
            }
            Some(Value::String(id)) if id.is_empty() => {
                self.error("sendID", Code::Message, "`sendID` is empty", None);
            }
            Some(Value::String(_)) => {}
            Some(Value::Number(number)) if number.is_u64() => {
                let digits = number.to_string();
                self.fields.insert("sendID".into(), digits.into());
            }
            Some(other) => {
                let message = format!("`sendID` is {}, not an id", content::kind_of(other));
                self.error("sendID", Code::WrongType, message, Some("quote it".into()));
            }
        }
    }

    fn content_type(&mut self) -> Option<ContentType> {
        let names = || content::CONTENT_TYPES.iter().map(|content_type| content_type.name);
        let found = match self.fields.get("contentType") {
            None => {
                let hint = format!("one of {}", names().collect::<Vec<_>>().join(" "));
                self.error("contentType", Code::MissingKey, "`contentType` is missing", Some(hint));
                return None;
            }
            Some(Value::String(name)) => {
                let found = content::CONTENT_TYPES.iter().find(|known| known.name == name);
                if found.is_none() {
                    let hint = did_you_mean(name, names())
                        .unwrap_or_else(|| format!("one of {}", names().collect::<Vec<_>>().join(" ")));
                    let message = format!("`{name}` is no content type");
                    self.error("contentType", Code::Message, message, Some(hint));
                }
                found
            }
            Some(Value::Number(number)) => {
                let found = content::CONTENT_TYPES.iter().find(|known| Some(known.number) == number.as_i64());
                if found.is_none() {
                    let message = format!("OpenIM sends no messages of content type {number} on request");
                    let hint = format!("one of {}", names().collect::<Vec<_>>().join(" "));
                    self.error("contentType", Code::Message, message, Some(hint));
                }
                found
            }
            Some(other) => {
                let message = format!("`contentType` is {}, not a number or a name", content::kind_of(other));
                self.error("contentType", Code::WrongType, message, None);
                None
            }
        }?;
        self.fields.insert("contentType".into(), found.number.into());
        Some(*found)
    }

    /// Groups get group messages and nobody else does; OA notifications are a session type of their
    /// own, which takes nothing else. What follows from that need not be said, and where a default
    /// says otherwise, it is overruled.
    fn session_type(&mut self, content_type: Option<ContentType>, to: AddressedTo) {
        let oa = content_type.is_some_and(|content_type| content_type.number == content::OA);
        let implied = match to {
            AddressedTo::Groups => Some(GROUP),
            _ if oa => Some(NOTIFICATION),
            _ => None,
        };
        let said = match (implied, self.said.get("sessionType")) {
            (Some(_), None) => None,
            (_, _) => self.session_number(),
        };
        let session_type = said.or(implied).unwrap_or(SINGLE);
        if oa && to == AddressedTo::Groups {
            self.error("contentType", Code::Message, "an OA notification goes to users, not to groups", None);
        } else if session_type == GROUP && to != AddressedTo::Groups {
            let message = "a group message is addressed to groups: with users OpenIM sends it to the group once for each";
            self.error("sessionType", Code::Message, message, Some("use `groupIDs`".into()));
        } else if session_type != GROUP && to == AddressedTo::Groups {
            let hint = Some("leave `sessionType` out, or write `group`".into());
            self.error("sessionType", Code::Message, "`groupIDs` get group messages only", hint);
        } else if oa && session_type != NOTIFICATION {
            let hint = Some("leave `sessionType` out, or write `notification`".into());
            self.error(
                "sessionType",
                Code::Message,
                "an OA notification is always sent as `notification`",
                hint,
            );
        } else if session_type == NOTIFICATION && !oa && content_type.is_some() {
            let hint = Some("use `single`, or contentType `oa`".into());
            self.error("sessionType", Code::Message, "`notification` takes contentType `oa` only", hint);
        }
        self.fields.insert("sessionType".into(), session_type.into());
    }

    fn session_number(&mut self) -> Option<i64> {
        let value = self.fields.get("sessionType")?;
        let number = match value {
            Value::String(name) => {
                SESSION_NAMES.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
            }
            _ => value.as_i64().filter(|number| SESSION_NAMES.iter().any(|(_, known)| known == number)),
        };
        if number.is_none() {
            let message = format!("`sessionType` {value} is none that OpenIM sends on request");
            let names = SESSION_NAMES.iter().map(|(name, _)| *name);
            let hint = value
                .as_str()
                .and_then(|wrong| did_you_mean(wrong, names))
                .or(Some("single (1), group (3) or notification (4)".into()));
            self.error("sessionType", Code::Message, message, hint);
        }
        number
    }

    fn content(&mut self, content_type: Option<ContentType>) {
        match self.fields.get("content") {
            None => self.error("content", Code::MissingKey, "`content` is missing", None),
            Some(Value::Object(content)) => {
                let Some(content_type) = content_type else { return };
                content::check(&content_type, content, &mut self.faults);
            }
            Some(other) => {
                let message = format!("`content` is {}, not a mapping", content::kind_of(other));
                let hint = match other {
                    Value::String(_) => Some("for a text: `content: {content: \"…\"}`".into()),
                    _ => None,
                };
                self.error("content", Code::WrongType, message, hint);
            }
        }
    }

    fn send_time(&mut self) {
        if self.fields.get("sendTime").and_then(Value::as_i64).is_some_and(|millis| millis != 0) {
            self.faults.list.push(Fault {
                severity: Severity::Warning,
                path: vec![Step::Key("sendTime".into())],
                code: Code::SendTime,
                message:
                    "`sendTime` schedules nothing: the message goes out with the run and shows this time"
                        .into(),
                hint: Some("leave it out; `schedules` say when to send".into()),
            });
        }
    }
}

#[cfg(test)]
mod tests;
