//! Where a provider has answered, so that what turns a request away before it is known for what it is.
//!
//! Must never know: whose the answers are, or what they say.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::run::reply::{Answer, Cause, Reply};

/// The paths at which the provider has answered since the daemon began.
#[derive(Debug, Default)]
pub struct Reached(Mutex<BTreeSet<&'static str>>);

impl Reached {
    /// Judges an answer by what came before: where the provider has answered at this path the address is right, and what
    /// says that there is no such call, or wants another key, stands before it for a while.
    pub fn judge(&self, path: &'static str, answer: Answer) -> Answer {
        // Nothing that holds the lock can panic half-way.
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer.reply {
            Reply::Answered(_) => {
                reached.insert(path);
                answer
            }
            Reply::Rejected(reason)
                if matches!(answer.http_status, Some(401 | 404 | 405 | 407)) && reached.contains(path) =>
            {
                Answer { reply: Reply::NothingDone(Cause::Outage, reason), ..answer }
            }
            _ => answer,
        }
    }
}
