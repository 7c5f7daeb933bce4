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

/// A fault that hits so many requests.
pub trait Counted: Clone {
    /// How many are still to be hit.
    fn times(&mut self) -> &mut u32;
    /// The beginning of the paths it hits, where it does not hit those that send.
    fn path(&self) -> Option<&str>;
}

macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty)? })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)?
            pub times: u32,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub path: Option<String>,
        }

        impl Counted for $name {
            fn times(&mut self) -> &mut u32 {
                &mut self.times
            }

            fn path(&self) -> Option<&str> {
                self.path.as_deref()
            }
        }
    )* };
}

counted! {
    /// Nothing but how often.
    Times {}
    HTTPStatus { status: u16 }
    ErrCode { code: i64 }
    Throttle {
        /// The header `Retry-After`, sense or nonsense.
        retry_after: Option<String>
    }
    CutAfter { recipients: usize }
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
}

/// Counts a fault down when it hits a request for `path`.
pub fn take<T: Counted>(fault: &mut Option<T>, path: &str) -> Option<T> {
    let counted = fault.as_mut()?;
    let hit = match counted.path() {
        Some(prefix) => path.starts_with(prefix),
        None => path == super::messages::BATCH_SEND || path == super::messages::SEND,
    };
    let left = hit.then(|| counted.times().checked_sub(1)).flatten()?;
    *counted.times() = left;
    let taken = counted.clone();
    if left == 0 {
        *fault = None;
    }
    Some(taken)
}
