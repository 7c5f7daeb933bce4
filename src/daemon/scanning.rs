//! When the folder is read, and what follows from what it holds.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{LEDGER_RETRY, Parts, conductor::Conductor};
use crate::{
    campaign::CampaignID,
    folder::{Commit, FileState, Snapshot},
    revision::{self, Change, Guard, Seen, Wishes},
    store::Stored,
};

/// The folder counts as quiet when nothing has changed for so long.
const QUIET: SignedDuration = SignedDuration::from_millis(150);
/// A folder that is never quiet is read all the same after so long.
const NEVER_QUIET: SignedDuration = SignedDuration::from_secs(5);
/// While git changes the checkout, and files of it have changed within this time, the change is not over; but
/// whoever left a lock behind is not waited for for ever.
const GIT_AT_WORK: SignedDuration = SignedDuration::from_secs(5);
const GIT_LONGEST: SignedDuration = SignedDuration::from_secs(60);
/// The folder is read after so long, should the jobs that keep house have fallen silent: the one who
/// calls them does when the clock is set back.
const LONGEST_UNREAD: SignedDuration = SignedDuration::from_secs(15);
/// Reading it again, unasked, comes after so many times what that took: a large folder costs little as well.
const REST: i32 = 300;
/// How long git may take to tell a commit; a change takes effect without one then.
const GIT_PATIENCE: Duration = Duration::from_secs(2);

/// When the folder is read next.
#[derive(Default)]
pub struct Scanning {
    /// When it wants another look, because a removal waits for its grace.
    at: Option<Timestamp>,
    /// While something changes in the folder.
    unrest: Option<Unrest>,
    /// When it was read last, by the steady clock.
    read_at: Option<Timestamp>,
    /// How long that took.
    took: SignedDuration,
    /// What it held, and the guard, when it last asked for nothing more.
    obeyed: Option<(Arc<Snapshot>, Guard)>,
    /// What keeps removals from being obeyed, as it was told last.
    told: Option<String>,
}

/// Something changes in the folder: when it will have been quiet for long enough, and when it is read
/// however unquiet it is, by the steady clock.
struct Unrest {
    quiet_at: Timestamp,
    give_up_at: Timestamp,
    /// Until when git is waited for, and no longer than the last.
    git_until: Timestamp,
    git_at_the_latest: Timestamp,
}

impl Scanning {
    /// Something changes in the folder: it is read once nothing has for a moment, and no file of it is being
    /// written.
    pub fn folder_changes(&mut self, parts: &Parts) {
        let steady = parts.clock.steady();
        let give_up_at = self.unrest.as_ref().map_or(steady + NEVER_QUIET, |unrest| unrest.give_up_at);
        let git_at_the_latest =
            self.unrest.as_ref().map_or(steady + GIT_LONGEST, |unrest| unrest.git_at_the_latest);
        let git_until = git_at_the_latest.min(steady + GIT_AT_WORK);
        let is_written = parts.signals.folder_is_written.load(Ordering::Relaxed);
        let quiet_at = if is_written { give_up_at } else { give_up_at.min(steady + QUIET) };
        self.unrest = Some(Unrest { quiet_at, give_up_at, git_until, git_at_the_latest });
    }

    /// Git is changing the checkout: tells whether this unrest, in which the folder was read, goes on.
    fn waits_for_git(&mut self, unrest: Option<Unrest>, parts: &Parts) -> bool {
        let steady = parts.clock.steady();
        let unrest = unrest.filter(|unrest| steady < unrest.git_until);
        self.unrest = unrest.map(|unrest| Unrest {
            quiet_at: steady + QUIET,
            give_up_at: steady + NEVER_QUIET,
            ..unrest
        });
        if self.unrest.is_some() {
            let next = parts.clock.now() + QUIET;
            self.at = self.at.map(|at| at.max(next));
        }
        self.unrest.is_some()
    }

