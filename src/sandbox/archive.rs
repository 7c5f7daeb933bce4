//! The archive: what is stored, in conversations, each message at its place.
//!
//! Messages travel from their acceptance to the archive in partitions, and none overtakes another in
//! its own. The archive is filled from the truth when somebody looks, so that a world of which
//! nobody asks anything pays nothing for it.

use std::collections::{BTreeSet, HashMap};

use super::{
    faults::Faults,
    truth::{Sent, Ticket, Truth},
};

/// In so many partitions messages travel.
const PARTITIONS: usize = 8;

/// When the messages of each partition are through, in Unix milliseconds.
#[derive(Debug, Default)]
pub struct Partitions([i64; PARTITIONS]);

impl Partitions {
    /// When a message that is accepted at `now` will be stored.
    pub fn store_at(&mut self, faults: &Faults, now: i64, conversation: impl FnOnce() -> String) -> i64 {
        if !faults.lags() && self.0.iter().all(|through| *through <= now) {
            return now;
        }
        let partition = partition(&conversation());
        let Some(through) = self.0.get_mut(partition) else { return now };
        *through = (*through).max(now + faults.late_ms(partition));
        *through
    }

    /// A message of this conversation is through then; those behind it come later.
    pub fn pass(&mut self, conversation: &str, stored_at: i64) {
        if let Some(through) = self.0.get_mut(partition(conversation)) {
            *through = (*through).max(stored_at);
        }
    }

    /// Nothing is on its way any more.
    pub fn empty(&mut self) {
        self.0 = [0; PARTITIONS];
    }
}

/// The partition of a conversation (FNV-1a over its id).
fn partition(conversation: &str) -> usize {
    let hash = conversation.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % PARTITIONS as u64) as usize
}

/// The conversation that a message belongs to.
pub fn conversation_id(session_type: i32, sender: &str, group: Option<&str>, recipient: &str) -> String {
    match (group, session_type) {
        (Some(group), _) => format!("sg_{group}"),
        (None, 4) => format!("sn_{sender}_{recipient}"),
        (None, _) => {
            let (first, second) = if sender <= recipient { (sender, recipient) } else { (recipient, sender) };
            format!("si_{first}_{second}")
        }
    }
}

/// All conversations.
#[derive(Debug, Default)]
pub struct Archive {
    conversations: HashMap<String, Conversation>,
    /// So many of the truth's messages are in here.
    taken: usize,
}

/// The messages of one conversation in their places, which count from 1.
#[derive(Debug, Default)]
pub struct Conversation {
    copies: Vec<Copy>,
    /// Who may read it; of a group its members, who are not noted here.
    readers: BTreeSet<String>,
}

/// A message at a place.
#[derive(Debug, Clone)]
pub struct Copy {
    pub message: Ticket,
    /// Unix milliseconds.
    pub stored_at: i64,
    pub revoked: bool,
}

impl Archive {
    /// Takes in what was accepted since the last time.
    pub fn catch_up(&mut self, truth: &Truth) {
        for message in truth.order().iter().skip(self.taken) {
            self.taken += 1;
            let Some(sent) = truth.request(*message) else { continue };
            let Some(stored_at) = sent.stored_at(*message) else { continue };
            let copies = &mut self.conversation_of(sent, *message).copies;
            // A clock that was set back does not let one overtake another.
            let stored_at = copies.last().map_or(stored_at, |last| stored_at.max(last.stored_at));
            copies.push(Copy { message: *message, stored_at, revoked: false });
        }
    }

    fn conversation_of(&mut self, sent: &Sent, message: Ticket) -> &mut Conversation {
        let recipient = message.recipient_in(sent);
        let session_type = sent.substance.session_type;
        let id = conversation_id(session_type, &sent.sender, sent.group.as_deref(), recipient);
        let conversation = self.conversations.entry(id).or_default();
        if sent.group.is_none() {
            let readers = if session_type == 4 { &[recipient][..] } else { &[recipient, &sent.sender] };
            for reader in readers {
                if !conversation.readers.contains(*reader) {
                    conversation.readers.insert((*reader).to_owned());
                }
            }
        }
        conversation
    }

    pub fn conversation(&self, id: &str) -> Option<&Conversation> {
        self.conversations.get(id)
    }

    /// All conversations with their ids, in no order.
    pub fn conversations(&self) -> impl Iterator<Item = (&String, &Conversation)> {
        self.conversations.iter()
    }

    /// Revokes the message at a place.
    pub fn revoke(&mut self, id: &str, seq: i64, now: i64) {
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        let stored = conversation.stored(now).len();
        let place = usize::try_from(seq - 1).ok().filter(|place| *place < stored);
        if let Some(copy) = place.and_then(|place| conversation.copies.get_mut(place)) {
            copy.revoked = true;
        }
    }

    /// Drops what is still on its way at `now`.
    pub fn lose_waiting(&mut self, now: i64) {
        for conversation in self.conversations.values_mut() {
            conversation.copies.retain(|copy| copy.stored_at <= now);
        }
    }

    /// Goes back to what was stored at `then`; what is on its way at `now` still comes.
    pub fn restore(&mut self, then: i64, now: i64) {
        for conversation in self.conversations.values_mut() {
            conversation.copies.retain(|copy| copy.stored_at <= then || copy.stored_at > now);
        }
    }

    /// Stores the newest `count` messages that are there once more.
    pub fn store_again(&mut self, truth: &Truth, count: usize, now: i64) {
        let stored = |message: &&Ticket| {
            let sent = truth.request(**message);
            sent.and_then(|sent| sent.stored_at(**message)).is_some_and(|at| at <= now)
        };
        let newest: Vec<Ticket> = truth.order().iter().rev().filter(stored).take(count).copied().collect();
        for message in newest.into_iter().rev() {
            let Some(sent) = truth.request(message) else { continue };
            let copies = &mut self.conversation_of(sent, message).copies;
            // Before what is still on its way there.
            let place = copies.partition_point(|copy| copy.stored_at <= now);
            copies.insert(place, Copy { message, stored_at: now, revoked: false });
        }
    }
}

impl Conversation {
    /// What is stored at `now`: the message at place 1, 2, …
    pub fn stored(&self, now: i64) -> &[Copy] {
        let end = self.copies.partition_point(|copy| copy.stored_at <= now);
        self.copies.get(..end).unwrap_or_default()
    }

    /// Whether someone may read it because it is theirs.
    pub fn is_readable_by(&self, user: &str) -> bool {
        self.readers.contains(user)
    }
}
