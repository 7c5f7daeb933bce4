use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::campaign::RecipientID;

const SENT: i64 = 1_790_000_000_123;
/// The conversation must have been stirred by then.
const QUIET_SINCE: i64 = 1_790_000_000_000;

fn sought(recipient: &str, seen_until: Option<u64>) -> Sought {
    Sought {
        recipient: RecipientID::new(recipient).unwrap(),
        message: std::sync::Arc::default(),
        send_time_ms: Some(SENT),
        operation_id: "op".into(),
        asked_at: Timestamp::from_millisecond(SENT).unwrap(),
        asked_last_at: Timestamp::from_millisecond(SENT).unwrap(),
        seen_until,
    }
}

/// A message at a place, of `notice` to `u1` unless it says otherwise, at another time than ours.
fn message(seq: u64, changes: Value) -> Value {
    let mut message = json!({"seq": seq, "sendID": "notice", "recvID": "u1", "groupID": "", "sendTime": 5,
        "serverMsgID": format!("s{seq}"), "clientMsgID": "c", "contentType": 101, "content": "e30="});
    message.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    message
}

fn ours(seq: u64, id: &str) -> Value {
    message(seq, json!({"sendTime": SENT, "serverMsgID": id}))
}

/// In one word: what was seen.
fn word(sighting: Option<Sighting>) -> String {
    match sighting {
        Some(Sighting::Found(receipt)) => format!("found {}", receipt.server_msg_id.unwrap_or_default()),
        Some(Sighting::Nothing { seen_until }) => format!("nothing until {seen_until}"),
        Some(Sighting::NoAnswer(reason)) => format!("no answer: {}", reason.code),
        Some(Sighting::Contradiction(reason)) => format!("contradiction: {}", reason.code),
        None => "unread".into(),
    }
}

/// Reads a conversation with pages of so many, out of answers that `show` gives.
fn read(
    parties: Parties<'_>,
    sought: &Sought,
    newest: Option<&Value>,
    page: u64,
    show: impl Fn(Range) -> Value,
) -> String {
    let mut conversation = Conversation::default();
    conversation.seek(0, sought, parties);
    conversation.newest(newest, |_| Some(QUIET_SINCE));
    while let Some(range) = conversation.next_range(page) {
        let shown = show(range);
        conversation.read(range, Some(&shown).filter(|shown| !shown.is_null()));
    }
    word(conversation.sightings().next().map(|(_, sighting)| sighting))
}

const CHAT: Parties<'static> = Parties::Chat { sender: "notice", recipient: "u1" };

#[test]
fn what_the_newest_place_says() {
    for (told, seen_until, expected) in [
        (json!({"maxSeq": 0, "hasReadSeq": 0, "maxSeqTime": 0}), None, "nothing until 0"),
        (json!({"maxSeq": 7, "maxSeqTime": QUIET_SINCE - 1}), None, "nothing until 7"),
        // Stirred since, or nobody knows when: it must be read.
        (json!({"maxSeq": 7, "maxSeqTime": QUIET_SINCE}), None, "read"),
        (json!({"maxSeq": 7, "maxSeqTime": 0}), None, "read"),
        (json!({"maxSeq": 7, "maxSeqTime": null}), None, "read"),
        (json!({"maxSeq": 7}), None, "read"),
        // An earlier look has read it, in part or up to its newest place.
        (json!({"maxSeq": 7, "maxSeqTime": SENT}), Some(6), "read"),
        (json!({"maxSeq": 7, "maxSeqTime": SENT}), Some(7), "nothing until 7"),
        (json!({"maxSeq": 7, "maxSeqTime": SENT}), Some(8), "contradiction: placesWentBack"),
        (json!({"maxSeq": 0, "maxSeqTime": 0}), Some(1), "contradiction: placesWentBack"),
        (json!({"maxSeq": 7, "maxSeqTime": QUIET_SINCE - 1}), Some(8), "contradiction: placesWentBack"),
        (json!({"maxSeq": -1}), None, "no answer: unreadable"),
        (json!({"maxSeq": "7"}), None, "no answer: unreadable"),
        (json!({"maxSeq": 1.5}), None, "no answer: unreadable"),
        (json!({"maxSeq": null}), None, "no answer: unreadable"),
        (json!({"maxSeqTime": 0}), None, "no answer: unreadable"),
        (json!({"maxSeq": 7, "maxSeqTime": "now"}), None, "no answer: unreadable"),
        (json!([]), None, "no answer: unreadable"),
        (json!(7), None, "no answer: unreadable"),
        (json!(null), None, "no answer: unreadable"),
    ] {
        let sought = sought("u1", seen_until);
        let mut conversation = Conversation::default();
        conversation.seek(0, &sought, CHAT);
        conversation.newest(Some(&told), |_| Some(QUIET_SINCE));
        let seen = match conversation.next_range(100) {
            Some(Range { begin, end: 7 }) if begin == seen_until.unwrap_or(0) + 1 => "read".to_owned(),
            Some(range) => panic!("{told}: {range:?}"),
            None => word(conversation.sightings().next().map(|(_, sighting)| sighting)),
        };
        assert_eq!(seen, expected, "{told} {seen_until:?}");
    }
    let absent = read(CHAT, &sought("u1", None), None, 100, |_| panic!("nothing to read"));
    assert_eq!(absent, "no answer: conversationMissing");
}

