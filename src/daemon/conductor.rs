//! The conductor: the one place that decides. It reads the folder, plans what is due, answers what
//! commands ask, and hands runs to the openings and lanes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use super::{
    Parts, ServeError,
    assignment::Assignment,
    catalogue::Catalogue,
    lane::{Lane, RunOver, wants_turns},
    opening::{self, OpeningFault},
    report,
};
use crate::{
    campaign::{
        Campaign, CampaignID,
        file::{Context, read},
    },
    clock::sleep_until,
    document::{Code, Problem, Severity},
    folder::{FileState, Snapshot},
    plan::{self, Fate, plan},
    revision::{self, Change, Found},
    run::{RunEvent, RunID, RunState, Trigger},
    store::{
        CampaignMark, NewRevision, NewRun, ProblemRecord, Question, Reply, RunRecord, Store, StoreError,
        Stored,
    },
};

/// The longest time between two looks at the ledger for what a person has asked.
const LOOK: SignedDuration = SignedDuration::from_millis(200);
/// The folder counts as quiet when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(150);
/// A folder that is never quiet is read all the same after so long.
const NEVER_QUIET: SignedDuration = SignedDuration::from_secs(5);
/// How long the conductor waits after the ledger failed.
const LEDGER_RETRY: SignedDuration = SignedDuration::from_secs(1);
/// Audiences that are opened at once.
const OPENINGS: usize = 8;
/// Runs that may wait for the conductor to hear that they are over.
const OVER_QUEUE: usize = 1_024;
/// A run of the same revision within this time wants `--again`.
const AGAIN_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// A file as it was read last.
struct ReadFile {
    sha256: String,
    campaign: Option<Arc<Campaign>>,
    problems: Vec<Problem>,
}

struct Conductor {
    parts: Parts,
    catalogue: Catalogue,
    lanes: BTreeMap<String, Arc<Lane>>,
    files: HashMap<String, ReadFile>,
    /// What `problem_status` holds.
    problems: Option<Vec<ProblemRecord>>,
    /// When the folder wants another look, because a removal waits for its grace.
    scan_at: Option<Timestamp>,
    /// The ledger's change mark when it was last looked at.
    seen: Option<i64>,
    openings: JoinSet<()>,
    opening_places: Arc<Semaphore>,
    over: mpsc::Sender<RunOver>,
    held: Option<String>,
}

/// Runs until told to stop.
pub async fn conduct(parts: Parts) -> Result<(), ServeError> {
    let (over, mut runs_over) = mpsc::channel(OVER_QUEUE);
    let mut workers = JoinSet::new();
    let mut conductor = Conductor::start(parts.clone(), over, &mut workers).await?;
    conductor.scan().await;
    parts.signals.ready.send_replace(true);
    let stopped = parts.signals.stopped();
    tokio::pin!(stopped);
    loop {
        parts.signals.rounds.send_modify(|rounds| *rounds += 1);
        conductor.decide().await;
        let now = parts.clock.now();
        let look_at = now + LOOK;
        let wake_at = [conductor.catalogue.next_at(), conductor.scan_at]
            .into_iter()
            .flatten()
            .fold(look_at, Timestamp::min);
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = parts.signals.folder.notified() => {
                conductor.wait_for_quiet().await;
                conductor.scan().await;
            }
            Some(over) = runs_over.recv() => conductor.catalogue.run_over(&over.campaign, &over.run),
            () = sleep_until(parts.clock.as_ref(), wake_at) => {}
        }
        if conductor.scan_at.is_some_and(|at| at <= parts.clock.now()) {
            conductor.scan().await;
        }
        conductor.look().await;
    }
    // From here on nobody hears that a run is over, and no lane waits to be heard.
    drop(runs_over);
    conductor.openings.shutdown().await;
    for lane in conductor.lanes.values() {
        lane.stop();
    }
    while workers.join_next().await.is_some() {}
    Ok(())
}

