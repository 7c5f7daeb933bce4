//! Requests of the provider's API: paths, names and forms.

use jiff::Timestamp;
use serde_json::Value;

use super::{dialect::CallKind, parameters::Parameter};
use crate::{
    campaign::RecipientID,
    gateway::{Addressees, Call},
};

pub const FORM: &str = "application/x-www-form-urlencoded;charset=utf-8";
pub const SEND: &str = "/msg/sendMsg.action";
pub const SEND_BATCH: &str = "/msg/sendBatchMsg.action";
pub const SEND_ATTACH: &str = "/msg/sendBatchAttachMsg.action";
pub const BROADCAST: &str = "/msg/broadcastMsg.action";
pub const SESSION: &str = "/history/querySessionMsg.action";
pub const BROADCASTS: &str = "/history/queryBroadcastMsg.action";

/// A request before it is signed.
pub struct Request {
    pub path: &'static str,
    pub form: String,
}

/// The request of a call.
pub fn send(call: &Call, kind: CallKind) -> Request {
    let kind = match call.to {
        Addressees::Unlisted(_) => CallKind::Broadcast,
        _ => kind,
    };
    let fields = &call.message.0;
    let mut form = form_urlencoded::Serializer::new(String::new());
    let from = fields.get("from").and_then(Value::as_str);
    let recipients = call.to.recipients();
    let path = match kind {
        CallKind::Batch | CallKind::Attach => {
            form.append_pair("fromAccid", from.unwrap_or_default());
            // Ids are texts, which serialise.
            form.append_pair("toAccids", &serde_json::to_string(recipients).unwrap_or_default());
            if kind == CallKind::Batch { SEND_BATCH } else { SEND_ATTACH }
        }
        CallKind::Single => {
            form.append_pair("from", from.unwrap_or_default());
            form.append_pair("ope", "0");
            form.append_pair("to", recipients.first().map(RecipientID::as_str).unwrap_or_default());
            SEND
        }
        CallKind::Broadcast => {
            form.extend_pairs(from.map(|from| ("from", from)));
            BROADCAST
        }
    };
    for Parameter { name, .. } in kind.parameters() {
        match fields.get(*name) {
            None => {}
            Some(Value::String(text)) => {
                form.append_pair(name, text);
            }
            Some(other) => {
                form.append_pair(name, &other.to_string());
            }
        }
    }
    Request { path, form: form.finish() }
}

/// The messages between two accounts within a time, oldest first: those too that leave no trace with one of the two,
/// or that one has deleted, which the provider leaves out unless it is told.
pub fn session(from: &str, to: &str, begin: Timestamp, end: Timestamp, limit: usize) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("from", from)
        .append_pair("to", to)
        .append_pair("begintime", &begin.as_millisecond().to_string())
        .append_pair("endtime", &end.as_millisecond().to_string())
        .append_pair("limit", &limit.to_string())
        .append_pair("reverse", "1")
        .append_pair("includeNoSenseMsg", "true")
        .finish()
}

/// The newest messages to everyone, kept for clients that are offline or not.
pub fn broadcasts(limit: usize) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("broadcastId", "0")
        .append_pair("limit", &limit.to_string())
        .append_pair("type", "1")
        .finish()
}
