//! The inquirer of a gateway: looks up what became of messages of which no answer tells.
//!
//! It only reads from the provider, beside the lane, and outside its limits. What it does follows from
//! the inquiries in the ledger, which are opened with the answers that leave somebody in doubt; what a
//! look proves is decided by [`crate::run::inquiry`]. The messages that were sent later are looked at
//! before those that are sought.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::{
    LEDGER_RETRY, Parts,
    lane::Lane,
    reading::read_revision,
    record::{NOT_RECORDED, Record},
    steps::ClockSteps,
    witnesses::Seen,
};
use crate::{
    campaign::{Campaign, Message, RecipientID, source::Values},
    gateway::{Gateway, Look, ReadFault, THROTTLED},
    run::{
        RunID,
        inquiry::{Circumstances, Findings, Purpose},
        look::{Evidence, Sighting, Sought},
        reply::Reason,
    },
    store::{Inquiry, Stored},
};

/// Recipients a look: what a provider is asked about in one request.
const RECIPIENTS_A_LOOK: usize = 500;
/// The longest time between two looks at the ledger for inquiries that are due.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Places in conversations that are remembered between looks; beyond it all are read again.
const MOST_PLACES: usize = 200_000;

/// What looks up the messages of one gateway.
pub struct Inquirer {
    pub(super) name: String,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) parts: Parts,
    pub(super) lane: Arc<Lane>,
    /// How long a message may stay unseen before its absence can be proven.
    settle: SignedDuration,
    /// An account of ours that may get a message when nothing else shows how far the provider has come.
    pub(super) probe: Option<RecipientID>,
    /// An inquiry may be due that was not.
    changed: Arc<Notify>,
}

/// How far each recipient's conversation has been read for an attempt that is inquired about. Not by the inquiry:
/// the number of one that has ended is given again.
type Places = HashMap<(i64, RecipientID), u64>;

fn place(inquiry: &Inquiry, recipient: &RecipientID) -> (i64, RecipientID) {
    (inquiry.attempt, recipient.clone())
}

/// What an inquirer remembers between its looks.
struct Memory {
    places: Places,
    steps: ClockSteps,
    /// No quiet counts from before this: since the daemon began, or the clock was set, the time of day tells how long
    /// something lasts.
    quiet_since: Timestamp,
}

/// The campaigns of the runs that are looked up in one round; none for one that cannot be read any more.
pub(super) type Campaigns = HashMap<RunID, Option<Arc<Campaign>>>;

impl Inquirer {
    pub fn new(
        name: &str,
        parts: &Parts,
        lane: &Arc<Lane>,
        settle: SignedDuration,
        probe: Option<RecipientID>,
    ) -> Inquirer {
        Inquirer {
            name: name.to_owned(),
            gateway: Arc::clone(&lane.gateway),
            parts: parts.clone(),
            lane: Arc::clone(lane),
            settle,
            probe,
            changed: lane.inquiries(),
        }
    }

    /// Looks messages up until the lane stops. May be dropped at any await.
    pub async fn work(&self) {
        let clock = self.parts.clock.as_ref();
        let now = clock.now();
        let steps = ClockSteps::new(now, clock.steady());
        let mut memory = Memory { places: Places::new(), steps, quiet_since: now };
        while !self.lane.is_stopping() {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change falls between.
            changed.as_mut().enable();
            let round = tokio::select! {
                round = self.round(&mut memory) => round,
                // A look may take its time, and nothing depends on its end.
                () = self.lane.stopped() => return,
            };
            let wait = match round {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(gateway = %self.name, %error, "look-ups cannot be recorded, and wait");
                    LEDGER_RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut changed => {}
                () = self.lane.stopped() => return,
            }
        }
    }

    /// Whether the clock was set since the last time.
    fn clock_was_set(&self, memory: &mut Memory) -> bool {
        let (now, steady) = (self.parts.clock.now(), self.parts.clock.steady());
        let was_set = memory.steps.look(now, steady).is_some();
        if was_set {
            memory.quiet_since = now;
        }
        was_set
    }

