//! The truth: every message that was accepted, and what became of it, kept small.
//!
//! What the messages of one request share is held once; of each recipient only the id and a few
//! numbers.

use std::{io::Write, sync::Arc};

use serde::{Deserialize, Serialize};

use super::ids::HexID;

/// What a message says besides whom it is for; requests in a row often share it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Substance {
    /// JSON, as given.
    pub content: String,
    pub content_type: i64,
    pub session_type: i32,
    /// Whether only those connected now get it, and nothing keeps it.
    pub online_only: bool,
    pub ex: String,
    pub nickname: String,
    pub face_url: String,
    pub platform_id: i32,
}

/// The messages of one request.
#[derive(Debug)]
pub struct Sent {
    pub number: u64,
    pub operation_id: String,
    pub sender: String,
    pub group: Option<String>,
    pub substance: Arc<Substance>,
    /// The time the message itself says, Unix milliseconds.
    pub send_time: Option<i64>,
    /// When the request was begun, Unix milliseconds.
    pub begun_at: i64,
    /// The recipients' ids, one behind the other.
    ids: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where the id ends.
    end: u32,
    /// The recipient's place in the request.
    place: u32,
    /// Milliseconds since the request was begun.
    after_ms: u32,
    /// Milliseconds from its acceptance until it is stored; [`NEVER`]: it is lost.
    stored_after_ms: u32,
}

/// A message that is lost is stored after so long.
const NEVER: u32 = u32::MAX;

/// What became of a message that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It is stored, and whoever it is for has it.
    Stored,
    /// It is on its way.
    Waiting,
    /// It never came.
    Lost,
    /// It was for those who were connected, and nothing keeps it.
    Passed,
}

/// One accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// The user; for a group message the group.
    pub recipient: &'a str,
    pub group_id: Option<&'a str>,
    pub sender: &'a str,
    /// Unix milliseconds.
    pub send_time: i64,
    pub server_msg_id: HexID,
    pub client_msg_id: HexID,
    /// JSON.
    pub content: &'a str,
    pub content_type: i64,
    /// When it was accepted: Unix milliseconds, by the sandbox's clock.
    pub received_at: i64,
    pub fate: Fate,
    pub operation_id: &'a str,
}

/// Which messages are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Filter {
    pub sender: Option<String>,
    pub recipient: Option<String>,
}

/// All that was accepted.
#[derive(Debug, Default)]
pub struct Truth {
    sent: Vec<Sent>,
    /// Every message, in the order in which they were accepted.
    order: Vec<Ticket>,
    /// Requests before this one are listed no more.
    listed_from: usize,
    last_substance: Option<Arc<Substance>>,
}

/// A request in the truth, or a message of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket {
    request: u32,
    entry: u32,
}

/// What the messages of a request share.
#[derive(Default)]
pub struct Heading<'a> {
    pub operation_id: &'a str,
    pub sender: &'a str,
    pub group: Option<&'a str>,
    pub substance: Substance,
    pub send_time: Option<i64>,
    pub begun_at: i64,
}

impl Truth {
    /// Opens a request and gives its number.
    pub fn begin(&mut self, heading: Heading<'_>) -> (Ticket, u64) {
        let substance = match &self.last_substance {
            Some(last) if **last == heading.substance => Arc::clone(last),
            _ => Arc::new(heading.substance),
        };
        self.last_substance = Some(Arc::clone(&substance));
        let ticket = Ticket { request: self.sent.len() as u32, entry: 0 };
        let number = self.sent.len() as u64 + 1;
        self.sent.push(Sent {
            number,
            operation_id: heading.operation_id.to_owned(),
            sender: heading.sender.to_owned(),
            group: heading.group.map(str::to_owned),
            substance,
            send_time: heading.send_time,
            begun_at: heading.begun_at,
            ids: String::new(),
            entries: Vec::new(),
        });
        (ticket, number)
    }

    /// Notes that a message of a request was accepted at `at`, and when it is stored, both in Unix
    /// milliseconds; None: never.
    pub fn note(&mut self, request: Ticket, recipient: &str, place: usize, at: i64, stored_at: Option<i64>) {
        let Some(sent) = self.sent.get_mut(request.request as usize) else { return };
        let millis = |span: i64| u32::try_from(span).unwrap_or(0);
        sent.ids.push_str(recipient);
        self.order.push(Ticket { entry: sent.entries.len() as u32, ..request });
        sent.entries.push(Entry {
            end: sent.ids.len() as u32,
            place: place as u32,
            after_ms: millis(at - sent.begun_at),
            stored_after_ms: stored_at.map_or(NEVER, |stored| millis(stored - at)),
        });
    }

    /// Lists nothing any more of what was accepted until now.
    pub fn forget(&mut self) {
        self.listed_from = self.sent.len();
    }

    /// All messages in the order in which they were accepted.
    pub fn order(&self) -> &[Ticket] {
        &self.order
    }

    /// The request of a message.
    pub fn request(&self, message: Ticket) -> Option<&Sent> {
        self.sent.get(message.request as usize)
    }

