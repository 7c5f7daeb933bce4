use super::*;

const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJpbUFkbWluIn0.sig";
const ASKED: [&str; 2] = ["u1", "u2"];

fn raw(status: u16, body: &str) -> RawAnswer {
    RawAnswer { status, body: body.as_bytes().to_vec(), ..RawAnswer::default() }
}

fn ids(ids: &[&str]) -> Vec<RecipientID> {
    ids.iter().map(|id| RecipientID::new(*id).unwrap()).collect()
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted(receipt) => receipt.server_msg_id.clone().unwrap(),
        Verdict::Refused(reason) => format!("refused:{}", reason.code),
        Verdict::Unknown(reason) => format!("unknown:{}", reason.code),
    }
}

fn told_reply(reply: &Reply) -> String {
    match reply {
        Reply::Answered(verdicts) => {
            let told: Vec<String> =
                verdicts.iter().map(|(id, verdict)| format!("{id}={}", told(verdict))).collect();
            told.join(" ")
        }
        Reply::NothingDone(cause, reason) => format!("nothing done, {cause:?}, {}", reason.code),
        Reply::Rejected(reason) => format!("rejected, {}", reason.code),
        Reply::Unanswered(reason) => format!("unanswered, {}", reason.code),
    }
}

fn check_batch(status: u16, body: &str, expected: &str) {
    let answer = batch(&raw(status, body), &ids(&ASKED), &Scrub { secrets: &["openIM123"] });
    assert_eq!(told_reply(&answer.reply), expected, "batch: HTTP {status} {}", &body[..body.len().min(200)]);
    assert_eq!(answer.http_status, Some(status));
}

fn check_single(status: u16, body: &str, expected: &str) {
    let asked = RecipientID::new("g1").unwrap();
    let answer = single(&raw(status, body), &asked, &Scrub { secrets: &["openIM123"] });
    assert_eq!(told_reply(&answer.reply), expected, "single: HTTP {status} {body}");
}

fn error(code: i64, name: &str, detail: &str) -> String {
    serde_json::json!({"errCode": code, "errMsg": name, "errDlt": detail}).to_string()
}

fn success(results: &str, failed: &str) -> String {
    format!(
        r#"{{"errCode":0,"errMsg":"","errDlt":"","data":{{"results":{results},"failedUserIDs":{failed}}}}}"#
    )
}

fn row(server: &str, client: &str, id: &str) -> String {
    format!(
        r#"{{"serverMsgID":"{server}","clientMsgID":"{client}","sendTime":1790000000123,"recvID":"{id}"}}"#
    )
}

