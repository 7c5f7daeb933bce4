//! What a change of the folder means for the campaigns in force.
//!
//! Knows: identities, digests, the grace before a removal, the guard against many at once. Must never
//! know: how files are read or where revisions are kept. A change is a wish of the folder compared with
//! what is in force, so the same folder asked for twice changes nothing, and what it held in between
//! does not count.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::campaign::CampaignID;

/// How long a file may be gone before its campaign counts as removed.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// When a removal whose grace is over is looked at again, while the folder is in the middle of something.
const UNSETTLED: SignedDuration = SignedDuration::from_secs(1);

/// A campaign that the ledger knows, as far as the folder is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<'a> {
    pub path: &'a str,
    /// Of the bytes of the revision in force.
    pub sha256: &'a str,
    /// Since when it is in force, without having been removed.
    pub since: Timestamp,
    /// Since when its file is gone.
    pub gone_since: Option<Timestamp>,
    pub removed: bool,
    /// Since when its file is missing and that is not obeyed.
    pub held_since: Option<Timestamp>,
    /// Whether a person has said that its removal shall be obeyed.
    pub removal_allowed: bool,
    /// Whether an edit of it has been rejected.
    pub rejected: bool,
}

impl InForce<'_> {
    /// Whether its file was there when it was last looked for.
    pub fn is_there(&self) -> bool {
        self.gone_since.is_none() && self.held_since.is_none()
    }
}

/// What the folder holds.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Any order will do; that of their paths is the fastest.
    pub files: &'a [&'a Found],
    /// It is empty or cannot be read: what is missing is held.
    pub blank: bool,
    /// Somebody is in the middle of changing it: nothing counts as removed yet.
    pub unsettled: bool,
}

/// A file of the folder, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: Arc<str>,
    pub sha256: Arc<str>,
    pub content: Content,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Campaign(CampaignID),
    /// It has problems; the id that it gives all the same, where that can be read.
    Broken(Option<CampaignID>),
}

/// How much may vanish at once and be obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// More than this share of the campaigns in force, in percent, is held.
    pub max_removed_percent: u8,
    /// From so many on.
    pub from: u32,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { max_removed_percent: 50, from: 3 }
    }
}

impl Guard {
    /// Whether it holds so many that are missing of so many.
    fn holds(self, missing: usize, of: usize) -> bool {
        missing as u64 >= u64::from(self.from)
            && missing as u64 * 100 > u64::from(self.max_removed_percent) * of as u64
    }
}

/// What the folder asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This file is the campaign's revision from now on.
    Apply { campaign: CampaignID, path: String },
    /// The same bytes under another name.
    Move { campaign: CampaignID, path: String },
    /// This file was the campaign and has problems, or cannot be seen: the last good revision stays.
    Reject { campaign: CampaignID },
    /// The edit is taken back: the file is the revision in force again.
    Accept { campaign: CampaignID },
    /// Its file is gone: it waits.
    Suspend { campaign: CampaignID },
    /// Its file is missing and that is not obeyed: it stays in force.
    Hold { campaign: CampaignID },
    /// Its file is there again.
    Restore { campaign: CampaignID },
    /// Its file has been gone for [`GRACE`], or a person has allowed its removal.
    Remove { campaign: CampaignID },
}

impl Change {
    /// Whom it is about.
    pub fn campaign(&self) -> &CampaignID {
        match self {
            Change::Apply { campaign, .. }
            | Change::Move { campaign, .. }
            | Change::Reject { campaign }
            | Change::Accept { campaign }
            | Change::Suspend { campaign }
            | Change::Hold { campaign }
            | Change::Restore { campaign }
            | Change::Remove { campaign } => campaign,
        }
    }
}

/// What the folder asks for, all together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    pub changes: Vec<Change>,
    /// Files whose id another file has already: (the newcomer, the one that keeps it).
    pub duplicates: Vec<(String, String)>,
    /// When a suspended campaign will count as removed.
    pub look_again_at: Option<Timestamp>,
    /// What the guard holds: how many are missing, of how many.
    pub guarded: Option<(usize, usize)>,
    /// Whether a removal whose grace is over waits for the folder to be settled.
    pub unsettled: bool,
}

