use std::sync::{Mutex, atomic::AtomicI64};

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::gateway::transport::TOO_LONG;

/// A server that gives a new token each time and takes some of them.
struct Server {
    /// The paths asked, in order.
    asked: Mutex<Vec<String>>,
    refuses_tokens: bool,
    time_ms: i64,
}

struct Unwritten;

impl Journal for Unwritten {
    fn begin(&self, _: usize) -> Pending<'_, Result<String, ReadFault>> {
        Box::pin(async { Ok("a-look".to_owned()) })
    }

    fn end<'a>(&'a self, _: &'a str, _: ReadEnd) -> Pending<'a, ()> {
        Box::pin(async {})
    }
}

impl Default for Server {
    fn default() -> Server {
        Server { asked: Mutex::default(), refuses_tokens: false, time_ms: 90_000 }
    }
}

impl Transport for Server {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        let path = post.path;
        assert_eq!(post.header("token").is_none(), path == wire::ADMIN_TOKEN);
        self.asked.lock().unwrap().push(path.to_owned());
        let body = match path {
            wire::ADMIN_TOKEN => json!({"errCode": 0, "data": {"token": "t", "expireTimeSeconds": 1_000}}),
            _ if self.refuses_tokens => json!({"errCode": 1505, "errMsg": "signature is invalid"}),
            wire::SERVER_TIME => json!({"errCode": 0, "data": {"serverTime": self.time_ms}}),
            _ => json!({"errCode": 0, "data": {"results": [{"serverMsgID": "s", "recvID": "u1"}]}}),
        };
        Box::pin(async move {
            // Others may come in between.
            tokio::task::yield_now().await;
            Ok(RawAnswer { status: 200, body: body.to_string().into_bytes(), ..RawAnswer::default() })
        })
    }
}

impl Server {
    fn times_asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

/// A clock that is set by hand, in seconds.
#[derive(Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn steady(&self) -> Timestamp {
        self.now()
    }
}

fn gateway(server: Server) -> (Arc<Server>, Arc<HandClock>, Arc<OpenIM>) {
    let (server, clock) = (Arc::new(server), Arc::new(HandClock::default()));
    let account = Account {
        url: "http://im.example.com/".into(),
        admin_user_id: "imAdmin".into(),
        secret: "openIM123".into(),
        defaults: Map::new(),
        concurrency: 4,
        batch_size: 100,
        timeout: Duration::from_secs(60),
    };
    let gateway = OpenIM::new(account, server.clone(), clock.clone());
    (server, clock, Arc::new(gateway))
}

fn call() -> Call {
    let message =
        json!({"sendID": "notice", "contentType": 101, "sessionType": 1, "content": {"content": "hi"}});
    let Value::Object(message) = message else { unreachable!() };
    Call {
        operation_id: "op-1".into(),
        message: Arc::new(Message(message)),
        to: Addressees::Users(vec![RecipientID::new("u1").unwrap()]),
        send_time_ms: Some(1_790_000_000_123),
        written_to: Default::default(),
    }
}

#[tokio::test]
async fn many_calls_share_one_token_until_shortly_before_it_expires() {
    let (server, clock, gateway) = gateway(Server::default());
    let sends: Vec<_> = (0..8)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.send(&call()).await })
        })
        .collect();
    for send in sends {
        assert!(matches!(send.await.unwrap().reply, Reply::Answered(_)));
    }
    assert_eq!((server.times_asked(wire::ADMIN_TOKEN), server.times_asked(wire::BATCH_SEND)), (1, 8));
    // It is good for 1,000 s.
    for (now, fetched) in [(899, 1), (900, 2), (1_799, 2), (1_800, 3), (0, 4)] {
        clock.0.store(now, Ordering::Relaxed);
        gateway.send(&call()).await;
        assert_eq!(server.times_asked(wire::ADMIN_TOKEN), fetched, "at {now} s");
    }
    assert_eq!(gateway.clock_offset(), SignedDuration::from_secs(90), "learnt at 0 s");
}

/// Whoever refuses messages, or is not registered, gets a notification all the same: that is not why it failed.
#[tokio::test]
async fn nobody_who_failed_to_get_a_notification_is_explained_by_their_account() {
    let message = |content_type, session_type| {
        let message = json!({"sendID": "notice", "contentType": content_type, "sessionType": session_type});
        Message(message.as_object().cloned().unwrap())
    };
    for (message, asked) in [(message(101, 1), true), (message(1400, 4), false)] {
        let (server, _, gateway) = gateway(Server::default());
        let _ = gateway.explain(&message, &[RecipientID::new("u1").unwrap()], &Unwritten).await;
        assert_eq!(server.times_asked(wire::ACCOUNT_CHECK) > 0, asked);
    }
}

/// As from a server that counts in microseconds.
#[tokio::test]
async fn a_servers_time_that_is_none_is_not_followed() {
    let (_, clock, gateway) = gateway(Server { time_ms: i64::MAX, ..Server::default() });
    gateway.send(&call()).await;
    assert_eq!(gateway.provider_time(clock.now()), clock.now());
}

#[tokio::test]
async fn tokens_that_never_work_are_an_outage() {
    let (server, _, gateway) = gateway(Server { refuses_tokens: true, ..Server::default() });
    for tries in 1..=2 {
        let answer = gateway.send(&call()).await;
        assert!(matches!(answer.reply, Reply::NothingDone(Cause::Outage, _)), "{answer:?}");
        assert_eq!(server.times_asked(wire::BATCH_SEND), tries, "one request for each call");
    }
}

#[test]
fn a_preview_is_the_request_without_its_secrets() {
    let (_, _, gateway) = gateway(Server::default());
    let preview = gateway.preview(&call());
    assert_eq!(
        serde_json::to_value(&preview).unwrap(),
        json!({
            "method": "POST",
            "url": "http://im.example.com/msg/batch_send_msg",
            "headers": [["Content-Type", "application/json"], ["operationID", "op-1"], ["token", "***"]],
            "body": {"recvIDs": ["u1"], "sendID": "notice", "contentType": 101, "sessionType": 1,
                "content": {"content": "hi"}, "sendTime": 1_790_000_000_123_i64},
        })
    );
    let group = Call { to: Addressees::Group(RecipientID::new("g1").unwrap()), ..call() };
    let preview = gateway.preview(&group);
    assert!(preview.url.ends_with("/msg/send_msg") && preview.body["groupID"] == "g1", "{preview:?}");
}

#[test]
fn only_what_never_connected_is_proven_to_have_done_nothing() {
    let text = || "why".to_owned();
    for (fault, code, nothing_done) in [
        (TransportFault::NeverConnected(text()), "unreachable", true),
        (TransportFault::TimedOut(text()), "timeout", false),
        (TransportFault::Lost(text()), "noAnswer", false),
        (TransportFault::TooLong(text()), TOO_LONG, false),
    ] {
        let answer = no_answer(fault);
        let got = match &answer.reply {
            Reply::NothingDone(Cause::Unreachable, reason) => (reason.code.as_str(), true),
            Reply::Unanswered(reason) => (reason.code.as_str(), false),
            reply => panic!("{reply:?}"),
        };
        assert_eq!((got, answer.http_status), ((code, nothing_done), None));
    }
}
