//! The settings file: its text to checked [`Settings`], or to everything that is wrong with it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{DEFAULT_CAMPAIGNS, DEFAULT_DATABASE, DEFAULT_LISTEN, Settings, kinds::KINDS};
use crate::{
    campaign::file::zone,
    document::{
        Code, Problem,
        fields::{Cursor, Fields, Report},
        nearest::did_you_mean,
        yaml,
    },
    gateway::{kind::GatewaySettings, reading::path},
    revision::Guard,
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
/// The keys of `guard`.
pub(crate) const GUARD_KEYS: &[&str] = &["maxRemoved", "from"];
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
    fields.not_supported(report, &[("retention", None), ("token", None), ("alerts", None)]);
    let guard = fields.get("guard").map(|cursor| guard(&cursor, report));
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
        guard: guard.unwrap_or(Some(Guard::default()))?,
    })
}

/// How much may vanish from the folder at once.
fn guard(cursor: &Cursor<'_>, report: &mut Report) -> Option<Guard> {
    let fields = cursor.fields(report, GUARD_KEYS)?;
    let default = Guard::default();
    let max_removed_percent = match fields.get("maxRemoved") {
        Some(cursor) => cursor.parsed(report, Code::BadValue, share),
        None => Some(default.max_removed_percent),
    };
    let from = match fields.get("from") {
        Some(cursor) => cursor.whole(report, 1..=u64::from(u32::MAX)).and_then(|from| from.try_into().ok()),
        None => Some(default.from),
    };
    Some(Guard { max_removed_percent: max_removed_percent?, from: from? })
}

/// `0%` to `100%`.
fn share(text: &str) -> Result<u8, &'static str> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok()).filter(|percent| *percent <= 100);
    percent.ok_or("a share is written as 0% to 100%")
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
) -> Option<BTreeMap<String, Option<Arc<dyn GatewaySettings>>>> {
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

fn gateway(cursor: &Cursor<'_>, folder: &Path, report: &mut Report) -> Option<Arc<dyn GatewaySettings>> {
    let entries = cursor.mapping(report)?;
    let Some(kind) = entries.iter().find(|entry| entry.key == "kind") else {
        let message = "`kind` is missing";
        cursor.error(report, Code::MissingKey, message, Some("openim, or sandbox, which delivers nowhere"));
        return None;
    };
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    let name = cursor.entry(kind).word(report, &names)?;
    let kind = KINDS.iter().find(|kind| kind.name() == name)?;
    kind.read(&cursor.fields(report, kind.keys())?, folder, report)
}
