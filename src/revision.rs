//! What a change of the folder means for the campaigns in force.
//!
//! Knows: identities, digests, the grace before a removal. Must never know: how files are read or
//! where revisions are kept. A change is a wish of the folder compared with what is in force, so the
//! same folder asked for twice changes nothing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::campaign::CampaignID;

/// How long a file may be gone before its campaign counts as removed.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// A campaign that the ledger knows, as far as the folder is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub path: String,
    /// Of the bytes of the revision in force.
    pub sha256: String,
    /// Since when its file is gone.
    pub gone_since: Option<Timestamp>,
    pub removed: bool,
    /// Whether its file is missing from a folder that is not obeyed.
    pub held: bool,
    /// Whether an edit of it has been rejected.
    pub rejected: bool,
}

/// A file of the folder, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    pub sha256: String,
    /// The campaign it makes; None when it has problems.
    pub campaign: Option<CampaignID>,
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
    /// Its file is missing from a folder that is not obeyed: it stays in force.
    Hold { campaign: CampaignID },
    /// Its file is there again.
    Restore { campaign: CampaignID },
    /// Its file has been gone for [`GRACE`].
    Remove { campaign: CampaignID },
}

/// What the folder asks for, all together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    pub changes: Vec<Change>,
    /// Files whose id another file has already: (the newcomer, the one that keeps it).
    pub duplicates: Vec<(String, String)>,
    /// When a suspended campaign will count as removed.
    pub look_again_at: Option<Timestamp>,
}

/// Compares the folder with what is in force. `held` keeps what is gone in force, as if it were
/// there: the folder is empty or cannot be read.
pub fn compare(
    in_force: &BTreeMap<CampaignID, InForce>,
    found: &[Found],
    held: bool,
    now: Timestamp,
) -> Wishes {
    let mut wishes = Wishes::default();
    let owners = owners(in_force, found, &mut wishes.duplicates);
    for (campaign, file) in &owners {
        let apply = || Change::Apply { campaign: (*campaign).clone(), path: file.path.clone() };
        match in_force.get(*campaign) {
            Some(known) if !known.removed && known.sha256 == file.sha256 => {
                if known.gone_since.is_some() || known.held {
                    wishes.changes.push(Change::Restore { campaign: (*campaign).clone() });
                }
                if known.rejected {
                    wishes.changes.push(Change::Accept { campaign: (*campaign).clone() });
                }
                if known.path != file.path {
                    let path = file.path.clone();
                    wishes.changes.push(Change::Move { campaign: (*campaign).clone(), path });
                }
            }
            _ => wishes.changes.push(apply()),
        }
    }
    for (campaign, known) in in_force.iter().filter(|(_, known)| !known.removed) {
        if owners.contains_key(campaign) {
            continue;
        }
        let campaign = campaign.clone();
        // A file at the campaign's path that is not the campaign any more: broken, unless it has
        // become another one.
        let holds = |file: &Found| {
            file.path == known.path || (file.path.ends_with('/') && known.path.starts_with(&file.path))
        };
        let broken = found.iter().any(|file| file.campaign.is_none() && holds(file));
        match known.gone_since {
            _ if broken => {
                if known.gone_since.is_some() || known.held {
                    wishes.changes.push(Change::Restore { campaign: campaign.clone() });
                }
                if !known.rejected {
                    wishes.changes.push(Change::Reject { campaign });
                }
            }
            _ if held => {
                if !known.held {
                    wishes.changes.push(Change::Hold { campaign });
                }
            }
            None => {
                wishes.changes.push(Change::Suspend { campaign });
                wishes.look_again(now + GRACE);
            }
            Some(since) if now.duration_since(since) >= GRACE => {
                wishes.changes.push(Change::Remove { campaign });
            }
            Some(since) => wishes.look_again(since + GRACE),
        }
    }
    wishes
}

impl Wishes {
    fn look_again(&mut self, at: Timestamp) {
        self.look_again_at = Some(self.look_again_at.map_or(at, |other| other.min(at)));
    }
}

