//! The calls by which messages are looked up: places and times of conversations, pulling, searching,
//! the status of a single message.
//!
//! Whoever asks as someone who may not read a conversation is told nothing, and no error either.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    ADMIN,
    answer::{Error, Response},
    archive::{Conversation, Copy},
    keep::Change,
    order::{NOTIFICATION, OA},
    profile::Profile,
    truth::Sent,
    world::{Pagination, State, World, bind},
};

/// How much later than a pull a search finds a message, in milliseconds.
const SEARCH_LATE_MS: i64 = 100;
/// The content type of a message that was taken back.
const REVOKED: i64 = 2_101;

impl World {
    /// Answers a call that looks messages up; None: it is no such call.
    pub(super) fn look_up(
        &self,
        path: &str,
        operation_id: &str,
        body: &[u8],
    ) -> Option<Result<Response, Error>> {
        let answer = match path {
            "/msg/get_conversations_has_read_and_max_seq" => self.max_seqs(body),
            "/msg/pull_msg_by_seq" => self.pull(body),
            "/msg/newest_seq" => self.newest_seqs(body),
            "/msg/search_msg" => self.search(body),
            "/msg/revoke_msg" => self.revoke(body),
            "/msg/check_msg_is_send_success" => {
                let status = self.state().statuses.of(operation_id, self.now_ms());
                Ok(Response::data(&json!({"status": status})))
            }
            _ => return None,
        };
        Some(answer)
    }

