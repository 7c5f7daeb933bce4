//! What a reply means: for each recipient of the batch, for its run, and for the gateway.

use jiff::{SignedDuration, Timestamp};

use super::{
    delivery::{Delivery, DeliveryEvent, NoSuchDeliveryTransition, Outcome},
    inquiry::Doubt,
    refusals::AfterRefusal,
    reply::{Cause, Reason, Reply, Verdict},
    retry::{Wait, backoff, wait_after},
    state::{Ending, RunEvent},
};
use crate::campaign::{RecipientID, Retry};

/// The consequences of one answered, or unanswered, call.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The word in `attempt_log.verdict`.
    pub verdict: &'static str,
    /// Who has an outcome now. The recipients that are missing here are pending again.
    pub outcomes: Vec<(RecipientID, Outcome)>,
    /// What becomes of the batch when nobody of it has an outcome.
    pub again: Again,
    /// What happens to the run besides.
    pub run: Option<RunEvent>,
    /// What the call tells of the gateway.
    pub sign: Sign,
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

    /// Whether the answer shows that the gateway does not work. Silence about those whom the provider can
    /// be asked to explain shows it only when they stay unexplained.
    pub fn is_unhealthy(&self) -> bool {
        match self.sign {
            Sign::Outage(_) => true,
            Sign::Silent { .. } => self.unexplained.is_empty(),
            Sign::Works | Sign::Throttled { .. } | Sign::TokenRefused(_) => false,
        }
    }
}

/// How a batch of which nothing was done waits for its next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// As it was, once the wait is over. It has used up so many tries.
    Later { tries: u32, wait: Option<Wait> },
    /// In two halves, at its place.
    Halves,
    /// Whole, behind everyone else.
    Last,
}

/// What a call tells of its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The provider does its work.
    Works,
    /// It wants quiet, for so long where it says.
    Throttled { retry_after: Option<SignedDuration>, why: Reason },
    /// It refused the token.
    TokenRefused(Reason),
    /// It cannot be reached, or does not do its work.
    Outage(Reason),
    /// It answered, and accepted nobody, and gave no reason for any of so many.
    Silent { recipients: u64, why: Reason },
}

/// The words of `attempt_log.verdict`.
pub const VERDICTS: [&str; 4] = ["answered", "nothing_done", "rejected", UNANSWERED];
/// Of a request without an answer that settles it.
pub const UNANSWERED: &str = "unanswered";
/// Of a request that was taken back before it left.
pub const WITHDRAWN: &str = "withdrawn";

/// The code of a call that failed for everyone without a reason.
pub const EVERYONE_FAILED: &str = "everyoneFailed";

/// What is known of a batch beside its reply.
#[derive(Debug, Clone, Copy)]
pub struct Trying<'a> {
    pub retry: &'a Retry,
    /// Tries that it had used up before this call.
    pub tries: u32,
    /// Whether this call uses up one: not while the gateway's breaker finds out whether its provider works.
    pub counts: bool,
    /// When the reply came.
    pub at: Timestamp,
    /// Any number; where in its bounds the wait falls.
    pub chance: u64,
    /// What becomes of the batch if its request was refused.
    pub after_refusal: AfterRefusal,
}

/// Draws the consequences of a reply by itself: what was not done is pending again at once, and a request
/// that is refused ends its run.
pub fn settle(
    asked: &[RecipientID],
    reply: Reply,
    doubt: Doubt,
) -> Result<Settlement, NoSuchDeliveryTransition> {
    let unlimited = Retry { attempts: u32::MAX, ..Retry::default() };
    let trying = Trying {
        retry: &unlimited,
        tries: 0,
        counts: true,
        at: Timestamp::UNIX_EPOCH,
        chance: 0,
        after_refusal: AfterRefusal::FailRun,
    };
    let settlement = settle_trying(asked, reply, doubt, trying)?;
    Ok(Settlement { again: Again::Later { tries: 0, wait: None }, ..settlement })
}