    /// It may be time to read the folder again: when it has rested for long enough.
    pub fn rescan(&mut self, parts: &Parts) {
        let rest = (self.took * REST).min(LONGEST_UNREAD);
        let is_rested = self.read_at.is_none_or(|at| parts.clock.steady().duration_since(at) >= rest);
        if is_rested && self.unrest.is_none() {
            self.folder_changes(parts);
            // As far as anybody knows nothing has changed, so there is no change to wait for.
            self.unrest =
                self.unrest.take().map(|unrest| Unrest { git_until: parts.clock.steady(), ..unrest });
        }
    }

    /// How long until the folder has been quiet, while it changes.
    pub fn quiet_in(&self, parts: &Parts) -> Option<Duration> {
        let left = self.unrest.as_ref()?.quiet_at.duration_since(parts.clock.steady());
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// When it wants a look whether anything changes or not.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.at
    }

    /// Reads the folder then, at the latest.
    pub fn look_at(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }

    /// Whether it is time to read the folder.
    pub fn is_due(&self, parts: &Parts) -> bool {
        let unread = self.read_at.is_some_and(|at| parts.clock.steady().duration_since(at) >= LONGEST_UNREAD);
        self.at.is_some_and(|at| at <= parts.clock.now())
            || self.quiet_in(parts) == Some(Duration::ZERO)
            || self.unrest.is_none() && unread
    }

    /// Tells what keeps removals from being obeyed, once.
    fn tell(&mut self, why: Option<String>) {
        if why != self.told {
            if let Some(why) = &why {
                tracing::warn!("{why}");
            }
            self.told = why;
        }
    }
}

impl Conductor {
    /// Reads the folder and obeys it.
    pub async fn scan(&mut self) {
        let unrest = self.scanning.unrest.take();
        let began = self.parts.clock.steady();
        let folder = Arc::clone(&self.parts.folder);
        let scanned = tokio::task::spawn_blocking(move || folder.scan()).await;
        let obeyed = match scanned {
            Ok(Ok(snapshot))
                if snapshot.git_is_changing && self.scanning.waits_for_git(unrest, &self.parts) =>
            {
                return;
            }
            Ok(Ok(snapshot)) => {
                let blank = snapshot.files.is_empty().then(|| "the campaigns folder is empty".to_owned());
                self.obey(snapshot, blank).await
            }
            Ok(Err(fault)) => self.obey(Arc::default(), Some(fault.to_string())).await,
            Err(error) => self.obey(Arc::default(), Some(error.to_string())).await,
        };
        let ended = self.parts.clock.steady();
        (self.scanning.read_at, self.scanning.took) = (Some(ended), ended.duration_since(began));
        if let Err(error) = obeyed {
            tracing::error!(%error, "a change of the folder cannot be recorded, and waits");
            self.scanning.at = Some(self.parts.clock.now() + LEDGER_RETRY);
        }
    }

