//! One call of a lane: its request leaves, its answer is understood once and recorded with all that follows.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{
    assignment::Assignment,
    lane::{BegunTurn, Lane, find},
    replay::Sent,
    turn::{Done, Turn},
};
use crate::{
    gateway::{Addressees, Call},
    run::{
        RunEvent, RunState, Settlement,
        failures::{Judged, too_many},
        inquiry::Doubt,
        refusals::AfterRefusal,
        reply::Reply,
        retry::chance,
        settlement::{Sign, Trying, settle_trying},
    },
    store::{AttemptEnd, Begun, Store, StoreError, Stored},
};

/// An intent that is older when its request would leave is taken back: time is checked again then.
const OLDEST_INTENT: SignedDuration = SignedDuration::from_secs(5);

impl Lane {
    /// Makes the request whose intent is committed and records its answer. The intent of the next turn, where
    /// nothing stands in its way, is committed with that: it is given back.
    pub(super) async fn ask(&self, turn: &mut Turn, begun: Begun) -> (Done, Option<BegunTurn>) {
        let (clock, assignment) = (&self.parts.clock, Arc::clone(&turn.assignment));
        let attempt = begun.attempt;
        let is_ready = self.is_ready().await;
        let age = clock.now().duration_since(begun.at);
        if !is_ready || age > OLDEST_INTENT || age.is_negative() || !assignment.may_send_at(clock.now()) {
            let now = clock.now();
            self.recorded(&assignment.run, move |store| store.batch_withdraw(attempt, now)).await;
            return (Done::Withdrawn, None);
        }
        let message = match assignment.message_for(begun.values.as_ref(), self.gateway.dialect()) {
            Ok(message) => message,
            Err(what) => {
                self.cannot_say(&assignment, attempt, &what).await;
                return (Done::Withdrawn, None);
            }
        };
        let asked = begun.recipients.clone();
        let (batch, tries, others) = (begun.batch, begun.tries, begun.others);
        let call = Call {
            operation_id: begun.operation_id,
            message,
            to: Addressees::new(begun.addressing, begun.recipients),
            send_time_ms: begun.send_time_ms,
            written_to: Default::default(),
        };
        let Sent { end, took, reply, aside, told } = self.send(turn, attempt, &call).await;
        let attempt = end.attempt;
        let done = Done::Sent { at: clock.steady(), recipients: asked.len() as u64, took };
        let (doubt, held) = assignment.doubt(self.gateway.as_ref(), begun.addressing);
        let trying = Trying {
            retry: &assignment.campaign.delivery.retry,
            tries,
            counts: !turn.tries,
            at: end.at,
            chance: chance(&assignment.run, batch, attempt),
            after_refusal: self.after_refusal(&assignment, &reply, asked.len(), others),
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
                return (done, None);
            }
        };
        if !told {
            self.learn(settlement.sign.clone()).await;
        }
        let next = match settlement.unexplained.is_empty() && settlement.sign == Sign::Works {
            true => self.turns().follow(turn, done, clock.now(), clock.steady()),
            false => None,
        };
        let (state, next) = self.settle_and_begin(&assignment, end, &settlement, next).await;
        if doubt == Doubt::Inquire {
            self.inquiries.notify_one();
        }
        if !settlement.unexplained.is_empty() {
            self.explain(&assignment, batch, &settlement).await;
        }
        match state {
            Some(state) if state.is_over() => self.finish(&assignment).await,
            Some(RunState::Ending { .. }) => self.turns().drain_soon(&assignment.run),
            _ if !settlement.unexplained.is_empty() => self.turns().drain_soon(&assignment.run),
            _ => {}
        }
        (done, next)
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

    /// Records an answer and, in the same commit, what the next turn asks.
    async fn settle_and_begin(
        &self,
        assignment: &Assignment,
        end: AttemptEnd,
        settlement: &Arc<Settlement>,
        next: Option<Turn>,
    ) -> (Option<RunState>, Option<BegunTurn>) {
        let settles = Arc::new(self.settles(assignment, end, settlement));
        if let Some(turn) = &next {
            let (settles, intent) = (Arc::clone(&settles), self.intent(turn));
            let following = Arc::clone(&turn.assignment);
            let both = self.parts.ledger.call(move |store| {
                let state = settles(store)?;
                Ok((state, find(store, &following, &intent)?))
            });
            if let Ok((state, found)) = both.await {
                return (Some(state), next.map(|next| (next, found)));
            }
        }
        // Nothing of both has happened. The answer must be recorded; the turn comes again, and keeps its place until
        // then.
        let state = self.recorded(&assignment.run, move |store| settles(store)).await;
        if let Some(mut next) = next {
            self.turns().end(&mut next, Done::Nothing);
        }
        (state, None)
    }

    /// The change that records an answer with all that follows from it; a run of which too many have failed
    /// pauses.
    fn settles(
        &self,
        assignment: &Assignment,
        end: AttemptEnd,
        settlement: &Arc<Settlement>,
    ) -> impl Fn(&mut dyn Store) -> Stored<RunState> + Send + Sync + 'static {
        let (stop_when, settlement) = (assignment.campaign.delivery.stop_when, Arc::clone(settlement));
        let (name, run) = (self.name.clone(), assignment.run.clone());
        move |store| {
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
        }
    }
}
