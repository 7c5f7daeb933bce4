//! The sandbox answers as a running server was seen to answer, and keeps the truth.

mod asking;
mod keeping;
mod looking;
mod netease;
mod outages;
mod patch16;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use campaignd::{
    clock::SystemClock,
    sandbox::{
        ADMIN, Faults, Filter, NOTIFIER, Options, SECRET, SENDER, World,
        command::{Counted, FaultArgs, ThrottleArg},
        world::{Outcome, Request},
    },
};
use serde_json::{Value, json};

fn world() -> Arc<World> {
    Arc::new(World::new(&Options { users: 20, ..Options::default() }, Arc::new(SystemClock::new())))
}

async fn ask(world: &Arc<World>, token: Option<&str>, path: &str, body: &str) -> (u16, String) {
    let request = Request { path, operation_id: Some("test"), token };
    match world.handle(request, body.to_owned().into()).await {
        Outcome::Answered(response) => (response.status, String::from_utf8(response.body).unwrap()),
        other => panic!("{other:?}"),
    }
}

async fn login(world: &Arc<World>) -> String {
    let body = json!({"userID": ADMIN, "secret": SECRET}).to_string();
    let (_, answer) = ask(world, None, "/auth/get_admin_token", &body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["data"]["expireTimeSeconds"], 7_776_000);
    answer["data"]["token"].as_str().unwrap().to_owned()
}