#[test]
fn a_quiet_conversation_is_read_where_no_clock_can_be_trusted() {
    let sought = sought("u1", None);
    let mut conversation = Conversation::default();
    conversation.seek(0, &sought, CHAT);
    conversation.newest(Some(&json!({"maxSeq": 3, "maxSeqTime": 1})), |_| None);
    assert_eq!(conversation.next_range(100), Some(Range { begin: 1, end: 3 }));
}

#[test]
fn what_a_page_says() {
    let other = |seq: u64| message(seq, json!({}));
    for (what, messages, expected) in [
        ("it is there", vec![other(1), ours(2, "a"), other(3)], "found a"),
        ("alone", vec![ours(2, "a")], "found a"),
        ("the last", vec![other(1), other(2), ours(3, "a")], "found a"),
        ("in no order", vec![other(3), other(1), ours(2, "a")], "found a"),
        ("a copy of the server's", vec![ours(1, "a"), other(2), ours(3, "a")], "found a"),
        (
            "taken back",
            vec![message(
                2,
                json!({"sendTime": SENT, "serverMsgID": "a", "contentType": 2_101, "content": "x"}),
            )],
            "found a",
        ),
        ("no id", vec![message(2, json!({"sendTime": SENT, "serverMsgID": ""}))], "found "),
        ("not there", vec![other(1), other(2), other(3)], "nothing until 3"),
        (
            "an answer of theirs",
            vec![
                other(1),
                message(2, json!({"sendID": "u1", "recvID": "notice", "sendTime": SENT})),
                other(3),
            ],
            "nothing until 3",
        ),
        ("a hole", vec![other(1), other(3)], "no answer: placesMissing"),
        ("the newest left out", vec![other(1), other(2)], "no answer: placesMissing"),
        ("an empty list", vec![], "no answer: placesMissing"),
        (
            "one that cannot be read",
            vec![other(1), json!({"seq": 2, "sendID": 7}), other(3)],
            "no answer: placesMissing",
        ),
        ("a null", vec![other(1), json!(null), other(3)], "no answer: placesMissing"),
        (
            "a text for a place",
            vec![other(1), message(2, json!({"seq": "2"})), other(3)],
            "no answer: placesMissing",
        ),
        ("two of them", vec![ours(1, "a"), other(2), ours(3, "b")], "contradiction: twoMessages"),
        (
            "two without an id and with one",
            vec![ours(1, ""), other(2), ours(3, "b")],
            "contradiction: twoMessages",
        ),
        (
            "letter case of the recipient",
            vec![other(1), message(2, json!({"sendTime": SENT, "recvID": "U1"})), other(3)],
            "contradiction: letterCase",
        ),
        (
            "letter case of the sender",
            vec![other(1), message(2, json!({"sendTime": SENT, "sendID": "Notice"})), other(3)],
            "contradiction: letterCase",
        ),
        (
            "letter case at another time",
            vec![other(1), message(2, json!({"recvID": "U1"})), other(3)],
            "contradiction: foreignMessage",
        ),
        (
            "somebody else's, at our time",
            vec![other(1), message(2, json!({"sendTime": SENT, "recvID": "u2"})), other(3)],
            "contradiction: foreignMessage",
        ),
        (
            "a group's",
            vec![other(1), message(2, json!({"recvID": "", "groupID": "g1"})), other(3)],
            "contradiction: foreignMessage",
        ),
        ("a place twice", vec![other(1), other(2), other(2), other(3)], "contradiction: placeTwice"),
        ("a place not asked for", vec![other(1), other(2), other(3), other(4)], "contradiction: otherPlaces"),
        ("no place at all", vec![other(0), other(1), other(2), other(3)], "contradiction: otherPlaces"),
        // What was seen was seen, whatever else an answer says.
        ("seen beside a hole", vec![ours(3, "a")], "found a"),
        (
            "seen beside a stranger",
            vec![ours(1, "a"), message(2, json!({"recvID": "u2"})), other(3)],
            "found a",
        ),
    ] {
        let newest = json!({"maxSeq": 3, "maxSeqTime": SENT});
        let shown = json!({"Msgs": messages, "isEnd": true, "endSeq": 0});
        assert_eq!(
            read(CHAT, &sought("u1", None), Some(&newest), 100, |_| shown.clone()),
            expected,
            "{what}"
        );
    }
    for (what, shown) in [
        ("absent", Value::Null),
        ("without a list", json!({})),
        ("a null list", json!({"Msgs": null})),
        ("a list of another name", json!({"msgs": [ours(1, "a")]})),
        ("no list", json!({"Msgs": {"1": ours(1, "a")}})),
        ("a text", json!("Msgs")),
    ] {
        let newest = json!({"maxSeq": 1, "maxSeqTime": SENT});
        let seen = read(CHAT, &sought("u1", None), Some(&newest), 100, |_| shown.clone());
        assert_eq!(seen, "no answer: placesMissing", "{what}");
    }
}

