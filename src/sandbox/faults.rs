//! Faults on demand, as the control endpoint takes them and as flags say them.
//!
//! Knows: their names, what each hits, how often. Must never know: what is answered then.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::netease::{self, faults::NetEaseFaults};

/// What the sandbox does wrong. Standing faults last until the plan is replaced. Counted ones hit so
/// many requests and are then over; where they name a `path`, those whose path begins so. The last
/// five happen at once, and are not kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// Time for each recipient of a send, in milliseconds.
    pub latency_ms: f64,
    /// These recipients come back failed.
    pub refuse: BTreeSet<String>,
    /// Every so many-th message is accepted and never stored; 0: none.
    pub lose_every: u32,
    /// What is accepted is stored only so much later, in milliseconds.
    pub store_late_ms: u32,
    /// How much later besides, in each of the eight partitions through which messages travel. A
    /// conversation always takes the same one, in which none overtakes another.
    pub partition_late_ms: Vec<u32>,
    /// Every so many-th message comes back failed although it is stored; 0: none.
    pub fail_stored_every: u32,
    /// A pull leaves out every so many-th message; 0: none.
    pub omit_messages_every: u32,
    /// Look-ups leave out every so many-th conversation; 0: none.
    pub omit_conversations_every: u32,
    /// What NetEase's side does wrong besides.
    pub netease: NetEaseFaults,
    /// An HTML page with this status, before anything is looked at.
    pub http_status: Option<HTTPStatus>,
    /// The envelope with this code, after the token and before any work.
    pub err_code: Option<ErrCode>,
    /// 429, before anything is looked at.
    pub throttle: Option<Throttle>,
    /// Everything is done, and the connection closed instead of an answer.
    pub drop_answer: Option<Times>,
    /// The first so many recipients are done, and the connection closed: the API was stopped.
    pub cut_after: Option<CutAfter>,
    /// Nobody can connect. A server, which is connected already, closes at once.
    pub unreachable: Option<Times>,
    /// No answer, for a while or for ever.
    pub hang: Option<Hang>,
    /// The answer comes drop by drop.
    pub drip: Option<Drip>,
    /// The part that tokens are checked by cannot be reached. Hits every request.
    pub auth_down: Option<AuthDown>,
    /// The part that passes messages on cannot be reached: a batch fails everyone within 3 ms.
    /// Hits every request under `/msg/`.
    pub message_service_down: Option<MessageServiceDown>,
    /// It is killed in a batch: so many are answered, the next one is stored and comes back failed
    /// as all behind it do.
    pub message_service_killed: Option<CutAfter>,
    /// The cache hangs while this is answered.
    pub cache_hangs: Option<CacheHangs>,
    /// A list moves between two of its pages, as when people leave it: so many whom the page would have named are
    /// passed over.
    pub move_pages: Option<MovePages>,
    /// A page behind the first of a list is the first page.
    pub repeat_pages: Option<RepeatPages>,
    /// All tokens issued so far are expired.
    pub expire_tokens: bool,
    /// All tokens issued so far are unknown.
    pub forget_tokens: bool,
    /// The server is killed: what was accepted and not stored yet is lost.
    pub lose_waiting: bool,
    /// So many of the newest messages are stored again, with the same ids and new places.
    pub store_again: u32,
    /// The store is what it was so many milliseconds ago, and goes on from there.
    pub restore_backup_of_ms_ago: Option<u64>,
}

/// A fault that hits so many requests.
pub trait Counted: Clone {
    /// Beginnings of the paths it hits, where it names none itself.
    const HITS: &'static [&'static str];

    /// How many are still to be hit.
    fn times(&mut self) -> &mut u32;
    /// The beginning of the paths it hits, where it says so.
    fn path(&self) -> Option<&str>;
}

/// Those that send.
const SENDS: &[&str] = &[
    super::messages::BATCH_SEND,
    super::messages::SEND,
    netease::SEND,
    netease::SEND_BATCH,
    netease::SEND_ATTACH,
    netease::BROADCAST,
    netease::SEND_TO_ALL,
];

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident hits $hits:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            pub times: u32,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub path: Option<String>,
        }

        impl Counted for $name {
            const HITS: &'static [&'static str] = $hits;

            fn times(&mut self) -> &mut u32 {
                &mut self.times
            }

            fn path(&self) -> Option<&str> {
                self.path.as_deref()
            }
        }
    )* };
}

/// Those that list people, page by page.
const LISTS: &[&str] = &[super::accounts::USERS, super::accounts::MEMBERS];

const EVERYTHING: &[&str] = &["/"];
const MESSAGES: &[&str] = &["/msg/"];

counted! {
    /// Nothing but how often.
    Times hits SENDS {}
    AuthDown hits EVERYTHING {}
    MessageServiceDown hits MESSAGES {}
    HTTPStatus hits SENDS { status: u16 }
    ErrCode hits SENDS { code: i64 }
    Throttle hits SENDS {
        /// The header `Retry-After`, sense or nonsense.
        retry_after: Option<String>
    }
    CutAfter hits SENDS { recipients: usize }
    Hang hits SENDS {
        /// For so many milliseconds; for ever where it does not say.
        #[serde(default)]
        for_ms: Option<u64>,
        /// After the work, not before it.
        #[serde(default)]
        after_work: bool,
    }
    Drip hits SENDS {
        /// So many milliseconds between two drops of 16 bytes.
        pause_ms: u64,
    }
    MovePages hits LISTS {
        /// How many move.
        by: usize,
    }
    RepeatPages hits LISTS {}
    CacheHangs hits SENDS {
        /// So many milliseconds.
        for_ms: u64,
        /// Of what is accepted meanwhile, every so many-th message is never stored; 0: none.
        #[serde(default)]
        lose_every: u32,
    }
}

impl Times {
    pub fn new(times: u32) -> Times {
        Times { times, path: None }
    }
}

impl Faults {
    /// The time that each recipient takes; nonsense takes none.
    pub fn latency(&self) -> Duration {
        Duration::try_from_secs_f64(self.latency_ms / 1_000.0).unwrap_or_default()
    }

    /// How much later than accepted a message of this partition is stored, in milliseconds.
    pub fn late_ms(&self, partition: usize) -> i64 {
        let own = self.partition_late_ms.get(partition).copied().unwrap_or(0);
        i64::from(self.store_late_ms) + i64::from(own)
    }

    /// Whether anything is stored late.
    pub fn lags(&self) -> bool {
        self.store_late_ms > 0 || !self.partition_late_ms.is_empty()
    }
}

/// Counts a fault down when it hits a request for `path`.
pub fn take<T: Counted>(fault: &mut Option<T>, path: &str) -> Option<T> {
    let counted = fault.as_mut()?;
    let hit = match counted.path() {
        Some(prefix) => path.starts_with(prefix),
        None => T::HITS.iter().any(|prefix| path.starts_with(prefix)),
    };
    let left = hit.then(|| counted.times().checked_sub(1)).flatten()?;
    *counted.times() = left;
    let taken = counted.clone();
    if left == 0 {
        *fault = None;
    }
    Some(taken)
}

/// Picks every so many-th of what passes.
#[derive(Debug, Default)]
pub struct EveryNth(u64);

impl EveryNth {
    /// Whether this one is it; `every` 0 picks none.
    pub fn pick(&mut self, every: u32) -> bool {
        self.0 += 1;
        every > 0 && self.0.is_multiple_of(u64::from(every))
    }
}
