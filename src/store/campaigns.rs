//! What the ledger keeps of campaigns, their revisions, and what is wrong in the folder.

use jiff::Timestamp;

use crate::{campaign::CampaignID, document::Severity, revision::InForce};

/// A campaign as the ledger knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignRecord {
    pub id: CampaignID,
    /// The revision in force.
    pub revision: i64,
    /// Its path in the campaigns folder.
    pub path: String,
    pub sha256: String,
    /// Its exact bytes.
    pub yaml: Vec<u8>,
    pub enabled: bool,
    pub removed: bool,
    pub rejected: bool,
    pub gone_since: Option<Timestamp>,
    /// Since when it is in force without having been removed.
    pub in_force_since: Timestamp,
    /// Since when its file is missing and that is not obeyed.
    pub held_since: Option<Timestamp>,
    /// Whether a person has said that its removal shall be obeyed.
    pub removal_allowed: bool,
    /// By a person, for this campaign or for all.
    pub paused: Option<String>,
    pub decided_until: Timestamp,
    /// The slot that waits for the last run to be over.
    pub queued: Option<Timestamp>,
    /// When the revision in force was applied, by a clock that has not been set back since.
    pub counts_from: Timestamp,
}

impl CampaignRecord {
    /// The campaign as the folder is compared with it.
    pub fn in_force(&self) -> InForce<'_> {
        InForce {
            path: &self.path,
            sha256: &self.sha256,
            gone_since: self.gone_since,
            removed: self.removed,
            since: self.in_force_since,
            held_since: self.held_since,
            removal_allowed: self.removal_allowed,
            rejected: self.rejected,
        }
    }
}

/// A revision to take force.
#[derive(Debug, Clone)]
pub struct NewRevision {
    pub campaign: CampaignID,
    pub path: String,
    pub sha256: String,
    pub yaml: Vec<u8>,
    pub commit_id: Option<String>,
    pub dirty: Option<bool>,
    pub gateway: String,
    /// A JSON object.
    pub labels: String,
    pub enabled: bool,
    pub applied_at: Timestamp,
    /// Every slot up to here is decided, or will be by nobody.
    pub decided_until: Timestamp,
}

/// Something about a campaign other than a new revision.
#[derive(Debug, Clone, PartialEq)]
pub enum CampaignMark {
    Moved {
        path: String,
    },
    Rejected,
    Accepted,
    Gone {
        since: Timestamp,
    },
    /// Its file is missing and that is not obeyed.
    Held {
        since: Timestamp,
    },
    Back,
    Removed,
}

/// A problem of the folder, for `problem_status`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProblemRecord {
    pub path: String,
    pub campaign: Option<String>,
    pub severity: Severity,
    pub line: u32,
    pub column: u32,
    pub code: String,
    pub message: String,
}
