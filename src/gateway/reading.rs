//! What kinds of gateways have in common in the settings file: addresses, secrets' places, figures.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use reqwest::Url;
use serde_json::{Map, Value as JSON};

use super::{kind::Figures, secret::SecretSource};
use crate::{
    campaign::{
        RecipientID,
        file::{GATEWAY_LIMIT_KEYS, duration, limits},
    },
    document::{
        Code, Value,
        fields::{Cursor, Fields, Report},
    },
    limits::Limits,
};

/// Calls under way at once when nothing is said.
pub const DEFAULT_CONCURRENCY: u32 = 4;
/// The most calls under way at once that a setting may ask for.
const MAX_CONCURRENCY: u32 = 256;
/// How long a message may stay unseen when nothing is said.
pub const DEFAULT_SETTLE: SignedDuration = SignedDuration::from_mins(10);
/// The longest one call may take.
const MAX_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

/// How many recipients a call may have.
#[derive(Debug, Clone, Copy)]
pub struct BatchSizes {
    /// When nothing is said.
    pub default: u32,
    /// The most that a setting may ask for.
    pub max: u32,
}

/// A path, relative to `folder`.
pub fn path(fields: &Fields<'_>, key: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let cursor = fields.get(key)?;
    let text = cursor.text(report)?;
    if text.is_empty() {
        cursor.error(report, Code::Settings, format!("`{key}` is empty"), None);
        return None;
    }
    Some(folder.join(text))
}

/// The figures that every kind has: what is not said takes the default, and `defaults` are laid
/// over those given.
pub fn figures(
    fields: &Fields<'_>,
    defaults: Map<String, JSON>,
    batch_sizes: BatchSizes,
    report: &mut Report,
) -> Option<Figures> {
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
    let batch_size = whole("batchSize", batch_sizes.max, batch_sizes.default);
    let mut defaults = defaults;
    defaults.extend(said.unwrap_or(Some(Map::new()))?);
    Some(Figures {
        defaults,
        limits: limits.unwrap_or(Some(Limits::default()))?,
        concurrency: concurrency?,
        batch_size: batch_size?,
        settle: DEFAULT_SETTLE,
        probe: None,
    })
}

/// The figures of a kind whose provider can be asked what became of a message.
pub fn asking_figures(
    fields: &Fields<'_>,
    defaults: Map<String, JSON>,
    batch_sizes: BatchSizes,
    report: &mut Report,
) -> Option<Figures> {
    let settle = fields.get("settle").map(|cursor| duration(&cursor, report, SignedDuration::from_secs(1)));
    let probe = fields.get("probe").map(|cursor| {
        RecipientID::new(cursor.id(report)?)
            .map_err(|error| cursor.error(report, Code::BadID, error.to_string(), None))
            .ok()
    });
    let figures = figures(fields, defaults, batch_sizes, report)?;
    let probe = match probe {
        Some(probe) => Some(probe?),
        None => None,
    };
    Some(Figures { settle: settle.unwrap_or(Some(DEFAULT_SETTLE))?, probe, ..figures })
}

/// How long one call may take.
pub fn timeout(cursor: &Cursor<'_>, report: &mut Report) -> Option<Duration> {
    let timeout = duration(cursor, report, SignedDuration::from_secs(1))?;
    if timeout > MAX_TIMEOUT {
        cursor.error(report, Code::Settings, "a call may take at most 10m", None);
        return None;
    }
    Duration::try_from(timeout).ok()
}

/// The server's address: http only where nobody can listen, or where that is allowed by name.
pub fn server_url(cursor: &Cursor<'_>, insecure: bool, report: &mut Report) -> Option<String> {
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

pub fn proxy_url(cursor: &Cursor<'_>, report: &mut Report) -> Option<String> {
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

/// What to write where a secret is wanted.
pub const SECRET_HINT: &str = "tell where it lies: {env: NAME}, {file: PATH} or {credential: NAME}";

/// Where a secret lies. Nothing of what stands here is repeated: it may be the secret itself.
pub fn secret_source(cursor: &Cursor<'_>, folder: &Path, report: &mut Report) -> Option<SecretSource> {
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
    let Value::Scalar { text, plain: unquoted } = &entry.value.value else {
        return refuse(report, "the place of a secret is one text");
    };
    if *unquoted && matches!(text.as_str(), "~" | "null" | "Null" | "NULL") {
        return refuse(report, "this names no place where a secret could lie");
    }
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
