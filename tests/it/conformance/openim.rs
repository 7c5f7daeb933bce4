//! What a provider that speaks OpenIM must do for us besides, as one list of cases: on the sandbox in
//! this process and over HTTP, in both of its profiles, and on a real server where the environment
//! names one:
//!
//! - `CAMPAIGND_TEST_OPENIM_URL`, and `_SECRET`, `_ADMIN` (defaults: as a fresh server has them)
//! - `CAMPAIGND_TEST_OPENIM_RECIPIENTS`: two registered users or more, comma separated; they get
//!   messages
//! - `CAMPAIGND_TEST_OPENIM_GROUP`: a group, for the case that needs one

mod looking;

use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::journal::TestJournal;
use campaignd::{
    campaign::{Message, RecipientID, message::AddressedTo},
    clock::{Clock, SystemClock},
    gateway::{
        Addressees, Call, Gateway, Pending,
        openim::{Account, OpenIM},
    },
    run::reply::{Answer, Cause, Reply, Verdict},
    sandbox::{self, Faults, Filter, Options, Profile, World, faults::Times},
};
use serde_json::{Value, json};

use super::{id, object, verdicts};

/// A provider under test and what is known of it.
struct Provider {
    name: &'static str,
    gateway: Arc<OpenIM>,
    /// A gateway whose provider cannot be reached.
    unreachable: Arc<OpenIM>,
    /// An account that may send everything.
    notifier: String,
    users: Vec<RecipientID>,
    group: Option<RecipientID>,
    /// The truth and the faults, where the provider is ours.
    world: Option<Arc<World>>,
    calls: AtomicU64,
}

/// A case that does not apply is skipped with a reason.
type Outcome = Result<(), &'static str>;

