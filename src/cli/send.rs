//! `campaignd send`: a run now, made by the daemon that owns the ledger.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use anyhow::anyhow;

use super::{
    Ended, Exit, Failure,
    names::{self, recipient},
    output, runs, table,
};
use crate::{
    campaign::RecipientID,
    clock::Clock,
    settings::{self, Settings},
    store::{
        Act, Ledger, Question, Reply, StoreError,
        owner::Owner,
        sqlite::{SqliteStore, review::Review},
    },
};

/// Make a run of a campaign now: to its whole audience, or a test send to the named ids.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The daemon that owns the ledger makes the run; without one this is refused (exit code 5), as is \
    a whole audience when this revision ran within 24 h. The run's name is printed on stdout. With --wait the \
    exit code is 0 when everyone was accepted, else 1.\n\n\
    Examples:\n  campaignd send hello --to 9948077346 --wait\n  \
    campaignd send hello --yes --why 'the schedule was late'\n  \
    campaignd show \"$(campaignd send hello --yes --again --wait)\""
)]
pub struct SendArgs {
    /// A campaign in force
    campaign: String,
    /// A test send to these ids instead of the audience
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',', value_parser = recipient)]
    to: Vec<RecipientID>,
    /// Do not ask before sending to the whole audience
    #[arg(long)]
    yes: bool,
    /// Also when this revision ran within 24 h
    #[arg(long)]
    again: bool,
    /// Follow the run to its end
    #[arg(long)]
    wait: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Between two looks for the daemon's answer, or at the run.
const LOOK: Duration = Duration::from_millis(100);
/// A daemon that has not answered by then is told not to.
const LOOKS_FOR_ANSWER: u32 = 300;

pub async fn run(args: SendArgs, settings: &Settings, clock: &dyn Clock) -> Ended {
    let database = settings.database.as_path();
    if Owner::of(database).is_none() {
        return Err(no_daemon(database));
    }
    let review = Review::open(database)?;
    if let Some(reason) = review.locked()? {
        let message =
            format!("the ledger is locked, and nothing is sent until `campaignd db unlock`: {reason}");
        return Err(Failure::new(Exit::Refused, anyhow!(message)));
    }
    names::known_campaign(&review, &args.campaign)?;
    if args.to.is_empty() && !args.yes {
        confirm(&args.campaign)?;
    }
    let ledger = Ledger::inline(Box::new(SqliteStore::open_existing(database, clock.now())?));
    let question = Question::Send {
        campaign: args.campaign.clone(),
        to: args.to.iter().map(RecipientID::to_string).collect(),
        again: args.again,
    };
    let run = match ask(&ledger, database, question, clock).await? {
        Reply::Run(run) => run,
        Reply::Refused(why) => return Err(Failure::new(Exit::Refused, anyhow!("{why}"))),
    };
    let act = Act { at: clock.now(), who: settings::who(), why: args.why };
    let target = run.clone();
    ledger.call(move |store| store.act_record(&act, "send", &target)).await?;
    output::write(&format!("{run}\n"))?;
    if !args.wait {
        output::say(format!("made; to follow it: campaignd show {run}"));
        return Ok(Exit::Good);
    }
    follow(&review, &run, database).await
}

fn no_daemon(database: &Path) -> Failure {
    let message =
        format!("no daemon works on the ledger {}; `campaignd serve` starts one", database.display());
    Failure::new(Exit::Refused, anyhow!(message))
}

/// A whole audience is sent to when a person says so.
fn confirm(campaign: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let message =
            format!("{campaign} would be sent to its whole audience: say --yes, or name ids with --to");
        return Err(Failure::new(Exit::Refused, anyhow!(message)));
    }
    let _ = write!(io::stderr(), "Send {campaign} to its whole audience now? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Refused, anyhow!("not confirmed: nothing is sent"))),
    }
}

/// Asks the daemon. A question that gets no answer is taken back, so that no later daemon obeys it.
async fn ask(
    ledger: &Ledger,
    database: &Path,
    question: Question,
    clock: &dyn Clock,
) -> Result<Reply, Failure> {
    let now = clock.now();
    let number = ledger.call(move |store| store.question_ask(&question, now)).await?;
    for _ in 0..LOOKS_FOR_ANSWER {
        tokio::time::sleep(LOOK).await;
        if let Some(reply) = ledger.call(move |store| store.question_reply(number)).await? {
            return Ok(reply);
        }
        if Owner::of(database).is_none() {
            break;
        }
    }
    let late = ledger
        .call(move |store| {
            let reply = store.question_reply(number)?;
            store.question_withdraw(number)?;
            Ok::<_, StoreError>(reply)
        })
        .await?;
    late.ok_or_else(|| match Owner::of(database) {
        Some(owner) => {
            Failure::new(Exit::Failed, anyhow!("the daemon ({owner}) does not answer: nothing is sent"))
        }
        None => no_daemon(database),
    })
}

/// Waits for the end of a run and tells how it was.
async fn follow(review: &Review, run: &str, database: &Path) -> Ended {
    let progress = io::stderr().is_terminal();
    let mut told = String::new();
    loop {
        let rows = review.run(run)?;
        let Some(row) = table::rows(&rows).next() else {
            return Err(Failure::new(Exit::NotFound, anyhow!("the run {run} is not in the ledger any more")));
        };
        let (state, others) = (row.text("state"), runs::others(&row));
        let counts = format!("{} of {} accepted", row.text("accepted"), row.text("audience"));
        let others = if others.is_empty() { others } else { format!(", {others}") };
        if matches!(state.as_str(), "completed" | "cancelled" | "failed") {
            if progress {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
            let reason = row.text("reason");
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            output::say(format!("{run} {state}{reason}: {counts}{others}"));
            let number = |column| rows.cell(0, column).number();
            let all = number("accepted") + number("excluded") == number("audience");
            return Ok(if state == "completed" && all { Exit::Good } else { Exit::Failed });
        }
        if progress {
            let _ = write!(io::stderr(), "\r\x1b[K{run} {state}: {counts}{others}");
        }
        if state == "paused" && told != row.text("reason") {
            told = row.text("reason");
            output::say(format!("{run} is paused ({told}); `campaignd show {run}` says how to go on"));
        }
        if Owner::of(database).is_none() {
            let message = format!("the daemon has ended; {run} goes on when it starts again");
            return Err(Failure::new(Exit::Failed, anyhow!(message)));
        }
        tokio::time::sleep(LOOK).await;
    }
}
