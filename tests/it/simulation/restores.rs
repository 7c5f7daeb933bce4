//! A ledger that is put back: now and then somebody copies it between two daemons, and later has a daemon start
//! from that copy, which is older by then. Nothing may be sent from it. Then the right one is put back, and the
//! history goes on.

use std::fs;

use campaignd::sandbox::Filter;

use super::*;

/// How long a daemon of a long history serves an older copy before somebody finds out.
const FOUND_OUT_AFTER_MS: usize = 10 * 60 * 1_000;

/// What somebody keeps, and what chance says of it.
pub struct Restores {
    /// Its own, so that the rest of a history is what it is without restores.
    dice: Dice,
    kept: Option<Kept>,
    pub findings: Vec<String>,
}

struct Kept {
    ledger: Vec<u8>,
    generation: Vec<u8>,
}

impl Restores {
    pub fn new(seed: u64) -> Restores {
        Restores { dice: Dice::new(seed.wrapping_mul(31).wrapping_add(5)), kept: None, findings: Vec::new() }
    }
}

impl Simulation {
    /// Between two daemons.
    pub(super) async fn restores(&mut self) {
        // Whatever the last daemon had under way is dropped with it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let generation_file = self.database.with_file_name("ledger.db.generation");
        let (Ok(ledger), Ok(generation)) = (fs::read(&self.database), fs::read(&generation_file)) else {
            return;
        };
        if self.database.with_file_name("ledger.db-wal").exists() {
            return;
        }
        let put_back = self.restores.dice.up_to(3) == 0;
        match self.restores.kept.take() {
            // No daemon has taken the ledger since: it is the same.
            Some(kept) if kept.generation == generation => self.restores.kept = Some(kept),
            Some(kept) if put_back => {
                fs::write(&self.database, &kept.ledger).unwrap();
                self.serve_older().await;
                for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
                    // Mostly there is only the first.
                    let _ = fs::remove_file(self.database.with_file_name(name));
                }
                fs::write(&self.database, ledger).unwrap();
                if fs::read(&generation_file).unwrap() != generation {
                    self.restores.findings.push("an older copy has counted a generation".to_owned());
                }
            }
            Some(kept) => self.restores.kept = Some(kept),
            None => self.restores.kept = Some(Kept { ledger, generation }),
        }
    }

    async fn serve_older(&mut self) {
        self.count("older ledger put back");
        self.tell("an older copy of the ledger is put in its place");
        if self.scale == Scale::Brief {
            // What the provider had been asked for by then, and keeps, it may take as late as that.
            tokio::time::sleep(self.scale.settle().unsigned_abs()).await;
        }
        let before = self.taken();
        let signals = Arc::new(Signals::default());
        let found_out_after = Duration::from_millis(self.scale.of_trouble(FOUND_OUT_AFTER_MS) as u64);
        let ended = {
            let daemon = daemon::serve(self.parts(&signals));
            tokio::pin!(daemon);
            tokio::select! {
                biased;
                ended = &mut daemon => Some(ended),
                () = tokio::time::sleep(found_out_after) => None,
            }
        };
        match ended {
            // While its ledger fails it may end; with nothing sent.
            Some(ended) if self.stumbles.hit().is_empty() => {
                self.restores.findings.push(format!("a daemon with an older copy ended: {ended:?}"));
            }
            None if signals.locked.borrow().is_none() => {
                self.restores.findings.push("an older copy was not found out".to_owned());
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.taken() != before {
            self.restores.findings.push("something was sent from an older copy".to_owned());
        }
        self.tell("the right one is put back");
    }

    /// How many messages the providers have taken.
    fn taken(&self) -> usize {
        let mut taken = 0;
        self.world.received(&Filter::default(), |_| taken += 1);
        self.world.received_by_netease(&Filter::default(), None, |_| taken += 1);
        taken
    }
}
