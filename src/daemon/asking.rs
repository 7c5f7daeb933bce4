//! What a lane asks besides its turns: why recipients failed, and how far the provider has come.

use std::sync::Arc;

use super::{
    assignment::Assignment,
    lane::Lane,
    record::{Record, end_of},
    turns::Probe,
};
use crate::{
    campaign::{Message, RecipientID},
    gateway::{Addressees, Call},
    run::{
        Outcome, RunEvent, Settlement,
        reply::{Reply, Verdict},
        settlement::{EVERYONE_FAILED, Sign, sign_before},
    },
    store::{Inquiry, StoreError, Stored},
};

impl Lane {
    /// Sends a message, within the limits, to an account of ours that is there to show how far the
    /// provider has come. It is none of the run's recipients.
    pub async fn probe(&self, inquiry: &Inquiry, message: &Arc<Message>, probe: &RecipientID) -> Stored<()> {
        let clock = &self.parts.clock;
        let mut may = self.turns().begin_probe(clock.steady());
        if may == Probe::Ask {
            self.ask_provider().await;
            may = self.turns().begin_probe(clock.steady());
        }
        if may != Probe::Send {
            return Ok(());
        }
        let probed = self.ask_probe(inquiry, message, probe).await;
        let left = *probed.as_ref().unwrap_or(&false);
        self.turns().end_probe(left.then(|| clock.steady()));
        self.changed.notify_waiters();
        probed.map(|_| ())
    }

    /// Tells whether a request left.
    async fn ask_probe(
        &self,
        inquiry: &Inquiry,
        message: &Arc<Message>,
        probe: &RecipientID,
    ) -> Stored<bool> {
        if !self.is_ready().await {
            return Ok(false);
        }
        self.note_clock().await?;
        let sender = self.gateway.stamps_send_time(message);
        let now = self.parts.clock.now();
        let provider_now = self.gateway.provider_time(now);
        let (run, batch, recipient) = (inquiry.run.clone(), inquiry.batch, probe.clone());
        let begun = self
            .parts
            .ledger
            .call(move |store| {
                let stamp = sender.as_deref().map(|sender| (sender, provider_now));
                store.probe_begin(&run, batch, &recipient, stamp, now)
            })
            .await?;
        let call = Call {
            operation_id: begun.operation_id,
            message: Arc::clone(message),
            to: Addressees::Users(begun.recipients),
            send_time_ms: begun.send_time_ms,
            written_to: Default::default(),
        };
        let answer = self.gateway.send(&call).await;
        let accepted = matches!(&answer.reply, Reply::Answered(verdicts)
            if verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Accepted(_))));
        let verdict = answer.reply.verdict();
        let end = end_of(begun.attempt, self.parts.clock.now(), &answer);
        // An account that is failed may be wrong: that tells nothing of the provider.
        let sign = match (answer.reply, accepted) {
            (Reply::Answered(_), false) => None,
            (reply, _) => Some(sign_before(reply)),
        };
        let unhealthy = matches!(sign, Some(Sign::Outage(_)));
        let name = self.name.clone();
        self.recorded(&inquiry.run, move |store| {
            if unhealthy {
                store.gateway_unhealthy(&name, end.at)?;
            }
            store.probe_end(&end, accepted, verdict)
        })
        .await;
        if let Some(sign) = sign {
            self.learn(sign).await;
        }
        Ok(true)
    }

    /// Reads why recipients failed for whom the answer gave no reason. What looked like an outage is none
    /// when everyone is explained, or when the sender may not send: then its run alone pauses.
    pub(super) async fn explain(&self, assignment: &Assignment, batch: u64, settlement: &Settlement) {
        let record = Record::new(&self.parts.ledger, &self.parts.clock, &assignment.run, batch);
        let found = self.gateway.explain(&assignment.message, &settlement.unexplained, &record).await;
        // A fault has been recorded, and explains nobody.
        let explained = found.unwrap_or_default();
        let everyone = explained.len() >= settlement.unexplained.len();
        let bad_sender = if matches!(settlement.sign, Sign::Silent { .. }) && !everyone {
            self.gateway.check_sender(&assignment.message, &record).await.ok().flatten()
        } else {
            None
        };
        let pause = bad_sender.clone().map(|why| RunEvent::Pause {
            reason: format!("sender: {} ({}); resume when that is mended", why.text, why.code),
        });
        let outcomes: Vec<_> =
            explained.into_iter().map(|(id, reason)| (id, Outcome::Refused(reason))).collect();
        let (run, now, look) = (assignment.run.clone(), self.parts.clock.now(), record.latest());
        // Else people who are not registered, asked again and again, would keep all others in doubt.
        let unhealthy = matches!(settlement.sign, Sign::Silent { .. }) && !everyone && bad_sender.is_none();
        let name = self.name.clone();
        self.recorded(&assignment.run, move |store| {
            if unhealthy {
                store.gateway_unhealthy(&name, now)?;
            }
            store.look_read(&run, look, &outcomes, now)?;
            match pause.clone().map(|event| store.run_event(&run, event, None, now)) {
                None | Some(Ok(_) | Err(StoreError::Transition(_))) => Ok(()),
                Some(Err(error)) => Err(error),
            }
        })
        .await;
        if everyone || bad_sender.is_some() {
            self.explained(EVERYONE_FAILED).await;
        }
    }
}
