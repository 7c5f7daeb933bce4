//! OpenIM's paths, request bodies and answer shapes; reference for each is the server's source and
//! what running servers answered.
//!
//! Knows: names and types on the wire. Must never know: what an answer means.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{
    campaign::RecipientID,
    gateway::{Addressees, Call},
};

pub const BATCH_SEND: &str = "/msg/batch_send_msg";
pub const SEND: &str = "/msg/send_msg";
pub const SERVER_TIME: &str = "/msg/get_server_time";
pub const ADMIN_TOKEN: &str = "/auth/get_admin_token";
pub const ACCOUNT_CHECK: &str = "/user/account_check";
pub const USERS_INFO: &str = "/user/get_users_info";
pub const USERS: &str = "/user/get_users";
pub const MEMBERS: &str = "/group/get_group_member_list";
pub const MAX_SEQS: &str = "/msg/get_conversations_has_read_and_max_seq";
pub const PULL: &str = "/msg/pull_msg_by_seq";
pub const SEND_STATUS: &str = "/msg/check_msg_is_send_success";
pub const GROUP_MEMBERS: &str = "/group/get_group_member_user_id";

/// A pull's order: the oldest first.
pub const ASCENDING: i32 = 0;

/// The path of the request that a call makes: groups get the message by `send_msg`, because the
/// batch call would send a group one copy for each of `recvIDs`; so does one user of whom a reason is
/// wanted, which the batch call never gives.
pub fn send_path(to: &Addressees) -> &'static str {
    match to {
        Addressees::Users(_) | Addressees::Unlisted(_) => BATCH_SEND,
        Addressees::User(_) | Addressees::Group(_) => SEND,
    }
}

/// The body of a request that sends: the message's own fields and whom it is for.
pub struct SendBody<'a>(pub &'a Call);

impl Serialize for SendBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let call = self.0;
        let fields = &call.message.0;
        let mut body = serializer.serialize_map(None)?;
        match &call.to {
            Addressees::Users(users) => body.serialize_entry("recvIDs", users)?,
            Addressees::User(user) => body.serialize_entry("recvID", user)?,
            Addressees::Group(group) => body.serialize_entry("groupID", group)?,
            Addressees::Unlisted(_) => {
                // The list must be there, and is ignored.
                body.serialize_entry("recvIDs", &[""; 0])?;
                body.serialize_entry("isSendAll", &true)?;
            }
        }
        for (key, value) in fields {
            if key != "sendTime" {
                body.serialize_entry(key, value)?;
            }
        }
        match own_send_time(fields) {
            Some(own) => body.serialize_entry("sendTime", &own)?,
            None => {
                if let Some(stamped) = call.send_time_ms {
                    body.serialize_entry("sendTime", &stamped)?;
                }
            }
        }
        body.end()
    }
}

/// The time that the message itself says it was sent; to the server 0 means the same as nothing.
pub fn own_send_time(fields: &Map<String, Value>) -> Option<i64> {
    fields.get("sendTime").and_then(Value::as_i64).filter(|millis| *millis != 0)
}

#[derive(Serialize)]
pub struct AdminTokenBody<'a> {
    pub secret: &'a str,
    #[serde(rename = "userID")]
    pub user_id: &'a str,
}

#[derive(Serialize)]
pub struct AccountCheckBody<'a> {
    #[serde(rename = "checkUserIDs")]
    pub user_ids: &'a [&'a RecipientID],
}

#[derive(Serialize)]
pub struct UsersInfoBody<'a> {
    #[serde(rename = "userIDs")]
    pub user_ids: &'a [&'a RecipientID],
}

#[derive(Serialize)]
pub struct UsersBody {
    pub pagination: Pagination,
}

#[derive(Serialize)]
pub struct MembersBody<'a> {
    #[serde(rename = "groupID")]
    pub group_id: &'a RecipientID,
    pub pagination: Pagination,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pagination {
    /// From 1.
    pub page_number: u32,
    pub show_number: u32,
}

/// Asks for the newest places of conversations, as somebody.
#[derive(Serialize)]
pub struct MaxSeqsBody<'a> {
    #[serde(rename = "userID")]
    pub user_id: &'a str,
    #[serde(rename = "conversationIDs")]
    pub conversation_ids: &'a [&'a str],
}

/// Asks for messages, as somebody.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullBody<'a> {
    #[serde(rename = "userID")]
    pub user_id: &'a str,
    pub seq_ranges: Vec<SeqRange<'a>>,
    pub order: i32,
}

