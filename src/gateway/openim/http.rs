//! The one HTTP client of this gateway.
//!
//! Knows: sockets, TLS, time limits, which faults prove that nothing left. Must never know: what is
//! asked or answered.

use std::time::Duration;

use reqwest::{
    Certificate, Client, Proxy, Response,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    redirect,
};

use super::transport::{Headers, RawAnswer, Transport, TransportFault};
use crate::gateway::Pending;

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
    /// Certificates in PEM that are trusted besides the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// The only proxy that is used; the environment's are not.
    pub proxy: Option<String>,
}

/// No client can be built from this.
#[derive(Debug, thiserror::Error)]
pub enum BadReach {
    #[error("{0:?} is no http:// or https:// address")]
    Address(String),
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
        let certificates = match &reach.ca_pem {
            Some(pem) => Certificate::from_pem_bundle(pem).map_err(BadReach::Certificates)?,
            None => Vec::new(),
        };
        if reach.ca_pem.is_some() && certificates.is_empty() {
            return Err(BadReach::NoCertificates);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_PATIENCE.min(reach.timeout))
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
    fn post<'a>(
        &'a self,
        path: &'a str,
        headers: Headers<'a>,
        body: Vec<u8>,
    ) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        Box::pin(async move {
            let mut request = self
                .client
                .post(format!("{}{path}", self.base))
                .header(CONTENT_TYPE, "application/json")
                .header("operationID", headers.operation_id)
                .body(body);
            if let Some(token) = headers.token {
                // Not to be indexed or shown by anything on the way.
                let mut value = HeaderValue::from_str(token)
                    .map_err(|_| TransportFault::NeverConnected("the token is no header text".into()))?;
                value.set_sensitive(true);
                request = request.header("token", value);
            }
            let response = request.send().await.map_err(fault)?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
            Ok(RawAnswer { status, retry_after, body: read_capped(response).await? })
        })
    }
}

async fn read_capped(mut response: Response) -> Result<Vec<u8>, TransportFault> {
    let announced = response.content_length().unwrap_or(0).min(MAX_ANSWER_BYTES as u64);
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(TransportFault::Lost(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes")));
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
