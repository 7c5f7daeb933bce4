//! How many calls an application may make, for each path; beyond it, the path is blocked for a while.

use std::collections::HashMap;

use super::{BROADCAST, SEND, SEND_ATTACH, SEND_BATCH, faults::NetEaseFaults};

/// A path's calls in its fixed window, and until when it is blocked.
#[derive(Debug, Default)]
struct Counter {
    window: i64,
    calls: u32,
    blocked_until: i64,
}

#[derive(Debug, Default)]
pub struct Quotas(HashMap<String, Counter>);

/// Calls, the window and the block, both in milliseconds.
fn rule(path: &str) -> (u32, i64, i64) {
    match path {
        SEND_BATCH | SEND_ATTACH => (120, 60_000, 60_000),
        BROADCAST => (10, 60_000, 60_000),
        SEND => (100, 1_000, 10_000),
        _ => (100, 1_000, 10_000),
    }
}

impl Quotas {
    /// Counts a call at `now` (Unix milliseconds) and tells whether it may be made.
    pub fn admit(&mut self, path: &str, now: i64, faults: &NetEaseFaults) -> bool {
        let (calls, window_ms, block_ms) = rule(path);
        let calls = if faults.quota > 0 && super::sends(path) { faults.quota } else { calls };
        let block_ms = if faults.block_ms > 0 { i64::from(faults.block_ms) } else { block_ms };
        let counter = self.0.entry(path.to_owned()).or_default();
        if now < counter.blocked_until {
            return false;
        }
        let window = now.div_euclid(window_ms);
        if counter.window != window {
            *counter = Counter { window, ..Counter::default() };
        }
        counter.calls += 1;
        if counter.calls > calls {
            counter.blocked_until = now + block_ms;
            return false;
        }
        true
    }
}
