//! What a reply means: for each recipient of the batch, for its run, and for the gateway.

use super::{
    delivery::{Delivery, DeliveryEvent, NoSuchDeliveryTransition, Outcome},
    inquiry::Doubt,
    reply::{Cause, Reason, Reply, Verdict},
    state::{Ending, RunEvent},
};
use crate::campaign::RecipientID;

/// The consequences of one answered, or unanswered, call.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The word in `attempt_log.verdict`.
    pub verdict: &'static str,
    /// Who has an outcome now. The recipients that are missing here are pending again.
    pub outcomes: Vec<(RecipientID, Outcome)>,
    /// What happens to the run besides.
    pub run: Option<RunEvent>,
    /// Why the gateway should rest before its next call, if it should.
    pub rest: Option<(Cause, Reason)>,
    /// Those of an answered call of whom the answer tells nothing: the provider is asked to explain.
    pub unexplained: Vec<RecipientID>,
    /// Whether the run is over when this leaves nothing pending or in flight: not while somebody is yet
    /// to be explained.
    pub may_end_run: bool,
    /// What is done about whoever is unknown now.
    pub doubt: Doubt,
}

impl Settlement {
    /// Tells those who are unknown why nobody is asked what became of them.
    pub fn hold_because(&mut self, why: &Reason) {
        for (_, outcome) in &mut self.outcomes {
            if let Outcome::Unknown(reason) = outcome {
                reason.text = format!("{}; held: {}", reason.text, why.text);
            }
        }
    }

    /// Whether the answer shows that the gateway does not work.
    pub fn is_unhealthy(&self) -> bool {
        matches!(self.rest, Some((Cause::Unreachable | Cause::Outage, _)))
    }
}

/// The words of `attempt_log.verdict`.
pub const VERDICTS: [&str; 4] = ["answered", "nothing_done", "rejected", "unanswered"];

/// Draws the consequences of a reply for the recipients that were asked.
pub fn settle(
    asked: &[RecipientID],
    reply: Reply,
    doubt: Doubt,
) -> Result<Settlement, NoSuchDeliveryTransition> {
    let verdict = reply.verdict();
    let (events, run, rest) = match reply {
        Reply::Answered(verdicts) => {
            let events = verdicts.into_iter().map(|(id, verdict)| (id, DeliveryEvent::Answered(verdict)));
            (events.collect(), None, None)
        }
        Reply::NothingDone(cause, reason) => {
            (each(asked, &DeliveryEvent::NothingDone), None, Some((cause, reason)))
        }
        Reply::Rejected(reason) => {
            let stop = RunEvent::Stop {
                ending: Ending::Failed,
                reason: format!("the provider refuses the request: {} {}", reason.code, reason.text),
            };
            (each(asked, &DeliveryEvent::Rejected(reason)), Some(stop), None)
        }
        // Whoever does not answer may be down: the next batch is not used up at once.
        Reply::Unanswered(reason) => {
            let events = each(asked, &DeliveryEvent::Unanswered(reason.clone()));
            (events, None, Some((Cause::Outage, reason)))
        }
    };
    let events: Vec<(RecipientID, DeliveryEvent)> = events;
    let mut outcomes = Vec::with_capacity(events.len());
    let mut unexplained = Vec::new();
    for (recipient, event) in events {
        if matches!(event, DeliveryEvent::Answered(Verdict::Unknown(_))) {
            unexplained.push(recipient.clone());
        }
        if let Delivery::Decided(outcome) = Delivery::InFlight.after(event)? {
            outcomes.push((recipient, outcome));
        }
    }
    let may_end_run = unexplained.is_empty();
    Ok(Settlement { verdict, outcomes, run, rest, unexplained, may_end_run, doubt })
}

/// Whether a run goes on after a call of `asked` recipients of whom `unexplained` stay without a reason.
/// When it is all of several, no one else is used up: that is how an outage looks (OpenIM answers so
/// when its message service is down), or a sender that may not send.
pub fn suspect(asked: usize, unexplained: usize) -> Option<RunEvent> {
    (asked > 1 && unexplained == asked).then(|| RunEvent::Pause {
        reason: format!(
            "everyoneFailed: all {asked} recipients of a call failed without a reason, which is how an outage \
             or a wrong sender looks; resume when that is settled"
        ),
    })
}

fn each(asked: &[RecipientID], event: &DeliveryEvent) -> Vec<(RecipientID, DeliveryEvent)> {
    asked.iter().map(|recipient| (recipient.clone(), event.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::reply::Receipt;

    fn ids() -> Vec<RecipientID> {
        ["a", "b"].map(|id| RecipientID::new(id).unwrap()).to_vec()
    }

    /// The verdict, who has which outcome, what happens to the run, whether the gateway rests, and how
    /// many stay unexplained.
    type Consequences<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, bool, usize);

    /// What a reply for `a` and `b` brings about, in words.
    #[track_caller]
    fn check(reply: Reply, expected: Consequences<'_>) {
        let settlement = settle(&ids(), reply, Doubt::Hold).unwrap();
        let outcomes: Vec<_> =
            settlement.outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.name())).collect();
        assert_eq!(
            (
                settlement.verdict,
                outcomes.as_slice(),
                settlement.run.as_ref().map(RunEvent::name),
                settlement.rest.is_some(),
                settlement.unexplained.len(),
            ),
            expected
        );
        assert!(VERDICTS.contains(&settlement.verdict));
    }

    #[test]
    fn each_reply_has_its_consequences() {
        let reason = || Reason::new("1004", "not found");
        let answered = |a, b| Reply::Answered(ids().into_iter().zip([a, b]).collect());
        let accepted = || Verdict::Accepted(Receipt::default());
        let unknown = || Verdict::Unknown(reason());
        let one_refused = [("a", "accepted"), ("b", "refused")];
        check(answered(accepted(), Verdict::Refused(reason())), ("answered", &one_refused, None, false, 0));
        let one_unknown = [("a", "accepted"), ("b", "unknown")];
        check(answered(accepted(), unknown()), ("answered", &one_unknown, None, false, 1));
        let all_unknown = [("a", "unknown"), ("b", "unknown")];
        check(answered(unknown(), unknown()), ("answered", &all_unknown, None, false, 2));
        check(Reply::NothingDone(Cause::Token, reason()), ("nothing_done", &[], None, true, 0));
        let all_failed = [("a", "failed"), ("b", "failed")];
        check(Reply::Rejected(reason()), ("rejected", &all_failed, Some("be stopped"), false, 0));
        check(Reply::Unanswered(reason()), ("unanswered", &all_unknown, None, true, 0));
    }

    #[test]
    fn only_a_call_of_several_that_failed_whole_is_suspect() {
        let verdicts =
            [(1, 1), (2, 1), (2, 0), (2, 2), (500, 500)].map(|(asked, left)| suspect(asked, left).is_some());
        assert_eq!(verdicts, [false, false, false, true, true]);
    }
}
