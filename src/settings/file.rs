//! The settings file: its text to checked [`Settings`], or to everything that is wrong with it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use reqwest::Url;
use serde_json::{Map, Value as JSON};

use super::{
    DEFAULT_CAMPAIGNS, DEFAULT_DATABASE, DEFAULT_LISTEN, Figures, GatewaySettings, OpenIMSettings,
    SandboxSettings, SecretSource, Settings,
    gateways::{DEFAULT_BATCH_SIZE, DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT, MAX_BATCH_SIZE, MAX_CONCURRENCY},
};
use crate::{
    campaign::file::{GATEWAY_LIMIT_KEYS, duration, limits, zone},
    document::{
        Code, Problem, Value,
        fields::{Cursor, Fields, Report, not_supported},
        nearest::did_you_mean,
        yaml,
    },
    limits::Limits,
    sandbox,
};

/// The keys of a settings file.
pub(crate) const KEYS: &[&str] = &[
    "campaigns",
    "database",
    "listen",
    "timezone",
    "defaultGateway",
    "gateways",
    "retention",
    "guard",
    "token",
    "alerts",
];
/// The keys of a gateway of kind `openim`.
pub(crate) const OPENIM_KEYS: &[&str] = &[
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
/// The keys of a gateway of kind `sandbox`.
pub(crate) const SANDBOX_KEYS: &[&str] = &["kind", "defaults", "limits", "concurrency", "batchSize"];
/// The kinds of gateways; those that are built come first.
pub(crate) const KINDS: &[&str] = &["openim", "sandbox", "netease", "netease-send-to-all"];

/// The longest one call may take.
const MAX_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

/// Reads a settings file, whose paths are relative to `folder`. The settings are there when no
/// problem is an error; warnings come beside them.
pub fn read(file: &str, bytes: &[u8], folder: &Path) -> (Option<Settings>, Vec<Problem>) {
    let node = match yaml::parse(file, bytes) {
        Ok(node) => node,
        Err(problems) => return (None, problems),
    };
    let mut report = Report::new(file);
    let settings = Cursor::root(&node)
        .fields(&mut report, KEYS)
        .and_then(|fields| settings(&fields, folder, &mut report))
        .filter(|_| !report.has_error());
    (settings, report.into_problems())
}

/// The ledger of a settings file that has problems, as far as it can be told.
pub(super) fn database(bytes: &[u8], folder: &Path) -> Option<PathBuf> {
    let node = yaml::parse("", bytes).ok()?;
    let mut report = Report::new("");
    let fields = Cursor::root(&node).fields(&mut report, KEYS)?;
    Some(path(&fields, "database", folder, &mut report).unwrap_or_else(|| folder.join(DEFAULT_DATABASE)))
}

fn settings(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<Settings> {
    fields.not_supported(report, &[("retention", None), ("guard", None), ("token", None), ("alerts", None)]);
    let campaigns = path(fields, "campaigns", folder, report);
    let database = path(fields, "database", folder, report);
    let listen = fields.get("listen").map(|cursor| listen(&cursor, report));
    let zone = fields.get("timezone").map(|cursor| zone(&cursor, report));
    let gateways = gateways(fields, folder, report)?;
    let default_gateway = fields.get("defaultGateway").map(|cursor| {
        let name = cursor.text(report)?;
        if !gateways.contains_key(name) {
            let hint = did_you_mean(name, gateways.keys().map(String::as_str));
            let message = format!("`gateways` has no gateway `{name}`");
            cursor.error(report, Code::UnknownGateway, message, hint.as_deref());
        }
        Some(name.to_owned())
    });
    // The only gateway there is needs no naming.
    let only = gateways.keys().next().filter(|_| gateways.len() == 1).cloned();
    Some(Settings {
        campaigns: campaigns.unwrap_or_else(|| folder.join(DEFAULT_CAMPAIGNS)),
        database: database.unwrap_or_else(|| folder.join(DEFAULT_DATABASE)),
        listen: listen.unwrap_or(Some(Some(DEFAULT_LISTEN)))?,
        zone: zone.flatten(),
        default_gateway: default_gateway.map_or(only, |named| named),
        gateways: gateways.into_iter().filter_map(|(name, gateway)| Some((name, gateway?))).collect(),
    })
}

fn path(fields: &Fields<'_>, key: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let cursor = fields.get(key)?;
    let text = cursor.text(report)?;
    if text.is_empty() {
        cursor.error(report, Code::Settings, format!("`{key}` is empty"), None);
        return None;
    }
    Some(folder.join(text))
}

/// An address, or None for `off`.
fn listen(cursor: &Cursor<'_>, report: &mut Report) -> Option<Option<SocketAddr>> {
    let text = cursor.text(report)?;
    if text == "off" {
        return Some(None);
    }
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{text}` is no address with a port");
        let hint = "write it like 127.0.0.1:8787 or \"[::1]:8787\", or \"off\"";
        cursor.error(report, Code::Settings, message, Some(hint));
    }
    address.map(Some)
}

/// The gateways by name; None for those with problems, so that their names are known all the same.
fn gateways(
    fields: &Fields<'_>,
    folder: &Path,
    report: &mut Report,
) -> Option<BTreeMap<String, Option<GatewaySettings>>> {
    let cursor = fields.require(report, "gateways", "for example `gateways: {sandbox: {kind: sandbox}}`")?;
    let entries = cursor.mapping(report)?;
    if entries.is_empty() {
        cursor.error(report, Code::Settings, "there is no gateway", None);
    }
    let mut gateways = BTreeMap::new();
    for entry in entries {
        let cursor = cursor.entry(entry);
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&entry.key.len()) || !entry.key.chars().all(plain) {
            let message = "a gateway's name has 1 to 64 letters, digits, `.`, `_` and `-`";
            report.error(entry.key_span, Code::Settings, &cursor.path, message, None);
        }
        gateways.insert(entry.key.clone(), gateway(&cursor, folder, report));
    }
    Some(gateways)
}

fn gateway(cursor: &Cursor<'_>, folder: &Path, report: &mut Report) -> Option<GatewaySettings> {
    let entries = cursor.mapping(report)?;
    let Some(kind) = entries.iter().find(|entry| entry.key == "kind") else {
        let message = "`kind` is missing";
        cursor.error(report, Code::MissingKey, message, Some("openim, or sandbox, which delivers nowhere"));
        return None;
    };
    let kind = cursor.entry(kind);
    match kind.word(report, KINDS)? {
        "openim" => {
            open_im(&cursor.fields(report, OPENIM_KEYS)?, folder, report).map(GatewaySettings::OpenIM)
        }
        "sandbox" => sandbox(&cursor.fields(report, SANDBOX_KEYS)?, report).map(GatewaySettings::Sandbox),
        later => {
            not_supported(report, &kind, &format!("kind: {later}"), None);
            None
        }
    }
}

fn open_im(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<OpenIMSettings> {
    fields.not_supported(report, &[("settle", Some("10m")), ("probe", None)]);
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
    let figures = figures(fields, Map::new(), report)?;
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

/// The sandbox has the same figures as the real thing, and fields that make short messages whole.
fn sandbox(fields: &Fields<'_>, report: &mut Report) -> Option<SandboxSettings> {
    figures(fields, sandbox::defaults(), report).map(|figures| SandboxSettings { figures })
}

/// The figures that every kind has: what is not said takes the default, and `defaults` are laid
/// over those given.
fn figures(fields: &Fields<'_>, defaults: Map<String, JSON>, report: &mut Report) -> Option<Figures> {
    let said = fields.get("defaults").map(|cursor| {
        let entries = cursor.mapping(report)?;
        cursor.json_object(report, entries)
    });
    let limits = fields.get("limits").map(|cursor| limits(&cursor, report, GATEWAY_LIMIT_KEYS));
    let mut whole = |key: &str, max: u32, default: u32| match fields.get(key) {
        Some(cursor) => cursor.whole(report, 1..=u64::from(max)).and_then(|number| number.try_into().ok()),
        None => Some(default),
    };
    let concurrency = whole("concurrency", MAX_CONCURRENCY, DEFAULT_CONCURRENCY);
    let batch_size = whole("batchSize", MAX_BATCH_SIZE, DEFAULT_BATCH_SIZE);
    let mut defaults = defaults;
    defaults.extend(said.unwrap_or(Some(Map::new()))?);
    Some(Figures {
        defaults,
        limits: limits.unwrap_or(Some(Limits::default()))?,
        concurrency: concurrency?,
        batch_size: batch_size?,
    })
}

fn timeout(cursor: &Cursor<'_>, report: &mut Report) -> Option<Duration> {
    let timeout = duration(cursor, report, SignedDuration::from_secs(1))?;
    if timeout > MAX_TIMEOUT {
        cursor.error(report, Code::Settings, "a call may take at most 10m", None);
        return None;
    }
    Duration::try_from(timeout).ok()
}

/// The server's address: http only where nobody can listen, or where that is allowed by name.
fn server_url(cursor: &Cursor<'_>, insecure: bool, report: &mut Report) -> Option<String> {
    let url = plain_url(cursor, report)?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let loopback = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    if url.scheme() == "http" && !loopback && !insecure {
        let message = "plain http beyond this machine shows the secret to everyone on the way";
        cursor.error(report, Code::Settings, message, Some("use https, or allow it with `insecure: true`"));
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn proxy_url(cursor: &Cursor<'_>, report: &mut Report) -> Option<String> {
    plain_url(cursor, report).map(|url| url.as_str().trim_end_matches('/').to_owned())
}

/// An http or https address without credentials, query or fragment. What is wrong is told without
/// repeating it, since it may hold a password.
fn plain_url(cursor: &Cursor<'_>, report: &mut Report) -> Option<Url> {
    let text = cursor.text(report)?;
    let Ok(url) = text.parse::<Url>() else {
        cursor.error(report, Code::Settings, "this is no http or https address", None);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let message = "an address must not hold a name or password";
        cursor.error(report, Code::LiteralSecret, message, None);
    } else if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        cursor.error(report, Code::Settings, "this is no http or https address", None);
    } else if url.query().is_some() || url.fragment().is_some() {
        cursor.error(report, Code::Settings, "the address must end before `?` and `#`", None);
    } else {
        return Some(url);
    }
    None
}

const SECRET_HINT: &str = "tell where it lies: {env: NAME}, {file: PATH} or {credential: NAME}";

/// Where a secret lies. Nothing of what stands here is repeated: it may be the secret itself.
fn secret_source(cursor: &Cursor<'_>, folder: &Path, report: &mut Report) -> Option<SecretSource> {
    let refuse = |report: &mut Report, message: &str| {
        cursor.error(report, Code::LiteralSecret, message, Some(SECRET_HINT));
        None
    };
    let Value::Mapping(entries) = &cursor.node.value else {
        return refuse(report, "a secret must not stand in the settings");
    };
    let [entry] = entries.as_slice() else {
        return refuse(report, "a secret lies in exactly one place");
    };
    let Value::Scalar { text, .. } = &entry.value.value else {
        return refuse(report, "the place of a secret is one text");
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    let is_name = !text.is_empty() && text.chars().all(plain) && !text.starts_with('.');
    match entry.key.as_str() {
        "file" if !text.is_empty() => Some(SecretSource::File(folder.join(text))),
        "env" if is_name => Some(SecretSource::Env(text.clone())),
        "credential" if is_name => Some(SecretSource::Credential(text.clone())),
        "file" | "env" | "credential" => refuse(report, "this names no place where a secret could lie"),
        _ => refuse(report, "this is no place where a secret could lie"),
    }
}
