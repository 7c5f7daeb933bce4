//! One recipient's part of a run, drawn in `ARCHITECTURE.md`:
//!
//! ```text
//! pending ──asked──▶ in flight ──answered──▶ accepted | refused | failed | unknown
//!   │  ▲──nothing done──┘                    unknown ──read──▶ accepted | refused
//!   │  └──reopened── unknown | refused | failed        └──exhausted──▶ failed
//!   ├──stopped, given up──▶ expired | cancelled | failed
//!   └──held back──▶ excluded
//! ```

use super::{
    reply::{Reason, Receipt, Verdict},
    state::Ending,
};

/// Where one recipient of a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Not asked yet.
    Pending,
    /// A request with this recipient has been committed, and not its answer.
    InFlight,
    Decided(Outcome),
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Accepted(Receipt),
    /// The provider said no for this recipient.
    Refused(Reason),
    /// Tried, and proven not accepted.
    Failed(Reason),
    /// Asked, and no answer that settles it.
    Unknown(Reason),
    /// Left out by an exclusion, or held back by a suppression.
    Excluded(Reason),
    /// Its time ran out before it was tried.
    Expired(Reason),
    Cancelled(Reason),
}

/// What happens to one recipient of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// A request for it has been committed.
    Asked,
    /// Its request was answered for it.
    Answered(Verdict),
    /// Its request is over and no answer settles it.
    Unanswered(Reason),
    /// Proven: its request did nothing. It may be asked again.
    NothingDone,
    /// Proven: its request did nothing, and never will.
    Rejected(Reason),
    /// It must not be asked any more: it has been suppressed, say.
    HeldBack(Reason),
    /// Proven: nothing asked for it was done, and its tries or its time are used up.
    GivenUp(Reason),
    /// The run stops before it was asked.
    Stopped(Ending, Reason),
    /// What became of it was read from the provider afterwards.
    Read(Verdict),
    /// It is asked again: it is proven that it was not accepted, its author accepts duplicates, or a
    /// person wants it.
    Reopened,
    /// Proven that it was not accepted, and there is no time, no try or no run left for it.
    Exhausted(Reason),
}

/// The event has no place in the state: a fault of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {state} met {event:?}")]
pub struct NoSuchDeliveryTransition {
    pub state: &'static str,
    pub event: DeliveryEvent,
}

impl Delivery {
    /// The one transition function. What is decided stays, but for an unknown that is settled.
    pub fn after(self, event: DeliveryEvent) -> Result<Delivery, NoSuchDeliveryTransition> {
        use Delivery::{Decided, InFlight, Pending};
        match (self, event) {
            (Pending, DeliveryEvent::Asked) => Ok(InFlight),
            (Pending, DeliveryEvent::HeldBack(reason)) => Ok(Decided(Outcome::Excluded(reason))),
            (Pending, DeliveryEvent::Stopped(ending, reason)) => Ok(Decided(match ending {
                Ending::Cancelled => Outcome::Cancelled(reason),
                Ending::Expired => Outcome::Expired(reason),
                Ending::Failed => Outcome::Failed(reason),
            })),
            (InFlight, DeliveryEvent::NothingDone) => Ok(Pending),
            (InFlight, DeliveryEvent::Answered(verdict)) => Ok(Decided(verdict.into())),
            (InFlight, DeliveryEvent::Unanswered(reason)) => Ok(Decided(Outcome::Unknown(reason))),
            (InFlight, DeliveryEvent::Rejected(reason)) => Ok(Decided(Outcome::Failed(reason))),
            (Pending | InFlight, DeliveryEvent::GivenUp(reason)) => Ok(Decided(Outcome::Failed(reason))),
            (Decided(Outcome::Unknown(_)), DeliveryEvent::Read(verdict)) => Ok(Decided(verdict.into())),
            (
                Decided(Outcome::Unknown(_) | Outcome::Refused(_) | Outcome::Failed(_)),
                DeliveryEvent::Reopened,
            ) => Ok(Pending),
            (Decided(Outcome::Unknown(_)), DeliveryEvent::Exhausted(reason)) => {
                Ok(Decided(Outcome::Failed(reason)))
            }
            (state, event) => Err(NoSuchDeliveryTransition { state: state.name(), event }),
        }
    }

