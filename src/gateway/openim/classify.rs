//! What an answer of an OpenIM server means: read once, into our closed list.
//!
//! Knows: HTTP statuses, the server's codes, and what each proves about work done. Pure: bytes in,
//! an [`Answer`] out. Must never know: connections, tokens' lives, retries.
//!
//! The batch call answers an error code only before its loop over the recipients begins: nothing was
//! sent. `send_msg` may answer one after the message left, so there an infrastructure code proves nothing.

use std::collections::HashMap;

use jiff::SignedDuration;
use serde::{Deserialize, de::IgnoredAny};

use super::wire::{BatchData, Envelope, Sent};
use crate::{
    campaign::RecipientID,
    gateway::{scrub::Scrub, transport::RawAnswer},
    run::reply::{Answer, Cause, Reason, Receipt, Reply, Verdict},
};

/// The code of a recipient who stands among the failed ones, of whom OpenIM never says why.
pub const FAILED_WITHOUT_REASON: &str = "failedWithoutReason";
/// The code of a recipient who wants no messages.
pub const OPTED_OUT: &str = "optedOut";

/// Understands the answer to a batch call for `asked`.
pub fn batch(raw: &RawAnswer, asked: &[RecipientID], scrub: &Scrub<'_>) -> Answer {
    match open::<BatchData<'_>>(raw, scrub) {
        Opened::Data(data) => {
            let (verdicts, strangers) = settle(data, asked);
            let note = (strangers > 0)
                .then(|| format!("the answer also tells of {strangers} recipients who were not asked"));
            answer(raw, Some(0), note, Reply::Answered(verdicts))
        }
        Opened::Refused(refusal) => refusal.nothing_done(raw),
        Opened::Other(answer) => answer,
    }
}

/// Understands the answer to a batch call to everyone the server knows, which is one delivery.
pub fn everyone(raw: &RawAnswer, star: &RecipientID, scrub: &Scrub<'_>) -> Answer {
    match open::<BatchData<'_>>(raw, scrub) {
        Opened::Data(data) => {
            let (sent, failed) =
                (data.results.unwrap_or_default().len(), data.failed.unwrap_or_default().len());
            let note = format!("sent to {sent} accounts, failed for {failed}");
            let verdict = if sent > 0 {
                Verdict::Accepted(Receipt::default())
            } else {
                Verdict::Unknown(Reason::new(FAILED_WITHOUT_REASON, note.clone()))
            };
            answer(raw, Some(0), Some(note), Reply::Answered(vec![(star.clone(), verdict)]))
        }
        Opened::Refused(refusal) => refusal.nothing_done(raw),
        Opened::Other(answer) => answer,
    }
}

/// Understands the answer to `send_msg` for `asked`.
pub fn single(raw: &RawAnswer, asked: &RecipientID, scrub: &Scrub<'_>) -> Answer {
    match open::<Sent<'_>>(raw, scrub) {
        Opened::Data(sent) => {
            let reply = Reply::Answered(vec![(asked.clone(), verdict(sent))]);
            answer(raw, Some(0), None, reply)
        }
        Opened::Refused(refusal) => refusal.of_single(raw, asked),
        Opened::Other(answer) => answer,
    }
}

/// Understands the answer to a request that does not send: its data, or what stands in the way.
pub fn read<'a, T: Deserialize<'a>>(raw: &'a RawAnswer, scrub: &Scrub<'_>) -> Result<T, Answer> {
    match open(raw, scrub) {
        Opened::Data(data) => Ok(data),
        Opened::Refused(refusal) => Err(refusal.nothing_done(raw)),
        Opened::Other(answer) => Err(answer),
    }
}

fn answer(raw: &RawAnswer, code: Option<i64>, message: Option<String>, reply: Reply) -> Answer {
    Answer { http_status: Some(raw.status), provider_code: code, provider_message: message, reply }
}

/// An answer, taken out of its wrapping.
enum Opened<T> {
    Data(T),
    Refused(Refusal),
    /// Decided by the HTTP status, or unreadable.
    Other(Answer),
}

