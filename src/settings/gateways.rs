//! The settings of one gateway, by its kind, and what is built from them.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{SecretError, SecretSource};
use crate::{
    campaign::Dialect,
    gateway::openim::{Account, dialect::OpenIMDialect},
    limits::Limits,
    sandbox,
};

/// Calls under way at once when nothing is said.
pub const DEFAULT_CONCURRENCY: u32 = 4;
/// The most calls under way at once that a setting may ask for.
pub const MAX_CONCURRENCY: u32 = 256;
/// Recipients a call when nothing is said.
pub const DEFAULT_BATCH_SIZE: u32 = 100;
/// The most recipients a call that a setting may ask for.
pub const MAX_BATCH_SIZE: u32 = 1_000;
/// How long one call may take when nothing is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of one gateway. Secrets have not been fetched: to check files needs none.
#[derive(Debug, Clone)]
pub enum GatewaySettings {
    OpenIM(OpenIMSettings),
    Sandbox(SandboxSettings),
}

impl GatewaySettings {
    /// What this kind knows of messages, with the defaults set here.
    pub fn dialect(&self) -> Box<dyn Dialect> {
        let figures = self.figures();
        Box::new(OpenIMDialect::new(figures.defaults.clone(), figures.batch_size, figures.concurrency))
    }

    /// The word after `kind:`.
    pub fn kind(&self) -> &'static str {
        match self {
            GatewaySettings::OpenIM(_) => "openim",
            GatewaySettings::Sandbox(_) => "sandbox",
        }
    }

    /// Whether anything reaches anyone.
    pub fn delivers(&self) -> bool {
        !matches!(self, GatewaySettings::Sandbox(_))
    }

    /// The limits of the account.
    pub fn limits(&self) -> &Limits {
        &self.figures().limits
    }

    /// The figures that every kind has.
    pub fn figures(&self) -> &Figures {
        match self {
            GatewaySettings::OpenIM(settings) => &settings.figures,
            GatewaySettings::Sandbox(settings) => &settings.figures,
        }
    }
}

/// What every kind of gateway has.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Fields of messages that do not say them themselves, in the provider's names.
    pub defaults: Map<String, Value>,
    pub limits: Limits,
    /// Calls under way at once, at most.
    pub concurrency: u32,
    /// Recipients a call, when a campaign does not say.
    pub batch_size: u32,
}

/// An OpenIM server and our account there.
#[derive(Debug, Clone)]
pub struct OpenIMSettings {
    /// `http://HOST:10002` or `https://…`, without a final slash.
    pub url: String,
    pub admin_user_id: String,
    pub secret: SecretSource,
    pub figures: Figures,
    /// How long one call may take.
    pub timeout: Duration,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy that every call goes through.
    pub proxy: Option<String>,
    /// Whether plain http beyond loopback was allowed by name.
    pub insecure: bool,
}

impl OpenIMSettings {
    /// The account as the gateway wants it, with the secret fetched.
    pub fn account(&self) -> Result<Account, SecretError> {
        Ok(self.account_with(self.secret.resolve()?))
    }

    /// The account with a secret that is at hand.
    pub fn account_with(&self, secret: SecretString) -> Account {
        Account {
            url: self.url.clone(),
            admin_user_id: self.admin_user_id.clone(),
            secret,
            defaults: self.figures.defaults.clone(),
            concurrency: self.figures.concurrency,
            batch_size: self.figures.batch_size,
            timeout: self.timeout,
        }
    }
}

/// The in-process provider that delivers nowhere; it speaks OpenIM.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxSettings {
    pub figures: Figures,
}

impl Default for SandboxSettings {
    fn default() -> SandboxSettings {
        SandboxSettings {
            figures: Figures {
                defaults: sandbox::defaults(),
                limits: Limits::default(),
                concurrency: DEFAULT_CONCURRENCY,
                batch_size: DEFAULT_BATCH_SIZE,
            },
        }
    }
}
