//! `campaignd db backup`: a copy of the ledger while the daemon goes on.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{
    cli::{Ended, Exit, output},
    settings::Settings,
    store::sqlite,
};

/// Copy the ledger while the daemon goes on. The copy is locked from the first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The copy is one file, whole as of one instant. A daemon that finds it in the ledger's place sends \
    nothing until `campaignd db unlock`. How to put it there: campaignd db --help\n\n\
    Example:\n  campaignd db backup /var/backups/campaignd-$(date +%F).db"
)]
pub struct BackupArgs {
    /// The copy; nothing may be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &BackupArgs, settings: &Settings, now: Timestamp) -> Ended {
    let database = &settings.database;
    let reason = format!("it is a backup of {} made at {}", database.display(), now.strftime("%F %T UTC"));
    let bytes = sqlite::backup(database, &args.file, &reason, now)?;
    output::write(&format!("{}\n", args.file.display()))?;
    output::say(format_args!("copied: {} KiB, locked", bytes.div_ceil(1024)));
    Ok(Exit::Good)
}
