//! Faults on demand, as the control endpoint takes them and as flags say them.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

/// What the sandbox does wrong. Counted faults hit so many requests and are then over; unless they
/// name a `path`, they hit the requests that send.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// Time for each recipient of a send, in milliseconds.
    pub latency_ms: f64,
    /// These recipients come back failed.
    pub refuse: BTreeSet<String>,
    /// An HTML page with this status, before anything is looked at.
    pub http_status: Option<HTTPStatus>,
    /// The envelope with this code, after the token and before any work.
    pub err_code: Option<ErrCode>,
    /// 429, before anything is looked at.
    pub throttle: Option<Throttle>,
    /// Everything is done, and the connection closed instead of an answer.
    pub drop_answer: Option<Times>,
    /// The first so many recipients are done, and the connection closed.
    pub cut_after: Option<CutAfter>,
    /// Nobody can connect. A server, which is connected already, closes at once.
    pub unreachable: Option<Times>,
    /// All tokens issued so far are expired, at once.
    pub expire_tokens: bool,
    /// Every so many-th message is accepted and never stored; 0: none.
    pub lose_every: u32,
    /// What is accepted shows only so much later, in milliseconds.
    pub store_late_ms: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    pub times: u32,
    /// The beginning of the paths it hits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Times {
    pub fn new(times: u32) -> Times {
        Times { times, path: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HTTPStatus {
    pub status: u16,
    #[serde(flatten)]
    pub hits: Times,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrCode {
    pub code: i64,
    #[serde(flatten)]
    pub hits: Times,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttle {
    /// The header `Retry-After`, sense or nonsense.
    pub retry_after: Option<String>,
    #[serde(flatten)]
    pub hits: Times,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutAfter {
    pub recipients: usize,
    #[serde(flatten)]
    pub hits: Times,
}

impl Faults {
    /// The time that each recipient takes; nonsense takes none.
    pub fn latency(&self) -> Duration {
        Duration::try_from_secs_f64(self.latency_ms / 1_000.0).unwrap_or_default()
    }
}

/// Counts a fault down when it hits a request for `path`.
pub fn take<T: HasHits>(fault: &mut Option<T>, path: &str) -> Option<T> {
    let hits = fault.as_mut()?.hits();
    let hit = match &hits.path {
        Some(prefix) => path.starts_with(prefix.as_str()),
        None => path == super::messages::BATCH_SEND || path == super::messages::SEND,
    };
    if !hit || hits.times == 0 {
        return None;
    }
    hits.times -= 1;
    let over = hits.times == 0;
    let taken = fault.clone();
    if over {
        *fault = None;
    }
    taken
}

/// A fault that is counted.
pub trait HasHits: Clone {
    fn hits(&mut self) -> &mut Times;
}

impl HasHits for Times {
    fn hits(&mut self) -> &mut Times {
        self
    }
}

macro_rules! counted {
    ($($fault:ty),*) => { $(impl HasHits for $fault {
        fn hits(&mut self) -> &mut Times { &mut self.hits }
    })* };
}

counted!(HTTPStatus, ErrCode, Throttle, CutAfter);
