//! The daemon: one future that watches, plans, sends and records until it is told to stop.
//!
//! ```text
//! folder, clock, ledger ──wake──▶ conductor ──run──▶ opening ──sealed──▶ lane of its gateway
//!                                     ▲                                     │
//!                                     └────────────── run is over ──────────┘
//! ```
//!
//! A wake carries nothing: whoever is woken looks at everything and acts. What a person asks for is
//! written into the ledger by a command, and obeyed by the next look. No transaction spans an await,
//! so the future may be dropped at any of them, and the next start goes on from the ledger.

mod aside;
mod asking;
mod assignment;
mod call;
mod catalogue;
mod claim;
mod conductor;
mod crowd;
mod dates;
mod deciding;
pub mod filling;
mod gate;
pub mod gathering;
mod handover;
mod health;
pub mod housekeeping;
mod inquirer;
mod intake;
mod interrupted;
mod judging;
mod lane;
mod late;
pub mod lateness;
mod listing;
mod opening;
mod questions;
mod reading;
mod record;
mod replay;
mod report;
mod scanning;
mod steps;
mod turn;
mod turns;
mod witnesses;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use jiff::{SignedDuration, tz::TimeZone};
use tokio::sync::{Notify, watch};

pub use crowd::CROWD;

use crate::{
    campaign::{Dialect, Gateways, RecipientID},
    clock::Clock,
    folder::Folder,
    gateway::Gateway,
    limits::Limits,
    revision::Guard,
    store::{Ledger, StoreError},
};

/// How long is waited after the ledger failed.
const LEDGER_RETRY: Duration = Duration::from_secs(1);
/// Pending batches that get their ending in one transaction.
const BATCHES_A_DRAIN: u32 = 200;

/// Everything that a daemon is made of.
#[derive(Clone)]
pub struct Parts {
    pub clock: Arc<dyn Clock>,
    pub ledger: Ledger,
    pub folder: Arc<dyn Folder>,
    pub gateways: Posts,
    pub default_zone: Option<TimeZone>,
    pub default_gateway: Option<String>,
    /// Campaigns due at one instant that are decided ahead of it: [`CROWD`], but where histories are played.
    pub crowd: usize,
    /// Where audiences that do not fit into memory are sorted.
    pub spill_folder: PathBuf,
    pub signals: Arc<Signals>,
}

/// A gateway and how it may be used.
#[derive(Clone)]
pub struct Post {
    pub gateway: Arc<dyn Gateway>,
    pub limits: Limits,
    /// How long a message may stay unseen before its absence can be proven.
    pub settle: SignedDuration,
    /// An account of ours that may get a message when nothing else shows how far the provider has come.
    pub probe: Option<RecipientID>,
}

/// The gateways of the settings, by name.
#[derive(Clone, Default)]
pub struct Posts(pub BTreeMap<String, Post>);

impl Gateways for Posts {
    fn dialect(&self, name: &str) -> Option<&dyn Dialect> {
        self.0.get(name).map(|post| post.gateway.dialect())
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

/// What wakes a daemon, and what it tells.
#[derive(Debug)]
pub struct Signals {
    /// Something in the folder may have changed.
    pub folder: Notify,
    /// It may be time to read the folder again, whatever file events say.
    pub rescan: Notify,
    /// A file of the folder is being written, as far as events tell.
    pub folder_is_written: AtomicBool,
    /// How much may vanish from the folder at once and be obeyed.
    pub guard: watch::Sender<Guard>,
    /// Told once the ledger is open and the folder has been read.
    pub ready: watch::Sender<bool>,
    /// Why nothing is sent, while the ledger is locked.
    pub locked: watch::Sender<Option<String>>,
    /// Asks the conductor for a round: an idle one makes few.
    pub round: Notify,
    /// Counts the conductor's rounds: while it grows, the daemon lives.
    pub rounds: watch::Sender<u64>,
    /// How late runs were handed over.
    pub lateness: watch::Sender<lateness::Lateness>,
    stop: watch::Sender<bool>,
}

impl Default for Signals {
    fn default() -> Signals {
        Signals {
            folder: Notify::new(),
            rescan: Notify::new(),
            folder_is_written: AtomicBool::new(false),
            guard: watch::Sender::default(),
            ready: watch::Sender::new(false),
            locked: watch::Sender::default(),
            round: Notify::new(),
            rounds: watch::Sender::new(0),
            lateness: watch::Sender::default(),
            stop: watch::Sender::new(false),
        }
    }
}

impl Signals {
    /// Tells the daemon to stop: nothing more leaves, what is in flight is awaited.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns when the daemon has been told to stop.
    pub async fn stopped(&self) {
        // The sender lives as long as `self`, so the only end of waiting is the stop itself.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Returns the reason when the ledger is found to be locked.
    pub async fn locked(&self) -> String {
        let mut locked = self.locked.subscribe();
        // The sender lives as long as `self`.
        let found = locked.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        found.unwrap_or_default()
    }

    /// Returns when the daemon is ready.
    pub async fn readied(&self) {
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }
}

/// Why a daemon ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the ledger cannot be used: {0}")]
    Ledger(#[from] StoreError),
    /// A fault of ours: the daemon is of no use without it.
    #[error("a part of the daemon has failed: {0}")]
    Part(String),
}

/// Serves until it is told to stop and what was in flight has been answered.
pub async fn serve(parts: Parts) -> Result<(), ServeError> {
    if claim::take_ledger(&parts).await? { conductor::conduct(parts).await } else { Ok(()) }
}