    /// Loses every message that is still on its way at `now` (Unix milliseconds).
    pub fn lose_waiting(&mut self, now: i64) {
        for sent in &mut self.sent {
            for entry in &mut sent.entries {
                if sent.begun_at + i64::from(entry.after_ms) + i64::from(entry.stored_after_ms) > now {
                    entry.stored_after_ms = NEVER;
                }
            }
        }
    }

    /// Whether someone was sent a message since `since` (Unix milliseconds).
    pub fn wrote_to_since(&self, recipient: &str, since: i64) -> bool {
        let newest_first = self.order.iter().rev();
        let recent = newest_first.map_while(|message| {
            let sent = self.request(*message)?;
            Some((sent, message.entry)).filter(|_| sent.accepted_at(message.entry) > since)
        });
        recent.into_iter().any(|(sent, entry)| sent.recipient(entry) == recipient)
    }

    /// Shows everything, in the order of the requests; `now` in Unix milliseconds.
    pub fn each(&self, seed: u64, filter: &Filter, now: i64, mut show: impl FnMut(Received<'_>)) {
        let wanted = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|want| want == is);
        let listed = self.sent.iter().skip(self.listed_from);
        for sent in listed.filter(|sent| wanted(&filter.sender, &sent.sender)) {
            for entry in 0..sent.entries.len() as u32 {
                if wanted(&filter.recipient, sent.recipient(entry)) {
                    show(sent.received(seed, entry, now));
                }
            }
        }
    }
}

impl Ticket {
    /// Whom this message of a request is for: the group where it is for one.
    pub fn recipient_in(self, sent: &Sent) -> &str {
        sent.recipient(self.entry)
    }
}

impl Sent {
    fn entry(&self, entry: u32) -> Option<&Entry> {
        self.entries.get(entry as usize)
    }

    fn accepted_at(&self, entry: u32) -> i64 {
        self.begun_at + self.entry(entry).map_or(0, |entry| i64::from(entry.after_ms))
    }

    fn recipient(&self, entry: u32) -> &str {
        match &self.group {
            Some(group) => group,
            None => self.user(entry),
        }
    }

    fn user(&self, entry: u32) -> &str {
        let end = |entry: u32| self.entry(entry).map_or(0, |entry| entry.end as usize);
        let start = entry.checked_sub(1).map_or(0, end);
        self.ids.get(start..end(entry)).unwrap_or_default()
    }

    /// When a message is stored, in Unix milliseconds; None: never.
    pub fn stored_at(&self, message: Ticket) -> Option<i64> {
        let entry = self.entry(message.entry).filter(|entry| entry.stored_after_ms != NEVER)?;
        let kept = !self.substance.online_only;
        kept.then(|| self.accepted_at(message.entry) + i64::from(entry.stored_after_ms))
    }

    /// One of its messages, as it is at `now`.
    pub fn message(&self, seed: u64, message: Ticket, now: i64) -> Received<'_> {
        self.received(seed, message.entry, now)
    }

    fn received(&self, seed: u64, entry: u32, now: i64) -> Received<'_> {
        let received_at = self.accepted_at(entry);
        let place = self.entry(entry).map_or(0, |entry| entry.place as usize);
        let stored_after = self.entry(entry).map_or(NEVER, |entry| entry.stored_after_ms);
        Received {
            recipient: self.recipient(entry),
            group_id: self.group.as_deref(),
            sender: &self.sender,
            send_time: self.send_time.unwrap_or(received_at),
            server_msg_id: server_msg_id(seed, self.number, place),
            client_msg_id: client_msg_id(seed, self.number),
            content: &self.substance.content,
            content_type: self.substance.content_type,
            received_at,
            fate: match stored_after {
                NEVER => Fate::Lost,
                _ if self.substance.online_only => Fate::Passed,
                after if received_at + i64::from(after) > now => Fate::Waiting,
                _ => Fate::Stored,
            },
            operation_id: &self.operation_id,
        }
    }
}

impl Fate {
    pub fn word(self) -> &'static str {
        match self {
            Fate::Stored => "stored",
            Fate::Waiting => "waiting",
            Fate::Lost => "lost",
            Fate::Passed => "passed",
        }
    }
}

impl Received<'_> {
    /// Writes it as a JSON object.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let group = self.group_id.map(|group| format!(r#","groupID":{}"#, text(group))).unwrap_or_default();
        // Writing into memory cannot fail.
        let _ = write!(
            out,
            concat!(
                r#"{{"recipient":{}{},"sender":{},"sendTime":{},"serverMsgID":"{}","clientMsgID":"{}","#,
                r#""content":{},"contentType":{},"receivedAt":{},"fate":"{}","operationID":{}}}"#
            ),
            text(self.recipient),
            group,
            text(self.sender),
            self.send_time,
            self.server_msg_id.as_str(),
            self.client_msg_id.as_str(),
            self.content,
            self.content_type,
            self.received_at,
            self.fate.word(),
            text(self.operation_id),
        );
    }
}

/// The id that all messages of a request share.
pub fn client_msg_id(seed: u64, number: u64) -> HexID {
    HexID::of(seed, number, u64::MAX)
}

/// The id of one message of a request.
pub fn server_msg_id(seed: u64, number: u64, place: usize) -> HexID {
    HexID::of(seed, number, place as u64)
}
