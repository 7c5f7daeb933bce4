//! This tree against the ledger: what obeying it would do to the campaigns in force.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    campaign::{Campaign, CampaignID, file},
    cli::{Failure, files::Source, output},
    document::difference::changed_keys,
    folder::FileState,
    revision::{self, Change, Content, Found, InForce, Seen},
    settings::Settings,
    store::{CampaignRecord, StoreError, sqlite::review::Review},
};

/// What a tree does to a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub campaign: String,
    /// One of added, changed, removed, renamed, held, rejected, same.
    pub change: &'static str,
    /// Of a changed campaign: the keys whose values are others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// The tree compared, and the campaigns that would be in force.
pub struct Compared {
    pub changed: Vec<Changed>,
    /// With the file that their lists are beside.
    pub in_force: Vec<(Campaign, Source)>,
    /// Those that a person has paused.
    pub paused: BTreeSet<CampaignID>,
}

/// Compares the files of a path, or of the campaigns folder, with the ledger; without one everything is
/// new.
pub fn compare(path: Option<&Path>, settings: &Settings, now: Timestamp) -> Result<Compared, Failure> {
    let records = records(settings)?;
    let one_file = path.filter(|path| path.is_file());
    let root = match (path, one_file) {
        (_, Some(file)) => root_of(file, &settings.campaigns),
        (Some(folder), None) => folder.to_owned(),
        (None, None) => settings.campaigns.clone(),
    };
    let sources = match path {
        Some(path) => Source::at(path)?,
        None => Source::folder(&settings.campaigns)?,
    };
    let mut read: Vec<(Found, Option<Campaign>, Source)> = Vec::with_capacity(sources.len());
    for source in sources {
        let (campaign, problems) = source.campaign(settings, now);
        let path = relative(&source, &root);
        let (sha256, content) = match (&source.state, &campaign) {
            (FileState::Read { sha256, .. }, Some(campaign)) => {
                (Arc::clone(sha256), Content::Campaign(campaign.id.clone()))
            }
            (FileState::Read { sha256, bytes }, None) => {
                (Arc::clone(sha256), Content::Broken(file::identity(&path, bytes)))
            }
            (FileState::Unreadable(_), _) => ("".into(), Content::Broken(None)),
        };
        if let (None, Some(problem)) = (&campaign, problems.first()) {
            output::say(format!(
                "{} is rejected: {}; `campaignd check` tells more",
                source.name, problem.message
            ));
        }
        read.push((Found { path: path.into(), sha256, content }, campaign, source));
    }
    let found: Vec<Found> = read.iter().map(|(found, ..)| found.clone()).collect();
    let files: Vec<&Found> = found.iter().collect();
    let concerned = |record: &&CampaignRecord| {
        let is_named = |found: &&Found| {
            *found.path == *record.path || matches!(&found.content, Content::Campaign(id) if *id == record.id)
        };
        one_file.is_none() || files.iter().any(is_named)
    };
    let in_force: BTreeMap<&CampaignID, InForce<'_>> =
        records.iter().filter(concerned).map(|record| (&record.id, record.in_force())).collect();
    let seen = Seen { files: &files, blank: files.is_empty(), unsettled: false };
    let wishes = revision::compare(&in_force, seen, settings.guard, now);
    let mut changes = words(&in_force, &wishes.changes);
    let newcomers: BTreeSet<&str> = wishes.duplicates.iter().map(|(newcomer, _)| newcomer.as_str()).collect();
    let before: HashMap<&CampaignID, &CampaignRecord> =
        records.iter().map(|record| (&record.id, record)).collect();
    let mut keys: HashMap<CampaignID, Vec<String>> = HashMap::new();
    let mut would_be: BTreeMap<CampaignID, (Campaign, Source)> = BTreeMap::new();
    let mut rejected: Vec<String> = Vec::new();
    for (found, campaign, source) in read {
        match campaign {
            Some(campaign) if !newcomers.contains(&*found.path) => {
                let change = *changes.entry(campaign.id.clone()).or_insert("same");
                if let ("changed", Some(known), Some(bytes)) =
                    (change, before.get(&campaign.id), source.bytes())
                {
                    keys.insert(campaign.id.clone(), changed_keys(&known.yaml, bytes));
                }
                would_be.insert(campaign.id.clone(), (campaign, source));
            }
            _ => rejected.push(match &found.content {
                Content::Campaign(id) | Content::Broken(Some(id)) => id.to_string(),
                Content::Broken(None) => stem(&found.path),
            }),
        }
    }
    warn_of_renames(&files, &in_force, &changes);
    // What stays in force although its file does not say so goes on as it was.
    for record in records.iter().filter(concerned) {
        if matches!(changes.get(&record.id), Some(&"rejected" | &"held")) && record.enabled {
            would_be.extend(as_it_was(record, &root, settings, now));
        }
    }
    let told = |(id, change): (&CampaignID, &&'static str)| Changed {
        campaign: id.to_string(),
        change,
        keys: keys.remove(id).unwrap_or_default(),
    };
    let mut changed: Vec<Changed> = changes.iter().map(told).collect();
    for name in rejected {
        if !changed.iter().any(|known| known.campaign == name && known.change == "rejected") {
            changed.push(Changed { campaign: name, change: "rejected", keys: Vec::new() });
        }
    }
    changed.sort_by(|a, b| (&a.campaign, a.change).cmp(&(&b.campaign, b.change)));
    let paused = records.iter().filter(|record| record.paused.is_some()).map(|record| record.id.clone());
    let in_force = would_be.into_values().filter(|(campaign, _)| campaign.enabled).collect();
    Ok(Compared { changed, in_force, paused: paused.collect() })
}

