//! The parts of the settings' JSON Schema that kinds of gateways share.

#![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

use schemars::JsonSchema;

use crate::campaign::schema::{Rates, Text};

/// Where a secret lies: exactly one.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Secret {
    /// An environment variable.
    Env(Text),
    /// A file, relative to this one.
    File(Text),
    /// A credential that systemd hands over.
    Credential(Text),
}

/// Never exceeded in any sliding window.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct GatewayLimits {
    /// Recipients of sends, like 200/s; several windows as a list.
    recipients: Option<Rates>,
    /// Requests that send, like 100/min; several windows as a list.
    calls: Option<Rates>,
    /// The part that is left unused, 0% to 90%.
    headroom: Option<String>,
}
