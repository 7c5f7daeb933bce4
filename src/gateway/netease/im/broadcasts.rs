//! What the list of messages to everyone tells of one of them.
//!
//! Pure. As everywhere in the history, a message has no mark of ours: it is recognised by its body, its sender
//! and its time. How long the provider lists what it does not keep for clients that are offline, nobody tells, and
//! of those that it keeps it lists only the latest, for as long as each is kept. So that one is *not* there is said only
//! where all of this holds: it was to be kept until now, the list reaches back beyond it, and it has come further than it
//! already.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    look::json_or_text,
    window::{Place, Window},
};
use crate::{
    campaign::Message,
    gateway::netease::codes,
    run::{
        look::Sighting,
        reply::{Reason, Receipt},
    },
};

/// For how long a broadcast is kept that does not say it, in hours.
const KEPT_FOR_HOURS: i64 = 168;

/// When the newest of them was taken, by the provider's clock.
pub fn newest(told: &Value) -> Option<Timestamp> {
    list(told).as_array()?.iter().filter_map(created).max()
}

/// The messages, which come as themselves or as text.
fn list(told: &Value) -> Cow<'_, Value> {
    match told {
        Value::String(text) => Cow::Owned(json_or_text(text)),
        other => Cow::Borrowed(other),
    }
}

