//! `campaignd apply`: a person obeys what the guard holds.

use jiff::Timestamp;

use super::{Ended, Exit, output};
use crate::{
    settings::{self, Settings},
    store::{Act, Ledger, owner::Owner, sqlite::SqliteStore},
};

/// Obey removals that the guard holds: campaigns of which too many lost their files at once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A folder that is empty, cannot be read, or lacks more than the settings' guard allows is \
    not obeyed: its campaigns stay in force (`campaignd status` shows them as removalHeld). This says that it is \
    meant. Prints what is removed. Works whether the daemon is up or not.\n\n\
    Example:\n  campaignd apply --removals --why 'the season is over'"
)]
pub struct ApplyArgs {
    /// Those that are held now
    #[arg(long, required = true)]
    removals: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub async fn run(args: ApplyArgs, settings: &Settings, now: Timestamp) -> Ended {
    let ledger = Ledger::inline(Box::new(SqliteStore::open_existing(&settings.database, now)?));
    let act = Act { at: now, who: settings::who(), why: args.why };
    let campaigns = ledger.call(move |store| store.removals_allow(&act)).await?;
    let lines: String = campaigns.iter().map(|campaign| format!("removed {campaign}\n")).collect();
    output::write(&lines)?;
    if campaigns.is_empty() {
        output::say("no removal is held");
    } else if Owner::of(&settings.database).is_none() {
        output::say("no daemon works on the ledger: the next one obeys it when it starts");
    }
    Ok(Exit::Good)
}
