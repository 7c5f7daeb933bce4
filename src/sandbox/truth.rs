//! The truth: every message that was accepted, kept small.
//!
//! What the messages of one request share is held once; of each recipient only the id and two
//! numbers.

use std::{collections::VecDeque, io::Write, sync::Arc};

use serde::Deserialize;

use super::ids::HexID;

/// The messages of one request.
#[derive(Debug)]
pub struct Sent {
    pub number: u64,
    pub operation_id: String,
    pub sender: String,
    pub group: Option<String>,
    /// JSON, as given.
    pub content: Arc<str>,
    pub content_type: i64,
    /// The time the message itself says, Unix milliseconds.
    pub send_time: Option<i64>,
    /// When the request was begun, Unix milliseconds.
    pub begun_at: i64,
    /// How much later its messages show, in milliseconds.
    pub late_ms: u32,
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
    /// Unix milliseconds, by the sandbox's clock.
    pub received_at: i64,
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
    sent: VecDeque<Sent>,
    /// How many requests were forgotten.
    forgotten: usize,
    requests: u64,
    last_content: Option<Arc<str>>,
}

/// A request in the truth, also after everything was forgotten.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(usize);

/// What the messages of a request share.
pub struct Heading<'a> {
    pub operation_id: &'a str,
    pub sender: &'a str,
    pub group: Option<&'a str>,
    pub content: String,
    pub content_type: i64,
    pub send_time: Option<i64>,
    pub begun_at: i64,
    pub late_ms: u32,
}

impl Truth {
    /// Opens a request and gives its number.
    pub fn begin(&mut self, heading: Heading<'_>) -> (Ticket, u64) {
        self.requests += 1;
        let content = match &self.last_content {
            Some(last) if **last == *heading.content => Arc::clone(last),
            _ => Arc::from(heading.content),
        };
        self.last_content = Some(Arc::clone(&content));
        self.sent.push_back(Sent {
            number: self.requests,
            operation_id: heading.operation_id.to_owned(),
            sender: heading.sender.to_owned(),
            group: heading.group.map(str::to_owned),
            content,
            content_type: heading.content_type,
            send_time: heading.send_time,
            begun_at: heading.begun_at,
            late_ms: heading.late_ms,
            ids: String::new(),
            entries: Vec::new(),
        });
        (Ticket(self.forgotten + self.sent.len() - 1), self.requests)
    }

    /// Notes that a recipient of a request got the message.
    pub fn note(&mut self, ticket: Ticket, recipient: &str, place: usize, at: i64) {
        let Some(sent) = ticket.0.checked_sub(self.forgotten).and_then(|index| self.sent.get_mut(index))
        else {
            return;
        };
        sent.ids.push_str(recipient);
        sent.entries.push(Entry {
            end: sent.ids.len() as u32,
            place: place as u32,
            after_ms: u32::try_from(at - sent.begun_at).unwrap_or(0),
        });
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.forgotten += self.sent.len();
        self.sent.clear();
    }

    /// Shows what is stored at `now` (Unix milliseconds), in the order of the requests.
    pub fn each(&self, seed: u64, filter: &Filter, now: i64, mut show: impl FnMut(Received<'_>)) {
        let wanted = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|want| want == is);
        for sent in self.sent.iter().filter(|sent| wanted(&filter.sender, &sent.sender)) {
            let client_msg_id = client_msg_id(seed, sent.number);
            let mut start = 0;
            for entry in &sent.entries {
                let id = &sent.ids[start..entry.end as usize];
                start = entry.end as usize;
                let recipient = sent.group.as_deref().unwrap_or(id);
                let received_at = sent.begun_at + i64::from(entry.after_ms);
                if received_at + i64::from(sent.late_ms) > now || !wanted(&filter.recipient, recipient) {
                    continue;
                }
                show(Received {
                    recipient,
                    group_id: sent.group.as_deref(),
                    sender: &sent.sender,
                    send_time: sent.send_time.unwrap_or(received_at),
                    server_msg_id: server_msg_id(seed, sent.number, entry.place as usize),
                    client_msg_id,
                    content: &sent.content,
                    content_type: sent.content_type,
                    received_at,
                    operation_id: &sent.operation_id,
                });
            }
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
                r#""content":{},"contentType":{},"receivedAt":{},"operationID":{}}}"#
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
