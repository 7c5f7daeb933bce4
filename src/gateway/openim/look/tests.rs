use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, ElapsedClock},
    gateway::{
        Gateway, Pending, ReadEnd,
        openim::Account,
        transport::{Post, RawAnswer, Transport, TransportFault},
    },
};

const SENT: i64 = 1_790_000_000_123;

/// Answers each path with the next of its answers, and the last one for ever.
#[derive(Default)]
struct Script {
    answers: Mutex<BTreeMap<&'static str, Vec<Result<String, TransportFault>>>>,
    /// Path, operation id and body of each request that reads.
    asked: Mutex<Vec<(String, String, Value)>>,
}

impl Transport for Script {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        let login = json!({"errCode": 0, "data": {"token": "t", "expireTimeSeconds": 10_000}}).to_string();
        let clock = json!({"errCode": 0, "data": {"serverTime": SENT}}).to_string();
        let answer = match post.path {
            wire::ADMIN_TOKEN => Ok(login),
            wire::SERVER_TIME => Ok(clock),
            path => {
                let operation_id = post.header("operationID").unwrap().to_owned();
                let body = serde_json::from_slice(&post.body).unwrap();
                self.asked.lock().unwrap().push((path.to_owned(), operation_id, body));
                let mut answers = self.answers.lock().unwrap();
                let answers = answers.get_mut(path).unwrap_or_else(|| panic!("{path} is not in the script"));
                if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
            }
        };
        let raw =
            answer.map(|body| RawAnswer { status: 200, body: body.into_bytes(), ..RawAnswer::default() });
        Box::pin(std::future::ready(raw))
    }
}

/// Counts what is written down.
#[derive(Default)]
struct Counted(Mutex<Vec<(usize, Option<bool>)>>);

impl Journal for Counted {
    fn begin(&self, recipients: usize) -> Pending<'_, Result<String, ReadFault>> {
        let mut looks = self.0.lock().unwrap();
        looks.push((recipients, None));
        Box::pin(std::future::ready(Ok(format!("look-{}", looks.len()))))
    }

    fn end<'a>(&'a self, _: &'a str, end: ReadEnd) -> Pending<'a, ()> {
        self.0.lock().unwrap().last_mut().unwrap().1 = Some(end.answered);
        Box::pin(std::future::ready(()))
    }
}

fn data(data: Value) -> Result<String, TransportFault> {
    Ok(json!({"errCode": 0, "errMsg": "", "errDlt": "", "data": data}).to_string())
}

fn lost() -> Result<String, TransportFault> {
    Err(TransportFault::Lost("gone".into()))
}

fn too_long() -> Result<String, TransportFault> {
    Err(TransportFault::TooLong("longer than a book".into()))
}

fn sought(recipient: &str) -> Sought {
    Sought {
        recipient: RecipientID::new(recipient).unwrap(),
        message: Arc::default(),
        send_time_ms: Some(SENT),
        operation_id: format!("send-{recipient}"),
        asked_at: Timestamp::from_millisecond(SENT).unwrap(),
        asked_last_at: Timestamp::from_millisecond(SENT).unwrap(),
        seen_until: None,
    }
}

fn ours(seq: u64, recipient: &str) -> Value {
    json!({"seq": seq, "sendID": "notice", "recvID": recipient, "sendTime": SENT, "serverMsgID": "s"})
}

