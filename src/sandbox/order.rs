//! A request to send, read and checked in the server's order: its types, its required fields, its
//! content, its sender.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    answer::{Error, Response},
    messages::BATCH_SEND,
    profile::Profile,
    truth::Substance,
    world::{State, World},
};

pub const SINGLE: i32 = 1;
pub const GROUP: i32 = 3;
pub const NOTIFICATION: i32 = 4;
pub const OA: i32 = 1400;

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
    nickname: Option<Text<'a>>,
    #[serde(borrow, rename = "senderFaceURL")]
    face_url: Option<Text<'a>>,
    #[serde(rename = "senderPlatformID")]
    platform_id: Option<i32>,
    #[serde(rename = "isOnlineOnly")]
    online_only: Option<bool>,
    #[serde(rename = "notOfflinePush")]
    _no_push: Option<bool>,
    #[serde(borrow, rename = "offlinePushInfo")]
    _push: Option<OfflinePush<'a>>,
    #[serde(borrow)]
    ex: Option<Text<'a>>,
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
pub struct Order<'a> {
    pub batch: bool,
    pub sender: Cow<'a, str>,
    pub group: Option<Cow<'a, str>>,
    pub substance: Substance,
    /// The time the message itself says, Unix milliseconds.
    pub send_time: Option<i64>,
    pub recipients: Vec<Cow<'a, str>>,
}

/// Checks a request in the server's order. Bodies that do not bind are answered with HTTP 400.
pub fn read<'a>(world: &World, path: &str, body: &'a [u8]) -> Result<Order<'a>, Response> {
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
    check_content(world.profile, content_type, &content).map_err(|error| error.response())?;
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
    let text = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned()).unwrap_or_default();
    Ok(Order {
        batch,
        sender,
        group: group.filter(|_| session_type == GROUP),
        substance: Substance {
            // What was parsed serialises.
            content: serde_json::to_string(&content).unwrap_or_default(),
            content_type: i64::from(content_type),
            session_type,
            online_only: body.online_only == Some(true),
            ex: text(body.ex),
            nickname: text(body.nickname),
            face_url: text(body.face_url),
            platform_id: body.platform_id.unwrap_or_default(),
        },
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
fn check_content(profile: Profile, content_type: i32, content: &Map<String, Value>) -> Result<(), Error> {
    if !profile.takes_content(content_type) {
        return Err(Error::args(""));
    }
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
