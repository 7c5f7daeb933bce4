//! The part of the settings file of a gateway of kind `netease`.

use std::{path::Path, sync::Arc};

use jiff::SignedDuration;
use schemars::{Schema, SchemaGenerator};
use serde_json::Map;

use super::{
    IM,
    dialect::{CallKind, IMDialect, MAX_BATCH_SIZE},
};
use crate::{
    campaign::{Dialect, file::duration},
    document::{
        Code, Value,
        fields::{Cursor, Fields, Report},
    },
    gateway::{
        Gateway,
        kind::{CannotOpen, Figures, GatewaySettings, Kind, Means},
        netease::account::{self, AccountSettings},
        reading::{BatchSizes, asking_figures},
    },
    limits::Limits,
    run::replay::{PAUSE, TRANSIT},
};

/// The keys of its part of the settings.
const KEYS: &[&str] = &[
    "kind",
    "url",
    "appKey",
    "appSecret",
    "call",
    "defaults",
    "limits",
    "concurrency",
    "batchSize",
    "timeout",
    "replayWithin",
    "settle",
    "probe",
    "caFile",
    "proxy",
    "insecure",
];

/// For how long the provider is observed to answer a repeated `RequestId` again with the success of before.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(60);
/// The most that a setting may claim.
const MOST_REMEMBERED: SignedDuration = SignedDuration::from_mins(10);

/// Recipients a call.
const BATCH_SIZES: BatchSizes = BatchSizes { default: MAX_BATCH_SIZE, max: MAX_BATCH_SIZE };

/// `kind: netease`.
pub struct IMKind;

/// An application at NetEase.
#[derive(Debug, Clone)]
pub struct IMSettings {
    pub account: AccountSettings,
    /// The call for named people.
    pub call: CallKind,
    /// For how long the provider answers a repeated `RequestId` again; None: that is not relied on.
    pub replay_within: Option<SignedDuration>,
    pub figures: Figures,
}

impl Kind for IMKind {
    fn name(&self) -> &'static str {
        "netease"
    }

    fn keys(&self) -> &'static [&'static str] {
        KEYS
    }

    fn read(
        &self,
        fields: &Fields<'_>,
        folder: &Path,
        report: &mut Report,
    ) -> Option<Arc<dyn GatewaySettings>> {
        let example = "for example `url: https://api.yunxinapi.com/nimserver`, or a list";
        let urls = account::urls(fields, example, report);
        let account = AccountSettings::read(fields, folder, urls, true, report);
        let call = fields.get("call").map_or(Some(CallKind::Batch), |cursor| {
            Some(match cursor.word(report, &["batch", "single", "attach"])? {
                "single" => CallKind::Single,
                "attach" => CallKind::Attach,
                _ => CallKind::Batch,
            })
        });
        let figures = asking_figures(fields, Map::new(), BATCH_SIZES, report);
        let replay_within = fields
            .get("replayWithin")
            .map_or(Some(Some(REMEMBERED)), |cursor| replay_within(&cursor, report));
        let (account, call, replay_within, figures) = (account?, call?, replay_within?, figures?);
        // Whoever says nothing has what the vendor documents for every plan.
        let limits = if fields.get("limits").is_some() { figures.limits } else { quota(call) };
        Some(Arc::new(IMSettings { account, call, replay_within, figures: Figures { limits, ..figures } }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<schema::NetEase>()
    }

    fn new_message(&self, all: bool) -> &'static str {
        if all { NEW_MESSAGE_ALL } else { NEW_MESSAGE }
    }
}

/// A duration, or off (the inner None). The outer None: something is wrong.
fn replay_within(cursor: &Cursor<'_>, report: &mut Report) -> Option<Option<SignedDuration>> {
    if matches!(&cursor.node.value, Value::Scalar { text, .. } if text == "off") {
        return Some(None);
    }
    let within = duration(cursor, report, TRANSIT + PAUSE)?;
    if within > MOST_REMEMBERED {
        cursor.error(report, Code::Settings, "a repeated request is known for 10m at most", None);
        return None;
    }
    Some(Some(within))
}

/// The calls that an application may make, for the vendor's smallest plan.
fn quota(call: CallKind) -> Limits {
    let rate = match call {
        CallKind::Single => "100/s",
        CallKind::Batch | CallKind::Attach | CallKind::Broadcast => "120/min",
    };
    // Both are rates.
    Limits { calls: rate.parse().into_iter().collect(), ..Limits::default() }
}

