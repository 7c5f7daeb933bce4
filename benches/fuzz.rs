//! What nobody would say: answers of providers, cron text, list files, requests to the listener.
//!
//! `cargo bench --bench fuzz -- TARGET SEED SECONDS`, of `answers`, `cron`, `lists`, `listener`; without a
//! target each of them in turn. What does not hold is told with what was said, and the run ends with 1.

#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/nonsense.rs"]
mod nonsense;

use std::{process::ExitCode, time::Duration};

use campaignd::clock::{Clock, SystemClock};

/// Attacks between two looks at the clock.
const TIMES: usize = 200;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let mut numbers = words.iter().filter_map(|word| word.parse::<u64>().ok());
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(60));
    let named = words.iter().find(|word| word.parse::<u64>().is_err());
    let targets = named.map_or(nonsense::TARGETS.to_vec(), |name| vec![name.as_str()]);
    let clock = SystemClock::new();
    for target in &targets {
        let (start, mut round) = (clock.steady(), 0);
        let share = Duration::from_secs(seconds) / targets.len() as u32;
        while clock.steady().duration_since(start).unsigned_abs() < share {
            if let Err(what) = nonsense::run(target, seed.wrapping_mul(1_000_003).wrapping_add(round), TIMES)
            {
                println!("{target}, seed {seed}, round {round}: {what}");
                return ExitCode::FAILURE;
            }
            round += 1;
        }
        println!("{target}: {} from seed {seed} in {share:?}", round * TIMES as u64);
    }
    ExitCode::SUCCESS
}
