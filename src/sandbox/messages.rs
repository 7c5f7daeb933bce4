//! The two calls that send: what they check, and the loop over the recipients, one after another.
//! Nothing sent twice is recognised, and no failed recipient gets a reason.

use std::{borrow::Cow, io::Write, sync::Arc, time::Duration};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    ADMIN,
    answer::{Error, Response, SUCCESS},
    faults,
    ids::HexID,
    truth::{self, Heading, Ticket},
    world::{Outcome, State, World},
};

pub const BATCH_SEND: &str = "/msg/batch_send_msg";
pub const SEND: &str = "/msg/send_msg";

const SINGLE: i32 = 1;
const GROUP: i32 = 3;
const NOTIFICATION: i32 = 4;
const OA: i32 = 1400;

/// A text that is copied only when it has escapes.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The body of both calls, with the server's strict types; those that change nothing here are
/// checked all the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow, rename = "recvIDs")]
    recv_ids: Option<Vec<Text<'a>>>,
    #[serde(rename = "isSendAll")]
    to_all: Option<bool>,
    #[serde(borrow, rename = "recvID")]
    recv_id: Option<Text<'a>>,
    #[serde(borrow, rename = "groupID")]
    group_id: Option<Text<'a>>,
    #[serde(borrow, rename = "sendID")]
    send_id: Option<Text<'a>>,
    #[serde(rename = "contentType")]
    content_type: Option<i32>,
    #[serde(rename = "sessionType")]
    session_type: Option<i32>,
    content: Option<Map<String, Value>>,
    #[serde(rename = "sendTime")]
    send_time: Option<i64>,
    #[serde(borrow, rename = "senderNickname")]
    _nickname: Option<Text<'a>>,
    #[serde(borrow, rename = "senderFaceURL")]
    _face_url: Option<Text<'a>>,
    #[serde(rename = "senderPlatformID")]
    _platform_id: Option<i32>,
    #[serde(rename = "isOnlineOnly")]
    _online_only: Option<bool>,
    #[serde(rename = "notOfflinePush")]
    _no_push: Option<bool>,
    #[serde(borrow, rename = "offlinePushInfo")]
    _push: Option<OfflinePush<'a>>,
    #[serde(borrow, rename = "ex")]
    _ex: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfflinePush<'a> {
    #[serde(borrow, rename = "title")]
    _title: Option<Text<'a>>,
    #[serde(borrow, rename = "desc")]
    _desc: Option<Text<'a>>,
    #[serde(borrow, rename = "ex")]
    _ex: Option<Text<'a>>,
    #[serde(borrow, rename = "iOSPushSound")]
    _sound: Option<Text<'a>>,
    #[serde(rename = "iOSBadgeCount")]
    _badge: Option<bool>,
    #[serde(borrow, rename = "signalInfo")]
    _signal: Option<Text<'a>>,
}

/// A request that passed every check of the request itself.
struct Order<'a> {
    batch: bool,
    sender: Cow<'a, str>,
    group: Option<Cow<'a, str>>,
    session_type: i32,
    content_type: i32,
    content: String,
    send_time: Option<i64>,
    recipients: Vec<Cow<'a, str>>,
}

/// Answers one of the two calls. What was begun goes on when the caller is gone.
pub(super) async fn send(world: Arc<World>, path: &str, operation_id: &str, body: Bytes) -> Outcome {
    let latency = world.state().faults.latency();
    let work = work(world, path.to_owned(), operation_id.to_owned(), body, latency);
    if latency.is_zero() {
        // It does not pause, so nobody can leave in the middle.
        return work.await;
    }
    tokio::spawn(work).await.unwrap_or(Outcome::Closed)
}

async fn work(
    world: Arc<World>,
    path: String,
    operation_id: String,
    body: Bytes,
    latency: Duration,
) -> Outcome {
    let order = match read(&world, &path, &body) {
        Ok(order) => order,
        Err(response) => return Outcome::Answered(response),
    };
    let (mut delivery, until, dropped) = {
        let mut state = world.state();
        let cut = faults::take(&mut state.faults.cut_after, &path);
        let dropped = cut.is_some() || faults::take(&mut state.faults.drop_answer, &path).is_some();
        let until = cut.map_or(usize::MAX, |cut| cut.recipients).min(order.recipients.len());
        (Delivery::begin(&world, &mut state, &order, &operation_id), until, dropped)
    };
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
            delivery.one(&mut state, &order, place, now);
        }
        place = end;
    }
    if dropped { Outcome::Closed } else { Outcome::Answered(delivery.response()) }
}