#[test]
fn each_kind_of_conversation_holds_its_own() {
    let notification = Parties::Notification { sender: "notice", recipient: "u1" };
    let group = Parties::Group { sender: "notice", group: "g1" };
    let to_group = |sender: &str, send_time: i64| {
        message(1, json!({"sendID": sender, "recvID": "", "groupID": "g1", "sendTime": send_time}))
    };
    for (parties, there, expected) in [
        (notification, ours(1, "a"), "found a"),
        (notification, message(1, json!({})), "nothing until 1"),
        (
            notification,
            message(1, json!({"sendID": "u1", "recvID": "notice"})),
            "contradiction: foreignMessage",
        ),
        (group, to_group("notice", SENT), "found s1"),
        (group, to_group("u7", SENT), "nothing until 1"),
        (group, to_group("notice", 9), "nothing until 1"),
        (group, ours(1, "a"), "contradiction: foreignMessage"),
    ] {
        let newest = json!({"maxSeq": 1, "maxSeqTime": SENT});
        let shown = json!({"Msgs": [there]});
        let recipient = if parties == group { "g1" } else { "u1" };
        let seen = read(parties, &sought(recipient, None), Some(&newest), 9, |_| shown.clone());
        assert_eq!(seen, expected, "{parties:?} {there}");
    }
}

#[test]
fn conversations_are_named_as_the_server_names_them() {
    for (parties, id) in [
        (CHAT, "si_notice_u1"),
        (Parties::Chat { sender: "notice", recipient: "9948077346" }, "si_9948077346_notice"),
        (Parties::Chat { sender: "notice", recipient: "Zoe" }, "si_Zoe_notice"),
        (Parties::Chat { sender: "a", recipient: "a" }, "si_a_a"),
        (Parties::Notification { sender: "notice", recipient: "a" }, "sn_notice_a"),
        (Parties::Group { sender: "notice", group: "g1" }, "sg_g1"),
    ] {
        assert_eq!(parties.conversation_id(), id);
    }
}

