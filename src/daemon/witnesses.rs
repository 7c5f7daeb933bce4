//! The witnesses of an inquiry: messages that were sent later, which show how far the provider has come.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    inquirer::{Campaigns, Inquirer},
    record::Record,
};
use crate::{
    gateway::Look,
    run::{
        RunID,
        inquiry::Witnesses,
        look::{Addressing, Evidence, Sighting, Sought},
    },
    store::{Inquiry, Stored, Witness},
};

/// Witnesses that are looked at: more than are needed, because a provider loses messages.
const WITNESSES_A_LOOK: usize = 200;

/// What was seen in one round of the witnesses of its inquiries.
#[derive(Default)]
pub(super) struct Seen {
    /// By when the inquiries' attempts ended, and by the inquiry where its own batch has witnesses.
    pub witnesses: BTreeMap<(Timestamp, i64), Option<Witnesses>>,
    /// The last of the attempts that ended at an instant without an answer, as at a start: what was sent behind it came
    /// later than each of them.
    pub last_attempts: HashMap<Timestamp, i64>,
}

impl Inquirer {
    /// Looks at messages that were sent later than an inquiry's. None when that could not be done.
    pub(super) async fn witnesses(
        &self,
        inquiry: &Inquiry,
        campaigns: &mut Campaigns,
        seen: &mut Seen,
    ) -> Stored<Option<Witnesses>> {
        // Those of one round are the same for all that ended at the same time without an answer.
        let key = (inquiry.ended_at, if inquiry.answered { inquiry.id } else { 0 });
        if let Some(known) = seen.witnesses.get(&key) {
            return Ok(*known);
        }
        let (name, mut wanted, now) = (self.name.clone(), inquiry.clone(), self.parts.clock.now());
        if let (false, Some(last)) = (inquiry.answered, seen.last_attempts.get(&inquiry.ended_at)) {
            wanted.attempt = *last;
        }
        let later = self
            .parts
            .ledger
            .call(move |store| store.inquiry_witnesses(&name, &wanted, WITNESSES_A_LOOK, now))
            .await?;
        let result = if later.is_empty() {
            // Nothing else shows how far the provider has come: from the next look on this does.
            if let (Some(probe), Some(campaign)) =
                (&self.probe, self.campaign(&inquiry.run, campaigns).await?)
                && !matches!(inquiry.addressing, Addressing::Group | Addressing::Unlisted)
            {
                let message = self.message_of(&campaign, inquiry.values.as_ref());
                self.lane.probe(inquiry, &message, probe).await?;
            }
            Some(Witnesses::default())
        } else {
            self.look_at_witnesses(inquiry, later, campaigns).await?
        };
        seen.witnesses.insert(key, result);
        Ok(result)
    }

    async fn look_at_witnesses(
        &self,
        inquiry: &Inquiry,
        later: Vec<Witness>,
        campaigns: &mut Campaigns,
    ) -> Stored<Option<Witnesses>> {
        let mut alike: BTreeMap<(RunID, Addressing), Vec<(usize, Witness)>> = BTreeMap::new();
        let mut seen = vec![None; later.len()];
        for (place, witness) in later.into_iter().enumerate() {
            alike.entry((witness.run.clone(), witness.addressing)).or_default().push((place, witness));
        }
        for ((run, addressing), group) in alike {
            let Some(campaign) = self.campaign(&run, campaigns).await? else { continue };
            if self.gateway.can_be_asked(&campaign.message, addressing).is_err() {
                continue;
            }
            let sought = |(place, witness): (usize, Witness)| {
                let message = self.message_of(&campaign, witness.values.as_ref());
                let sought = Sought {
                    recipient: witness.recipient,
                    message,
                    send_time_ms: witness.send_time_ms,
                    operation_id: witness.operation_id,
                    asked_at: witness.asked_at,
                    asked_last_at: witness.asked_last_at,
                    seen_until: None,
                };
                (place, sought)
            };
            let (places, sought): (Vec<usize>, Vec<Sought>) = group.into_iter().map(sought).unzip();
            // A record of theirs would not show how far the provider has come.
            let counts = Evidence::Stored;
            let look = Look { message: Arc::new(campaign.message.clone()), addressing, counts, sought };
            let record = Record::new(&self.parts.ledger, &self.parts.clock, &inquiry.run, inquiry.batch);
            match self.see(&look, &record).await {
                Ok(sightings) => {
                    for (place, sighting) in places.into_iter().zip(sightings) {
                        if let Some(seen) = seen.get_mut(place) {
                            *seen = Some(matches!(sighting, Sighting::Found(_)));
                        }
                    }
                }
                Err(fault) => {
                    self.unhealthy(&fault).await?;
                    return Ok(None);
                }
            }
        }
        // Those that cannot be looked up are no witnesses.
        Ok(Some(Witnesses::of(seen.into_iter().flatten())))
    }
}