macro_rules! cases {
    ($($case:ident)*) => {
        const CASES: &[(&str, fn(&Provider) -> Pending<'_, Outcome>)] =
            &[$((stringify!($case), |provider| Box::pin($case(provider)))),*];
    };
}

use looking::*;

cases! {
    two_recipients_are_accepted
    an_unknown_recipient_is_failed_and_then_explained
    everyone_failed_is_an_answer
    a_recipient_who_opted_out_is_explained
    a_group_gets_one_message
    an_unknown_group_is_refused
    a_notification_is_accepted
    content_that_does_not_fit_is_rejected
    an_expired_token_is_told_and_replaced
    everyone_is_listed_but_the_sender
    the_clock_is_learnt
    a_send_time_arrives_verbatim
    a_cut_batch_settles_nothing
    what_was_sent_is_found_in_two_requests
    what_was_never_sent_is_proven_to_be_absent
    a_conversation_that_never_was_has_nothing
    a_notification_is_found_by_its_recipients
    a_group_message_is_found_by_its_record_or_by_a_member
    a_single_message_is_found_by_its_record
    what_has_no_time_of_ours_cannot_be_asked
    what_is_late_is_nothing_yet
    a_record_is_there_before_the_message_is
    what_was_accepted_and_lost_is_absent
    what_failed_and_was_stored_is_found
    what_is_stored_again_or_taken_back_is_one_message
    what_an_answer_leaves_out_is_left_open
    a_restored_backup_is_noticed
    an_outage_while_looking_is_a_fault
    five_hundred_recipients_take_three_requests_at_most
}

fn plain_text(mark: &str) -> Value {
    json!({"contentType": "text", "content": {"content": mark}})
}

fn from_the_admin(mark: &str) -> Value {
    json!({"sendID": sandbox::ADMIN, "contentType": "text", "content": {"content": mark}})
}

/// The cases of this kind, then those of every kind: they write to everyone.
async fn run(provider: Provider) {
    for (case, run) in CASES {
        eprintln!("{}: {case} …", provider.name);
        if let Some(world) = &provider.world {
            world.set_faults(Faults::default());
            world.forget_received();
        }
        if let Err(reason) = run(&provider).await {
            eprintln!("{}: {case} skipped: {reason}", provider.name);
        }
    }
    let wrong = |world: &Arc<World>| -> Arc<dyn Gateway> {
        let account = Account { secret: "wrong".into(), ..sandbox::account() };
        Arc::new(sandbox::gateway(world.clone(), account, Arc::new(SystemClock::new())))
    };
    let kind = super::Kind {
        name: format!("openim: {}", provider.name),
        gateway: provider.gateway.clone(),
        unreachable: provider.unreachable.clone(),
        wrong: provider.world.as_ref().map(wrong),
        message: if provider.notifier == sandbox::ADMIN { from_the_admin } else { plain_text },
        // A real server would write to everyone.
        unlisted: provider.world.is_some().then_some(from_the_admin),
        users: provider.users.clone(),
        tells_strangers: true,
        throttle: json!({"throttle": {"retryAfter": "7", "times": 1}}),
        world: provider.world.clone(),
    };
    kind.run().await;
}

impl Provider {
    fn world(&self) -> Result<&World, &'static str> {
        self.world.as_deref().ok_or("only the sandbox does this on demand")
    }

    fn call(&self, message: Value, to: Addressees) -> Call {
        let addressed_to = match &to {
            Addressees::Users(_) | Addressees::User(_) => AddressedTo::Users,
            Addressees::Group(_) => AddressedTo::Groups,
            Addressees::Unlisted(_) => AddressedTo::Unlisted,
        };
        let (message, faults) = self.gateway.dialect().read_message(&object(message), addressed_to);
        let message = message.unwrap_or_else(|| panic!("{faults:?}"));
        self.exact_call(message, to)
    }

    fn exact_call(&self, message: Message, to: Addressees) -> Call {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let now = SystemClock::new().now().as_millisecond();
        Call {
            operation_id: format!("conformance-{now}-{number}"),
            message: Arc::new(message),
            to,
            send_time_ms: None,
            written_to: Default::default(),
        }
    }

    fn text(&self) -> Value {
        json!({"sendID": self.notifier, "contentType": "text", "content": {"content": "conformance"}})
    }

    fn text_to(&self, users: &[RecipientID]) -> Call {
        self.call(self.text(), Addressees::Users(users.to_vec()))
    }

    fn two(&self) -> &[RecipientID] {
        &self.users[..2]
    }

    /// What the sandbox received: recipient and send time.
    fn received(&self, world: &World) -> Vec<(String, i64)> {
        let mut received = Vec::new();
        let filter = Filter { sender: Some(self.notifier.clone()), recipient: None };
        world.received(&filter, |message| received.push((message.recipient.to_owned(), message.send_time)));
        received
    }

    fn received_by(&self, world: &World) -> Vec<String> {
        self.received(world).into_iter().map(|(recipient, _)| recipient).collect()
    }
}

/// Everyone's word, in order: `accepted`, or the code.
fn words(answer: &Answer) -> Vec<(&str, &str)> {
    let word = |verdict| match verdict {
        &Verdict::Accepted(_) => "accepted",
        Verdict::Refused(reason) | Verdict::Unknown(reason) => reason.code.as_str(),
    };
    verdicts(answer).iter().map(|(id, verdict)| (id.as_str(), word(verdict))).collect()
}

fn nobody(provider: &Provider) -> RecipientID {
    id(format!("nobody-{}", provider.calls.fetch_add(1, Ordering::Relaxed)))
}

async fn two_recipients_are_accepted(provider: &Provider) -> Outcome {
    let answer = provider.gateway.send(&provider.text_to(provider.two())).await;
    assert_eq!((answer.http_status, answer.provider_code), (Some(200), Some(0)));
    let receipts: Vec<_> = verdicts(&answer)
        .iter()
        .map(|(id, verdict)| match verdict {
            Verdict::Accepted(receipt) => (id, receipt),
            other => panic!("{id}: {other:?}"),
        })
        .collect();
    assert_eq!(
        receipts.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        provider.two().iter().collect::<Vec<_>>()
    );
    let [(_, first), (_, second)] = receipts[..] else { panic!("{receipts:?}") };
    assert!(first.client_msg_id.is_some() && first.client_msg_id == second.client_msg_id);
    assert!(first.server_msg_id.is_some() && first.server_msg_id != second.server_msg_id);
    assert!(first.send_time_ms.is_some());
    Ok(())
}

async fn an_unknown_recipient_is_failed_and_then_explained(provider: &Provider) -> Outcome {
    let asked = [provider.users[0].clone(), nobody(provider)];
    let call = provider.text_to(&asked);
    let answer = provider.gateway.send(&call).await;
    let expected = [(asked[0].as_str(), "accepted"), (asked[1].as_str(), "failedWithoutReason")];
    assert_eq!(words(&answer), expected);
    let journal = TestJournal::default();
    let explained = provider.gateway.explain(&call.message, &asked, &journal).await.unwrap();
    journal.assert_complete();
    // Who is registered, and what those want who are.
    assert_eq!(journal.requests(), 2);
    let codes: Vec<_> = explained.iter().map(|(id, reason)| (id.as_str(), reason.code.as_str())).collect();
    assert_eq!(codes, [(asked[1].as_str(), "1004")]);
    Ok(())
}

async fn everyone_failed_is_an_answer(provider: &Provider) -> Outcome {
    let asked = [nobody(provider), nobody(provider)];
    let answer = provider.gateway.send(&provider.text_to(&asked)).await;
    assert_eq!(answer.provider_code, Some(0));
    assert!(words(&answer).iter().all(|(_, word)| *word == "failedWithoutReason"), "{answer:?}");
    Ok(())
}

async fn a_recipient_who_opted_out_is_explained(provider: &Provider) -> Outcome {
    let world = provider.world.as_ref().ok_or("only the sandbox changes its users on demand")?;
    // Nobody has written to them lately: the released line would not notice a change for a while.
    let shy = id("u01100");
    let asked = [provider.users[0].clone(), shy.clone()];
    let option = |option: u8| json!({"userID": shy.as_str(), "globalRecvMsgOpt": option}).to_string();
    as_admin(world, "/user/set_global_msg_recv_opt", option(1)).await;
    let call = provider.text_to(&asked);
    let answer = provider.gateway.send(&call).await;
    let explained = provider.gateway.explain(&call.message, &asked, &TestJournal::default()).await.unwrap();
    as_admin(world, "/user/set_global_msg_recv_opt", option(0)).await;
    // The main line fails them, the released one answers that nothing was sent.
    assert!(["failedWithoutReason", "optedOut"].contains(&words(&answer)[1].1), "{answer:?}");
    let codes: Vec<_> = explained.iter().map(|(id, reason)| (id.as_str(), reason.code.as_str())).collect();
    assert_eq!(codes, [(shy.as_str(), "optedOut")]);
    Ok(())
}

/// Asks the sandbox something that the gateway never asks.
async fn as_admin(world: &Arc<World>, path: &str, body: String) {
    let ask = async |path: &str, token: Option<&str>, body: String| {
        let request = sandbox::world::Request { path, operation_id: Some("test"), token };
        match world.handle(request, body.into()).await {
            sandbox::world::Outcome::Answered(response) => {
                let answer: Value = serde_json::from_slice(&response.body).unwrap();
                assert_eq!(answer["errCode"], 0, "{answer}");
                answer
            }
            other => panic!("{other:?}"),
        }
    };
    let login = json!({"userID": sandbox::ADMIN, "secret": sandbox::SECRET}).to_string();
    let login = ask("/auth/get_admin_token", None, login).await;
    ask(path, login["data"]["token"].as_str(), body).await;
}

async fn a_group_gets_one_message(provider: &Provider) -> Outcome {
    let group = provider.group.clone().ok_or("no group is named")?;
    let call = provider.call(provider.text(), Addressees::Group(group.clone()));
    let answer = provider.gateway.send(&call).await;
    assert_eq!(words(&answer), [(group.as_str(), "accepted")]);
    if let Ok(world) = provider.world() {
        assert_eq!(provider.received_by(world), [group.as_str()]);
    }
    Ok(())
}

async fn an_unknown_group_is_refused(provider: &Provider) -> Outcome {
    let group = nobody(provider);
    let call = provider.call(provider.text(), Addressees::Group(group.clone()));
    assert_eq!(words(&provider.gateway.send(&call).await), [(group.as_str(), "1004")]);
    Ok(())
}

async fn a_notification_is_accepted(provider: &Provider) -> Outcome {
    let content = json!({"notificationName": "N", "notificationType": 1, "text": "conformance"});
    let message = json!({"sendID": provider.notifier, "contentType": "oa", "content": content});
    let call = provider.call(message, Addressees::Users(provider.two().to_vec()));
    let answer = provider.gateway.send(&call).await;
    assert!(words(&answer).iter().all(|(_, word)| *word == "accepted"), "{answer:?}");
    Ok(())
}

/// Past the dialect, as a server with other rules would see it.
async fn content_that_does_not_fit_is_rejected(provider: &Provider) -> Outcome {
    let users = Addressees::Users(provider.two().to_vec());
    for (key, value, code) in [
        ("content", json!({"x": 1}), "500"),
        ("contentType", json!(999), "1001"),
        ("notOfflinePush", json!("true"), "1001"),
    ] {
        let mut message = provider.call(provider.text(), users.clone()).message.0.clone();
        message.insert(key.to_owned(), value);
        let answer = provider.gateway.send(&provider.exact_call(Message(message), users.clone())).await;
        assert!(matches!(&answer.reply, Reply::Rejected(reason) if reason.code == code), "{key}: {answer:?}");
    }
    if let Ok(world) = provider.world() {
        assert_eq!(provider.received_by(world), Vec::<String>::new());
    }
    Ok(())
}

async fn an_expired_token_is_told_and_replaced(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    verdicts(&provider.gateway.send(&provider.text_to(provider.two())).await);
    world.set_faults(Faults { expire_tokens: true, ..Faults::default() });
    let answer = provider.gateway.send(&provider.text_to(provider.two())).await;
    assert!(
        matches!(&answer.reply, Reply::NothingDone(Cause::Token, reason) if reason.code == "1501"),
        "{answer:?}"
    );
    verdicts(&provider.gateway.send(&provider.text_to(provider.two())).await);
    // Reading does not wait to be repeated.
    world.set_faults(Faults { expire_tokens: true, ..Faults::default() });
    let (message, journal) = (provider.text_to(provider.two()).message, TestJournal::default());
    assert_eq!(provider.gateway.explain(&message, provider.two(), &journal).await, Ok(Vec::new()));
    Ok(())
}

async fn everyone_is_listed_but_the_sender(provider: &Provider) -> Outcome {
    // An ordinary user as the sender, who would otherwise be in the list.
    let sender = provider.users[0].as_str();
    let mut message =
        provider.call(provider.text(), Addressees::Users(provider.two().to_vec())).message.0.clone();
    message.insert("sendID".to_owned(), sender.into());
    let message = Message(message);
    let mut listed = BTreeSet::new();
    for page_number in 1.. {
        let page = provider.gateway.users(&message, page_number).await.unwrap();
        listed.extend(page.users.iter().map(|id| id.as_str().to_owned()));
        if !page.more {
            break;
        }
    }
    assert!(!listed.contains(sender) && listed.contains(provider.users[1].as_str()));
    if provider.world.is_some() {
        // 1,200 users, three pages; the other ordinary account, and no admin.
        assert!(!listed.contains(sandbox::ADMIN) && !listed.contains(sandbox::NOTIFIER));
        assert_eq!(listed.len(), 1_200);
    }
    Ok(())
}

async fn the_clock_is_learnt(provider: &Provider) -> Outcome {
    verdicts(&provider.gateway.send(&provider.text_to(provider.two())).await);
    assert!(provider.gateway.clock_offset().abs() < jiff::SignedDuration::from_mins(1));
    Ok(())
}

async fn a_send_time_arrives_verbatim(provider: &Provider) -> Outcome {
    let stamped = Call { send_time_ms: Some(1_790_000_000_123), ..provider.text_to(provider.two()) };
    assert_eq!(provider.gateway.stamps_send_time(&stamped.message), Some(provider.notifier.clone()));
    let answer = provider.gateway.send(&stamped).await;
    for (id, verdict) in verdicts(&answer) {
        let Verdict::Accepted(receipt) = verdict else { panic!("{id}: {verdict:?}") };
        assert_eq!(receipt.send_time_ms, Some(1_790_000_000_123));
    }
    // A message's own time wins.
    let mut own = provider.text();
    own["sendTime"] = json!(1_700_000_000_456_i64);
    let own = provider.call(own, Addressees::Users(provider.two().to_vec()));
    assert_eq!(provider.gateway.stamps_send_time(&own.message), None);
    provider.gateway.send(&own).await;
    let times: Vec<i64> = provider.received(provider.world()?).into_iter().map(|(_, time)| time).collect();
    assert_eq!(times, [1_790_000_000_123, 1_790_000_000_123, 1_700_000_000_456, 1_700_000_000_456]);
    Ok(())
}

async fn a_cut_batch_settles_nothing(provider: &Provider) -> Outcome {
    let world = provider.world()?;
    world.set_faults(serde_json::from_value(json!({"cutAfter": {"recipients": 1, "times": 1}})).unwrap());
    let answer = provider.gateway.send(&provider.text_to(provider.two())).await;
    assert!(matches!(answer.reply, Reply::Unanswered(_)), "{answer:?}");
    assert_eq!(provider.received_by(world), [provider.users[0].as_str()]);
    Ok(())
}

fn world(profile: Profile) -> Arc<World> {
    let options = Options { profile, users: 1_200, ..Options::default() };
    Arc::new(World::new(&options, Arc::new(SystemClock::new())))
}

fn over_http(account: Account) -> OpenIM {
    OpenIM::over_http(account, None, None, Arc::new(SystemClock::new())).unwrap()
}

/// A gateway to a port that nobody listens on.
fn closed_port() -> OpenIM {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    over_http(Account { url: format!("http://{address}"), ..sandbox::account() })
}

fn sandbox_provider(name: &'static str, world: Arc<World>, gateway: OpenIM, unreachable: OpenIM) -> Provider {
    Provider {
        name,
        gateway: Arc::new(gateway),
        unreachable: Arc::new(unreachable),
        notifier: sandbox::ADMIN.into(),
        users: vec![id("u00001"), id("u00002")],
        group: Some(id("g1001")),
        world: Some(world),
        calls: AtomicU64::new(0),
    }
}

async fn in_process(name: &'static str, profile: Profile) {
    let here = |world: &Arc<World>| {
        sandbox::gateway(Arc::clone(world), sandbox::account(), Arc::new(SystemClock::new()))
    };
    let away = world(profile);
    let fault = Times { times: u32::MAX, path: Some("/".into()) };
    away.set_faults(Faults { unreachable: Some(fault), ..Faults::default() });
    let world = world(profile);
    assert!(!here(&world).delivers());
    let (gateway, unreachable) = (here(&world), here(&away));
    run(sandbox_provider(name, world, gateway, unreachable)).await;
}

async fn over_sockets(name: &'static str, profile: Profile) {
    let world = world(profile);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(sandbox::server::serve(Arc::clone(&world), listener, std::future::pending()));
    let gateway = over_http(Account { url, timeout: Duration::from_secs(30), ..sandbox::account() });
    assert!(gateway.delivers());
    run(sandbox_provider(name, world, gateway, closed_port())).await;
    server.abort();
}

#[tokio::test]
async fn main_line_in_process() {
    in_process("sandbox, main line", Profile::Main).await;
}

#[tokio::test]
async fn released_line_in_process() {
    in_process("sandbox, released line", Profile::Patch16).await;
}

#[tokio::test]
async fn main_line_over_http() {
    over_sockets("sandbox over HTTP, main line", Profile::Main).await;
}

#[tokio::test]
async fn released_line_over_http() {
    over_sockets("sandbox over HTTP, released line", Profile::Patch16).await;
}

#[tokio::test]
async fn real_server() {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its environment which server to use")]
    let told = |name: &str| std::env::var(format!("CAMPAIGND_TEST_OPENIM_{name}")).ok();
    let Some(url) = told("URL") else {
        eprintln!("real server: skipped, CAMPAIGND_TEST_OPENIM_URL is not set");
        return;
    };
    let admin = told("ADMIN").unwrap_or_else(|| sandbox::ADMIN.into());
    let recipients = told("RECIPIENTS").expect("CAMPAIGND_TEST_OPENIM_RECIPIENTS names two users");
    let account = Account {
        url,
        admin_user_id: admin.clone(),
        secret: told("SECRET").unwrap_or_else(|| sandbox::SECRET.into()).into(),
        ..sandbox::account()
    };
    run(Provider {
        name: "real server",
        gateway: Arc::new(over_http(account)),
        unreachable: Arc::new(closed_port()),
        notifier: admin,
        users: recipients.split(',').map(|text| id(text.trim())).collect(),
        group: told("GROUP").map(id),
        world: None,
        calls: AtomicU64::new(0),
    })
    .await;
}
