//! Plays histories of the whole daemon on a virtual clock: any number of seeds, or one of them step by step.
//!
//! ```sh
//! cargo run --release --example simulate -- --seeds 1000
//! cargo run --release --example simulate -- --brief --seeds 20000
//! cargo run --release --example simulate -- --replay 17
//! ```

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use campaignd::clock::{Clock, ElapsedClock, SystemClock};
use clap::Parser;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/oracle.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod oracle;
#[path = "../tests/it/simulation/mod.rs"]
#[allow(dead_code, reason = "the example `attack` uses the rest")]
mod simulation;

use simulation::scale::Scale;

/// Plays histories of the whole daemon on a virtual clock, and judges each.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many histories
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Play brief histories, of which many more are played in an hour
    #[arg(long)]
    brief: bool,
    /// Play this one alone, and tell each step
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    replay: Option<u64>,
    /// Keep its ledger in this file, to be read with sqlite3
    #[arg(long, requires = "replay")]
    ledger: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scale = if arguments.brief { Scale::Brief } else { Scale::Long };
    let bad = match arguments.replay {
        Some(seed) => replay(seed, scale, arguments.ledger.as_deref()),
        None => play(arguments.from, arguments.from.saturating_add(arguments.seeds), scale),
    };
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays the seeds from `first` until before `end` and gives how many broke a promise.
fn play(first: u64, end: u64, scale: Scale) -> u64 {
    let (next, bad) = (AtomicU64::new(first), AtomicU64::new(0));
    let (kinds, clock) = (Mutex::new(BTreeMap::new()), SystemClock::new());
    let start = clock.steady();
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let judged = simulation::play_seed(seed, scale, |_| (), |_| ());
            println!("seed {seed}: {}", judged.summary);
            if let Ok(mut kinds) = kinds.lock() {
                for (kind, times) in judged.kinds {
                    *kinds.entry(kind).or_insert(0) += times;
                }
            }
            if !judged.findings.is_empty() {
                bad.fetch_add(1, Ordering::Relaxed);
                println!("seed {seed} BROKE A PROMISE: {}", judged.findings.join("; "));
                println!("{}", judged.story.join("\n"));
                let brief = if scale == Scale::Brief { "--brief " } else { "" };
                println!("seed {seed}: `{brief}--replay {seed}` tells how");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let bad = bad.into_inner();
    let seconds = clock.steady().duration_since(start).as_secs_f64();
    for (kind, times) in kinds.into_inner().unwrap_or_default() {
        println!("{times:>9} {kind}");
    }
    println!(
        "{} histories, {bad} with a broken promise, {:.1} a second",
        end - first,
        (end - first) as f64 / seconds
    );
    bad
}

/// Plays one seed and tells each step, with the daemon's own log, by the virtual time of day.
fn replay(seed: u64, scale: Scale, kept_as: Option<&Path>) -> u64 {
    tracing_subscriber::fmt().with_timer(Virtual).with_target(false).with_ansi(false).init();
    // There is one history here, so one clock.
    let begins = |clock: &ElapsedClock| {
        let _ = CLOCK.set(*clock);
    };
    let ends = |ledger: &Path| {
        let kept = kept_as.map(|kept_as| rusqlite::Connection::open(ledger)?.backup("main", kept_as, None));
        if let Some(Err(error)) = kept {
            eprintln!("the ledger cannot be kept: {error}");
        }
    };
    let judged = simulation::play_seed(seed, scale, begins, ends);
    println!("\nseed {seed}: {}", judged.summary);
    for finding in &judged.findings {
        println!("BROKE A PROMISE: {finding}");
    }
    u64::from(!judged.findings.is_empty())
}

static CLOCK: OnceLock<ElapsedClock> = OnceLock::new();

/// The history's own time of day.
struct Virtual;

impl FormatTime for Virtual {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match CLOCK.get() {
            Some(clock) => write!(writer, "{}", clock.now().strftime("%T%.3f")),
            None => Ok(()),
        }
    }
}
