use serde_json::json;

use super::*;

fn dialect(defaults: Value) -> OpenIMDialect {
    let Value::Object(defaults) = defaults else { panic!("defaults are a mapping") };
    OpenIMDialect::new(defaults, 100, 4)
}

fn told(fault: &Fault) -> String {
    let path: String = fault
        .path
        .iter()
        .map(|step| match step {
            Step::Key(key) => format!(".{key}"),
            Step::Index(index) => format!("[{index}]"),
        })
        .collect();
    let severity = if fault.severity == Severity::Warning { "warning " } else { "" };
    format!("{severity}{} {}", fault.code, path.trim_start_matches('.'))
}

/// Lays `change` over a good text message and compares the faults.
fn check(to: AddressedTo, change: Value, expected: &[&str]) -> Option<Message> {
    let mut message = json!({"sendID": "notice", "contentType": "text", "content": {"content": "hi"}});
    for (key, value) in change.as_object().unwrap() {
        match value {
            Value::Null => message.as_object_mut().unwrap().remove(key),
            value => message.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    let (message, faults) = dialect(json!({})).read_message(message.as_object().unwrap(), to);
    assert_eq!(faults.iter().map(told).collect::<Vec<_>>(), expected, "{change}: {faults:?}");
    assert_eq!(message.is_some(), expected.iter().all(|fault| fault.starts_with("warning")), "{change}");
    message
}

fn field(message: Option<Message>, key: &str) -> Value {
    message.unwrap().0.get(key).cloned().unwrap_or_default()
}

#[test]
fn the_documentations_request_is_good() {
    let request = json!({
        "sendID": "3473643418", "senderNickname": "Alice", "senderFaceURL": "http://example.com/a.png",
        "senderPlatformID": 2, "content": {"content": "hello!!"}, "contentType": 101, "sessionType": 1,
        "isOnlineOnly": false, "notOfflinePush": false, "ex": "ex",
        "offlinePushInfo": {"title": "1213", "desc": "…", "ex": "ex", "iOSPushSound": "default", "iOSBadgeCount": true},
    });
    let (message, faults) = dialect(json!({})).read_message(request.as_object().unwrap(), AddressedTo::Users);
    assert_eq!(faults, []);
    assert_eq!(Value::Object(message.unwrap().0), request);
}

#[test]
fn defaults_complete_a_message() {
    let dialect = dialect(json!({"sendID": "notice", "senderPlatformID": 2, "sessionType": 1}));
    let said = json!({"contentType": "text", "content": {"content": "hi"}, "senderPlatformID": 5});
    let (message, faults) = dialect.read_message(said.as_object().unwrap(), AddressedTo::Groups);
    assert_eq!(faults, []);
    let complete = json!({"contentType": 101, "content": {"content": "hi"}, "senderPlatformID": 5,
        "sendID": "notice", "sessionType": 3});
    assert_eq!(Value::Object(message.unwrap().0), complete);
}

#[test]
fn a_wrong_default_is_named_as_one() {
    let dialect = dialect(json!({"sendID": "notice", "notOfflinePush": "true"}));
    let said = json!({"contentType": "text", "content": {"content": "hi"}});
    let (message, faults) = dialect.read_message(said.as_object().unwrap(), AddressedTo::Users);
    assert_eq!(message, None);
    let hints: Vec<_> = faults.iter().map(|fault| fault.hint.as_deref()).collect();
    assert_eq!(hints, [Some("`notOfflinePush` comes from the gateway's defaults")]);
}

#[test]
fn fields_have_the_servers_types() {
    use AddressedTo::Users;
    for (change, expected) in [
        (json!({"sendID": null}), &["C010 sendID"][..]),
        (json!({"sendID": ""}), &["C041 sendID"]),
        (json!({"sendID": 1.5}), &["C011 sendID"]),
        (json!({"sendID": true}), &["C011 sendID"]),
        (json!({"senderNickname": 5}), &["C011 senderNickname"]),
        (json!({"senderPlatformID": "2"}), &["C011 senderPlatformID"]),
        (json!({"senderPlatformID": 12}), &["C041 senderPlatformID"]),
        (json!({"senderPlatformID": 1.0}), &["C011 senderPlatformID"]),
        (json!({"isOnlineOnly": 1}), &["C011 isOnlineOnly"]),
        (json!({"notOfflinePush": "true"}), &["C011 notOfflinePush"]),
        (json!({"ex": {"k": 1}}), &["C011 ex"]),
        (json!({"offlinePushInfo": "x"}), &["C011 offlinePushInfo"]),
        (json!({"offlinePushInfo": {"iOSBadgeCount": "true"}}), &["C011 offlinePushInfo.iOSBadgeCount"]),
        (json!({"offlinePushInfo": {"titel": "x"}}), &["warning C041 offlinePushInfo.titel"]),
        (json!({"sendTime": 1_790_000_000_123_i64}), &["warning C043 sendTime"]),
        (json!({"sendTime": 0}), &[]),
        (json!({"sendTime": -1}), &["C041 sendTime", "warning C043 sendTime"]),
        (json!({"sendTime": "2026"}), &["C011 sendTime"]),
        (
            json!({"recvIDs": ["u1"], "isSendAll": true, "groupID": "g1"}),
            &["C009 groupID", "C009 isSendAll", "C009 recvIDs"],
        ),
        (json!({"clientMsgID": "x"}), &["C009 clientMsgID"]),
        (json!({"sendid": "x"}), &["C009 sendid"]),
        (json!({"sendID": null, "ex": 1, "content": "hi"}), &["C011 ex", "C010 sendID", "C011 content"]),
    ] {
        check(Users, change, expected);
    }
    assert_eq!(field(check(Users, json!({"sendID": 3473643418_u64}), &[]), "sendID"), "3473643418");
    let own = check(Users, json!({"sendTime": 17}), &["warning C043 sendTime"]);
    assert_eq!(field(own, "sendTime"), 17);
}

#[test]
fn content_types_are_names_or_numbers() {
    use AddressedTo::Users;
    for (name, number) in [("text", 101), ("custom", 110), ("quote", 114), ("markdown", 118)] {
        let content = json!({"content": "x", "data": "{}"});
        for given in [json!(name), json!(number)] {
            let message = json!({"sendID": "notice", "contentType": given, "content": content});
            let (message, _) = dialect(json!({})).read_message(message.as_object().unwrap(), Users);
            assert_eq!(field(message, "contentType"), number);
        }
    }
    for given in [json!("txt"), json!("Text"), json!(107), json!(0), json!(999), json!(1.5)] {
        check(Users, json!({"contentType": given}), &["C041 contentType"]);
    }
    check(Users, json!({"contentType": true}), &["C011 contentType"]);
    check(Users, json!({"contentType": null}), &["C010 contentType"]);
}

#[test]
fn session_types_fit_message_and_audience() {
    use AddressedTo::{Everyone, Groups, Users};
    let oa = json!({"notificationName": "N", "notificationType": 1, "text": "t"});
    let notification = |session: Value| json!({"contentType": "oa", "content": oa, "sessionType": session});
    for (to, change, expected) in [
        (Users, json!({}), Ok(1)),
        (Everyone, json!({"sessionType": "single"}), Ok(1)),
        (Users, json!({"sessionType": 1}), Ok(1)),
        (Groups, json!({}), Ok(3)),
        (Groups, json!({"sessionType": "group"}), Ok(3)),
        (Users, notification(Value::Null), Ok(4)),
        (Everyone, notification(json!(4)), Ok(4)),
        (Users, notification(json!(1)), Err("C041 sessionType")),
        (Groups, notification(Value::Null), Err("C041 contentType")),
        (Users, json!({"sessionType": 3}), Err("C041 sessionType")),
        (Everyone, json!({"sessionType": "group"}), Err("C041 sessionType")),
        (Groups, json!({"sessionType": 1}), Err("C041 sessionType")),
        (Users, json!({"sessionType": 4}), Err("C041 sessionType")),
        (Users, json!({"sessionType": 2}), Err("C041 sessionType")),
        (Users, json!({"sessionType": "sinlge"}), Err("C041 sessionType")),
    ] {
        match expected {
            Ok(number) => assert_eq!(field(check(to, change, &[]), "sessionType"), number),
            Err(fault) => assert_eq!(check(to, change, &[fault]), None),
        }
    }
}

#[test]
fn content_fits_its_type() {
    let image = json!({"type": "png", "width": 10, "height": 10, "url": "http://x/a.png"});
    let no_url = json!({"type": "png", "width": 10, "height": 10});
    let voice = json!({"sourceUrl": "http://x/a.mp3", "duration": 3});
    for (content_type, content, expected) in [
        ("text", json!({}), &["C042 content.content"][..]),
        ("text", json!({"content": ""}), &["C042 content.content"]),
        ("text", json!({"content": 5}), &["C042 content.content"]),
        ("text", json!({"text": "hi"}), &["C042 content.content", "warning C042 content.text"]),
        ("text", json!({"content": "hi", "extra": 1}), &["warning C042 content.extra"]),
        ("text", json!({"content": "x".repeat(1_000_000)}), &["C042 content"]),
        ("markdown", json!({"content": "*hi*"}), &[]),
        ("picture", json!({"sourcePicture": image, "bigPicture": image, "snapshotPicture": image}), &[]),
        (
            "picture",
            json!({"sourcePicture": image, "bigPicture": no_url}),
            &["C042 content.bigPicture.url", "C042 content.snapshotPicture"],
        ),
        ("voice", voice.clone(), &[]),
        ("voice", json!({"sourceUrl": "u", "duration": 0}), &["C042 content.duration"]),
        ("voice", json!({"sourceUrl": "u", "duration": 1.0}), &["C042 content.duration"]),
        ("voice", json!({"sourceUrl": "u", "duration": "1"}), &["C042 content.duration"]),
        ("file", json!({"sourceUrl": "u", "fileName": "f", "fileSize": 1}), &[]),
        (
            "file",
            json!({"sourceUrl": "u", "fileName": "f", "fileSize": 9007199254740993_u64}),
            &["C042 content.fileSize"],
        ),
        (
            "video",
            json!({"videoUrl": "u", "videoType": "mp4", "videoSize": 1, "duration": 1, "snapshotUrl": "u",
                "snapshotWidth": 1}),
            &["C042 content.snapshotHeight"],
        ),
        ("at", json!({"text": "hi", "atUserList": []}), &[]),
        ("at", json!({"text": "hi"}), &["C042 content.atUserList"]),
        ("at", json!({"atUserList": ["u1", 2]}), &["C042 content.atUserList[1]"]),
        ("at", json!({"atUserList": vec!["u"; 1_001]}), &["C042 content.atUserList"]),
        (
            "at",
            json!({"atUserList": [], "atUsersInfo": [{"atUserID": 1}]}),
            &["C042 content.atUsersInfo[0].atUserID"],
        ),
        ("custom", json!({"data": {"a": 1}}), &["C042 content.data"]),
        ("custom", json!({"data": "{\"a\":1}"}), &[]),
        ("quote", json!({}), &[]),
        (
            "oa",
            json!({"notificationName": "N", "notificationType": 1, "text": "t", "mixType": 6, "soundElem": voice}),
            &["C042 content.mixType"],
        ),
        (
            "oa",
            json!({"notificationName": "N", "notificationType": 0, "text": "t"}),
            &["C042 content.notificationType"],
        ),
    ] {
        check(AddressedTo::Users, json!({"contentType": content_type, "content": content}), expected);
    }
    check(AddressedTo::Users, json!({"content": null}), &["C010 content"]);
    check(AddressedTo::Users, json!({"content": "hi"}), &["C011 content"]);
}

#[test]
fn a_wrong_key_is_told_its_neighbour() {
    for (wrong, near) in [
        ("sendid", Some("sendID")),
        ("contnt", Some("content")),
        ("notOfflinePsh", Some("notOfflinePush")),
        ("zzz", None),
    ] {
        let known = || PLAIN.iter().map(|field| field.name).chain(OTHERS);
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        assert_eq!(did_you_mean(wrong, known()), hint, "{wrong}");
    }
}

#[test]
fn ids_that_the_server_cannot_have() {
    let dialect = dialect(json!({}));
    for (id, good) in [("u1", true), ("9948077346", true), ("a b", true), ("张三", true), ("a:b", false)] {
        assert_eq!(dialect.check_recipient(id).is_ok(), good, "{id}");
    }
}
