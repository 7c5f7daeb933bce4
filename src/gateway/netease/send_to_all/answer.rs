//! What an answer of the profile means. It holds one message id for everyone, so each recipient is
//! accepted, or refused, with all the others.
//!
//! Pure. Must never know: connections, repetitions.

use jiff::SignedDuration;

use super::profile::{Encoding, Profile};
use crate::{
    campaign::RecipientID,
    gateway::{
        netease::codes::{self, Told},
        scrub::Scrub,
        transport::RawAnswer,
    },
    run::reply::{Answer, Reason, Receipt, Reply, Verdict},
};

/// How long 416 is waited for: the provider's block, and a second so as not to meet its very end.
const BLOCK: SignedDuration = SignedDuration::from_secs(61);
/// The code of what moderation has stopped.
pub const ANTISPAM: &str = "antispam";

/// Understands the answer to a call for `asked`.
pub fn understand(raw: &RawAnswer, asked: &[RecipientID], profile: &Profile, scrub: &Scrub<'_>) -> Answer {
    let told = match codes::open(raw, scrub) {
        Ok(told) => told,
        Err(answer) => return *answer,
    };
    if !profile.success.is_told_by(&told.body) {
        return suspect_encoding(told.refused(raw, BLOCK), &told, profile.encoding);
    }
    let verdict = verdict(&told, profile);
    let verdicts = asked.iter().map(|id| (id.clone(), verdict.clone())).collect();
    let words = (!told.text.is_empty()).then(|| told.text.clone());
    codes::answer(raw, told.code, words, Reply::Answered(verdicts))
}

/// An endpoint that expects the other encoding finds no parameters at all, and says of the first that it is missing:
/// a riddle for whoever sees it in the request.
fn suspect_encoding(answer: Answer, told: &Told, encoding: Encoding) -> Answer {
    let misses_one = told.code == Some(414) && (told.text.is_empty() || told.text.ends_with("is empty"));
    match answer.reply {
        Reply::Rejected(Reason { code, text }) if misses_one => {
            let (sent, other) = match encoding {
                Encoding::Form => ("a form", "json"),
                Encoding::JSON => ("JSON", "form"),
            };
            let text = format!("{text}; it was sent as {sent}: does this endpoint want `encoding: {other}`?");
            Answer { reply: Reply::Rejected(Reason::new(code, text)), ..answer }
        }
        _ => answer,
    }
}

fn verdict(told: &Told, profile: &Profile) -> Verdict {
    if told.body.pointer(&profile.antispam).is_some_and(codes::truth) {
        return Verdict::Refused(Reason::new(ANTISPAM, "moderation stopped the message"));
    }
    let server_msg_id = told.body.pointer(&profile.message_id).and_then(codes::exact);
    Verdict::Accepted(Receipt { server_msg_id, client_msg_id: None, send_time_ms: None })
}

#[cfg(test)]
pub(super) mod tests;
