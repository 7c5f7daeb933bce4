//! One conversation as far as it was read, and what that says of the messages sought in it.
//!
//! Pure: answers in, sightings out. Knows: how a message is recognised, what an answer leaves open.
//! Must never know: who is asked, and how.
//!
//! An answer leaves out silently what it cannot show, so nothing counts as absent unless every place
//! where it could stand was shown. A message is ours when its sender, its recipient and its send
//! time are; a server that stores one again gives it another place and the same id.

use serde::Deserialize;
use serde_json::Value;

use crate::run::{
    look::{Sighting, Sought},
    reply::{Reason, Receipt},
};

/// So many places of a conversation are read, and no more: beyond them what was sent lately cannot
/// stand, and what was never sent cannot be proven.
const DEEPEST: u64 = 5_000;

/// Between whom a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parties<'a> {
    Chat { sender: &'a str, recipient: &'a str },
    Notification { sender: &'a str, recipient: &'a str },
    Group { sender: &'a str, group: &'a str },
}

impl<'a> Parties<'a> {
    /// The name that the server gives the conversation. Those of different parties can be equal,
    /// because ids may have underscores.
    pub fn conversation_id(&self) -> String {
        match self {
            Parties::Chat { sender, recipient } => {
                let (first, second) =
                    if sender <= recipient { (sender, recipient) } else { (recipient, sender) };
                format!("si_{first}_{second}")
            }
            Parties::Notification { sender, recipient } => format!("sn_{sender}_{recipient}"),
            Parties::Group { group, .. } => format!("sg_{group}"),
        }
    }

    fn recipient(&self) -> &'a str {
        match self {
            Parties::Chat { recipient, .. } | Parties::Notification { recipient, .. } => recipient,
            Parties::Group { group, .. } => group,
        }
    }

    /// How a message fits what these send, by a way of comparing ids.
    fn sent(&self, message: &Shown, same: fn(&str, &str) -> bool) -> bool {
        match self {
            Parties::Chat { sender, recipient } | Parties::Notification { sender, recipient } => {
                same(&message.send_id, sender) && same(&message.recv_id, recipient)
            }
            Parties::Group { sender, group } => {
                same(&message.send_id, sender) && same(&message.group_id, group)
            }
        }
    }

    /// Whether a message may stand in their conversation.
    fn may_hold(&self, message: &Shown) -> bool {
        match self {
            Parties::Chat { sender, recipient } => {
                let answer = message.send_id == *recipient && message.recv_id == *sender;
                answer || self.sent(message, exactly)
            }
            Parties::Notification { .. } => self.sent(message, exactly),
            Parties::Group { group, .. } => message.group_id == *group,
        }
    }
}

fn exactly(one: &str, other: &str) -> bool {
    one == other
}

fn but_for_case(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Places that are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub begin: u64,
    pub end: u64,
}

impl Range {
    pub fn places(self) -> u64 {
        self.end - self.begin + 1
    }
}

/// A conversation in which something is sought.
#[derive(Debug, Default)]
pub struct Conversation<'a> {
    seekers: Vec<Seeker<'a>>,
    /// Where its newest place was told.
    extent: Option<Extent>,
    /// Why something of what was read says nothing.
    gap: Option<Reason>,
    /// Why what was read cannot be true.
    denial: Option<Reason>,
}

/// How far it reaches, and how far it was read, from the newest place down.
#[derive(Debug, Clone, Copy)]
struct Extent {
    newest: u64,
    /// The places above this one were read.
    unread: u64,
    /// The lowest place that must be.
    floor: u64,
}

impl Extent {
    fn is_read(self) -> bool {
        self.unread < self.floor
    }

    fn is_too_deep(self) -> bool {
        self.newest - self.unread >= DEEPEST
    }
}

/// What is sought, and what was seen of it.
#[derive(Debug)]
struct Seeker<'a> {
    index: usize,
    sought: &'a Sought,
    parties: Parties<'a>,
    found: Vec<Receipt>,
    /// Decided without reading.
    decided: Option<Sighting>,
    /// Something that differs from it in the case of letters alone.
    alike: bool,
}