/// The id that a file's name would give.
fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_else(|| path.to_owned())
}

/// What the ledger knows; nothing without a ledger.
fn records(settings: &Settings) -> Result<Vec<CampaignRecord>, Failure> {
    match Review::open(&settings.database) {
        Ok(review) => Ok(review.campaign_records()?),
        Err(StoreError::Missing { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The folder to which a file's path is relative: the campaigns folder where it stands in it.
fn root_of(file: &Path, campaigns: &Path) -> PathBuf {
    let is_inside = match (file.canonicalize(), campaigns.canonicalize()) {
        (Ok(file), Ok(campaigns)) => file.starts_with(campaigns),
        _ => false,
    };
    if is_inside { campaigns.to_owned() } else { file.parent().unwrap_or(Path::new("")).to_owned() }
}

/// The path of a file as the ledger writes it.
fn relative(source: &Source, root: &Path) -> String {
    let path = source.path.as_deref().unwrap_or(Path::new(&source.name));
    let inside = match (path.canonicalize(), root.canonicalize()) {
        (Ok(path), Ok(root)) => path.strip_prefix(root).map(Path::to_owned).ok(),
        _ => None,
    };
    let inside = inside.or_else(|| path.strip_prefix(root).map(Path::to_owned).ok());
    inside.unwrap_or_else(|| path.to_owned()).display().to_string()
}

/// What the changes that a tree asks for are called, for the campaigns that the ledger knows or will.
fn words(
    in_force: &BTreeMap<&CampaignID, InForce<'_>>,
    changes: &[Change],
) -> BTreeMap<CampaignID, &'static str> {
    let mut words: BTreeMap<CampaignID, &'static str> = BTreeMap::new();
    for (id, known) in in_force.iter().filter(|(_, known)| !known.removed) {
        // What has been told already and is so still asks for nothing more.
        let word = match known {
            _ if known.rejected => "rejected",
            _ if known.held_since.is_some() => "held",
            _ if known.gone_since.is_some() => "removed",
            _ => "same",
        };
        words.insert((*id).clone(), word);
    }
    for change in changes {
        let id = change.campaign();
        let is_new = in_force.get(id).is_none_or(|known| known.removed);
        let word = match change {
            Change::Apply { .. } if is_new => "added",
            Change::Apply { .. } => "changed",
            Change::Move { .. } => "renamed",
            Change::Reject { .. } => "rejected",
            Change::Hold { .. } => "held",
            Change::Suspend { .. } | Change::Remove { .. } => "removed",
            Change::Accept { .. } | Change::Restore { .. } => "same",
        };
        words.insert(id.clone(), word);
    }
    words
}

/// Warns of files that were renamed and have no id of their own: each is another campaign then.
fn warn_of_renames(
    files: &[&Found],
    in_force: &BTreeMap<&CampaignID, InForce<'_>>,
    changes: &BTreeMap<CampaignID, &'static str>,
) {
    for (gone, known) in in_force.iter().filter(|(id, _)| changes.get(*id) == Some(&"removed")) {
        for file in files.iter().filter(|file| *file.sha256 == *known.sha256) {
            if let Content::Campaign(id) = &file.content
                && changes.get(id) == Some(&"added")
            {
                output::say(format!(
                    "{} is what {} was: without an `id` in the file a new name makes it another campaign, and \
                     {gone} is removed",
                    file.path, known.path
                ));
            }
        }
    }
}

/// The revision in force of a campaign, read as it is in the ledger.
fn as_it_was(
    record: &CampaignRecord,
    root: &Path,
    settings: &Settings,
    now: Timestamp,
) -> Option<(CampaignID, (Campaign, Source))> {
    let state = FileState::of(record.yaml.clone());
    let path = Some(root.join(&record.path));
    let source = Source { name: record.path.clone(), path, root: Some(root.to_owned()), state };
    let mut campaign = source.campaign(settings, now).0?;
    campaign.id = record.id.clone();
    Some((record.id.clone(), (campaign, source)))
}
