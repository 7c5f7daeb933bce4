//! The admin token: one per server and admin, fetched by one caller while the others wait, kept
//! until shortly before it expires or until it is refused.
//!
//! Some releases keep a single live token per admin, so a token is never fetched for a call alone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::clock::Clock;

/// A token as long as it is held.
#[derive(Debug)]
pub struct Token {
    text: SecretString,
    fetched_at: Timestamp,
    renew_at: Timestamp,
    /// Whether the server has taken it at least once.
    worked: AtomicBool,
}

impl Token {
    /// A token fetched at `now` that lives so long, as the server says.
    pub fn new(text: String, now: Timestamp, lifetime_seconds: Option<i64>) -> Token {
        // A server that says nothing, or nonsense, must not make us fetch one for every call.
        let lifetime = lifetime_seconds.unwrap_or(3_600).clamp(60, 10 * 365 * 86_400);
        let ahead = (lifetime / 10).min(3_600);
        Token {
            text: text.into(),
            fetched_at: now,
            renew_at: now.saturating_add(SignedDuration::from_secs(lifetime - ahead)).unwrap_or(now),
            worked: AtomicBool::new(false),
        }
    }

    /// The token itself, for the header.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Notes that the server took it.
    pub fn has_worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// Whether the server ever took it. One that is refused from the beginning will not be helped
    /// by the next.
    pub fn ever_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }
}

/// Where the token is kept.
pub struct TokenHolder {
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Arc<Token>>>,
}

impl TokenHolder {
    pub fn new(clock: Arc<dyn Clock>) -> TokenHolder {
        TokenHolder { clock, held: Mutex::new(None) }
    }

    /// The token held; where there is none, the one that `fetch` brings.
    pub async fn get<E>(&self, fetch: impl AsyncFnOnce() -> Result<Token, E>) -> Result<Arc<Token>, E> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(token) = held.as_ref()
            && (token.fetched_at..token.renew_at).contains(&now)
        {
            return Ok(Arc::clone(token));
        }
        let token = Arc::new(fetch().await?);
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Lets go of a token that was refused, unless another took its place already.
    pub async fn drop_refused(&self, refused: &Arc<Token>) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|token| Arc::ptr_eq(token, refused)) {
            *held = None;
        }
    }
}