impl Conductor {
    /// Takes up what the ledger holds.
    async fn start(
        parts: Parts,
        over: mpsc::Sender<RunOver>,
        workers: &mut JoinSet<()>,
    ) -> Result<Conductor, ServeError> {
        let now = parts.clock.now();
        let unknown = parts.ledger.call(move |store| store.recover(now)).await?;
        if unknown > 0 {
            tracing::warn!(
                "{unknown} recipients were asked and not answered when campaignd ended last: they are unknown"
            );
        }
        let mut lanes = BTreeMap::new();
        for (name, post) in &parts.gateways.0 {
            let reach_ms = crate::limits::SlidingLog::new(&post.limits).longest_window_ms();
            let (gateway, since) = (name.clone(), now - SignedDuration::from_millis(reach_ms));
            let past = parts.ledger.call(move |store| store.past_calls(&gateway, None, since)).await?;
            let lane = Lane::new(name, post, &parts, &past, over.clone());
            lane.start(workers);
            lanes.insert(name.clone(), lane);
        }
        let mut conductor = Conductor {
            parts,
            catalogue: Catalogue::default(),
            lanes,
            files: HashMap::new(),
            problems: None,
            scan_at: None,
            seen: None,
            openings: JoinSet::new(),
            opening_places: Arc::new(Semaphore::new(OPENINGS)),
            over,
            held: None,
        };
        conductor.refresh().await?;
        let open = conductor.parts.ledger.call(|store| store.runs_open()).await?;
        for record in open {
            conductor.take_up(record).await;
        }
        Ok(conductor)
    }

    async fn refresh(&mut self) -> Stored<()> {
        let records = self.parts.ledger.call(|store| store.campaigns()).await?;
        let parts = &self.parts;
        self.catalogue.refresh(records, parts.clock.now(), |record| {
            read_revision(parts, &record.path, &record.yaml, record.id.as_str())
        });
        Ok(())
    }

    /// Goes on with a run that is not over.
    async fn take_up(&mut self, record: RunRecord) {
        let id = record.campaign.clone();
        let Some(campaign) = read_revision(&self.parts, &record.path, &record.yaml, id.as_str()) else {
            tracing::error!(
                run = %record.id,
                "the run waits: its revision does not fit the settings any more; restore them or cancel it"
            );
            return;
        };
        if record.trigger != Trigger::Test {
            self.catalogue.run_made(&id, &record.id);
        }
        let (state, started) = (record.state.clone(), record.started_at.is_some());
        let assignment = Arc::new(Assignment::new(record, campaign));
        if wants_turns(&state) {
            if let Err(error) = give_turns(&self.parts, &self.lanes, assignment, started).await {
                tracing::error!(%error, "a run cannot be taken up");
            }
        } else {
            self.open(assignment);
        }
    }

    /// Opens a run beside everything else, and gives it to its lane.
    fn open(&mut self, assignment: Arc<Assignment>) {
        // Those that have ended are forgotten.
        while self.openings.try_join_next().is_some() {}
        let (parts, lanes) = (self.parts.clone(), self.lanes.clone());
        let (places, over) = (Arc::clone(&self.opening_places), self.over.clone());
        self.openings.spawn(async move {
            // The semaphore is never closed.
            let Ok(_place) = places.acquire().await else { return };
            let ended = open_and_hand_over(&parts, &lanes, &assignment).await;
            if ended {
                let run_over =
                    RunOver { run: assignment.run.clone(), campaign: assignment.campaign_id().clone() };
                let _ = over.send(run_over).await;
            }
        });
    }

