//! The intake: what the folder holds, read, compared with what is in force, and turned into steps in
//! the ledger.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::{Parts, catalogue::Catalogue, reading::context, report};
use crate::{
    campaign::{
        Campaign, CampaignID,
        file::{identity, read},
    },
    document::{Code, Problem, Severity},
    folder::{Commit, FileState, Snapshot},
    plan,
    revision::{Change, Content, Found},
    store::{CampaignMark, CampaignRecord, DecidedSlots, NewRevision, ProblemRecord, Store, Stored},
};

/// The files of the folder as they were read last; one that has not changed is not read again.
#[derive(Default)]
pub struct Intake {
    /// What the folder held then.
    snapshot: Arc<Snapshot>,
    files: BTreeMap<Arc<str>, ReadFile>,
    /// How often a file with problems has come, gone, or become another.
    troubles: u64,
    /// What `problem_status` holds, and what that came of, once it has been written.
    written_problems: Option<(Causes, Vec<ProblemRecord>)>,
}

/// What the problems of a folder come of. While it is the same, so are they: there may be thousands.
#[derive(PartialEq, Eq)]
pub struct Causes {
    troubles: u64,
    /// The campaign of each file with problems, and of each that is a duplicate.
    campaigns: Vec<Option<CampaignID>>,
    duplicates: Vec<(String, String)>,
}

/// How a revision takes force.
struct Start {
    /// Its campaign was not there, or was removed.
    is_new: bool,
    decided_until: Timestamp,
    at: Timestamp,
}

/// A file as it was read last.
struct ReadFile {
    found: Found,
    /// There where it has no problem that is an error.
    campaign: Option<Arc<Campaign>>,
    problems: Vec<Problem>,
}

impl ReadFile {
    fn new(parts: &Parts, path: &Arc<str>, state: &FileState, now: Timestamp) -> ReadFile {
        let found = |sha256: &Arc<str>, content| Found {
            path: Arc::clone(path),
            sha256: Arc::clone(sha256),
            content,
        };
        match state {
            FileState::Unreadable(reason) => ReadFile {
                found: found(&"".into(), Content::Broken(None)),
                campaign: None,
                problems: vec![unreadable(path, reason)],
            },
            FileState::Read { sha256, bytes } => {
                let (campaign, problems) = read(path, bytes, &context(parts, now));
                let content = match &campaign {
                    Some(campaign) => Content::Campaign(campaign.id.clone()),
                    None => Content::Broken(identity(path, bytes)),
                };
                ReadFile { found: found(sha256, content), campaign: campaign.map(Arc::new), problems }
            }
        }
    }
}

impl Intake {
    /// Reads every file that has changed since it was last read.
    pub fn read(&mut self, parts: &Parts, snapshot: &Arc<Snapshot>, now: Timestamp) {
        let changes = snapshot.changes_since(&self.snapshot);
        let read = |(path, state): &(&Arc<str>, Option<&FileState>)| {
            (Arc::clone(path), state.map(|state| ReadFile::new(parts, path, state, now)))
        };
        let read: Vec<(Arc<str>, Option<ReadFile>)> = changes.par_iter().map(read).collect();
        for (path, file) in read {
            let is_trouble =
                |file: &Option<ReadFile>| file.as_ref().is_some_and(|file| !file.problems.is_empty());
            let is_troubled = is_trouble(&file);
            let before = match file {
                Some(file) => self.files.insert(path, file),
                None => self.files.remove(&path),
            };
            self.troubles += u64::from(is_troubled || is_trouble(&before));
        }
        self.snapshot = Arc::clone(snapshot);
    }

    /// Whether this is what it has read last.
    pub fn has_read(&self, snapshot: &Arc<Snapshot>) -> bool {
        self.snapshot == *snapshot
    }

    /// The files, in the order of their paths.
    pub fn found(&self) -> Vec<&Found> {
        self.files.values().map(|file| &file.found).collect()
    }

    /// The campaign of a revision in force, where a file of the folder is that.
    pub fn campaign_of(&self, record: &CampaignRecord) -> Option<Arc<Campaign>> {
        let file = self.files.get(&*record.path).filter(|file| *file.found.sha256 == *record.sha256)?;
        file.campaign.as_ref().filter(|campaign| campaign.id == record.id).cloned()
    }

