//! Tokens. The main line has one live one per admin, and the one before it stays good for five
//! minutes; the released line takes every one that is signed and has not expired.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{answer::Error, ids::HexID, profile::Profile};

/// What a token is good for, as `get_admin_token` says.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long a token outlives its successor's issue.
const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// The head that every such token has.
const HEAD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

#[derive(Debug)]
pub struct Tokens {
    profile: Profile,
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
    pub fn new(profile: Profile) -> Tokens {
        Tokens { profile, issued: 0, known: HashMap::new(), live: None }
    }

    /// A new token for the admin.
    pub fn issue(&mut self, seed: u64, now: Timestamp) -> String {
        self.known.retain(|_, token| {
            token.expires_at > now && token.replaced_at.is_none_or(|at| now.duration_since(at) < GRACE)
        });
        if self.profile.replaces_tokens()
            && let Some(token) = self.live.take().and_then(|live| self.known.get_mut(&live))
        {
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
        let refused = |code: i64, name: &'static str| self.profile.raised(code, name, "");
        let Some(token) = self.known.get(text) else {
            let well_formed = text.split('.').count() == 3 && text.starts_with("eyJ");
            return Err(match (self.profile, well_formed) {
                (Profile::Main, true) => refused(1507, "TokenNotExistError"),
                (Profile::Main, false) => refused(1503, "TokenMalformedError"),
                // The released line says the whole token again.
                (Profile::Patch16, true) => {
                    Error::new(1505, "signature is invalid", format!("jwt parse error token={text}"))
                }
                (Profile::Patch16, false) => {
                    Error::new(1503, "TokenMalformedError", format!("jwt parse error token={text}"))
                }
            });
        };
        if token.expires_at <= now {
            Err(refused(1501, "TokenExpiredError"))
        } else if token.replaced_at.is_some_and(|at| now.duration_since(at) >= GRACE) {
            Err(refused(1507, "TokenNotExistError"))
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

    /// Knows none of them any more: the store of tokens was emptied, or the secret was changed.
    pub fn forget_all(&mut self) {
        self.known.clear();
        self.live = None;
    }
}