    /// Decides every slot that is due and starts the runs that this makes.
    async fn decide(&mut self) {
        let now = self.parts.clock.now();
        let due = self.catalogue.take_due(now);
        let mut planned = Vec::new();
        for id in due {
            let Some((campaign, standing)) = self.catalogue.standing(&id) else { continue };
            let plan = plan(now, &campaign, standing);
            planned.push((id, campaign, plan));
        }
        if planned.is_empty() {
            return;
        }
        let (work, again): (Vec<_>, Vec<_>) = planned
            .iter()
            .map(|(id, campaign, plan)| {
                let decisions: Vec<_> = plan
                    .decisions
                    .iter()
                    .map(|decision| {
                        let run = (decision.fate == Fate::Run).then(|| new_run(campaign, decision.slot));
                        (decision.clone(), run)
                    })
                    .collect();
                ((id.clone(), decisions, plan.decided_until, plan.next_occurrence), id.clone())
            })
            .unzip();
        let made = self
            .parts
            .ledger
            .call(move |store| {
                let mut made = Vec::with_capacity(work.len());
                for (id, decisions, until, next) in &work {
                    made.push(store.slots_decide(id, decisions, *until, *next, now)?);
                }
                Ok(made)
            })
            .await;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, "what is due cannot be recorded, and waits");
                for id in again {
                    self.catalogue.wake_at(&id, Some(now + LEDGER_RETRY));
                }
                return;
            }
        };
        for ((id, campaign, plan), run) in planned.into_iter().zip(made) {
            self.catalogue.decided(&id, plan.decided_until, plan.next_at);
            for decision in &plan.decisions {
                if let Some(reason) = decision.fate.reason() {
                    let (slot, count) = (decision.slot, decision.count);
                    tracing::warn!(campaign = %id, %slot, count, "{} ({reason})", decision.fate.name());
                }
            }
            if let Some(run) = run {
                self.start_run(&id, run, &campaign, &plan);
            }
        }
    }

    fn start_run(&mut self, id: &CampaignID, run: RunID, campaign: &Arc<Campaign>, plan: &plan::Plan) {
        let Some(decision) = plan.decisions.iter().find(|decision| decision.fate == Fate::Run) else {
            return;
        };
        let Some(entry) = self.catalogue.get(id) else { return };
        let new = new_run(campaign, decision.slot);
        let assignment = Assignment {
            run: run.clone(),
            message: Arc::new(campaign.message.clone()),
            campaign: Arc::clone(campaign),
            path: entry.record.path.clone(),
            only_to: None,
            start_by: new.start_by,
            finish_by: new.finish_by,
        };
        self.catalogue.run_made(id, &run);
        self.open(Arc::new(assignment));
    }

    /// Looks at the ledger for what people have asked or changed.
    async fn look(&mut self) {
        if let Err(error) = self.look_at_ledger().await {
            tracing::error!(%error, "the ledger cannot be read");
        }
    }

    async fn look_at_ledger(&mut self) -> Stored<()> {
        let mark = self.parts.ledger.call(|store| store.change_mark()).await?;
        if self.seen == Some(mark) {
            return Ok(());
        }
        // First what people have changed: a send is not to miss a pause that came before it.
        self.refresh().await?;
        let questions = self.parts.ledger.call(|store| store.questions_open()).await?;
        for (number, question) in questions {
            self.answer(number, question).await?;
        }
        for lane in self.lanes.values() {
            lane.look_again();
        }
        self.seen = Some(mark);
        Ok(())
    }

    /// Does what a command asks, and says so.
    async fn answer(&mut self, number: i64, question: Question) -> Stored<()> {
        let Question::Send { campaign: name, to, again } = question;
        let id: Option<CampaignID> = name.parse().ok();
        let entry = id.as_ref().and_then(|id| Some((id, self.catalogue.get(id)?)));
        let refuse = |why: String| async {
            self.parts.ledger.call(move |store| store.question_answer(number, &Reply::Refused(why))).await
        };
        let Some((id, entry)) = entry.filter(|(_, entry)| !entry.record.removed) else {
            return refuse(format!("there is no campaign {name:?} in force")).await;
        };
        let Some(campaign) = entry.campaign.clone() else {
            return refuse(format!("the revision of {id} in force does not fit the settings any more")).await;
        };
        if let Some(reason) = &entry.record.paused {
            return refuse(format!("{id} is paused ({reason}): resume it first")).await;
        }
        let mut only_to = Vec::with_capacity(to.len());
        for text in to {
            match crate::campaign::RecipientID::new(text.as_str()) {
                Ok(recipient) => only_to.push(recipient),
                Err(error) => return refuse(format!("{text:?}: {error}")).await,
            }
        }
        let trigger = if only_to.is_empty() { Trigger::Manual } else { Trigger::Test };
        let (id, now) = (id.clone(), self.parts.clock.now());
        let new = NewRun {
            trigger,
            only_to: (trigger == Trigger::Test).then_some(only_to),
            ..new_run(&campaign, now)
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
            self.take_up(record).await;
        }
        Ok(())
    }

    /// Waits until nothing has changed in the folder for a moment.
    async fn wait_for_quiet(&self) {
        let give_up_at = self.parts.clock.now() + NEVER_QUIET;
        while self.parts.clock.now() < give_up_at {
            let more = self.parts.signals.folder.notified();
            if tokio::time::timeout(QUIET, more).await.is_err() {
                return;
            }
        }
    }

    /// Reads the folder and obeys it.
    async fn scan(&mut self) {
        let folder = Arc::clone(&self.parts.folder);
        let scanned = tokio::task::spawn_blocking(move || folder.scan()).await;
        let obeyed = match scanned {
            Ok(Ok(snapshot)) => {
                let empty = snapshot.files.is_empty().then(|| "it is empty".to_owned());
                self.obey(snapshot, empty).await
            }
            Ok(Err(fault)) => self.obey(Snapshot::default(), Some(fault.to_string())).await,
            Err(error) => self.obey(Snapshot::default(), Some(error.to_string())).await,
        };
        if let Err(error) = obeyed {
            tracing::error!(%error, "a change of the folder cannot be recorded, and waits");
            self.scan_at = Some(self.parts.clock.now() + LEDGER_RETRY);
        }
    }

    /// Compares the folder with what is in force and records the difference. `held`: why nothing is
    /// removed.
    async fn obey(&mut self, snapshot: Snapshot, held: Option<String>) -> Stored<()> {
        let now = self.parts.clock.now();
        let found = self.read_files(&snapshot, now);
        let in_force = self.catalogue.in_force();
        let wishes = revision::compare(&in_force, &found, held.is_some(), now);
        self.scan_at = wishes.look_again_at;
        let anything_in_force = in_force.values().any(|known| !known.removed);
        let held = held.filter(|_| anything_in_force);
        if held != self.held {
            if let Some(reason) = &held {
                tracing::warn!("the campaigns in force stay so: the campaigns folder is held: {reason}");
            }
            self.held = held;
        }
        self.record_problems(&wishes.duplicates, now).await?;
        if wishes.changes.is_empty() {
            return Ok(());
        }
        // Slots up to now belong to the revisions in force until now.
        self.decide().await;
        let mut steps: Vec<Step> = Vec::new();
        for change in wishes.changes {
            self.step(change, &snapshot, &in_force, now, &mut steps);
        }
        self.parts
            .ledger
            .call(move |store| {
                for step in &steps {
                    step.take(store, now)?;
                }
                Ok(())
            })
            .await?;
        self.refresh().await
    }

    /// Reads every file that has changed since it was last read.
    fn read_files(&mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<Found> {
        self.files.retain(|path, _| snapshot.files.contains_key(path));
        let mut found = Vec::with_capacity(snapshot.files.len());
        for (path, state) in &snapshot.files {
            let file = match state {
                FileState::Unreadable(reason) => ReadFile {
                    sha256: String::new(),
                    campaign: None,
                    problems: vec![unreadable(path, reason)],
                },
                FileState::Read { sha256, bytes } => match self.files.remove(path) {
                    Some(known) if known.sha256 == *sha256 => known,
                    _ => {
                        let (campaign, problems) = read(path, bytes, &context(&self.parts, now));
                        ReadFile { sha256: sha256.clone(), campaign: campaign.map(Arc::new), problems }
                    }
                },
            };
            found.push(Found {
                path: path.clone(),
                sha256: file.sha256.clone(),
                campaign: file.campaign.as_ref().map(|campaign| campaign.id.clone()),
            });
            self.files.insert(path.clone(), file);
        }
        found
    }

    /// Writes what is wrong in the folder now, where that has changed.
    async fn record_problems(&mut self, duplicates: &[(String, String)], now: Timestamp) -> Stored<()> {
        let mut problems: Vec<ProblemRecord> = Vec::new();
        for (path, file) in &self.files {
            let campaign = file.campaign.as_ref().map(|campaign| campaign.id.to_string()).or_else(|| {
                let known = self.catalogue.iter().find(|(_, entry)| entry.record.path == *path);
                known.map(|(id, _)| id.to_string())
            });
            problems.extend(file.problems.iter().map(|problem| ProblemRecord {
                path: path.clone(),
                campaign: campaign.clone(),
                severity: problem.severity,
                line: problem.line,
                column: problem.column,
                code: problem.code.to_string(),
                message: problem.message.clone(),
            }));
        }
        for (newcomer, keeper) in duplicates {
            let campaign = self.files.get(newcomer).and_then(|file| file.campaign.as_ref());
            problems.push(ProblemRecord {
                path: newcomer.clone(),
                campaign: campaign.map(|campaign| campaign.id.to_string()),
                severity: Severity::Error,
                line: 0,
                column: 0,
                code: Code::DuplicateID.to_string(),
                message: format!("the id is taken by {keeper}"),
            });
        }
        problems
            .sort_by(|a, b| (&a.path, a.line, a.column, &a.code).cmp(&(&b.path, b.line, b.column, &b.code)));
        if self.problems.as_ref() == Some(&problems) {
            return Ok(());
        }
        for problem in &problems {
            if self.problems.as_ref().is_none_or(|known| !known.contains(problem)) {
                let place = format!("{}:{}:{}", problem.path, problem.line, problem.column);
                tracing::warn!(code = %problem.code, "{place}: {}", problem.message);
            }
        }
        let written = problems.clone();
        self.parts.ledger.call(move |store| store.problems_replace(&written, now)).await?;
        self.problems = Some(problems);
        Ok(())
    }

    /// The steps in the ledger that a change of the folder asks for.
    fn step(
        &self,
        change: Change,
        snapshot: &Snapshot,
        in_force: &BTreeMap<CampaignID, revision::InForce>,
        now: Timestamp,
        steps: &mut Vec<Step>,
    ) {
        let mark = |campaign: CampaignID, mark: CampaignMark, steps: &mut Vec<Step>| {
            steps.push(Step::Mark(campaign, mark));
        };
        match change {
            Change::Apply { campaign: id, path } => {
                let Some(campaign) = self.files.get(&path).and_then(|file| file.campaign.clone()) else {
                    return;
                };
                let Some(FileState::Read { bytes, sha256 }) = snapshot.files.get(&path) else { return };
                let is_new = in_force.get(&id).is_none_or(|known| known.removed);
                tracing::info!(campaign = %id, %path, "{}", if is_new { "added" } else { "changed" });
                let revision = NewRevision {
                    campaign: id,
                    path,
                    sha256: sha256.clone(),
                    yaml: bytes.to_vec(),
                    commit_id: None,
                    dirty: None,
                    gateway: campaign.gateway.clone(),
                    labels: serde_json::json!(campaign.labels).to_string(),
                    enabled: campaign.enabled,
                    applied_at: now,
                };
                let late =
                    if is_new && campaign.enabled { plan::applied_late(now, &campaign) } else { Vec::new() };
                steps.push(Step::Apply(Box::new(revision), late));
            }
            Change::Move { campaign, path } => {
                tracing::info!(%campaign, %path, "renamed");
                mark(campaign, CampaignMark::Moved { path }, steps);
            }
            Change::Reject { campaign } => {
                tracing::warn!(%campaign, "its last edit is rejected; the revision in force stays so");
                mark(campaign, CampaignMark::Rejected, steps);
            }
            Change::Accept { campaign } => mark(campaign, CampaignMark::Accepted, steps),
            Change::Suspend { campaign } => {
                tracing::warn!(%campaign, "its file is gone: it waits, and is removed in 60 s");
                mark(campaign, CampaignMark::Gone { since: now }, steps);
            }
            Change::Restore { campaign } => {
                tracing::info!(%campaign, "its file is back");
                mark(campaign, CampaignMark::Back, steps);
            }
            Change::Remove { campaign: id } => {
                tracing::info!(campaign = %id, "removed");
                if let Some((campaign, standing)) = self.catalogue.standing(&id) {
                    let standing = plan::Standing { hold: plan::Hold::Removed, ..standing };
                    steps.push(Step::Decide(id.clone(), plan(now, &campaign, standing)));
                }
                mark(id, CampaignMark::Removed, steps);
            }
        }
    }
}