/// Draws the consequences of a reply for the recipients that were asked, within what may still be tried.
pub fn settle_trying(
    asked: &[RecipientID],
    reply: Reply,
    doubt: Doubt,
    trying: Trying<'_>,
) -> Result<Settlement, NoSuchDeliveryTransition> {
    let mut again = Again::Later { tries: trying.tries, wait: None };
    let mut run = None;
    let verdict = reply.verdict();
    let (sign, events): (_, Vec<(RecipientID, DeliveryEvent)>) = match reply {
        Reply::Answered(verdicts) => {
            let sign = sign_of(&verdicts);
            let events = verdicts.into_iter().map(|(id, verdict)| (id, DeliveryEvent::Answered(verdict)));
            (sign, events.collect())
        }
        Reply::NothingDone(cause, reason) => {
            let event = match next_try(cause, trying) {
                Some(next) => {
                    again = next;
                    DeliveryEvent::NothingDone
                }
                None => {
                    let tries = trying.tries.saturating_add(1);
                    let text = format!("{} (tried {tries} times)", reason.text);
                    DeliveryEvent::GivenUp(Reason::new(reason.code.clone(), text))
                }
            };
            (sign_of_cause(cause, reason), each(asked, &event))
        }
        Reply::Rejected(reason) => {
            let event = match trying.after_refusal {
                AfterRefusal::FailRun => {
                    let text = format!("the provider refuses the request: {} {}", reason.code, reason.text);
                    run = Some(RunEvent::Stop { ending: Ending::Failed, reason: text });
                    DeliveryEvent::Rejected(reason)
                }
                AfterRefusal::RefuseRecipient => DeliveryEvent::Answered(Verdict::Refused(reason)),
                AfterRefusal::Halve => {
                    again = Again::Halves;
                    DeliveryEvent::NothingDone
                }
                AfterRefusal::Defer => {
                    again = Again::Last;
                    DeliveryEvent::NothingDone
                }
            };
            (Sign::Works, each(asked, &event))
        }
        // Whoever does not answer may be down: the next batch is not used up at once.
        Reply::Unanswered(reason) => {
            let events = each(asked, &DeliveryEvent::Unanswered(reason.clone()));
            (Sign::Outage(reason), events)
        }
    };
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
    Ok(Settlement { verdict, outcomes, again, run, sign, unexplained, may_end_run, doubt })
}

/// How the batch is tried again after a call that did nothing; None when its tries are used up. What only
/// concerns the gateway, a throttle or a stale token, uses up none.
fn next_try(cause: Cause, trying: Trying<'_>) -> Option<Again> {
    let Trying { retry, tries, at, chance, .. } = trying;
    match cause {
        Cause::Throttled { .. } | Cause::Token => Some(Again::Later { tries, wait: None }),
        // It waits all the same, so that another batch tries next: this one may be the trouble itself.
        Cause::Unreachable | Cause::Outage if !trying.counts => {
            Some(Again::Later { tries, wait: Some(backoff(retry, tries, at, chance)) })
        }
        Cause::Unreachable | Cause::Outage => {
            let tries = tries.saturating_add(1);
            wait_after(retry, tries, at, chance).map(|wait| Again::Later { tries, wait: Some(wait) })
        }
    }
}

fn sign_of_cause(cause: Cause, why: Reason) -> Sign {
    match cause {
        Cause::Throttled { retry_after } => Sign::Throttled { retry_after, why },
        Cause::Token => Sign::TokenRefused(why),
        Cause::Unreachable | Cause::Outage => Sign::Outage(why),
    }
}

/// What the answer tells of the gateway that stood in a call's way before it could leave.
pub fn sign_before(reply: Reply) -> Sign {
    match reply {
        Reply::NothingDone(cause, why) => sign_of_cause(cause, why),
        Reply::Rejected(why) | Reply::Unanswered(why) => Sign::Outage(why),
        Reply::Answered(_) => Sign::Works,
    }
}

