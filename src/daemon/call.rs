//! One call of a lane: its request leaves, its answer is understood once and recorded with all that follows.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{assignment::Assignment, lane::Lane, replay::Sent, turn::Turn};
use crate::{
    gateway::{Addressees, Call},
    run::{
        RunEvent, RunState, Settlement,
        failures::{Judged, too_many},
        inquiry::Doubt,
        refusals::AfterRefusal,
        reply::Reply,
        retry::chance,
        settlement::{Trying, settle_trying},
    },
    store::{AttemptEnd, Begun, StoreError},
};

/// An intent that is older when its request would leave is taken back: time is checked again then.
const OLDEST_INTENT: SignedDuration = SignedDuration::from_secs(5);

impl Lane {
    /// Makes the request whose intent is committed and records its answer. Tells whether it left.
    pub(super) async fn ask(&self, turn: &Turn, begun: Begun) -> bool {
        let (clock, assignment) = (&self.parts.clock, &turn.assignment);
        let attempt = begun.attempt;
        let age = clock.now().duration_since(begun.at);
        if age > OLDEST_INTENT || age.is_negative() || !assignment.may_send_at(clock.now()) {
            let now = clock.now();
            self.recorded(&assignment.run, move |store| store.batch_withdraw(attempt, now)).await;
            return false;
        }
        let message = match assignment.message_for(begun.values.as_ref(), self.gateway.dialect()) {
            Ok(message) => message,
            Err(what) => {
                self.cannot_say(assignment, attempt, &what).await;
                return false;
            }
        };
        let asked = begun.recipients.clone();
        let (batch, tries, others) = (begun.batch, begun.tries, begun.others);
        let call = Call {
            operation_id: begun.operation_id,
            message,
            to: Addressees::new(begun.addressing, begun.recipients),
            send_time_ms: begun.send_time_ms,
        };
        let Sent { end, reply, aside, told } = self.send(turn, attempt, &call).await;
        let attempt = end.attempt;
        let (doubt, held) = assignment.doubt(self.gateway.as_ref(), begun.addressing);
        let trying = Trying {
            retry: &assignment.campaign.delivery.retry,
            tries,
            counts: !turn.tries,
            at: end.at,
            chance: chance(&assignment.run, batch, attempt),
            after_refusal: self.after_refusal(assignment, &reply, asked.len(), others),
        };
        let settlement = match settle_trying(&asked, reply, doubt, trying) {
            Ok(mut settlement) => {
                if let Some(why) = held {
                    settlement.hold_because(&why);
                }
                // Only users can be asked about: a group would be explained as a user who is not there.
                if !matches!(call.to, Addressees::Users(_)) {
                    settlement.unexplained.clear();
                }
                // Another turn may still explain what was answered, and what was accepted may have to be
                // confirmed: the last one ends the run.
                settlement.may_end_run = settlement.unexplained.is_empty()
                    && !assignment.campaign.delivery.confirm
                    && self.turns().is_alone(&assignment.run);
                if let Some(verdict) = aside {
                    settlement.verdict = verdict;
                }
                Arc::new(settlement)
            }
            Err(error) => {
                // A fault of ours: what was asked stays in flight, and is unknown at the next start.
                tracing::error!(run = %assignment.run, %error, "an answer cannot be recorded");
                return true;
            }
        };
        if !told {
            self.learn(settlement.sign.clone()).await;
        }
        let state = self.settle(assignment, end, Arc::clone(&settlement)).await;
        if doubt == Doubt::Inquire {
            self.inquiries.notify_one();
        }
        if !settlement.unexplained.is_empty() {
            self.explain(assignment, batch, &settlement).await;
        }
        match state {
            Some(state) if state.is_over() => self.finish(assignment).await,
            Some(RunState::Ending { .. }) => self.turns().drain_soon(&assignment.run),
            _ if !settlement.unexplained.is_empty() => self.turns().drain_soon(&assignment.run),
            _ => {}
        }
        true
    }

    /// The message of a batch cannot be made: nothing leaves, and a person must see to it.
    async fn cannot_say(&self, assignment: &Assignment, attempt: i64, what: &str) {
        let (run, now) = (assignment.run.clone(), self.parts.clock.now());
        let reason = format!("message: {what}; mend the settings, then resume");
        self.recorded(&assignment.run, move |store| {
            store.batch_withdraw(attempt, now)?;
            match store.run_event(&run, RunEvent::Pause { reason: reason.clone() }, None, now) {
                Ok(_) | Err(StoreError::Transition(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await;
    }

    /// What becomes of a batch if the answer refuses its request.
    fn after_refusal(
        &self,
        assignment: &Assignment,
        reply: &Reply,
        recipients: usize,
        others: u64,
    ) -> AfterRefusal {
        let mut turns = self.turns();
        match reply {
            Reply::Answered(_) => turns.answered(&assignment.run),
            Reply::Rejected(_) => return turns.refused(&assignment.run, recipients, others),
            Reply::NothingDone(..) | Reply::Unanswered(_) => {}
        }
        AfterRefusal::FailRun
    }

    /// Records an answer with all that follows from it; a run of which too many have failed pauses.
    async fn settle(
        &self,
        assignment: &Assignment,
        end: AttemptEnd,
        settlement: Arc<Settlement>,
    ) -> Option<RunState> {
        let stop_when = assignment.campaign.delivery.stop_when;
        let (name, run) = (self.name.clone(), assignment.run.clone());
        self.recorded(&assignment.run, move |store| {
            // What was seen of the gateway lasts as long as what is in doubt because of it.
            if settlement.is_unhealthy() {
                store.gateway_unhealthy(&name, end.at)?;
            }
            let state = store.batch_settle(&end, &settlement)?;
            let (Some(stop_when), RunState::Running) = (stop_when, &state) else { return Ok(state) };
            let record = store.run(&run)?;
            let Some(reason) = too_many(stop_when, &record.counts, record.judged) else { return Ok(state) };
            store.run_judged(&run, Judged::of(&record.counts))?;
            store.run_event(&run, RunEvent::Pause { reason }, None, end.at)
        })
        .await
    }
}
