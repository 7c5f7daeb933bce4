//! The JSON Schema of a campaign file, for editors: keys, their meanings, their shapes. It takes all
//! that the check takes; what it lets through, the check still looks at. Nothing is checked with it.

#![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use crate::document::examples::with_examples;

/// Files that show every key; the tests hold them to be good.
const EXAMPLES: &[&str] = &[
    include_str!("../../tests/fixtures/campaigns/good/everything.yaml"),
    include_str!("../../tests/fixtures/campaigns/good/timing.yaml"),
    include_str!("../../tests/fixtures/campaigns/good/windows.yml"),
    include_str!("../../tests/fixtures/campaigns/good/native.yaml"),
    include_str!("../../examples/openim/group.yaml"),
    include_str!("../../examples/openim/people-list.yaml"),
    include_str!("../../examples/openim/documentation-request.yaml"),
];

/// The schema of a campaign file, draft 2020-12.
pub fn schema() -> Value {
    with_examples(schemars::schema_for!(CampaignFile).to_value(), EXAMPLES)
}

/// A broadcast campaign of campaignd.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct CampaignFile {
    /// The campaign's identity, unique in the folder. Default: the file's name without its ending.
    id: Option<ID>,
    /// What the campaign is for.
    description: Option<Text>,
    /// Free texts to find the campaign by.
    labels: Option<BTreeMap<String, Text>>,
    /// Whether it may send. Default: true.
    enabled: Option<bool>,
    /// A gateway of the settings. Default: their defaultGateway.
    gateway: Option<Text>,
    /// The message, in the provider's own field names; what is left out comes from the gateway's
    /// defaults.
    message: Map<String, Value>,
    /// Whom it is for: these. Exactly one of recvIDs, isSendAll, groupIDs, recipients.
    #[schemars(rename = "recvIDs")]
    recv_ids: Option<Vec<ID>>,
    /// Whom it is for: everyone the provider knows.
    is_send_all: Option<bool>,
    /// Whom it is for: these groups; each gets the message once.
    #[schemars(rename = "groupIDs")]
    group_ids: Option<Vec<ID>>,
    /// Whom it is for: the union of these sources.
    recipients: Option<Vec<Source>>,
    /// Who is left out; wins over every source, isSendAll too.
    exclude: Option<Vec<Source>>,
    /// An audience of another size is not sent to.
    expect: Option<Expect>,
    /// Nobody gets it who has had so many messages already.
    cap: Option<Cap>,
    /// Nobody gets it who had this campaign within this time.
    not_again_within: Option<Duration>,
    /// Only this share is the audience: the same people every time.
    sample: Option<Share>,
    /// This share of the audience is not sent to: the same people every time.
    holdout: Option<Share>,
    /// The IANA zone in which local times are read, like Asia/Shanghai. Required here or in the settings.
    timezone: Option<String>,
    /// When it is sent; slots at the same instant are one.
    schedules: Vec<Schedule>,
    /// How late a run may start.
    lateness: Option<Lateness>,
    /// What if the last run still goes: its slot is skipped (default), or the latest one waits.
    overlap: Option<Overlap>,
    /// What clock changes do to fixed times.
    dst: Option<ClockChanges>,
    /// When sending is allowed: it pauses outside and resumes inside.
    window: Option<Window>,
    /// Counted from the occurrence; what is left then expires. Default: 24h.
    finish_within: Option<Duration>,
    /// How it is delivered.
    delivery: Option<Delivery>,
}

/// One source of recipients: ids, a file, or the members of a group.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Source {
    /// These.
    ids: Option<Vec<ID>>,
    /// A .csv, .txt or .ndjson file, relative to this file; each may be compressed (.gz).
    file: Option<Text>,
    /// The CSV column, or the key of NDJSON objects, that holds the ids.
    column: Option<Text>,
    /// How the file is encoded. Default: utf-8.
    encoding: Option<Encoding>,
    /// What a line that cannot be used does: no run starts (the default), or it is left out and listed.
    on_bad_line: Option<OnBadLine>,
    /// The members of this group of the provider.
    members_of: Option<ID>,
}

