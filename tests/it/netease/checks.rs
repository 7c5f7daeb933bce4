//! The ten checks that a client of NetEase's API must pass, against the sandbox in this process.

use std::sync::{Arc, Mutex, OnceLock};

use campaignd::{
    campaign::{Message, RecipientID, message::AddressedTo},
    clock::{Clock, SystemClock},
    gateway::{
        Addressees, Call, Gateway, Look, Pending,
        kind::Means,
        netease::signer::check_sum,
        transport::{Post, RawAnswer, Transport, TransportFault},
    },
    run::{
        chunk::Cutter,
        look::{Addressing, Evidence, Sighting, Sought},
        reply::{Answer, Cause, Reply, Verdict},
    },
    sandbox::{
        Faults, Options, World,
        faults::Times,
        netease::{
            faults::{CodeFault, NetEaseFaults},
            transport::InProcess,
        },
        truth::Filter,
    },
    settings,
};
use serde_json::{Value, json};

use crate::{desk::Desk, journal::TestJournal};

/// The headers of each request.
type Heard = Arc<Mutex<Vec<Vec<(String, String)>>>>;

/// Remembers the headers of each request.
struct Listening {
    inside: InProcess,
    heard: Heard,
}

impl Transport for Listening {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        let headers = post.headers.iter().map(|header| (header.name.to_owned(), header.value.to_owned()));
        self.heard.lock().unwrap().push(headers.collect());
        self.inside.post(post)
    }
}

/// A gateway to a world in this process, and what it has said.
struct Bench {
    world: Arc<World>,
    gateway: Arc<dyn Gateway>,
    heard: Heard,
}

impl Bench {
    fn new(faults: Faults) -> Bench {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let world = Arc::new(World::new(&Options::default(), clock.clone()));
        world.set_faults(faults);
        let heard = Heard::default();
        let text = "gateways: {n: {kind: netease, url: \"http://127.0.0.1:1/nimserver\", appKey: sandbox, \
             appSecret: {env: S}, defaults: {from: notice}}}";
        let (settings, problems) = settings::read("s.yaml", text.as_bytes(), std::path::Path::new(""));
        assert!(problems.is_empty(), "{problems:?}");
        let (inside, ears) = (world.clone(), heard.clone());
        let means = Means {
            clock,
            secret: &|_| Ok("sandbox".to_owned().into()),
            transport: &move |_| {
                let inside = InProcess::new(inside.clone());
                Ok(Arc::new(Listening { inside, heard: ears.clone() }))
            },
        };
        let gateway = settings.unwrap().gateways["n"].open(&means).unwrap();
        Bench { world, gateway, heard }
    }

    fn message(&self, message: Value) -> Arc<Message> {
        let Value::Object(message) = message else { panic!("{message}") };
        let (read, faults) = self.gateway.dialect().read_message(&message, AddressedTo::Users);
        Arc::new(read.unwrap_or_else(|| panic!("{faults:?}")))
    }

    fn call(&self, name: &str, ids: &[&str]) -> Call {
        let to = Addressees::Users(ids.iter().map(|id| RecipientID::new(*id).unwrap()).collect());
        let message = self.message(json!({"type": 0, "body": {"msg": "hi"}}));
        let written_to = OnceLock::new();
        Call { operation_id: name.to_owned(), message, to, send_time_ms: None, written_to }
    }

    async fn send(&self, name: &str, ids: &[&str]) -> Answer {
        self.gateway.send(&self.call(name, ids)).await
    }

    async fn look(&self, ids: &[&str]) -> Vec<Sighting> {
        let message = self.message(json!({"type": 0, "body": {"msg": "hi"}}));
        let sought = ids.iter().map(|id| Sought {
            recipient: RecipientID::new(*id).unwrap(),
            message: message.clone(),
            send_time_ms: None,
            operation_id: "r".to_owned(),
            asked_at: SystemClock::new().now(),
            asked_last_at: SystemClock::new().now(),
            seen_until: None,
        });
        let look = Look {
            message: message.clone(),
            addressing: Addressing::Users,
            counts: Evidence::Stored,
            sought: sought.collect(),
        };
        self.gateway.look(&look, &TestJournal::default()).await.unwrap()
    }

