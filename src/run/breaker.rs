//! Whether a gateway's calls may leave: a breaker that opens when its provider is out of order, asks by
//! itself whether it works again, and lets one small call try before all others.
//!
//! ```text
//! closed ──failed──▶ open ──time──▶ half-open ──one call worked──▶ closed
//!                      ▲                │
//!                      └────failed──────┘
//! ```
//!
//! Knows: what calls told of the provider. Must never know: who sends, what a request is. `steady` is the
//! steady clock, by which it waits; `now` the time of day, which is kept for people.

use jiff::{SignedDuration, Timestamp};

use super::reply::Reason;

/// How long it stays open after the first failure; each further one doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(2);
/// The longest that it stays open at once.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// So many recipients in a row without acceptance and without a reason look like an outage. One alone is
/// that recipient's own trouble more often.
const SILENT: u64 = 2;

/// A gateway's breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// The most tokens that may be refused in a row: all calls at once may hold the same stale one.
    most_tokens: u32,
    tokens_refused: u32,
    /// Recipients in a row who were neither accepted nor given a reason.
    silent: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Calls leave. Since when, if it was otherwise before.
    Closed { since: Option<Timestamp> },
    /// Nothing leaves until this instant of the steady clock.
    Open { outage: Outage, until: Timestamp },
    /// One request after the other finds out whether the provider works again.
    HalfOpen { outage: Outage, step: Step },
}

/// Since when a provider is out of order, why, and how often it was found so in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    pub since: Timestamp,
    pub why: Reason,
    pub failures: u32,
}

/// How far a half-open breaker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A request that only reads is under way.
    Asking,
    /// The provider answers; a call may try.
    MayTry,
    /// That call is under way.
    Trying,
}

/// What may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    Send,
    /// First ask the provider, by a request that only reads, whether it works.
    Ask,
    /// One call that tries, for one recipient, so that no more than one is used up.
    Try,
    /// Nothing before this instant of the steady clock.
    WaitUntil(Timestamp),
    /// Nothing before the request that is under way has ended.
    WaitForAnother,
}

/// What the ledger keeps of a breaker, and people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Closed {
        since: Option<Timestamp>,
    },
    /// Until this instant, by the time of day.
    Open {
        outage: Outage,
        until: Timestamp,
    },
    HalfOpen {
        outage: Outage,
    },
}

impl Standing {
    /// The words of the ledger.
    pub const NAMES: [&'static str; 3] = ["closed", "open", "half_open"];

    pub fn name(&self) -> &'static str {
        match self {
            Standing::Closed { .. } => "closed",
            Standing::Open { .. } => "open",
            Standing::HalfOpen { .. } => "half_open",
        }
    }

    /// What it is open for, if it is.
    pub fn outage(&self) -> Option<&Outage> {
        match self {
            Standing::Closed { .. } => None,
            Standing::Open { outage, .. } | Standing::HalfOpen { outage } => Some(outage),
        }
    }
}

impl Breaker {
    /// A closed breaker of a gateway with at most so many calls under way.
    pub fn new(calls_at_once: u32) -> Breaker {
        Breaker {
            state: State::Closed { since: None },
            most_tokens: calls_at_once.saturating_add(2),
            tokens_refused: 0,
            silent: 0,
        }
    }

    /// The breaker as it stood when a daemon ended; whatever was under way has to be asked again.
    pub fn restore(self, standing: Standing, steady: Timestamp, now: Timestamp) -> Breaker {
        let state = match standing {
            Standing::Closed { since } => State::Closed { since },
            // Whatever somebody has set the clock to meanwhile.
            Standing::Open { outage, until } => {
                let left = until.duration_since(now).clamp(SignedDuration::ZERO, LONGEST);
                State::Open { outage, until: steady + left }
            }
            Standing::HalfOpen { outage } => State::Open { outage, until: steady },
        };
        Breaker { state, ..self }
    }

