//! The two calls that send: the loop over the recipients, one after another, and the answer. Nothing
//! sent twice is recognised, and no failed recipient gets a reason.

use std::{borrow::Cow, io::Write, sync::Arc, time::Duration};

use axum::body::Bytes;

use super::{
    ADMIN,
    answer::{Error, Response, SUCCESS},
    archive,
    faults::{self, CacheHangs},
    ids::HexID,
    keep::{Accepted, Change},
    order::{self, GROUP, NOTIFICATION, OA, Order, SINGLE},
    profile::{Profile, Service},
    truth::{self, Heading, Ticket},
    world::{Outcome, State, World},
};

pub const BATCH_SEND: &str = "/msg/batch_send_msg";
pub const SEND: &str = "/msg/send_msg";

/// How soon a batch has failed everyone when no message can be passed on.
const FAILS_WITHIN: Duration = Duration::from_millis(3);

/// Answers one of the two calls. What was begun goes on when the caller is gone.
pub(super) async fn send(world: Arc<World>, path: &str, operation_id: &str, body: Bytes) -> Outcome {
    let (latency, pauses) = {
        let faults = &world.state().faults;
        (faults.latency(), faults.cache_hangs.is_some())
    };
    let work = work(world, path.to_owned(), operation_id.to_owned(), body, latency);
    if latency.is_zero() && !pauses {
        // It does not pause before its work is done, so nobody can leave in the middle.
        return work.await;
    }
    tokio::spawn(work).await.unwrap_or(Outcome::Closed)
}

/// What goes wrong with one request.
struct Trouble {
    /// Only so many recipients are done.
    cut_after: Option<usize>,
    drops_answer: bool,
    service_down: bool,
    /// The service is killed after so many.
    killed_after: Option<usize>,
    cache: Option<CacheHangs>,
}

impl Trouble {
    fn take(state: &mut State, path: &str) -> Trouble {
        let faults = &mut state.faults;
        let cut_after = faults::take(&mut faults.cut_after, path).map(|cut| cut.recipients);
        Trouble {
            drops_answer: cut_after.is_some() || faults::take(&mut faults.drop_answer, path).is_some(),
            cut_after,
            service_down: faults::take(&mut faults.message_service_down, path).is_some(),
            killed_after: faults::take(&mut faults.message_service_killed, path).map(|cut| cut.recipients),
            cache: faults::take(&mut faults.cache_hangs, path),
        }
    }
}

async fn work(
    world: Arc<World>,
    path: String,
    operation_id: String,
    body: Bytes,
    latency: Duration,
) -> Outcome {
    let order = match order::read(&world, &path, &body) {
        Ok(order) => order,
        Err(response) => return Outcome::Answered(response),
    };
    let trouble = Trouble::take(&mut world.state(), &path);
    if let Some(cache) = &trouble.cache {
        tokio::time::sleep(Duration::from_millis(cache.for_ms)).await;
        if world.profile == Profile::Main && order.batch {
            // It is the token that was looked for, before anything else.
            return Outcome::Answered(cache_timeout().response());
        }
    }
    if trouble.service_down {
        tokio::time::sleep(FAILS_WITHIN).await;
    }
    let until = trouble.cut_after.unwrap_or(usize::MAX).min(order.recipients.len());
    let mut delivery = Delivery::begin(&world, &mut world.state(), &order, &operation_id);
    // A nap lasts a millisecond at least, however little time a recipient takes.
    let stride = match latency.as_nanos() {
        0 => usize::MAX,
        nanos => 1_000_000_u128.div_ceil(nanos) as usize,
    };
    let mut place = 0;
    while place < until {
        let end = place.saturating_add(stride).min(until);
        if !latency.is_zero() {
            tokio::time::sleep(latency * (end - place) as u32).await;
        }
        let mut state = world.state();
        let now = world.now_ms();
        for place in place..end {
            delivery.one(&mut state, &order, &trouble, place, now);
        }
        delivery.keep(&mut state);
        place = end;
    }
    let done = until == order.recipients.len() && delivery.error.is_none();
    if !order.batch && done {
        let at = world.now_ms();
        world.state().change(&Change::GotThrough { operation_id: operation_id.as_str().into(), at });
    }
    if trouble.drops_answer || world.state().is_broken {
        return Outcome::Closed;
    }
    Outcome::Answered(delivery.response())
}