    /// What is wrong in the folder now, when that has changed, and what it comes of. `duplicates`: files whose
    /// id another file has already.
    pub fn changed_problems(
        &mut self,
        catalogue: &Catalogue,
        duplicates: &[(String, String)],
    ) -> Option<(Causes, Vec<ProblemRecord>)> {
        let in_force: HashMap<&str, &CampaignID> =
            catalogue.iter().map(|(id, entry)| (entry.record.path.as_str(), id)).collect();
        let troubled = || self.files.values().filter(|file| !file.problems.is_empty());
        let campaign_of = |file: &ReadFile| {
            let campaign = file.campaign.as_ref().map(|campaign| &campaign.id);
            campaign.or_else(|| in_force.get(&*file.found.path).copied()).cloned()
        };
        let causes = Causes {
            troubles: self.troubles,
            campaigns: troubled()
                .map(campaign_of)
                .chain(
                    duplicates
                        .iter()
                        .map(|(newcomer, _)| self.campaign_at(newcomer).map(|campaign| campaign.id.clone())),
                )
                .collect(),
            duplicates: duplicates.to_vec(),
        };
        if self.written_problems.as_ref().is_some_and(|(written, _)| *written == causes) {
            return None;
        }
        let mut problems: Vec<ProblemRecord> = Vec::new();
        for (file, campaign) in troubled().zip(&causes.campaigns) {
            problems.extend(file.problems.iter().map(|problem| ProblemRecord {
                path: file.found.path.to_string(),
                campaign: campaign.as_ref().map(CampaignID::to_string),
                severity: problem.severity,
                line: problem.line,
                column: problem.column,
                code: problem.code.to_string(),
                message: problem.message.clone(),
            }));
        }
        for (newcomer, keeper) in duplicates {
            problems.push(ProblemRecord {
                path: newcomer.clone(),
                campaign: self.campaign_at(newcomer).map(|campaign| campaign.id.to_string()),
                severity: Severity::Error,
                line: 0,
                column: 0,
                code: Code::DuplicateID.to_string(),
                message: format!("the id is taken by {keeper}"),
            });
        }
        problems
            .sort_by(|a, b| (&a.path, a.line, a.column, &a.code).cmp(&(&b.path, b.line, b.column, &b.code)));
        let known: HashSet<&ProblemRecord> =
            self.written_problems.iter().flat_map(|(_, problems)| problems).collect();
        report::problems(problems.iter().filter(|problem| !known.contains(problem)));
        Some((causes, problems))
    }

    /// The problems have been written.
    pub fn problems_written(&mut self, causes: Causes, problems: Vec<ProblemRecord>) {
        self.written_problems = Some((causes, problems));
    }