    /// Compares the folder with what is in force and records the difference. `blank`: why there is nothing
    /// to see.
    async fn obey(&mut self, snapshot: Arc<Snapshot>, blank: Option<String>) -> Stored<()> {
        let guard = *self.parts.signals.guard.borrow();
        self.scanning.at = None;
        let is_obeyed = |(before, guard_before): &(_, _)| *before == snapshot && *guard_before == guard;
        if blank.is_none() && self.scanning.obeyed.as_ref().is_some_and(is_obeyed) {
            return Ok(());
        }
        self.scanning.obeyed = None;
        let (now, is_blank) = (self.parts.clock.now(), blank.is_some());
        let files = self.intake.read(&self.parts, &snapshot, now);
        let in_force = self.catalogue.in_force();
        let seen = Seen { files: &files, blank: is_blank, unsettled: snapshot.git_is_changing };
        let wishes = revision::compare(&in_force, seen, guard, now);
        self.scanning.at = wishes.look_again_at;
        let nothing_in_force = in_force.values().all(|known| known.removed);
        self.scanning.tell(obstacle(&wishes, blank, nothing_in_force, guard, &snapshot));
        if let Some(problems) = self.intake.changed_problems(&self.catalogue, &wishes.duplicates) {
            let written = problems.clone();
            self.parts.ledger.call(move |store| store.problems_replace(&written, now)).await?;
            self.intake.problems_written(problems);
        }
        if wishes.changes.is_empty() {
            // Whoever is missing may count as removed later, without any change of the folder.
            let is_settled = !is_blank && in_force.values().all(|known| known.removed || known.is_there());
            self.scanning.obeyed = is_settled.then_some((snapshot, guard));
            return Ok(());
        }
        self.disperse_crowd().await?;
        let commit = self.commit(&wishes, &snapshot).await;
        for change in &wishes.changes {
            let campaign = change.campaign();
            // A file that is gone, perhaps since before this daemon began, starts nothing any more; one that
            // is back with an edit goes on as if it had never been gone.
            match change {
                Change::Suspend { .. } => self.catalogue.gone(campaign, Some(now)),
                Change::Apply { .. } => self.catalogue.gone(campaign, None),
                _ => {}
            }
            self.catalogue.wake_at(campaign, Some(now));
        }
        // Slots up to now belong to the revisions in force until now: all of them, of which a call decides
        // only so many.
        while self.catalogue.next_at().is_some_and(|at| at <= self.parts.clock.now()) {
            self.decide().await?;
        }
        let changed: Vec<CampaignID> =
            wishes.changes.iter().map(|change| change.campaign().clone()).collect();
        let steps = wishes.changes.into_iter();
        let steps: Vec<_> = steps
            .flat_map(|change| {
                self.intake.steps(change, &snapshot, commit.as_ref(), &self.catalogue, &in_force, now)
            })
            .collect();
        let records = self
            .parts
            .ledger
            .call(move |store| {
                for step in &steps {
                    step.take(store, now)?;
                }
                store.campaigns_named(&changed)
            })
            .await?;
        let campaigns = self.read(&records);
        self.catalogue.take(records, campaigns, self.parts.clock.now());
        Ok(())
    }

    /// The commit that the files to be applied come from, where git tells it in time.
    async fn commit(&self, wishes: &Wishes, snapshot: &Snapshot) -> Option<Commit> {
        let applied = wishes.changes.iter().filter_map(|change| match change {
            Change::Apply { path, .. } => Some((path.clone(), snapshot.files.get(path)?)),
            _ => None,
        });
        let files: Vec<_> = applied
            .filter_map(|(path, state)| match state {
                FileState::Read { bytes, .. } => Some((path, Arc::clone(bytes))),
                FileState::Unreadable(_) => None,
            })
            .collect();
        if files.is_empty() {
            return None;
        }
        let folder = Arc::clone(&self.parts.folder);
        let asked = tokio::task::spawn_blocking(move || {
            let files: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), &**bytes)).collect();
            folder.commit(&files)
        });
        tokio::time::timeout(GIT_PATIENCE, asked).await.ok()?.ok()?
    }
}

/// What keeps removals from being obeyed, for people.
fn obstacle(
    wishes: &Wishes,
    blank: Option<String>,
    nothing_in_force: bool,
    guard: Guard,
    snapshot: &Snapshot,
) -> Option<String> {
    match (blank, wishes.guarded) {
        (Some(why), _) if nothing_in_force => Some(format!("there is no campaign: {why}")),
        (Some(why), _) => {
            Some(format!("the campaigns in force stay so: the campaigns folder is held: {why}"))
        }
        (None, Some((missing, of))) => Some(format!(
            "{missing} of {of} campaigns have no file any more, more than {}%: they stay in force until the files \
             are back or `campaignd apply --removals` is given",
            guard.max_removed_percent
        )),
        (None, None) if wishes.unsettled => {
            let why = match snapshot.git_is_changing {
                true => "git is changing the checkout (.git/index.lock is there)",
                false => "a file has problems and no id that can be read, so it may be one of them",
            };
            Some(format!("campaigns whose files are gone stay suspended: {why}"))
        }
        (None, None) => None,
    }
}
