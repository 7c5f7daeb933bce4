//! A random walk through what people and programs do to a folder of campaigns, under the built daemon.
//!
//! `cargo bench --bench folder_walk -- SEED SECONDS` (1 and 600 when nothing is said). It panics, with the
//! last steps, when the campaigns in force at the end are not what a fresh start makes of the folder, or
//! when a run was made that no file asked for.

#[path = "../tests/it/desk.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod desk;
#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/walking.rs"]
mod walking;

use std::time::Duration;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(600));
    let walked = walking::walk(seed, Duration::from_secs(seconds));
    let walking::Walked { steps, starts, revisions, runs } = walked;
    println!("seed {seed}: {steps} steps, {starts} starts, {revisions} revisions, {runs} runs: all as meant");
}
