//! The part of the settings file of a gateway of kind `netease-send-to-all`.

use std::{path::Path, sync::Arc};

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, json};

use super::{
    SendToAll,
    dialect::SendToAllDialect,
    profile::{BodyMode, Encoding, ID, Profile, RecipientList, Scalars, Success, has_place},
};
use crate::{
    campaign::Dialect,
    document::{
        Code,
        fields::{Cursor, Fields, Report},
    },
    gateway::{
        Gateway,
        kind::{CannotOpen, Figures, GatewaySettings, Kind, Means},
        netease::account::{self, AccountSettings},
        reading::{BatchSizes, figures},
    },
};

/// The keys of its part of the settings.
const KEYS: &[&str] = &[
    "kind",
    "url",
    "encoding",
    "auth",
    "headers",
    "appKey",
    "appSecret",
    "body",
    "bodyMaxChars",
    "scalars",
    "recipients",
    "success",
    "messageID",
    "antispam",
    "defaults",
    "limits",
    "concurrency",
    "batchSize",
    "timeout",
    "caFile",
    "proxy",
    "insecure",
];
const RECIPIENTS_KEYS: &[&str] = &["field", "item"];
const SUCCESS_KEYS: &[&str] = &["pointer", "equals"];

/// Recipients a call. The documentation names no ceiling.
const BATCH_SIZES: BatchSizes = BatchSizes { default: 500, max: 1_000 };
/// The documentation's own limit on `body`, in the provider's unit.
const DEFAULT_BODY_MAX_CHARS: usize = 200;
/// The most that a setting may ask for.
const MOST_BODY_CHARS: u64 = 1_000_000;

/// `kind: netease-send-to-all`.
pub struct SendToAllKind;

/// An application's endpoint.
#[derive(Debug, Clone)]
pub struct SendToAllSettings {
    pub account: AccountSettings,
    pub profile: Profile,
    pub figures: Figures,
}

impl Kind for SendToAllKind {
    fn name(&self) -> &'static str {
        "netease-send-to-all"
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
        read(fields, folder, report).map(|settings| Arc::new(settings) as Arc<dyn GatewaySettings>)
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<schema::NetEaseSendToAll>()
    }

    fn new_message(&self, all: bool) -> &'static str {
        if all { NEW_MESSAGE_ALL } else { NEW_MESSAGE }
    }
}