fn open<'a, T: Deserialize<'a>>(raw: &'a RawAnswer, scrub: &Scrub<'_>) -> Opened<T> {
    let status = raw.status;
    match status {
        200..=299 => {}
        400 => {
            return match refusal(&raw.body, scrub) {
                Some(refusal) => {
                    let reply = Reply::Rejected(refusal.reason());
                    Opened::Other(answer(raw, Some(refusal.code), Some(refusal.text), reply))
                }
                None => Opened::Other(unread(raw, scrub, Reply::Unanswered, "not OpenIM's answer")),
            };
        }
        429 => {
            let reason = Reason::new("429", "the provider asks to slow down");
            let cause = Cause::Throttled { retry_after: retry_after(raw) };
            let message = scrub.excerpt(&raw.body);
            return Opened::Other(answer(raw, Some(429), message, Reply::NothingDone(cause, reason)));
        }
        // By their meaning the request was turned away; the server itself gives only 404.
        301 | 307 | 308 => {
            return Opened::Other(unread(
                raw,
                scrub,
                Reply::Rejected,
                "a redirect: is the gateway's url right?",
            ));
        }
        404 | 405 => {
            return Opened::Other(unread(
                raw,
                scrub,
                Reply::Rejected,
                "no such call: is the gateway's url right?",
            ));
        }
        401 | 403 | 407 | 411 | 413 | 414 | 415 | 431 => {
            return Opened::Other(unread(raw, scrub, Reply::Rejected, "turned away before OpenIM"));
        }
        _ => return Opened::Other(unread(raw, scrub, Reply::Unanswered, "not OpenIM's answer")),
    }
    match serde_json::from_slice::<Envelope<T>>(&raw.body) {
        Ok(Envelope { err_code: 0, data: Some(data), .. }) => Opened::Data(data),
        _ => match refusal(&raw.body, scrub) {
            Some(refusal) => Opened::Refused(refusal),
            None => Opened::Other(unread(raw, scrub, Reply::Unanswered, "an answer that cannot be read")),
        },
    }
}

fn unread(raw: &RawAnswer, scrub: &Scrub<'_>, reply: fn(Reason) -> Reply, what: &str) -> Answer {
    let code =
        if (200..300).contains(&raw.status) { "unreadable".into() } else { format!("http{}", raw.status) };
    let reason = Reason::new(code, format!("HTTP {}: {what}", raw.status));
    answer(raw, None, scrub.excerpt(&raw.body), reply(reason))
}

/// How long a throttling provider wants quiet: whole seconds between 1 s and 10 min. The server is
/// known to compute nonsense here, which says nothing.
fn retry_after(raw: &RawAnswer) -> Option<SignedDuration> {
    let seconds: u64 = raw.retry_after.as_deref()?.trim().parse().ok()?;
    Some(SignedDuration::from_secs(seconds.clamp(1, 600) as i64))
}

/// An error code with its words, scrubbed.
struct Refusal {
    code: i64,
    text: String,
}

fn refusal(body: &[u8], scrub: &Scrub<'_>) -> Option<Refusal> {
    let envelope: Envelope<IgnoredAny> = serde_json::from_slice(body).ok()?;
    if envelope.err_code == 0 {
        return None;
    }
    let name = envelope.err_msg.unwrap_or_default();
    let detail = envelope.err_dlt.unwrap_or_default();
    let text = match (name.is_empty(), detail.is_empty() || detail == name) {
        (_, true) => name,
        (true, false) => detail,
        (false, false) => format!("{name}: {detail}"),
    };
    Some(Refusal { code: envelope.err_code, text: scrub.line(&text) })
}

impl Refusal {
    fn reason(&self) -> Reason {
        let text = if self.text.is_empty() { "the provider gives no words" } else { &self.text };
        Reason::new(self.code.to_string(), text)
    }

    /// The meaning where any error code proves that nothing was done.
    fn nothing_done(self, raw: &RawAnswer) -> Answer {
        let reason = self.reason();
        let reply = match self.before_work(raw) {
            Some(reply) => reply,
            None if self.is_infrastructure() => Reply::NothingDone(Cause::Outage, reason),
            None => Reply::Rejected(reason),
        };
        answer(raw, Some(self.code), Some(self.text), reply)
    }

    /// The meaning for `send_msg`, which can fail after the message has left.
    fn of_single(self, raw: &RawAnswer, asked: &RecipientID) -> Answer {
        let reason = self.reason();
        let reply = match self.before_work(raw) {
            Some(reply) => reply,
            None if self.is_infrastructure() => Reply::Unanswered(reason),
            None => Reply::Answered(vec![(asked.clone(), Verdict::Refused(reason))]),
        };
        answer(raw, Some(self.code), Some(self.text), reply)
    }

