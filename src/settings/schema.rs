//! The JSON Schema of a settings file, for editors. Nothing is checked with it.

#![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::campaign::schema::{Duration, ID, NotYet, Rates, Text};

/// The schema of a settings file, draft 2020-12.
pub fn schema() -> Schema {
    schemars::schema_for!(SettingsFile)
}

/// Settings of campaignd. Paths are relative to this file.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct SettingsFile {
    /// The watched folder. Default: campaigns.
    campaigns: Option<Text>,
    /// The ledger's file. Default: campaignd.db.
    database: Option<Text>,
    /// Where the page, the API and the health checks are served, or "off". Default: 127.0.0.1:8787.
    listen: Option<String>,
    /// The zone of campaigns that name none, like Asia/Shanghai.
    timezone: Option<String>,
    /// The gateway of campaigns that name none.
    default_gateway: Option<Text>,
    /// The gateways by name.
    gateways: BTreeMap<String, Gateway>,
    retention: Option<NotYet>,
    guard: Option<NotYet>,
    token: Option<NotYet>,
    alerts: Option<NotYet>,
}

/// An account at a service that carries messages.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Gateway {
    OpenIM(OpenIM),
    Sandbox(Sandbox),
}

/// An OpenIM server.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct OpenIM {
    kind: OpenIMKind,
    /// Like http://127.0.0.1:10002.
    url: String,
    /// The admin account, usually imAdmin.
    #[schemars(rename = "adminUserID")]
    admin_user_id: ID,
    /// Where the secret lies; never the secret itself.
    secret: Secret,
    /// Fields of messages that do not say them, in the provider's names.
    defaults: Option<Map<String, Value>>,
    /// Of the whole account.
    limits: Option<GatewayLimits>,
    /// Calls under way at once, at most. Default: 4.
    concurrency: Option<u32>,
    /// Recipients a call when a campaign does not say. Default: 100.
    batch_size: Option<u32>,
    /// Of one call. Default: 60s.
    timeout: Option<Duration>,
    /// Only the default, 10m, is supported yet.
    settle: Option<Duration>,
    probe: Option<NotYet>,
    /// A PEM file of certificate authorities to trust besides the system's.
    ca_file: Option<Text>,
    /// The proxy that every call goes through, like http://proxy:3128.
    proxy: Option<String>,
    /// true allows plain http beyond this machine.
    insecure: Option<bool>,
}

/// The provider inside campaignd that delivers nowhere.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Sandbox {
    kind: SandboxKind,
    /// Fields of messages that do not say them.
    defaults: Option<Map<String, Value>>,
    limits: Option<GatewayLimits>,
    /// Calls under way at once, at most. Default: 4.
    concurrency: Option<u32>,
    /// Recipients a call when a campaign does not say. Default: 100.
    batch_size: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum OpenIMKind {
    OpenIM,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum SandboxKind {
    Sandbox,
}

/// Where a secret lies: exactly one.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", deny_unknown_fields)]
enum Secret {
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
struct GatewayLimits {
    recipients: Option<Rates>,
    calls: Option<Rates>,
    /// The part that is left unused, 0% to 90%.
    headroom: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{campaign::file::GATEWAY_LIMIT_KEYS, settings::file};

    #[track_caller]
    fn check(definition: Option<&str>, decoder: &[&str]) {
        let schema = schema().to_value();
        let object = definition.map_or(&schema, |name| &schema["$defs"][name]);
        let mut keys: Vec<&str> =
            object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = decoder.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known, "{definition:?}");
    }

    #[test]
    fn the_schema_knows_the_keys_of_the_decoder() {
        check(None, file::KEYS);
        check(Some("OpenIM"), file::OPENIM_KEYS);
        check(Some("Sandbox"), file::SANDBOX_KEYS);
        check(Some("GatewayLimits"), GATEWAY_LIMIT_KEYS);
    }

    #[test]
    fn the_schema_knows_the_kinds_that_are_built() {
        let schema = schema().to_value().to_string();
        for (index, kind) in file::KINDS.iter().enumerate() {
            assert_eq!(schema.contains(&format!("\"{kind}\"")), index < 2, "{kind}");
        }
    }
}