/// Checks a request in the server's order. Bodies that do not bind are answered with HTTP 400.
fn read<'a>(world: &World, path: &str, body: &'a [u8]) -> Result<Order<'a>, Response> {
    let bad_body = |text: String| Response::json(400, &Error::args(text));
    let body: Body<'a> = serde_json::from_slice(body).map_err(|error| bad_body(format!("json: {error}")))?;
    let batch = path == BATCH_SEND;
    let missing = missing(&body, batch);
    if !missing.is_empty() {
        let prefix = if batch { "BatchSendMsgReq" } else { "SendMsgReq" };
        let line = |(field, tag): &(&str, &str)| {
            format!("Key: '{prefix}.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag")
        };
        return Err(bad_body(missing.iter().map(line).collect::<Vec<_>>().join("\n")));
    }
    let content_type = body.content_type.unwrap_or_default();
    let content = body.content.unwrap_or_default();
    check_content(content_type, &content).map_err(|error| error.response())?;
    let session_type = if content_type == OA { NOTIFICATION } else { body.session_type.unwrap_or_default() };
    let sender = body.send_id.map(|sender| sender.0).unwrap_or_default();
    let group = body.group_id.map(|group| group.0).filter(|group| !group.is_empty());
    let recipients = match (batch, body.to_all == Some(true)) {
        (true, true) => world.state().users.all().map(|id| Cow::Owned(id.into_owned())).collect(),
        (true, false) => body.recv_ids.unwrap_or_default().into_iter().map(|id| id.0).collect(),
        (false, _) if session_type == GROUP => vec![Cow::Borrowed("")],
        (false, _) => body.recv_id.into_iter().map(|id| id.0).collect(),
    };
    if content_type == OA {
        check_notifier(&world.state(), &sender).map_err(|error| error.response())?;
    }
    Ok(Order {
        batch,
        sender,
        group: group.filter(|_| session_type == GROUP),
        session_type,
        content_type,
        // What was parsed serialises.
        content: serde_json::to_string(&content).unwrap_or_default(),
        send_time: body.send_time.filter(|time| *time != 0),
        recipients,
    })
}

/// The required fields that are not there, with the server's tags. A list is there when it is empty;
/// a text or a number is not.
fn missing(body: &Body<'_>, batch: bool) -> Vec<(&'static str, &'static str)> {
    let there = |text: &Option<Text<'_>>| text.as_ref().is_some_and(|text| !text.0.is_empty());
    let session_type = body.session_type.unwrap_or(0);
    let to_group = [2, GROUP].contains(&session_type);
    let needed = [
        ("RecvIDs", "required", !batch || body.recv_ids.is_some()),
        (
            "RecvID",
            "required_if",
            batch || ![SINGLE, NOTIFICATION].contains(&session_type) || there(&body.recv_id),
        ),
        ("SendID", "required", there(&body.send_id)),
        (
            "GroupID",
            "required_if=SessionType 2|required_if=SessionType 3",
            !to_group || there(&body.group_id),
        ),
        ("Content", "required", body.content.is_some()),
        ("ContentType", "required", body.content_type.is_some_and(|number| number != 0)),
        ("SessionType", "required", session_type != 0),
    ];
    needed.into_iter().filter(|(_, _, there)| !there).map(|(field, tag, _)| (field, tag)).collect()
}

