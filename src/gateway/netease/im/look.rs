//! Reading the history: whether a message of ours stands in the conversation with a recipient.
//!
//! A message has no mark of ours, since its content is its author's: it is recognised by its sender, its
//! body, that a server sent it, and its time. Whatever else a server sent there at that time may be ours
//! in other words, so then nothing is said.

use std::{
    sync::{MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    IM,
    answer::is_stranger,
    broadcasts,
    dialect::CallKind,
    pace::{self, May, Pace},
    window::{Place, SLACK, Window},
    wire,
};
use crate::{
    campaign::Message,
    gateway::{
        Addressing, Journal, Look, ReadEnd, ReadFault, THROTTLED,
        netease::{
            codes::{self, Told},
            signer::VALIDITY,
        },
        scrub::Scrub,
        transport::no_answer,
    },
    run::{
        look::{Sighting, Sought},
        reply::{Answer, Cause, Reason, Receipt, Reply},
    },
};

/// The most messages of a page.
const PAGE: usize = 100;
/// The code of a message that a look did not come to.
const NOT_READ: &str = "notRead";
/// What the vendor calls messages that a server sent.
const SERVER: i64 = 32;
/// The vendor keeps a conversation for as long as the plan says, and no shortest time could be read anywhere: this is how
/// long it keeps what waits for a client, unless it is told otherwise.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(168);

/// Whether what became of a call with this message can be read; why not.
pub fn can_be_asked(message: &Message, addressing: Addressing, call: CallKind) -> Result<(), Reason> {
    let cannot = |why: &str| Err(Reason::new("cannotBeAsked", why));
    match addressing {
        // Whatever the call for named people is, this one is a broadcast.
        Addressing::Unlisted => return Ok(()),
        Addressing::Group => return cannot("the history of teams is not read"),
        Addressing::Users | Addressing::User if call == CallKind::Attach => {
            return cannot("nothing keeps a notification");
        }
        Addressing::Users | Addressing::User => {}
    }
    let option = message.0.get("option").and_then(Value::as_str);
    let option: Option<Value> = option.and_then(|text| serde_json::from_str(text).ok());
    if option.is_some_and(|option| option["history"] == Value::Bool(false)) {
        return cannot("`option.history` is false, so nothing keeps the message");
    }
    Ok(())
}

/// A message of the history, as much of it as tells whether it is ours.
#[derive(Debug, Deserialize)]
struct Kept {
    from: String,
    #[serde(default)]
    msgid: Value,
    sendtime: Value,
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    fromclienttype: Value,
    #[serde(default)]
    body: Value,
}

impl IM {
    /// A sighting of each message that is sought, one request each: first of whom nothing was read yet, then of whom
    /// it was longest ago, so that looks which are cut short come to everyone in turn.
    pub(super) async fn read_history(
        &self,
        look: &Look,
        journal: &dyn Journal,
    ) -> Result<Vec<Sighting>, ReadFault> {
        if let Err(reason) = can_be_asked(&look.message, look.addressing, self.dialect.call) {
            return Err(ReadFault(reason));
        }
        let mut order: Vec<usize> = (0..look.sought.len()).collect();
        order.sort_by_key(|place| look.sought.get(*place).and_then(|sought| sought.seen_until));
        let unread = Sighting::NoAnswer(Reason::new(NOT_READ, "the look was cut short"));
        let mut sightings = vec![unread; look.sought.len()];
        for (turn, place) in order.into_iter().enumerate() {
            let (Some(sought), Some(seen)) = (look.sought.get(place), sightings.get_mut(place)) else {
                continue;
            };
            match self.sighting(look.addressing, sought, journal).await {
                Ok(sighting) => *seen = sighting,
                // A fault before anything was seen says nothing of any of them.
                Err(fault) if turn == 0 => return Err(fault),
                Err(fault) => {
                    cut_short(&mut sightings, &fault);
                    break;
                }
            }
        }
        Ok(sightings)
    }

    async fn sighting(
        &self,
        addressing: Addressing,
        sought: &Sought,
        journal: &dyn Journal,
    ) -> Result<Sighting, ReadFault> {
        if let Err(reason) = can_be_asked(&sought.message, addressing, self.dialect.call) {
            return Ok(Sighting::NoAnswer(reason));
        }
        match addressing {
            Addressing::Unlisted => self.broadcasts(sought, journal).await,
            // A window that is no time of theirs is refused, which would count against the provider.
            _ if !self.caller.knew_clock_at(sought.asked_at) => Ok(other_clock()),
            _ => self.session(sought, journal).await,
        }
    }

    async fn session(&self, sought: &Sought, journal: &dyn Journal) -> Result<Sighting, ReadFault> {
        let message = &sought.message;
        let from = message.0.get("from").and_then(Value::as_str).unwrap_or_default();
        let window = Window::of(sought, self.caller.clock_offset(), self.timeout);
        let now = self.caller.provider_now();
        let end = window.late_until.min(now + SLACK);
        let form = wire::session(from, sought.recipient.as_str(), window.early_since, end, PAGE);
        match self.read(wire::SESSION, &form, journal).await? {
            Ok(_) if !self.caller.knew_clock_at(sought.asked_at) => Ok(other_clock()),
            Ok(told) => Ok(judge(kept(&told.body["msgs"]), message, from, &window, now)),
            Err(answer) => unread(answer, sought),
        }
    }

    /// The newest messages to everyone.
    async fn broadcasts(&self, sought: &Sought, journal: &dyn Journal) -> Result<Sighting, ReadFault> {
        let window = Window::of(sought, self.caller.clock_offset(), self.timeout);
        let told = match self.read(wire::BROADCASTS, &wire::broadcasts(PAGE), journal).await? {
            Ok(told) => told,
            Err(answer) => return Err(ReadFault::of(answer.reply)),
        };
        if let Some(newest) = broadcasts::newest(&told.body["msgs"]) {
            self.caller.saw(newest);
        }
        if !self.caller.knew_clock_at(sought.asked_at) {
            return Ok(other_clock());
        }
        let now = self.caller.provider_now();
        Ok(broadcasts::judge(&told.body["msgs"], &sought.message, &window, now, PAGE))
    }

    /// Makes one request that reads. The inner error is an answer that is none.
    async fn read(
        &self,
        path: &str,
        form: &str,
        journal: &dyn Journal,
    ) -> Result<Result<Told, Answer>, ReadFault> {
        let may = self.pace().next(self.clock.steady());
        match may {
            May::Call { after } => tokio::time::sleep(Duration::try_from(after).unwrap_or_default()).await,
            May::NotFor(left) => {
                let text =
                    format!("the provider blocks questions for {:.0} s more", left.as_secs_f64().ceil());
                return Err(ReadFault(Reason::new(THROTTLED, text)));
            }
        }
        let operation_id = journal.begin(1).await?;
        let (body, id) = (form.as_bytes(), Some(operation_id.as_str()));
        let posted = self.caller.post(path, wire::FORM, body, id, VALIDITY, &OnceLock::new()).await;
        let read = match posted {
            Ok(raw) => {
                let secrets = self.caller.secrets();
                let told = codes::open(&raw, &Scrub { secrets: &secrets }).map_err(|answer| *answer);
                told.and_then(|told| match told.code {
                    Some(200) => Ok(told),
                    _ => {
                        let answer = told.refused(&raw, pace::BLOCK);
                        Err(self.caller.mind_clock(&raw, answer))
                    }
                })
            }
            Err(fault) => Err(no_answer(fault)),
        };
        match &read {
            Ok(_) => self.pace().answered(),
            Err(Answer { reply: Reply::NothingDone(Cause::Throttled { .. }, _), .. }) => {
                self.pace().throttled(self.clock.steady());
            }
            Err(_) => {}
        }
        let end = match &read {
            Ok(told) => ReadEnd::answered(told.code),
            Err(answer) => ReadEnd::unanswered(answer),
        };
        journal.end(&operation_id, end).await;
        Ok(read)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a fault leaves of a look: whatever was found is there. That something is not there proves nothing while the
/// provider falters; that a question came too soon says nothing of those before it.
fn cut_short(sightings: &mut [Sighting], ReadFault(reason): &ReadFault) {
    let falters = reason.code != THROTTLED;
    for sighting in sightings {
        let is_void = match sighting {
            Sighting::Nothing { .. } => falters,
            Sighting::NoAnswer(why) => why.code == NOT_READ,
            Sighting::Found(_) | Sighting::Contradiction(_) => false,
        };
        if is_void {
            *sighting = Sighting::NoAnswer(reason.clone());
        }
    }
}

/// By the provider's clock of today, a message of an hour ago may stand where ours should.
fn other_clock() -> Sighting {
    let text = "the provider's clock was set since, so its history does not tell which message is this one";
    Sighting::NoAnswer(Reason::new("clockWasSet", text))
}

/// An account that does not exist now may have existed when it was written to; all else that is no answer says
/// nothing of anybody.
fn unread(answer: Answer, sought: &Sought) -> Result<Sighting, ReadFault> {
    let ReadFault(reason) = ReadFault::of(answer.reply);
    let from = sought.message.0.get("from").and_then(Value::as_str).unwrap_or_default();
    if reason.code == "414" && is_stranger(&reason.text, &sought.recipient, from) {
        return Ok(Sighting::NoAnswer(Reason::new("unregistered", "there is no such account any more")));
    }
    Err(ReadFault(reason))
}

/// How far a conversation has come: to the provider's time.
fn how_far(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

/// The messages: a list, or a list in JSON as a text.
fn kept(told: &Value) -> Option<Vec<Kept>> {
    match told {
        Value::String(text) => serde_json::from_str(text).ok(),
        list => serde_json::from_value(list.clone()).ok(),
    }
}

/// What the messages of the window tell, oldest first.
fn judge(
    kept: Option<Vec<Kept>>,
    message: &Message,
    from: &str,
    window: &Window,
    now: Timestamp,
) -> Sighting {
    let no_answer = |code: &str, text: &str| Sighting::NoAnswer(Reason::new(code, text));
    let Some(kept) = kept else { return no_answer("unreadable", "the history cannot be read") };
    let is_whole = kept.len() < PAGE;
    let ours = message.0.get("body").and_then(Value::as_str).map(json_or_text);
    let kind = message.0.get("type").and_then(Value::as_i64);
    let by_us = kept.into_iter().filter_map(|kept| {
        let time = codes::code_of(&kept.sendtime).and_then(|time| Timestamp::from_millisecond(time).ok())?;
        let is_by_us =
            kept.from.eq_ignore_ascii_case(from) && codes::code_of(&kept.fromclienttype) == Some(SERVER);
        window.place(time).filter(|_| is_by_us).map(|place| (kept, place))
    });
    let (mut others, mut doubt) = (false, None);
    for (kept, place) in by_us {
        let body = match &kept.body {
            Value::String(text) => json_or_text(text),
            other => other.clone(),
        };
        let is_ours = Some(&body) == ours.as_ref() && codes::code_of(&kept.kind) == kind;
        if place != Place::Within {
            doubt = place.doubt().filter(|_| is_ours).or(doubt);
        } else if is_ours {
            return Sighting::Found(Receipt {
                server_msg_id: codes::exact(&kept.msgid),
                client_msg_id: None,
                send_time_ms: codes::code_of(&kept.sendtime),
            });
        } else {
            others = true;
        }
    }
    match doubt {
        _ if others => no_answer("notRecognised", "a server sent something else there at that time"),
        Some(doubt) => Sighting::NoAnswer(doubt),
        None if !is_whole => no_answer("longConversation", "more was said at that time than one page holds"),
        None if window.may_be_over(now, KEPT_FOR) => {
            no_answer("keptNoMore", "the time for which the provider keeps the message may be over")
        }
        None => Sighting::Nothing { seen_until: how_far(now) },
    }
}

/// A text as the JSON that it is, or as itself.
pub(super) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use serde_json::{Map, json};

    use super::*;
    use crate::campaign::RecipientID;

    const ASKED_AT: i64 = 1_700_000_000_000;

    #[track_caller]
    fn check(msgs: Value, expected: &str) {
        check_later(SignedDuration::from_secs(80), msgs, expected);
    }

    /// The same of a look so long after the request.
    #[track_caller]
    fn check_later(after: SignedDuration, msgs: Value, expected: &str) {
        let message = Message(Map::from_iter([
            ("type".to_owned(), json!(0)),
            ("body".to_owned(), json!(r#"{"msg": "hi"}"#)),
        ]));
        let sought = Sought {
            recipient: RecipientID::new("u1").unwrap(),
            message: Arc::new(message.clone()),
            send_time_ms: None,
            operation_id: "r".into(),
            asked_at: Timestamp::from_millisecond(ASKED_AT).unwrap(),
            asked_last_at: Timestamp::from_millisecond(ASKED_AT).unwrap(),
            seen_until: None,
        };
        let window = Window::of(&sought, SignedDuration::ZERO, Duration::from_secs(20));
        let found = match judge(kept(&msgs), &message, "bot", &window, sought.asked_at + after) {
            Sighting::Found(receipt) => format!("found {}", receipt.server_msg_id.unwrap()),
            Sighting::Nothing { .. } => "nothing".to_owned(),
            Sighting::NoAnswer(reason) => reason.code,
            Sighting::Contradiction(reason) => panic!("{reason:?}"),
        };
        assert_eq!(found, expected, "{msgs}");
    }

    #[test]
    fn ours_is_recognised_and_what_might_be_is_not_denied() {
        let with = |change: fn(&mut Value)| {
            let mut kept = json!({"from": "bot", "msgid": 9_007_199_254_740_993_i64, "type": 0,
                "sendtime": ASKED_AT + 300, "fromclienttype": 32, "body": {"msg": "hi"}});
            change(&mut kept);
            kept
        };
        let ours = with(|_| {});
        check(json!([ours]), "found 9007199254740993");
        check(json!([ours.clone()]).to_string().into(), "found 9007199254740993");
        check(json!([with(|kept| kept["body"] = r#"{"msg":"hi"}"#.into())]), "found 9007199254740993");
        check(
            json!([with(|kept| kept["sendtime"] = (ASKED_AT + 300).to_string().into())]),
            "found 9007199254740993",
        );
        check(json!([]), "nothing");
        // From the other side, from a telephone, from before, from much later.
        check(json!([with(|kept| kept["from"] = "u1".into())]), "nothing");
        check(json!([with(|kept| kept["fromclienttype"] = 2.into())]), "nothing");
        check(json!([with(|kept| kept["sendtime"] = (ASKED_AT - 306_000).into())]), "nothing");
        check(json!([with(|kept| kept["sendtime"] = (ASKED_AT + 681_000).into())]), "nothing");
        // So shortly before that it is ours, by a clock that is behind, or another.
        check(json!([with(|kept| kept["sendtime"] = (ASKED_AT - 6_000).into())]), "early");
        // So much later that it is ours, very late, or another.
        check(json!([with(|kept| kept["sendtime"] = (ASKED_AT + 81_000).into())]), "late");
        let other_later = with(|kept| {
            kept["sendtime"] = (ASKED_AT + 81_000).into();
            kept["body"]["msg"] = "hi!".into();
        });
        check(json!([other_later]), "nothing");
        // In other words it may be ours.
        check(json!([with(|kept| kept["body"]["msg"] = "hi!".into())]), "notRecognised");
        check(json!([with(|kept| kept["type"] = 100.into())]), "notRecognised");
        check(json!([with(|kept| kept["body"]["msg"] = "hi!".into()), ours]), "found 9007199254740993");
        check(vec![with(|kept| kept["from"] = "u1".into()); PAGE].into(), "longConversation");
        check(json!("no list"), "unreadable");
        check(Value::Null, "unreadable");
    }

    #[test]
    fn what_may_be_kept_no_more_is_not_absent() {
        // It may have been taken five minutes before it left, by a clock that is behind, and five seconds.
        let longest = KEPT_FOR - SignedDuration::from_secs(305);
        check_later(longest - SignedDuration::from_secs(1), json!([]), "nothing");
        check_later(longest, json!([]), "keptNoMore");
        let ours = json!({"from": "bot", "msgid": 7, "type": 0, "sendtime": ASKED_AT, "fromclienttype": 32,
            "body": {"msg": "hi"}});
        check_later(longest, json!([ours]), "found 7");
    }

    #[test]
    fn a_look_that_is_cut_short_keeps_what_it_has_found() {
        let left_by = |code: &str| {
            let mut sightings = [
                Sighting::Found(Receipt::default()),
                Sighting::Nothing { seen_until: 1 },
                Sighting::NoAnswer(Reason::new("notRecognised", "")),
                Sighting::NoAnswer(Reason::new(NOT_READ, "")),
            ];
            cut_short(&mut sightings, &ReadFault(Reason::new(code, "")));
            sightings.map(|sighting| match sighting {
                Sighting::Found(_) => "found".to_owned(),
                Sighting::Nothing { .. } => "nothing".to_owned(),
                Sighting::NoAnswer(reason) | Sighting::Contradiction(reason) => reason.code,
            })
        };
        assert_eq!(left_by(THROTTLED), ["found", "nothing", "notRecognised", "throttled"]);
        // While the provider falters, that something is not there proves nothing.
        assert_eq!(left_by("timeout"), ["found", "timeout", "notRecognised", "timeout"]);
    }
}
