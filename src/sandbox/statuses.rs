//! The records of single messages that got through, by the operation id of their request.

use std::collections::HashMap;

/// How long a record is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 3_600 * 1_000;
/// Old ones are thrown away after so many new ones.
const SWEEP_AFTER: usize = 4_096;

/// When each was made, in Unix milliseconds.
#[derive(Debug, Default)]
pub struct Statuses {
    made_at: HashMap<String, i64>,
    since_sweep: usize,
}

impl Statuses {
    pub fn note(&mut self, operation_id: &str, now: i64) {
        self.since_sweep += 1;
        if self.since_sweep >= SWEEP_AFTER {
            self.since_sweep = 0;
            self.made_at.retain(|_, at| now - *at < KEPT_MS);
        }
        self.made_at.insert(operation_id.to_owned(), now);
    }

    /// 2: it got through; 0: nothing is known.
    pub fn of(&self, operation_id: &str, now: i64) -> i32 {
        match self.made_at.get(operation_id) {
            Some(at) if now - at < KEPT_MS => 2,
            _ => 0,
        }
    }
}
