use serde_json::json;

use super::*;

fn read(call: CallKind, message: Value, to: AddressedTo) -> (Option<Map<String, Value>>, Vec<String>) {
    let Value::Object(message) = message else { panic!("{message} is no mapping") };
    let Value::Object(defaults) = json!({"type": 0}) else { unreachable!() };
    let dialect = IMDialect { call, defaults, batch_size: 500, concurrency: 4 };
    let (message, faults) = dialect.read_message(&message, to);
    (message.map(|message| message.0), faults.into_iter().map(|fault| fault.message).collect())
}

#[track_caller]
fn good(call: CallKind, message: Value, to: AddressedTo, expected: Value) {
    let (read, told) = read(call, message.clone(), to);
    assert_eq!((read.map(Value::Object), told), (Some(expected), Vec::new()), "{message}");
}

#[track_caller]
fn bad(call: CallKind, message: Value, expected: &[&str]) {
    let (read, told) = read(call, message.clone(), AddressedTo::Users);
    assert_eq!((read, told), (None, expected.iter().map(|told| (*told).to_owned()).collect()), "{message}");
}

#[test]
fn what_is_written_as_a_mapping_is_sent_as_json_text() {
    good(
        CallKind::Batch,
        json!({"from": "Bot", "body": {"msg": "hi"}, "option": {"push": true}, "ext": {"a": 1}}),
        AddressedTo::Users,
        json!({"from": "bot", "type": 0, "body": r#"{"msg":"hi"}"#, "option": r#"{"push":true}"#,
            "ext": r#"{"a":1}"#}),
    );
    // JSON text stays as it is, and a default for another call is none for this one.
    good(
        CallKind::Attach,
        json!({"from": "bot", "attach": "free text", "save": 1}),
        AddressedTo::Users,
        json!({"from": "bot", "attach": "free text", "save": 1}),
    );
    good(
        CallKind::Batch,
        json!({"body": "free text", "isOffline": true, "ttl": 24, "targetOs": ["ios"]}),
        AddressedTo::Unlisted,
        json!({"body": "free text", "isOffline": true, "ttl": 24, "targetOs": ["ios"]}),
    );
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let batch = |message: Value, expected: &[&str]| bad(CallKind::Batch, message, expected);
    batch(json!({}), &["`from` is missing", "`body` is missing"]);
    batch(
        json!({"from": "b t", "body": {"msg": "x"}}),
        &["an accid has letters, digits and `_ @ . -`, and no ` `"],
    );
    batch(json!({"from": "b", "body": "hello"}), &["`body` is no JSON text"]);
    batch(json!({"from": "b", "body": {"text": "x"}}), &["`body` of type 0 is a mapping with a text `msg`"]);
    batch(json!({"from": "b", "type": 1, "body": {}}), &["`body` of type 1 is a mapping with a text `url`"]);
    batch(json!({"from": "b", "type": 5, "body": {}}), &["`type` 5 is none that NetEase sends"]);
    let long = json!({"from": "b", "body": {"msg": "春".repeat(4_991)}});
    batch(long, &["`body` is 5001 characters long, at most 5000 are taken"]);
    let exact = json!({"from": "b", "body": {"msg": "春".repeat(4_990)}});
    assert!(read(CallKind::Batch, exact, AddressedTo::Users).0.is_some());
    batch(
        json!({"from": "b", "body": {"msg": "x"}, "toAccids": ["u1"], "fromAccid": "b", "pushcontnt": "x"}),
        &[
            "sendBatchMsg knows no `fromAccid`",
            "sendBatchMsg knows no `pushcontnt`",
            "`toAccids` belongs to the audience, not to the message",
        ],
    );
    batch(
        json!({"from": "b", "body": {"msg": "x"}, "returnMsgid": "true", "payload": "x"}),
        &["`payload` is no JSON text", "`returnMsgid` is a text, not true or false"],
    );
    bad(
        CallKind::Attach,
        json!({"from": "b", "save": 3}),
        &["`save` is 3, but from 1 to 2", "`attach` is missing"],
    );
    let (_, told) =
        read(CallKind::Batch, json!({"body": "x", "ttl": 3, "targetOs": ["mars"]}), AddressedTo::Unlisted);
    assert_eq!(
        told,
        ["`targetOs` is a list of: ios, aos, pc, web, mac", "`ttl` counts only for clients that are offline"]
    );
}

#[test]
fn message_ids_make_batches_smaller() {
    let dialect = |call| IMDialect { call, defaults: Map::new(), batch_size: 500, concurrency: 4 };
    let with_ids = Message(Map::from_iter([("returnMsgid".to_owned(), true.into())]));
    assert_eq!(dialect(CallKind::Batch).max_batch_size_of(&Message::default()), 500);
    assert_eq!(dialect(CallKind::Batch).max_batch_size_of(&with_ids), 100);
    assert_eq!(dialect(CallKind::Single).max_batch_size_of(&Message::default()), 1);
    assert_eq!(dialect(CallKind::Single).default_batch_size(), 1);
}

#[test]
fn an_account_is_one_however_it_is_written() {
    let dialect = IMDialect { call: CallKind::Batch, defaults: Map::new(), batch_size: 500, concurrency: 4 };
    assert_eq!(dialect.recipient("U1001").unwrap().as_str(), "u1001");
    for bad in ["*", "u 1", "a:b", &"x".repeat(33)] {
        assert!(dialect.recipient(bad).is_err(), "{bad}");
    }
}
