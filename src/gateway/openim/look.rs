//! Looking messages up: which requests answer for which kind of conversation.
//!
//! Knows: who may read what, how many are asked about at once, how far back is read. What the answers
//! say of a message is [`conversation`]'s. Must never know: what follows from a sighting.
//!
//! A server tells of a conversation's newest place for many conversations in one request, of any
//! kind, to the sender. Its messages it shows to those who may read them alone, and to all others an
//! empty answer without an error: single chats to their sender, many at once; notifications to their
//! recipient; groups to a member.

mod conversation;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::Value;

use self::conversation::{Conversation, Parties, Range};
use super::{OpenIM, PAGE, content::OA, dialect::NOTIFICATION, question::Question, sender, wire};
use crate::{
    campaign::{Message, RecipientID},
    gateway::{Addressing, Journal, Look, ReadFault, transport::TOO_LONG},
    run::{
        look::{Evidence, Sighting, Sought},
        reply::{Reason, Receipt},
    },
};

/// Messages that one request pulls, at most.
const MESSAGES_A_PULL: u64 = 4_000;
/// Messages of one conversation that its first pull shows: what is sought is nearly always among
/// the newest.
const FIRST_PAGE: u64 = 50;
/// The same for each further pull.
const NEXT_PAGE: u64 = 1_000;
/// A conversation in which nothing was stored for so long before a request was made has nothing of
/// it. Longer than the clocks of a server's parts differ.
const QUIET: SignedDuration = SignedDuration::from_mins(10);
/// The status of a single message that got through; every other says nothing.
const GOT_THROUGH: i64 = 2;

/// What kind of conversation a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chat,
    Notification,
    Group,
}

fn kind(message: &Message, addressing: Addressing) -> Kind {
    let number = |key: &str| message.0.get(key).and_then(Value::as_i64);
    if addressing == Addressing::Group {
        Kind::Group
    } else if number("contentType") == Some(OA) || number("sessionType") == Some(NOTIFICATION) {
        Kind::Notification
    } else {
        Kind::Chat
    }
}

/// Whether it is a notification, of whose recipients the server asks nothing: neither that they are registered nor
/// that they want it.
pub fn is_notification(message: &Message) -> bool {
    kind(message, Addressing::Users) == Kind::Notification
}

/// Why a message could not be recognised, if so.
pub fn unrecognisable(message: &Message) -> Option<Reason> {
    if message.0.get("isOnlineOnly").and_then(Value::as_bool) == Some(true) {
        Some(Reason::new("onlineOnly", "an online-only message is kept nowhere that could be asked"))
    } else if wire::own_send_time(&message.0).is_some() {
        Some(Reason::new("ownSendTime", "the message says its own sendTime, so ours cannot be told by it"))
    } else if sender(message).is_none() {
        Some(Reason::new("noSender", "the message has no sendID"))
    } else {
        None
    }
}

/// One look under way.
struct Looking<'a> {
    gateway: &'a OpenIM,
    journal: &'a dyn Journal,
    sender: &'a str,
    kind: Kind,
    sought: &'a [Sought],
    /// What was seen, in the order of what is sought.
    seen: Vec<Option<Sighting>>,
}

impl OpenIM {
    /// Looks up everything that is sought.
    pub(super) async fn look_up(
        &self,
        look: &Look,
        journal: &dyn Journal,
    ) -> Result<Vec<Sighting>, ReadFault> {
        if let Some(reason) = unrecognisable(&look.message) {
            return Err(ReadFault(reason));
        }
        self.mind_clock().await;
        let mut looking = Looking {
            gateway: self,
            journal,
            sender: sender(&look.message).unwrap_or_default(),
            kind: kind(&look.message, look.addressing),
            sought: &look.sought,
            seen: vec![None; look.sought.len()],
        };
        let end = looking.run(look.addressing, look.counts).await;
        let unseen = match end {
            Ok(()) => Reason::new("notMentioned", "no answer tells of it"),
            // A fault before anything was seen says nothing of any of them.
            Err(fault) if looking.seen.iter().all(Option::is_none) => return Err(fault),
            Err(ReadFault(reason)) => reason,
        };
        let seen = looking.seen.into_iter();
        Ok(seen.map(|sighting| sighting.unwrap_or_else(|| Sighting::NoAnswer(unseen.clone()))).collect())
    }
}