fn created(shown: &Value) -> Option<Timestamp> {
    codes::code_of(&shown["createTime"]).and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// What the newest messages to everyone, `most` at most, tell at this time of the provider's clock of one that was taken
/// within the window.
pub fn judge(told: &Value, message: &Message, window: &Window, now: Timestamp, most: usize) -> Sighting {
    let no_answer = |code: &str, text: &str| Sighting::NoAnswer(Reason::new(code, text));
    let list = list(told);
    let Some(list) = list.as_array() else { return no_answer("unreadable", "the broadcasts cannot be read") };
    let Some(times) = list.iter().map(created).collect::<Option<Vec<Timestamp>>>() else {
        return no_answer("unreadable", "a broadcast without a time");
    };
    let ours = message.0.get("body").and_then(Value::as_str).map(json_or_text);
    let from = message.0.get("from").and_then(Value::as_str);
    let is_ours = |shown: &Value| {
        let body = shown["body"].as_str().map(json_or_text).unwrap_or_else(|| shown["body"].clone());
        let sender = shown["from"].as_str().unwrap_or_default();
        Some(body) == ours && from.is_none_or(|from| from.eq_ignore_ascii_case(sender))
    };
    let ours: Vec<(&Value, Place)> = list
        .iter()
        .zip(&times)
        .filter(|(shown, _)| is_ours(shown))
        .filter_map(|(shown, time)| Some((shown, window.place(*time)?)))
        .collect();
    if let Some((found, _)) = ours.iter().find(|(_, place)| *place == Place::Within) {
        return Sighting::Found(Receipt {
            server_msg_id: codes::exact(&found["broadcastId"]),
            client_msg_id: None,
            send_time_ms: codes::code_of(&found["createTime"]),
        });
    }
    if let Some(doubt) = ours.iter().find_map(|(_, place)| place.doubt()) {
        return Sighting::NoAnswer(doubt);
    }
    let is_kept = message.0.get("isOffline").is_some_and(codes::truth);
    let kept_for = message.0.get("ttl").and_then(codes::code_of).unwrap_or(KEPT_FOR_HOURS);
    // Of what is kept for longer than can be counted nothing is said.
    let kept_for = SignedDuration::try_from_hours(kept_for).unwrap_or(SignedDuration::ZERO);
    let (oldest, newest) = (times.iter().min(), times.iter().max());
    match (oldest, newest) {
        _ if !is_kept => {
            no_answer("notKept", "nobody tells how long a broadcast without isOffline is listed")
        }
        _ if window.may_be_over(now, kept_for) => {
            no_answer("keptNoMore", "the time for which the provider keeps the broadcast may be over")
        }
        (Some(oldest), _) if list.len() >= most && *oldest >= window.early_since => {
            no_answer("longList", "more broadcasts were made since than one page holds")
        }
        (_, Some(newest)) if *newest > window.end => {
            Sighting::Nothing { seen_until: u64::try_from(newest.as_millisecond()).unwrap_or(0) }
        }
        _ => no_answer("notFurther", "no later broadcast shows that the list has come so far"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    const AT: i64 = 1_700_000_000_000;

    #[track_caller]
    fn check(is_offline: bool, msgs: Value, expected: &str) {
        check_later(json!({"isOffline": is_offline}), 90_000, msgs, expected);
    }

    /// The same of a message with these fields, so many milliseconds later.
    #[track_caller]
    fn check_later(fields: Value, after_ms: i64, msgs: Value, expected: &str) {
        let at = |ms| Timestamp::from_millisecond(AT + ms).unwrap();
        let window =
            Window { early_since: at(-300_000), begin: at(0), end: at(80_000), late_until: at(680_000) };
        let mut message = Map::from_iter([
            ("from".to_owned(), json!("bot")),
            ("body".to_owned(), json!(r#"{"banner": 1}"#)),
        ]);
        message.extend(fields.as_object().unwrap().clone());
        let found = match judge(&msgs, &Message(message), &window, at(after_ms), 3) {
            Sighting::Found(receipt) => format!("found {}", receipt.server_msg_id.unwrap()),
            Sighting::Nothing { .. } => "nothing".to_owned(),
            Sighting::NoAnswer(reason) | Sighting::Contradiction(reason) => reason.code,
        };
        assert_eq!(found, expected, "{msgs}");
    }

    #[test]
    fn what_may_be_kept_no_more_is_not_absent() {
        let later = || json!([shown(90_000, "x")]);
        // It may have been taken five minutes before it left.
        for (ttl_hours, after_s, expected) in [
            (Some(1), 3_299, "nothing"),
            (Some(1), 3_300, "keptNoMore"),
            (Some(24), 3_300, "nothing"),
            (None, 168 * 3_600 - 301, "nothing"),
            (None, 168 * 3_600 - 300, "keptNoMore"),
            (Some(i64::MAX), 90, "keptNoMore"),
        ] {
            let mut fields = json!({"isOffline": true});
            fields.as_object_mut().unwrap().extend(ttl_hours.map(|hours| ("ttl".to_owned(), json!(hours))));
            check_later(fields, after_s * 1_000, later(), expected);
        }
        let ours = json!([shown(500, r#"{"banner":1}"#)]);
        check_later(json!({"isOffline": true, "ttl": 1}), 3_600_000, ours, "found 48174900000001");
    }

    fn shown(after_ms: i64, body: &str) -> Value {
        json!({"broadcastId": 48_174_900_000_001_i64, "from": "Bot", "body": body, "createTime": AT + after_ms})
    }

    #[test]
    fn ours_is_found_and_its_absence_is_hard_to_prove() {
        let ours = shown(500, r#"{"banner":1}"#);
        check(false, json!([ours]), "found 48174900000001");
        check(true, json!([shown(90_000, "x"), ours]), "found 48174900000001");
        check(true, json!([ours]).to_string().into(), "found 48174900000001");
        // Another text, another time, another sender.
        let other = shown(500, r#"{"banner":2}"#);
        check(true, json!([other]), "notFurther");
        check(true, json!([shown(90_000, "x"), other]), "nothing");
        check(true, json!([shown(90_000, r#"{"banner":1}"#)]), "late");
        check(true, json!([shown(90_000, "x"), shown(-1, r#"{"banner":1}"#)]), "early");
        check(true, json!([shown(90_000, "x"), shown(-300_001, r#"{"banner":1}"#)]), "nothing");
        check(true, json!([shown(690_000, r#"{"banner":1}"#)]), "nothing");
        let mut stranger = ours.clone();
        stranger["from"] = "another".into();
        check(true, json!([shown(90_000, "x"), stranger]), "nothing");
        check(true, json!([]), "notFurther");
        check(false, json!([shown(90_000, "x")]), "notKept");
        // A full page that does not reach back so far.
        check(true, vec![shown(90_000, "x"); 3].into(), "longList");
        check(true, json!([shown(90_000, "x"), shown(90_000, "x"), shown(-300_001, "x")]), "nothing");
        check(true, Value::Null, "unreadable");
        check(true, json!([{"body": "x"}]), "unreadable");
    }
}
