//! What is served over HTTP: whether the daemon lives and is ready.
//!
//! Must never know: how anything is sent. It only reads.

use std::{fmt::Debug, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get, serve::Listener};

use crate::daemon::Signals;

/// A loop that is asked for a round makes it; standing still for so long is no life.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// Serves until the task is dropped.
pub async fn serve<L: Listener<Addr: Debug>>(listener: L, signals: Arc<Signals>) {
    let routes =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(signals);
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the review listener has ended");
    }
}

/// 200 while the daemon's loop turns.
async fn healthz(State(signals): State<Arc<Signals>>) -> (StatusCode, &'static str) {
    let mut rounds = signals.rounds.subscribe();
    signals.round.notify_one();
    match tokio::time::timeout(ALIVE_WITHIN, rounds.changed()).await {
        Ok(Ok(())) => (StatusCode::OK, "alive\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the loops stand still\n"),
    }
}

/// 200 once the ledger is open and the folder has been read.
async fn readyz(State(signals): State<Arc<Signals>>) -> (StatusCode, String) {
    let locked = signals.locked.borrow().clone();
    match locked {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("the ledger is locked: {reason}\n")),
        None if *signals.ready.borrow() => (StatusCode::OK, "ready\n".to_owned()),
        None => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
    }
}
