//! A run that the daemon works on, with what it needs of its campaign.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    campaign::{Audience, Campaign, CampaignID, Message, OnUnknown, RecipientID},
    gateway::{Addressing, Gateway},
    run::{RunID, inquiry::Doubt, reply::Reason},
    schedule::Window,
    store::RunRecord,
};

/// A run pinned to the revision it was made from.
#[derive(Debug)]
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
        if self.is_for_groups() { Addressing::Group } else { Addressing::Users }
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
