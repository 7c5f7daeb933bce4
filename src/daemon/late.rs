//! When a run's time is over: nothing of it was asked in time, or it lasts too long.

use jiff::Timestamp;

use super::assignment::Assignment;
use crate::run::{Ending, RunEvent};

/// Why a run must not send any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Nothing could be asked within `lateness.max`: its slot is missed.
    Start,
    /// `finishWithin` is over.
    Finish,
}

impl Late {
    /// Whether a run is too late now.
    pub fn of(assignment: &Assignment, started: bool, now: Timestamp) -> Option<Late> {
        if !started && now > assignment.start_by {
            Some(Late::Start)
        } else if now > assignment.finish_by {
            Some(Late::Finish)
        } else {
            None
        }
    }

    /// What happens to the run.
    pub fn event(self) -> RunEvent {
        let reason = match self {
            Late::Start => "late: nothing could be asked within lateness.max",
            Late::Finish => "finishWithin is over",
        };
        RunEvent::Stop { ending: Ending::Expired, reason: reason.to_owned() }
    }

    /// The reason for which the run's slot is missed, if it is.
    pub fn missed(self) -> Option<&'static str> {
        (self == Late::Start).then_some("late")
    }
}
