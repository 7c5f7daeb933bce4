//! The parameters of the calls that send, as the vendor documents them: names, shapes, lengths.

use crate::gateway::shape::{Field, Shape};

/// One parameter that a message may hold.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub form: Form,
}

/// What a parameter may be. Lengths are in UTF-16 code units.
#[derive(Debug)]
pub enum Form {
    Text {
        most: usize,
    },
    /// JSON text, or a mapping that is written as such.
    JSONText {
        most: usize,
    },
    /// Free text, or a mapping that is written as JSON.
    TextOrJSON {
        most: usize,
    },
    Whole {
        min: i64,
        max: i64,
    },
    Flag,
    Options(&'static [Field]),
    /// A list of these words.
    Words(&'static [&'static str]),
}

const fn text(name: &'static str, most: usize) -> Parameter {
    Parameter { name, form: Form::Text { most } }
}

const fn json(name: &'static str, most: usize) -> Parameter {
    Parameter { name, form: Form::JSONText { most } }
}

const fn whole(name: &'static str, min: i64, max: i64) -> Parameter {
    Parameter { name, form: Form::Whole { min, max } }
}

const fn flag(name: &'static str) -> Parameter {
    Parameter { name, form: Form::Flag }
}

const OPTION: &[Field] = &[
    Field::optional("roam", Shape::Boolean),
    Field::optional("history", Shape::Boolean),
    Field::optional("sendersync", Shape::Boolean),
    Field::optional("push", Shape::Boolean),
    Field::optional("route", Shape::Boolean),
    Field::optional("badge", Shape::Boolean),
    Field::optional("needPushNick", Shape::Boolean),
    Field::optional("persistent", Shape::Boolean),
    Field::optional("sessionUpdate", Shape::Boolean),
];
const ATTACH_OPTION: &[Field] = &[
    Field::optional("badge", Shape::Boolean),
    Field::optional("needPushNick", Shape::Boolean),
    Field::optional("route", Shape::Boolean),
];

/// Of a message to many, in the order in which they are written.
pub const BATCH: &[Parameter] = &[
    whole("type", 0, 100),
    json("body", 5_000),
    text("msgDesc", 500),
    Parameter { name: "option", form: Form::Options(OPTION) },
    text("pushcontent", 500),
    json("payload", 2_048),
    Parameter { name: "ext", form: Form::TextOrJSON { most: 1_024 } },
    text("bid", 64),
    whole("useYidun", 0, 0),
    json("yidunAntiCheating", 1_024),
    json("yidunAntiSpamExt", 1_024),
    whole("msgSenderNoSense", 0, 1),
    text("env", 64),
    flag("returnMsgid"),
];

/// Of a message to one.
pub const SINGLE: &[Parameter] = &[
    whole("type", 0, 100),
    json("body", 5_000),
    text("msgDesc", 500),
    flag("antispam"),
    json("antispamCustom", 5_000),
    Parameter { name: "option", form: Form::Options(OPTION) },
    text("pushcontent", 500),
    json("payload", 2_048),
    Parameter { name: "ext", form: Form::TextOrJSON { most: 1_024 } },
    text("bid", 64),
    whole("useYidun", 0, 0),
    json("yidunAntiCheating", 1_024),
    json("yidunAntiSpamExt", 1_024),
    flag("checkFriend"),
    whole("subType", 1, i32::MAX as i64),
    whole("msgSenderNoSense", 0, 1),
    whole("msgReceiverNoSense", 0, 1),
    text("env", 64),
];

/// Of a custom system notification to many.
pub const ATTACH: &[Parameter] = &[
    Parameter { name: "attach", form: Form::TextOrJSON { most: 4_096 } },
    text("pushcontent", 500),
    json("payload", 2_048),
    text("sound", 30),
    whole("save", 1, 2),
    Parameter { name: "option", form: Form::Options(ATTACH_OPTION) },
    flag("isForcePush"),
    text("forcePushContent", 500),
    text("env", 64),
];

/// Of a message to the whole application. `ttl` is in hours.
pub const BROADCAST: &[Parameter] = &[
    Parameter { name: "body", form: Form::TextOrJSON { most: 4_096 } },
    flag("isOffline"),
    whole("ttl", 1, 24 * 365),
    Parameter { name: "targetOs", form: Form::Words(&["ios", "aos", "pc", "web", "mac"]) },
];

/// Kinds of messages, with what their body must hold as a text.
pub const TYPES: [(i64, Option<&str>); 8] = [
    (0, Some("msg")),
    (1, Some("url")),
    (2, Some("url")),
    (3, Some("url")),
    (4, None),
    (6, Some("url")),
    (10, Some("msg")),
    (100, None),
];
