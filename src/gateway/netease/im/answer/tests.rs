use std::sync::Arc;

use serde_json::Map;

use super::*;
use crate::{campaign::Message, gateway::Addressees, run::reply::Cause};

/// What an answer to a call for `u1` and `u2` (or one of them, or everyone) means, in words.
#[track_caller]
fn check(path: &str, status: u16, body: &str, expected: &str) {
    check_from("campaign_bot", "u1", path, status, body, expected);
}

/// The same of a call by this sender, where `u1` is called so.
#[track_caller]
fn check_from(from: &str, first: &str, path: &str, status: u16, body: &str, expected: &str) {
    let ids = [first, "u2"].map(|id| RecipientID::new(id).unwrap());
    let to = match path {
        wire::SEND => Addressees::Users(ids[..1].to_vec()),
        wire::BROADCAST => Addressees::Unlisted(RecipientID::unlisted()),
        _ => Addressees::Users(ids.to_vec()),
    };
    let message = Message(Map::from_iter([("from".to_owned(), from.into())]));
    let call = Call {
        operation_id: "r".into(),
        message: Arc::new(message),
        to,
        send_time_ms: None,
        written_to: Default::default(),
    };
    let raw = RawAnswer { status, body: body.as_bytes().to_vec(), ..RawAnswer::default() };
    let answer = understand(&raw, &call, path, &Scrub { secrets: &[] });
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted(receipt) => format!(
            "{}@{}",
            receipt.server_msg_id.as_deref().unwrap_or("-"),
            receipt.send_time_ms.map_or("-".to_owned(), |time| time.to_string())
        ),
        Verdict::Refused(reason) => format!("refused {}", reason.code),
        Verdict::Unknown(reason) => format!("unknown {}", reason.code),
    };
    let found = match &answer.reply {
        Reply::Answered(verdicts) => {
            let asked: Vec<_> = verdicts.iter().map(|(id, _)| id.clone()).collect();
            assert_eq!(asked, call.to.recipients());
            verdicts.iter().map(|(_, verdict)| word(verdict)).collect::<Vec<_>>().join(", ")
        }
        Reply::NothingDone(Cause::Throttled { retry_after }, _) => {
            format!("throttled {}", retry_after.map_or(0, |asked| asked.as_secs()))
        }
        Reply::NothingDone(cause, reason) => format!("nothing done {cause:?} {}", reason.code),
        Reply::Rejected(reason) => format!("rejected {}", reason.code),
        Reply::Unanswered(reason) => format!("unanswered {}", reason.code),
    };
    assert_eq!(found, expected, "{path} {status} {body}");
}