#[test]
fn a_batch_is_settled_for_everyone_asked_and_nobody_else() {
    let (one, two) = (row("s1", "c", "u1"), row("s2", "c", "u2"));
    let empty = r#"{"serverMsgID":"","clientMsgID":"","sendTime":0,"recvID":"u2"}"#;
    let both = format!("[{one},{two}]");
    for (results, failed, expected) in [
        (both.as_str(), "null", "u1=s1 u2=s2"),
        (&both, "[]", "u1=s1 u2=s2"),
        (&format!("[{two},{one}]"), "null", "u1=s1 u2=s2"),
        (&format!("[{one}]"), r#"["u2"]"#, "u1=s1 u2=unknown:failedWithoutReason"),
        ("null", r#"["u1","u2"]"#, "u1=unknown:failedWithoutReason u2=unknown:failedWithoutReason"),
        ("null", "null", "u1=unknown:notMentioned u2=unknown:notMentioned"),
        (&format!("[{one}]"), "null", "u1=s1 u2=unknown:notMentioned"),
        // In both lists, and twice in one: it was sent at least once.
        (&both, r#"["u1"]"#, "u1=s1 u2=s2"),
        (
            &format!("[{one},{}]", row("s9", "c", "u1")),
            r#"["u2","u2"]"#,
            "u1=s1 u2=unknown:failedWithoutReason",
        ),
        (&format!("[{one},{empty},{two}]"), "null", "u1=s1 u2=s2"),
        // Nobody asked for u3.
        (&format!("[{},{one},{two}]", row("s3", "c", "u3")), r#"["u4"]"#, "u1=s1 u2=s2"),
        (&format!("[{one},{empty}]"), "null", "u1=s1 u2=refused:optedOut"),
        (&format!("[{one},{}]", row("", "c", "u2")), "null", "u1=s1 u2=unknown:noMessageID"),
        (&format!(r#"[{one},{{"recvID":"u2"}}]"#), "null", "u1=s1 u2=unknown:noMessageID"),
        (r#"[{"serverMsgID":"s1"}]"#, "null", "u1=unknown:notMentioned u2=unknown:notMentioned"),
    ] {
        check_batch(200, &success(results, failed), expected);
    }
    check_batch(200, r#"{"errCode":0,"data":{}}"#, "u1=unknown:notMentioned u2=unknown:notMentioned");
}

#[test]
fn a_receipt_keeps_what_the_provider_gave() {
    let body = success(&format!("[{}]", row("s1", "c1", "u1")), "null");
    let answer = batch(&raw(200, &body), &ids(&["u1"]), &Scrub { secrets: &[] });
    let receipt = Receipt {
        server_msg_id: Some("s1".into()),
        client_msg_id: Some("c1".into()),
        send_time_ms: Some(1_790_000_000_123),
    };
    assert_eq!(answer.reply, Reply::Answered(vec![(ids(&["u1"]).remove(0), Verdict::Accepted(receipt))]));
    assert_eq!((answer.provider_code, answer.provider_message), (Some(0), None));
}

#[test]
fn strangers_in_an_answer_are_noted() {
    let body = success(&format!("[{}]", row("s3", "c", "u3")), r#"["u4"]"#);
    let answer = batch(&raw(200, &body), &ids(&ASKED), &Scrub { secrets: &[] });
    let expected = "the answer also tells of 2 recipients who were not asked";
    assert_eq!(answer.provider_message.as_deref(), Some(expected));
}

#[test]
fn http_statuses_and_bodies_that_are_no_answer() {
    const HTML: &str = "<html><body>Bad Gateway</body></html>";
    let good = success(&format!("[{},{}]", row("s1", "c", "u1"), row("s2", "c", "u2")), "null");
    let args = error(1001, "ArgsError", "json: cannot unmarshal string");
    let huge = format!("{{\"errCode\":0,\"x\":\"{}\"", "y".repeat(1 << 20));
    for (status, body, expected) in [
        (200, "", "unanswered, unreadable"),
        (200, HTML, "unanswered, unreadable"),
        (200, &good[..good.len() / 2], "unanswered, unreadable"),
        (200, &huge, "unanswered, unreadable"),
        (200, "{}", "unanswered, unreadable"),
        (200, "[]", "unanswered, unreadable"),
        (200, "null", "unanswered, unreadable"),
        (200, r#"{"errCode":"0","data":{}}"#, "unanswered, unreadable"),
        (200, r#"{"errCode":0}"#, "unanswered, unreadable"),
        (200, r#"{"errCode":0,"data":null}"#, "unanswered, unreadable"),
        (200, r#"{"errCode":0,"data":"done"}"#, "unanswered, unreadable"),
        (200, r#"{"errCode":0,"data":{"results":{}}}"#, "unanswered, unreadable"),
        (200, r#"{"errCode":0,"data":{"failedUserIDs":[7]}}"#, "unanswered, unreadable"),
        (204, "", "unanswered, unreadable"),
        (201, &good, "u1=s1 u2=s2"),
        (200, r#"{"errCode":1001,"errMsg":null,"data":17}"#, "rejected, 1001"),
        (400, &args, "rejected, 1001"),
        (400, HTML, "unanswered, http400"),
        (400, &good, "unanswered, http400"),
        (301, HTML, "rejected, http301"),
        (308, "", "rejected, http308"),
        (302, HTML, "unanswered, http302"),
        (303, HTML, "unanswered, http303"),
        (401, HTML, "rejected, http401"),
        (403, HTML, "rejected, http403"),
        (404, "404 page not found", "rejected, http404"),
        (413, HTML, "rejected, http413"),
        (408, HTML, "unanswered, http408"),
        (499, HTML, "unanswered, http499"),
        (500, "", "unanswered, http500"),
        (500, &args, "unanswered, http500"),
        (502, HTML, "unanswered, http502"),
        (503, &good, "unanswered, http503"),
        (504, HTML, "unanswered, http504"),
        (429, HTML, "nothing done, Throttled { retry_after: None }, 429"),
    ] {
        check_batch(status, body, expected);
    }
}

#[test]
fn an_error_code_of_a_batch_proves_that_nothing_was_done() {
    for (codes, name, detail, expected) in [
        (&[1501, 1502, 1503, 1505, 1506, 1507][..], "Token…", "", "nothing done, Token"),
        (&[1001], "ArgsError", "header must have token", "nothing done, Token"),
        (&[1001], "ArgsError", "", "rejected"),
        (&[1002, 1504], "NoPermissionError", "only app manager can send message", "rejected"),
        (&[429], "", "too many requests", "nothing done, Throttled { retry_after: None }"),
        (&[1, 2, 4, 8, 13, 14, 16], "connection error", "", "nothing done, Outage"),
        (&[500, 1000, 90002, 90004, 90007], "ServerInternalError", "i/o timeout", "nothing done, Outage"),
        (&[500], "ServerInternalError", "Key: 'TextElem.Content' Error:Field validation", "rejected"),
        (&[500], "ServerInternalError", "1 error(s) decoding: *", "rejected"),
        (&[500], "kafka: invalid configuration (Attempt to produce message larger than …)", "", "rejected"),
        (&[8], "grpc: received message larger than max (9 vs. 8)", "", "rejected"),
        (&[17, 1003, 1004, 1101, 5001, -1], "SomeError", "some words", "rejected"),
    ] {
        for code in codes {
            check_batch(200, &error(*code, name, detail), &format!("{expected}, {code}"));
        }
    }
}

#[test]
fn an_error_code_of_send_msg_proves_less() {
    let sent = r#"{"errCode":0,"data":{"serverMsgID":"s1","clientMsgID":"c1","sendTime":7,"modify":null}}"#;
    let opted_out = r#"{"errCode":0,"data":{"serverMsgID":"","clientMsgID":"","sendTime":0}}"#;
    check_single(200, sent, "g1=s1");
    check_single(200, opted_out, "g1=refused:optedOut");
    check_single(200, r#"{"errCode":0,"data":{}}"#, "g1=unknown:noMessageID");
    check_single(200, r#"{"errCode":0}"#, "unanswered, unreadable");
    check_single(400, &error(1001, "ArgsError", "Key: …"), "rejected, 1001");
    check_single(502, "<html>", "unanswered, http502");
    for code in [1001, 1004, 1203, 1204, 1302, 1303, 1402, 1403, 5001, 80000] {
        check_single(200, &error(code, "SomeError", ""), &format!("g1=refused:{code}"));
    }
    for code in [1, 4, 14, 16, 500, 1000, 90002, 90004, 90007] {
        check_single(200, &error(code, "SomeError", "i/o timeout"), &format!("unanswered, {code}"));
    }
    for (code, detail, expected) in [
        (1501, "", "nothing done, Token, 1501"),
        (1001, "header must have token", "nothing done, Token, 1001"),
        (429, "", "nothing done, Throttled { retry_after: None }, 429"),
        (1002, "notification messages cannot be sent for this ID", "rejected, 1002"),
        (500, "Key: 'TextElem.Content' Error:…", "rejected, 500"),
        (8, "grpc: received message larger than max", "rejected, 8"),
    ] {
        check_single(200, &error(code, "SomeError", detail), expected);
    }
}

#[test]
fn retry_after_is_believed_within_reason() {
    for (header, expected) in [
        (None, None),
        (Some("1"), Some(1)),
        (Some(" 30 "), Some(30)),
        (Some("0"), Some(1)),
        (Some("86400"), Some(600)),
        (Some("-9223372036854775808"), None),
        (Some("99999999999999999999999"), None),
        (Some("Wed, 21 Oct 2026 07:28:00 GMT"), None),
        (Some(""), None),
    ] {
        let raw = RawAnswer { status: 429, retry_after: header.map(str::to_owned), ..RawAnswer::default() };
        let answer = batch(&raw, &ids(&ASKED), &Scrub { secrets: &[] });
        let Reply::NothingDone(Cause::Throttled { retry_after }, _) = answer.reply else {
            panic!("{header:?}: {answer:?}");
        };
        assert_eq!(retry_after, expected.map(SignedDuration::from_secs), "{header:?}");
    }
}

#[test]
fn what_the_provider_says_is_recorded_without_secrets() {
    for (name, detail, expected) in [
        ("ArgsError", "", "ArgsError"),
        ("ArgsError", "ArgsError", "ArgsError"),
        ("ArgsError", "a\n\tb", "ArgsError: a b"),
        ("", "detail", "detail"),
        ("T", &format!("jwt parse error token={TOKEN}"), "T: jwt parse error token=***"),
        ("T", "secret openIM123 invalid", "T: secret *** invalid"),
    ] {
        let answer =
            batch(&raw(200, &error(1505, name, detail)), &ids(&ASKED), &Scrub { secrets: &["openIM123"] });
        assert_eq!(answer.provider_message.as_deref(), Some(expected));
        let Reply::NothingDone(_, reason) = answer.reply else { panic!("{answer:?}") };
        assert_eq!(reason.text, expected);
    }
    let page = format!("<html>{TOKEN} {}</html>", "x".repeat(2_000));
    let answer = batch(&raw(502, &page), &ids(&ASKED), &Scrub { secrets: &[] });
    let message = answer.provider_message.unwrap();
    assert!(message.starts_with("<html>*** xxx") && message.chars().count() == 500, "{message}");
}