/// What the server requires of `content`; a fault comes as an internal error.
fn check_content(content_type: i32, content: &Map<String, Value>) -> Result<(), Error> {
    const IMAGE: [&str; 4] = ["type", "width", "height", "url"];
    let (element, required): (&str, &[&str]) = match content_type {
        101 | 118 => ("TextElem", &["content"]),
        102 => ("PictureElem", &["sourcePicture", "bigPicture", "snapshotPicture"]),
        103 => ("SoundElem", &["sourceUrl", "duration"]),
        104 => (
            "VideoElem",
            &[
                "videoUrl",
                "videoType",
                "videoSize",
                "duration",
                "snapshotUrl",
                "snapshotWidth",
                "snapshotHeight",
            ],
        ),
        105 => ("FileElem", &["sourceUrl", "fileName", "fileSize"]),
        106 => ("AtElem", &["atUserList"]),
        110 => ("CustomElem", &["data"]),
        114 => ("QuoteElem", &[]),
        OA => ("OANotificationElem", &["notificationName", "notificationType", "text"]),
        _ => return Err(Error::args("")),
    };
    let empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(value) => value == "" || value == 0 || value == false,
    };
    let mut absent: Vec<String> =
        required.iter().filter(|key| empty(content.get(**key))).map(|key| (*key).to_owned()).collect();
    if content_type == 102 {
        for key in required {
            let picture = content.get(*key);
            let inner =
                IMAGE.iter().filter(|inner| picture.is_some_and(|picture| empty(picture.get(**inner))));
            absent.extend(inner.map(|inner| format!("{key}.{inner}")));
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let line = |key: &String| {
        format!("Key: '{element}.{key}' Error:Field validation for '{key}' failed on the 'required' tag")
    };
    let lines: Vec<String> = absent.iter().map(line).collect();
    Err(Error::new(500, "ServerInternalError", lines.join("\n")))
}

fn check_notifier(state: &State, sender: &str) -> Result<(), Error> {
    if !state.users.exists(sender) {
        Err(Error::new(1101, "UserIDNotFoundError", ""))
    } else if !state.users.may_notify(sender) {
        Err(Error::new(1002, "NoPermissionError", "notification messages cannot be sent for this ID"))
    } else {
        Ok(())
    }
}

/// Whether a message passes to one recipient.
fn admit(state: &State, order: &Order<'_>, recipient: &str) -> Result<(), Error> {
    let refuse = &state.faults.refuse;
    if !refuse.is_empty() && refuse.contains(order.group.as_deref().unwrap_or(recipient)) {
        return Err(Error::new(1302, "BlockedByPeer", ""));
    }
    match order.session_type {
        NOTIFICATION => Ok(()),
        GROUP => state.groups.check_sender(order.group.as_deref().unwrap_or_default(), &order.sender),
        SINGLE => {
            let users = &state.users;
            if order.sender != ADMIN {
                if !users.exists(&order.sender) {
                    return Err(Error::not_found("userID not found"));
                }
                if users.blocks(recipient, &order.sender) && !users.is_privileged(&order.sender) {
                    return Err(Error::new(1302, "BlockedByPeer", ""));
                }
            }
            if !users.exists(recipient) {
                Err(Error::not_found("userID not found"))
            } else if users.receive_option(recipient) == 1 {
                Err(Error::args("message is not sent"))
            } else {
                Ok(())
            }
        }
        _ => Err(Error::args("")),
    }
}

/// A request's work and the answer that grows with it.
struct Delivery {
    seed: u64,
    ticket: Ticket,
    number: u64,
    client_msg_id: HexID,
    batch: bool,
    /// JSON rows, separated.
    results: Vec<u8>,
    failed: Vec<u8>,
    error: Option<Error>,
}

impl Delivery {
    fn begin(world: &World, state: &mut State, order: &Order<'_>, operation_id: &str) -> Delivery {
        let (ticket, number) = state.truth.begin(Heading {
            operation_id,
            sender: &order.sender,
            group: order.group.as_deref(),
            content: order.content.clone(),
            content_type: i64::from(order.content_type),
            send_time: order.send_time,
            begun_at: world.now_ms(),
            late_ms: state.faults.store_late_ms,
        });
        Delivery {
            seed: world.seed,
            ticket,
            number,
            client_msg_id: truth::client_msg_id(world.seed, number),
            batch: order.batch,
            results: Vec::with_capacity(160 * order.recipients.len()),
            failed: Vec::new(),
            error: None,
        }
    }

    /// Sends to the recipient at `place`; `now` in Unix milliseconds.
    fn one(&mut self, state: &mut State, order: &Order<'_>, place: usize, now: i64) {
        let Some(recipient) = order.recipients.get(place) else { return };
        if let Err(error) = admit(state, order, recipient) {
            write_text(&mut self.failed, recipient);
            self.error = Some(error);
            return;
        }
        state.accepted += 1;
        let every = u64::from(state.faults.lose_every);
        if every == 0 || !state.accepted.is_multiple_of(every) {
            state.truth.note(self.ticket, recipient, place, now);
        }
        let out = &mut self.results;
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"serverMsgID":""#);
        out.extend_from_slice(truth::server_msg_id(self.seed, self.number, place).as_str().as_bytes());
        out.extend_from_slice(br#"","clientMsgID":""#);
        out.extend_from_slice(self.client_msg_id.as_str().as_bytes());
        // Writing into memory cannot fail.
        let _ = write!(out, r#"","sendTime":{}"#, order.send_time.unwrap_or(now));
        if self.batch {
            out.extend_from_slice(br#","recvID":"#);
            let _ = serde_json::to_writer(&mut *out, recipient);
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