    pub fn standing(&self, steady: Timestamp, now: Timestamp) -> Standing {
        match &self.state {
            State::Closed { since } => Standing::Closed { since: *since },
            State::Open { outage, until } => {
                Standing::Open { outage: outage.clone(), until: now + until.duration_since(steady) }
            }
            State::HalfOpen { outage, .. } => Standing::HalfOpen { outage: outage.clone() },
        }
    }

    /// What may leave now. Changes nothing: what is done of it is told by [`Self::asks`] and [`Self::tries`].
    pub fn may(&self, steady: Timestamp) -> May {
        match &self.state {
            State::Closed { .. } => May::Send,
            State::Open { until, .. } if steady < *until => May::WaitUntil(*until),
            State::Open { .. } => May::Ask,
            State::HalfOpen { step: Step::MayTry, .. } => May::Try,
            State::HalfOpen { step: Step::Asking | Step::Trying, .. } => May::WaitForAnother,
        }
    }

    /// A request that only reads leaves, to find out whether the provider works.
    pub fn asks(&mut self) {
        if let State::Open { outage, .. } = &self.state {
            self.state = State::HalfOpen { outage: outage.clone(), step: Step::Asking };
        }
    }

    /// It was answered.
    pub fn answers(&mut self) {
        self.step(Step::Asking, Step::MayTry);
    }

    /// The call that tries leaves.
    pub fn tries(&mut self) {
        self.step(Step::MayTry, Step::Trying);
    }

    /// The call that tries never left, or told nothing: another one may.
    pub fn tried_nothing(&mut self) {
        self.step(Step::Trying, Step::MayTry);
    }

    fn step(&mut self, from: Step, to: Step) {
        if let State::HalfOpen { step, .. } = &mut self.state
            && *step == from
        {
            *step = to;
        }
    }

    /// The provider is out of order. A call that was under way already when it opened tells nothing new.
    pub fn failed(&mut self, steady: Timestamp, now: Timestamp, why: Reason) {
        let outage = match &self.state {
            State::Open { .. } => return,
            State::Closed { .. } => Outage { since: now, why, failures: 1 },
            State::HalfOpen { outage, .. } => {
                Outage { since: outage.since, why, failures: outage.failures.saturating_add(1) }
            }
        };
        let doubled = FIRST * 2i32.saturating_pow(outage.failures.min(9) - 1);
        self.state = State::Open { outage, until: steady + doubled.min(LONGEST) };
    }

    /// The provider took a call: an outage is over when it is the call that tried. While the breaker is
    /// open, it is a call of before, which proves nothing of now.
    pub fn worked(&mut self, now: Timestamp) {
        self.silent = 0;
        self.tokens_refused = 0;
        if matches!(self.state, State::HalfOpen { .. }) {
            self.state = State::Closed { since: Some(now) };
        }
    }

    /// A call was answered, and none of its recipients was accepted or given a reason. Tells whether that
    /// looks like an outage, which opens the breaker.
    pub fn silent(&mut self, steady: Timestamp, now: Timestamp, recipients: u64, why: Reason) -> bool {
        self.silent = self.silent.saturating_add(recipients);
        let tries = matches!(self.state, State::HalfOpen { .. });
        let looks_so = tries || self.silent >= SILENT;
        if looks_so {
            self.failed(steady, now, why);
        }
        looks_so
    }

    /// The silence has another reason than an outage: what it opened is closed.
    pub fn explained(&mut self, now: Timestamp, code: &str) {
        self.silent = 0;
        if let State::Open { outage, .. } = &self.state
            && outage.why.code == code
        {
            self.state = State::Closed { since: Some(now) };
        }
    }

    /// The token was refused. Another one helps, unless they are refused one after the other.
    pub fn token_refused(&mut self, steady: Timestamp, now: Timestamp, why: Reason) {
        self.tokens_refused = self.tokens_refused.saturating_add(1);
        if self.tokens_refused > self.most_tokens {
            self.failed(steady, now, why);
        } else {
            self.tried_nothing();
        }
    }
}

#[cfg(test)]
mod tests;