/// Lays `change` over a good batch and gives the HTTP status, the code, and in short who got it.
async fn check(world: &Arc<World>, path: &str, change: Value, status: u16, code: i64, expected: &str) {
    let mut body = json!({"recvIDs": ["u00001", "u00002"], "recvID": "u00001", "sendID": SENDER,
        "contentType": 101, "sessionType": 1, "content": {"content": "hi"}});
    for (key, value) in change.as_object().unwrap() {
        match value {
            Value::String(text) if text == "absent" => body.as_object_mut().unwrap().remove(key),
            value => body.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    let token = login(world).await;
    let (got_status, answer) = ask(world, Some(&token), path, &body.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((got_status, &answer["errCode"]), (status, &json!(code)), "{change}: {answer}");
    let list = |list: &Value| match list {
        Value::Null => "null".to_owned(),
        list => {
            let ids = list.as_array().unwrap().iter().map(|entry| entry.get("recvID").unwrap_or(entry));
            ids.map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        }
    };
    let told = match (code, path) {
        (0, "/msg/batch_send_msg") => {
            format!("{} | {}", list(&answer["data"]["results"]), list(&answer["data"]["failedUserIDs"]))
        }
        (0, _) => answer["data"]["serverMsgID"].as_str().unwrap().len().to_string(),
        _ => answer["errDlt"].as_str().unwrap().to_owned(),
    };
    assert!(told.starts_with(expected) && (code != 0 || told == expected), "{change}: {told}");
}

const BATCH: &str = "/msg/batch_send_msg";
const SEND: &str = "/msg/send_msg";

#[tokio::test]
async fn batches_are_answered_as_the_real_server_does() {
    let world = world();
    let oa = json!({"notificationName": "N", "notificationType": 1, "text": "t"});
    let key = "Key: 'BatchSendMsgReq.";
    for (change, status, code, expected) in [
        (json!({}), 200, 0, "u00001 u00002 | null"),
        (json!({"recvIDs": null}), 400, 1001, &*format!("{key}RecvIDs'")),
        (json!({"recvIDs": "absent", "isSendAll": true}), 400, 1001, key),
        (json!({"recvIDs": []}), 200, 0, "null | null"),
        (json!({"recvIDs": ["u00001", "u00001"]}), 200, 0, "u00001 u00001 | null"),
        (json!({"recvIDs": ["u00001", "nobody", "u00021", "u1"]}), 200, 0, "u00001 | nobody u00021 u1"),
        (json!({"sendID": "nobody"}), 200, 0, "null | u00001 u00002"),
        (json!({"sendID": ADMIN}), 200, 0, "u00001 u00002 | null"),
        (json!({"sendID": ""}), 400, 1001, &format!("{key}SendID'")),
        (json!({"notOfflinePush": "true"}), 400, 1001, "json: "),
        (json!({"offlinePushInfo": {"iOSBadgeCount": "true"}}), 400, 1001, "json: "),
        (json!({"ex": {}}), 400, 1001, "json: "),
        (json!({"content": "absent"}), 400, 1001, &format!("{key}Content'")),
        (json!({"content": {"x": 1}}), 200, 500, "Key: 'TextElem."),
        (json!({"contentType": 999}), 200, 1001, ""),
        (json!({"sessionType": 4, "recvIDs": ["nobody"]}), 200, 0, "nobody | null"),
        (
            json!({"contentType": 1400, "content": oa, "sendID": NOTIFIER, "recvIDs": ["nobody"]}),
            200,
            0,
            "nobody | null",
        ),
        (json!({"contentType": 1400, "content": oa}), 200, 1002, "notification messages cannot be sent"),
        (json!({"contentType": 1400, "content": oa, "sendID": "nobody"}), 200, 1101, ""),
        (json!({"sessionType": 3}), 400, 1001, &format!("{key}GroupID'")),
        (json!({"sessionType": 3, "groupID": "g1001"}), 200, 0, "u00001 u00002 | null"),
        (json!({"sessionType": 9}), 200, 0, "null | u00001 u00002"),
    ] {
        check(&world, BATCH, change, status, code, expected).await;
    }
    world.forget_received();
    check(&world, BATCH, json!({"sessionType": 3, "groupID": "g1001"}), 200, 0, "u00001 u00002 | null").await;
    let mut got = Vec::new();
    world.received(&Filter::default(), |message| got.push(message.recipient.to_owned()));
    assert_eq!(got, ["g1001", "g1001"], "one copy for each id");
    world.forget_received();
    let everyone = json!({"recvIDs": [], "isSendAll": true});
    let ids: Vec<String> = (1..=20).map(|number| format!("u{number:05}")).collect();
    let expected = format!("{ADMIN} {NOTIFIER} {SENDER} {} | null", ids.join(" "));
    check(&world, BATCH, everyone, 200, 0, &expected).await;
}

#[tokio::test]
async fn single_messages_tell_their_reason() {
    let world = world();
    let token = login(&world).await;
    for (path, body) in [
        ("/user/user_register", json!({"users": [{"userID": "shy"}, {"userID": "cross"}]})),
        ("/user/set_global_msg_recv_opt", json!({"userID": "shy", "globalRecvMsgOpt": 1})),
        ("/friend/add_black", json!({"ownerUserID": "cross", "blackUserID": SENDER})),
    ] {
        let done = (200, r#"{"errCode":0,"errMsg":"","errDlt":""}"#.to_owned());
        assert_eq!(ask(&world, Some(&token), path, &body.to_string()).await, done);
    }
    for (change, status, code, expected) in [
        (json!({}), 200, 0, "32"),
        (json!({"recvID": ""}), 400, 1001, "Key: 'SendMsgReq.RecvID'"),
        (json!({"recvID": "nobody"}), 200, 1004, "userID not found"),
        (json!({"recvID": "shy"}), 200, 1001, "message is not sent"),
        (json!({"recvID": "cross"}), 200, 1302, ""),
        (json!({"recvID": "cross", "sendID": ADMIN}), 200, 0, "32"),
        (json!({"sessionType": 3, "groupID": "g1001"}), 200, 0, "32"),
        (json!({"sessionType": 3, "groupID": "nowhere"}), 200, 1004, ""),
        (json!({"sessionType": 3, "groupID": "g1001", "sendID": "u00020"}), 200, 1203, ""),
        (json!({"sessionType": 3, "groupID": "g1001", "sendID": ADMIN}), 200, 0, "32"),
    ] {
        check(&world, SEND, change, status, code, expected).await;
    }
}

#[tokio::test]
async fn headers_are_looked_at_first() {
    let world = world();
    let token = login(&world).await;
    for (operation_id, token, path, expected) in [
        (None, None, BATCH, "header must have operationID"),
        (Some(""), Some(token.as_str()), BATCH, "header must have operationID"),
        (Some("op"), None, BATCH, "header must have token"),
        (Some("op"), Some("nonsense"), BATCH, "TokenMalformedError"),
        (Some("op"), Some("eyJa.b.c"), BATCH, "TokenNotExistError"),
        (Some("op"), Some(&token), BATCH, "json: EOF"),
        (Some("op"), Some(&token), "/nowhere", "404 page not found"),
        (Some("op"), None, "/nowhere", "header must have token"),
        (Some("op"), Some(&token), "/user/get_users", "ArgsError"),
    ] {
        let outcome = world.handle(Request { path, operation_id, token }, Default::default()).await;
        let Outcome::Answered(response) = outcome else { panic!("{outcome:?}") };
        let body = String::from_utf8(response.body).unwrap();
        assert!(body.contains(expected), "{path} {operation_id:?} {token:?}: {body}");
    }
}

#[tokio::test]
async fn an_open_world_knows_everyone() {
    let options = Options { users: 0, open: true, ..Options::default() };
    let world = Arc::new(World::new(&options, Arc::new(SystemClock::new())));
    let oa = json!({"notificationName": "N", "notificationType": 1, "text": "t"});
    check(&world, BATCH, json!({"recvIDs": ["anyone"], "sendID": "someone"}), 200, 0, "anyone | null").await;
    check(
        &world,
        BATCH,
        json!({"contentType": 1400, "content": oa, "sendID": "someone"}),
        200,
        0,
        "u00001 u00002 | null",
    )
    .await;
    check(&world, SEND, json!({"sessionType": 3, "groupID": "anywhere"}), 200, 0, "32").await;
}

#[tokio::test]
async fn equal_seeds_and_requests_give_equal_truths() {
    let truth = async |seed| {
        let world =
            Arc::new(World::new(&Options { seed, ..Options::default() }, Arc::new(SystemClock::new())));
        check(&world, BATCH, json!({"sendTime": 17}), 200, 0, "u00001 u00002 | null").await;
        check(&world, BATCH, json!({"sendTime": 18}), 200, 0, "u00001 u00002 | null").await;
        let mut ids = Vec::new();
        world.received(&Filter::default(), |message| {
            ids.push((message.server_msg_id, message.client_msg_id, message.send_time));
        });
        ids
    };
    let (first, again, other) = (truth(1).await, truth(1).await, truth(2).await);
    assert_eq!(first, again);
    let mut server_ids: Vec<String> =
        first.iter().chain(&other).map(|(server, ..)| server.as_str().to_owned()).collect();
    server_ids.sort();
    server_ids.dedup();
    assert_eq!(server_ids.len(), 8, "no id stands for two messages");
}

/// Whoever got a message or did not, in the order of the requests.
fn fates(world: &World) -> Vec<String> {
    let mut fates = Vec::new();
    world.received(&Filter::default(), |message| {
        fates.push(format!("{} {}", message.recipient, message.fate.word()));
    });
    fates
}

#[test]
fn faults_are_flags_or_json() {
    let flags = FaultArgs {
        latency_ms: 0.5,
        refuse: vec!["u00003".into()],
        http_status: Some("502x3".parse().unwrap()),
        err_code: Some("14".parse().unwrap()),
        throttle: Some("1x2".parse().unwrap()),
        drop_answer: Some(4),
        cut_after: Some("10x1".parse().unwrap()),
        lose_every: 100,
        store_late_ms: 5_000,
        partition_late_ms: vec![0, 60_000],
        fail_stored_every: 7,
        omit_messages_every: 8,
        omit_conversations_every: 9,
        hang: Some(1),
        drip: Some("500x2".parse().unwrap()),
        cache_hangs: Some("35000x2".parse().unwrap()),
        message_service_down: Some(3),
        message_service_killed: Some("60".parse().unwrap()),
        auth_down: Some(5),
    };
    let plan = json!({"latencyMs": 0.5, "refuse": ["u00003"], "httpStatus": {"status": 502, "times": 3},
        "errCode": {"code": 14, "times": 1}, "throttle": {"retryAfter": "1", "times": 2},
        "dropAnswer": {"times": 4}, "cutAfter": {"recipients": 10, "times": 1}, "loseEvery": 100,
        "storeLateMs": 5_000, "partitionLateMs": [0, 60_000], "failStoredEvery": 7, "omitMessagesEvery": 8,
        "omitConversationsEvery": 9, "hang": {"times": 1}, "drip": {"pauseMs": 500, "times": 2}, "cacheHangs": {"forMs": 35_000, "times": 2},
        "messageServiceDown": {"times": 3}, "messageServiceKilled": {"recipients": 60, "times": 1},
        "authDown": {"times": 5}});
    assert_eq!(serde_json::from_value::<Faults>(plan).unwrap(), flags.plan());
    for wrong in [
        json!({"latency": 1}),
        json!({"httpStatus": {"status": 502}}),
        json!({"httpStatus": {"status": 502, "times": 1, "tmes": 2}}),
        json!({"dropAnswer": {"times": -1}}),
    ] {
        assert!(serde_json::from_value::<Faults>(wrong.clone()).is_err(), "{wrong}");
    }
    for wrong in ["", "x", "502x", "x3", "-1x2", "502*3"] {
        assert!(wrong.parse::<Counted>().is_err(), "{wrong}");
    }
    for (text, retry_after, times) in [
        ("7x2", Some("7"), 2),
        ("7", Some("7"), 1),
        ("x2", None, 2),
        ("-9x1", Some("-9"), 1),
        ("soon", Some("soon"), 1),
    ] {
        let throttle = ThrottleArg { retry_after: retry_after.map(str::to_owned), times };
        assert_eq!(text.parse(), Ok(throttle), "{text}");
    }
}

#[tokio::test]
async fn faults_on_demand() {
    let world = world();
    let plan = |plan: Value| world.set_faults(serde_json::from_value(plan).unwrap());
    plan(json!({"errCode": {"code": 14, "times": 1}}));
    check(&world, BATCH, json!({}), 200, 14, "on demand").await;
    check(&world, BATCH, json!({}), 200, 0, "u00001 u00002 | null").await;
    plan(json!({"refuse": ["u00002"]}));
    check(&world, BATCH, json!({}), 200, 0, "u00001 | u00002").await;
    // Every second one is accepted and lost; what shows late does not show now.
    world.forget_received();
    plan(json!({"loseEvery": 2}));
    check(&world, BATCH, json!({}), 200, 0, "u00001 u00002 | null").await;
    plan(json!({"storeLateMs": 60_000}));
    check(&world, BATCH, json!({}), 200, 0, "u00001 u00002 | null").await;
    // Three were accepted before.
    assert_eq!(fates(&world), ["u00001 lost", "u00002 stored", "u00001 waiting", "u00002 waiting"]);
}

/// Speaks HTTP to the server without any client's help.
fn http(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    // A connection that is closed in anger may end in an error instead of an end.
    let _ = stream.read_to_string(&mut answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) => (head.lines().next().unwrap_or_default().to_owned(), body.to_owned()),
        None => (answer, String::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_and_its_control() {
    let world = world();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server =
        tokio::spawn(campaignd::sandbox::server::serve(Arc::clone(&world), listener, std::future::pending()));
    let token = login(&world).await;
    let headers = format!("operationID: op-7\r\ntoken: {token}\r\n");
    let send = |ids: &[String], sender: &str| {
        json!({"recvIDs": ids, "sendID": sender, "contentType": 101, "sessionType": 1, "sendTime": 17,
            "content": {"content": "\"hi\""}})
        .to_string()
    };
    let two = ["u00001".to_owned(), "u00002".to_owned()];
    tokio::task::spawn_blocking(move || {
        assert_eq!(
            http(address, "GET", BATCH, &headers, ""),
            ("HTTP/1.1 404 Not Found".into(), "404 page not found".into())
        );
        assert_eq!(http(address, "GET", "/sandbox/received", "", "").1, "[]");

        let (status, answer) = http(address, "POST", BATCH, &headers, &send(&two, SENDER));
        assert_eq!(status, "HTTP/1.1 200 OK");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        http(address, "POST", BATCH, &headers, &send(&two, ADMIN));
        let (_, truth) =
            http(address, "GET", &format!("/sandbox/received?sender={SENDER}&recipient=u00002"), "", "");
        let truth: Value = serde_json::from_str(&truth).unwrap();
        let result = &answer["data"]["results"][1];
        let received_at = truth[0]["receivedAt"].clone();
        assert!(received_at.as_i64().unwrap() > 1_700_000_000_000);
        assert_eq!(
            truth,
            json!([{"recipient": "u00002", "sender": SENDER, "sendTime": 17, "contentType": 101, "fate": "stored",
                "content": {"content": "\"hi\""}, "operationID": "op-7", "receivedAt": received_at,
                "serverMsgID": result["serverMsgID"], "clientMsgID": result["clientMsgID"]}])
        );
        let (_, lines) = http(address, "GET", "/sandbox/received?format=ndjson", "", "");
        assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 4);
        assert!(http(address, "DELETE", "/sandbox/received", "", "").0.contains("204"));
        assert_eq!(http(address, "GET", "/sandbox/received", "", "").1, "[]");

        let (status, words) = http(address, "PUT", "/sandbox/faults", "", r#"{"latency":1}"#);
        assert!(status.contains("400") && words.contains("unknown field `latency`"), "{status} {words}");
        // The answer is dropped without a byte, and the work is done although nobody waits for it.
        let plan = r#"{"latencyMs":1,"dropAnswer":{"times":1},"cutAfter":{"recipients":1,"times":1}}"#;
        assert!(http(address, "PUT", "/sandbox/faults", "", plan).0.contains("200"));
        assert_eq!(
            http(address, "POST", BATCH, &headers, &send(&two, SENDER)),
            (String::new(), String::new())
        );
        assert_eq!(
            http(address, "POST", BATCH, &headers, &send(&two, SENDER)),
            (String::new(), String::new())
        );
        let (_, truth) = http(address, "GET", "/sandbox/received", "", "");
        assert_eq!(serde_json::from_str::<Value>(&truth).unwrap().as_array().unwrap().len(), 1 + 2);
        let (_, left) = http(address, "GET", "/sandbox/faults", "", "");
        let left: Value = serde_json::from_str(&left).unwrap();
        assert_eq!((&left["latencyMs"], &left["dropAnswer"]), (&json!(1.0), &Value::Null));
        assert!(http(address, "DELETE", "/sandbox/faults", "", "").0.contains("204"));
    })
    .await
    .unwrap();
    server.abort();
}

#[tokio::test]
async fn a_batch_goes_on_when_its_caller_is_gone() {
    let world = world();
    let token = login(&world).await;
    world.set_faults(Faults { latency_ms: 5.0, ..Faults::default() });
    let ids: Vec<String> = (1..=20).map(|number| format!("u{number:05}")).collect();
    let body = json!({"recvIDs": ids, "sendID": SENDER, "contentType": 101, "sessionType": 1,
        "content": {"content": "hi"}});
    let request = Request { path: BATCH, operation_id: Some("op"), token: Some(&token) };
    let received = || {
        let mut received = 0;
        world.received(&Filter::default(), |_| received += 1);
        received
    };
    let impatient =
        tokio::time::timeout(Duration::from_millis(20), world.handle(request, body.to_string().into()));
    assert!(impatient.await.is_err());
    assert!(received() < 20, "it was not done yet");
    let all = async {
        while received() < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}
