//! Attacks what is promised, as often as you like.
//!
//! ```sh
//! cargo run --release --example attack -- power-loss --seeds 20
//! cargo run --release --example attack -- store-faults
//! cargo run --release --example attack -- crashes
//! cargo run --release --example attack -- soak --runs 1000000
//! ```

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::Parser;

#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/oracle.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod oracle;
#[path = "../tests/it/simulation/mod.rs"]
#[allow(dead_code, reason = "the example `simulate` uses the rest")]
mod simulation;

use simulation::{
    crashes::{Stretch, crash_at},
    power_loss::lose_power,
    soak,
    store_faults::{play_scenario, stumble_at},
    watched::When,
};

/// Attacks what is promised, as often as you like.
#[derive(Debug, Parser)]
enum Attack {
    /// Power losses within commits of seeded histories
    PowerLoss {
        /// How many histories
        #[arg(long, default_value_t = 10)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// One commit in so many is looked at
        #[arg(long, default_value_t = 100)]
        every: usize,
        /// In how many ways power is lost within a commit
        #[arg(long, default_value_t = 10)]
        states: usize,
    },
    /// The k-th call to the ledger fails, before or after its effect, for every k of a scenario
    StoreFaults {
        /// The first call
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// One call in so many
        #[arg(long, default_value_t = 1)]
        every: usize,
    },
    /// The daemon is dropped between any two steps of its tasks, for every such place of a scenario
    Crashes {
        /// One place in so many
        #[arg(long, default_value_t = 1)]
        every: usize,
    },
    /// Run after run on the virtual clock: what is held, told over time
    Soak {
        /// How many runs
        #[arg(long, default_value_t = 1_000_000)]
        runs: u64,
        /// It is told each time so many are over
        #[arg(long, default_value_t = 25_000)]
        every: u64,
    },
}

fn main() -> ExitCode {
    let bad = match Attack::parse() {
        Attack::PowerLoss { seeds, from, every, states } => power_loss(from, seeds, every, states),
        Attack::StoreFaults { from, every } => store_faults(from, every),
        Attack::Crashes { every } => crashes(every),
        Attack::Soak { runs, every } => long_life(runs, every),
    };
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does `work` for each number, on every processor; gives the sum of what it gives.
fn each(numbers: impl Iterator<Item = u64> + Send, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let (numbers, sum) = (Mutex::new(numbers), AtomicU64::new(0));
    let next = || numbers.lock().ok().and_then(|mut numbers| numbers.next());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(number) = next() {
                    sum.fetch_add(work(number), Ordering::Relaxed);
                }
            });
        }
    });
    sum.into_inner()
}

fn power_loss(from: u64, seeds: u64, every: usize, states: usize) -> u64 {
    let all = AtomicU64::new(0);
    let bad = each(from..from.saturating_add(seeds), |seed| {
        let losses = lose_power(seed, every, states);
        all.fetch_add(losses.states, Ordering::Relaxed);
        println!(
            "seed {seed}: {} losses within {} commits: {} while the log was copied, {} while it began anew; \
             {} held the commit",
            losses.states, losses.commits, losses.while_copied, losses.log_anew, losses.committed
        );
        for finding in &losses.findings {
            println!("seed {seed} LOST SOMETHING: {finding}");
        }
        losses.findings.len() as u64
    });
    println!("{} power losses, {bad} with a loss of what was promised", all.into_inner());
    bad
}

fn store_faults(from: u64, every: usize) -> u64 {
    let whole = play_scenario(None);
    println!("the scenario has {} calls: {:?}", whole.calls, whole.findings);
    let played = AtomicU64::new(0);
    let bad = each((from..=whole.calls).step_by(every.max(1)), |call| {
        let mut bad = 0;
        for when in [When::Before, When::After] {
            let scenario = stumble_at(call, when);
            let so_far = played.fetch_add(1, Ordering::Relaxed) + 1;
            if so_far.is_multiple_of(100) {
                println!("{so_far} histories");
            }
            if !scenario.findings.is_empty() {
                bad += 1;
                println!(
                    "call {call} fails {when:?} its effect ({:?}): {}\n{}",
                    scenario.hit,
                    scenario.findings.join("; "),
                    scenario.story.join("\n")
                );
            }
        }
        bad
    });
    println!("{} histories, {bad} with a broken promise", played.into_inner());
    bad
}

fn crashes(every: usize) -> u64 {
    let (all, places) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let mut bad = 0;
    for stretch in Stretch::ALL {
        let over = AtomicU64::new(u64::MAX);
        let numbers = (0..).step_by(every.max(1)).take_while(|steps| *steps < over.load(Ordering::Relaxed));
        let before = all.load(Ordering::Relaxed);
        bad += each(numbers, |steps| {
            let crashed = crash_at(stretch, steps);
            let Some(call) = crashed.at else {
                over.fetch_min(steps, Ordering::Relaxed);
                return 0;
            };
            all.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut places) = places.lock() {
                *places.entry((stretch, call)).or_insert(0_u64) += 1;
            }
            if crashed.findings.is_empty() {
                return 0;
            }
            println!(
                "{stretch:?}, dropped after {steps} steps, last {call}: {}\n{}",
                crashed.findings.join("; "),
                crashed.story.join("\n")
            );
            1
        });
        println!("{stretch:?}: {} places", all.load(Ordering::Relaxed) - before);
    }
    for ((stretch, call), times) in places.into_inner().unwrap_or_default() {
        println!("{times:>9} {stretch:?} after {call}");
    }
    println!("{} crashes, {bad} with a broken promise", all.into_inner());
    bad
}

fn long_life(runs: u64, every: u64) -> u64 {
    let mut told: Vec<soak::Held> = Vec::new();
    soak::soak(runs, every, |held| {
        let grown = told.last().map_or(0.0, |before| held.bytes_a_recipient_since(before));
        println!(
            "{:>9} runs, {} recipients: {:.1} MB, {} files, WAL {:.1} MB, ledger {:.1} MB, +{grown:.1} bytes a recipient",
            held.runs,
            held.recipients,
            held.memory_mb,
            held.files,
            held.wal_mb,
            held.ledger_bytes as f64 / 1e6
        );
        told.push(held);
    });
    let findings = soak::grown(&told);
    println!("grown besides the ledger: {findings:?}");
    findings.len() as u64
}
