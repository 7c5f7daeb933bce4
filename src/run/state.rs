//! The life of a run, drawn in `ARCHITECTURE.md`:
//!
//! ```text
//! pending ──sealed──▶ running ◀──resume── paused
//!    │                 │  │ └──pause──────▶ │
//!    │                 │  └─stop─▶ ending ◀─┘ stop
//!    └─▶ failed,       └─drained─▶ completed    ending ─drained─▶ completed | cancelled | failed
//!        cancelled          completed | cancelled | failed ─reopened─▶ running
//! ```

/// Where a run stands, with what belongs to that state alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Its audience is being opened; nothing is sent.
    Pending,
    /// Something is pending, in flight or being looked up.
    Running,
    /// Nothing more leaves until it is resumed.
    Paused { reason: String },
    /// It has been told to stop: nothing more leaves, what is in flight is awaited, and what is
    /// pending gets the outcome of this ending.
    Ending { ending: Ending, reason: String },
    /// Nothing is pending or in flight.
    Completed { reason: String },
    /// A person ended it.
    Cancelled { reason: String },
    /// Its audience could not be opened, or the provider refuses the request itself.
    Failed { reason: String },
}

/// Why a run stops before its audience is used up, and so what becomes of those not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A person said so: `cancelled`.
    Cancelled,
    /// `finishWithin` is over: `expired`.
    Expired,
    /// The provider refuses the request itself: `failed`.
    Failed,
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// Its audience is complete and stored.
    Sealed,
    /// Its audience cannot be opened.
    OpeningFailed {
        reason: String,
    },
    Pause {
        reason: String,
    },
    Resume,
    Stop {
        ending: Ending,
        reason: String,
    },
    /// Nothing is pending, in flight or being looked up any more.
    Drained,
    /// A person wants some of its recipients asked again.
    Reopen,
}

/// The event has no place in the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} cannot {event}")]
pub struct NoSuchTransition {
    pub state: &'static str,
    pub event: &'static str,
}

impl RunState {
    /// The words of the ledger, in the order of a life.
    pub const NAMES: [&'static str; 7] =
        ["pending", "running", "paused", "ending", "completed", "cancelled", "failed"];

    /// The state's word in the ledger. `run_summary` shows `ending` as `running`.
    pub fn name(&self) -> &'static str {
        match self {
            RunState::Pending => "pending",
            RunState::Running => "running",
            RunState::Paused { .. } => "paused",
            RunState::Ending { .. } => "ending",
            RunState::Completed { .. } => "completed",
            RunState::Cancelled { .. } => "cancelled",
            RunState::Failed { .. } => "failed",
        }
    }

    /// Why it is so, where the state has a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            RunState::Pending | RunState::Running => None,
            RunState::Paused { reason }
            | RunState::Ending { reason, .. }
            | RunState::Completed { reason }
            | RunState::Cancelled { reason }
            | RunState::Failed { reason } => Some(reason).filter(|text| !text.is_empty()).map(String::as_str),
        }
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        matches!(self, RunState::Completed { .. } | RunState::Cancelled { .. } | RunState::Failed { .. })
    }

    /// The one transition function: the state after the event, or why there is none. A stop is never
    /// taken back, and a second stop changes nothing.
    pub fn after(self, event: RunEvent) -> Result<RunState, NoSuchTransition> {
        use RunState::{Cancelled, Completed, Ending as End, Failed, Paused, Pending, Running};
        match (self, event) {
            (Pending, RunEvent::Sealed) => Ok(Running),
            (Pending, RunEvent::OpeningFailed { reason }) => Ok(Failed { reason }),
            (Running | Paused { .. }, RunEvent::Pause { reason }) => Ok(Paused { reason }),
            (Paused { .. }, RunEvent::Resume) => Ok(Running),
            (Pending, RunEvent::Stop { ending: Ending::Cancelled, reason }) => Ok(Cancelled { reason }),
            (Running | Paused { .. }, RunEvent::Stop { ending, reason }) => Ok(End { ending, reason }),
            (ending @ End { .. }, RunEvent::Stop { .. }) => Ok(ending),
            (Running | Paused { .. }, RunEvent::Drained) => Ok(Completed { reason: String::new() }),
            (End { ending, reason }, RunEvent::Drained) => Ok(match ending {
                Ending::Cancelled => Cancelled { reason },
                Ending::Expired => Completed { reason },
                Ending::Failed => Failed { reason },
            }),
            (Completed { .. } | Cancelled { .. } | Failed { .. }, RunEvent::Reopen) => Ok(Running),
            // It goes on anyway.
            (state @ (Running | Paused { .. }), RunEvent::Reopen) => Ok(state),
            (state, event) => Err(NoSuchTransition { state: state.name(), event: event.name() }),
        }
    }
}

impl Ending {
    pub const ALL: [Ending; 3] = [Ending::Cancelled, Ending::Expired, Ending::Failed];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Cancelled => "cancelled",
            Ending::Expired => "expired",
            Ending::Failed => "failed",
        }
    }
}

impl RunEvent {
    /// The event as a verb, for people.
    pub fn name(&self) -> &'static str {
        match self {
            RunEvent::Sealed => "be sealed",
            RunEvent::OpeningFailed { .. } => "fail to open",
            RunEvent::Pause { .. } => "be paused",
            RunEvent::Resume => "be resumed",
            RunEvent::Stop { .. } => "be stopped",
            RunEvent::Drained => "be drained",
            RunEvent::Reopen => "be reopened",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why() -> String {
        "why".to_owned()
    }

    fn states() -> Vec<RunState> {
        let mut states = vec![
            RunState::Pending,
            RunState::Running,
            RunState::Paused { reason: why() },
            RunState::Completed { reason: why() },
            RunState::Cancelled { reason: why() },
            RunState::Failed { reason: why() },
        ];
        states.extend(Ending::ALL.map(|ending| RunState::Ending { ending, reason: why() }));
        states
    }

    fn events() -> Vec<RunEvent> {
        let mut events = vec![
            RunEvent::Sealed,
            RunEvent::OpeningFailed { reason: why() },
            RunEvent::Pause { reason: why() },
            RunEvent::Resume,
            RunEvent::Drained,
            RunEvent::Reopen,
        ];
        events.extend(Ending::ALL.map(|ending| RunEvent::Stop { ending, reason: why() }));
        events
    }

    #[test]
    fn every_state_meets_every_event() {
        let mut table = String::new();
        for state in states() {
            for event in events() {
                let label = match &event {
                    RunEvent::Stop { ending, .. } => format!("be {}", ending.as_str()),
                    other => other.name().to_owned(),
                };
                let after = match state.clone().after(event) {
                    Ok(RunState::Ending { ending, .. }) => format!("ending ({})", ending.as_str()),
                    Ok(after) => after.name().to_owned(),
                    Err(_) => continue,
                };
                table += &format!("{:9} + {label:12} = {after}\n", state.name());
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_is_over_stays_so_until_a_person_reopens_it() {
        for state in states().into_iter().filter(RunState::is_over) {
            for event in events() {
                let reopens = event == RunEvent::Reopen;
                assert_eq!(state.clone().after(event).is_ok(), reopens, "{state:?}");
            }
        }
    }

    #[test]
    fn the_names_are_those_of_the_states() {
        assert!(states().iter().all(|state| RunState::NAMES.contains(&state.name())));
    }
}