/// What a change of the folder does to the ledger.
enum Step {
    Apply(Box<NewRevision>, Vec<plan::Decision>),
    Decide(CampaignID, plan::Plan),
    Mark(CampaignID, CampaignMark),
}

impl Step {
    fn take(&self, store: &mut dyn Store, now: Timestamp) -> Stored<()> {
        let without_runs = |decisions: &[plan::Decision]| -> Vec<_> {
            decisions.iter().map(|decision| (decision.clone(), None)).collect()
        };
        match self {
            Step::Apply(revision, late) => {
                store.campaign_apply(revision)?;
                store.slots_decide(&revision.campaign, &without_runs(late), now, None, now)?;
            }
            Step::Decide(campaign, plan) => {
                let decisions = without_runs(&plan.decisions);
                store.slots_decide(campaign, &decisions, plan.decided_until, None, now)?;
            }
            Step::Mark(campaign, mark) => store.campaign_mark(campaign, mark)?,
        }
        Ok(())
    }
}

/// The run of a slot.
fn new_run(campaign: &Campaign, slot: Timestamp) -> NewRun {
    NewRun {
        trigger: Trigger::Schedule,
        slot,
        due_at: slot,
        start_by: slot + campaign.lateness.max,
        finish_by: slot + campaign.finish_within,
        gateway: campaign.gateway.clone(),
        only_to: None,
    }
}

