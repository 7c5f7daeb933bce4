//! Real processes that are killed at random instants: the daemon and a sandbox server, over HTTP, with
//! 20,000 recipients a run, until there were so many kills.
//!
//! `cargo bench --bench kills -- [KILLS] [SEED] [hold|reconcile]`, by default 100 from seed 1, held. It
//! panics where anybody got it twice or is forgotten, or where the ledger and the truth differ.

#[path = "../tests/it/desk.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod desk;
#[path = "../tests/it/dice.rs"]
mod dice;
#[path = "../tests/it/kills.rs"]
mod kills;
#[path = "../tests/it/office.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod office;

use kills::{Play, play};

fn main() {
    // Cargo adds `--bench`.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let wanted: u32 = words.next().map_or(100, |word| word.parse().expect("how many kills"));
    let mut seed: u64 = words.next().map_or(1, |word| word.parse().expect("a seed"));
    let on_unknown = match words.next().as_deref() {
        Some("reconcile") => "reconcile",
        _ => "hold",
    };
    let mut kills = 0;
    while kills < wanted {
        let told = play(&Play {
            seed,
            recipients: 20_000,
            on_unknown,
            most_kills: wanted - kills,
            longest_life_ms: 700,
        });
        kills += told.kills();
        println!(
            "seed {seed}: {} kills of the daemon, {} of the provider; {:?}; nobody twice, nobody forgotten",
            told.kills_of_daemon, told.kills_of_provider, told.outcomes
        );
        seed += 1;
    }
    println!("{kills} kills");
}
