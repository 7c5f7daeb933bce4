//! The conductor: the one place that decides. It reads the folder, plans what is due, answers what
//! commands ask, and hands runs to the openings and lanes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Parts, ServeError,
    assignment::Assignment,
    catalogue::{Campaigns, Catalogue},
    claim::{advance_generation, keep_ahead_of_copies},
    crowd::Crowd,
    handover::{await_end, by_steady_clock, give_turns, open_and_hand_over, open_crowd},
    inquirer::Inquirer,
    intake::Intake,
    interrupted::doubts,
    lane::{Lane, RunOver, wants_turns},
    reading::read_revision,
    scanning::Scanning,
    steps::ClockSteps,
    turn::Before,
};
use crate::{
    clock::sleep_until,
    limits::SlidingLog,
    run::Trigger,
    store::{CampaignRecord, RunRecord, Stored},
};

/// The longest time between two looks at the ledger for what a person has asked, while a run is open and may be
/// paused or cancelled, and else.
const LOOK: Duration = Duration::from_millis(200);
const IDLE_LOOK: Duration = Duration::from_secs(1);
/// Runs that may wait for the conductor to hear that they are over.
const OVER_QUEUE: usize = 1_024;

/// Everything that is decided about, and who works on it.
pub(super) struct Conductor {
    pub(super) parts: Parts,
    pub(super) catalogue: Catalogue,
    pub(super) lanes: Arc<BTreeMap<String, Arc<Lane>>>,
    /// Who is decided ahead of an instant that is about to come.
    pub(super) crowd: Option<Crowd>,
    pub(super) intake: Intake,
    pub(super) scanning: Scanning,
    /// The ledger's change mark when it was last looked at.
    pub(super) seen: Option<i64>,
    /// The mark of all writing then, the daemon's own too.
    pub(super) noticed: Option<i64>,
    openings: JoinSet<()>,
    over: mpsc::Sender<RunOver>,
    pub(super) steps: ClockSteps,
}

/// Runs until told to stop.
pub async fn conduct(parts: Parts) -> Result<(), ServeError> {
    let (over, mut runs_over) = mpsc::channel(OVER_QUEUE);
    let mut workers = JoinSet::new();
    workers.spawn(keep_ahead_of_copies(parts.clone()));
    let mut conductor = Conductor::start(parts.clone(), over, &mut workers).await?;
    conductor.scan().await;
    parts.signals.ready.send_replace(true);
    let stopped = parts.signals.stopped();
    tokio::pin!(stopped);
    let mut ended = Ok(());
    loop {
        parts.signals.rounds.send_modify(|rounds| *rounds += 1);
        // What cannot be recorded has been told, and is tried again.
        let _ = conductor.decide().await;
        let more_ahead = conductor.decide_ahead().await;
        let crowd_at = conductor.crowd.as_ref().map(Crowd::next_at);
        let wake_at = [conductor.catalogue.next_at(), conductor.scanning.next_at(), crowd_at];
        let wake_at = wake_at.into_iter().flatten().min();
        let look = if conductor.catalogue.has_open_runs() { LOOK } else { IDLE_LOOK };
        let nap = conductor.scanning.quiet_in(&parts).map_or(look, |quiet| quiet.min(look));
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = parts.signals.folder.notified() => conductor.scanning.folder_changes(&parts),
            () = parts.signals.round.notified() => {}
            () = parts.signals.rescan.notified() => conductor.scanning.rescan(&parts),
            scanned = conductor.scanning.scanned(&parts) => conductor.obey_scan(scanned).await,
            // One that has ended as it should was told to stop, as the daemon is about to be.
            Some(Err(failed)) = workers.join_next() => {
                // Whoever watched would take a daemon for well that sends nothing any more.
                tracing::error!("a part of the daemon has failed, stopping: {failed}");
                ended = Err(ServeError::Part(failed.to_string()));
                parts.signals.stop();
                break;
            }
            Some(over) = runs_over.recv() => {
                conductor.catalogue.run_over(&over.campaign, &over.run, parts.clock.now());
            }
            () = std::future::ready(()), if more_ahead => {}
            () = sleep_until(parts.clock.as_ref(), wake_at.unwrap_or(Timestamp::MAX)) => {}
            // By elapsed time: whoever sets the clock back does not put the daemon to sleep.
            () = tokio::time::sleep(nap) => {}
        }
        conductor.look_at_clock().await;
        conductor.scan_if_due();
        if let Err(error) = conductor.look().await {
            tracing::error!(%error, "stopping");
            ended = Err(error.into());
            parts.signals.stop();
            break;
        }
    }
    if let Err(error) = conductor.disperse_crowd().await {
        tracing::warn!(%error, "what is decided ahead of its time is taken back by the next start");
    }
    // From here on nobody hears that a run is over, and no lane waits to be heard.
    drop(runs_over);
    conductor.openings.shutdown().await;
    for lane in conductor.lanes.values() {
        lane.stop();
    }
    while workers.join_next().await.is_some() {}
    advance_generation(&parts).await;
    ended
}

