//! The provider's own calls that send.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    Desk, Refused,
    faults::Unregister,
    form::Form,
    history::{Broadcast, Message},
};

const TYPES: [i64; 8] = [0, 1, 2, 3, 4, 6, 10, 100];
/// The most recipients of a call, and of one that gives message ids.
const MOST: usize = 500;
const MOST_WITH_IDS: usize = 100;
/// Of broadcasts that wait for clients which are offline.
const MOST_OFFLINE: usize = 100;
const HOUR_MS: i64 = 3_600_000;

/// What is sent, checked.
pub struct Content {
    pub from: String,
    pub kind: i64,
    pub body: String,
    /// Whether it can be read back.
    pub history: bool,
    /// Whether it leaves no trace with its sender or its recipient.
    pub no_sense: bool,
    /// Whether moderation stops it.
    pub stopped: bool,
}

impl Desk<'_> {
    pub(super) fn send(&mut self, form: &Form) -> Result<Value, Refused> {
        let content = self.content(form, "from")?;
        form.number("ope", &[0], None)?;
        let to = form.required("to")?.to_ascii_lowercase();
        if !self.exists(&to) {
            return Err(Refused::new(414, format!("{to} not register")));
        }
        let sent = self.deliver(&content, &[to]);
        let msgid = sent.first().copied().unwrap_or_default();
        Ok(json!({"code": 200,
            "data": {"msgid": msgid, "timetag": self.now_ms, "antispam": content.stopped}}))
    }

    pub(super) fn send_batch(&mut self, form: &Form) -> Result<Value, Refused> {
        let with_ids = form.is_true("returnMsgid");
        let accids = self.accids(form, if with_ids { MOST_WITH_IDS } else { MOST })?;
        let content = self.content(form, "fromAccid")?;
        let (there, strangers): (Vec<String>, Vec<String>) =
            accids.into_iter().partition(|accid| self.exists(accid));
        let sent = self.deliver(&content, &there);
        let mut answer = json!({"code": 200, "timetag": self.now_ms});
        if with_ids && !self.faults.netease.no_msgids {
            let ids: BTreeMap<&String, i64> = there.iter().zip(sent).collect();
            answer["msgids"] = json!(ids);
        }
        self.tell_strangers(&mut answer, &strangers);
        Ok(answer)
    }

    pub(super) fn send_attach(&mut self, form: &Form) -> Result<Value, Refused> {
        let accids = self.accids(form, MOST)?;
        let from = self.sender(form, "fromAccid")?;
        form.required("attach")?;
        let attach = form.limited("attach", 4_096)?.unwrap_or_default().to_owned();
        form.number("save", &[1, 2], Some(2))?;
        self.limits(form)?;
        let (there, strangers): (Vec<String>, Vec<String>) =
            accids.into_iter().partition(|accid| self.exists(accid));
        let content =
            Content { from, kind: -1, body: attach, history: false, no_sense: false, stopped: false };
        self.deliver(&content, &there);
        let mut answer = json!({"code": 200});
        if !form.is_true("checkAccidAsyncEnable") {
            self.tell_strangers(&mut answer, &strangers);
        }
        Ok(answer)
    }

    pub(super) fn broadcast(&mut self, form: &Form) -> Result<Value, Refused> {
        if self.faults.netease.no_broadcast {
            return Err(Refused::new(403, "func not enable"));
        }
        form.required("body")?;
        let body = form.limited("body", 4_096)?.unwrap_or_default().to_owned();
        let from = form.get("from").map(|_| self.sender(form, "from")).transpose()?.unwrap_or_default();
        let offline = form.is_true("isOffline");
        let ttl = form.number("ttl", &[], Some(168))?;
        let systems =
            if form.get("targetOs").is_some() { form.list("targetOs")? } else { vec!["all".into()] };
        let id = self.next_id();
        let mut shown = json!({"broadcastId": id, "body": body, "isOffline": offline, "targetOs": systems,
            "createTime": self.now_ms});
        if !from.is_empty() {
            shown["from"] = from.as_str().into();
        }
        if offline {
            shown["expireTime"] = (self.now_ms + ttl.saturating_mul(HOUR_MS)).into();
        }
        let content = Content { from, kind: -2, body, history: false, no_sense: false, stopped: false };
        self.deliver(&content, &["*".to_owned()]);
        let broadcasts = &mut self.netease.broadcasts;
        broadcasts.push_back(Broadcast { id, shown: shown.clone() });
        if broadcasts.len() > MOST_OFFLINE {
            broadcasts.pop_front();
        }
        Ok(json!({"code": 200, "msg": shown}))
    }

    fn accids(&self, form: &Form, most: usize) -> Result<Vec<String>, Refused> {
        let accids = form.list("toAccids")?;
        if accids.is_empty() {
            return Err(Refused::new(414, "bad members"));
        }
        if accids.len() > most {
            let code = self.faults.netease.too_many;
            return Err(Refused::new(if code == 0 { 414 } else { code }, "bad members"));
        }
        Ok(accids.into_iter().map(|accid| accid.to_ascii_lowercase()).collect())
    }

    fn sender(&self, form: &Form, name: &str) -> Result<String, Refused> {
        let from = form.required(name)?.to_ascii_lowercase();
        if !self.exists(&from) {
            return Err(Refused::new(414, format!("{from} not register")));
        }
        Ok(from)
    }

    fn limits(&self, form: &Form) -> Result<(), Refused> {
        for (name, most) in [("ext", 1_024), ("payload", 2_048), ("pushcontent", 500), ("msgDesc", 500)] {
            form.limited(name, most)?;
        }
        for name in ["option", "payload"] {
            form.object(name)?;
        }
        Ok(())
    }

    fn content(&self, form: &Form, sender: &str) -> Result<Content, Refused> {
        let from = self.sender(form, sender)?;
        let kind = form.number("type", &TYPES, None)?;
        form.required("body")?;
        let body = form.limited("body", 5_000)?.unwrap_or_default().to_owned();
        let parsed = form.object("body")?.unwrap_or_default();
        let needed = match kind {
            0 | 10 => Some("msg"),
            1 | 2 | 3 | 6 => Some("url"),
            _ => None,
        };
        if needed.is_some_and(|key| !parsed[key].is_string()) {
            return Err(Refused::new(414, "bad body"));
        }
        self.limits(form)?;
        let option = form.object("option")?.unwrap_or_default();
        let word = &self.faults.netease.antispam;
        let stopped = !word.is_empty() && body.contains(word.as_str());
        let history = option["history"] != json!(false);
        let sides = ["msgSenderNoSense", "msgReceiverNoSense"];
        let no_sense = sides.iter().any(|side| form.get(side) == Some("1"));
        Ok(Content { from, kind, body, history, no_sense, stopped })
    }

    /// Notes a message to each. Gives each one's id, in their order.
    pub(super) fn deliver(&mut self, content: &Content, to: &[String]) -> Vec<i64> {
        let (from, body): (Arc<str>, Arc<str>) = (content.from.as_str().into(), content.body.as_str().into());
        let request_id: Arc<str> = self.request_id.into();
        let mut ids = Vec::with_capacity(to.len());
        for accid in to {
            let msgid = self.next_id();
            ids.push(msgid);
            if content.stopped {
                continue;
            }
            self.netease.accepted += 1;
            let every = u64::from(self.faults.lose_every);
            self.netease.messages.push(Message {
                from: Arc::clone(&from),
                to: accid.clone(),
                msgid,
                sent_at: self.now_ms,
                shows_at: self.begun_at + i64::from(self.faults.store_late_ms),
                kind: content.kind,
                body: Arc::clone(&body),
                request_id: Arc::clone(&request_id),
                received_at: self.begun_at,
                history: content.history,
                no_sense: content.no_sense,
                lost: every > 0 && self.netease.accepted.is_multiple_of(every),
            });
        }
        ids
    }

    /// Recipients who are not registered; nothing when there are none.
    fn tell_strangers(&self, answer: &mut Value, strangers: &[String]) {
        if strangers.is_empty() {
            return;
        }
        match self.faults.netease.unregister {
            Unregister::Text => answer["unregister"] = json!(strangers).to_string().into(),
            Unregister::List => answer["unregister"] = json!(strangers),
            Unregister::Absent => {}
        }
    }
}
