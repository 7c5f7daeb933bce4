//! A run that the daemon works on, with what it needs of its campaign.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    campaign::{
        Audience, Campaign, CampaignID, Caps, Dialect, Message, OnUnknown, RecipientID, source::Values,
    },
    gateway::{Addressing, Gateway},
    run::{Ending, RunEvent, RunID, inquiry::Doubt, reply::Reason, screen::Screen},
    schedule::Window,
    store::{AttemptEnd, Begun, Intent, RunRecord, Store, StoreError, Stored},
};

/// Why a call that names nobody is not made.
pub const SUPPRESSED: &str = "somebody is suppressed, and nobody can be left out of a delivery to `*`; \
     `delivery: {ignoreSuppressions: true}` sends it all the same";

/// A run pinned to the revision it was made from.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub run: RunID,
    pub campaign: Arc<Campaign>,
    pub message: Arc<Message>,
    /// The path of the campaign's file, to which its lists are relative.
    pub path: String,
    /// Of a test send: the named ids instead of the audience.
    pub only_to: Option<Vec<RecipientID>>,
    pub start_by: Timestamp,
    pub finish_by: Timestamp,
}

impl Assignment {
    /// The assignment of a run of the ledger, whose revision reads as `campaign`.
    pub fn new(record: RunRecord, campaign: Arc<Campaign>) -> Assignment {
        Assignment {
            run: record.id,
            message: Arc::new(campaign.message.clone()),
            campaign,
            path: record.path,
            only_to: record.only_to,
            start_by: record.start_by,
            finish_by: record.finish_by,
        }
    }

    /// What the campaign says of the people in its audience. A test send is for whom it names.
    pub fn screen(&self) -> Screen<'_> {
        let campaign = &self.campaign;
        let drawn = |share| if self.only_to.is_some() { None } else { share };
        Screen { campaign: &campaign.id, sample: drawn(campaign.sample), holdout: drawn(campaign.holdout) }
    }

    /// How often one person may be written to. Test sends neither count nor are held back.
    pub fn caps(&self) -> Caps {
        if self.only_to.is_some() { Caps::default() } else { self.campaign.caps.clone() }
    }

    /// The message of whoever has these values; or why there is none.
    pub fn message_for(
        &self,
        values: Option<&Values>,
        dialect: &dyn Dialect,
    ) -> Result<Arc<Message>, String> {
        match (&self.campaign.template, values) {
            (None, None) => Ok(Arc::clone(&self.message)),
            (Some(_), Some(values)) => self.campaign.message_for(values, dialect).map(Arc::new),
            _ => Err("its audience was opened for another message".to_owned()),
        }
    }

    pub fn campaign_id(&self) -> &CampaignID {
        &self.campaign.id
    }

    fn is_for_groups(&self) -> bool {
        matches!(self.campaign.audience, Audience::Groups(_))
    }

    /// What is done about whoever is in doubt, and why it is not what the campaign wants.
    pub fn doubt(&self, gateway: &dyn Gateway, addressing: Addressing) -> (Doubt, Option<Reason>) {
        let delivery = &self.campaign.delivery;
        match delivery.on_unknown {
            OnUnknown::Hold => (Doubt::Hold, None),
            OnUnknown::Resend => (Doubt::SendAgain { most_attempts: delivery.most_attempts() }, None),
            OnUnknown::Reconcile => match gateway.can_be_asked(&self.message, addressing) {
                Ok(()) => (Doubt::Inquire, None),
                Err(why) => (Doubt::Hold, Some(why)),
            },
        }
    }

    /// How its recipients are addressed, unless one is to be asked alone.
    pub fn addressing(&self) -> Addressing {
        match self.campaign.audience {
            Audience::Groups(_) => Addressing::Group,
            Audience::Unlisted if self.only_to.is_none() => Addressing::Unlisted,
            _ => Addressing::Users,
        }
    }

    /// Whether it is one call to whom the provider alone knows. A test send names its recipients.
    pub fn is_unlisted(&self) -> bool {
        self.addressing() == Addressing::Unlisted
    }

    /// Commits the intent of the run's next batch. A call that names nobody is not begun when somebody
    /// has been suppressed meanwhile, unless the campaign says so: then the run fails.
    pub fn begin(&self, store: &mut dyn Store, intent: &Intent) -> Stored<Option<Begun>> {
        if self.reaches_suppressed(store, intent.at)? {
            let reason = SUPPRESSED.to_owned();
            let stop = RunEvent::Stop { ending: Ending::Failed, reason };
            return match store.run_event(&intent.run, stop, None, intent.at) {
                // It is over already, or ending anyway.
                Ok(_) | Err(StoreError::Transition(_)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        store.batch_begin(intent)
    }

    /// Ends an attempt whose answer was lost, and commits that its request is made again: gives the new attempt.
    /// None, and nothing has changed, when nothing may be asked now.
    pub fn begin_replay(
        &self,
        store: &mut dyn Store,
        end: &AttemptEnd,
        at: Timestamp,
    ) -> Stored<Option<i64>> {
        if self.reaches_suppressed(store, at)? { Ok(None) } else { store.batch_replay(end, at) }
    }

    /// Whether its call names nobody, and so reaches somebody who is suppressed now.
    fn reaches_suppressed(&self, store: &mut dyn Store, at: Timestamp) -> Stored<bool> {
        let reaches_anybody = self.is_unlisted() && !self.campaign.delivery.ignore_suppressions;
        Ok(reaches_anybody && store.any_suppressed(at)?)
    }

    /// Recipients a call: a group is written to by itself.
    pub fn batch_size(&self) -> u32 {
        if self.is_for_groups() { 1 } else { self.campaign.delivery.batch_size }
    }

    /// Whether its window allows sending at an instant; a test send goes out at any time.
    pub fn may_send_at(&self, at: Timestamp) -> bool {
        self.window().is_none_or(|window| window.is_open(&self.campaign.calendar.zone, at))
    }

    /// The window that it keeps to.
    pub fn window(&self) -> Option<&Window> {
        self.campaign.window.as_ref().filter(|_| self.only_to.is_none())
    }
}
