//! A world as a server: HTTP around it, and the control endpoints beside the provider's own.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, Query, State, connect_info::Connected},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response as HTTPResponse},
    routing::get,
    serve::{IncomingStream, Listener},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};

use super::{
    answer::{DROP, Response},
    faults::Faults,
    netease,
    truth::{Fate, Filter},
    world::{Outcome, Request, World},
};

/// The longest request that is read. The servers cut off what is longer, or take it; nobody has more
/// to say than this.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Serves the world until `shutdown` comes, then ends what is under way.
pub async fn serve(
    world: Arc<World>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = Router::new()
        .route("/sandbox/received", get(received).delete(forget_received))
        .route("/sandbox/faults", get(faults).put(set_faults).delete(no_faults))
        .fallback(provider)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(world);
    let app = app.into_make_service_with_connect_info::<Plug>();
    axum::serve(Sockets(listener), app).with_graceful_shutdown(shutdown).await
}

async fn provider(
    State(world): State<Arc<World>>,
    ConnectInfo(plug): ConnectInfo<Plug>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> HTTPResponse {
    plug.drip(None);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if uri.path().starts_with(netease::PREFIX) {
        let text = |name: &str| header(name).map(str::to_owned);
        let request = netease::Request {
            method: method.to_string(),
            path: uri.path().to_owned(),
            content_type: text("content-type"),
            app_key: text("appkey"),
            nonce: text("nonce"),
            cur_time: text("curtime"),
            check_sum: text("checksum"),
            request_id: text("requestid"),
        };
        return told(world.handle_netease(request, body).await, &plug);
    }
    if method == Method::OPTIONS {
        return Json("Options Request!").into_response();
    }
    if method != Method::POST {
        return (StatusCode::NOT_FOUND, "404 page not found").into_response();
    }
    let request = Request { path: uri.path(), operation_id: header("operationid"), token: header("token") };
    told(world.handle(request, body).await, &plug)
}

fn told(outcome: Outcome, plug: &Plug) -> HTTPResponse {
    match outcome {
        Outcome::Answered(response) => {
            plug.drip(response.drip);
            http(response)
        }
        Outcome::Closed | Outcome::Unreachable => {
            plug.pull();
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

fn http(response: Response) -> HTTPResponse {
    let mut http = Body::from(response.body).into_response();
    // A fault may ask for a status that there is none of.
    *http.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(response.content_type));
    if let Some(Ok(value)) = response.date.map(header::HeaderValue::try_from) {
        headers.insert(header::DATE, value);
    }
    if let Some(Ok(value)) = response.retry_after.map(header::HeaderValue::try_from) {
        headers.insert(header::RETRY_AFTER, value);
    }
    http
}

/// How the truth is listed.
#[derive(Debug, Deserialize)]
struct Listing {
    sender: Option<String>,
    recipient: Option<String>,
    fate: Option<Fate>,
    /// `json`, an array, or `ndjson`, an object a line.
    format: Option<String>,
}

async fn received(State(world): State<Arc<World>>, Query(listing): Query<Listing>) -> HTTPResponse {
    let lines = listing.format.as_deref() == Some("ndjson");
    let filter = Filter { sender: listing.sender, recipient: listing.recipient };
    let mut body = Vec::new();
    let mut list = |write: &mut dyn FnMut(&mut Vec<u8>)| {
        if !lines {
            body.push(if body.is_empty() { b'[' } else { b',' });
        }
        write(&mut body);
        if lines {
            body.push(b'\n');
        }
    };
    world.received(&filter, |received| {
        if listing.fate.is_none_or(|fate| fate == received.fate) {
            list(&mut |body| received.write_json(body));
        }
    });
    world.received_by_netease(&filter, listing.fate, |received| {
        list(&mut |body| body.extend_from_slice(received.as_bytes()));
    });
    if !lines {
        body.extend_from_slice(if body.is_empty() { b"[]" } else { b"]" });
    }
    let content_type = if lines { "application/x-ndjson" } else { "application/json" };
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

async fn forget_received(State(world): State<Arc<World>>) -> StatusCode {
    world.forget_received();
    StatusCode::NO_CONTENT
}

async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.faults())
}

/// Takes the plan whatever its content type says it is.
async fn set_faults(State(world): State<Arc<World>>, body: Bytes) -> HTTPResponse {
    match serde_json::from_slice(&body) {
        Ok(faults) => {
            world.set_faults(faults);
            Json(world.faults()).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("no plan of faults: {error}\n")).into_response(),
    }
}

async fn no_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.set_faults(Faults::default());
    StatusCode::NO_CONTENT
}

/// Pulled, it ends a connection before another byte is written. Not quite in, it lets an answer drip.
#[derive(Debug, Clone, Default)]
struct Plug(Arc<Contact>);

#[derive(Debug, Default)]
struct Contact {
    is_pulled: AtomicBool,
    /// Milliseconds between two drops; 0: no drops.
    drip_ms: AtomicU64,
}

impl Plug {
    fn pull(&self) {
        self.0.is_pulled.store(true, Ordering::Relaxed);
    }

    fn drip(&self, pause: Option<Duration>) {
        let drip_ms = pause.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.0.drip_ms.store(drip_ms, Ordering::Relaxed);
    }

    /// The pause behind each drop, where an answer comes in such.
    fn check(&self) -> io::Result<Option<Duration>> {
        match self.0.is_pulled.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => {
                let drip_ms = self.0.drip_ms.load(Ordering::Relaxed);
                Ok((drip_ms > 0).then(|| Duration::from_millis(drip_ms)))
            }
        }
    }
}

impl Connected<IncomingStream<'_, Sockets>> for Plug {
    fn connect_info(stream: IncomingStream<'_, Sockets>) -> Plug {
        stream.remote_addr().clone()
    }
}

/// Accepts connections that have a plug.
struct Sockets(TcpListener);

impl Listener for Sockets {
    type Io = Socket;
    type Addr = Plug;

    async fn accept(&mut self) -> (Socket, Plug) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        // Without it answers wait for acknowledgements; with a socket that refuses it they do.
        let _ = stream.set_nodelay(true);
        let plug = Plug::default();
        (Socket { stream, plug: plug.clone(), pause: None }, plug)
    }

    fn local_addr(&self) -> io::Result<Plug> {
        Ok(Plug::default())
    }
}

struct Socket {
    stream: TcpStream,
    plug: Plug,
    /// Behind the last drop.
    pause: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let drip = self.plug.check()?;
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
        }
        self.pause = drip.map(|pause| Box::pin(tokio::time::sleep(pause)));
        let most = if drip.is_some() { bytes.len().min(DROP) } else { bytes.len() };
        Pin::new(&mut self.stream).poll_write(context, &bytes[..most])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.plug.check()?.is_some() || self.pause.is_some() {
            let piece = pieces.iter().find(|piece| !piece.is_empty());
            return self.poll_write(context, piece.map_or(&[], |piece| piece));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