/// A message as a pull shows it.
#[derive(Debug, Deserialize)]
struct Shown {
    seq: u64,
    #[serde(rename = "sendID")]
    send_id: String,
    #[serde(default, rename = "recvID")]
    recv_id: String,
    #[serde(default, rename = "groupID")]
    group_id: String,
    #[serde(rename = "sendTime")]
    send_time: i64,
    #[serde(default, rename = "serverMsgID")]
    server_msg_id: Option<String>,
    #[serde(default, rename = "clientMsgID")]
    client_msg_id: Option<String>,
}

impl<'a> Conversation<'a> {
    /// Seeks a message; `index` is told with its sighting.
    pub fn seek(&mut self, index: usize, sought: &'a Sought, parties: Parties<'a>) {
        let decided = sought.send_time_ms.is_none().then(|| {
            Sighting::NoAnswer(Reason::new("noSendTime", "it was sent without a time to recognise it by"))
        });
        self.seekers.push(Seeker { index, sought, parties, found: Vec::new(), decided, alike: false });
    }

    /// How many messages are sought.
    pub fn seeks(&self) -> usize {
        self.seekers.len()
    }

    /// The user, or the group, whose conversation it is.
    pub fn recipient(&self) -> Option<&'a str> {
        self.seekers.first().map(|seeker| seeker.parties.recipient())
    }

    /// Takes in what the server tells of its newest place. `quiet_since_ms`: when it must have been
    /// stirred last, at the latest, if the message did not stir it.
    pub fn newest(&mut self, told: Option<&Value>, quiet_since_ms: impl Fn(&Sought) -> Option<i64>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Told {
            max_seq: u64,
            #[serde(default)]
            max_seq_time: Option<i64>,
        }
        let told = match told {
            None => Err(("conversationMissing", "the answer does not tell of their conversation")),
            Some(told) => Told::deserialize(told)
                .map_err(|_| ("unreadable", "what the answer tells of their conversation cannot be read")),
        };
        let told = match told {
            Ok(told) => told,
            Err((code, text)) => return self.cannot_be_read(Reason::new(code, text)),
        };
        let mut floor = told.max_seq.saturating_add(1);
        let stirred_at = told.max_seq_time.filter(|at| *at > 0);
        for seeker in self.seekers.iter_mut().filter(|seeker| seeker.decided.is_none()) {
            let seen_until = seeker.sought.seen_until.unwrap_or(0);
            let quiet = stirred_at.zip(quiet_since_ms(seeker.sought)).is_some_and(|(at, since)| at < since);
            seeker.decided = if told.max_seq < seen_until {
                let text = format!(
                    "their conversation went back from place {seen_until} to {}, as after restoring a backup",
                    told.max_seq
                );
                Some(Sighting::Contradiction(Reason::new("placesWentBack", text)))
            } else if told.max_seq == seen_until || quiet {
                Some(Sighting::Nothing { seen_until: told.max_seq })
            } else {
                floor = floor.min(seen_until + 1);
                None
            };
        }
        self.extent = Some(Extent { newest: told.max_seq, unread: told.max_seq, floor });
    }

    /// Notes that nobody can read it.
    pub fn cannot_be_read(&mut self, reason: Reason) {
        self.gap.get_or_insert(reason);
        self.extent = None;
    }

    /// The newest places that are still to be read, so many at most; None when it was read far enough.
    pub fn next_range(&self, most: u64) -> Option<Range> {
        let all_seen = self.seekers.iter().all(|seeker| seeker.decided.is_some() || !seeker.found.is_empty());
        let extent = self.extent.filter(|extent| !extent.is_read() && !extent.is_too_deep())?;
        if all_seen || most == 0 {
            return None;
        }
        let begin = extent.unread.saturating_sub(most - 1).max(extent.floor);
        Some(Range { begin, end: extent.unread })
    }

    /// Takes in what a pull of these places shows.
    pub fn read(&mut self, range: Range, shown: Option<&Value>) {
        let begin = range.begin;
        if let Some(extent) = &mut self.extent {
            extent.unread = begin.saturating_sub(1);
        }
        let entries = shown.and_then(|shown| shown.get("Msgs")).and_then(Value::as_array);
        let mut places = vec![false; usize::try_from(range.places()).unwrap_or(0)];
        for entry in entries.map_or(&[][..], Vec::as_slice) {
            // What cannot be read leaves its place empty.
            let Ok(message) = Shown::deserialize(entry) else { continue };
            let place = message.seq.checked_sub(begin).and_then(|place| usize::try_from(place).ok());
            match place.and_then(|place| places.get_mut(place)) {
                Some(place) if !*place => *place = true,
                Some(_) => self.deny("placeTwice", "the answer shows two messages at one place"),
                None => self.deny("otherPlaces", "the answer shows places that were not asked for"),
            }
            self.compare(message);
        }
        let empty = places.iter().filter(|shown| !**shown).count();
        if empty > 0 {
            let text = format!("the answer leaves out {empty} of {} places", places.len());
            self.gap.get_or_insert(Reason::new("placesMissing", text));
        }
    }

    fn compare(&mut self, message: Shown) {
        let mut fits = false;
        for seeker in &mut self.seekers {
            fits |= seeker.parties.may_hold(&message);
            if Some(message.send_time) != seeker.sought.send_time_ms {
                continue;
            }
            if seeker.parties.sent(&message, exactly) {
                let receipt = Receipt {
                    server_msg_id: message.server_msg_id.clone().filter(|id| !id.is_empty()),
                    client_msg_id: message.client_msg_id.clone().filter(|id| !id.is_empty()),
                    send_time_ms: Some(message.send_time),
                };
                // The server's own copies have one id.
                if !seeker.found.iter().any(|found| found.server_msg_id == receipt.server_msg_id) {
                    seeker.found.push(receipt);
                }
            } else {
                seeker.alike |= seeker.parties.sent(&message, but_for_case);
            }
        }
        if !fits {
            let text = format!(
                "the answer shows a message from {} to {}, which does not belong there",
                message.send_id,
                if message.group_id.is_empty() { &message.recv_id } else { &message.group_id }
            );
            self.denial.get_or_insert(Reason::new("foreignMessage", text));
        }
    }

    fn deny(&mut self, code: &str, text: &str) {
        self.denial.get_or_insert_with(|| Reason::new(code, text));
    }

    /// What was seen of each, with its index; nothing of those for whom reading has not come to an end.
    pub fn sightings(&self) -> impl Iterator<Item = (usize, Sighting)> + '_ {
        self.seekers.iter().filter_map(|seeker| Some((seeker.index, self.sighting(seeker)?)))
    }

    fn sighting(&self, seeker: &Seeker<'_>) -> Option<Sighting> {
        if let Some(decided) = &seeker.decided {
            return Some(decided.clone());
        }
        let contradiction = |code: &str, text: String| Sighting::Contradiction(Reason::new(code, text));
        Some(match (&seeker.found[..], &self.denial, &self.gap, self.extent) {
            ([found], ..) => Sighting::Found(found.clone()),
            ([first, second, ..], ..) => {
                let id = |receipt: &Receipt| receipt.server_msg_id.clone().unwrap_or_default();
                let text = format!("two messages have its send time: {} and {}", id(first), id(second));
                contradiction("twoMessages", text)
            }
            ([], ..) if seeker.alike => {
                let text = "there is such a message for an id that differs in the case of letters alone";
                contradiction("letterCase", text.to_owned())
            }
            ([], Some(denial), ..) => Sighting::Contradiction(denial.clone()),
            ([], None, Some(gap), _) => Sighting::NoAnswer(gap.clone()),
            ([], None, None, Some(extent)) if extent.is_read() => {
                Sighting::Nothing { seen_until: extent.newest }
            }
            ([], None, None, Some(extent)) if extent.is_too_deep() => {
                let text = format!("it is not among the newest {DEEPEST} messages of their conversation");
                Sighting::NoAnswer(Reason::new("longConversation", text))
            }
            ([], None, None, _) => return None,
        })
    }
}

#[cfg(test)]
mod tests;