fn context(parts: &Parts, now: Timestamp) -> Context<'_> {
    Context {
        now,
        default_zone: parts.default_zone.clone(),
        default_gateway: parts.default_gateway.clone(),
        gateways: &parts.gateways,
        list_file: None,
    }
}

/// The campaign of a revision that was good when it was applied. Its id is the campaign's, whatever
/// its file is called now.
fn read_revision(parts: &Parts, path: &str, yaml: &[u8], id: &str) -> Option<Arc<Campaign>> {
    let (campaign, problems) = read(path, yaml, &context(parts, parts.clock.now()));
    if campaign.is_none() {
        let first = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
        tracing::error!(campaign = id, "its revision in force does not fit the settings any more: {first}");
    }
    let mut campaign = campaign?;
    campaign.id = id.parse().ok()?;
    Some(Arc::new(campaign))
}

fn unreadable(path: &str, reason: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 0,
        column: 0,
        end_column: 0,
        code: Code::Unreadable,
        path: String::new(),
        message: format!("the file cannot be read: {reason}"),
        hint: None,
    }
}

/// Gives a sealed run to the lane of its gateway.
async fn give_turns(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    assignment: Arc<Assignment>,
    started: bool,
) -> Stored<()> {
    let Some(lane) = lanes.get(&assignment.campaign.gateway) else {
        tracing::error!(run = %assignment.run, "the run waits: its gateway is not in the settings any more");
        return Ok(());
    };
    let limits = &assignment.campaign.delivery.limits;
    let reach_ms = crate::limits::SlidingLog::new(limits).longest_window_ms();
    let past = if reach_ms == 0 {
        Vec::new()
    } else {
        let (gateway, id) = (assignment.campaign.gateway.clone(), assignment.campaign_id().clone());
        let since = parts.clock.now() - SignedDuration::from_millis(reach_ms);
        parts.ledger.call(move |store| store.past_calls(&gateway, Some(&id), since)).await?
    };
    lane.add(assignment, started, &past);
    Ok(())
}

