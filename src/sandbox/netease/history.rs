//! What can be read back: conversations between two accounts, and broadcasts.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Desk, Refused, form::Form};
use crate::sandbox::truth::Fate;

/// A message in a conversation.
#[derive(Debug)]
pub struct Message {
    pub from: Arc<str>,
    pub to: String,
    pub msgid: i64,
    /// Unix milliseconds by the provider's clock.
    pub sent_at: i64,
    /// When it can be found, by the computer's clock.
    pub shows_at: i64,
    pub kind: i64,
    pub body: Arc<str>,
    pub request_id: Arc<str>,
    /// Unix milliseconds by the computer's clock.
    pub received_at: i64,
    /// Whether it can be read back.
    pub history: bool,
    /// Whether one side has no trace of it, so that it is read back only by whoever asks for such.
    pub no_sense: bool,
    /// It was accepted and never came.
    pub lost: bool,
}

impl Message {
    /// What became of it.
    pub fn fate(&self, now: i64) -> Fate {
        match () {
            () if self.lost => Fate::Lost,
            () if self.shows_at > now => Fate::Waiting,
            () => Fate::Stored,
        }
    }

    /// As the truth lists it.
    pub fn shown(&self, fate: Fate) -> Value {
        json!({"recipient": self.to, "sender": &*self.from, "sendTime": self.sent_at,
            "serverMsgID": self.msgid.to_string(), "content": self.content(), "contentType": self.kind,
            "receivedAt": self.received_at, "fate": fate.word(), "operationID": &*self.request_id})
    }

    /// The body, as JSON where it is such.
    fn content(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| (*self.body).into())
    }
}

/// A message to everyone.
#[derive(Debug)]
pub struct Broadcast {
    pub id: i64,
    /// As it was answered.
    pub shown: Value,
}

impl Desk<'_> {
    /// Messages between two accounts, both ways.
    pub(super) fn session(&mut self, form: &Form) -> Result<Value, Refused> {
        let (from, to) = (form.required("from")?, form.required("to")?);
        let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        for accid in [&from, &to] {
            if !self.exists(accid) {
                return Err(Refused::new(414, format!("{accid} not register")));
            }
        }
        let (begin, end) = (form.number("begintime", &[], None)?, form.number("endtime", &[], None)?);
        if begin >= end {
            return Err(Refused::new(414, "bad time"));
        }
        let limit = form.number("limit", &[], None)?;
        if !(1..=100).contains(&limit) {
            return Err(Refused::new(414, "bad limit"));
        }
        let with_no_sense = form.is_true("includeNoSenseMsg");
        let ascending = form.number("reverse", &[1, 2], Some(2))? == 1;
        let between = |message: &&Message| {
            let pair = (&*message.from, message.to.as_str());
            (pair == (from.as_str(), to.as_str()) || pair == (to.as_str(), from.as_str()))
                && (begin..=end).contains(&message.sent_at)
                && message.history
                && (with_no_sense || !message.no_sense)
                && message.fate(self.begun_at) == Fate::Stored
        };
        let mut found: Vec<&Message> = self.netease.messages.iter().filter(between).collect();
        found.sort_by_key(|message| message.sent_at);
        if !ascending {
            found.reverse();
        }
        found.truncate(limit as usize);
        let show = |message: &&Message| {
            json!({"from": &*message.from, "msgid": message.msgid, "sendtime": message.sent_at,
                "type": message.kind, "fromclienttype": 32, "body": message.content()})
        };
        let shown: Vec<Value> = found.iter().map(show).collect();
        Ok(json!({"code": 200, "size": shown.len(), "msgs": shown}))
    }

    /// Deletes a message on one side: the other still has it.
    pub(super) fn delete_one_way(&mut self, form: &Form) -> Result<Value, Refused> {
        form.number("type", &[13], None)?;
        let id = form.number("deleteMsgid", &[], None)?;
        let message = self.netease.messages.iter_mut().find(|message| message.msgid == id);
        message.ok_or_else(|| Refused::new(404, ""))?.no_sense = true;
        Ok(json!({"code": 200}))
    }

    /// The newest broadcasts before an id.
    pub(super) fn broadcasts(&mut self, form: &Form) -> Result<Value, Refused> {
        let before = form.number("broadcastId", &[], Some(0))?;
        let limit = form.number("limit", &[], Some(100))?;
        if !(1..=100).contains(&limit) {
            return Err(Refused::new(414, "bad limit"));
        }
        self.forget_expired();
        let newest = self.netease.broadcasts.iter().rev();
        let wanted = newest.filter(|broadcast| before == 0 || broadcast.id < before).take(limit as usize);
        let shown: Vec<&Value> = wanted.map(|broadcast| &broadcast.shown).collect();
        Ok(json!({"code": 200, "msgs": shown}))
    }

    /// Whatever has been kept for its time is kept no more.
    fn forget_expired(&mut self) {
        let now_ms = self.now_ms;
        self.netease.broadcasts.retain(|broadcast| {
            broadcast.shown["expireTime"].as_i64().is_none_or(|expires_at| expires_at > now_ms)
        });
    }

    pub(super) fn forget_broadcast(&mut self, form: &Form) -> Result<Value, Refused> {
        let id = form.number("broadcastId", &[], None)?;
        let place = self.netease.broadcasts.iter().position(|broadcast| broadcast.id == id);
        self.netease.broadcasts.remove(place.ok_or_else(|| Refused::new(404, ""))?);
        Ok(json!({"code": 200}))
    }

    pub(super) fn broadcast_of(&mut self, form: &Form) -> Result<Value, Refused> {
        self.forget_expired();
        let id = form.number("broadcastId", &[], None)?;
        let found = self.netease.broadcasts.iter().find(|broadcast| broadcast.id == id);
        let found = found.ok_or_else(|| Refused::new(404, ""))?;
        Ok(json!({"code": 200, "msg": found.shown}))
    }
}