    fn max_seqs(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "userID")]
            user_id: String,
            #[serde(default, rename = "conversationIDs")]
            ids: Option<Vec<String>>,
        }
        let body: Body = bind(body)?;
        let ids = body.ids.unwrap_or_default();
        if body.user_id.is_empty() {
            return Err(Error::args("userID is empty"));
        }
        let now = self.now_ms();
        let mut state = self.state();
        let state = state.looked_at();
        let ids = if ids.is_empty() { state.conversations_of(&body.user_id) } else { ids };
        let mut seqs = Map::new();
        for id in ids {
            if state.omitting_conversations.pick(state.faults.omit_conversations_every) {
                continue;
            }
            let stored = state.archive.conversation(&id).map_or(&[][..], |found| found.stored(now));
            let newest = stored.last().map_or(0, |copy| copy.stored_at);
            seqs.insert(id, json!({"maxSeq": stored.len(), "hasReadSeq": 0, "maxSeqTime": newest}));
        }
        Ok(Response::data(&json!({"seqs": seqs})))
    }

    fn newest_seqs(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "userID")]
            user_id: String,
        }
        let Body { user_id } = bind(body)?;
        let now = self.now_ms();
        let mut state = self.state();
        let state = state.looked_at();
        let seq = |id: String| {
            let stored = state.archive.conversation(&id).map_or(0, |found| found.stored(now).len());
            (id, Value::from(stored))
        };
        let seqs: Map<String, Value> = state.conversations_of(&user_id).into_iter().map(seq).collect();
        Ok(Response::data(&json!({"maxSeqs": seqs, "minSeqs": null})))
    }

    fn pull(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "userID")]
            user_id: String,
            #[serde(default, rename = "seqRanges")]
            ranges: Option<Vec<Range>>,
            #[serde(default)]
            order: i32,
        }
        #[derive(Deserialize)]
        struct Range {
            #[serde(rename = "conversationID")]
            id: String,
            begin: i64,
            end: i64,
            num: i64,
        }
        let body: Body = bind(body)?;
        let now = self.now_ms();
        let mut state = self.state();
        let state = state.looked_at();
        let mut conversations = Map::new();
        for range in body.ranges.unwrap_or_default() {
            let Some(conversation) = state.archive.conversation(&range.id) else { continue };
            if !state.may_read(&range.id, conversation, &body.user_id)
                || state.omitting_conversations.pick(state.faults.omit_conversations_every)
            {
                continue;
            }
            let stored = conversation.stored(now);
            let newest = stored.len() as i64;
            let end = range.end.min(newest);
            // Of a longer range the newest, whatever the order.
            let begin = range.begin.max(1).max(end - range.num.max(0) + 1);
            let mut messages = Vec::new();
            for seq in begin..=end {
                let Some(copy) = usize::try_from(seq - 1).ok().and_then(|place| stored.get(place)) else {
                    continue;
                };
                if state.omitting_messages.pick(state.faults.omit_messages_every) {
                    continue;
                }
                let sent = state.truth.request(copy.message);
                messages.extend(sent.map(|sent| self.as_pulled(sent, copy, seq)));
            }
            if messages.is_empty() {
                continue;
            }
            let is_end = if body.order == 0 { newest <= range.end } else { range.begin <= 0 };
            conversations.insert(range.id, json!({"Msgs": messages, "isEnd": is_end, "endSeq": 0}));
        }
        let notifications = if self.profile == Profile::Main { json!({}) } else { Value::Null };
        Ok(Response::data(&json!({"msgs": conversations, "notificationMsgs": notifications})))
    }

    fn as_pulled(&self, sent: &Sent, copy: &Copy, seq: i64) -> Value {
        let message = sent.message(self.seed, copy.message, i64::MAX);
        let substance = &sent.substance;
        let (content_type, content) = match copy.revoked {
            false => (substance.content_type, stored_content(sent)),
            true => (REVOKED, json!({"revokerID": ADMIN, "seq": seq}).to_string()),
        };
        json!({
            "sendID": sent.sender,
            "recvID": if sent.group.is_some() { "" } else { message.recipient },
            "groupID": message.group_id.unwrap_or_default(),
            "clientMsgID": message.client_msg_id,
            "serverMsgID": message.server_msg_id,
            "senderPlatformID": substance.platform_id,
            "senderNickname": substance.nickname,
            "senderFaceURL": substance.face_url,
            "sessionType": substance.session_type,
            "msgFrom": 200,
            "contentType": content_type,
            "content": BASE64.encode(content),
            "seq": seq,
            "sendTime": message.send_time,
            "createTime": sent.begun_at,
            "status": 2,
            "isRead": false,
            "options": {},
            "offlinePushInfo": null,
            "atUserIDList": null,
            "attachedInfo": "",
            "ex": substance.ex,
        })
    }

    fn search(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Body {
            #[serde(rename = "sendID")]
            send_id: String,
            #[serde(rename = "recvID")]
            recv_id: String,
            #[serde(rename = "contentType")]
            content_type: i64,
            #[serde(rename = "sessionType")]
            session_type: i32,
            #[serde(rename = "sendTime")]
            day: String,
            pagination: Option<Pagination>,
        }
        let body: Body = bind(body)?;
        let day: Option<jiff::civil::Date> = match body.day.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::args("invalid sendTime"))?),
        };
        let found_until = self.now_ms() - SEARCH_LATE_MS;
        let mut state = self.state();
        let state = state.looked_at();
        let mut found = Vec::new();
        for (id, conversation) in state.archive.conversations() {
            if !(id.starts_with("si_") || id.starts_with("sg_")) {
                continue;
            }
            for (place, copy) in conversation.stored(found_until).iter().enumerate() {
                let Some(sent) = state.truth.request(copy.message) else { continue };
                let message = sent.message(self.seed, copy.message, i64::MAX);
                let wanted = (body.send_id.is_empty() || body.send_id == sent.sender)
                    && (body.recv_id.is_empty() || body.recv_id == message.recipient)
                    && (body.content_type == 0 || body.content_type == sent.substance.content_type)
                    && (body.session_type == 0 || body.session_type == sent.substance.session_type)
                    && day.is_none_or(|day| utc_day(message.send_time) == Some(day));
                if wanted {
                    found.push((copy.stored_at, copy.message, place as i64 + 1, copy));
                }
            }
        }
        found.sort_by_key(|(stored_at, message, seq, _)| (*stored_at, *message, *seq));
        let (skip, take) = body.pagination.unwrap_or_default().skip_and_take();
        let page = found.iter().skip(skip).take(take);
        let rows: Vec<Value> = page
            .filter_map(|(_, message, seq, copy)| {
                let sent = state.truth.request(*message)?;
                Some(json!({"chatLog": self.as_searched(sent, copy, *seq), "isRevoked": copy.revoked}))
            })
            .collect();
        let rows = if rows.is_empty() { Value::Null } else { rows.into() };
        Ok(Response::data(&json!({"chatLogs": rows, "chatLogsNum": found.len()})))
    }

    fn as_searched(&self, sent: &Sent, copy: &Copy, seq: i64) -> Value {
        let message = sent.message(self.seed, copy.message, i64::MAX);
        let substance = &sent.substance;
        json!({
            "serverMsgID": message.server_msg_id,
            "clientMsgID": message.client_msg_id,
            "sendID": sent.sender,
            "recvID": message.recipient,
            "groupID": message.group_id.unwrap_or_default(),
            "recvNickname": message.recipient,
            "senderPlatformID": substance.platform_id,
            "senderNickname": substance.nickname,
            "senderFaceURL": substance.face_url,
            "groupName": message.group_id.unwrap_or_default(),
            "sessionType": substance.session_type,
            "msgFrom": 200,
            "contentType": substance.content_type,
            "content": stored_content(sent),
            "status": 0,
            "sendTime": message.send_time,
            "createTime": sent.begun_at,
            "ex": substance.ex,
            "groupFaceURL": "",
            "groupMemberCount": 0,
            "seq": seq,
            "groupOwner": "",
            "groupType": 0,
        })
    }

    fn revoke(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "conversationID")]
            id: String,
            seq: i64,
            #[serde(rename = "userID")]
            _user_id: String,
        }
        let body: Body = bind(body)?;
        let now = self.now_ms();
        let mut state = self.state();
        let there =
            state.looked_at().archive.conversation(&body.id).map_or(0, |found| found.stored(now).len());
        if !(1..=there as i64).contains(&body.seq) {
            return Err(Error::not_found("no such message"));
        }
        state.change(&Change::Revoked { conversation: body.id.as_str().into(), seq: body.seq, at: now });
        Ok(Response::done())
    }
}

impl State {
    /// The state with everything in the archive that was accepted.
    fn looked_at(&mut self) -> &mut State {
        self.archive.catch_up(&self.truth);
        self
    }

    fn may_read(&self, id: &str, conversation: &Conversation, user: &str) -> bool {
        match id.strip_prefix("sg_") {
            Some(group) => self.groups.members(group).iter().any(|member| member == user),
            None => conversation.is_readable_by(user),
        }
    }

    /// The conversations that someone may read, in the order of their ids.
    fn conversations_of(&self, user: &str) -> Vec<String> {
        let all = self.archive.conversations();
        let own = all.filter(|(id, conversation)| self.may_read(id, conversation, user));
        let mut ids: Vec<String> = own.map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids
    }
}

/// The content as the server keeps it: written again, with the signs that matter in HTML escaped; of
/// a notification inside of a wrapping.
fn stored_content(sent: &Sent) -> String {
    let escaped =
        sent.substance.content.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let wrapped = sent.substance.session_type == NOTIFICATION && sent.substance.content_type == i64::from(OA);
    if wrapped { json!({"detail": escaped}).to_string() } else { escaped }
}

fn utc_day(millis: i64) -> Option<jiff::civil::Date> {
    Timestamp::from_millisecond(millis).ok().map(|at| at.to_zoned(TimeZone::UTC).date())
}