#[test]
fn a_long_conversation_is_read_from_its_newest_page_down() {
    let newest = |places: u64| json!({"maxSeq": places, "maxSeqTime": SENT});
    let page = |range: Range, ours_at: u64| {
        let at = |seq: u64| if seq == ours_at { ours(seq, "a") } else { message(seq, json!({})) };
        json!({"Msgs": (range.begin..=range.end).map(at).collect::<Vec<_>>()})
    };
    let asked = std::cell::RefCell::new(Vec::new());
    let seen = |places: u64, seen_until: Option<u64>, ours_at: u64| {
        asked.borrow_mut().clear();
        read(CHAT, &sought("u1", seen_until), Some(&newest(places)), 4, |range| {
            asked.borrow_mut().push((range.begin, range.end));
            page(range, ours_at)
        })
    };
    assert_eq!(seen(10, None, 9), "found a");
    assert_eq!(*asked.borrow(), [(7, 10)], "no more than it takes");
    assert_eq!(seen(10, None, 2), "found a");
    assert_eq!(*asked.borrow(), [(7, 10), (3, 6), (1, 2)]);
    assert_eq!(seen(10, Some(4), 0), "nothing until 10");
    assert_eq!(*asked.borrow(), [(7, 10), (5, 6)], "nothing below what was read before");
    assert_eq!(seen(DEEPEST + 1, None, 0), "no answer: longConversation");
    assert_eq!(seen(u64::MAX, None, 0), "no answer: longConversation");
    assert_eq!(asked.borrow().len() as u64, DEEPEST / 4);
}

#[test]
fn several_messages_in_one_conversation_are_told_apart() {
    let first = sought("b_c", Some(1));
    let second = Sought { send_time_ms: Some(SENT + 1), ..sought("b_c", None) };
    let untimed = Sought { send_time_ms: None, ..sought("b_c", None) };
    // Another pair whose conversation has the same name.
    let namesake = sought("c", None);
    let to = Parties::Chat { sender: "a", recipient: "b_c" };
    let mut conversation = Conversation::default();
    conversation.seek(0, &first, to);
    conversation.seek(1, &second, to);
    conversation.seek(2, &untimed, to);
    conversation.seek(3, &namesake, Parties::Chat { sender: "a_b", recipient: "c" });
    conversation.newest(Some(&json!({"maxSeq": 3, "maxSeqTime": SENT})), |_| Some(QUIET_SINCE));
    let range = conversation.next_range(9).unwrap();
    assert_eq!(range, Range { begin: 1, end: 3 });
    let at = |seq: u64, sender: &str, recipient: &str, time: i64| {
        message(seq, json!({"sendID": sender, "recvID": recipient, "sendTime": time}))
    };
    let shown = json!({"Msgs": [at(1, "a", "b_c", 7), at(2, "a_b", "c", SENT), at(3, "a", "b_c", SENT + 1)]});
    conversation.read(range, Some(&shown));
    let seen: Vec<_> = conversation.sightings().map(|(index, seen)| (index, word(Some(seen)))).collect();
    let expected = ["nothing until 3", "found s3", "no answer: noSendTime", "found s2"];
    assert_eq!(seen, expected.into_iter().map(str::to_owned).enumerate().collect::<Vec<_>>());
}

#[test]
fn what_was_not_read_to_its_end_is_not_seen() {
    let sought = sought("u1", None);
    let mut conversation = Conversation::default();
    conversation.seek(0, &sought, CHAT);
    assert_eq!(conversation.sightings().next(), None);
    conversation.newest(Some(&json!({"maxSeq": 3, "maxSeqTime": SENT})), |_| None);
    assert_eq!(conversation.sightings().next(), None);
    conversation.read(
        conversation.next_range(2).unwrap(),
        Some(&json!({"Msgs": [message(2, json!({})), message(3, json!({}))]})),
    );
    assert_eq!(conversation.sightings().next(), None);
    conversation.cannot_be_read(Reason::new("noMember", ""));
    assert_eq!(word(conversation.sightings().next().map(|seen| seen.1)), "no answer: noMember");
}