/// Places of a conversation.
#[derive(Serialize)]
pub struct SeqRange<'a> {
    #[serde(rename = "conversationID")]
    pub conversation_id: &'a str,
    pub begin: u64,
    pub end: u64,
    /// How many are wanted; of a longer range the server gives the newest alone.
    num: u64,
}

impl<'a> SeqRange<'a> {
    /// All places from one to another.
    pub fn new(conversation_id: &'a str, begin: u64, end: u64) -> SeqRange<'a> {
        SeqRange { conversation_id, begin, end, num: end.saturating_sub(begin) + 1 }
    }
}

#[derive(Serialize)]
pub struct GroupMembersBody<'a> {
    #[serde(rename = "groupID")]
    pub group_id: &'a str,
}

/// What every answer of the server is wrapped in. `data` is left out on errors and may be null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Envelope<T> {
    pub err_code: i64,
    #[serde(default)]
    pub err_msg: Option<String>,
    #[serde(default)]
    pub err_dlt: Option<String>,
    #[serde(default = "Option::default")]
    pub data: Option<T>,
}

/// A text that stays where it is in the body, unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// `data` of the batch call; a list without entries is null.
#[derive(Deserialize)]
pub struct BatchData<'a> {
    #[serde(borrow, default)]
    pub results: Option<Vec<Sent<'a>>>,
    #[serde(borrow, default, rename = "failedUserIDs")]
    pub failed: Option<Vec<Text<'a>>>,
}

/// `data` of `send_msg`, and one result of the batch call.
#[derive(Deserialize)]
pub struct Sent<'a> {
    #[serde(borrow, default, rename = "serverMsgID")]
    pub server_msg_id: Option<Text<'a>>,
    #[serde(borrow, default, rename = "clientMsgID")]
    pub client_msg_id: Option<Text<'a>>,
    /// Unix milliseconds.
    #[serde(default, rename = "sendTime")]
    pub send_time: Option<i64>,
    #[serde(borrow, default, rename = "recvID")]
    pub recv_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminTokenData {
    pub token: String,
    /// A duration, not an instant.
    #[serde(default)]
    pub expire_time_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTimeData {
    /// Unix milliseconds.
    pub server_time: i64,
}

#[derive(Deserialize)]
pub struct AccountCheckData {
    #[serde(default)]
    pub results: Option<Vec<AccountStatus>>,
}

#[derive(Deserialize)]
pub struct AccountStatus {
    #[serde(rename = "userID")]
    pub user_id: String,
    /// 1 or 0; `registered` or `unregistered` before v3.8.1.
    #[serde(rename = "accountStatus")]
    pub status: Value,
}

impl AccountStatus {
    /// Whether the server says that it knows no such user.
    pub fn unregistered(&self) -> bool {
        self.status.as_i64() == Some(0) || self.status.as_str() == Some("unregistered")
    }
}

/// Of each conversation its newest place, by its id; one that cannot be read says nothing of the
/// others.
#[derive(Deserialize)]
pub struct MaxSeqsData {
    #[serde(default)]
    pub seqs: Option<Map<String, Value>>,
}

/// Of each conversation some messages, by its id.
#[derive(Deserialize)]
pub struct PullData {
    #[serde(default, rename = "msgs")]
    pub messages: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
pub struct SendStatusData {
    #[serde(default)]
    pub status: Option<i64>,
}

#[derive(Deserialize)]
pub struct GroupMembersData {
    #[serde(default, rename = "userIDs")]
    pub user_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub struct UsersInfoData {
    #[serde(default, rename = "usersInfo")]
    pub users: Option<Vec<User>>,
}

#[derive(Deserialize)]
pub struct UsersData {
    #[serde(default)]
    pub total: Option<u64>,
    /// A list without entries is null.
    #[serde(default)]
    pub users: Option<Vec<User>>,
}

#[derive(Deserialize)]
pub struct MembersData {
    #[serde(default)]
    pub total: Option<u64>,
    /// A list without entries is null; an unknown group has none.
    #[serde(default)]
    pub members: Option<Vec<User>>,
}

#[derive(Deserialize)]
pub struct User {
    #[serde(rename = "userID")]
    pub user_id: String,
    /// The server's own spelling; 2 and above are admins, notification accounts and robots.
    #[serde(default, rename = "appMangerLevel")]
    pub level: Option<i64>,
    /// 1: refuses everything.
    #[serde(default, rename = "globalRecvMsgOpt")]
    pub receive_option: Option<i64>,
}