fn read(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<SendToAllSettings> {
    let example = "the whole address, like https://im.example.com/nimserver/msg/sendMsgToAll.action";
    let urls = account::urls(fields, example, report);
    if let (Some(cursor), Some(_)) = (fields.get("url"), urls.as_ref().filter(|urls| urls.len() > 1)) {
        cursor.error(report, Code::Settings, "`url` is one address here", None);
    }
    let auth = match fields.get("auth") {
        Some(cursor) => cursor.word(report, &["netease", "none"]),
        None => Some("netease"),
    };
    let account = AccountSettings::read(fields, folder, urls, auth != Some("none"), report);
    let headers = fields.get("headers").map(|cursor| account::headers(&cursor, folder, report));
    let profile = profile(fields, report);
    let figures = figures(fields, Map::new(), BATCH_SIZES, report);
    auth?;
    Some(SendToAllSettings {
        account: AccountSettings { headers: headers.unwrap_or(Some(Vec::new()))?, ..account? },
        profile: profile?,
        figures: figures?,
    })
}

fn profile(fields: &Fields<'_>, report: &mut Report) -> Option<Profile> {
    let hint = "form or json: the documentation shows both, so say which one the server takes";
    let encoding = fields.require(report, "encoding", hint);
    let encoding = encoding.and_then(|cursor| {
        Some(match cursor.word(report, &["form", "json"])? {
            "form" => Encoding::Form,
            _ => Encoding::JSON,
        })
    });
    let body = fields.get("body").map_or(Some(BodyMode::String), |cursor| {
        let mode = match cursor.word(report, &["string", "object", "doubleEncoded"])? {
            "object" => BodyMode::Object,
            "doubleEncoded" => BodyMode::DoubleEncoded,
            _ => BodyMode::String,
        };
        if mode == BodyMode::Object && encoding == Some(Encoding::Form) {
            let message = "a form holds texts alone, so `body` cannot be an object";
            cursor.error(report, Code::Settings, message, Some("write string, or `encoding: json`"));
        }
        Some(mode)
    });
    let body_max_chars = fields.get("bodyMaxChars").map_or(Some(Some(DEFAULT_BODY_MAX_CHARS)), |cursor| {
        let off = matches!(&cursor.node.value, crate::document::Value::Scalar { text, .. } if text == "off");
        if off {
            return Some(None);
        }
        let most = cursor.whole(report, 1..=MOST_BODY_CHARS)?;
        Some(Some(usize::try_from(most).unwrap_or(usize::MAX)))
    });
    let scalars = fields.get("scalars").map_or(Some(Scalars::Number), |cursor| {
        Some(match cursor.word(report, &["number", "string"])? {
            "string" => Scalars::String,
            _ => Scalars::Number,
        })
    });
    let recipients = fields.get("recipients").map_or_else(
        || Some(RecipientList { field: "two".to_owned(), item: json!({ "appregisterid": ID }) }),
        |cursor| recipients(&cursor, report),
    );
    let success = fields.get("success").map_or_else(
        || Some(Success { pointer: "/code".to_owned(), equals: json!(200) }),
        |cursor| success(&cursor, report),
    );
    let mut place = |key: &str, default: &str| match fields.get(key) {
        Some(cursor) => pointer(&cursor, report),
        None => Some(default.to_owned()),
    };
    let (message_id, antispam) = (place("messageID", "/data/msgid"), place("antispam", "/data/antispam"));
    Some(Profile {
        encoding: encoding?,
        body: body?,
        body_max_chars: body_max_chars?,
        scalars: scalars?,
        recipients: recipients?,
        success: success?,
        message_id: message_id?,
        antispam: antispam?,
    })
}

fn recipients(cursor: &Cursor<'_>, report: &mut Report) -> Option<RecipientList> {
    let fields = cursor.fields(report, RECIPIENTS_KEYS)?;
    let field = fields.require(report, "field", "the name of the list, like two");
    let field = field.and_then(|cursor| {
        let text = cursor.text(report)?;
        let taken = super::wire::FIELDS.contains(&text);
        if text.is_empty() || taken {
            cursor.error(report, Code::Settings, "the recipients need a field of their own", None);
        }
        Some(text.to_owned())
    });
    let item = fields.require(report, "item", "what stands for each: {appregisterid: $id}, or $id");
    let item = item.and_then(|cursor| {
        let item = cursor.json(report)?;
        if !has_place(&item) {
            let message = format!("`{ID}` stands nowhere in it, so nobody would be named");
            cursor.error(report, Code::Settings, message, Some("for example {appregisterid: $id}"));
        }
        Some(item)
    });
    Some(RecipientList { field: field?, item: item? })
}

fn success(cursor: &Cursor<'_>, report: &mut Report) -> Option<Success> {
    let fields = cursor.fields(report, SUCCESS_KEYS)?;
    let place = fields.require(report, "pointer", "where the answer tells success, like /code");
    let place = place.and_then(|cursor| pointer(&cursor, report));
    let equals = fields.require(report, "equals", "what it says then, like 200");
    let equals = equals.and_then(|cursor| cursor.json(report));
    Some(Success { pointer: place?, equals: equals? })
}

/// A JSON pointer (RFC 6901) that leads somewhere.
fn pointer(cursor: &Cursor<'_>, report: &mut Report) -> Option<String> {
    let text = cursor.text(report)?;
    if !text.starts_with('/') {
        let message = format!("`{text}` is no JSON pointer");
        cursor.error(report, Code::Settings, message, Some("it begins with a slash: /data/msgid"));
        return None;
    }
    Some(text.to_owned())
}

impl SendToAllSettings {
    fn own_dialect(&self) -> SendToAllDialect {
        SendToAllDialect {
            profile: self.profile.clone(),
            defaults: self.figures.defaults.clone(),
            batch_size: self.figures.batch_size,
            max_batch_size: BATCH_SIZES.max,
            concurrency: self.figures.concurrency,
        }
    }
}

impl GatewaySettings for SendToAllSettings {
    fn kind(&self) -> &'static str {
        SendToAllKind.name()
    }

    fn figures(&self) -> &Figures {
        &self.figures
    }

    fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(self.own_dialect())
    }

    fn open(&self, means: &Means<'_>) -> Result<Arc<dyn Gateway>, CannotOpen> {
        let url = self.account.urls.first().cloned().unwrap_or_default();
        Ok(Arc::new(SendToAll::new(url, self.own_dialect(), self.account.caller(means)?)))
    }
}

