//! `campaignd db`: the ledger itself.

mod backup;
mod unlock;
mod verify;

use clap::Subcommand;

use super::Ended;
use crate::{clock::Clock, settings::Settings};

/// Look after the ledger: copy it, check it, unlock a copy that takes its place.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A copy is locked: it does not know what was sent since it was made. To put one in the \
    ledger's place:\n  \
    1. stop the daemon\n  \
    2. remove campaignd.db, campaignd.db-wal and campaignd.db-shm; leave campaignd.db.generation\n  \
    3. copy the backup to campaignd.db\n  \
    4. campaignd db unlock, which says what it does, and asks\n  \
    5. start the daemon"
)]
pub struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    Backup(backup::BackupArgs),
    Verify(verify::VerifyArgs),
    Unlock(unlock::UnlockArgs),
}

pub async fn run(args: DbArgs, settings: &Settings, clock: &dyn Clock) -> Ended {
    match args.command {
        DbCommand::Backup(args) => backup::run(&args, settings, clock.now()),
        DbCommand::Verify(args) => verify::run(&args, settings),
        DbCommand::Unlock(args) => unlock::run(args, settings, clock).await,
    }
}
