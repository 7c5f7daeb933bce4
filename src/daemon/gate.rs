//! The gate of a run: whether its campaign's window lets it send, and whether the ledger knows.

use jiff::Timestamp;

use super::{LEDGER_RETRY, assignment::Assignment, lane::Lane, turn::Turn};

/// What a run's window was like when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    pub open: bool,
    looked_at: Timestamp,
    /// When it opens or closes next.
    pub changes_at: Option<Timestamp>,
    /// Whether the ledger knows that it is so.
    pub told: bool,
}

impl Gate {
    /// The gate of a run as it is now; None where the run keeps to no window. `before` is what was found
    /// last; what the ledger knows stays known while nothing changes.
    pub fn look(assignment: &Assignment, before: Option<Gate>, now: Timestamp) -> Option<Gate> {
        let window = assignment.window()?;
        if let Some(before) = before {
            let unchanged = now >= before.looked_at && before.changes_at.is_none_or(|at| now < at);
            if unchanged {
                return Some(before);
            }
        }
        let zone = &assignment.campaign.calendar.zone;
        let open = window.is_open(zone, now);
        let told = before.is_some_and(|before| before.told && before.open == open);
        Some(Gate { open, looked_at: now, changes_at: window.changes_after(zone, now), told })
    }

    /// Why nothing is sent, while it is closed.
    pub fn closed(&self, assignment: &Assignment) -> Option<String> {
        let zone = assignment.campaign.calendar.zone.clone();
        let opens = self.changes_at.map(|at| at.to_zoned(zone).strftime("%a %F %H:%M %:z").to_string());
        let until = opens.map_or("for ever".to_owned(), |opens| format!("until {opens}"));
        (!self.open).then(|| format!("window: closed {until}"))
    }
}

impl Lane {
    /// Tells the ledger that a run's window has opened or closed.
    pub async fn tell_gate(&self, turn: &Turn, gate: Gate) {
        let (run, now) = (turn.assignment.run.clone(), self.parts.clock.now());
        let closed = gate.closed(&turn.assignment);
        let reason = closed.clone();
        match self.parts.ledger.call(move |store| store.run_window(&run, reason.as_deref(), now)).await {
            Ok(state) => {
                self.turns().gate_told(turn);
                match closed {
                    Some(reason) => tracing::info!(run = %turn.assignment.run, "{}: {reason}", state.name()),
                    None => {
                        tracing::debug!(run = %turn.assignment.run, "{}: the window is open", state.name())
                    }
                }
            }
            Err(error) => {
                tracing::error!(run = %turn.assignment.run, %error, "its window cannot be recorded, and waits");
                tokio::time::sleep(LEDGER_RETRY).await;
            }
        }
    }
}
