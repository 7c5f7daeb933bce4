//! One turn: what it may send, and how it ended.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{assignment::Assignment, gate::Gate, late::Late};

/// One turn: a promise of the limits for a run.
pub struct Turn {
    pub assignment: Arc<Assignment>,
    /// What the limits promise.
    pub most_recipients: u64,
    /// Its time is over, for this reason: it sends nothing any more.
    pub late: Option<Late>,
    /// It only asks whether the run is over, or ends what was stopped.
    pub drains: bool,
    /// It finds out for all others whether the provider works again.
    pub tries: bool,
    /// It only tells that the window has opened or closed.
    pub gate: Option<Gate>,
    /// How many turns that send were under way when it began, itself included. None: it sends nothing.
    pub(super) beside: Option<u32>,
    /// Its call is over, or it makes none.
    pub(super) call_over: bool,
    /// It counts among the calls at once.
    pub(super) has_place: bool,
    pub(super) happened: u64,
}

/// What of a run happened before its lane heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// Something was asked.
    pub started: bool,
    /// Somebody was accepted.
    pub answered: bool,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Its request left with so many recipients. By the steady clock, its answer was recorded at this instant, and
    /// the provider alone took so long.
    Sent { at: Timestamp, recipients: u64, took: SignedDuration },
    /// Its intent was taken back before the request left.
    Withdrawn,
    /// There was no intent.
    Nothing,
}
