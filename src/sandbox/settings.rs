//! The in-process sandbox's part of the settings file. It speaks OpenIM.

use std::{path::Path, sync::Arc};

use schemars::{Schema, SchemaGenerator};

use super::{
    account, defaults, gateway,
    world::{Options, World},
};
use crate::{
    campaign::Dialect,
    document::fields::{Fields, Report},
    gateway::{
        Gateway,
        kind::{CannotOpen, Figures, GatewaySettings, Kind, Means},
        openim::{
            self, Account,
            settings::{BATCH_SIZES, OpenIMKind},
        },
        reading::{DEFAULT_CONCURRENCY, DEFAULT_SETTLE, asking_figures},
    },
    limits::Limits,
};

/// Registered users; any other id counts as registered too.
const USERS: u32 = 1_000;

/// `kind: sandbox`.
pub struct SandboxKind;

/// The in-process provider that delivers nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxSettings {
    pub figures: Figures,
}

impl Default for SandboxSettings {
    fn default() -> SandboxSettings {
        SandboxSettings {
            figures: Figures {
                defaults: defaults(),
                limits: Limits::default(),
                concurrency: DEFAULT_CONCURRENCY,
                batch_size: BATCH_SIZES.default,
                settle: DEFAULT_SETTLE,
                probe: None,
            },
        }
    }
}

impl Kind for SandboxKind {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["kind", "defaults", "limits", "concurrency", "batchSize", "settle", "probe"]
    }

    /// The same figures as the real thing has, and fields that make short messages whole.
    fn read(&self, fields: &Fields<'_>, _: &Path, report: &mut Report) -> Option<Arc<dyn GatewaySettings>> {
        let figures = asking_figures(fields, defaults(), BATCH_SIZES, report)?;
        Some(Arc::new(SandboxSettings { figures }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<schema::Sandbox>()
    }

    fn new_message(&self, all: bool) -> &'static str {
        OpenIMKind.new_message(all)
    }
}

impl GatewaySettings for SandboxSettings {
    fn kind(&self) -> &'static str {
        SandboxKind.name()
    }

    fn figures(&self) -> &Figures {
        &self.figures
    }

    fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(openim::settings::dialect(&self.figures))
    }

    fn delivers(&self) -> bool {
        false
    }

    fn open(&self, means: &Means<'_>) -> Result<Arc<dyn Gateway>, CannotOpen> {
        let options = Options { users: USERS, open: true, ..Options::default() };
        let world = Arc::new(World::new(&options, Arc::clone(&means.clock)));
        let account = Account {
            defaults: self.figures.defaults.clone(),
            concurrency: self.figures.concurrency,
            batch_size: self.figures.batch_size,
            ..account()
        };
        Ok(Arc::new(gateway(world, account, Arc::clone(&means.clock))))
    }
}

mod schema {
    #![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

    use schemars::JsonSchema;
    use serde_json::{Map, Value};

    use crate::{
        campaign::schema::{Duration, ID},
        gateway::schema::GatewayLimits,
    };

    /// The provider inside campaignd that delivers nowhere.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Sandbox {
        /// Which kind of service it is.
        kind: KindName,
        /// Fields of messages that do not say them.
        defaults: Option<Map<String, Value>>,
        /// Its limits, never exceeded in any sliding window.
        limits: Option<GatewayLimits>,
        /// Calls under way at once, at most. Default: 4.
        concurrency: Option<u32>,
        /// Recipients a call when a campaign does not say. Default: 100.
        batch_size: Option<u32>,
        /// How long a message may stay unseen before it can be proven that it was not taken. Default: 10m.
        settle: Option<Duration>,
        /// An account that gets a message when nothing else shows how far the provider has come.
        probe: Option<ID>,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum KindName {
        Sandbox,
    }
}
