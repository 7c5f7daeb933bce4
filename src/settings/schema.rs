//! The JSON Schema of a settings file, for editors. Nothing is checked with it.

#![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use serde_json::Value;

use super::kinds::KINDS;
use crate::{
    campaign::schema::{NotYet, Text},
    document::examples::with_examples,
};

/// Files that show every key; the tests hold them to be good.
const EXAMPLES: &[&str] = &[
    include_str!("../../tests/fixtures/settings/good/everything.yaml"),
    include_str!("../../tests/fixtures/settings/good/netease.yaml"),
    include_str!("../../tests/fixtures/settings/good/netease-send-to-all.yaml"),
    include_str!("../../examples/settings/sandbox.yaml"),
];

/// The schema of a settings file, draft 2020-12.
pub fn schema() -> Value {
    with_examples(schemars::schema_for!(SettingsFile).to_value(), EXAMPLES)
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
    /// How much may vanish from the folder at once; more is held until a person says that it is meant.
    guard: Option<Guard>,
    token: Option<NotYet>,
    alerts: Option<NotYet>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Guard {
    /// More than this share of the campaigns in force is held. Default: 50%.
    max_removed: Option<String>,
    /// From so many on. Default: 3.
    from: Option<u32>,
}

/// An account at a service that carries messages, of one of the kinds.
struct Gateway;

impl JsonSchema for Gateway {
    fn schema_name() -> Cow<'static, str> {
        "Gateway".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = KINDS.iter().map(|kind| kind.schema(generator)).collect();
        json_schema!({
            "description": "An account at a service that carries messages.",
            "anyOf": kinds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{campaign::file::GATEWAY_LIMIT_KEYS, settings::file};

    #[track_caller]
    fn check(schema: &Schema, decoder: &[&str]) {
        let mut keys: Vec<&str> =
            schema.as_value()["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = decoder.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn the_schema_knows_the_keys_of_the_decoder() {
        check(&Schema::try_from(schema()).unwrap(), file::KEYS);
        let mut definitions = schema()["$defs"].take();
        let mut definition = |name: &str| Schema::try_from(definitions[name].take()).unwrap();
        check(&definition("Guard"), file::GUARD_KEYS);
        check(&definition("GatewayLimits"), GATEWAY_LIMIT_KEYS);
        for kind in KINDS {
            let mut generator = SchemaGenerator::default();
            let referred = kind.schema(&mut generator).to_value();
            let name = referred["$ref"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let own = definition(&name);
            check(&own, kind.keys());
            assert!(own.as_value().to_string().contains("\"kind\""), "{}", kind.name());
        }
    }

    #[test]
    fn the_schema_knows_the_kinds() {
        let schema = schema().to_string();
        for kind in KINDS {
            assert!(schema.contains(&format!("[\"{}\"]", kind.name())), "{}", kind.name());
        }
    }
}