    /// How many messages the provider holds.
    fn copies(&self) -> usize {
        let mut copies = 0;
        self.world.received_by_netease(&Filter::default(), None, |_| copies += 1);
        copies
    }
}

fn verdicts(answer: &Answer) -> Vec<String> {
    let Reply::Answered(verdicts) = &answer.reply else { panic!("{answer:?}") };
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted(_) => "accepted".to_owned(),
        Verdict::Refused(reason) | Verdict::Unknown(reason) => reason.code.clone(),
    };
    verdicts.iter().map(|(_, verdict)| word(verdict)).collect()
}

#[test]
fn check_1_the_vectors_come_out() {
    let sum = check_sum("fedcba987654", "9f86d081884c7d659a2feaa0c55ad015", "1700000000");
    assert_eq!(sum, "a2c9614278090b9b627cece1d8704f983c87d736");
}

#[tokio::test]
async fn check_2_every_attempt_is_signed_anew_and_a_batch_keeps_its_request_id() {
    let bench = Bench::new(Faults::default());
    for name in ["one", "one", "two"] {
        bench.send(name, &["u00001"]).await;
    }
    let heard = bench.heard.lock().unwrap();
    let all = |wanted: &str| -> Vec<&str> {
        let of = |headers: &'_ Vec<(String, String)>| headers.iter().position(|(name, _)| name == wanted);
        heard.iter().map(|headers| headers[of(headers).unwrap()].1.as_str()).collect()
    };
    assert_eq!(all("RequestId"), ["one", "one", "two"]);
    for fresh in ["Nonce", "CheckSum"] {
        let values = all(fresh);
        assert!(values[0] != values[1] && values[1] != values[2] && values[0] != values[2], "{values:?}");
    }
    // The provider has given the first answer again: two messages, not three.
    assert_eq!(bench.copies(), 2);
    assert!(bench.gateway.names_batches());
}

#[tokio::test]
async fn check_3_what_was_processed_and_not_answered_stands_there_once() {
    let bench = Bench::new(Faults { drop_answer: Some(Times::new(1)), ..Faults::default() });
    let answer = bench.send("r", &["u00001", "u00002"]).await;
    assert!(matches!(answer.reply, Reply::Unanswered(_)), "{answer:?}");
    assert_eq!(bench.copies(), 2);
    // The same name again is the same message.
    assert_eq!(verdicts(&bench.send("r", &["u00001", "u00002"]).await), ["accepted", "accepted"]);
    assert_eq!(bench.copies(), 2);
}

#[tokio::test]
async fn check_4_the_history_tells_what_became_of_it() {
    let bench = Bench::new(Faults { drop_answer: Some(Times::new(1)), ..Faults::default() });
    bench.send("r", &["u00001", "u00002"]).await;
    let seen = bench.look(&["u00001", "u00002", "u00003", "ghost"]).await;
    let found = seen.iter().map(|sighting| matches!(sighting, Sighting::Found(_))).collect::<Vec<_>>();
    assert_eq!(found, [true, true, false, false]);
    // Nothing was ever sent to these: of an account the answer says so; whether there once was another, it does not.
    assert!(matches!(&seen[2], Sighting::Nothing { .. }), "{seen:?}");
    assert!(matches!(&seen[3], Sighting::NoAnswer(reason) if reason.code == "unregistered"), "{seen:?}");
    assert_eq!(bench.copies(), 2);
}

#[tokio::test]
async fn check_5_a_throttle_is_waited_for_longer_than_the_provider_blocks() {
    let netease = NetEaseFaults { quota: 1, ..NetEaseFaults::default() };
    let bench = Bench::new(Faults { netease, ..Faults::default() });
    assert_eq!(verdicts(&bench.send("a", &["u00001"]).await), ["accepted"]);
    let answer = bench.send("b", &["u00002"]).await;
    let Reply::NothingDone(Cause::Throttled { retry_after: Some(asked) }, _) = answer.reply else {
        panic!("{answer:?}")
    };
    assert!(asked.as_secs() > 60);
    assert_eq!(bench.copies(), 1);
}