/// A cache that did not answer in time.
fn cache_timeout() -> Error {
    Error::new(500, "ServerInternalError", "i/o timeout")
}

/// How a message passes to one recipient who is not refused it.
enum Passage {
    Sent,
    /// The recipient wants none, which is not told.
    Swallowed,
}

/// Whether a message passes to one recipient; `now` in Unix milliseconds.
fn admit(state: &mut State, order: &Order<'_>, recipient: &str, now: i64) -> Result<Passage, Error> {
    let profile = state.profile;
    let refuse = &state.faults.refuse;
    if !refuse.is_empty() && refuse.contains(order.group.as_deref().unwrap_or(recipient)) {
        return Err(profile.raised(1302, "BlockedByPeer", ""));
    }
    if let Some(error) = profile.too_large(order.substance.content.len()) {
        return Err(error);
    }
    match order.substance.session_type {
        NOTIFICATION if order.substance.content_type == i64::from(OA) || profile.takes_any_notification() => {
            Ok(Passage::Sent)
        }
        NOTIFICATION => Err(Error::args("notification msg must have correct session type and content type")),
        GROUP => {
            let group = order.group.as_deref().unwrap_or_default();
            state.groups.check_sender(profile, group, &order.sender)?;
            Ok(Passage::Sent)
        }
        SINGLE => admit_to_user(state, &order.sender, recipient, now),
        _ => Err(Error::args("")),
    }
}

fn admit_to_user(state: &mut State, sender: &str, recipient: &str, now: i64) -> Result<Passage, Error> {
    let profile = state.profile;
    let users = &mut state.users;
    if sender != ADMIN {
        if profile.knows_senders() && !users.exists(sender) {
            return Err(Error::not_found("userID not found"));
        }
        if users.blocks(recipient, sender) && !(profile == Profile::Main && users.is_privileged(sender)) {
            return Err(profile.raised(1302, "BlockedByPeer", ""));
        }
    }
    if !users.exists_for_senders(recipient, now) {
        Err(Error::not_found("userID not found"))
    } else if users.receive_option_for_senders(recipient, now) != 1 {
        Ok(Passage::Sent)
    } else if profile.hides_opting_out() {
        Ok(Passage::Swallowed)
    } else {
        Err(Error::args("message is not sent"))
    }
}

/// A request's work and the answer that grows with it.
struct Delivery {
    seed: u64,
    profile: Profile,
    ticket: Ticket,
    number: u64,
    client_msg_id: HexID,
    batch: bool,
    /// JSON rows, separated.
    results: Vec<u8>,
    failed: Vec<u8>,
    error: Option<Error>,
    /// What was accepted and is not kept yet.
    kept: Vec<Accepted>,
}

impl Delivery {
    fn begin(world: &World, state: &mut State, order: &Order<'_>, operation_id: &str) -> Delivery {
        let begun_at = world.now_ms();
        state.note(&Change::Request {
            operation_id: operation_id.into(),
            sender: order.sender.as_ref().into(),
            group: order.group.as_deref().map(Cow::Borrowed),
            substance: Cow::Borrowed(&order.substance),
            send_time: order.send_time,
            begun_at,
        });
        let (ticket, number) = state.truth.begin(Heading {
            operation_id,
            sender: &order.sender,
            group: order.group.as_deref(),
            substance: order.substance.clone(),
            send_time: order.send_time,
            begun_at,
        });
        Delivery {
            seed: world.seed,
            profile: world.profile,
            ticket,
            number,
            client_msg_id: truth::client_msg_id(world.seed, number),
            batch: order.batch,
            results: Vec::with_capacity(160 * order.recipients.len()),
            failed: Vec::new(),
            error: None,
            kept: Vec::new(),
        }
    }

    /// Keeps what was accepted since the last time.
    fn keep(&mut self, state: &mut State) {
        let messages = std::mem::take(&mut self.kept);
        if !messages.is_empty() {
            state.note(&Change::Messages { request: self.ticket, messages });
        }
    }

