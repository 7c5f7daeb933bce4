//! An OpenIM gateway's part of the settings file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use schemars::{Schema, SchemaGenerator};
use secrecy::SecretString;
use serde_json::Map;

use super::{Account, OpenIM, dialect::OpenIMDialect};
use crate::{
    campaign::Dialect,
    document::fields::{Fields, Report},
    gateway::{
        Gateway,
        http::Reach,
        kind::{CannotOpen, Figures, GatewaySettings, Kind, Means},
        reading::{
            BatchSizes, SECRET_HINT, asking_figures, path, proxy_url, secret_source, server_url, timeout,
        },
        secret::SecretSource,
    },
};

/// The keys of its part of the settings.
const KEYS: &[&str] = &[
    "kind",
    "url",
    "adminUserID",
    "secret",
    "defaults",
    "limits",
    "concurrency",
    "batchSize",
    "timeout",
    "settle",
    "probe",
    "caFile",
    "proxy",
    "insecure",
];

/// Recipients a call.
pub const BATCH_SIZES: BatchSizes = BatchSizes { default: 100, max: super::dialect::MAX_BATCH_SIZE };
/// How long one call may take when nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// `kind: openim`.
pub struct OpenIMKind;

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

impl Kind for OpenIMKind {
    fn name(&self) -> &'static str {
        "openim"
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
        generator.subschema_for::<schema::OpenIM>()
    }

    fn new_message(&self, all: bool) -> &'static str {
        if all { NEW_MESSAGE_ALL } else { NEW_MESSAGE }
    }
}

fn read(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<OpenIMSettings> {
    let insecure = fields.get("insecure").map_or(Some(false), |cursor| cursor.boolean(report));
    let url = fields
        .require(report, "url", "for example `url: http://127.0.0.1:10002`")
        .and_then(|cursor| server_url(&cursor, insecure.unwrap_or(true), report));
    let admin_user_id = fields
        .require(report, "adminUserID", "the admin account of the server, usually imAdmin")
        .and_then(|cursor| cursor.id(report));
    let secret = fields.require(report, "secret", SECRET_HINT);
    let secret = secret.and_then(|cursor| secret_source(&cursor, folder, report));
    let timeout = fields.get("timeout").map(|cursor| timeout(&cursor, report));
    let proxy = fields.get("proxy").map(|cursor| proxy_url(&cursor, report));
    let figures = asking_figures(fields, Map::new(), BATCH_SIZES, report)?;
    Some(OpenIMSettings {
        url: url?,
        admin_user_id: admin_user_id?.to_owned(),
        secret: secret?,
        figures,
        timeout: timeout.unwrap_or(Some(DEFAULT_TIMEOUT))?,
        ca_file: path(fields, "caFile", folder, report),
        proxy: proxy.flatten(),
        insecure: insecure?,
    })
}

impl GatewaySettings for OpenIMSettings {
    fn kind(&self) -> &'static str {
        OpenIMKind.name()
    }

    fn figures(&self) -> &Figures {
        &self.figures
    }

    fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(dialect(&self.figures))
    }

    fn open(&self, means: &Means<'_>) -> Result<Arc<dyn Gateway>, CannotOpen> {
        let secret = (means.secret)(&self.secret).map_err(CannotOpen::Secret)?;
        let transport = (means.transport)(&Reach {
            url: self.url.clone(),
            timeout: self.timeout,
            ca_file: self.ca_file.clone(),
            proxy: self.proxy.clone(),
        })?;
        Ok(Arc::new(OpenIM::new(self.account(secret), transport, Arc::clone(&means.clock))))
    }
}

/// What OpenIM takes, with these figures.
pub fn dialect(figures: &Figures) -> OpenIMDialect {
    OpenIMDialect::new(figures.defaults.clone(), figures.batch_size, figures.concurrency)
}

impl OpenIMSettings {
    fn account(&self, secret: SecretString) -> Account {
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

mod schema {
    #![expect(dead_code, reason = "these types are looked at by the schema's derivation alone")]

    use schemars::JsonSchema;
    use serde_json::{Map, Value};

    use crate::{
        campaign::schema::{Duration, ID, Text},
        gateway::schema::{GatewayLimits, Secret},
    };

    /// An OpenIM server.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "camelCase", deny_unknown_fields)]
    pub struct OpenIM {
        /// Which kind of service it is.
        kind: KindName,
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
        /// How long a message may stay unseen before it can be proven that it was not taken. Default: 10m.
        settle: Option<Duration>,
        /// A throw-away account of yours: it gets a message when nothing else shows how far the server has
        /// come with storing.
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
        OpenIM,
    }
}

const NEW_MESSAGE: &str = "
# The message, in the provider's own field names.
message:
  contentType: text
  content: {content: \"hello!!\"}
";

const NEW_MESSAGE_ALL: &str = "
# The message, in the provider's own field names. What is left out comes from the gateway's defaults.
message:
  sendID: notice                 # who it comes from
  senderNickname: Notice
  senderFaceURL: http://example.com/notice.png
  senderPlatformID: 2
  contentType: text              # text picture voice video file custom markdown oa, or the number
  content: {content: \"hello!!\"}
  sessionType: single            # single, group, notification
  isOnlineOnly: false            # true: only to whoever is online now
  notOfflinePush: false          # true: no push notification
  offlinePushInfo: {title: hello, desc: \"A greeting\", ex: \"\", iOSPushSound: default, iOSBadgeCount: true}
  ex: \"\"                         # free text, kept with the message
";
