//! `campaignd pause`, `resume`, `cancel`: written into the ledger, obeyed by the daemon at its next
//! batch, or when it starts.

use anyhow::anyhow;
use jiff::Timestamp;

use super::{Ended, Exit, Failure, names, output};
use crate::{
    run::RunID,
    settings::{self, Settings},
    store::{
        Act, Control, Drain, Ledger, StoreError, Target, owner::Owner, sqlite::SqliteStore,
        sqlite::review::Review,
    },
};

/// Let nothing more leave of a campaign, a run, or everything, until it is resumed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A paused campaign makes no runs; what is in flight is still answered. Works whether the daemon \
    is up or not, and prints what was paused.\n\n\
    Examples:\n  campaignd pause hello --why 'wrong picture'\n  campaignd pause hello@20261111T010000Z\n  \
    campaignd pause --all --why 'the provider is being moved'"
)]
pub struct PauseArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Go on with a campaign, a run, or everything, that was paused.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lifts the pause of what is named and no other: a run goes on when neither it, nor its \
    campaign, nor everything is paused. Works whether the daemon is up or not, and prints what was resumed.\n\n\
    Examples:\n  campaignd resume hello\n  campaignd resume --all --why 'the provider is back'"
)]
pub struct ResumeArgs {
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, clap::Args)]
#[group(id = "target")]
struct TargetArgs {
    /// A campaign, or a run (which has an `@` in its name)
    #[arg(value_name = "CAMPAIGN|RUN", required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Everything, now and later
    #[arg(long)]
    all: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// End a run: what has not been asked is cancelled, for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is in flight is still answered. Works whether the daemon is up or not.\n\n\
    Example:\n  campaignd cancel hello@20261111T010000Z --why 'sent the wrong text'")]
pub struct CancelArgs {
    /// A run, as `campaignd runs` names it
    #[arg(value_name = "RUN")]
    run: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub async fn pause(args: PauseArgs, settings: &Settings, now: Timestamp) -> Ended {
    control(args.target, Control::Pause, "paused", settings, now).await
}

pub async fn resume(args: ResumeArgs, settings: &Settings, now: Timestamp) -> Ended {
    control(args.target, Control::Resume, "resumed", settings, now).await
}

pub async fn cancel(args: CancelArgs, settings: &Settings, now: Timestamp) -> Ended {
    let target = TargetArgs { name: Some(args.run), all: false, why: args.why };
    control(target, Control::Cancel, "cancelled", settings, now).await
}

/// Batches that are given their outcome in one transaction.
const BATCHES_A_STEP: u32 = 100;

async fn control(
    args: TargetArgs,
    control: Control,
    done: &str,
    settings: &Settings,
    now: Timestamp,
) -> Ended {
    let review = Review::open(&settings.database)?;
    let target = match args.name {
        None => Target::All,
        Some(name) => target(&review, name)?,
    };
    let act = Act { at: now, who: settings::who(), why: args.why };
    let ledger = Ledger::inline(Box::new(SqliteStore::open_existing(&settings.database, now)?));
    let wanted = target.clone();
    let told = ledger.call(move |store| store.control(&wanted, control, &act)).await?;
    if let (Target::Run(run), Control::Cancel, None) = (&target, control, Owner::of(&settings.database)) {
        drain(&ledger, run, now).await?;
    }
    let lines: String = told.names.iter().map(|name| format!("{done} {name}\n")).collect();
    output::write(&lines)?;
    told.still.iter().for_each(output::say);
    Ok(Exit::Good)
}

/// What a name means, when there is such a thing.
fn target(review: &Review, name: String) -> Result<Target, Failure> {
    if name.contains('@') {
        names::known_run(review, &name)?;
        return Ok(Target::Run(RunID::from_text(name)));
    }
    names::known_campaign(review, &name)?;
    // A name that the ledger holds is an id.
    name.parse()
        .map(Target::Campaign)
        .map_err(|error| Failure::new(Exit::NotFound, anyhow!("{name:?}: {error}")))
}

/// Nobody else will give the run's recipients their outcome. What a daemon that is gone has left in
/// flight is for the next one.
async fn drain(ledger: &Ledger, run: &RunID, now: Timestamp) -> Result<(), StoreError> {
    loop {
        let wanted = run.clone();
        match ledger.call(move |store| store.run_drain(&wanted, BATCHES_A_STEP, false, now)).await? {
            Drain::More => {}
            Drain::Busy | Drain::Over(_) => return Ok(()),
        }
    }
}
