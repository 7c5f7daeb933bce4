//! Tokens: one live one per admin; the one before it stays good for five minutes.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{answer::Error, ids::HexID};

/// What a token is good for, as `get_admin_token` says.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long a token outlives its successor's issue.
const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// The head that every such token has.
const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

#[derive(Debug, Default)]
pub struct Tokens {
    issued: u64,
    /// Those that may still be good.
    known: HashMap<String, Token>,
    live: Option<String>,
}

#[derive(Debug)]
struct Token {
    expires_at: Timestamp,
    replaced_at: Option<Timestamp>,
}

impl Tokens {
    /// A new token for the admin; the one before is replaced.
    pub fn issue(&mut self, seed: u64, now: Timestamp) -> String {
        self.known.retain(|_, token| token.replaced_at.is_none_or(|at| now.duration_since(at) < GRACE));
        if let Some(token) = self.live.take().and_then(|live| self.known.get_mut(&live)) {
            token.replaced_at = Some(now);
        }
        self.issued += 1;
        let body = HexID::of(seed, self.issued, 1 << 32);
        let text = format!("{HEAD}.{}.{}", body.as_str(), HexID::of(seed, self.issued, 2 << 32).as_str());
        let expires_at = now.saturating_add(LIFETIME).unwrap_or(now);
        self.known.insert(text.clone(), Token { expires_at, replaced_at: None });
        self.live = Some(text.clone());
        text
    }

    /// When a good token expires.
    pub fn check(&self, text: &str, now: Timestamp) -> Result<Timestamp, Error> {
        let Some(token) = self.known.get(text) else {
            return Err(match text.split('.').count() == 3 && text.starts_with("eyJ") {
                true => Error::new(1507, "TokenNotExistError", ""),
                false => Error::new(1503, "TokenMalformedError", ""),
            });
        };
        if token.expires_at <= now {
            Err(Error::new(1501, "TokenExpiredError", ""))
        } else if token.replaced_at.is_some_and(|at| now.duration_since(at) >= GRACE) {
            Err(Error::new(1507, "TokenNotExistError", ""))
        } else {
            Ok(token.expires_at)
        }
    }

    /// Lets all tokens expire now.
    pub fn expire_all(&mut self, now: Timestamp) {
        for token in self.known.values_mut() {
            token.expires_at = now;
        }
    }
}
