//! When the folder is read, and what follows from what it holds.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

use super::{LEDGER_RETRY, Parts, conductor::Conductor, report};
use crate::{
    campaign::CampaignID,
    folder::{Commit, FileState, FolderFault, Look, Snapshot},
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
const LONGEST_UNREAD: SignedDuration = SignedDuration::from_secs(120);
/// Reading it again, unasked, comes after so many times what that took: a large folder costs little as well.
const REST: i32 = 10_000;
/// But so soon when something has just changed, for a file that changes twice in a moment can look as after once.
const ONCE_MORE: SignedDuration = SignedDuration::from_secs(4);
/// Of so many unasked scans one reads every file, whatever its stamp says.
const READ_EVERYTHING: u32 = 12;
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
    /// How long it then rests at least, unless it changes.
    rest: SignedDuration,
    /// The scan under way.
    under_way: Option<UnderWay>,
    /// How many scans nobody and nothing has asked for, and whether the next scan is one that reads everything.
    unasked: u32,
    reads_everything: bool,
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

/// A scan under way, beside everything else: a disk may be slow, and what is due does not wait for it.
struct UnderWay {
    /// What it was begun for.
    unrest: Option<Unrest>,
    at: Option<Timestamp>,
    began: Timestamp,
    found: JoinHandle<Found>,
}

type Found = Result<Arc<Snapshot>, FolderFault>;

/// A scan that is over.
pub struct Scanned {
    unrest: Option<Unrest>,
    at: Option<Timestamp>,
    took: SignedDuration,
    /// What it has found, or why it has found nothing.
    found: Result<Arc<Snapshot>, String>,
}

impl Scanning {
    /// Begins to read the folder.
    fn begin(&mut self, parts: &Parts) {
        let look = if std::mem::take(&mut self.reads_everything) { Look::Bytes } else { Look::Stamps };
        let (folder, now) = (Arc::clone(&parts.folder), parts.clock.now());
        self.under_way = Some(UnderWay {
            unrest: self.unrest.take(),
            at: self.at.take(),
            began: parts.clock.steady(),
            found: tokio::task::spawn_blocking(move || folder.scan(look, now)),
        });
    }

    /// What the scan under way has found; never ends while there is none.
    pub async fn scanned(&mut self, parts: &Parts) -> Scanned {
        let found = match &mut self.under_way {
            Some(under_way) => (&mut under_way.found).await,
            None => std::future::pending().await,
        };
        let found = match found {
            Ok(found) => found.map_err(|fault| fault.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (unrest, at, began) = match self.under_way.take() {
            Some(UnderWay { unrest, at, began, .. }) => (unrest, at, began),
            None => return std::future::pending().await,
        };
        let ended = parts.clock.steady();
        self.read_at = Some(ended);
        Scanned { unrest, at, took: ended.duration_since(began), found }
    }

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

    /// Git is changing the checkout: tells whether the unrest goes on in which the folder was read, `before` and
    /// since.
    fn waits_for_git(&mut self, before: Option<Unrest>, at: Option<Timestamp>, parts: &Parts) -> bool {
        let steady = parts.clock.steady();
        let git_at_the_latest = before.as_ref().map(|unrest| unrest.git_at_the_latest);
        let latest = self.unrest.take().or(before).map(|unrest| {
            let git_at_the_latest = git_at_the_latest.unwrap_or(unrest.git_at_the_latest);
            Unrest { git_until: unrest.git_until.min(git_at_the_latest), git_at_the_latest, ..unrest }
        });
        self.unrest = latest.filter(|unrest| steady < unrest.git_until).map(|unrest| Unrest {
            quiet_at: steady + QUIET,
            give_up_at: steady + NEVER_QUIET,
            ..unrest
        });
        if self.unrest.is_some() {
            let next = parts.clock.now() + QUIET;
            if let Some(at) = at {
                self.look_at(at.max(next));
            }
        }
        self.unrest.is_some()
    }

    /// It may be time to read the folder again: when it has rested for long enough.
    pub fn rescan(&mut self, parts: &Parts) {
        let is_rested = self.read_at.is_none_or(|at| parts.clock.steady().duration_since(at) >= self.rest);
        if is_rested && self.unrest.is_none() && self.under_way.is_none() {
            self.folder_changes(parts);
            // As far as anybody knows nothing has changed, so there is no change to wait for.
            self.unrest =
                self.unrest.take().map(|unrest| Unrest { git_until: parts.clock.steady(), ..unrest });
            self.unasked = self.unasked.wrapping_add(1);
            self.reads_everything = self.unasked.is_multiple_of(READ_EVERYTHING);
        }
    }

    /// How long until the folder has been quiet, while it changes; a scan under way comes first.
    pub fn quiet_in(&self, parts: &Parts) -> Option<Duration> {
        if self.under_way.is_some() {
            return None;
        }
        let left = self.unrest.as_ref()?.quiet_at.duration_since(parts.clock.steady());
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// When it wants a look whether anything changes or not.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.at.filter(|_| self.under_way.is_none())
    }

    /// Reads the folder then, at the latest.
    pub fn look_at(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }

    /// Whether it is time to read the folder.
    fn is_due(&self, parts: &Parts) -> bool {
        if self.under_way.is_some() {
            return false;
        }
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
        self.scanning.begin(&self.parts);
        let scanned = self.scanning.scanned(&self.parts).await;
        self.obey_scan(scanned).await;
    }

    /// Begins to read the folder, if it is time to.
    pub fn scan_if_due(&mut self) {
        if self.scanning.is_due(&self.parts) {
            self.scanning.begin(&self.parts);
        }
    }

    /// Obeys what a scan has found.
    pub async fn obey_scan(&mut self, scanned: Scanned) {
        let Scanned { unrest, at, took, found } = scanned;
        let is_known = found.as_ref().is_ok_and(|snapshot| self.intake.has_read(snapshot));
        self.scanning.rest = if is_known { (took * REST).min(LONGEST_UNREAD) } else { ONCE_MORE };
        let obeyed = match found {
            Ok(snapshot)
                if snapshot.git_is_changing && self.scanning.waits_for_git(unrest, at, &self.parts) =>
            {
                return;
            }
            Ok(snapshot) => {
                let blank = snapshot.files.is_empty().then(|| "the campaigns folder is empty".to_owned());
                self.obey(snapshot, blank).await
            }
            Err(why) => self.obey(Arc::default(), Some(why)).await,
        };
        if let Err(error) = obeyed {
            tracing::error!(%error, "a change of the folder cannot be recorded, and waits");
            self.scanning.look_at(self.parts.clock.now() + LEDGER_RETRY);
        }
    }

    /// Compares the folder with what is in force and records the difference. `blank`: why there is nothing
    /// to see.
    async fn obey(&mut self, snapshot: Arc<Snapshot>, blank: Option<String>) -> Stored<()> {
        let guard = *self.parts.signals.guard.borrow();
        let is_obeyed = |(before, guard_before): &(_, _)| *before == snapshot && *guard_before == guard;
        if blank.is_none() && self.scanning.obeyed.as_ref().is_some_and(is_obeyed) {
            return Ok(());
        }
        self.scanning.obeyed = None;
        let (now, is_blank) = (self.parts.clock.now(), blank.is_some());
        self.intake.read(&self.parts, &snapshot, now);
        let files = self.intake.found();
        let in_force = self.catalogue.in_force();
        let seen = Seen { files: &files, blank: is_blank, unsettled: snapshot.git_is_changing };
        let wishes = revision::compare(&in_force, seen, guard, now);
        if let Some(at) = wishes.look_again_at {
            self.scanning.look_at(at);
        }
        let nothing_in_force = in_force.values().all(|known| known.removed);
        self.scanning.tell(obstacle(&wishes, blank, nothing_in_force, guard, &snapshot));
        // Whoever is missing may count as removed later, without any change of the folder.
        let is_settled = !is_blank && in_force.values().all(|known| known.removed || known.is_there());
        if let Some((causes, problems)) = self.intake.changed_problems(&self.catalogue, &wishes.duplicates) {
            let written = problems.clone();
            self.parts.ledger.call(move |store| store.problems_replace(&written, now)).await?;
            self.intake.problems_written(causes, problems);
        }
        if wishes.changes.is_empty() {
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
        report::folder_changes(&wishes.changes, |campaign| self.catalogue.is_in_force(campaign));
        let changed: Vec<CampaignID> =
            wishes.changes.iter().map(|change| change.campaign().clone()).collect();
        let steps = wishes.changes.into_iter();
        let steps: Vec<_> = steps
            .flat_map(|change| self.intake.steps(change, &snapshot, commit.as_ref(), &self.catalogue, now))
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
            Change::Apply { path, .. } => Some((path.clone(), snapshot.files.get(&**path)?)),
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
