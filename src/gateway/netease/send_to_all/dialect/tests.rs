use serde_json::json;

use super::*;
use crate::gateway::netease::send_to_all::answer::tests::profile;

fn dialect(profile: Profile) -> SendToAllDialect {
    SendToAllDialect { profile, defaults: Map::new(), batch_size: 500, max_batch_size: 1_000, concurrency: 4 }
}

fn read(profile: Profile, message: Value, to: AddressedTo) -> (Option<Map<String, Value>>, Vec<Fault>) {
    let Value::Object(message) = message else { panic!("{message} is no mapping") };
    let (message, faults) = dialect(profile).read_message(&message, to);
    (message.map(|message| message.0), faults)
}

/// What is sent of a good message to named users.
#[track_caller]
fn good(profile: Profile, message: Value, expected: Value) {
    let (read, faults) = read(profile, message.clone(), AddressedTo::Users);
    assert_eq!(faults, [], "{message}");
    assert_eq!(read.map(Value::Object), Some(expected), "{message}");
}

/// The places and words of what is wrong.
#[track_caller]
fn bad(profile: Profile, message: Value, to: AddressedTo, expected: &[&str]) {
    let (read, faults) = read(profile, message.clone(), to);
    let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(told, expected, "{message}");
    assert!(read.is_none());
}

#[test]
fn body_is_written_in_three_ways() {
    let message = json!({"type": 0, "body": {"msg": "hi"}});
    let with = |body| Profile { body, ..profile() };
    good(with(BodyMode::String), message.clone(), json!({"type": 0, "body": r#"{"msg":"hi"}"#}));
    good(with(BodyMode::Object), message.clone(), json!({"type": 0, "body": {"msg": "hi"}}));
    good(with(BodyMode::DoubleEncoded), message, json!({"type": 0, "body": r#""{\"msg\":\"hi\"}""#}));
    // JSON text is taken as it stands, spaces too, and as an object where one is wanted.
    let text = json!({"type": 0, "body": r#"{"msg": "hi"}"#});
    good(with(BodyMode::String), text.clone(), text.clone());
    good(with(BodyMode::Object), text, json!({"type": 0, "body": {"msg": "hi"}}));
}

#[test]
fn scalars_are_written_as_the_server_wants_them() {
    for (scalars, kind, read) in
        [(Scalars::Number, json!(2), json!(1)), (Scalars::String, json!("2"), json!("1"))]
    {
        let profile = Profile { scalars, ..profile() };
        let expected = json!({"type": kind, "body": "{}", "markRead": read});
        good(profile.clone(), json!({"type": "2", "body": "{}", "markRead": 1}), expected.clone());
        good(profile, json!({"type": 2, "body": "{}", "markRead": "1"}), expected);
    }
}

#[test]
fn lengths_are_counted_before_anything_is_sent() {
    let card = |count: usize| json!({"type": 0, "body": {"msg": "春".repeat(count)}});
    // {"msg":"…"} around it.
    good(profile(), card(190), json!({"type": 0, "body": format!("{{\"msg\":\"{}\"}}", "春".repeat(190))}));
    let long = "`body` is 201 characters long as it is sent, at most 200 are taken";
    bad(profile(), card(191), AddressedTo::Users, &[long]);
    let off = Profile { body_max_chars: None, ..profile() };
    assert!(read(off, card(2_000), AddressedTo::Users).0.is_some());
    let message = json!({"type": 0, "body": "{}", "ext": "é".repeat(1_025)});
    bad(profile(), message, AddressedTo::Users, &["`ext` is 1025 characters long, at most 1024 are taken"]);
}

#[test]
fn recipients_are_selected_or_named_and_never_both() {
    let message = json!({"type": 0, "body": "{}", "areaid": 370_700, "enterptypeid": "3"});
    let (read, faults) = read(profile(), message.clone(), AddressedTo::Unlisted);
    assert_eq!(faults, []);
    assert_eq!(read.unwrap()["areaid"], "370700");
    let both = ["`areaid` selects recipients, and the campaign names them besides"];
    bad(profile(), json!({"type": 0, "body": "{}", "areaid": "1"}), AddressedTo::Users, &both);
    let empty = ["`areaid` is empty, and what a server makes of that nobody tells"];
    bad(profile(), json!({"type": 0, "body": "{}", "areaid": ""}), AddressedTo::Unlisted, &empty);
    let two = json!({"type": 0, "body": "{}", "two": []});
    bad(profile(), two, AddressedTo::Users, &["`two` belongs to the audience, not to the message"]);
    let groups = ["this gateway writes to users, not to groups"];
    bad(profile(), json!({"type": 0, "body": "{}"}), AddressedTo::Groups, &groups);
    let mut dialect = dialect(profile());
    dialect.defaults.insert("areaid".into(), "1".into());
    let Value::Object(plain) = json!({"type": 0, "body": "{}"}) else { unreachable!() };
    assert!(dialect.read_message(&plain, AddressedTo::Unlisted).0.is_none());
}

#[test]
fn what_is_missing_or_wrong_is_told() {
    bad(profile(), json!({}), AddressedTo::Users, &["`type` is missing", "`body` is missing"]);
    bad(
        profile(),
        json!({"type": true, "body": 1, "from": "", "markRead": 2}),
        AddressedTo::Users,
        &[
            "`from` is empty",
            "`type` is no whole number from 0 to 2147483647",
            "`markRead` is no whole number from 0 to 1",
            "`body` is a number, not a text or a mapping",
        ],
    );
    let object = Profile { body: BodyMode::Object, ..profile() };
    let words = ["`body` is no mapping, and the gateway's `body` is set to object"];
    bad(object, json!({"type": 0, "body": "hello"}), AddressedTo::Users, &words);
    // Sent as it is, with a word about it.
    let (message, faults) =
        read(profile(), json!({"type": 0, "body": "hello", "typ": 1}), AddressedTo::Users);
    assert_eq!(message.unwrap()["body"], "hello");
    assert_eq!(faults.len(), 2);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning));
}
