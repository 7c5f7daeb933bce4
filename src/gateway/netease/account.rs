//! Where a server is and who we are there, as the settings of both kinds say it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretString;

use super::{
    caller::{Caller, ExtraHeader},
    signer::Signer,
};
use crate::{
    document::{
        Code, Value,
        fields::{Cursor, Fields, Report},
    },
    gateway::{
        http::Reach,
        kind::{CannotOpen, Means},
        reading::{SECRET_HINT, path, proxy_url, secret_source, server_url, timeout},
        secret::SecretSource,
    },
};

/// How long one call may take when nothing is said: the vendor's five seconds are too few for a batch.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// The most hosts and the most additional headers.
const MOST: usize = 8;

/// A server of the settings and our application there.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// At least one, without a final slash.
    pub urls: Vec<String>,
    /// None where requests are not signed.
    pub application: Option<Application>,
    /// Sent with every request besides.
    pub headers: Vec<HeaderSettings>,
    /// How long one call may take.
    pub timeout: Duration,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy that every call goes through.
    pub proxy: Option<String>,
}

/// An application at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    pub app_key: String,
    pub app_secret: SecretSource,
}

/// A header of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSettings {
    pub name: String,
    pub value: HeaderValue,
}

/// What a header of the settings says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    Open(String),
    Secret(SecretSource),
}

impl AccountSettings {
    /// Reads what both kinds share. `urls` were read by the kind, `signs` says whether requests are
    /// signed; where they are not, an application is a mistake.
    pub fn read(
        fields: &Fields<'_>,
        folder: &Path,
        urls: Option<Vec<String>>,
        signs: bool,
        report: &mut Report,
    ) -> Option<AccountSettings> {
        let application = if signs { application(fields, folder, report) } else { unsigned(fields, report) };
        let timeout = fields.get("timeout").map(|cursor| timeout(&cursor, report));
        let proxy = fields.get("proxy").map(|cursor| proxy_url(&cursor, report));
        let ca_file = path(fields, "caFile", folder, report);
        Some(AccountSettings {
            urls: urls?,
            application: application?,
            headers: Vec::new(),
            timeout: timeout.unwrap_or(Some(DEFAULT_TIMEOUT))?,
            ca_file,
            proxy: proxy.flatten(),
        })
    }

    /// What carries our requests there.
    pub fn caller(&self, means: &Means<'_>) -> Result<Caller, CannotOpen> {
        let fetch = |source: &SecretSource| (means.secret)(source).map_err(CannotOpen::Secret);
        let signer = match &self.application {
            Some(Application { app_key, app_secret }) => {
                Some(Signer { app_key: app_key.clone(), app_secret: fetch(app_secret)? })
            }
            None => None,
        };
        let mut extra = Vec::with_capacity(self.headers.len());
        for HeaderSettings { name, value } in &self.headers {
            let (value, secret) = match value {
                HeaderValue::Open(text) => (SecretString::from(text.clone()), false),
                HeaderValue::Secret(source) => (fetch(source)?, true),
            };
            extra.push(ExtraHeader { name: name.clone(), value, secret });
        }
        let mut hosts = Vec::with_capacity(self.urls.len());
        for url in &self.urls {
            hosts.push((means.transport)(&Reach {
                url: url.clone(),
                timeout: self.timeout,
                ca_file: self.ca_file.clone(),
                proxy: self.proxy.clone(),
            })?);
        }
        Ok(Caller::new(signer, extra, hosts, Arc::clone(&means.clock)))
    }
}

/// One address, or a list of them.
pub fn urls(fields: &Fields<'_>, example: &str, report: &mut Report) -> Option<Vec<String>> {
    let insecure = fields.get("insecure").map_or(Some(false), |cursor| cursor.boolean(report));
    let insecure = insecure.unwrap_or(true);
    let cursor = fields.require(report, "url", example)?;
    let items = cursor.one_or_more();
    if !(1..=MOST).contains(&items.len()) {
        cursor.error(report, Code::Settings, format!("`url` has 1 to {MOST} addresses"), None);
        return None;
    }
    let urls: Vec<_> = items.iter().map(|item| server_url(item, insecure, report)).collect();
    urls.into_iter().collect()
}

/// The outer None: something is wrong.
fn application(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<Option<Application>> {
    let app_key = fields.require(report, "appKey", "the application's key, from the provider's console");
    let app_key = app_key.and_then(|cursor| {
        let text = cursor.id(report)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain {
            cursor.error(
                report,
                Code::Settings,
                "an appKey has no spaces and no other than ASCII signs",
                None,
            );
        }
        plain.then(|| text.to_owned())
    });
    let secret = fields.require(report, "appSecret", SECRET_HINT);
    let secret = secret.and_then(|cursor| secret_source(&cursor, folder, report));
    Some(Some(Application { app_key: app_key?, app_secret: secret? }))
}

fn unsigned(fields: &Fields<'_>, report: &mut Report) -> Option<Option<Application>> {
    let told = fields.present(&["appKey", "appSecret"]);
    for (key, cursor) in &told {
        let message = format!("`{key}` is used only where requests are signed, and `auth` is none");
        cursor.error(report, Code::Settings, message, Some("leave it out, or write `auth: netease`"));
    }
    told.is_empty().then_some(None)
}

/// Additional headers: texts, or places where secrets lie.
pub fn headers(cursor: &Cursor<'_>, folder: &Path, report: &mut Report) -> Option<Vec<HeaderSettings>> {
    const OURS: [&str; 8] =
        ["appkey", "nonce", "curtime", "checksum", "requestid", "content-type", "content-length", "host"];
    let entries = cursor.mapping(report)?;
    if entries.len() > MOST {
        cursor.error(report, Code::Settings, format!("at most {MOST} headers"), None);
        return None;
    }
    let mut headers = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = cursor.entry(entry);
        let name = entry.key.as_str();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            let message = "a header's name has letters, digits, `-` and `_`";
            report.error(entry.key_span, Code::Settings, &place.path, message, None);
            continue;
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            let message = format!("`{name}` is written by campaignd itself");
            report.error(entry.key_span, Code::Settings, &place.path, message, Some("leave it out".into()));
            continue;
        }
        let value = match &entry.value.value {
            Value::Mapping(_) => secret_source(&place, folder, report).map(HeaderValue::Secret),
            _ => place.text(report).map(|text| HeaderValue::Open(text.to_owned())),
        };
        headers.extend(value.map(|value| HeaderSettings { name: name.to_owned(), value }));
    }
    Some(headers).filter(|headers| headers.len() == entries.len())
}
