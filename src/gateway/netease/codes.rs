//! What an answer's HTTP status and code prove, for requests that send: the provider's own API and
//! gateways modelled on it use the same codes.
//!
//! Pure. The vendor documents retries for 416 alone; whatever it leaves open is taken as unproven.

use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    gateway::{scrub::Scrub, transport::RawAnswer},
    run::reply::{Answer, Cause, Reason, Reply},
};

/// An answer in JSON of an HTTP success, not yet judged.
#[derive(Debug)]
pub struct Told {
    pub body: Value,
    /// `code`, written as a number or as digits.
    pub code: Option<i64>,
    /// `desc`, scrubbed; empty when there is none.
    pub text: String,
}

/// What was answered: JSON to be judged, or what stands in the way.
pub fn open(raw: &RawAnswer, scrub: &Scrub<'_>) -> Result<Told, Box<Answer>> {
    let plain = |reply: fn(Reason) -> Reply, what: &str| {
        let code = if (200..300).contains(&raw.status) {
            "unreadable".to_owned()
        } else {
            format!("http{}", raw.status)
        };
        let reason = Reason::new(code, format!("HTTP {}: {what}", raw.status));
        Box::new(answer(raw, None, scrub.excerpt(&raw.body), reply(reason)))
    };
    match raw.status {
        200..=299 => {}
        429 => {
            let reason = Reason::new("429", "the provider asks to slow down");
            let asked = raw.retry_after.as_deref().and_then(|text| text.trim().parse::<u64>().ok());
            let retry_after = asked.map(|seconds| SignedDuration::from_secs(seconds.clamp(1, 600) as i64));
            let reply = Reply::NothingDone(Cause::Throttled { retry_after }, reason);
            return Err(Box::new(answer(raw, None, scrub.excerpt(&raw.body), reply)));
        }
        301 | 302 | 307 | 308 => {
            return Err(plain(Reply::Rejected, "a redirect: is the gateway's url right?"));
        }
        404 | 405 => return Err(plain(Reply::Rejected, "no such call: is the gateway's url right?")),
        401 | 403 | 407 | 411 | 413 | 414 | 415 | 431 => {
            return Err(plain(Reply::Rejected, "turned away before the provider"));
        }
        _ => return Err(plain(Reply::Unanswered, "not the provider's answer")),
    }
    let Ok(body @ Value::Object(_)) = serde_json::from_slice(&raw.body) else {
        return Err(plain(Reply::Unanswered, "an answer that cannot be read"));
    };
    let code = body.get("code").and_then(code_of);
    let text = ["/desc", "/msg", "/message"].iter().find_map(|place| body.pointer(place)?.as_str());
    Ok(Told { code, text: scrub.line(text.unwrap_or_default()), body })
}

/// A code, which some write as digits in a text.
pub fn code_of(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// An id or a time: a whole number of any size, or digits in a text; never rounded.
pub fn exact(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::String(text) if !text.is_empty() && text.len() <= 128 => Some(text.clone()),
        _ => None,
    }
}

/// Whether a value says yes, however it is written.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => matches!(text.trim(), "true" | "1"),
        _ => false,
    }
}

pub fn answer(raw: &RawAnswer, code: Option<i64>, message: Option<String>, reply: Reply) -> Answer {
    Answer { http_status: Some(raw.status), provider_code: code, provider_message: message, reply }
}

/// Whose fault a refused request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Our time was refused: another signature may be taken.
    Time,
    /// Key or secret are wrong, or the application is suspended.
    Account,
    /// The object that was named does not exist, or may not be written to.
    Object,
    Request,
}

/// What a code other than success means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Proven: nothing was done, and the whole application waits.
    SlowDown,
    /// Proven: turned away before anything was done.
    NotNow,
    /// Anything may have been done.
    Unclear,
    /// Proven: nothing was done, and the same is futile.
    Refused(Refusal),
}

/// The table of codes. `text` helps only to tell a refused signature from other parameter errors.
pub fn meaning(code: i64, text: &str) -> Meaning {
    match code {
        416 => Meaning::SlowDown,
        503 | 514 | 449 => Meaning::NotNow,
        414 => Meaning::Refused(parameter(text)),
        404 => Meaning::Refused(Refusal::Object),
        301 | 302 | 315 | 403 | 422 | 423 | 405 | 406 | 419 | 509 | 801..=810 => {
            Meaning::Refused(Refusal::Request)
        }
        // 500, 408, 415, 998, 999 may come after the work; 431 and 417 say that the same was asked
        // before; of any other code nobody tells.
        _ => Meaning::Unclear,
    }
}

/// 414 stands for every parameter and for the signature; the words tell, where they do.
fn parameter(text: &str) -> Refusal {
    let lower = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["curtime", "expired"]) {
        Refusal::Time
    } else if says(&["checksum", "appkey", "app key", "nonce"]) {
        Refusal::Account
    } else if says(&["not register"]) {
        Refusal::Object
    } else {
        Refusal::Request
    }
}

impl Told {
    /// The reason that an answer with this code gives.
    pub fn reason(&self) -> Reason {
        let code = self.code.map_or("noCode".to_owned(), |code| code.to_string());
        let text = match (self.text.as_str(), self.code) {
            ("", Some(431)) => "an identical request came before; what became of it is not told",
            ("", _) => "the provider gives no words",
            (text, _) => text,
        };
        Reason::new(code, text)
    }

    /// The meaning of an answer that is no success, where no recipient is to blame. `block` is how long
    /// the provider keeps the application waiting after 416.
    pub fn refused(&self, raw: &RawAnswer, block: SignedDuration) -> Answer {
        let reason = self.reason();
        let meaning = self.code.map_or(Meaning::Unclear, |code| meaning(code, &self.text));
        let reply = match meaning {
            Meaning::SlowDown => Reply::NothingDone(Cause::Throttled { retry_after: Some(block) }, reason),
            Meaning::NotNow => Reply::NothingDone(Cause::Outage, reason),
            Meaning::Unclear => Reply::Unanswered(reason),
            Meaning::Refused(Refusal::Time) => Reply::NothingDone(Cause::Token, reason),
            Meaning::Refused(Refusal::Account) => Reply::NothingDone(Cause::Outage, reason),
            Meaning::Refused(Refusal::Object | Refusal::Request) => Reply::Rejected(reason),
        };
        let words = (!self.text.is_empty()).then(|| self.text.clone());
        answer(raw, self.code, words, reply)
    }
}
