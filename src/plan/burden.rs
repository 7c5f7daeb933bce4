//! What a run would take, against its window and its time: an estimate for people.

use jiff::Timestamp;

use crate::{campaign::Campaign, limits::Cost};

/// How many openings of a window a run is followed through.
const OPENINGS: u32 = 1_000;

/// When a run that starts at an instant would have sent everything; None when its window never lets it.
pub fn finish_at(campaign: &Campaign, start: Timestamp, cost: &Cost) -> Option<Timestamp> {
    let Some(window) = &campaign.window else { return start.checked_add(cost.sending).ok() };
    let zone = &campaign.calendar.zone;
    let (mut at, mut left) = (start, cost.sending);
    for _ in 0..OPENINGS {
        at = window.opens_from(zone, at)?;
        let Some(closes) = window.changes_after(zone, at) else { return at.checked_add(left).ok() };
        let open = closes.duration_since(at);
        if left <= open {
            return at.checked_add(left).ok();
        }
        (at, left) = (closes, left - open);
    }
    None
}