/// Opens a run and gives it to its lane. Tells whether the run is over instead.
async fn open_and_hand_over(
    parts: &Parts,
    lanes: &BTreeMap<String, Arc<Lane>>,
    assignment: &Arc<Assignment>,
) -> bool {
    let run = assignment.run.clone();
    loop {
        let fault = match opening::open(parts, assignment).await {
            Ok(state) if state.is_over() => {
                report::run_over(parts, &run).await;
                return true;
            }
            Ok(_) => match give_turns(parts, lanes, Arc::clone(assignment), false).await {
                Ok(()) => return false,
                Err(error) => OpeningFault::Ledger(error),
            },
            Err(fault) => fault,
        };
        let over = match fault {
            // A person has cancelled it meanwhile.
            OpeningFault::Ledger(StoreError::Transition(_) | StoreError::Corrupt(_)) => true,
            OpeningFault::Ledger(error) => {
                tracing::error!(%run, %error, "the audience cannot be recorded, and waits");
                sleep_until(parts.clock.as_ref(), parts.clock.now() + LEDGER_RETRY).await;
                false
            }
            fault => {
                tracing::error!(%run, "missed (audience): {fault}");
                opening_failed(parts, &run, fault.to_string()).await
            }
        };
        if over {
            report::run_over(parts, &run).await;
            return true;
        }
    }
}

async fn opening_failed(parts: &Parts, run: &RunID, reason: String) -> bool {
    let (run, now) = (run.clone(), parts.clock.now());
    let failed = parts
        .ledger
        .call(move |store| {
            let event = RunEvent::OpeningFailed { reason: format!("audience: {reason}") };
            store.run_event(&run, event, Some("audience"), now)
        })
        .await;
    match failed {
        Ok(state) => matches!(state, RunState::Failed { .. }),
        Err(StoreError::Transition(_)) => true,
        Err(error) => {
            tracing::error!(%error, "an opening that failed cannot be recorded, and waits");
            sleep_until(parts.clock.as_ref(), now + LEDGER_RETRY).await;
            false
        }
    }
}
