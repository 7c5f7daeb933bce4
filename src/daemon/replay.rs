//! A call whose answer is lost is made again while the provider answers the same request again.
//!
//! When that is certain is decided by [`crate::run::replay`]. A replay counts against the limits as any call does,
//! and is an attempt of its own in the ledger; its batch stays in flight, so that a daemon which ends meanwhile
//! leaves one batch in doubt, as ever.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use super::{lane::Lane, record::end_of, turn::Turn, turns::replay::May};
use crate::{
    campaign::OnUnknown,
    gateway::Call,
    run::{
        replay::{Instant, Replays, after_replay, lost},
        reply::{Answer, Reason, Reply},
        settlement::{Sign, WITHDRAWN},
    },
    store::AttemptEnd,
};

/// How a call has ended, with all its replays.
pub struct Sent {
    /// Of the last attempt.
    pub end: AttemptEnd,
    /// How long the provider needed for the first: what the ledger needs besides tells nothing of it.
    pub took: SignedDuration,
    /// What is known of the batch.
    pub reply: Reply,
    /// The last attempt's word in `attempt_log.verdict`, where it is not the reply's.
    pub aside: Option<&'static str>,
    /// Whether the lane has heard already what this tells of the gateway.
    pub told: bool,
}

/// A replay that has ended, or has been taken back.
enum Replayed {
    Answered(AttemptEnd, Answer),
    Withdrawn(AttemptEnd),
}

impl Lane {
    /// Makes a call whose intent is committed.
    pub(super) async fn send(&self, turn: &Turn, attempt: i64, call: &Call) -> Sent {
        let left = self.instant();
        let answer = self.gateway.send(call).await;
        let end = end_of(attempt, self.parts.clock.now(), &answer);
        let took = self.parts.clock.steady().duration_since(left.steady);
        // Whoever holds wants nothing sent that a person has not looked at.
        let holds = turn.assignment.campaign.delivery.on_unknown == OnUnknown::Hold;
        match (lost(&answer), self.gateway.replays_within()) {
            (Some(reason), Some(within)) if !holds => {
                let reason = reason.clone();
                self.replay(turn, call, Replays::of(within, left), (end, took, reason)).await
            }
            _ => Sent { end, took, reply: answer.reply, aside: None, told: false },
        }
    }

    /// Makes a call again, of which the first answer was lost for this reason.
    async fn replay(
        &self,
        turn: &Turn,
        call: &Call,
        mut replays: Replays,
        (mut end, took, reason): (AttemptEnd, SignedDuration, Reason),
    ) -> Sent {
        let asked = call.to.recipients().len() as u64;
        loop {
            self.learn(Sign::Outage(reason.clone())).await;
            if !self.promised(turn, &replays, asked).await {
                return Sent { end, took, reply: Reply::Unanswered(reason), aside: None, told: true };
            }
            let replayed = self.replay_once(turn, call, &mut replays, &end).await;
            let clock = &self.parts.clock;
            let left = matches!(replayed, Some(Replayed::Answered(..)));
            self.turns().end_replay(turn, asked, left.then(|| clock.steady()));
            let answer = match replayed {
                Some(Replayed::Answered(replay_end, answer)) => {
                    end = replay_end;
                    answer
                }
                Some(Replayed::Withdrawn(end)) => {
                    let reply = Reply::Unanswered(reason);
                    return Sent { end, took, reply, aside: Some(WITHDRAWN), told: true };
                }
                None => return Sent { end, took, reply: Reply::Unanswered(reason), aside: None, told: true },
            };
            if lost(&answer).is_some() {
                continue;
            }
            let (reply, aside) = after_replay(&reason, answer.reply);
            let told = aside.is_some();
            let verdict = aside.as_ref().map(|aside| aside.verdict);
            if let Some(aside) = aside {
                self.learn(aside.sign).await;
            }
            return Sent { end, took, reply, aside: verdict, told };
        }
    }

    /// Waits until the next replay may leave. Tells whether the limits have promised it.
    async fn promised(&self, turn: &Turn, replays: &Replays, recipients: u64) -> bool {
        let Some(mut at) = replays.next_at(self.instant()) else { return false };
        loop {
            let left = Duration::try_from(at.duration_since(self.parts.clock.steady())).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.stopped() => return false,
            }
            let instant = self.instant();
            if !replays.is_certain(instant) || !turn.assignment.may_send_at(instant.now) {
                return false;
            }
            match self.turns().begin_replay(turn, recipients, instant.steady) {
                May::Leave => return true,
                May::At(later) => at = later,
                May::Never => return false,
            }
        }
    }

    /// Commits a replay and makes it. None when it may not be made.
    async fn replay_once(
        &self,
        turn: &Turn,
        call: &Call,
        replays: &mut Replays,
        before: &AttemptEnd,
    ) -> Option<Replayed> {
        let clock = &self.parts.clock;
        let (assignment, end, at) = (Arc::clone(&turn.assignment), before.clone(), clock.now());
        let name = self.name.clone();
        let begun = self.parts.ledger.call(move |store| {
            let attempt = assignment.begin_replay(store, &end, at)?;
            if attempt.is_some() {
                store.gateway_unhealthy(&name, end.at)?;
            }
            Ok(attempt)
        });
        let attempt = match begun.await {
            Ok(attempt) => attempt?,
            Err(error) => {
                tracing::error!(run = %turn.assignment.run, %error, "nothing is asked again that cannot be recorded");
                return None;
            }
        };
        // Committing may have taken its time.
        if !replays.is_certain(self.instant()) || self.is_stopping() {
            let why = "it was not certain any more that the provider would answer instead of sending again";
            let end = AttemptEnd {
                attempt,
                at: clock.now(),
                http_status: None,
                provider_code: None,
                provider_message: Some(why.to_owned()),
            };
            return Some(Replayed::Withdrawn(end));
        }
        replays.leaves();
        tracing::info!(run = %turn.assignment.run, operation_id = %call.operation_id,
            "its answer was lost, so the same request is made again");
        let answer = self.gateway.send_again(call, replays.certain_for(self.instant())).await;
        let end = end_of(attempt, clock.now(), &answer);
        Some(Replayed::Answered(end, answer))
    }

    fn instant(&self) -> Instant {
        Instant { steady: self.parts.clock.steady(), now: self.parts.clock.now() }
    }
}