/// The size an audience must have, exclusions applied.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Expect {
    /// So many at least.
    min: Option<u64>,
    /// So many at most.
    max: Option<u64>,
}

/// How many messages one person may get.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Cap {
    /// So many within a sliding window, like 2/day.
    per_recipient: Rate,
    /// The labels of the campaigns whose messages count. Default: all campaigns.
    across: Option<BTreeMap<String, Text>>,
}

/// One line of the calendar: exactly one of at, cron, every.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Schedule {
    /// Once, like 2026-11-11T09:00.
    at: Option<DateTime>,
    /// 5 fields, or 6 with leading seconds, like "0 9 * * MON-FRI".
    cron: Option<String>,
    /// Elapsed time, counted from `from` or the Unix epoch, like 6h.
    every: Option<Duration>,
    /// Inclusive.
    from: Option<DateTime>,
    /// Exclusive.
    until: Option<DateTime>,
    /// Local dates that are left out, or a file of them.
    except: Option<Except>,
    /// Each slot is delayed by up to so much, always by the same for the same slot.
    jitter: Option<Duration>,
}

/// Dates, like [2026-12-25], or a file with one a line.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Except {
    Date(Date),
    Dates(Vec<Date>),
    File(ExceptFile),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ExceptFile {
    /// Relative to this file.
    file: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Window {
    /// Days of the week, like MON-FRI or "SAT,SUN". Default: every day.
    days: Option<Days>,
    /// Ranges of the local time of day, like "09:00-21:00"; "22:00-06:00" reaches into the next day.
    between: Option<Ranges>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Lateness {
    /// A run that could not start within it is missed. Default: 15m.
    max: Option<Duration>,
    /// Which slots run whose time came while nothing could start: none, the latest (default), or all.
    catch_up: Option<CatchUp>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ClockChanges {
    /// A fixed time in the skipped hour: right after it (default), as much later, or not at all.
    skipped: Option<Skipped>,
    /// A fixed time in the repeated hour: at its first (default), its second, or both.
    repeated: Option<Repeated>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Delivery {
    /// Recipients a call. Default and ceiling come from the gateway.
    batch_size: Option<u32>,
    /// Calls under way at once. Default and ceiling come from the gateway.
    concurrency: Option<u32>,
    /// This campaign's share; the gateway's limits hold as well.
    limits: Option<Limits>,
    /// What was proven not to be done is asked again. Default: 5 attempts, 2s..5m.
    retry: Option<Retry>,
    /// What happens to whoever was asked and never answered for. Default: reconcile, where the provider
    /// can be asked what became of a message; else hold.
    on_unknown: Option<OnUnknown>,
    /// After the run every accepted message is looked up, and those that are seen are marked so.
    confirm: Option<bool>,
    /// Pauses the run when too many fail. Default: never.
    stop_when: Option<StopWhen>,
    /// With isSendAll: the provider's own call to everyone, recorded as one delivery to `*`.
    native: Option<bool>,
    /// true sends a delivery to `*` although somebody is excluded or suppressed.
    ignore_suppressions: Option<bool>,
}

/// Only for answers that prove that nothing was done.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// Calls for one batch in all, 1 to 100. Default: 5.
    attempts: Option<u32>,
    /// The shortest and the longest wait before the next call. Default: "2s..5m".
    backoff: Option<Backoff>,
}

/// Refused and failed, of those who were answered.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct StopWhen {
    /// More than this pauses the run, 1% to 99%.
    failure_rate: Percent,
    /// Not before so many were answered. Default: 500.
    after: Option<u64>,
}

/// Never exceeded in any sliding window.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Limits {
    /// Recipients, like 200/s; several windows as a list.
    recipients: Option<Rates>,
    /// Calls, like 100/min; several windows as a list.
    calls: Option<Rates>,
}

/// Enums of one word: the defaults of what is not built yet.
macro_rules! words {
    ($($name:ident: $($word:literal)|+;)*) => {
        $(pub(crate) struct $name;
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema { json_schema!({ "enum": [$($word),+] }) }
            fn inline_schema() -> bool { true }
        })*
    };
}

