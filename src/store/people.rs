//! What people do to the ledger, and ask of the daemon through it.

use jiff::Timestamp;

use crate::{
    campaign::{CampaignID, RecipientID},
    run::RunID,
};

/// What a command asks of the daemon.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub enum Question {
    /// A run now; a test send when ids are named. `again`: also when this revision ran lately.
    Send { campaign: String, to: Vec<String>, again: bool },
}

/// The daemon's answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    Run(String),
    Refused(String),
}

/// Whom a control is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    All,
    Campaign(CampaignID),
    Run(RunID),
}

/// What a person does to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Pause,
    Resume,
    Cancel,
}

/// Whose pause holds a run. Each is lifted by its own resume alone, and a run sends when none holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// A person's pause of the run itself, or the daemon's.
    Run,
    Campaign,
    All,
    /// Its campaign's window, which is closed: no resume lifts it, it lifts itself.
    Window,
}

impl PausedBy {
    pub const ALL: [PausedBy; 4] = [PausedBy::Run, PausedBy::Campaign, PausedBy::All, PausedBy::Window];

    /// The word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            PausedBy::Run => "run",
            PausedBy::Campaign => "campaign",
            PausedBy::All => "all",
            PausedBy::Window => "window",
        }
    }
}

/// What a control has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controlled {
    /// The target, and the runs that it changed.
    pub names: Vec<String>,
    /// After a resume: what is still paused above or below the target, with the reason, for people.
    pub still: Vec<String>,
}

/// Who did something, when and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub at: Timestamp,
    pub who: String,
    pub why: Option<String>,
}

/// Someone who must never be written to, whatever a campaign says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    pub recipient: RecipientID,
    /// For people.
    pub reason: String,
    /// From then on it holds no more; None: for good.
    pub expires_at: Option<Timestamp>,
}