/// Compares the folder with what is in force. Both are gone through side by side, in the order of the
/// campaigns: there may be tens of thousands, and one edit of one of them is waited for.
pub fn compare(
    in_force: &BTreeMap<&CampaignID, InForce<'_>>,
    seen: Seen<'_>,
    guard: Guard,
    now: Timestamp,
) -> Wishes {
    let mut wishes = Wishes::default();
    let broken = Broken::among(seen.files);
    let mut unclaimed = Vec::new();
    let mut known = in_force.iter().map(|(campaign, known)| (*campaign, known)).peekable();
    for claims in claims(seen.files).chunk_by_mut(|(one, _), (other, _)| one == other) {
        let campaign = claims[0].0;
        while let Some(other) = known.next_if(|(other, _)| *other < campaign) {
            unclaimed.push(other);
        }
        let known = known.next_if(|(other, _)| *other == campaign).filter(|(_, known)| !known.removed);
        match (owner(known.map(|(_, known)| known), claims, &broken, &mut wishes.duplicates), known) {
            (Some(file), Some((_, known))) if *known.sha256 == *file.sha256 => {
                if known.is_missed() {
                    wishes.changes.push(Change::Restore { campaign: campaign.clone() });
                }
                if known.rejected {
                    wishes.changes.push(Change::Accept { campaign: campaign.clone() });
                }
                if *known.path != *file.path {
                    let path = file.path.to_string();
                    wishes.changes.push(Change::Move { campaign: campaign.clone(), path });
                }
            }
            (Some(file), _) => {
                wishes
                    .changes
                    .push(Change::Apply { campaign: campaign.clone(), path: file.path.to_string() });
            }
            (None, known) => unclaimed.extend(known),
        }
    }
    wishes.duplicates.sort();
    unclaimed.extend(known);
    let (rejected, missing): (Vec<_>, Vec<_>) = unclaimed
        .into_iter()
        .filter(|(_, known)| !known.removed)
        .partition(|(campaign, known)| broken.has_edit_of(campaign, known));
    for (campaign, known) in rejected {
        if known.is_missed() {
            wishes.changes.push(Change::Restore { campaign: campaign.clone() });
        }
        if !known.rejected {
            wishes.changes.push(Change::Reject { campaign: campaign.clone() });
        }
    }
    wishes.guarded = guarded(in_force, &missing, guard, now);
    let held = seen.blank || wishes.guarded.is_some();
    let unsettled = LazyCell::new(|| seen.unsettled || broken.hides_a_name(in_force));
    for (campaign, known) in missing {
        let campaign = campaign.clone();
        match known.gone_since {
            _ if known.removal_allowed => wishes.changes.push(Change::Remove { campaign }),
            _ if held => {
                if known.held_since.is_none() {
                    wishes.changes.push(Change::Hold { campaign });
                }
            }
            None => {
                wishes.changes.push(Change::Suspend { campaign });
                wishes.look_again(now + GRACE);
            }
            Some(since) if now.duration_since(since) < GRACE => wishes.look_again(since + GRACE),
            Some(_) if *unsettled => {
                wishes.unsettled = true;
                wishes.look_again(now + UNSETTLED);
            }
            Some(_) => wishes.changes.push(Change::Remove { campaign }),
        }
    }
    wishes
}

impl Wishes {
    fn look_again(&mut self, at: Timestamp) {
        self.look_again_at = Some(self.look_again_at.map_or(at, |other| other.min(at)));
    }
}

impl InForce<'_> {
    /// Whether its file is known to be missing.
    fn is_missed(&self) -> bool {
        self.gone_since.is_some() || self.held_since.is_some()
    }
}

/// The files with problems.
struct Broken<'a> {
    paths: HashSet<&'a str>,
    /// Folders that cannot be read; their paths end with `/`.
    folders: Vec<&'a str>,
    ids: HashSet<&'a CampaignID>,
    /// Those whose id cannot be read.
    nameless: Vec<&'a str>,
}

