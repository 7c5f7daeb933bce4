//! What people have asked or changed through the ledger.

use jiff::{SignedDuration, Timestamp};

use super::{conductor::Conductor, deciding::new_run};
use crate::{
    campaign::{Audience, CampaignID, Gateways, RecipientID},
    plan::{Decision, Fate},
    run::Trigger,
    schedule::Slot,
    store::{NewRun, Question, Reply, StoreError, Stored},
};

/// A run of the same revision within this time wants `--again`.
const AGAIN_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// A question that is older has nobody who waits for its answer.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);

impl Conductor {
    /// Looks at the ledger for what people have asked or changed. An error: it is another daemon's now.
    pub async fn look(&mut self) -> Stored<()> {
        match self.look_at_ledger().await {
            Err(error @ StoreError::TakenOver) => Err(error),
            Err(error) => {
                tracing::error!(%error, "the ledger cannot be read");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn look_at_ledger(&mut self) -> Stored<()> {
        // Several times a second: while nobody writes at all, the writer is left alone.
        let noticed = self.parts.ledger.mark();
        if noticed.is_some() && noticed == self.noticed {
            return Ok(());
        }
        let mark = self.parts.ledger.call(|store| store.change_mark()).await?;
        if self.seen == Some(mark) {
            self.noticed = noticed;
            return Ok(());
        }
        self.disperse_crowd().await?;
        // First what people have changed: a send is not to miss a pause that came before it.
        let paused_before = self.catalogue.paused();
        self.refresh().await?;
        for (campaign, reason) in self.catalogue.paused() {
            match (paused_before.get(&campaign).and_then(Option::as_ref), &reason) {
                (before, Some(reason)) if before != Some(reason) => {
                    tracing::info!(%campaign, "paused: {reason}");
                }
                (Some(_), None) => tracing::info!(%campaign, "resumed"),
                _ => {}
            }
        }
        if self.catalogue.iter().any(|(_, entry)| entry.record.removal_allowed) {
            self.scanning.look_at(self.parts.clock.now());
        }
        let questions = self.parts.ledger.call(|store| store.questions_open()).await?;
        for (number, asked_at, question) in questions {
            self.answer(number, asked_at, question).await?;
        }
        for record in self.parts.ledger.call(|store| store.runs_reopened()).await? {
            tracing::info!(run = %record.id, "reopened: {} recipients are to be asked", record.counts.pending);
            // One that went on has more time; what is over meanwhile has asked them already.
            let goes_on = self.lanes.get(&record.gateway).is_some_and(|lane| lane.extend(&record));
            if !goes_on && !record.state.is_over() {
                self.take_up(record);
            }
        }
        for lane in self.lanes.values() {
            lane.look_again();
            lane.inquiries().notify_one();
        }
        (self.seen, self.noticed) = (Some(mark), noticed);
        Ok(())
    }

    /// Does what a command asks, and says so.
    async fn answer(&mut self, number: i64, asked_at: Timestamp, question: Question) -> Stored<()> {
        let Question::Send { campaign: name, to, again } = question;
        let id: Option<CampaignID> = name.parse().ok();
        let entry = id.as_ref().and_then(|id| Some((id, self.catalogue.get(id)?)));
        let refuse = |why: String| async {
            self.parts.ledger.call(move |store| store.question_answer(number, &Reply::Refused(why))).await
        };
        if self.parts.clock.now().duration_since(asked_at).abs() > LONGEST_WAIT {
            return refuse("it was asked too long ago: ask again".to_owned()).await;
        }
        let Some((id, entry)) = entry.filter(|(_, entry)| !entry.record.removed) else {
            return refuse(format!("there is no campaign {name:?} in force")).await;
        };
        let Some(campaign) = entry.campaign.clone() else {
            return refuse(format!("the revision of {id} in force does not fit the settings any more")).await;
        };
        if let Some(reason) = &entry.record.paused {
            return refuse(format!("{id} is paused ({reason}): resume it first")).await;
        }
        if !to.is_empty()
            && campaign.audience == Audience::Unlisted
            && let Some(dialect) = self.parts.gateways.dialect(&campaign.gateway)
            && let Err(reason) = dialect.check_test(&campaign.message)
        {
            return refuse(reason).await;
        }
        let mut only_to = Vec::with_capacity(to.len());
        for text in to {
            let dialect = self.parts.gateways.dialect(&campaign.gateway);
            let checked = match dialect {
                Some(dialect) => dialect.recipient(&text),
                None => RecipientID::new(text.as_str()).map_err(|error| error.to_string()),
            };
            match checked {
                Ok(recipient) => only_to.push(recipient),
                Err(error) => return refuse(format!("{text:?}: {error}")).await,
            }
        }
        let trigger = if only_to.is_empty() { Trigger::Manual } else { Trigger::Test };
        let (id, now) = (id.clone(), self.parts.clock.now());
        let slot = Slot { at: now, due: now, excepted: false };
        // Outside of the window it waits, which is not lateness.
        let window = campaign.window.as_ref().filter(|_| trigger == Trigger::Manual);
        let opens_at = window.and_then(|window| window.opens_from(&campaign.calendar.zone, now));
        let start_from = opens_at.unwrap_or(now);
        let new = NewRun {
            trigger,
            only_to: (trigger == Trigger::Test).then_some(only_to),
            ..new_run(&campaign, &Decision { start_from, ..Decision::of(slot, Fate::Run) })
        };
        let record = self
            .parts
            .ledger
            .call(move |store| {
                if trigger == Trigger::Manual && !again && store.ran_since(&id, now - AGAIN_WITHIN)? {
                    let why = format!("this revision of {id} ran within 24 h; --again sends it again");
                    store.question_answer(number, &Reply::Refused(why))?;
                    return Ok(None);
                }
                let run = store.run_make(&id, &new)?;
                store.question_answer(number, &Reply::Run(run.to_string()))?;
                store.run(&run).map(Some)
            })
            .await?;
        if let Some(record) = record {
            self.take_up(record);
        }
        Ok(())
    }
}