#[test]
fn check_6_batches_are_as_large_as_the_call_allows() {
    let bench = Bench::new(Faults::default());
    let calls = |message: Value, people: usize| {
        let message = bench.message(message);
        let size = bench.gateway.dialect().max_batch_size_of(&message);
        let mut cutter = Cutter::new(size);
        let ids = (0..people).map(|number| RecipientID::new(format!("u{number}")).unwrap());
        let full = ids.filter_map(|id| cutter.push(id)).count();
        full + usize::from(cutter.finish().is_some())
    };
    assert_eq!(calls(json!({"type": 0, "body": {"msg": "x"}}), 501), 2);
    assert_eq!(calls(json!({"type": 0, "body": {"msg": "x"}, "returnMsgid": true}), 101), 2);
    assert_eq!(calls(json!({"type": 0, "body": {"msg": "x"}}), 500), 1);
}

#[tokio::test]
async fn check_7_who_is_not_registered_is_told_once() {
    let bench = Bench::new(Faults::default());
    let answer = bench.send("r", &["u00001", "ghost"]).await;
    assert_eq!(verdicts(&answer), ["accepted", "unregistered"]);
}

#[tokio::test]
async fn check_8_what_moderation_stops_is_no_success() {
    let text = "gateways: {n: {kind: netease, call: single, url: \"http://127.0.0.1:1/nimserver\", appKey: sandbox, \
         appSecret: {env: S}, defaults: {from: notice}}}";
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let world = Arc::new(World::new(&Options::default(), clock.clone()));
    let netease = NetEaseFaults { antispam: "hi".to_owned(), ..NetEaseFaults::default() };
    world.set_faults(Faults { netease, ..Faults::default() });
    let inside = world.clone();
    let means = Means {
        clock,
        secret: &|_| Ok("sandbox".to_owned().into()),
        transport: &move |_| Ok(Arc::new(InProcess::new(inside.clone()))),
    };
    let (settings, _) = settings::read("s.yaml", text.as_bytes(), std::path::Path::new(""));
    let gateway = settings.unwrap().gateways["n"].open(&means).unwrap();
    let bench = Bench { world, gateway, heard: Arc::default() };
    assert_eq!(verdicts(&bench.send("r", &["u00001"]).await), ["antispam"]);
    assert_eq!(bench.copies(), 0);
}

#[tokio::test]
async fn check_9_json_never_reaches_a_form_endpoint() {
    let desk = Desk::new(
        "gateways:\n  n: {kind: netease, url: \"https://a/nimserver\", appKey: a, appSecret: {env: S}, encoding: json}\n  \
         c: {kind: netease-send-to-all, url: \"https://a/x\", auth: none, encoding: form, body: object}\n",
        &[],
    );
    let said = desk.ends(&["check"], 3);
    let told = said.out + &said.err;
    assert!(told.contains("encoding") && told.contains("a form holds texts alone"), "{told}");
    // And where a server takes it for nothing all the same, that is an answer like any other.
    let fault = CodeFault::new(414, "fromAccid is empty", 1);
    let netease = NetEaseFaults { code_before: Some(fault), ..NetEaseFaults::default() };
    let bench = Bench::new(Faults { netease, ..Faults::default() });
    assert!(matches!(bench.send("r", &["u00001"]).await.reply, Reply::Rejected(_)));
}

#[test]
fn check_10_an_empty_audience_is_refused() {
    let settings =
        "gateways: {c: {kind: netease-send-to-all, url: \"https://a/x\", auth: none, encoding: form}}\n";
    let campaign = "message: {type: 0, body: {}}\ntimezone: UTC\nschedules: [{at: 2099-11-11T09:00}]\n";
    let desk = Desk::new(settings, &[("c.yaml", campaign)]);
    let said = desk.ends(&["check"], 3);
    assert!((said.out + &said.err).contains("the campaign names nobody to send to"));
}
