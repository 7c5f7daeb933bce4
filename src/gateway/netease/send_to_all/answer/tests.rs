use serde_json::json;

use super::*;
use crate::{
    gateway::netease::send_to_all::profile::{BodyMode, Encoding, RecipientList, Scalars, Success},
    run::reply::Cause,
};

pub fn profile() -> Profile {
    Profile {
        encoding: Encoding::JSON,
        body: BodyMode::String,
        body_max_chars: Some(200),
        scalars: Scalars::Number,
        recipients: RecipientList { field: "two".into(), item: json!({"appregisterid": "$id"}) },
        success: Success { pointer: "/code".into(), equals: json!(200) },
        message_id: "/data/msgid".into(),
        antispam: "/data/antispam".into(),
    }
}

/// What an answer means, in a word: the reply, its cause or verdict, its code.
fn word(status: u16, body: &str, profile: &Profile) -> String {
    let raw = RawAnswer { status, body: body.as_bytes().to_vec(), ..RawAnswer::default() };
    let asked = ["u1", "u2"].map(|id| RecipientID::new(id).unwrap());
    let answer = understand(&raw, &asked, profile, &Scrub { secrets: &["s3cret"] });
    match answer.reply {
        Reply::Answered(verdicts) => {
            assert_eq!(verdicts.len(), 2);
            assert_eq!(verdicts[0].1, verdicts[1].1);
            match &verdicts[0].1 {
                Verdict::Accepted(receipt) => {
                    format!("accepted {}", receipt.server_msg_id.as_deref().unwrap_or("-"))
                }
                Verdict::Refused(reason) => format!("refused {}", reason.code),
                Verdict::Unknown(reason) => format!("unknown {}", reason.code),
            }
        }
        Reply::NothingDone(Cause::Throttled { retry_after }, reason) => {
            format!("throttled {} {}", retry_after.map_or(0, |asked| asked.as_secs()), reason.code)
        }
        Reply::NothingDone(cause, reason) => format!("nothing done {cause:?} {}", reason.code),
        Reply::Rejected(reason) => format!("rejected {}", reason.code),
        Reply::Unanswered(reason) => format!("unanswered {}", reason.code),
    }
}

#[test]
fn each_status_and_code_proves_what_it_proves() {
    let profile = profile();
    let check = |status: u16, body: &str, expected: &str| {
        assert_eq!(word(status, body, &profile), expected, "{status} {body}");
    };
    check(200, r#"{"code":200,"data":{"msgid":1200510468189,"antispam":false}}"#, "accepted 1200510468189");
    check(200, r#"{"code":"200","data":{"msgid":"77"}}"#, "accepted 77");
    check(200, r#"{"code":200}"#, "accepted -");
    // Beyond what a float holds.
    check(200, r#"{"code":200,"data":{"msgid":9007199254740993}}"#, "accepted 9007199254740993");
    check(200, r#"{"code":200,"data":{"msgid":18446744073709551615}}"#, "accepted 18446744073709551615");
    check(200, r#"{"code":200,"data":{"msgid":1,"antispam":true}}"#, "refused antispam");
    check(200, r#"{"code":200,"data":{"msgid":1,"antispam":"true"}}"#, "refused antispam");
    check(200, r#"{"code":403}"#, "rejected 403");
    check(200, r#"{"code":414,"desc":"body is empty"}"#, "rejected 414");
    check(200, r#"{"code":414,"desc":"checksum"}"#, "nothing done Outage 414");
    check(200, r#"{"code":414,"desc":"CurTime is expired"}"#, "nothing done Token 414");
    check(200, r#"{"code":"416"}"#, "throttled 61 416");
    check(200, r#"{"code":431}"#, "unanswered 431");
    check(200, r#"{"code":500}"#, "unanswered 500");
    check(200, r#"{"code":503}"#, "nothing done Outage 503");
    check(200, r#"{"code":777}"#, "unanswered 777");
    check(200, "{}", "unanswered noCode");
    check(200, "[1]", "unanswered unreadable");
    check(200, r#"{"code":200,"data":{"ms"#, "unanswered unreadable");
    check(200, "<html>502</html>", "unanswered unreadable");
    check(502, "<html>502</html>", "unanswered http502");
    check(500, r#"{"code":200}"#, "unanswered http500");
    check(404, "not here", "rejected http404");
    check(403, "<html>", "rejected http403");
    check(429, "", "throttled 0 429");
}

#[test]
fn another_endpoint_tells_success_elsewhere() {
    let profile = Profile {
        success: Success { pointer: "/result/ok".into(), equals: json!(true) },
        message_id: "/result/id".into(),
        antispam: "/result/blocked".into(),
        ..profile()
    };
    for (body, expected) in [
        (r#"{"result":{"ok":true,"id":"m-1"}}"#, "accepted m-1"),
        (r#"{"result":{"ok":true,"blocked":1}}"#, "refused antispam"),
        (r#"{"result":{"ok":false}}"#, "unanswered noCode"),
        (r#"{"code":200}"#, "unanswered 200"),
        (r#"{"code":416}"#, "throttled 61 416"),
    ] {
        assert_eq!(word(200, body, &profile), expected, "{body}");
    }
}

#[test]
fn a_providers_words_hold_no_secret() {
    let body = br#"{"code":414,"desc":"bad  secret s3cret"}"#.to_vec();
    let raw = RawAnswer { status: 200, body, ..RawAnswer::default() };
    let answer = understand(&raw, &[], &profile(), &Scrub { secrets: &["s3cret"] });
    assert_eq!(answer.provider_message.as_deref(), Some("bad secret ***"));
}
