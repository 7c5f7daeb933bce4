//! Whether a provider has answered, so that what turns a request away before it is known for what it is.
//!
//! Must never know: whose the answers are, or what they say.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::run::reply::{Answer, Cause, Reply};

/// Whether the provider has answered since the daemon began.
#[derive(Debug, Default)]
pub struct Reached(AtomicBool);

impl Reached {
    /// Judges an answer by what came before: where the provider has been reached the address is right, and what says
    /// that there is no such call, or wants another key, stands before it for a while.
    pub fn judge(&self, answer: Answer) -> Answer {
        match answer.reply {
            Reply::Answered(_) => {
                self.0.store(true, Ordering::Relaxed);
                answer
            }
            Reply::Rejected(reason)
                if matches!(answer.http_status, Some(401 | 404 | 405 | 407))
                    && self.0.load(Ordering::Relaxed) =>
            {
                Answer { reply: Reply::NothingDone(Cause::Outage, reason), ..answer }
            }
            _ => answer,
        }
    }
}
