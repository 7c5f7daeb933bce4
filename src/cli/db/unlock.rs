//! `campaignd db unlock`: a copy becomes the ledger. It says what it does, and asks.

use std::io::{self, IsTerminal, Write};

use anyhow::anyhow;

use crate::{
    cli::{Ended, Exit, Failure, output},
    clock::Clock,
    settings::{self, Settings},
    store::{
        Act, Control, Drain, Ledger, LockReason, RunRecord, Store, StoreError, Stored, Target,
        sqlite::SqliteStore,
    },
};

/// Let a ledger that is locked send again, because it is the one to go on with.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What a copy does not know is what was sent since it was made. So nothing of then is sent again: \
    its open runs end, and the occurrences until now are left out (missed, restored). With --resume they go on \
    instead: say it only when this is the newest copy, the folder was moved, say.\n\n\
    Examples:\n  campaignd db unlock\n  campaignd db unlock --yes --why 'restored after the disk failed'\n  \
    campaignd db unlock --resume --why 'moved to another host'"
)]
pub struct UnlockArgs {
    /// Go on with the open runs and the occurrences of meanwhile: nothing was sent since from another copy
    #[arg(long)]
    resume: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Pending batches that get their ending in one transaction.
const BATCHES_A_DRAIN: u32 = 200;

/// What an unlock finds.
struct Found {
    locked: Option<LockReason>,
    open: Vec<RunRecord>,
    campaigns: usize,
}

pub async fn run(args: UnlockArgs, settings: &Settings, clock: &dyn Clock) -> Ended {
    let ledger = Ledger::inline(Box::new(SqliteStore::open_existing(&settings.database, clock.now())?));
    let found = ledger.call(find).await?;
    let Some(locked) = &found.locked else {
        output::say("the ledger is not locked: nothing is done");
        return Ok(Exit::Good);
    };
    let name = settings.database.display();
    output::say(format_args!("{name} is locked: {locked}.\n{}", intention(&found, args.resume)));
    if !args.yes {
        confirm()?;
    }
    let act = Act { at: clock.now(), who: settings::who(), why: args.why };
    if !args.resume {
        let reason = locked.to_string();
        // Locked it stays, however this ends, until all runs have ended.
        ledger.call(move |store| store.lock(&reason)).await?;
        end_runs(&ledger, &found.open, &act).await?;
    }
    ledger.call(move |store| store.unlock(&act, !args.resume)).await?;
    output::say("unlocked");
    Ok(Exit::Good)
}

fn find(store: &mut dyn Store) -> Stored<Found> {
    let campaigns = store.campaigns()?.iter().filter(|known| !known.removed).count();
    Ok(Found { locked: store.lock_reason()?, open: store.runs_open()?, campaigns })
}

/// What will be done, for the person who is asked.
fn intention(found: &Found, resume: bool) -> String {
    let mut lines = String::new();
    let runs = |verb: &str| match found.open.len() {
        0 => "no run is open".to_owned(),
        1 => format!("1 open run {verb}:"),
        more => format!("{more} open runs {verb}:"),
    };
    lines += &format!("- {}\n", runs(if resume { "goes on" } else { "ends" }));
    for run in &found.open {
        let (pending, in_flight) = (run.counts.pending, run.counts.in_flight);
        lines += &match resume {
            true => {
                format!("    {}: {pending} pending are asked, {in_flight} in flight become unknown\n", run.id)
            }
            false => format!(
                "    {}: {pending} pending become cancelled (restored), {in_flight} in flight become unknown\n",
                run.id
            ),
        };
    }
    lines += &match resume {
        true => format!(
            "- occurrences of {} campaigns since its last decision run, where they are not too late",
            found.campaigns
        ),
        false => format!(
            "- occurrences of {} campaigns until now that it does not know are left out (missed, restored)",
            found.campaigns
        ),
    };
    lines
}

fn confirm() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Refused, anyhow!("say --yes to do this")));
    }
    let _ = write!(io::stderr(), "Do this? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, anyhow!("not confirmed: the ledger stays locked"))),
    }
}

/// Ends every open run: nothing of it is asked any more. May be cut short, and done again.
async fn end_runs(ledger: &Ledger, open: &[RunRecord], act: &Act) -> Stored<()> {
    let at = act.at;
    ledger.call(move |store| store.restore(at)).await?;
    for run in open {
        let target = Target::Run(run.id.clone());
        let restored = Act { why: Some("restored".to_owned()), ..act.clone() };
        match ledger.call(move |store| store.control(&target, Control::Cancel, &restored)).await {
            // Over already, since all that it had left was in flight.
            Ok(_) | Err(StoreError::Transition(_)) => {}
            Err(error) => return Err(error),
        }
        loop {
            let run = run.id.clone();
            match ledger.call(move |store| store.run_drain(&run, BATCHES_A_DRAIN, false, at)).await? {
                Drain::More => {}
                Drain::Busy | Drain::Over(_) => break,
            }
        }
    }
    Ok(())
}