mod schema {
    #![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde_json::{Map, Value};

    use crate::{
        campaign::schema::{Duration, ID, Text},
        gateway::schema::{GatewayLimits, Secret},
    };

    /// An application's sendMsgToAll.action, or an endpoint shaped like it.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "camelCase", deny_unknown_fields)]
    pub struct NetEaseSendToAll {
        /// Which kind of service it is.
        kind: KindName,
        /// The whole address.
        url: Text,
        /// How a request is written; the documentation shows both.
        encoding: Encoding,
        /// Whether requests are signed. Default: netease.
        auth: Option<Auth>,
        /// Sent with every request besides: texts, or places where secrets lie.
        headers: Option<BTreeMap<String, Header>>,
        /// The application's key, where requests are signed.
        app_key: Option<ID>,
        /// Where the application's secret lies; never the secret itself.
        app_secret: Option<Secret>,
        /// What `body` is on the wire. Default: string, JSON text.
        body: Option<Body>,
        /// The longest `body`, in UTF-16 code units, or off. Default: 200.
        body_max_chars: Option<OffOr>,
        /// How `type` and `markRead` are written. Default: number.
        scalars: Option<Scalars>,
        /// How recipients are listed. Default: two, of {appregisterid: $id}.
        recipients: Option<Recipients>,
        /// How an answer tells success. Default: /code is 200.
        success: Option<Success>,
        /// Where an answer holds the message's id. Default: /data/msgid.
        #[schemars(rename = "messageID")]
        message_id: Option<Text>,
        /// Where an answer tells that moderation stopped the message. Default: /data/antispam.
        antispam: Option<Text>,
        /// Fields of messages that do not say them.
        defaults: Option<Map<String, Value>>,
        /// Its limits, never exceeded in any sliding window.
        limits: Option<GatewayLimits>,
        /// Calls under way at once, at most. Default: 4.
        concurrency: Option<u32>,
        /// Recipients a call when a campaign does not say. Default: 500.
        batch_size: Option<u32>,
        /// Of one call. Default: 20s.
        timeout: Option<Duration>,
        /// A PEM file of certificate authorities to trust besides the system's.
        ca_file: Option<Text>,
        /// The proxy that every call goes through, like http://proxy:3128.
        proxy: Option<String>,
        /// true allows plain http beyond this machine.
        insecure: Option<bool>,
    }

    #[derive(JsonSchema)]
    enum KindName {
        #[schemars(rename = "netease-send-to-all")]
        SendToAll,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Encoding {
        Form,
        Json,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Auth {
        NetEase,
        None,
    }

    #[derive(JsonSchema)]
    #[schemars(untagged)]
    enum Header {
        Text(Text),
        Secret(Secret),
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "camelCase")]
    enum Body {
        String,
        Object,
        DoubleEncoded,
    }

    #[derive(JsonSchema)]
    #[schemars(untagged)]
    enum OffOr {
        Most(u32),
        Off(Off),
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Off {
        Off,
    }

    #[derive(JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    enum Scalars {
        Number,
        String,
    }

    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct Recipients {
        /// The list's name.
        field: Text,
        /// What stands for each, `$id` being the id.
        item: Value,
    }

    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct Success {
        /// A JSON pointer.
        pointer: Text,
        /// What stands there after a success.
        equals: Value,
    }
}

const NEW_MESSAGE: &str = "
# The message, in the fields of the endpoint's own documentation.
message:
  from: adminuuid1
  type: 0                        # 0 text, 1 image, 2 audio
  body: {msg: \"hello!!\"}         # a mapping, or JSON text
";

const NEW_MESSAGE_ALL: &str = "
# The message, in the fields of the endpoint's own documentation. What is left out comes from the
# gateway's defaults.
message:
  from: adminuuid1               # who it comes from; may be left out where the server knows
  type: 0                        # 0 text, 1 image, 2 audio
  body: {msg: \"hello!!\"}         # a mapping, or JSON text
  ext: \"\"                        # free text for the clients
  markRead: 0                    # 1: read receipts
  # areaid: \"370700\"             # instead of recipients: the server's own selectors, recorded as
  # enterptypeid: \"3\"            # one delivery to `*`
";
