//! Files that nobody would write, by the thousand: whatever bytes come, they are a campaign or problems,
//! without a panic, within bounded time and memory.
//!
//! `cargo bench --bench fuzz_files -- SEED SECONDS` (1 and 60 when nothing is said). A file that does not
//! hold is kept beside the others in `tests/fixtures/corpus/`, and the run ends with 1.

#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/fuzzing.rs"]
mod fuzzing;

use std::time::Duration;

use campaignd::clock::{Clock, SystemClock};

/// Files between two looks at the clock.
const FILES: usize = 200;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seed, seconds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(60));
    let clock = SystemClock::new();
    let start = clock.steady();
    let (mut files, mut slowest, mut round) = (0, Duration::ZERO, 0);
    while clock.steady().duration_since(start).unsigned_abs() < Duration::from_secs(seconds) {
        match fuzzing::run(seed.wrapping_mul(1_000_003).wrapping_add(round), FILES) {
            Ok(took) => slowest = slowest.max(took),
            Err((bytes, why)) => {
                let path =
                    format!("{}/tests/fixtures/corpus/found-{seed}-{round}.yaml", env!("CARGO_MANIFEST_DIR"));
                std::fs::write(&path, bytes).unwrap();
                println!("{why}: kept as {path}");
                std::process::exit(1);
            }
        }
        (files, round) = (files + FILES, round + 1);
    }
    println!(
        "seed {seed}: {files} files in {seconds} s, the slowest in {slowest:?}, memory at most {}",
        memory()
    );
}

/// The most memory that this process has had.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").trim().to_owned()
}
