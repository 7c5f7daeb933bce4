//! What becomes of a slot, in words.

use jiff::Timestamp;

use crate::schedule::Slot;

/// What becomes of a slot, or of a row of slots that share their fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub slot: Timestamp,
    /// When the slot was meant to run: with its jitter.
    pub due: Timestamp,
    /// From when its lateness counts: `due`, unless it has waited for its turn.
    pub start_from: Timestamp,
    /// The last slot of the row; `slot` itself when it is one.
    pub until: Timestamp,
    /// How many slots the row has, at least 1.
    pub count: u64,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Run,
    Skipped(Skip),
    Missed(Miss),
}

/// Why a slot was let go on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The campaign's last run still goes, or a later slot has taken the place in the queue.
    Overlap,
    /// It falls outside of the window.
    Window,
    /// Its date is left out.
    Excepted,
}

/// Why a slot could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Its time came more than `lateness.max` ago.
    Late,
    /// The campaign was paused for longer than `lateness.max`.
    Paused,
    /// A later slot, late as well, runs instead; or nothing that is late does.
    CatchUp,
    /// The campaign has left the folder.
    Removed,
    /// It came while the ledger was a copy of another, which has sent since.
    Restored,
    /// The campaign was disabled while the slot waited.
    Disabled,
    /// An `at` that passed shortly before its campaign first appeared.
    AppliedLate,
    /// The file of dates that are left out could not be read within `lateness.max`.
    NoDates,
}

impl Decision {
    /// A decision about one slot.
    pub fn of(slot: Slot, fate: Fate) -> Decision {
        Decision { slot: slot.at, due: slot.due, start_from: slot.due, until: slot.at, count: 1, fate }
    }
}

impl Fate {
    /// The words of `occurrence_log.decision`.
    pub const NAMES: [&'static str; 3] = ["run", "skipped", "missed"];

    pub fn name(self) -> &'static str {
        match self {
            Fate::Run => "run",
            Fate::Skipped(_) => "skipped",
            Fate::Missed(_) => "missed",
        }
    }

    /// The word of `occurrence_log.reason`.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Fate::Run => None,
            Fate::Skipped(skip) => Some(match skip {
                Skip::Overlap => "overlap",
                Skip::Window => "window",
                Skip::Excepted => "excepted",
            }),
            Fate::Missed(miss) => Some(match miss {
                Miss::Late => "late",
                Miss::Paused => "paused",
                Miss::CatchUp => "catchUp",
                Miss::Removed => "removed",
                Miss::Restored => "restored",
                Miss::Disabled => "disabled",
                Miss::AppliedLate => "appliedLate",
                Miss::NoDates => "except",
            }),
        }
    }
}
