//! `campaignd sandbox`: the fake provider as a server.

use std::{future::Future, io, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc};

use tokio::net::TcpListener;

use super::{
    ADMIN, Profile, SECRET,
    faults::{
        AuthDown, CacheHangs, CutAfter, Drip, ErrCode, Faults, HTTPStatus, Hang, MessageServiceDown,
        Throttle, Times,
    },
    keep::KeepError,
    server,
    users::numbered_id,
    world::{Options, World},
};
use crate::clock::Clock;

/// Serve a fake provider that speaks OpenIM's REST API and delivers nowhere.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "The truth: GET /sandbox/received?sender=&recipient=&fate=&format=ndjson. \
    Faults while it runs, and those that happen at once: PUT, GET, DELETE /sandbox/faults.")]
pub struct SandboxArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:10002")]
    pub listen: SocketAddr,
    /// Which server it imitates
    #[arg(long, value_enum, default_value_t = Profile::Main)]
    pub profile: Profile,
    /// How many users u00001… are registered
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub users: u32,
    /// How many groups g1001… there are
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub groups: u32,
    /// How many of the users each group has, besides the ordinary sender
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub members: u32,
    /// Count every other id as registered too
    #[arg(long)]
    pub open: bool,
    /// Equal seeds give equal message ids
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keep what OpenIM's calls did in this file, and go on from it: it outlives the process, however that ends
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Faults")]
    pub faults: FaultArgs,
}

/// Faults from the start; counted ones are written COUNT or WHATxCOUNT.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FaultArgs {
    /// Milliseconds that each recipient of a send takes
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    pub latency_ms: f64,
    /// Recipients that come back failed
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub refuse: Vec<String>,
    /// Answer sends with an HTML page of this status, so many times
    #[arg(long, value_name = "STATUSxN")]
    pub http_status: Option<Counted>,
    /// Answer sends with this error code, so many times
    #[arg(long, value_name = "CODExN")]
    pub err_code: Option<Counted>,
    /// Answer sends with 429 and this Retry-After, sense or nonsense, so many times
    #[arg(long, value_name = "SECONDSxN")]
    pub throttle: Option<ThrottleArg>,
    /// Do the work of so many sends and close the connection
    #[arg(long, value_name = "N")]
    pub drop_answer: Option<u32>,
    /// Do so many recipients of a send and close the connection, so many times
    #[arg(long, value_name = "RECIPIENTSxN")]
    pub cut_after: Option<Counted>,
    /// Accept every so many-th message and never store it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub lose_every: u32,
    /// Store what was accepted only so many milliseconds later
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub store_late_ms: u32,
    /// The same for each of the eight partitions, besides
    #[arg(long, value_name = "MS", value_delimiter = ',')]
    pub partition_late_ms: Vec<u32>,
    /// Tell every so many-th message as failed although it is stored
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub fail_stored_every: u32,
    /// Leave every so many-th message out of a pull
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub omit_messages_every: u32,
    /// Leave every so many-th conversation out of a look-up
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub omit_conversations_every: u32,
    /// Never answer so many sends, nor do them
    #[arg(long, value_name = "N")]
    pub hang: Option<u32>,
    /// Let the answers of so many sends come in drops of 16 bytes, so many milliseconds apart
    #[arg(long, value_name = "MSxN")]
    pub drip: Option<Counted>,
    /// Let the cache hang for so long while so many sends are answered
    #[arg(long, value_name = "MSxN")]
    pub cache_hangs: Option<Counted>,
    /// Fail everyone in so many batches, and all other requests about messages
    #[arg(long, value_name = "N")]
    pub message_service_down: Option<u32>,
    /// Kill the message service after so many recipients of a batch, so many times
    #[arg(long, value_name = "RECIPIENTSxN")]
    pub message_service_killed: Option<Counted>,
    /// Check no token of so many requests
    #[arg(long, value_name = "N")]
    pub auth_down: Option<u32>,
}

impl clap::ValueEnum for Profile {
    fn value_variants<'a>() -> &'a [Profile] {
        &[Profile::Main, Profile::Patch16]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(match self {
            Profile::Main => clap::builder::PossibleValue::new("main").help("OpenIM's main line"),
            Profile::Patch16 => {
                clap::builder::PossibleValue::new("patch16").help("OpenIM's released line, v3.8.3-patch.16")
            }
        })
    }
}