impl<'a> Broken<'a> {
    fn among(files: &[&'a Found]) -> Broken<'a> {
        let mut broken =
            Broken { paths: HashSet::new(), folders: Vec::new(), ids: HashSet::new(), nameless: Vec::new() };
        for file in files {
            let Content::Broken(id) = &file.content else { continue };
            broken.paths.insert(&file.path);
            broken.ids.extend(id);
            broken.folders.extend(file.path.ends_with('/').then_some(&*file.path));
            broken.nameless.extend(id.is_none().then_some(&*file.path));
        }
        broken
    }

    /// Whether one of them is a campaign's file: at its path, in a folder there, or with its id elsewhere.
    fn has_edit_of(&self, campaign: &CampaignID, known: &InForce<'_>) -> bool {
        self.paths.contains(known.path)
            || self.ids.contains(campaign)
            || self.folders.iter().any(|folder| known.path.starts_with(folder))
    }

    /// Whether one of them might be any campaign's file: nobody can tell which.
    fn hides_a_name(&self, in_force: &BTreeMap<&CampaignID, InForce<'_>>) -> bool {
        let known: HashSet<&str> =
            in_force.values().filter(|known| !known.removed).map(|known| known.path).collect();
        self.nameless.iter().any(|path| !known.contains(path))
    }
}

/// How many are missing, of how many, when the guard holds them. What came into force after the first of
/// them vanished does not count: a folder of other campaigns would make up for those of this one.
fn guarded(
    in_force: &BTreeMap<&CampaignID, InForce<'_>>,
    missing: &[(&CampaignID, &InForce<'_>)],
    guard: Guard,
    now: Timestamp,
) -> Option<(usize, usize)> {
    let undecided = missing.iter().filter(|(_, known)| !known.removal_allowed);
    let (count, first) = undecided.fold((0, now), |(count, first), (_, known)| {
        let since = known.held_since.or(known.gone_since).unwrap_or(now);
        (count + 1, first.min(since))
    });
    let of = in_force.values().filter(|known| !known.removed && known.since < first).count().max(count);
    guard.holds(count, of).then_some((count, of))
}

/// The files that are campaigns, in the order of those.
fn claims<'a>(found: &[&'a Found]) -> Vec<(&'a CampaignID, &'a Found)> {
    let mut claims: Vec<(&CampaignID, &Found)> = Vec::with_capacity(found.len());
    for file in found {
        if let Content::Campaign(campaign) = &file.content {
            claims.push((campaign, file));
        }
    }
    claims.sort_by_key(|(campaign, _)| *campaign);
    claims
}

/// Which of the files with one id is its campaign. The one in force keeps it, even while that has problems
/// (then it is none of these); else the one with its bytes, else the first by path. The others are newcomers.
fn owner<'a>(
    known: Option<&InForce<'_>>,
    files: &mut [(&CampaignID, &'a Found)],
    broken: &Broken<'_>,
    duplicates: &mut Vec<(String, String)>,
) -> Option<&'a Found> {
    files.sort_by_key(|(_, file)| {
        let elsewhere = known.is_none_or(|known| *known.path != *file.path);
        let changed = known.is_none_or(|known| *known.sha256 != *file.sha256);
        (elsewhere, changed, &file.path)
    });
    let broken_at_home = known.filter(|known| broken.paths.contains(known.path));
    let (owner, keeper, newcomers) = match (broken_at_home, &*files) {
        (None, [(_, first), others @ ..]) => (Some(*first), &*first.path, others),
        (Some(known), files) => (None, known.path, files),
        (None, []) => return None,
    };
    duplicates.extend(newcomers.iter().map(|(_, file)| (file.path.to_string(), keeper.to_owned())));
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// One campaign in force: (id, path, digest).
    fn known(id: &str, path: &str, sha256: &str) -> (CampaignID, InForce<'static>) {
        let in_force = InForce {
            path: path.to_owned().leak(),
            sha256: sha256.to_owned().leak(),
            since: at(-1_000),
            gone_since: None,
            removed: false,
            held_since: None,
            removal_allowed: false,
            rejected: false,
        };
        (id.parse().unwrap(), in_force)
    }

    fn gone(id: &str, since_seconds: i64) -> (CampaignID, InForce<'static>) {
        let (campaign, in_force) = known(id, &format!("{id}.yaml"), "1");
        (campaign, InForce { gone_since: Some(at(since_seconds)), ..in_force })
    }

    fn held(id: &str, since_seconds: i64) -> (CampaignID, InForce<'static>) {
        let (campaign, in_force) = known(id, &format!("{id}.yaml"), "1");
        (campaign, InForce { held_since: Some(at(since_seconds)), ..in_force })
    }

    /// A file: its path, its digest, the id of its campaign, or `!` and the id that it gives with problems.
    type File<'a> = (&'a str, &'a str, &'a str);

    /// What a folder's files, at the hundredth second, ask for.
    #[track_caller]
    fn check(in_force: Vec<(CampaignID, InForce<'static>)>, files: &[File<'_>], expected: &[&str]) {
        check_seen(in_force, files, false, expected);
    }

    #[track_caller]
    fn check_seen(
        in_force: Vec<(CampaignID, InForce<'static>)>,
        files: &[File<'_>],
        unsettled: bool,
        expected: &[&str],
    ) {
        let found: Vec<Found> = files
            .iter()
            .map(|(path, sha256, id)| Found {
                path: (*path).into(),
                sha256: (*sha256).into(),
                content: match id.strip_prefix('!') {
                    Some(id) => Content::Broken(id.parse().ok()),
                    None => Content::Campaign(id.parse().unwrap()),
                },
            })
            .collect();
        let found: Vec<&Found> = found.iter().collect();
        let seen = Seen { files: &found, blank: files.is_empty(), unsettled };
        let in_force = in_force.iter().map(|(campaign, in_force)| (campaign, *in_force)).collect();
        let wishes = compare(&in_force, seen, Guard::default(), at(100));
        let mut told: Vec<String> = wishes
            .changes
            .iter()
            .map(|change| match change {
                Change::Apply { campaign, path } => format!("apply {campaign} {path}"),
                Change::Move { campaign, path } => format!("move {campaign} {path}"),
                Change::Reject { campaign } => format!("reject {campaign}"),
                Change::Accept { campaign } => format!("accept {campaign}"),
                Change::Suspend { campaign } => format!("suspend {campaign}"),
                Change::Hold { campaign } => format!("hold {campaign}"),
                Change::Restore { campaign } => format!("restore {campaign}"),
                Change::Remove { campaign } => format!("remove {campaign}"),
            })
            .collect();
        told.extend(wishes.duplicates.iter().map(|(new, old)| format!("duplicate {new} of {old}")));
        told.extend(wishes.guarded.map(|(missing, of)| format!("guard {missing} of {of}")));
        told.extend(
            wishes.look_again_at.map(|when| format!("again in {}s", when.as_second() - at(100).as_second())),
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn a_new_file_and_a_changed_one_are_applied() {
        check(vec![], &[("a.yaml", "1", "a")], &["apply a a.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "2", "a")], &["apply a a.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "1", "a")], &[]);
    }

    #[test]
    fn a_broken_edit_is_rejected_once_and_can_be_mended() {
        let rejected = || {
            let (campaign, in_force) = known("a", "a.yaml", "1");
            vec![(campaign, InForce { rejected: true, ..in_force })]
        };
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "9", "!")], &["reject a"]);
        check(rejected(), &[("a.yaml", "9", "!")], &[]);
        // Its folder cannot be read.
        check(vec![known("a", "team/a.yaml", "1")], &[("team/", "", "!")], &["reject a"]);
        check(rejected(), &[("a.yaml", "1", "a")], &["accept a"]);
        check(rejected(), &[("a.yaml", "2", "a")], &["apply a a.yaml"]);
    }

    #[test]
    fn a_file_renamed_and_broken_at_once_is_still_its_campaign() {
        check(vec![known("a", "a.yaml", "1")], &[("z.yaml", "9", "!a")], &["reject a"]);
        check(vec![gone("a", 0)], &[("z.yaml", "9", "!a")], &["restore a", "reject a"]);
    }

    #[test]
    fn a_file_that_is_gone_suspends_and_then_removes() {
        let other = ("b.yaml", "1", "b");
        let both = |a| vec![a, known("b", "b.yaml", "1")];
        check(both(known("a", "a.yaml", "1")), &[other], &["suspend a", "again in 60s"]);
        check(both(gone("a", 41)), &[other], &["again in 1s"]);
        check(both(gone("a", 40)), &[other], &["remove a"]);
        check(both(gone("a", 40)), &[other, ("a.yaml", "1", "a")], &["restore a"]);
        check(both(gone("a", 40)), &[other, ("a.yaml", "9", "!")], &["restore a", "reject a"]);
    }

    #[test]
    fn nothing_is_removed_while_the_folder_is_unsettled() {
        let other = ("b.yaml", "1", "b");
        let both = |a| vec![a, known("b", "b.yaml", "1")];
        // In the middle of a checkout.
        check_seen(both(known("a", "a.yaml", "1")), &[other], true, &["suspend a", "again in 60s"]);
        check_seen(both(gone("a", 0)), &[other], true, &["again in 1s"]);
        // It may be the campaign's file under another name; one whose id can be read is not.
        check(both(gone("a", 0)), &[other, ("new.yaml", "9", "!")], &["again in 1s"]);
        check(both(gone("a", 0)), &[other, ("new.yaml", "9", "!new")], &["remove a"]);
        // This one is the other's.
        check(both(gone("a", 0)), &[("b.yaml", "9", "!")], &["reject b", "remove a"]);
        // A folder that cannot be read may hold it now.
        check(both(gone("a", 0)), &[other, ("team/", "", "!")], &["again in 1s"]);
    }

    #[test]
    fn an_empty_folder_is_held() {
        check(vec![known("a", "a.yaml", "1")], &[], &["hold a"]);
        check(vec![gone("a", 0)], &[], &["hold a"]);
        check(vec![held("a", 0)], &[], &[]);
        check(vec![held("a", 0)], &[("a.yaml", "1", "a")], &["restore a"]);
        check(vec![held("a", 0)], &[("b.yaml", "1", "b")], &["apply b b.yaml", "suspend a", "again in 60s"]);
    }

    /// Campaigns in force, each in a file of its own.
    fn many(ids: &[&str]) -> Vec<(CampaignID, InForce<'static>)> {
        ids.iter().map(|id| known(id, &format!("{id}.yaml"), "1")).collect()
    }

    #[test]
    fn more_at_once_than_the_guard_allows_is_held() {
        let (d, e) = (("d.yaml", "1", "d"), ("e.yaml", "1", "e"));
        let held_three = &["hold a", "hold b", "hold c", "guard 3 of 5"];
        check(many(&["a", "b", "c", "d", "e"]), &[d, e], held_three);
        // Half is not over half, and two are not three.
        let suspended = &["suspend a", "suspend b", "suspend c", "again in 60s"];
        check(many(&["a", "b", "c", "d", "e", "f"]), &[d, e, ("f.yaml", "1", "f")], suspended);
        check(
            many(&["a", "b"]),
            &[("z.yaml", "1", "z")],
            &["apply z z.yaml", "suspend a", "suspend b", "again in 60s"],
        );
        // Those that broke are there.
        check(
            many(&["a", "b", "c", "d"]),
            &[d, ("a.yaml", "9", "!")],
            &["reject a", "suspend b", "suspend c", "again in 60s"],
        );
        // One after the other within the grace is at once too.
        let slowly = vec![gone("a", 50), gone("b", 90), known("c", "c.yaml", "1"), known("d", "d.yaml", "1")];
        check(slowly, &[d], &["hold a", "hold b", "hold c", "guard 3 of 4"]);
    }

    #[test]
    fn what_the_guard_holds_is_not_made_up_for_by_newcomers() {
        let newcomer = |id: &str| {
            let (campaign, in_force) = known(id, &format!("{id}.yaml"), "1");
            (campaign, InForce { since: at(99), ..in_force })
        };
        let files = [("d.yaml", "1", "d"), ("v.yaml", "1", "v"), ("w.yaml", "1", "w"), ("x.yaml", "1", "x")];
        let newcomers = ["v", "w", "x"].map(newcomer);
        let mut in_force = vec![held("a", 99), held("b", 99), held("c", 99), known("d", "d.yaml", "1")];
        in_force.extend(newcomers);
        check(in_force.clone(), &files, &["guard 3 of 4"]);
        // Enough of them are back.
        let back = [files.as_slice(), &[("a.yaml", "1", "a")]].concat();
        check(in_force, &back, &["restore a", "suspend b", "suspend c", "again in 60s"]);
    }

    #[test]
    fn a_removal_that_a_person_allows_is_obeyed() {
        let allowed = |id: &str| {
            let (campaign, in_force) = held(id, 0);
            (campaign, InForce { removal_allowed: true, ..in_force })
        };
        check(vec![allowed("a")], &[], &["remove a"]);
        check(vec![allowed("a")], &[("a.yaml", "1", "a")], &["restore a"]);
        // What vanishes later is held again.
        check(vec![allowed("a"), known("b", "b.yaml", "1")], &[], &["remove a", "hold b"]);
    }

    #[test]
    fn a_renamed_file_keeps_its_campaign() {
        check(vec![known("a", "a.yaml", "1")], &[("z.yaml", "1", "a")], &["move a z.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("z.yaml", "2", "a")], &["apply a z.yaml"]);
    }

    #[test]
    fn of_two_files_with_one_id_the_newcomer_loses() {
        let files = [("a.yaml", "2", "x"), ("z.yaml", "1", "x")];
        check(vec![known("x", "z.yaml", "1")], &files, &["duplicate a.yaml of z.yaml"]);
        check(vec![], &files, &["apply x a.yaml", "duplicate z.yaml of a.yaml"]);
        // An edit that breaks the file hands its campaign to nobody.
        let files = [("a.yaml", "2", "x"), ("z.yaml", "9", "!")];
        check(vec![known("x", "z.yaml", "1")], &files, &["reject x", "duplicate a.yaml of z.yaml"]);
        // Renamed, it is known by its bytes.
        let files = [("a.yaml", "2", "x"), ("y.yaml", "1", "x")];
        check(vec![known("x", "z.yaml", "1")], &files, &["move x y.yaml", "duplicate a.yaml of y.yaml"]);
    }

    #[test]
    fn a_removed_campaign_comes_back_as_applied() {
        let (campaign, in_force) = known("a", "a.yaml", "1");
        let removed = vec![(campaign, InForce { removed: true, ..in_force })];
        check(removed, &[("a.yaml", "1", "a")], &["apply a a.yaml"]);
    }
}