impl Looking<'_> {
    async fn run(&mut self, addressing: Addressing, counts: Evidence) -> Result<(), ReadFault> {
        match (addressing, counts) {
            (Addressing::User | Addressing::Group, Evidence::Taken) => self.by_status().await?,
            // A batch leaves no record, and a record is made before the message is stored.
            (Addressing::Users | Addressing::Unlisted, _) | (_, Evidence::Stored) => {}
        }
        self.in_conversations().await
    }

    /// Asks for the records of single messages, which only say something where they got through.
    async fn by_status(&mut self) -> Result<(), ReadFault> {
        let mut through = Vec::new();
        for (index, sought) in self.sought.iter().enumerate() {
            let question =
                Question { path: wire::SEND_STATUS, recipients: 1, about: Some(&sought.operation_id) };
            let status: wire::SendStatusData =
                self.gateway.ask(question, self.journal, &serde_json::json!({})).await?;
            if status.status == Some(GOT_THROUGH) {
                through.push(index);
            }
        }
        // One release records a success for those who opted out too, and sends them nothing.
        let opted_out = if self.kind == Kind::Chat { self.opted_out(&through).await? } else { Vec::new() };
        for index in through {
            let Some(sought) = self.sought.get(index) else { continue };
            if !opted_out.iter().any(|id| id == sought.recipient.as_str()) {
                let receipt = Receipt { send_time_ms: sought.send_time_ms, ..Receipt::default() };
                self.see(index, Sighting::Found(receipt));
            }
        }
        Ok(())
    }

    async fn opted_out(&self, indices: &[usize]) -> Result<Vec<String>, ReadFault> {
        let recipients: Vec<&RecipientID> = indices
            .iter()
            .filter_map(|index| self.sought.get(*index))
            .map(|sought| &sought.recipient)
            .collect();
        let mut opted_out = Vec::new();
        for ids in recipients.chunks(PAGE as usize) {
            let body = wire::UsersInfoBody { user_ids: ids };
            let data: wire::UsersInfoData =
                self.gateway.read(wire::USERS_INFO, self.journal, ids.len(), &body).await?;
            let users = data.users.unwrap_or_default().into_iter();
            opted_out.extend(users.filter(|user| user.receive_option == Some(1)).map(|user| user.user_id));
        }
        Ok(opted_out)
    }

    /// Looks for what was not seen yet in its conversations.
    async fn in_conversations(&mut self) -> Result<(), ReadFault> {
        let mut conversations: BTreeMap<String, Conversation<'_>> = BTreeMap::new();
        for (index, sought) in self.sought.iter().enumerate() {
            if self.seen.get(index).is_some_and(Option::is_some) {
                continue;
            }
            let parties = match self.kind {
                Kind::Chat => Parties::Chat { sender: self.sender, recipient: sought.recipient.as_str() },
                Kind::Notification => {
                    Parties::Notification { sender: self.sender, recipient: sought.recipient.as_str() }
                }
                Kind::Group => Parties::Group { sender: self.sender, group: sought.recipient.as_str() },
            };
            let id = parties.conversation_id();
            conversations.entry(id).or_default().seek(index, sought, parties);
        }
        let mut conversations: Vec<(String, Conversation<'_>)> = conversations.into_iter().collect();
        for chunk in conversations.chunks_mut(PAGE as usize) {
            let end = self.read_chunk(chunk).await;
            for (index, sighting) in chunk.iter().flat_map(|(_, conversation)| conversation.sightings()) {
                self.see(index, sighting);
            }
            end?;
        }
        Ok(())
    }

    /// Reads so much of some conversations as it takes to see what is sought in them.
    async fn read_chunk(&self, chunk: &mut [(String, Conversation<'_>)]) -> Result<(), ReadFault> {
        let ids: Vec<&str> = chunk.iter().map(|(id, _)| id.as_str()).collect();
        let body = wire::MaxSeqsBody { user_id: self.sender, conversation_ids: &ids };
        let sought = chunk.iter().map(|(_, conversation)| conversation.seeks()).sum();
        let data: wire::MaxSeqsData = self.gateway.read(wire::MAX_SEQS, self.journal, sought, &body).await?;
        let seqs = data.seqs.unwrap_or_default();
        for (id, conversation) in chunk.iter_mut() {
            conversation.newest(seqs.get(id.as_str()), |sought| self.quiet_since_ms(sought));
        }
        match self.kind {
            Kind::Chat => self.pull(self.sender, chunk).await,
            Kind::Notification => {
                for one in chunk.chunks_mut(1) {
                    let reader = one.iter().find_map(|(_, conversation)| conversation.recipient());
                    self.pull(reader.unwrap_or_default(), one).await?;
                }
                Ok(())
            }
            Kind::Group => {
                for one in chunk.chunks_mut(1) {
                    self.pull_as_member(one).await?;
                }
                Ok(())
            }
        }
    }

    /// The last instant at which the conversation of what is sought may have been stirred without its
    /// request having done it, in Unix milliseconds of the server's clock. None: nobody knows what
    /// that clock showed.
    fn quiet_since_ms(&self, sought: &Sought) -> Option<i64> {
        let gateway = self.gateway;
        if !gateway.server_clock.is_known(&*gateway.clock) {
            return None;
        }
        let asked_at = sought.asked_at.as_millisecond() + gateway.server_clock.offset().as_millis() as i64;
        // Our clock may have been wrong when it was asked; the send time was not, or both were.
        let asked_at = sought.send_time_ms.map_or(asked_at, |send_time| send_time.min(asked_at));
        Some(asked_at - QUIET.as_millis() as i64)
    }

    async fn pull_as_member(&self, one: &mut [(String, Conversation<'_>)]) -> Result<(), ReadFault> {
        let unread = one.iter().find(|(_, conversation)| conversation.next_range(1).is_some());
        let Some(group) = unread.and_then(|(_, conversation)| conversation.recipient()) else {
            return Ok(());
        };
        let body = wire::GroupMembersBody { group_id: group };
        let data: wire::GroupMembersData =
            self.gateway.read(wire::GROUP_MEMBERS, self.journal, 1, &body).await?;
        let members = data.user_ids.unwrap_or_default();
        match members.iter().find(|member| *member == self.sender).or(members.first()) {
            Some(reader) => self.pull(reader, one).await?,
            None => {
                let reason = Reason::new("noMember", "the group has no member who could read it");
                one.iter_mut().for_each(|(_, conversation)| conversation.cannot_be_read(reason.clone()));
            }
        }
        Ok(())
    }

    /// Pulls the newest messages of conversations, and then older ones, until there is nothing left
    /// to read.
    async fn pull(
        &self,
        reader: &str,
        conversations: &mut [(String, Conversation<'_>)],
    ) -> Result<(), ReadFault> {
        let mut budget = MESSAGES_A_PULL;
        let mut page = FIRST_PAGE;
        loop {
            let open = conversations.iter().filter(|(_, conversation)| conversation.next_range(1).is_some());
            let each = (budget / (open.count() as u64).max(1)).clamp(1, page);
            let mut room = budget;
            let mut asked: BTreeMap<String, Range> = BTreeMap::new();
            let mut sought = 0;
            for (id, conversation) in conversations.iter() {
                if let Some(range) = conversation.next_range(each.min(room)) {
                    room -= range.places();
                    sought += conversation.seeks();
                    asked.insert(id.clone(), range);
                }
            }
            if asked.is_empty() {
                return Ok(());
            }
            let seq_ranges = asked.iter().map(|(id, range)| wire::SeqRange::new(id, range.begin, range.end));
            let body =
                wire::PullBody { user_id: reader, seq_ranges: seq_ranges.collect(), order: wire::ASCENDING };
            let read = self.gateway.read::<wire::PullData>(wire::PULL, self.journal, sought, &body).await;
            let messages = match read {
                Ok(data) => data.messages.unwrap_or_default(),
                // Long messages: fewer of them at once.
                Err(fault) if fault.0.code == TOO_LONG && budget > 1 => {
                    budget = (budget / 8).max(1);
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            for (id, conversation) in conversations.iter_mut() {
                if let Some(range) = asked.get(id) {
                    conversation.read(*range, messages.get(id.as_str()));
                }
            }
            page = NEXT_PAGE;
        }
    }

    fn see(&mut self, index: usize, sighting: Sighting) {
        if let Some(seen) = self.seen.get_mut(index) {
            *seen = Some(sighting);
        }
    }
}

#[cfg(test)]
mod tests;
