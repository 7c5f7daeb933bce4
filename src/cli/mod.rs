//! The command line: data on stdout, everything else on stderr, one exit code for each way to end.

mod apply;
mod audience;
mod check;
mod control;
mod db;
mod deliveries;
mod explain;
mod files;
mod gateways;
mod history;
mod manual;
mod names;
pub mod new;
mod next;
mod output;
mod plan;
mod preview;
pub mod problems;
mod retry;
mod runs;
mod schema;
mod send;
mod serve;
mod show;
mod status;
mod suppress;
mod table;
mod wire;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};

use crate::{
    clock::{Clock, SystemClock},
    sandbox::command::SandboxArgs,
    settings::{self, LoadError, Loaded, Settings},
    store::{StoreError, owner::OwnError},
};

/// Declarative broadcast campaigns: a folder of YAML files becomes messages sent on time, within
/// limits, with every recipient's outcome on record.
#[derive(Debug, Parser)]
#[command(
    name = "campaignd",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 good, 1 failed, 2 usage, 3 problems in files, 4 not found, 5 refused.\n\n\
    Examples:\n  campaignd serve\n  campaignd new hello\n  campaignd check\n  campaignd send hello --to 9948077346 --wait\n  \
    campaignd show hello"
)]
struct Cli {
    /// Settings file [default: ./campaignd.yaml, else /etc/campaignd/campaignd.yaml, else built in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    New(new::NewArgs),
    Check(check::CheckArgs),
    Apply(apply::ApplyArgs),
    Explain(explain::ExplainArgs),
    Plan(plan::PlanArgs),
    Next(next::NextArgs),
    Preview(preview::PreviewArgs),
    Audience(audience::AudienceArgs),
    Send(send::SendArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Show(show::ShowArgs),
    Deliveries(deliveries::DeliveriesArgs),
    History(history::HistoryArgs),
    Pause(control::PauseArgs),
    Resume(control::ResumeArgs),
    Cancel(control::CancelArgs),
    Retry(retry::RetryArgs),
    Reconcile(retry::ReconcileArgs),
    Suppress(suppress::SuppressArgs),
    Db(db::DbArgs),
    Sandbox(SandboxArgs),
    Schema(schema::SchemaArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Good = 0,
    /// The operation failed.
    Failed = 1,
    /// The command line is not right.
    Usage = 2,
    /// A file has problems.
    Problems = 3,
    NotFound = 4,
    /// A guard, a fence, a missing confirmation, or no daemon or another one owns the ledger.
    Refused = 5,
}

/// Why a command ends otherwise than well: what to say, and how to end.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
}

impl Failure {
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Failure {
        Failure { exit, error: error.into() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let error = error.into();
        let exit = match (error.downcast_ref::<StoreError>(), error.downcast_ref::<OwnError>()) {
            (Some(StoreError::NotFound { .. } | StoreError::Missing { .. }), _) => Exit::NotFound,
            (Some(StoreError::Refused(_) | StoreError::Transition(_) | StoreError::TakenOver), _) => {
                Exit::Refused
            }
            (_, Some(OwnError::Taken { .. })) => Exit::Refused,
            _ => match error.downcast_ref::<LoadError>() {
                Some(_) => Exit::Problems,
                None => Exit::Failed,
            },
        };
        Failure { exit, error }
    }
}

/// What a command ends with.
pub type Ended = Result<Exit, Failure>;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from).and_then(
            |runtime| {
                let ended = runtime.block_on(run(cli));
                // What only reads, a list of millions say, is not waited for.
                runtime.shutdown_background();
                ended
            },
        );
    let exit = ended.unwrap_or_else(|failure| {
        // Whoever has read enough of the output wants to hear nothing more.
        if failure.exit != Exit::Good {
            output::say(format_args!("{:#}", failure.error));
        }
        failure.exit
    });
    ExitCode::from(exit as u8)
}

async fn run(cli: Cli) -> Ended {
    let config = cli.config.as_deref();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now();
    match cli.command {
        Command::Serve(args) => serve::run(&args, load(config)?).await,
        Command::New(args) => new::run(&args, &settings(config)?),
        Command::Check(args) => check::run(&args, config, now),
        Command::Apply(args) => apply::run(args, &for_the_ledger(config)?, now).await,
        Command::Explain(args) => explain::run(&args),
        Command::Plan(args) => plan::run(&args, &settings(config)?, now),
        Command::Next(args) => next::run(&args, &settings(config)?, now),
        Command::Preview(args) => preview::run(&args, &settings(config)?, clock),
        Command::Audience(args) => audience::run(args, &settings(config)?, clock).await,
        Command::Send(args) => send::run(args, &settings(config)?, clock.as_ref()).await,
        Command::Status(args) => status::run(&args, &for_the_ledger(config)?, now),
        Command::Runs(args) => runs::run(&args, &for_the_ledger(config)?),
        Command::Show(args) => show::run(&args, &for_the_ledger(config)?, now),
        Command::Deliveries(args) => deliveries::run(&args, &for_the_ledger(config)?, now),
        Command::History(args) => history::run(&args, &for_the_ledger(config)?),
        Command::Pause(args) => control::pause(args, &for_the_ledger(config)?, now).await,
        Command::Resume(args) => control::resume(args, &for_the_ledger(config)?, now).await,
        Command::Cancel(args) => control::cancel(args, &for_the_ledger(config)?, now).await,
        Command::Retry(args) => retry::retry(args, &for_the_ledger(config)?, now).await,
        Command::Reconcile(args) => retry::reconcile(args, &for_the_ledger(config)?, now).await,
        Command::Suppress(args) => suppress::run(args, &for_the_ledger(config)?, now),
        Command::Db(args) => db::run(args, &for_the_ledger(config)?, clock.as_ref()).await,
        Command::Sandbox(args) => {
            crate::sandbox::command::run(&args, clock, serve::interrupted()).await?;
            Ok(Exit::Good)
        }
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    load(config).map(|loaded| loaded.settings)
}

/// The settings, of which only the ledger counts: where they have problems, what they name of it is
/// enough. A typo must not stand between an operator and a pause.
fn for_the_ledger(config: Option<&Path>) -> Result<Settings, Failure> {
    match settings::load(config) {
        Ok(loaded) => Ok(loaded.settings),
        Err(LoadError::Problems { database: Some(database), .. }) if database.exists() => {
            output::say("the settings file has problems, which `campaignd check` tells; its ledger is used");
            Ok(Settings { database, gateways: Default::default(), ..Settings::built_in() })
        }
        Err(error) => Err(told(error)),
    }
}

/// The settings; their problems are printed as `check` prints them.
fn load(config: Option<&Path>) -> Result<Loaded, Failure> {
    settings::load(config).map_err(told)
}

fn told(error: LoadError) -> Failure {
    if let LoadError::Problems { problems, source_text, .. } = &error {
        let format = problems::Format::Human { colours: false };
        eprint!("{}", problems::write(problems, format, &|_| Some(source_text.clone())));
    }
    Failure::from(error)
}
