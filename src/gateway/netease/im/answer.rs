//! What an answer of the provider means, for each call that sends.
//!
//! Pure. Must never know: connections, repetitions.

use std::collections::HashSet;

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::wire;
use crate::{
    campaign::RecipientID,
    gateway::{
        Call,
        netease::{
            accid,
            codes::{self, Meaning, Refusal, Told},
        },
        scrub::Scrub,
        transport::RawAnswer,
    },
    run::reply::{Answer, Reason, Receipt, Reply, Verdict},
};

/// How long 416 is waited for: the provider's block, and a second so as not to meet its very end.
const BLOCK: SignedDuration = SignedDuration::from_secs(61);
const BLOCK_OF_SINGLE: SignedDuration = SignedDuration::from_secs(11);
/// The code of what moderation has stopped.
pub const ANTISPAM: &str = "antispam";
/// The code of a recipient who has no account.
pub const UNREGISTERED: &str = "unregistered";

/// Understands the answer to a call that was posted to `path`.
pub fn understand(raw: &RawAnswer, call: &Call, path: &str, scrub: &Scrub<'_>) -> Answer {
    let told = match codes::open(raw, scrub) {
        Ok(told) => told,
        Err(answer) => return *answer,
    };
    let asked = call.to.recipients();
    if told.code != Some(200) {
        return refused(&told, raw, call, path);
    }
    let verdicts = match path {
        wire::SEND => one(&told.body["data"], asked, "msgid", "timetag"),
        wire::BROADCAST => one(&told.body["msg"], asked, "broadcastId", "createTime"),
        _ => match many(&told.body, asked) {
            Some(verdicts) => verdicts,
            None => {
                let reason = Reason::new("unreadable", "`unregister` of the answer cannot be read");
                return codes::answer(raw, told.code, None, Reply::Unanswered(reason));
            }
        },
    };
    let words = (!told.text.is_empty()).then(|| told.text.clone());
    codes::answer(raw, told.code, words, Reply::Answered(verdicts))
}

fn refused(told: &Told, raw: &RawAnswer, call: &Call, path: &str) -> Answer {
    if let ([recipient], wire::SEND) = (call.to.recipients(), path)
        && let Some(code) = told.code
        && codes::meaning(code, &told.text) == Meaning::Refused(Refusal::Object)
    {
        // 404 names nobody; 414 names an account, which may be the sender.
        let from = call.message.0.get("from").and_then(Value::as_str).unwrap_or_default();
        if code == 404 || is_stranger(&told.text, recipient, from) {
            let reason = Reason::new(UNREGISTERED, format!("no such account: {code} {}", told.text));
            let reply = Reply::Answered(vec![(recipient.clone(), Verdict::Refused(reason))]);
            return codes::answer(raw, told.code, Some(told.text.clone()), reply);
        }
    }
    told.refused(raw, if path == wire::SEND { BLOCK_OF_SINGLE } else { BLOCK })
}

/// Whether these words say that the recipient has no account: `u1 not register`. The name of one account may stand within
/// that of another; and where the sender writes to itself, they are about the sender.
pub fn is_stranger(words: &str, recipient: &RecipientID, from: &str) -> bool {
    let words = words.to_lowercase();
    let Some((before, _)) = words.split_once("not register") else { return false };
    let named = before.split(|c| !accid::may_hold(c)).rfind(|word| !word.is_empty());
    let recipient = accid::lower(recipient.as_str());
    named == Some(recipient.as_ref()) && !from.eq_ignore_ascii_case(&recipient)
}

fn stopped() -> Verdict {
    Verdict::Refused(Reason::new(ANTISPAM, "moderation stopped the message"))
}

fn receipt(id: Option<&Value>, time: Option<&Value>) -> Verdict {
    Verdict::Accepted(Receipt {
        server_msg_id: id.and_then(codes::exact),
        client_msg_id: None,
        send_time_ms: time.and_then(codes::code_of),
    })
}

/// The verdict on one recipient, or on everyone at once.
fn one(data: &Value, asked: &[RecipientID], id: &str, time: &str) -> Vec<(RecipientID, Verdict)> {
    let verdict = if data.get(ANTISPAM).is_some_and(codes::truth) {
        stopped()
    } else {
        receipt(data.get(id), data.get(time))
    };
    asked.iter().map(|recipient| (recipient.clone(), verdict.clone())).collect()
}

/// The verdicts on many. None where the answer does not tell who is not registered.
fn many(body: &Value, asked: &[RecipientID]) -> Option<Vec<(RecipientID, Verdict)>> {
    let strangers = unregistered(body.get("unregister"))?;
    let is_stopped = body.get(ANTISPAM).is_some_and(codes::truth);
    let ids = body.get("msgids").and_then(Value::as_object).map(lower_keys);
    let verdict = |recipient: &RecipientID| {
        let accid = accid::lower(recipient.as_str());
        if strangers.contains(accid.as_ref()) {
            return Verdict::Refused(Reason::new(UNREGISTERED, "no such account is registered"));
        }
        if is_stopped {
            return stopped();
        }
        match &ids {
            None => receipt(None, body.get("timetag")),
            Some(ids) => match ids.get(accid.as_ref()) {
                Some(id) => receipt(Some(id), body.get("timetag")),
                None => Verdict::Unknown(Reason::new("notMentioned", "the answer does not mention them")),
            },
        }
    };
    Some(asked.iter().map(|recipient| (recipient.clone(), verdict(recipient))).collect())
}

fn lower_keys(ids: &Map<String, Value>) -> Map<String, Value> {
    ids.iter().map(|(accid, id)| (accid::lower(accid).into_owned(), id.clone())).collect()
}

/// Those who are not registered: a list, a list in JSON as a text, or nothing.
fn unregistered(told: Option<&Value>) -> Option<HashSet<String>> {
    let list = match told {
        None | Some(Value::Null) => return Some(HashSet::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Some(HashSet::new()),
        Some(Value::String(text)) => serde_json::from_str(text).ok()?,
        Some(other) => other.clone(),
    };
    let accids: Vec<String> = serde_json::from_value(list).ok()?;
    Some(accids.iter().map(|accid| accid::lower(accid).into_owned()).collect())
}

#[cfg(test)]
mod tests;