impl IMSettings {
    fn own_dialect(&self) -> IMDialect {
        IMDialect {
            call: self.call,
            defaults: self.figures.defaults.clone(),
            batch_size: self.figures.batch_size,
            concurrency: self.figures.concurrency,
        }
    }
}

impl GatewaySettings for IMSettings {
    fn kind(&self) -> &'static str {
        IMKind.name()
    }

    fn figures(&self) -> &Figures {
        &self.figures
    }

    fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(self.own_dialect())
    }

    fn open(&self, means: &Means<'_>) -> Result<Arc<dyn Gateway>, CannotOpen> {
        let url = self.account.urls.first().cloned().unwrap_or_default();
        let caller = self.account.caller(means)?;
        let clock = Arc::clone(&means.clock);
        Ok(Arc::new(IM::new(
            url,
            self.own_dialect(),
            caller,
            clock,
            self.account.timeout,
            self.replay_within,
        )))
    }
}

mod schema {
    #![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

    use schemars::JsonSchema;
    use serde_json::{Map, Value};

    use crate::{
        campaign::schema::{Duration, ID, Text},
        gateway::schema::{GatewayLimits, Secret},
    };

    /// An application at NetEase Yunxin.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "camelCase", deny_unknown_fields)]
    pub struct NetEase {
        /// Which kind of service it is.
        kind: KindName,
        /// Like https://api.yunxinapi.com/nimserver, or a list: the next one when one cannot be reached.
        url: OneOrMore,
        /// The application's key.
        app_key: ID,
        /// Where the application's secret lies; never the secret itself.
        app_secret: Secret,
        /// Which call carries messages to named people. Default: batch.
        call: Option<Call>,
        /// Fields of messages that do not say them.
        defaults: Option<Map<String, Value>>,
        /// Default: what the vendor allows every application.
        limits: Option<GatewayLimits>,
        /// Calls under way at once, at most. Default: 4.
        concurrency: Option<u32>,
        /// Recipients a call when a campaign does not say. Default: 500; 100 with message ids.
        batch_size: Option<u32>,
        /// Of one call. Default: 20s.
        timeout: Option<Duration>,
        /// For how long the provider answers a repeated RequestId again instead of sending again; off: a lost
        /// answer is looked up, never asked for again. Default: 60s.
        replay_within: Option<DurationOrOff>,
        /// How long a message may stay unseen before its absence can be proven. Default: 10m.
        settle: Option<Duration>,
        /// A throw-away account that is written to when nothing else shows how far the provider is.
        probe: Option<ID>,
        /// A PEM file of certificate authorities to trust besides the system's.
        ca_file: Option<Text>,
        /// The proxy that every call goes through, like http://proxy:3128.
        proxy: Option<String>,
        /// true allows plain http beyond this machine.
        insecure: Option<bool>,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum KindName {
        NetEase,
    }

    #[derive(JsonSchema)]
    #[schemars(untagged)]
    enum OneOrMore {
        One(Text),
        More(Vec<Text>),
    }

    /// Like 60s.
    #[derive(JsonSchema)]
    #[schemars(untagged)]
    enum DurationOrOff {
        Duration(Duration),
        Off(Off),
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Off {
        Off,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Call {
        Batch,
        Single,
        Attach,
    }
}

const NEW_MESSAGE: &str = "
# The message, in the provider's own field names.
message:
  from: campaign_bot             # the sender's accid
  type: 0                        # 0 text, 1 image, 2 audio, 3 video, 4 location, 6 file, 10 tip, 100 custom
  body: {msg: \"hello!!\"}         # a mapping, or JSON text
";

const NEW_MESSAGE_ALL: &str = "
# The message, in the provider's own field names. What is left out comes from the gateway's defaults.
message:
  from: campaign_bot             # the sender's accid
  type: 0                        # 0 text, 1 image, 2 audio, 3 video, 4 location, 6 file, 10 tip, 100 custom
  body: {msg: \"hello!!\"}         # a mapping, or JSON text
  option: {push: true, history: true}        # without history nobody can look it up afterwards
  pushcontent: \"A greeting\"      # what a push notification says
  payload: {campaign: hello}     # what a push notification carries
  ext: {campaign: hello}         # for the clients
";