    /// What every call checks before it does anything.
    fn before_work(&self, raw: &RawAnswer) -> Option<Reply> {
        let token = match self.code {
            1501 | 1502 | 1503 | 1505 | 1506 | 1507 => true,
            1001 => self.text.contains("header must have token"),
            _ => false,
        };
        if token {
            return Some(Reply::NothingDone(Cause::Token, self.reason()));
        }
        match self.code {
            429 => {
                Some(Reply::NothingDone(Cause::Throttled { retry_after: retry_after(raw) }, self.reason()))
            }
            // Not an admin, a sender who may not, a token from the future: settings, not luck.
            1002 | 1504 => Some(Reply::Rejected(self.reason())),
            8 | 500 if self.is_bad_message() => Some(Reply::Rejected(self.reason())),
            _ => None,
        }
    }

    /// Content that does not fit its type comes dressed as an internal error, and so does a message
    /// that is too large for the server's queue; both stay so however often they are asked.
    fn is_bad_message(&self) -> bool {
        ["Key: '", "error(s) decoding", "received message larger", "message larger than"]
            .iter()
            .any(|sign| self.text.contains(sign))
    }

    /// Trouble between the server's own parts: raw gRPC codes, unclassified, database, webhooks.
    fn is_infrastructure(&self) -> bool {
        matches!(self.code, 1..=16 | 500 | 1000 | 90002 | 90004 | 90007)
    }
}

fn verdict(sent: Sent<'_>) -> Verdict {
    let text = |text: Option<super::wire::Text<'_>>| {
        text.map(|text| text.0.into_owned()).filter(|text| !text.is_empty())
    };
    let said_server_id = sent.server_msg_id.is_some();
    let server_msg_id = text(sent.server_msg_id);
    let client_msg_id = text(sent.client_msg_id);
    match (&server_msg_id, &client_msg_id) {
        (Some(_), _) => {
            Verdict::Accepted(Receipt { server_msg_id, client_msg_id, send_time_ms: sent.send_time })
        }
        (None, None) if said_server_id => {
            Verdict::Refused(Reason::new(OPTED_OUT, "the recipient refuses messages"))
        }
        _ => Verdict::Unknown(Reason::new("noMessageID", "the answer names no message")),
    }
}

/// A verdict for everyone asked, in their order, and how many others the answer tells of.
fn settle(data: BatchData<'_>, asked: &[RecipientID]) -> (Vec<(RecipientID, Verdict)>, usize) {
    let mut verdicts: Vec<Option<Verdict>> = vec![None; asked.len()];
    let mut places = Places { asked, next: 0, index: HashMap::new() };
    let mut strangers = 0;
    for mut sent in data.results.unwrap_or_default() {
        let place = sent.recv_id.take().and_then(|id| places.of(&id.0));
        match place.and_then(|place| verdicts.get_mut(place)) {
            Some(slot) if !matches!(slot, Some(Verdict::Accepted(_))) => *slot = Some(verdict(sent)),
            Some(_) => {}
            None => strangers += 1,
        }
    }
    places.next = 0;
    for id in data.failed.unwrap_or_default() {
        match places.of(&id.0).and_then(|place| verdicts.get_mut(place)) {
            Some(slot) if slot.is_none() => {
                let reason = Reason::new(FAILED_WITHOUT_REASON, "the provider failed it and gives no reason");
                *slot = Some(Verdict::Unknown(reason));
            }
            Some(_) => {}
            None => strangers += 1,
        }
    }
    let unmentioned = || Verdict::Unknown(Reason::new("notMentioned", "the answer does not mention them"));
    let settled =
        asked.iter().cloned().zip(verdicts).map(|(id, known)| (id, known.unwrap_or_else(unmentioned)));
    (settled.collect(), strangers)
}

/// Finds recipients by id. Answers keep the order of the request, so the next one is nearly always
/// the one that follows; the index is built only when it is not.
struct Places<'a> {
    asked: &'a [RecipientID],
    next: usize,
    index: HashMap<&'a str, usize>,
}

impl Places<'_> {
    fn of(&mut self, id: &str) -> Option<usize> {
        let place = if self.asked.get(self.next).is_some_and(|next| next.as_str() == id) {
            self.next
        } else {
            if self.index.is_empty() {
                self.index = self.asked.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
            }
            *self.index.get(id)?
        };
        self.next = place + 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests;
