//! What a gateway is built from: plain values, checked by whoever read them.
//!
//! Knows: which figures each kind has, and their defaults. Must never know: settings files, the
//! environment, or where a secret came from.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::limits::Limits;

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

/// An OpenIM server and our account there. `Secret` is the secret itself; before it has been
/// fetched, it is whatever tells where it lies.
#[derive(Debug, Clone)]
pub struct OpenIMSettings<Secret = SecretString> {
    /// `http://HOST:10002` or `https://…`, without a final slash.
    pub url: String,
    pub admin_user_id: String,
    pub secret: Secret,
    /// Fields of messages that do not say them themselves, in the provider's names.
    pub defaults: Map<String, Value>,
    pub limits: Limits,
    /// Calls under way at once, at most.
    pub concurrency: u32,
    /// Recipients a call, when a campaign does not say.
    pub batch_size: u32,
    /// How long one call may take.
    pub timeout: Duration,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy that every call goes through.
    pub proxy: Option<String>,
    /// Whether plain http beyond loopback was allowed by name.
    pub insecure: bool,
}

impl<Secret> OpenIMSettings<Secret> {
    /// The same with another secret, usually the fetched one.
    pub fn with_secret<Other>(self, secret: Other) -> OpenIMSettings<Other> {
        OpenIMSettings {
            url: self.url,
            admin_user_id: self.admin_user_id,
            secret,
            defaults: self.defaults,
            limits: self.limits,
            concurrency: self.concurrency,
            batch_size: self.batch_size,
            timeout: self.timeout,
            ca_file: self.ca_file,
            proxy: self.proxy,
            insecure: self.insecure,
        }
    }
}

/// The in-process provider that delivers nowhere; it speaks OpenIM.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxSettings {
    /// Fields of messages that do not say them themselves.
    pub defaults: Map<String, Value>,
    pub limits: Limits,
    /// Calls under way at once, at most.
    pub concurrency: u32,
    /// Recipients a call, when a campaign does not say.
    pub batch_size: u32,
}

impl SandboxSettings {
    /// The fields a sandbox message has when nobody says them, so that the shortest campaign works.
    pub fn default_fields() -> Map<String, Value> {
        [
            ("sendID".to_owned(), Value::from("notice")),
            ("senderNickname".to_owned(), Value::from("Notice")),
            ("senderPlatformID".to_owned(), Value::from(2)),
        ]
        .into_iter()
        .collect()
    }
}

impl Default for SandboxSettings {
    fn default() -> SandboxSettings {
        SandboxSettings {
            defaults: SandboxSettings::default_fields(),
            limits: Limits::default(),
            concurrency: DEFAULT_CONCURRENCY,
            batch_size: DEFAULT_BATCH_SIZE,
        }
    }
}