/// `502x3`: a number, three times; `502`: once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub what: u32,
    pub times: u32,
}

impl FromStr for Counted {
    type Err = String;

    fn from_str(text: &str) -> Result<Counted, String> {
        let (what, times) = text.split_once('x').unwrap_or((text, "1"));
        match (what.parse(), times.parse()) {
            (Ok(what), Ok(times)) => Ok(Counted { what, times }),
            _ => Err("written as a number, or as a number, x and how often: 502x3".into()),
        }
    }
}

/// `7x2`: a Retry-After, twice; `x2`: none, twice; `soon`: nonsense, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleArg {
    pub retry_after: Option<String>,
    pub times: u32,
}

impl FromStr for ThrottleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ThrottleArg, String> {
        let (retry_after, times) = match text.rsplit_once('x') {
            Some((what, times)) => {
                (what, times.parse().map_err(|_| "how often comes after the last x: 7x2")?)
            }
            None => (text, 1),
        };
        Ok(ThrottleArg { retry_after: Some(retry_after.to_owned()).filter(|text| !text.is_empty()), times })
    }
}

impl FaultArgs {
    /// The plan that these flags say.
    pub fn plan(&self) -> Faults {
        Faults {
            latency_ms: self.latency_ms,
            refuse: self.refuse.iter().cloned().collect(),
            http_status: self.http_status.map(|Counted { what, times }| HTTPStatus {
                // Beyond 16 bits there is no status anyway.
                status: u16::try_from(what).unwrap_or(500),
                times,
                path: None,
            }),
            err_code: self.err_code.map(|Counted { what, times }| ErrCode {
                code: what.into(),
                times,
                path: None,
            }),
            throttle: self.throttle.clone().map(|ThrottleArg { retry_after, times }| Throttle {
                retry_after,
                times,
                path: None,
            }),
            drop_answer: self.drop_answer.map(Times::new),
            cut_after: self.cut_after.map(recipients),
            lose_every: self.lose_every,
            store_late_ms: self.store_late_ms,
            partition_late_ms: self.partition_late_ms.clone(),
            fail_stored_every: self.fail_stored_every,
            omit_messages_every: self.omit_messages_every,
            omit_conversations_every: self.omit_conversations_every,
            hang: self.hang.map(|times| Hang { for_ms: None, after_work: false, times, path: None }),
            drip: self.drip.map(|Counted { what, times }| Drip { pause_ms: what.into(), times, path: None }),
            cache_hangs: self.cache_hangs.map(|Counted { what, times }| CacheHangs {
                for_ms: what.into(),
                lose_every: 0,
                times,
                path: None,
            }),
            message_service_down: self
                .message_service_down
                .map(|times| MessageServiceDown { times, path: None }),
            message_service_killed: self.message_service_killed.map(recipients),
            auth_down: self.auth_down.map(|times| AuthDown { times, path: None }),
            ..Faults::default()
        }
    }
}

fn recipients(Counted { what, times }: Counted) -> CutAfter {
    CutAfter { recipients: what as usize, times, path: None }
}

/// The sandbox cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the sandbox stopped: {0}")]
    Serve(io::Error),
}

/// Serves until `shutdown` comes. Says on stderr when it is ready.
pub async fn run(
    args: &SandboxArgs,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), SandboxError> {
    let options = Options {
        profile: args.profile,
        seed: args.seed,
        users: args.users,
        groups: args.groups,
        members: args.members,
        open: args.open,
    };
    let world = World::new(&options, clock);
    let world = Arc::new(match &args.keep {
        Some(path) => world.keeping(path)?,
        None => world,
    });
    world.set_faults(args.faults.plan());
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|source| SandboxError::Listen { address: args.listen, source })?;
    let address = listener.local_addr().map_err(SandboxError::Serve)?;
    eprintln!(
        "SANDBOX ready on http://{address}: delivers nowhere; users {}…{}, admin {ADMIN}, secret {SECRET}",
        numbered_id(1),
        numbered_id(args.users)
    );
    server::serve(world, listener, shutdown).await.map_err(SandboxError::Serve)
}
