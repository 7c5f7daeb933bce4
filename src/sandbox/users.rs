//! Accounts: the admin, a notification account, an ordinary sender, so many numbered users
//! `u00001…`, and those registered since.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{ADMIN, NOTIFIER, SENDER};

/// The accounts that the provider's documentation of `batch_send_msg` speaks of, so that its very
/// request can be rehearsed. They stand in no list of users until somebody registers them.
const DOCUMENTED: [&str; 3] = ["3473643418", "9948077346", "9371245179"];

/// Ordinary accounts are below this level, admins and notification accounts at it or above.
const PRIVILEGED: u8 = 2;

#[derive(Debug)]
pub struct Users {
    numbered: u32,
    /// Whether every id counts as registered.
    open: bool,
    /// In the order of their registration.
    registered: Vec<String>,
    registered_index: HashSet<String>,
    /// What someone wants to receive, where it is not everything.
    receive_options: HashMap<String, u8>,
    /// (who blocks, who is blocked).
    blocked: HashSet<(String, String)>,
}

/// One account as the list tells it.
pub struct User<'a> {
    pub id: Cow<'a, str>,
    pub level: u8,
    pub receive_option: u8,
}

impl Users {
    pub fn new(numbered: u32, open: bool) -> Users {
        Users {
            numbered,
            open,
            registered: Vec::new(),
            registered_index: HashSet::new(),
            receive_options: HashMap::new(),
            blocked: HashSet::new(),
        }
    }

    /// The level of an account, if there is one.
    pub fn level(&self, id: &str) -> Option<u8> {
        match id {
            ADMIN => Some(2),
            NOTIFIER => Some(3),
            SENDER => Some(0),
            _ => (self.is_numbered(id)
                || self.registered_index.contains(id)
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
        let known = id == SENDER || self.is_numbered(id) || self.registered_index.contains(id);
        self.is_privileged(id) || (self.open && !known)
    }

    fn is_numbered(&self, id: &str) -> bool {
        let Some(digits) = id.strip_prefix('u') else { return false };
        let as_written = digits.len() == 5 || (digits.len() > 5 && !digits.starts_with('0'));
        as_written
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse().is_ok_and(|number: u32| (1..=self.numbered).contains(&number))
    }

    pub fn receive_option(&self, id: &str) -> u8 {
        if self.receive_options.is_empty() { 0 } else { self.receive_options.get(id).copied().unwrap_or(0) }
    }

    pub fn set_receive_option(&mut self, id: &str, option: u8) {
        self.receive_options.insert(id.to_owned(), option);
    }

    pub fn blocks(&self, owner: &str, blocked: &str) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(owner.to_owned(), blocked.to_owned()))
    }

    pub fn block(&mut self, owner: &str, blocked: &str) {
        self.blocked.insert((owner.to_owned(), blocked.to_owned()));
    }

    /// Registers an id; whether it was new.
    pub fn register(&mut self, id: &str) -> bool {
        let known = [ADMIN, NOTIFIER, SENDER].contains(&id) || self.is_numbered(id);
        let new = !known && self.registered_index.insert(id.to_owned());
        if new {
            self.registered.push(id.to_owned());
        }
        new
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
