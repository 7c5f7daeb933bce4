//! `campaignd retry` and `reconcile`: what a person wants done about those of a run who did not get it,
//! or of whom that is not known. Both are written into the ledger, and the daemon obeys.

use anyhow::anyhow;
use clap::ValueEnum;
use jiff::Timestamp;

use super::{Ended, Exit, Failure, names, output};
use crate::{
    run::{RunID, inquiry::Purpose},
    settings::{self, Settings},
    store::{
        Act, Ledger,
        owner::Owner,
        sqlite::{SqliteStore, review::Review},
    },
};

/// Ask the failed, refused or unknown of a run again; whoever has accepted is never asked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The same run goes on, with its revision and as much time as it had at first. Whoever is unknown \
    may have got the message, and gets it a second time then: `campaignd reconcile` asks the provider first. \
    Works whether the daemon is up or not.\n\n\
    Examples:\n  campaignd retry hello@20261111T010000Z --only failed\n  \
    campaignd retry hello --only refused,failed --why 'they are registered now'"
)]
pub struct RetryArgs {
    /// A run, or a campaign: its newest run
    #[arg(value_name = "RUN")]
    run: String,
    /// Whom to ask again
    #[arg(long, value_enum, value_name = "OUTCOME", required = true, value_delimiter = ',')]
    only: Vec<Retried>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Retried {
    /// Tried, and proven not accepted
    Failed,
    /// The provider said no
    Refused,
    /// Asked, and no answer settles it: they may get it twice
    Unknown,
}

/// Look up what became of the unknown of a run, or see whether what was accepted is there.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The provider is asked, and nothing is sent: whoever has the message is accepted then, and of \
    whom it is proven that they have it not, failed (see `campaignd retry`). With --accepted every accepted \
    message is looked up and marked as confirmed; those that are missing are listed by `campaignd show`. \
    Works whether the daemon is up or not.\n\n\
    Examples:\n  campaignd reconcile hello@20261111T010000Z\n  campaignd reconcile hello --accepted"
)]
pub struct ReconcileArgs {
    /// A run, or a campaign: its newest run
    #[arg(value_name = "RUN")]
    run: String,
    /// Look up those who have accepted
    #[arg(long)]
    accepted: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub async fn retry(args: RetryArgs, settings: &Settings, now: Timestamp) -> Ended {
    let (name, ledger) = open(&args.run, settings, now)?;
    let mut outcomes: Vec<&'static str> = args
        .only
        .iter()
        .map(|outcome| match outcome {
            Retried::Failed => "failed",
            Retried::Refused => "refused",
            Retried::Unknown => "unknown",
        })
        .collect();
    outcomes.dedup();
    let only = outcomes.join(" or ");
    let (run, act) = (RunID::from_text(name.clone()), Act { at: now, who: settings::who(), why: args.why });
    let reopened = ledger.call(move |store| store.run_retry(&run, &outcomes, &act)).await?;
    if reopened == 0 {
        return Err(nobody(format!("nobody of {name} is {only}; whoever is being looked up is left alone")));
    }
    output::write(&format!("{name}: {} asked again\n", people(reopened, "")))?;
    follow(&name, settings);
    Ok(Exit::Good)
}

pub async fn reconcile(args: ReconcileArgs, settings: &Settings, now: Timestamp) -> Ended {
    let (name, ledger) = open(&args.run, settings, now)?;
    let purpose = if args.accepted { Purpose::Confirm } else { Purpose::Settle };
    let (run, act) = (RunID::from_text(name.clone()), Act { at: now, who: settings::who(), why: args.why });
    let wanted = run.clone();
    let gateway = ledger.call(move |store| Ok(store.run(&wanted)?.gateway)).await?;
    let asks = settings.gateways.get(&gateway).map(|gateway| gateway.dialect().can_be_asked());
    if asks == Some(false) {
        let message = format!("the provider of the gateway {gateway} has no way to look a message up");
        return Err(Failure::new(Exit::Refused, anyhow!(message)));
    }
    let sought = ledger.call(move |store| store.run_inquire(&run, purpose, &act)).await?;
    if sought == 0 {
        return Err(nobody(match purpose {
            Purpose::Settle => format!("nobody of {name} is unknown, and not being looked up already"),
            Purpose::Confirm => format!("nobody of {name} has accepted, and is not confirmed yet"),
        }));
    }
    let what = match purpose {
        Purpose::Settle => "unknown",
        Purpose::Confirm => "accepted",
    };
    output::write(&format!("{name}: {} looked up\n", people(sought, what)))?;
    follow(&name, settings);
    Ok(Exit::Good)
}

fn open(run: &str, settings: &Settings, now: Timestamp) -> Result<(String, Ledger), Failure> {
    let name = names::run_or_newest(&Review::open(&settings.database)?, run)?;
    let ledger = Ledger::inline(Box::new(SqliteStore::open_existing(&settings.database, now)?));
    Ok((name, ledger))
}

/// So many recipients of a kind, and the verb that fits.
fn people(count: u64, what: &str) -> String {
    let kind = if what.is_empty() { String::new() } else { format!("{what} ") };
    if count == 1 { format!("1 {kind}recipient is") } else { format!("{count} {kind}recipients are") }
}

fn nobody(message: String) -> Failure {
    Failure::new(Exit::NotFound, anyhow!(message))
}

fn follow(name: &str, settings: &Settings) {
    if Owner::of(&settings.database).is_none() {
        output::say("no daemon works: it is done when one does (`campaignd serve`)");
    }
    output::say(format_args!("follow it: campaignd show {name}"));
}