    /// The steps in the ledger that a change of the folder asks for.
    pub fn steps(
        &self,
        change: Change,
        snapshot: &Snapshot,
        commit: Option<&Commit>,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Vec<Step> {
        match change {
            Change::Apply { campaign, path } => {
                let is_new = !catalogue.is_in_force(&campaign);
                let standing = catalogue.standing(&campaign);
                let is_enabled = self.campaign_at(&path).is_some_and(|campaign| campaign.enabled);
                let decided_until = match &standing {
                    Some((before, at)) if is_enabled => plan::decided_until(now, before, at.decided_until),
                    _ => now,
                };
                let waits_for = |at: &plan::Standing| match at.hold {
                    plan::Hold::Paused => plan::Miss::Paused,
                    _ => plan::Miss::CatchUp,
                };
                let hold = match &standing {
                    Some((_, at)) if is_enabled => plan::Hold::Replaced(waits_for(at)),
                    _ => plan::Hold::Ends(plan::Miss::Disabled),
                };
                let mut steps = give_up(&campaign, standing, hold, now);
                steps.extend(self.apply(
                    campaign,
                    path,
                    snapshot,
                    commit,
                    &Start { is_new, decided_until, at: now },
                ));
                steps
            }
            Change::Move { campaign, path } => {
                vec![Step::Mark(campaign, CampaignMark::Moved { path })]
            }
            Change::Reject { campaign } => {
                vec![Step::Mark(campaign, CampaignMark::Rejected)]
            }
            Change::Accept { campaign } => {
                vec![Step::Mark(campaign, CampaignMark::Accepted)]
            }
            Change::Suspend { campaign } => {
                vec![Step::Mark(campaign, CampaignMark::Gone { since: now })]
            }
            Change::Hold { campaign } => vec![Step::Mark(campaign, CampaignMark::Held { since: now })],
            Change::Restore { campaign } => {
                vec![Step::Mark(campaign, CampaignMark::Back)]
            }
            Change::Remove { campaign: id } => {
                let mut steps =
                    give_up(&id, catalogue.standing(&id), plan::Hold::Ends(plan::Miss::Removed), now);
                steps.push(Step::Mark(id, CampaignMark::Removed));
                steps
            }
        }
    }

    /// The campaign that the file at a path makes.
    fn campaign_at(&self, path: &str) -> Option<&Arc<Campaign>> {
        self.files.get(path)?.campaign.as_ref()
    }

    fn apply(
        &self,
        id: CampaignID,
        path: String,
        snapshot: &Snapshot,
        commit: Option<&Commit>,
        start: &Start,
    ) -> Option<Step> {
        let Start { is_new, decided_until, at: now } = *start;
        let campaign = Arc::clone(self.campaign_at(&path)?);
        let FileState::Read { bytes, sha256 } = snapshot.files.get(&*path)? else { return None };
        let revision = NewRevision {
            campaign: id,
            commit_id: commit.map(|commit| commit.id.clone()),
            dirty: commit.map(|commit| commit.differing.contains(&path)),
            path,
            sha256: sha256.to_string(),
            yaml: bytes.to_vec(),
            gateway: campaign.gateway.clone(),
            labels: serde_json::json!(campaign.labels).to_string(),
            enabled: campaign.enabled,
            applied_at: now,
            decided_until,
        };
        let tell_late = is_new && campaign.enabled;
        let late = if tell_late { plan::applied_late(now, &campaign) } else { Vec::new() };
        Some(Step::Apply(Box::new(revision), late))
    }
}

/// Decides the slots that a campaign will not run any more.
fn give_up(
    id: &CampaignID,
    standing: Option<(Arc<Campaign>, plan::Standing)>,
    hold: plan::Hold,
    now: Timestamp,
) -> Vec<Step> {
    let Some((campaign, standing)) = standing else { return Vec::new() };
    let plans = plan::give_up(now, &campaign, plan::Standing { hold, ..standing });
    plans.into_iter().map(|plan| Step::Decide(id.clone(), plan)).collect()
}

/// What a change of the folder does to the ledger.
pub enum Step {
    Apply(Box<NewRevision>, Vec<plan::Decision>),
    Decide(CampaignID, plan::Plan),
    Mark(CampaignID, CampaignMark),
}

impl Step {
    /// Takes the step.
    pub fn take(&self, store: &mut dyn Store, now: Timestamp) -> Stored<()> {
        let decide = |store: &mut dyn Store, campaign: &CampaignID, decisions: &[plan::Decision], marks| {
            let (decided_until, queued) = marks;
            let decisions = decisions.iter().map(|decision| (decision.clone(), None)).collect();
            let campaign = campaign.clone();
            let plan = DecidedSlots { campaign, decisions, decided_until, queued, next_occurrence: None };
            store.slots_decide(&[plan], now).map(|_| ())
        };
        match self {
            Step::Apply(revision, late) => {
                store.campaign_apply(revision)?;
                // Only of a newcomer, which has no queue.
                if !late.is_empty() {
                    decide(store, &revision.campaign, late, (revision.decided_until, None))?;
                }
            }
            Step::Decide(campaign, plan) => {
                decide(store, campaign, &plan.decisions, (plan.decided_until, plan.queued))?;
            }
            Step::Mark(campaign, mark) => store.campaign_mark(campaign, mark)?,
        }
        Ok(())
    }
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
