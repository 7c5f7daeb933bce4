//! What is served over HTTP: whether the daemon lives and is ready.
//!
//! Must never know: how anything is sent. It only reads.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::sync::Semaphore;

use crate::daemon::Signals;

/// A loop that is asked for a round makes it; standing still for so long is no life.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection lasts, whatever comes or does not: longer than the slowest answer.
const CONNECTION_LASTS: Duration = Duration::from_secs(15);
/// Connections at once. Whoever comes then waits in the kernel's queue.
const CONNECTIONS: usize = 64;
/// The most bytes of a request that are kept.
const REQUEST_BYTES: usize = 16 * 1024;

/// Serves until the task is dropped. A connection takes one request.
pub async fn serve<L: Listener>(mut listener: L, signals: Arc<Signals>) {
    let routes =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(signals);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Nobody closes the places.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let (io, _) = listener.accept().await;
        let connection = http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(REQUEST_BYTES)
            .serve_connection(TokioIo::new(io), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            // Who hangs up, talks nonsense or says nothing has had its connection.
            let _ = tokio::time::timeout(CONNECTION_LASTS, connection).await;
            drop(place);
        });
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