impl Conductor {
    /// Takes up what the ledger holds.
    async fn start(
        parts: Parts,
        over: mpsc::Sender<RunOver>,
        workers: &mut JoinSet<()>,
    ) -> Result<Conductor, ServeError> {
        let doubts = doubts(&parts).await?;
        let (now, steady) = (parts.clock.now(), parts.clock.steady());
        let unknown = parts.ledger.call(move |store| store.recover(&doubts, now)).await?;
        if unknown > 0 {
            tracing::warn!(
                "{unknown} recipients were asked and not answered when campaignd ended last: they are unknown. \
                 See: campaignd deliveries --outcome unknown"
            );
        }
        let mut lanes = BTreeMap::new();
        for (name, post) in &parts.gateways.0 {
            let reach_ms = SlidingLog::new(&post.limits).longest_window_ms();
            let (gateway, since) = (name.clone(), now - SignedDuration::from_millis(reach_ms));
            let past = parts.ledger.call(move |store| {
                let past = store.past_calls(&gateway, None, since)?;
                Ok((past, store.gateway(&gateway)?, store.gateway_clock(&gateway)?))
            });
            let (past, stood, clock) = past.await?;
            post.gateway.recall_clock(clock);
            let past = by_steady_clock(parts.clock.as_ref(), past);
            let lane = Lane::new(name, post, &parts, &past, stood, over.clone());
            lane.start(workers);
            let inquirer = Inquirer::new(name, &parts, &lane, post.settle, post.probe.clone());
            workers.spawn(async move { inquirer.work().await });
            lanes.insert(name.clone(), lane);
        }
        let mut conductor = Conductor {
            parts,
            catalogue: Catalogue::default(),
            lanes: Arc::new(lanes),
            crowd: None,
            intake: Intake::default(),
            scanning: Scanning::default(),
            seen: None,
            noticed: None,
            openings: JoinSet::new(),
            over,
            steps: ClockSteps::new(now, steady),
        };
        conductor.parts.ledger.call(|store| store.crowd_disperse(None)).await?;
        conductor.reopen(now).await?;
        conductor.refresh().await?;
        conductor.leave_out_restored().await?;
        let open = conductor.parts.ledger.call(|store| {
            // Those that were reopened meanwhile are open as well.
            store.runs_reopened()?;
            store.runs_open()
        });
        let open = open.await?;
        for record in open {
            let (run, left) = (&record.id, record.counts.pending);
            tracing::info!(%run, "goes on: {} with {left} recipients to be asked", record.state.name());
            conductor.take_up(record);
        }
        Ok(conductor)
    }

    /// Looks at every campaign of the ledger.
    pub(super) async fn refresh(&mut self) -> Stored<()> {
        let records = self.parts.ledger.call(|store| store.campaigns()).await?;
        let campaigns = self.read(&records);
        self.catalogue.refresh(records, campaigns, self.parts.clock.now());
        Ok(())
    }

    /// The campaigns of those revisions that are not known yet: as the folder has them, where it does.
    pub(super) fn read(&self, records: &[CampaignRecord]) -> Campaigns {
        let news: Vec<&CampaignRecord> =
            records.iter().filter(|record| self.catalogue.is_news(record)).collect();
        let read = |record: &&CampaignRecord| {
            let campaign = self.intake.campaign_of(record);
            let campaign = campaign
                .or_else(|| read_revision(&self.parts, &record.path, &record.yaml, record.id.as_str()));
            Some((record.id.clone(), campaign?))
        };
        news.par_iter().filter_map(read).collect()
    }

    /// Goes on with a run that is not over.
    pub(super) fn take_up(&mut self, record: RunRecord) {
        let id = record.campaign.clone();
        if record.trigger != Trigger::Test {
            self.catalogue.run_made(&id, &record.id);
        }
        let Some(campaign) = read_revision(&self.parts, &record.path, &record.yaml, id.as_str()) else {
            tracing::error!(
                run = %record.id,
                "the run waits: its revision does not fit the settings any more; restore them or cancel it"
            );
            let (parts, over) = (self.parts.clone(), self.over.clone());
            self.openings.spawn(async move {
                await_end(&parts, &record).await;
                let _ = over.send(RunOver { run: record.id, campaign: id }).await;
            });
            return;
        };
        let state = record.state.clone();
        let before = Before { started: record.started_at.is_some(), answered: record.counts.accepted > 0 };
        let assignment = Arc::new(Assignment::new(record, campaign));
        if wants_turns(&state) {
            let (parts, lanes) = (self.parts.clone(), self.lanes.clone());
            self.openings.spawn(async move { give_turns(&parts, &lanes, assignment, before).await });
        } else {
            self.open(assignment);
        }
    }

    /// Opens a run beside everything else, and gives it to its lane.
    pub(super) fn open(&mut self, assignment: Arc<Assignment>) {
        // Those that have ended are forgotten.
        while self.openings.try_join_next().is_some() {}
        let (parts, lanes, over) = (self.parts.clone(), Arc::clone(&self.lanes), self.over.clone());
        self.openings.spawn(async move { open_and_hand_over(&parts, &lanes, &over, &assignment).await });
    }

    /// Opens the runs of a crowd whose instant has come.
    pub(super) fn open_crowd(&mut self, crowd: Vec<Arc<Assignment>>) {
        let (parts, lanes, over) = (self.parts.clone(), Arc::clone(&self.lanes), self.over.clone());
        self.openings.spawn(open_crowd(parts, lanes, over, crowd));
    }
}
