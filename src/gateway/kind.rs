//! Kinds of gateways, as the settings see them: each reads its own part of the settings file, and
//! opens a gateway from it. So nothing outside of a kind's folder knows its keys.
//!
//! Must never know: where the settings lie, how secrets are fetched, which kinds there are.

use std::{any::Any, error::Error, fmt, path::Path, sync::Arc};

use jiff::SignedDuration;
use schemars::{Schema, SchemaGenerator};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    Gateway,
    http::{BadReach, Reach},
    secret::SecretSource,
    transport::Transport,
};
use crate::{
    campaign::{Dialect, RecipientID},
    clock::Clock,
    document::fields::{Fields, Report},
    limits::Limits,
};

/// A kind of gateway.
pub trait Kind: Sync {
    /// The word after `kind:`.
    fn name(&self) -> &'static str;

    /// The keys of its part of the settings, `kind` among them.
    fn keys(&self) -> &'static [&'static str];

    /// Reads its part of the settings; paths are relative to `folder`.
    fn read(
        &self,
        fields: &Fields<'_>,
        folder: &Path,
        report: &mut Report,
    ) -> Option<Arc<dyn GatewaySettings>>;

    /// The JSON Schema of its part of the settings.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// `message:` of a new campaign file, commented: the few keys that a first campaign needs, or all.
    fn new_message(&self, all: bool) -> &'static str;
}

/// The settings of one gateway, checked. Nothing has been fetched: to check files needs no secret.
pub trait GatewaySettings: Any + fmt::Debug + Send + Sync {
    /// The word after `kind:`.
    fn kind(&self) -> &'static str;

    /// The figures that every kind has.
    fn figures(&self) -> &Figures;

    /// What this kind knows of messages, with the defaults set here.
    fn dialect(&self) -> Box<dyn Dialect>;

    /// Whether anything reaches anyone.
    fn delivers(&self) -> bool {
        true
    }

    /// A gateway that works with these means.
    fn open(&self, means: &Means<'_>) -> Result<Arc<dyn Gateway>, CannotOpen>;
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
    /// How long a message may stay unseen before its absence can be proven.
    pub settle: SignedDuration,
    /// An account of ours that may get a message when nothing else shows how far the provider has come.
    pub probe: Option<RecipientID>,
}

/// What a gateway is opened with.
pub struct Means<'a> {
    pub clock: Arc<dyn Clock>,
    /// Fetches a secret.
    pub secret: &'a FetchSecret,
    /// Makes what carries its requests.
    pub transport: &'a MakeTransport,
}

/// Fetches a secret from where it lies. The error holds nothing of it.
pub type FetchSecret = dyn Fn(&SecretSource) -> Result<SecretString, Box<dyn Error + Send + Sync>>;
/// Makes a transport to a server.
pub type MakeTransport = dyn Fn(&Reach) -> Result<Arc<dyn Transport>, BadReach>;

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    #[error("{0}")]
    Secret(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Reach(#[from] BadReach),
}