/// Which file is which campaign. Of several with one id the one in force keeps it, else the first by
/// path; the others are newcomers.
fn owners<'a>(
    in_force: &BTreeMap<CampaignID, InForce>,
    found: &'a [Found],
    duplicates: &mut Vec<(String, String)>,
) -> BTreeMap<&'a CampaignID, &'a Found> {
    let mut claims: BTreeMap<&CampaignID, Vec<&Found>> = BTreeMap::new();
    for file in found {
        if let Some(campaign) = &file.campaign {
            claims.entry(campaign).or_default().push(file);
        }
    }
    let mut owners = BTreeMap::new();
    for (campaign, mut files) in claims {
        let known = in_force.get(campaign).filter(|known| !known.removed).map(|known| known.path.as_str());
        files.sort_by_key(|file| (Some(file.path.as_str()) != known, &file.path));
        let keeper = files[0];
        duplicates.extend(files[1..].iter().map(|file| (file.path.clone(), keeper.path.clone())));
        owners.insert(campaign, keeper);
    }
    duplicates.sort();
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// One campaign in force: (id, path, digest).
    fn known(id: &str, path: &str, sha256: &str) -> (CampaignID, InForce) {
        let in_force = InForce {
            path: path.to_owned(),
            sha256: sha256.to_owned(),
            gone_since: None,
            removed: false,
            held: false,
            rejected: false,
        };
        (id.parse().unwrap(), in_force)
    }

    fn gone(id: &str, since_seconds: i64) -> (CampaignID, InForce) {
        let (campaign, in_force) = known(id, "a.yaml", "1");
        (campaign, InForce { gone_since: Some(at(since_seconds)), ..in_force })
    }

    /// A folder's files as (path, digest, id or nothing).
    #[track_caller]
    fn check(in_force: Vec<(CampaignID, InForce)>, files: &[(&str, &str, Option<&str>)], expected: &[&str]) {
        let found: Vec<Found> = files
            .iter()
            .map(|(path, sha256, campaign)| Found {
                path: path.to_string(),
                sha256: sha256.to_string(),
                campaign: campaign.map(|id| id.parse().unwrap()),
            })
            .collect();
        let wishes = compare(&in_force.into_iter().collect(), &found, files.is_empty(), at(100));
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
        told.extend(
            wishes.look_again_at.map(|when| format!("again in {}s", when.as_second() - at(100).as_second())),
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn a_new_file_and_a_changed_one_are_applied() {
        check(vec![], &[("a.yaml", "1", Some("a"))], &["apply a a.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "2", Some("a"))], &["apply a a.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "1", Some("a"))], &[]);
    }

    #[test]
    fn a_broken_edit_is_rejected_once_and_can_be_mended() {
        let rejected = || {
            let (campaign, in_force) = known("a", "a.yaml", "1");
            vec![(campaign, InForce { rejected: true, ..in_force })]
        };
        check(vec![known("a", "a.yaml", "1")], &[("a.yaml", "9", None)], &["reject a"]);
        check(rejected(), &[("a.yaml", "9", None)], &[]);
        // Its folder cannot be read.
        check(vec![known("a", "team/a.yaml", "1")], &[("team/", "", None)], &["reject a"]);
        check(rejected(), &[("a.yaml", "1", Some("a"))], &["accept a"]);
        check(rejected(), &[("a.yaml", "2", Some("a"))], &["apply a a.yaml"]);
    }

    #[test]
    fn a_file_that_is_gone_suspends_and_then_removes() {
        let other = ("b.yaml", "1", Some("b"));
        let both = |a| vec![a, known("b", "b.yaml", "1")];
        check(both(known("a", "a.yaml", "1")), &[other], &["suspend a", "again in 60s"]);
        check(both(gone("a", 41)), &[other], &["again in 1s"]);
        check(both(gone("a", 40)), &[other], &["remove a"]);
        check(both(gone("a", 40)), &[other, ("a.yaml", "1", Some("a"))], &["restore a"]);
        check(both(gone("a", 40)), &[other, ("a.yaml", "9", None)], &["restore a", "reject a"]);
    }

    #[test]
    fn an_empty_folder_is_held() {
        let held = || {
            let (campaign, in_force) = known("a", "a.yaml", "1");
            (campaign, InForce { held: true, ..in_force })
        };
        check(vec![known("a", "a.yaml", "1")], &[], &["hold a"]);
        check(vec![gone("a", 0)], &[], &["hold a"]);
        check(vec![held()], &[], &[]);
        check(vec![held()], &[("a.yaml", "1", Some("a"))], &["restore a"]);
        check(vec![held()], &[("b.yaml", "1", Some("b"))], &["apply b b.yaml", "suspend a", "again in 60s"]);
    }

    #[test]
    fn a_renamed_file_keeps_its_campaign() {
        check(vec![known("a", "a.yaml", "1")], &[("z.yaml", "1", Some("a"))], &["move a z.yaml"]);
        check(vec![known("a", "a.yaml", "1")], &[("z.yaml", "2", Some("a"))], &["apply a z.yaml"]);
    }

    #[test]
    fn of_two_files_with_one_id_the_newcomer_loses() {
        let files = [("a.yaml", "2", Some("x")), ("z.yaml", "1", Some("x"))];
        check(vec![known("x", "z.yaml", "1")], &files, &["duplicate a.yaml of z.yaml"]);
        check(vec![], &files, &["apply x a.yaml", "duplicate z.yaml of a.yaml"]);
    }

    #[test]
    fn a_removed_campaign_comes_back_as_applied() {
        let (campaign, in_force) = known("a", "a.yaml", "1");
        let removed = vec![(campaign, InForce { removed: true, ..in_force })];
        check(removed, &[("a.yaml", "1", Some("a"))], &["apply a a.yaml"]);
    }
}
