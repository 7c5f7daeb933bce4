//! The one HTTP client of the gateways.
//!
//! Knows: sockets, TLS, time limits, which faults prove that nothing left. Must never know: what is
//! asked or answered.

use std::{io, path::PathBuf, time::Duration};

use reqwest::{
    Certificate, Client, Proxy, Response,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};

use super::{
    Pending,
    transport::{Header, Post, RawAnswer, Transport, TransportFault},
};

/// The longest answer that is read, uncompressed: a batch of 1,000 is answered in under 200 kB.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Idle connections are closed before the servers and proxies in between tend to do it: a request
/// that meets a closing connection is one whose fate is unknown.
const IDLE: Duration = Duration::from_secs(10);

/// Where the server is and how it is reached.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The server's address; paths are put behind it.
    pub url: String,
    /// For one call, from its beginning to the end of its answer.
    pub timeout: Duration,
    /// A PEM file of certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The only proxy that is used; the environment's are not.
    pub proxy: Option<String>,
}

/// No client can be built from this.
#[derive(Debug, thiserror::Error)]
pub enum BadReach {
    #[error("{0:?} is no http:// or https:// address")]
    Address(String),
    #[error("caFile {} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("the certificates cannot be read: {0}")]
    Certificates(reqwest::Error),
    #[error("there is no certificate in PEM where one should be")]
    NoCertificates,
    #[error("the proxy's address cannot be read: {0}")]
    Proxy(reqwest::Error),
    #[error("no HTTP client: {0}")]
    Client(reqwest::Error),
}

/// A transport over HTTP.
#[derive(Debug)]
pub struct HTTP {
    client: Client,
    base: String,
}

impl HTTP {
    pub fn new(reach: &Reach) -> Result<HTTP, BadReach> {
        let base = reach.url.trim_end_matches('/').to_owned();
        let address = reqwest::Url::parse(&base).map_err(|_| BadReach::Address(base.clone()))?;
        let secure = address.scheme() == "https";
        if !(secure || address.scheme() == "http") || address.host().is_none() {
            return Err(BadReach::Address(base));
        }
        // Fails only where a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = match &reach.ca_file {
            Some(path) => {
                let unreadable = |error| BadReach::Unreadable { path: path.clone(), error };
                let pem = std::fs::read(path).map_err(unreadable)?;
                Certificate::from_pem_bundle(&pem).map_err(BadReach::Certificates)?
            }
            None => Vec::new(),
        };
        if reach.ca_file.is_some() && certificates.is_empty() {
            return Err(BadReach::NoCertificates);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            // Well before the whole call is over, or it could not be told that nothing left.
            .connect_timeout(CONNECT_PATIENCE.min(reach.timeout / 2))
            .timeout(reach.timeout)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("campaignd/", env!("CARGO_PKG_VERSION")));
        // A plain connection needs no certificates, and a small machine may have none.
        builder = if secure { builder.tls_certs_merge(certificates) } else { builder.tls_certs_only([]) };
        if let Some(proxy) = &reach.proxy {
            builder = builder.proxy(Proxy::all(proxy).map_err(BadReach::Proxy)?);
        }
        Ok(HTTP { client: builder.build().map_err(BadReach::Client)?, base })
    }
}

impl Transport for HTTP {
    fn post<'a>(&'a self, post: Post<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let mut headers = HeaderMap::with_capacity(post.headers.len() + 1);
            for header in [Header::open(CONTENT_TYPE.as_str(), post.content_type)].iter().chain(&post.headers)
            {
                let (name, value) = header_text(header)?;
                headers.insert(name, value);
            }
            let request = self.client.post(format!("{}{}", self.base, post.path));
            let response = request.headers(headers).body(post.body).send().await.map_err(fault)?;
            let status = response.status().as_u16();
            let text = |name: HeaderName| {
                response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let (retry_after, date) = (text(RETRY_AFTER), text(DATE));
            Ok(RawAnswer { status, retry_after, date, body: read_capped(response).await? })
        })
    }
}

/// A header as it can be written; one that cannot keeps the request from leaving.
fn header_text(header: &Header<'_>) -> Result<(HeaderName, HeaderValue), TransportFault> {
    // The value may be a secret, so it is not repeated.
    let refuse = || TransportFault::NeverConnected(format!("the header {} is no header text", header.name));
    let name = HeaderName::try_from(header.name).map_err(|_| refuse())?;
    let mut value = HeaderValue::from_str(header.value).map_err(|_| refuse())?;
    value.set_sensitive(header.secret);
    Ok((name, value))
}

async fn read_capped(mut response: Response) -> Result<Vec<u8>, TransportFault> {
    let announced = response.content_length().unwrap_or(0).min(MAX_ANSWER_BYTES as u64);
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(TransportFault::TooLong(format!(
                "the answer is longer than {MAX_ANSWER_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A fault of connecting (name, socket, proxy's tunnel, TLS) comes before the first byte of the
/// request; of every other nobody can say.
fn fault(error: reqwest::Error) -> TransportFault {
    let timed_out = error.is_timeout();
    let connecting = error.is_connect() || error.is_builder();
    // The address is known and may hold a password.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    match (connecting, timed_out) {
        (true, _) => TransportFault::NeverConnected(text),
        (false, true) => TransportFault::TimedOut(text),
        (false, false) => TransportFault::Lost(text),
    }
}
