//! Files that nobody would write, by the thousand: whatever bytes come, they are a campaign or problems,
//! without a panic, within bounded time and memory.
//!
//! `cargo bench --bench fuzz_files -- SEED SECONDS` (1 and 60 when nothing is said). A file that does not
//! hold is kept beside the others in `tests/fixtures/corpus/`, and the run ends with 1.

#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/fuzzing.rs"]
mod fuzzing;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use campaignd::clock::{Clock, SystemClock};

/// Files between two looks at the clock.
const FILES: usize = 200;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(60));
    let clock = SystemClock::new();
    let start = clock.steady();
    let (round, slowest) = (AtomicU64::new(0), Mutex::new(Duration::ZERO));
    let worker = || {
        while clock.steady().duration_since(start).unsigned_abs() < Duration::from_secs(seconds) {
            let round = round.fetch_add(1, Ordering::Relaxed);
            match fuzzing::run(seed.wrapping_mul(1_000_003).wrapping_add(round), FILES) {
                Ok(took) => {
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = took.max(*slowest);
                }
                Err((bytes, why)) => {
                    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corpus");
                    let path = format!("{corpus}/found-{seed}-{round}.yaml");
                    std::fs::write(&path, bytes).unwrap();
                    println!("{why}: kept as {path}");
                    std::process::exit(1);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    println!(
        "seed {seed}: {} files in {seconds} s, the slowest in {:?}, memory at most {}",
        round.into_inner() * FILES as u64,
        slowest.into_inner().unwrap(),
        memory()
    );
}

/// The most memory that this process has had.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").trim().to_owned()
}
