//! The command line: data on stdout, everything else on stderr, one exit code for each way to end.

pub mod new;
pub mod problems;
mod serve;
mod wire;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    clock::SystemClock,
    sandbox::command::SandboxArgs,
    settings::{self, LoadError, Loaded},
    store::{StoreError, owner::OwnError},
};

/// Declarative broadcast campaigns: a folder of YAML files becomes messages sent on time, within
/// limits, with every recipient's outcome on record.
#[derive(Debug, Parser)]
#[command(name = "campaignd", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Settings file [default: ./campaignd.yaml, else /etc/campaignd/campaignd.yaml, else built in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it a process")]
enum Command {
    Serve(serve::ServeArgs),
    Sandbox(SandboxArgs),
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
            (Some(StoreError::Refused(_) | StoreError::Transition(_)), _) => Exit::Refused,
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
    let exit = run(cli).unwrap_or_else(|failure| {
        eprintln!("campaignd: {:#}", failure.error);
        failure.exit
    });
    ExitCode::from(exit as u8)
}

fn run(cli: Cli) -> Ended {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Serve(args) => runtime.block_on(serve::run(&args, load(cli.config.as_deref())?)),
        Command::Sandbox(args) => {
            runtime.block_on(async {
                let clock = std::sync::Arc::new(SystemClock::new());
                crate::sandbox::command::run(&args, clock, serve::interrupted()).await
            })?;
            Ok(Exit::Good)
        }
    }
}

/// The settings; their problems are printed as `check` prints them.
fn load(config: Option<&std::path::Path>) -> Result<Loaded, Failure> {
    settings::load(config).map_err(|error| {
        if let LoadError::Problems { problems, source_text } = &error {
            let format = problems::Format::Human { colours: false };
            eprint!("{}", problems::write(problems, format, &|_| Some(source_text.clone())));
        }
        Failure::from(error)
    })
}