#[test]
fn a_batch_tells_who_is_not_registered_in_any_form() {
    let batch = |body: &str, expected: &str| check(wire::SEND_BATCH, 200, body, expected);
    batch(r#"{"code":200,"timetag":17}"#, "-@17, -@17");
    batch(r#"{"code":"200","timetag":"17"}"#, "-@17, -@17");
    for unregister in [r#""[\"u2\"]""#, r#"["u2"]"#, r#"["U2"]"#] {
        batch(
            &format!(r#"{{"code":200,"timetag":17,"unregister":{unregister}}}"#),
            "-@17, refused unregistered",
        );
    }
    for nobody in ["null", "\"\"", "[]", "\"[]\""] {
        batch(&format!(r#"{{"code":200,"timetag":17,"unregister":{nobody}}}"#), "-@17, -@17");
    }
    batch(r#"{"code":200,"unregister":"u2"}"#, "unanswered unreadable");
    batch(r#"{"code":200,"unregister":{"a":1}}"#, "unanswered unreadable");
}

#[test]
fn message_ids_are_kept_exactly() {
    let batch = |ids: &str, expected: &str| {
        check(wire::SEND_BATCH, 200, &format!(r#"{{"code":200,"timetag":17,"msgids":{ids}}}"#), expected);
    };
    batch(r#"{"u1":310020040500601,"u2":310020040500602}"#, "310020040500601@17, 310020040500602@17");
    // Beyond what a float holds; as digits; in the provider's spelling.
    batch(
        r#"{"U1":9007199254740993,"u2":"18446744073709551615"}"#,
        "9007199254740993@17, 18446744073709551615@17",
    );
    batch(r#"{"u1":1}"#, "1@17, unknown notMentioned");
    check(
        wire::SEND_BATCH,
        200,
        r#"{"code":200,"timetag":17,"msgids":{"u1":1},"unregister":"[\"u2\"]"}"#,
        "1@17, refused unregistered",
    );
}

#[test]
fn other_calls_tell_it_elsewhere() {
    let single = |body: &str, expected: &str| check(wire::SEND, 200, body, expected);
    single(r#"{"code":200,"data":{"msgid":7,"timetag":17,"antispam":false}}"#, "7@17");
    single(r#"{"code":200,"data":{"msgid":7}}"#, "7@-");
    single(r#"{"code":200,"data":{"msgid":7,"antispam":true}}"#, "refused antispam");
    single(r#"{"code":414,"desc":"U1 not register"}"#, "refused unregistered");
    single(r#"{"code":404}"#, "refused unregistered");
    single(r#"{"code":414,"desc":"bot not register"}"#, "rejected 414");
    single(r#"{"code":416}"#, "throttled 11");
    let broadcast = |body: &str, expected: &str| check(wire::BROADCAST, 200, body, expected);
    broadcast(r#"{"code":200,"msg":{"broadcastId":48174900000001,"createTime":17}}"#, "48174900000001@17");
    broadcast(r#"{"code":403,"desc":"func not enable"}"#, "rejected 403");
    check(wire::SEND_ATTACH, 200, r#"{"code":200,"unregister":"[\"u1\"]"}"#, "refused unregistered, -@-");
}

#[test]
fn a_recipient_is_not_registered_where_the_words_name_nobody_else() {
    for (recipient, words, expected) in [
        ("u1", "u1 not register", "refused unregistered"),
        ("U1", "u1 not register", "refused unregistered"),
        ("u1", "accid:<U1> not register", "refused unregistered"),
        ("u1", "u1 not registered", "refused unregistered"),
        // The sender's, within which the recipient's stands; another's; and a word that is no account.
        ("bot", "campaign_bot not register", "rejected 414"),
        ("campaign", "campaign_bot not register", "rejected 414"),
        ("u1", "u11 not register", "rejected 414"),
        ("u1", "u1.a not register", "rejected 414"),
        ("register", "campaign_bot not register", "rejected 414"),
        ("ed", "campaign_bot not registered", "rejected 414"),
        ("u1", "not register", "rejected 414"),
        // Whoever writes to themselves is the sender too.
        ("Campaign_Bot", "campaign_bot not register", "rejected 414"),
    ] {
        let body = format!(r#"{{"code":414,"desc":"{words}"}}"#);
        check_from("campaign_bot", recipient, wire::SEND, 200, &body, expected);
    }
}

#[test]
fn each_status_and_code_proves_what_it_proves() {
    for (status, body, expected) in [
        (200, r#"{"code":416}"#, "throttled 61"),
        (200, r#"{"code":503}"#, "nothing done Outage 503"),
        (200, r#"{"code":514}"#, "nothing done Outage 514"),
        (200, r#"{"code":449}"#, "nothing done Outage 449"),
        (200, r#"{"code":500}"#, "unanswered 500"),
        (200, r#"{"code":408}"#, "unanswered 408"),
        (200, r#"{"code":415}"#, "unanswered 415"),
        (200, r#"{"code":998}"#, "unanswered 998"),
        (200, r#"{"code":999}"#, "unanswered 999"),
        (200, r#"{"code":431}"#, "unanswered 431"),
        (200, r#"{"code":417}"#, "unanswered 417"),
        (200, r#"{"code":12345}"#, "unanswered 12345"),
        (200, r#"{"code":414,"desc":"CurTime is expired"}"#, "nothing done Token 414"),
        (200, r#"{"code":414,"desc":"checksum"}"#, "nothing done Outage 414"),
        (200, r#"{"code":414,"desc":"appkey"}"#, "nothing done Outage 414"),
        (200, r#"{"code":414,"desc":"bot not register"}"#, "rejected 414"),
        (200, r#"{"code":414,"desc":"fromAccid is empty"}"#, "rejected 414"),
        (200, r#"{"code":301}"#, "rejected 301"),
        (200, r#"{"code":315}"#, "rejected 315"),
        (200, r#"{"code":403,"desc":"app is forbidden"}"#, "rejected 403"),
        (200, r#"{"code":404}"#, "rejected 404"),
        (200, r#"{"code":405}"#, "rejected 405"),
        (200, r#"{"code":419}"#, "rejected 419"),
        (200, r#"{"code":422}"#, "rejected 422"),
        (200, r#"{"code":423}"#, "rejected 423"),
        (200, r#"{"code":509}"#, "rejected 509"),
        (200, "", "unanswered unreadable"),
        (200, r#"{"code":200,"time"#, "unanswered unreadable"),
        (200, "<html></html>", "unanswered unreadable"),
        (200, r#"{"ok":true}"#, "unanswered noCode"),
        (302, "", "rejected http302"),
        (404, "", "rejected http404"),
        (413, "", "rejected http413"),
        (429, "", "throttled 0"),
        (500, r#"{"code":200}"#, "unanswered http500"),
        (502, "<html></html>", "unanswered http502"),
        (503, "<html></html>", "unanswered http503"),
        (504, "", "unanswered http504"),
    ] {
        check(wire::SEND_BATCH, status, body, expected);
    }
}