    /// The state's word in `waiting_log` and `delivery_log`.
    pub fn name(&self) -> &'static str {
        match self {
            Delivery::Pending => "pending",
            Delivery::InFlight => "in_flight",
            Delivery::Decided(outcome) => outcome.name(),
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Accepted(receipt) => Outcome::Accepted(receipt),
            Verdict::Refused(reason) => Outcome::Refused(reason),
            Verdict::Unknown(reason) => Outcome::Unknown(reason),
        }
    }
}

impl Outcome {
    /// The words of the ledger.
    pub const NAMES: [&'static str; 7] =
        ["accepted", "refused", "failed", "unknown", "excluded", "expired", "cancelled"];

    /// The words of those who may be asked again.
    pub const REOPENABLE: [&'static str; 3] = ["unknown", "refused", "failed"];

    /// The outcome's word in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Accepted(_) => "accepted",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
            Outcome::Unknown(_) => "unknown",
            Outcome::Excluded(_) => "excluded",
            Outcome::Expired(_) => "expired",
            Outcome::Cancelled(_) => "cancelled",
        }
    }

    /// Why, for all that need a reason.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Accepted(_) => None,
            Outcome::Refused(reason)
            | Outcome::Failed(reason)
            | Outcome::Unknown(reason)
            | Outcome::Excluded(reason)
            | Outcome::Expired(reason)
            | Outcome::Cancelled(reason) => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason() -> Reason {
        Reason::new("code", "text")
    }

    fn outcomes() -> [Outcome; 7] {
        [
            Outcome::Accepted(Receipt::default()),
            Outcome::Refused(reason()),
            Outcome::Failed(reason()),
            Outcome::Unknown(reason()),
            Outcome::Excluded(reason()),
            Outcome::Expired(reason()),
            Outcome::Cancelled(reason()),
        ]
    }

    #[test]
    fn who_may_be_asked_again_is_told() {
        for outcome in outcomes() {
            let may = Outcome::REOPENABLE.contains(&outcome.name());
            assert_eq!(Delivery::Decided(outcome).after(DeliveryEvent::Reopened).is_ok(), may);
        }
    }

    #[test]
    fn every_state_meets_every_event() {
        let states =
            [Delivery::Pending, Delivery::InFlight].into_iter().chain(outcomes().map(Delivery::Decided));
        let accepted = || Verdict::Accepted(Receipt::default());
        let events = [
            ("asked", DeliveryEvent::Asked),
            ("answered accepted", DeliveryEvent::Answered(accepted())),
            ("answered refused", DeliveryEvent::Answered(Verdict::Refused(reason()))),
            ("answered unknown", DeliveryEvent::Answered(Verdict::Unknown(reason()))),
            ("unanswered", DeliveryEvent::Unanswered(reason())),
            ("nothing done", DeliveryEvent::NothingDone),
            ("rejected", DeliveryEvent::Rejected(reason())),
            ("held back", DeliveryEvent::HeldBack(reason())),
            ("given up", DeliveryEvent::GivenUp(reason())),
            ("stopped, cancelled", DeliveryEvent::Stopped(Ending::Cancelled, reason())),
            ("stopped, expired", DeliveryEvent::Stopped(Ending::Expired, reason())),
            ("stopped, failed", DeliveryEvent::Stopped(Ending::Failed, reason())),
            ("read accepted", DeliveryEvent::Read(accepted())),
            ("read refused", DeliveryEvent::Read(Verdict::Refused(reason()))),
            ("reopened", DeliveryEvent::Reopened),
            ("exhausted", DeliveryEvent::Exhausted(reason())),
        ];
        let mut table = String::new();
        for state in states {
            for (label, event) in &events {
                if let Ok(after) = state.clone().after(event.clone()) {
                    table += &format!("{:9} + {label:18} = {}\n", state.name(), after.name());
                }
            }
        }
        insta::assert_snapshot!(table);
    }
}