words! {
    Overlap: "skip" | "queue";
    Encoding: "utf-8" | "gb18030";
    OnBadLine: "problem" | "skip";
    CatchUp: "none" | "latest" | "all";
    Skipped: "after" | "shift" | "omit";
    Repeated: "first" | "second" | "both";
    OnUnknown: "reconcile" | "hold" | "resend";
}

/// Shapes that several keys share.
macro_rules! shapes {
    ($($name:ident = $schema:tt;)*) => {
        $(pub(crate) struct $name;
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema { json_schema!($schema) }
            fn inline_schema() -> bool { true }
        })*
    };
}

shapes! {
    ID = { "type": ["string", "integer"] };
    Text = { "type": ["string", "number", "boolean"] };
    DateTime = { "type": "string", "pattern": r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?$" };
    Date = { "type": "string", "pattern": r"^\d{4}-\d\d-\d\d$" };
    Days = {
        "anyOf": [
            { "type": "string", "pattern": "^[A-Za-z]{3}([-,][A-Za-z]{3})*$" },
            { "type": "array", "items": { "type": "string", "pattern": "^[A-Za-z]{3}([-,][A-Za-z]{3})*$" } }
        ]
    };
    Ranges = {
        "anyOf": [
            { "type": "string", "pattern": r"^\d?\d:\d\d ?- ?\d?\d:\d\d$" },
            { "type": "array", "items": { "type": "string", "pattern": r"^\d?\d:\d\d ?- ?\d?\d:\d\d$" } }
        ]
    };
    Duration = { "type": "string", "pattern": "^[0-9]+[smhd]$" };
    Backoff = { "type": "string", "pattern": r"^[0-9]+[smhd]\.\.[0-9]+[smhd]$" };
    Percent = { "type": "string", "pattern": "^[0-9]{1,2}%$" };
    Rate = { "type": "string", "pattern": "^[0-9]+/(s|min|h|day)$" };
    Share = { "type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,4})?%$" };
    Rates = {
        "anyOf": [
            { "type": "string", "pattern": "^[0-9]+/(s|min|h|day)$" },
            { "type": "array", "items": { "type": "string", "pattern": "^[0-9]+/(s|min|h|day)$" } }
        ]
    };
    NotYet = { "not": {}, "description": "Not supported yet." };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::file;

    /// The keys that a schema knows under a definition, or at its top.
    #[track_caller]
    fn check(definition: Option<&str>, decoder: &[&str]) {
        let schema = schema();
        let object = definition.map_or(&schema, |name| &schema["$defs"][name]);
        let mut keys: Vec<&str> =
            object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = decoder.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known, "{definition:?}");
        assert_eq!(object["additionalProperties"], Value::Bool(false), "{definition:?}");
    }

    #[test]
    fn the_schema_knows_the_keys_of_the_decoder() {
        check(None, file::KEYS);
        check(Some("Source"), file::SOURCE_KEYS);
        check(Some("Expect"), file::EXPECT_KEYS);
        check(Some("Cap"), file::CAP_KEYS);
        check(Some("Schedule"), file::SCHEDULE_KEYS);
        check(Some("Lateness"), file::LATENESS_KEYS);
        check(Some("ClockChanges"), file::DST_KEYS);
        check(Some("Window"), file::WINDOW_KEYS);
        check(Some("ExceptFile"), file::EXCEPT_KEYS);
        check(Some("Delivery"), file::DELIVERY_KEYS);
        check(Some("Limits"), file::CAMPAIGN_LIMIT_KEYS);
        check(Some("Retry"), file::RETRY_KEYS);
        check(Some("StopWhen"), file::STOP_WHEN_KEYS);
    }

    #[test]
    fn the_schema_names_its_draft() {
        assert_eq!(schema()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}
