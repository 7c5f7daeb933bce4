//! Accounts: the admin, a notification account, an ordinary sender, so many numbered users
//! `u00001…`, and those registered since.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{ADMIN, NOTIFIER, SENDER, profile::Profile};

/// The accounts that the provider's documentation of `batch_send_msg` speaks of, so that its very
/// request can be rehearsed. They stand in no list of users until somebody registers them.
const DOCUMENTED: [&str; 3] = ["3473643418", "9948077346", "9371245179"];

/// Ordinary accounts are below this level, admins and notification accounts at it or above.
const PRIVILEGED: u8 = 2;

#[derive(Debug)]
pub struct Users {
    profile: Profile,
    numbered: u32,
    /// Whether every id counts as registered.
    open: bool,
    /// In the order of their registration.
    registered: Vec<String>,
    /// When each of them was, in Unix milliseconds.
    registered_index: HashMap<String, i64>,
    /// What someone wants to receive, where it was ever set.
    receive_options: HashMap<String, ReceiveOption>,
    /// (who blocks, who is blocked).
    blocked: HashSet<(String, String)>,
}

/// What someone wants to receive.
#[derive(Debug, Clone, Copy)]
struct ReceiveOption {
    is: u8,
    /// What those who send still think it is, until when (Unix milliseconds).
    was: u8,
    until: i64,
    /// When a message was last not sent because of it (Unix milliseconds).
    refused_at: i64,
}

/// One account as the list tells it.
pub struct User<'a> {
    pub id: Cow<'a, str>,
    pub level: u8,
    pub receive_option: u8,
}

impl Users {
    pub fn new(profile: Profile, numbered: u32, open: bool) -> Users {
        Users {
            profile,
            numbered,
            open,
            registered: Vec::new(),
            registered_index: HashMap::new(),
            receive_options: HashMap::new(),
            blocked: HashSet::new(),
        }
    }

    /// How many numbered users there are.
    pub fn numbered(&self) -> u32 {
        self.numbered
    }

    /// The level of an account, if there is one.
    pub fn level(&self, id: &str) -> Option<u8> {
        match id {
            ADMIN => Some(self.profile.admin_level()),
            NOTIFIER => Some(3),
            SENDER => Some(0),
            _ => (self.is_numbered(id)
                || self.registered_index.contains_key(id)
                || DOCUMENTED.contains(&id)
                || self.open)
                .then_some(0),
        }
    }

    pub fn exists(&self, id: &str) -> bool {
        self.level(id).is_some()
    }

    /// Whether the account's messages pass blacklists.
    pub fn is_privileged(&self, id: &str) -> bool {
        self.level(id).is_some_and(|level| level >= PRIVILEGED)
    }

    /// Whether the account may send notifications. In an open world whoever is unknown may.
    pub fn may_notify(&self, id: &str) -> bool {
        let known = id == SENDER || self.is_numbered(id) || self.registered_index.contains_key(id);
        self.is_privileged(id) || (self.open && !known)
    }

    fn is_numbered(&self, id: &str) -> bool {
        let Some(digits) = id.strip_prefix('u') else { return false };
        let as_written = digits.len() == 5 || (digits.len() > 5 && !digits.starts_with('0'));
        as_written
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse().is_ok_and(|number: u32| (1..=self.numbered).contains(&number))
    }

    /// Whether those who send know the account at `now` (Unix milliseconds): a newcomer may not be
    /// known to them yet.
    pub fn exists_for_senders(&self, id: &str, now: i64) -> bool {
        let wait = self.profile.newcomers_wait_ms();
        let new = wait > 0 && self.registered_index.get(id).is_some_and(|at| now - at < wait);
        !new && self.exists(id)
    }

    pub fn receive_option(&self, id: &str) -> u8 {
        if self.receive_options.is_empty() { 0 } else { self.receive_options.get(id).map_or(0, |set| set.is) }
    }

    /// What those who send at `now` (Unix milliseconds) think that someone wants to receive.
    pub fn receive_option_for_senders(&mut self, id: &str, now: i64) -> u8 {
        if self.receive_options.is_empty() {
            return 0;
        }
        let Some(set) = self.receive_options.get_mut(id) else { return 0 };
        let option = if now < set.until { set.was } else { set.is };
        if option == 1 {
            set.refused_at = now;
        }
        option
    }

    /// Sets it at `now` (Unix milliseconds). `known`: whether someone was just written to, so that
    /// those who send remember what it was.
    pub fn set_receive_option(&mut self, id: &str, option: u8, now: i64, known: bool) {
        let sticks = self.profile.option_sticks_ms();
        let before = self.receive_options.get(id).copied();
        let was = before.map_or(0, |set| if now < set.until { set.was } else { set.is });
        let refused_at = before.map_or(i64::MIN, |set| set.refused_at);
        let known = known || now.saturating_sub(refused_at) < sticks;
        let until = if known { now + sticks } else { now };
        self.receive_options.insert(id.to_owned(), ReceiveOption { is: option, was, until, refused_at });
    }

    pub fn blocks(&self, owner: &str, blocked: &str) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(owner.to_owned(), blocked.to_owned()))
    }

    pub fn block(&mut self, owner: &str, blocked: &str) {
        self.blocked.insert((owner.to_owned(), blocked.to_owned()));
    }

    /// Registers an id at `now` (Unix milliseconds); whether it was new.
    pub fn register(&mut self, id: &str, now: i64) -> bool {
        let known = [ADMIN, NOTIFIER, SENDER].contains(&id)
            || self.is_numbered(id)
            || self.registered_index.contains_key(id);
        if !known {
            self.registered_index.insert(id.to_owned(), now);
            self.registered.push(id.to_owned());
        }
        !known
    }

    /// Every account; `imAdmin` comes first.
    pub fn all(&self) -> impl Iterator<Item = Cow<'_, str>> {
        [ADMIN, NOTIFIER].into_iter().map(Cow::Borrowed).chain(self.ordinary())
    }

    /// Ordinary accounts: neither admins nor notification accounts.
    pub fn ordinary(&self) -> impl Iterator<Item = Cow<'_, str>> {
        std::iter::once(Cow::Borrowed(SENDER))
            .chain((1..=self.numbered).map(|number| Cow::Owned(numbered_id(number))))
            .chain(self.registered.iter().map(|id| Cow::Borrowed(id.as_str())))
    }

    /// How many accounts are ordinary.
    pub fn ordinary_count(&self) -> usize {
        1 + self.numbered as usize + self.registered.len()
    }

    /// A page of the ordinary accounts, without walking through those before it one by one.
    pub fn ordinary_page(&self, skip: usize, take: usize) -> Vec<User<'_>> {
        let skipped = skip.min(self.ordinary_count());
        (skipped..self.ordinary_count().min(skipped.saturating_add(take)))
            .filter_map(|place| match place {
                0 => Some(Cow::Borrowed(SENDER)),
                place if place <= self.numbered as usize => Some(Cow::Owned(numbered_id(place as u32))),
                place => self.registered.get(place - 1 - self.numbered as usize).map(|id| id.as_str().into()),
            })
            .map(|id| User { level: 0, receive_option: self.receive_option(&id), id })
            .collect()
    }
}

/// The id of the n-th numbered user.
pub fn numbered_id(number: u32) -> String {
    format!("u{number:05}")
}