type Answers<'a> = &'a [(&'static str, Result<String, TransportFault>)];

/// Looks for messages to these, and gives what was seen, and the requests that were made for it.
async fn look(
    fields: Value,
    addressing: Addressing,
    recipients: &[&str],
    answers: Answers<'_>,
) -> (Result<Vec<String>, String>, Vec<(String, String, Value)>) {
    let script = Arc::new(Script::default());
    for (path, answer) in answers {
        script.answers.lock().unwrap().entry(path).or_default().push(answer.clone());
    }
    let clock: Arc<dyn Clock> =
        Arc::new(ElapsedClock::starting_at(Timestamp::from_millisecond(SENT).unwrap()));
    let account = Account {
        url: "http://im.example.com".into(),
        admin_user_id: "imAdmin".into(),
        secret: "openIM123".into(),
        defaults: serde_json::Map::new(),
        concurrency: 4,
        batch_size: 100,
        timeout: std::time::Duration::from_secs(60),
    };
    let gateway = OpenIM::new(account, script.clone(), clock);
    gateway.prepare().await.unwrap();
    let mut message =
        json!({"sendID": "notice", "contentType": 101, "sessionType": 1, "content": {"content": "hi"}});
    message.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let Value::Object(message) = message else { unreachable!() };
    let sought = recipients.iter().map(|recipient| sought(recipient)).collect();
    let look = Look { message: Arc::new(Message(message)), addressing, counts: Evidence::Taken, sought };
    let journal = Counted::default();
    let seen = gateway.look(&look, &journal).await;
    let asked = script.asked.lock().unwrap().clone();
    let written = journal.0.lock().unwrap().clone();
    assert_eq!(written.len(), asked.len(), "each request is written down");
    assert!(written.iter().all(|(recipients, end)| *recipients > 0 && end.is_some()), "{written:?}");
    let word = |sighting| match sighting {
        Sighting::Found(receipt) => format!("found {}", receipt.server_msg_id.unwrap_or_default()),
        Sighting::Nothing { seen_until } => format!("nothing until {seen_until}"),
        Sighting::NoAnswer(reason) => format!("no answer: {}", reason.code),
        Sighting::Contradiction(reason) => format!("contradiction: {}", reason.code),
    };
    let seen = seen.map(|seen| seen.into_iter().map(word).collect()).map_err(|fault| fault.0.code);
    (seen, asked)
}

fn paths(asked: &[(String, String, Value)]) -> Vec<&str> {
    asked.iter().map(|(path, ..)| path.as_str()).collect()
}

#[tokio::test]
async fn chats_are_read_by_their_sender_in_two_requests() {
    let answers = [
        (
            wire::MAX_SEQS,
            data(json!({"seqs": {
                "si_notice_u1": {"maxSeq": 3, "hasReadSeq": 0, "maxSeqTime": SENT + 1},
                "si_notice_u2": {"maxSeq": 0, "hasReadSeq": 0, "maxSeqTime": 0},
                "si_notice_u3": {"maxSeq": 9, "hasReadSeq": 0, "maxSeqTime": SENT - 601_000},
                "si_notice_u4": {"maxSeq": 1, "hasReadSeq": 0, "maxSeqTime": SENT + 1},
            }})),
        ),
        (
            wire::PULL,
            data(json!({"msgs": {"si_notice_u1": {"Msgs": [ours(3, "u1")]}}, "notificationMsgs": null})),
        ),
    ];
    let (seen, asked) = look(json!({}), Addressing::Users, &["u1", "u2", "u3", "u4", "u5"], &answers).await;
    let expected = [
        "found s",
        "nothing until 0",
        "nothing until 9",
        "no answer: placesMissing",
        "no answer: conversationMissing",
    ];
    assert_eq!(seen.unwrap(), expected);
    let range = |id: &str, end: u64| json!({"conversationID": id, "begin": 1, "end": end, "num": end});
    let ids = ["si_notice_u1", "si_notice_u2", "si_notice_u3", "si_notice_u4", "si_notice_u5"];
    let expected = [
        (wire::MAX_SEQS, "look-1", json!({"userID": "notice", "conversationIDs": ids})),
        (
            wire::PULL,
            "look-2",
            json!({"userID": "notice", "order": 0, "seqRanges": [range(ids[0], 3), range(ids[3], 1)]}),
        ),
    ];
    let asked: Vec<_> =
        asked.iter().map(|(path, id, body)| (path.as_str(), id.as_str(), body.clone())).collect();
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn notifications_are_read_by_each_recipient() {
    let fields = json!({"contentType": 1_400, "sessionType": 4});
    let answers = [
        (
            wire::MAX_SEQS,
            data(json!({"seqs": {
                "sn_notice_u1": {"maxSeq": 1, "maxSeqTime": SENT},
                "sn_notice_u2": {"maxSeq": 1, "maxSeqTime": SENT},
                "sn_notice_u3": {"maxSeq": 0, "maxSeqTime": 0},
            }})),
        ),
        (wire::PULL, data(json!({"msgs": {"sn_notice_u1": {"Msgs": [ours(1, "u1")]}}}))),
        (wire::PULL, data(json!({"msgs": {}}))),
    ];
    let (seen, asked) = look(fields, Addressing::Users, &["u1", "u2", "u3"], &answers).await;
    assert_eq!(seen.unwrap(), ["found s", "no answer: placesMissing", "nothing until 0"]);
    let readers: Vec<&str> = asked.iter().map(|(_, _, body)| body["userID"].as_str().unwrap()).collect();
    assert_eq!(readers, ["notice", "u1", "u2"]);
}

#[tokio::test]
async fn a_group_is_asked_by_its_record_and_then_read_by_a_member() {
    let fields = json!({"sessionType": 3});
    let seqs = |max_seq: u64| {
        (wire::MAX_SEQS, data(json!({"seqs": {"sg_g1": {"maxSeq": max_seq, "maxSeqTime": SENT}}})))
    };
    let members = |ids: Value| (wire::GROUP_MEMBERS, data(json!({"userIDs": ids})));
    let status = |status: i64| (wire::SEND_STATUS, data(json!({"status": status})));
    let there = json!({"seq": 1, "sendID": "notice", "groupID": "g1", "sendTime": SENT, "serverMsgID": "s"});
    let pull = || (wire::PULL, data(json!({"msgs": {"sg_g1": {"Msgs": [there.clone()]}}})));
    for (answers, expected, reader) in [
        (vec![status(2)], "found ", None),
        (vec![status(0), seqs(0)], "nothing until 0", None),
        (vec![status(1), seqs(1), members(json!(["u1", "notice"])), pull()], "found s", Some("notice")),
        (vec![status(3), seqs(1), members(json!(["u1", "u2"])), pull()], "found s", Some("u1")),
        (
            vec![(wire::SEND_STATUS, data(json!({}))), seqs(1), members(json!(null))],
            "no answer: noMember",
            None,
        ),
    ] {
        let (seen, asked) = look(fields.clone(), Addressing::Group, &["g1"], &answers).await;
        assert_eq!(seen.unwrap(), [expected], "{answers:?}");
        // The record goes by the name of the request that sent it.
        assert_eq!((asked[0].0.as_str(), asked[0].1.as_str()), (wire::SEND_STATUS, "send-g1"));
        let pulled = asked.iter().find(|(path, ..)| path == wire::PULL);
        assert_eq!(pulled.map(|(_, _, body)| body["userID"].as_str().unwrap()), reader);
    }
}

#[tokio::test]
async fn a_record_says_nothing_of_those_who_opted_out() {
    let users = json!({"usersInfo": [{"userID": "u1", "globalRecvMsgOpt": 1}, {"userID": "u2", "globalRecvMsgOpt": 2}]});
    let answers = [
        (wire::SEND_STATUS, data(json!({"status": 2}))),
        (wire::USERS_INFO, data(users)),
        (wire::MAX_SEQS, data(json!({"seqs": {"si_notice_u1": {"maxSeq": 0}}}))),
    ];
    let (seen, asked) = look(json!({}), Addressing::User, &["u1", "u2"], &answers).await;
    assert_eq!(seen.unwrap(), ["nothing until 0", "found "]);
    assert_eq!(paths(&asked), [wire::SEND_STATUS, wire::SEND_STATUS, wire::USERS_INFO, wire::MAX_SEQS]);
}

#[tokio::test]
async fn an_answer_that_is_none_says_nothing_of_anybody() {
    let seqs = || data(json!({"seqs": {"si_notice_u1": {"maxSeq": 1, "maxSeqTime": SENT}}}));
    let html = || Ok("<html><h1>502</h1></html>".to_owned());
    let cut = || Ok(r#"{"errCode":0,"data":{"seqs":{"si_notice_u1":{"maxSeq":1,"maxS"#.to_owned());
    let refused = |code: i64| Ok(json!({"errCode": code, "errMsg": "x", "errDlt": ""}).to_string());
    for (what, answer, code) in [
        ("lost", lost(), "noAnswer"),
        ("slow", Err(TransportFault::TimedOut("slow".into())), "timeout"),
        ("html", html(), "unreadable"),
        ("cut", cut(), "unreadable"),
        ("empty", Ok(String::new()), "unreadable"),
        ("no data", Ok(r#"{"errCode":0}"#.to_owned()), "unreadable"),
        ("null data", data(json!(null)), "unreadable"),
        ("a list", data(json!({"seqs": []})), "unreadable"),
        ("a text", data(json!("seqs")), "unreadable"),
        ("service down", refused(14), "14"),
        ("refused", refused(1004), "1004"),
    ] {
        let (seen, _) = look(json!({}), Addressing::Users, &["u1"], &[(wire::MAX_SEQS, answer)]).await;
        assert_eq!(seen, Err(code.to_owned()), "{what}");
    }
    for (what, answer) in [
        ("absent", data(json!({}))),
        ("null", data(json!({"seqs": null}))),
        ("empty", data(json!({"seqs": {}}))),
        ("letter case", data(json!({"seqs": {"si_notice_U1": {"maxSeq": 0}}}))),
    ] {
        let (seen, _) = look(json!({}), Addressing::Users, &["u1"], &[(wire::MAX_SEQS, answer)]).await;
        assert_eq!(seen.unwrap(), ["no answer: conversationMissing"], "{what}");
    }
    for (what, answer, expected) in [
        ("lost", lost(), Err("noAnswer")),
        ("html", html(), Err("unreadable")),
        ("cut", cut(), Err("unreadable")),
        ("a list", data(json!({"msgs": []})), Err("unreadable")),
        ("absent", data(json!({})), Ok("no answer: placesMissing")),
        ("null", data(json!({"msgs": null, "notificationMsgs": null})), Ok("no answer: placesMissing")),
    ] {
        let answers = [(wire::MAX_SEQS, seqs()), (wire::PULL, answer)];
        let (seen, _) = look(json!({}), Addressing::Users, &["u1"], &answers).await;
        let expected = expected.map(|seen| vec![seen.to_owned()]).map_err(str::to_owned);
        assert_eq!(seen, expected, "{what}");
    }
}

#[tokio::test]
async fn what_was_seen_before_a_fault_stays_seen() {
    let answers = [
        (
            wire::MAX_SEQS,
            data(json!({"seqs": {
                "si_notice_u1": {"maxSeq": 1, "maxSeqTime": SENT},
                "si_notice_u2": {"maxSeq": 0},
            }})),
        ),
        (wire::PULL, lost()),
    ];
    let (seen, _) = look(json!({}), Addressing::Users, &["u1", "u2"], &answers).await;
    assert_eq!(seen.unwrap(), ["no answer: noAnswer", "nothing until 0"]);
}

#[tokio::test]
async fn answers_that_are_too_long_are_asked_for_in_smaller_pieces() {
    let seqs = json!({"seqs": {"si_notice_u1": {"maxSeq": 3, "maxSeqTime": SENT}}});
    let page = |seqs: &[u64]| {
        let message = |seq: &u64| json!({"seq": seq, "sendID": "notice", "recvID": "u1", "sendTime": 5, "serverMsgID": "s"});
        data(json!({"msgs": {"si_notice_u1": {"Msgs": seqs.iter().map(message).collect::<Vec<_>>()}}}))
    };
    let mut answers = vec![(wire::MAX_SEQS, data(seqs))];
    // 4,000, 500, 62, 7, and then one after the other.
    answers.extend(std::iter::repeat_n((wire::PULL, too_long()), 4));
    answers.extend([(wire::PULL, page(&[3])), (wire::PULL, page(&[2])), (wire::PULL, page(&[1]))]);
    let (seen, asked) = look(json!({}), Addressing::Users, &["u1"], &answers).await;
    assert_eq!(seen.unwrap(), ["nothing until 3"]);
    assert_eq!(asked.len(), 8);
    let (seen, asked) =
        look(json!({}), Addressing::Users, &["u1"], &[answers[0].clone(), (wire::PULL, too_long())]).await;
    assert_eq!(seen, Err(TOO_LONG.to_owned()));
    assert_eq!(asked.len(), 6, "it ends at one message");
}

#[tokio::test]
async fn what_cannot_be_recognised_cannot_be_asked() {
    for (fields, code) in [
        (json!({"isOnlineOnly": true}), "onlineOnly"),
        (json!({"sendTime": 5}), "ownSendTime"),
        (json!({"sendID": 7}), "noSender"),
    ] {
        let (seen, asked) = look(fields, Addressing::Users, &["u1"], &[]).await;
        assert_eq!((seen, asked.len()), (Err(code.to_owned()), 0));
    }
}