/// What verdicts tell of the gateway. When nobody of a call was accepted or given a reason, that is how an
/// outage looks (OpenIM answers so when its message service is down), or a sender that may not send.
fn sign_of(verdicts: &[(RecipientID, Verdict)]) -> Sign {
    let recipients = verdicts.len() as u64;
    let silent = verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Unknown(_)));
    if !silent || recipients == 0 {
        return Sign::Works;
    }
    let text = format!(
        "all {recipients} recipients of a call failed without a reason, which is how an outage looks"
    );
    Sign::Silent { recipients, why: Reason::new(EVERYONE_FAILED, text) }
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

    fn reason() -> Reason {
        Reason::new("1004", "not found")
    }

    fn answered(a: Verdict, b: Verdict) -> Reply {
        Reply::Answered(ids().into_iter().zip([a, b]).collect())
    }

    /// The verdict, who has which outcome, what happens to the run, what the gateway shows, and how many
    /// stay unexplained.
    type Consequences<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str, usize);

    /// What a reply for `a` and `b` brings about, in words.
    #[track_caller]
    fn check(reply: Reply, expected: Consequences<'_>) {
        let settlement = settle(&ids(), reply, Doubt::Hold).unwrap();
        let outcomes: Vec<_> =
            settlement.outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.name())).collect();
        let sign = match settlement.sign {
            Sign::Works => "works",
            Sign::Throttled { .. } => "throttled",
            Sign::TokenRefused(_) => "token",
            Sign::Outage(_) => "outage",
            Sign::Silent { .. } => "silent",
        };
        assert_eq!(
            (
                settlement.verdict,
                outcomes.as_slice(),
                settlement.run.as_ref().map(RunEvent::name),
                sign,
                settlement.unexplained.len(),
            ),
            expected
        );
        assert!(VERDICTS.contains(&settlement.verdict));
    }

    #[test]
    fn each_reply_has_its_consequences() {
        let accepted = || Verdict::Accepted(Receipt::default());
        let unknown = || Verdict::Unknown(reason());
        let refused = || Verdict::Refused(reason());
        let one_refused = [("a", "accepted"), ("b", "refused")];
        check(answered(accepted(), refused()), ("answered", &one_refused, None, "works", 0));
        let one_unknown = [("a", "accepted"), ("b", "unknown")];
        check(answered(accepted(), unknown()), ("answered", &one_unknown, None, "works", 1));
        let nobody = [("a", "refused"), ("b", "unknown")];
        check(answered(refused(), unknown()), ("answered", &nobody, None, "works", 1));
        let all_unknown = [("a", "unknown"), ("b", "unknown")];
        check(answered(unknown(), unknown()), ("answered", &all_unknown, None, "silent", 2));
        check(Reply::NothingDone(Cause::Token, reason()), ("nothing_done", &[], None, "token", 0));
        check(Reply::NothingDone(Cause::Unreachable, reason()), ("nothing_done", &[], None, "outage", 0));
        let throttled = Cause::Throttled { retry_after: None };
        check(Reply::NothingDone(throttled, reason()), ("nothing_done", &[], None, "throttled", 0));
        let all_failed = [("a", "failed"), ("b", "failed")];
        check(Reply::Rejected(reason()), ("rejected", &all_failed, Some("be stopped"), "works", 0));
        check(Reply::Unanswered(reason()), ("unanswered", &all_unknown, None, "outage", 0));
    }

    /// What becomes of `a` and `b`: their outcome, or the tries used up and whether they wait.
    #[track_caller]
    fn check_again(cause: Cause, tries: u32, counts: bool, expected: (Option<&str>, u32, bool)) {
        let retry = Retry::default();
        let trying = Trying {
            retry: &retry,
            tries,
            counts,
            at: Timestamp::UNIX_EPOCH,
            chance: 7,
            after_refusal: AfterRefusal::FailRun,
        };
        let settlement =
            settle_trying(&ids(), Reply::NothingDone(cause, reason()), Doubt::Hold, trying).unwrap();
        let outcome = settlement.outcomes.first().map(|(_, outcome)| outcome.name());
        let Again::Later { tries, wait } = settlement.again else { panic!("{:?}", settlement.again) };
        assert_eq!((outcome, tries, wait.is_some()), expected);
    }

    #[test]
    fn only_what_did_nothing_for_its_own_sake_uses_up_tries() {
        check_again(Cause::Outage, 0, true, (None, 1, true));
        check_again(Cause::Unreachable, 3, true, (None, 4, true));
        check_again(Cause::Outage, 4, true, (Some("failed"), 4, false));
        check_again(Cause::Outage, 4, false, (None, 4, true));
        check_again(Cause::Token, 4, true, (None, 4, false));
        check_again(Cause::Throttled { retry_after: None }, 4, true, (None, 4, false));
    }

    #[test]
    fn a_refused_request_is_cut_put_off_or_its_one_recipients_outcome() {
        let retry = Retry::default();
        let after = |after_refusal| {
            let trying = Trying {
                retry: &retry,
                tries: 2,
                counts: true,
                at: Timestamp::UNIX_EPOCH,
                chance: 0,
                after_refusal,
            };
            let settlement =
                settle_trying(&ids()[..1], Reply::Rejected(reason()), Doubt::Hold, trying).unwrap();
            let outcomes: Vec<_> = settlement.outcomes.iter().map(|(_, outcome)| outcome.name()).collect();
            (settlement.again, outcomes, settlement.run.is_some())
        };
        let as_before = Again::Later { tries: 2, wait: None };
        assert_eq!(after(AfterRefusal::Halve), (Again::Halves, vec![], false));
        assert_eq!(after(AfterRefusal::Defer), (Again::Last, vec![], false));
        assert_eq!(after(AfterRefusal::RefuseRecipient), (as_before, vec!["refused"], false));
        assert_eq!(after(AfterRefusal::FailRun), (as_before, vec!["failed"], true));
    }
}