    /// Sends to the recipient at `place`; `now` in Unix milliseconds.
    fn one(&mut self, state: &mut State, order: &Order<'_>, trouble: &Trouble, place: usize, now: i64) {
        let Some(recipient) = order.recipients.get(place) else { return };
        if trouble.service_down || trouble.killed_after.is_some_and(|after| place > after) {
            return self.fail(recipient, self.profile.unreachable(Service::Message));
        }
        match admit(state, order, recipient, now) {
            Ok(Passage::Sent) => {}
            Ok(Passage::Swallowed) => return self.result(recipient, "", "", 0),
            Err(error) => return self.fail(recipient, error),
        }
        let cache_loses = trouble.cache.as_ref().map_or(0, |cache| cache.lose_every);
        let lost = state.losing.pick(state.faults.lose_every) | state.losing_cache.pick(cache_loses);
        let stored_at = (!lost).then(|| {
            let session_type = order.substance.session_type;
            state.partitions.store_at(&state.faults, now, || {
                archive::conversation_id(session_type, &order.sender, order.group.as_deref(), recipient)
            })
        });
        state.truth.note(self.ticket, recipient, place, now, stored_at);
        if state.keep.is_some() {
            self.kept.push(Accepted { recipient: recipient.to_string(), place, at: now, stored_at });
        }
        if trouble.killed_after == Some(place) {
            self.fail(recipient, self.profile.unreachable(Service::Message));
        } else if state.failing.pick(state.faults.fail_stored_every) {
            let detail = "kafka: client has run out of available brokers to talk to";
            self.fail(recipient, Error::new(500, "ServerInternalError", detail));
        } else if trouble.cache.is_some() && !self.batch {
            self.fail(recipient, cache_timeout());
        } else {
            let server_msg_id = truth::server_msg_id(self.seed, self.number, place);
            let client_msg_id = self.client_msg_id;
            let send_time = order.send_time.unwrap_or(now);
            self.result(recipient, server_msg_id.as_str(), client_msg_id.as_str(), send_time);
        }
    }

    fn fail(&mut self, recipient: &str, error: Error) {
        write_text(&mut self.failed, recipient);
        self.error = Some(error);
    }

    fn result(&mut self, recipient: &str, server_msg_id: &str, client_msg_id: &str, send_time: i64) {
        let out = &mut self.results;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"serverMsgID":""#);
        out.extend_from_slice(server_msg_id.as_bytes());
        out.extend_from_slice(br#"","clientMsgID":""#);
        out.extend_from_slice(client_msg_id.as_bytes());
        // Writing into memory cannot fail.
        let _ = write!(out, r#"","sendTime":{send_time}"#);
        if self.batch {
            out.extend_from_slice(br#","recvID":"#);
            let _ = serde_json::to_writer(&mut *out, recipient);
        } else if self.profile == Profile::Patch16 {
            out.extend_from_slice(br#","modify":null"#);
        }
        out.push(b'}');
    }

    /// The answer: of a batch always a success, of a single message its error.
    fn response(self) -> Response {
        if let (false, Some(error)) = (self.batch, &self.error) {
            return error.response();
        }
        let mut body = Vec::with_capacity(self.results.len() + self.failed.len() + 100);
        body.extend_from_slice(SUCCESS);
        body.extend_from_slice(br#","data":"#);
        if self.batch {
            body.extend_from_slice(br#"{"results":"#);
            write_list(&mut body, &self.results);
            body.extend_from_slice(br#","failedUserIDs":"#);
            write_list(&mut body, &self.failed);
            body.push(b'}');
        } else {
            body.extend_from_slice(&self.results);
        }
        body.push(b'}');
        Response::raw(200, body)
    }
}

fn write_text(rows: &mut Vec<u8>, text: &str) {
    if !rows.is_empty() {
        rows.push(b',');
    }
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(&mut *rows, text);
}

/// A list without entries is null.
fn write_list(body: &mut Vec<u8>, rows: &[u8]) {
    if rows.is_empty() {
        body.extend_from_slice(b"null");
    } else {
        body.push(b'[');
        body.extend_from_slice(rows);
        body.push(b']');
    }
}