    /// Makes the looks that are due. Gives how long there is nothing to do.
    async fn round(&self, memory: &mut Memory) -> Stored<Duration> {
        self.clock_was_set(memory);
        let (name, now, quiet_since) = (self.name.clone(), self.parts.clock.now(), memory.quiet_since);
        let (due, next_at) = self
            .parts
            .ledger
            .call(move |store| {
                store.inquiries_by_clock(&name, now, quiet_since)?;
                Ok((store.inquiries_due(&name, now, RECIPIENTS_A_LOOK)?, store.inquiry_next_at(&name)?))
            })
            .await?;
        if due.is_empty() {
            let left = next_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
            return Ok(left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP));
        }
        if memory.places.len() > MOST_PLACES {
            memory.places.clear();
        }
        let mut campaigns = Campaigns::new();
        let mut seen = Seen::default();
        for inquiry in due.iter().filter(|inquiry| !inquiry.answered) {
            let last = seen.last_attempts.entry(inquiry.ended_at).or_insert(inquiry.attempt);
            *last = inquiry.attempt.max(*last);
        }
        // Messages of one run that were sent in the same way are looked up together.
        let mut groups: Vec<Vec<Inquiry>> = Vec::new();
        for inquiry in due {
            let alike = groups.iter_mut().find(|group| {
                group.first().is_some_and(|first| {
                    let purpose = |inquiry: &Inquiry| inquiry.progress.purpose;
                    first.run == inquiry.run
                        && first.addressing == inquiry.addressing
                        && purpose(first) == purpose(&inquiry)
                })
            });
            match alike {
                Some(group) => group.push(inquiry),
                None => groups.push(vec![inquiry]),
            }
        }
        for group in groups {
            if self.lane.is_stopping() || !self.look_up(group, memory, &mut campaigns, &mut seen).await? {
                break;
            }
        }
        Ok(Duration::ZERO)
    }

    /// Looks up what the inquiries of a group seek, and records what follows. False: the clock was set meanwhile, and
    /// what was read of the ledger in this round holds no more.
    async fn look_up(
        &self,
        group: Vec<Inquiry>,
        memory: &mut Memory,
        campaigns: &mut Campaigns,
        seen: &mut Seen,
    ) -> Stored<bool> {
        let Some(first) = group.first() else { return Ok(true) };
        let (run, addressing) = (first.run.clone(), first.addressing);
        let Some(campaign) = self.campaign(&run, campaigns).await? else {
            let reason = "its revision does not fit the settings any more, so it cannot be looked up";
            return self.hold(group, Reason::new("cannotBeAsked", reason)).await.map(|()| true);
        };
        if let Err(reason) = self.gateway.can_be_asked(&campaign.message, addressing) {
            return self.hold(group, reason).await.map(|()| true);
        }
        // The later messages first: else a message could become visible together with them, behind a look
        // that has missed it.
        let circumstances = self.circumstances().await?;
        let mut witnesses = Vec::with_capacity(group.len());
        for inquiry in &group {
            let wanted = inquiry.progress.wants_witnesses(&circumstances);
            witnesses.push(if wanted { self.witnesses(inquiry, campaigns, seen).await? } else { None });
        }
        // Of when the messages themselves are looked at.
        let circumstances = self.circumstances().await?;
        let mut sought = Vec::new();
        for inquiry in &group {
            let message = self.message_of(&campaign, inquiry.values.as_ref());
            sought.extend(inquiry.sought.iter().map(|(recipient, send_time_ms)| Sought {
                recipient: recipient.clone(),
                message: Arc::clone(&message),
                send_time_ms: *send_time_ms,
                operation_id: inquiry.operation_id.clone(),
                asked_at: inquiry.asked_at,
                asked_last_at: inquiry.asked_last_at,
                seen_until: memory.places.get(&place(inquiry, recipient)).copied(),
            }));
        }
        let record = Record::new(&self.parts.ledger, &self.parts.clock, &run, first.batch);
        let counts = match first.progress.purpose {
            Purpose::Settle => Evidence::Taken,
            Purpose::Confirm => Evidence::Stored,
        };
        let look = Look { message: Arc::new(campaign.message.clone()), addressing, counts, sought };
        let sightings = if look.sought.is_empty() { Ok(Vec::new()) } else { self.see(&look, &record).await };
        self.lane.note_clock().await?;
        let mut sightings = match sightings {
            Ok(sightings) => sightings.into_iter(),
            Err(fault) => {
                self.unhealthy(&fault).await?;
                vec![Sighting::NoAnswer(fault.0); look.sought.len()].into_iter()
            }
        };
        if self.clock_was_set(memory) {
            return Ok(false);
        }
        let places = &mut memory.places;
        // What went wrong with this look itself counts as well.
        let unhealthy_at = self.circumstances().await?.unhealthy_at;
        for (inquiry, witnesses) in group.into_iter().zip(witnesses) {
            let own: Vec<(RecipientID, Sighting)> = inquiry
                .sought
                .iter()
                .map(|(recipient, _)| {
                    let missing = || Sighting::NoAnswer(Reason::new("notMentioned", "the look told nothing"));
                    (recipient.clone(), sightings.next().unwrap_or_else(missing))
                })
                .collect();
            for (recipient, sighting) in &own {
                match sighting {
                    Sighting::Nothing { seen_until } => {
                        places.insert(place(&inquiry, recipient), *seen_until)
                    }
                    _ => places.remove(&place(&inquiry, recipient)),
                };
            }
            let circumstances = Circumstances { witnesses, unhealthy_at, ..circumstances };
            let findings = inquiry.progress.conclude(&circumstances, own);
            for (recipient, _) in findings.conclusions.iter().filter(|(_, conclusion)| conclusion.is_final())
            {
                places.remove(&place(&inquiry, recipient));
            }
            self.settle(inquiry, findings, record.latest(), campaign.delivery.most_attempts()).await?;
        }
        Ok(true)
    }

    /// What bears on every inquiry of this gateway, now; of witnesses nothing yet.
    async fn circumstances(&self) -> Stored<Circumstances> {
        let name = self.name.clone();
        let now = self.parts.clock.now();
        let unhealthy_at = self.parts.ledger.call(move |store| store.gateway_unhealthy_at(&name)).await?;
        Ok(Circumstances { now, unhealthy_at, settle: self.settle, witnesses: None })
    }

    /// Looks, and takes only an answer that speaks of each message once.
    pub(super) async fn see(&self, look: &Look, record: &Record) -> Result<Vec<Sighting>, ReadFault> {
        let sightings = self.gateway.look(look, record).await?;
        if sightings.len() == look.sought.len() {
            return Ok(sightings);
        }
        let text = format!("{} sightings of {} messages", sightings.len(), look.sought.len());
        Err(ReadFault(Reason::new("unreadable", text)))
    }

    /// The message of whoever has these values. One that cannot be made any more, because the settings have changed,
    /// is as good as another: it is not recognised.
    pub(super) fn message_of(&self, campaign: &Campaign, values: Option<&Values>) -> Arc<Message> {
        let filled = values.and_then(|values| campaign.message_for(values, self.gateway.dialect()).ok());
        Arc::new(filled.unwrap_or_else(|| campaign.message.clone()))
    }

    /// The campaign of the revision that a run was made from.
    pub(super) async fn campaign(&self, run: &RunID, known: &mut Campaigns) -> Stored<Option<Arc<Campaign>>> {
        if let Some(campaign) = known.get(run) {
            return Ok(campaign.clone());
        }
        let wanted = run.clone();
        let record = self.parts.ledger.call(move |store| store.run(&wanted)).await?;
        let campaign = read_revision(&self.parts, &record.path, &record.yaml, record.campaign.as_str());
        known.insert(run.clone(), campaign.clone());
        Ok(campaign)
    }

    /// A look that failed shows that the provider does not work, unless the fault is our own: one that was not
    /// recorded, or one too many.
    pub(super) async fn unhealthy(&self, fault: &ReadFault) -> Stored<()> {
        if [NOT_RECORDED, THROTTLED].contains(&fault.0.code.as_str()) {
            return Ok(());
        }
        let (name, now) = (self.name.clone(), self.parts.clock.now());
        self.parts.ledger.call(move |store| store.gateway_unhealthy(&name, now)).await
    }

    /// Nobody of these inquiries is looked up any more, for this reason.
    async fn hold(&self, group: Vec<Inquiry>, reason: Reason) -> Stored<()> {
        let circumstances = self.circumstances().await?;
        for inquiry in group {
            let held = inquiry
                .sought
                .iter()
                .map(|(recipient, _)| (recipient.clone(), Sighting::Contradiction(reason.clone())))
                .collect();
            let findings = inquiry.progress.conclude(&circumstances, held);
            self.settle(inquiry, findings, None, 0).await?;
        }
        Ok(())
    }

    async fn settle(
        &self,
        inquiry: Inquiry,
        findings: Findings,
        look: Option<i64>,
        most_attempts: u32,
    ) -> Stored<()> {
        let now = self.parts.clock.now();
        self.parts
            .ledger
            .call(move |store| store.inquiry_settle(&inquiry, &findings, look, most_attempts, now))
            .await?;
        // Something may be pending again, or the run over.
        self.lane.look_again();
        Ok(())
    }
}
