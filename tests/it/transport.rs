//! The HTTP transport against sockets that misbehave: what is proven never to have left, and what
//! may have been heard.

mod table;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use campaignd::gateway::{
    http::{BadReach, HTTP, Reach},
    transport::{Header, Post, RawAnswer, Transport, TransportFault},
};

fn http(address: SocketAddr, timeout: Duration) -> HTTP {
    HTTP::new(&Reach { url: format!("http://{address}/"), timeout, ..Reach::default() }).unwrap()
}

fn request(body: &[u8]) -> Post<'_> {
    let headers = vec![Header::open("operationID", "op-1"), Header::secret("token", "t0k3n")];
    Post { path: "/msg/x", content_type: "application/json", headers, body: body.to_vec() }
}

/// Reads a request up to the end of its body.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// Posts once to a socket that reads the request and then does what `misbehave` does.
async fn post(
    timeout: Duration,
    misbehave: impl FnOnce(TcpStream) + Send + 'static,
) -> (Result<RawAnswer, TransportFault>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        misbehave(stream);
        request
    });
    let answer = http(address, timeout).post(request(br#"{"a":1}"#)).await;
    // The runtime must stay free to close the connection, for which the socket may wait.
    let request = tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
    (answer, request)
}

const PATIENT: Duration = Duration::from_secs(30);

fn answer(status: u16, body: &str) -> RawAnswer {
    RawAnswer { status, body: body.into(), ..RawAnswer::default() }
}

#[tokio::test]
async fn a_request_carries_its_headers_and_body() {
    let (got, request) = post(PATIENT, |mut stream| {
        stream
            .write_all(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nDate: today\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
    })
    .await;
    let (retry_after, date) = (Some("7".into()), Some("today".into()));
    assert_eq!(got, Ok(RawAnswer { status: 429, retry_after, date, body: b"{}".to_vec() }));
    let lines: Vec<String> = request.lines().map(str::to_lowercase).collect();
    assert_eq!(lines[0], "post /msg/x http/1.1");
    for line in ["operationid: op-1", "token: t0k3n", "content-type: application/json", "{\"a\":1}"] {
        assert!(lines.iter().any(|there| there == line), "{line} in {request}");
    }
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let got = http(address, PATIENT).post(request(b"")).await;
    assert!(matches!(&got, Err(TransportFault::NeverConnected(text)) if text.contains("refused")), "{got:?}");
}

#[tokio::test]
async fn tls_that_fails_proves_that_nothing_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hello
    });
    let ca_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/ca.pem");
    let reach =
        Reach { url: format!("https://{address}"), timeout: PATIENT, ca_file: Some(ca_file), proxy: None };
    let got = HTTP::new(&reach).unwrap().post(request(b"")).await;
    assert!(matches!(got, Err(TransportFault::NeverConnected(_))), "{got:?}");
    assert_eq!(server.join().unwrap()[0], 0x16, "a handshake, no request");
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_says_nothing() {
    let (got, _) = post(PATIENT, drop).await;
    assert!(matches!(got, Err(TransportFault::Lost(_))), "{got:?}");
}

#[tokio::test]
async fn a_cut_body_is_no_answer() {
    let (got, _) = post(PATIENT, |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"errCode\":0").unwrap();
    })
    .await;
    assert!(matches!(got, Err(TransportFault::Lost(_))), "{got:?}");
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let (got, _) = post(PATIENT, |mut stream| stream.write_all(b"220 mail ready\r\n\r\n").unwrap()).await;
    assert!(matches!(got, Err(TransportFault::Lost(_))), "{got:?}");
}

#[tokio::test]
async fn a_proxys_page_is_an_answer_to_be_judged() {
    let (got, _) = post(PATIENT, |mut stream| {
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>").unwrap();
    })
    .await;
    assert_eq!(got, Ok(answer(502, "<html>")));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (got, _) = post(PATIENT, |mut stream| {
        let location = stream.local_addr().unwrap();
        let head =
            format!("HTTP/1.1 307 Moved\r\nLocation: http://{location}/y\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    })
    .await;
    assert_eq!(got, Ok(answer(307, "")));
}

#[tokio::test]
async fn a_compressed_answer_is_opened() {
    const GZIP: &[u8] = include_bytes!("../fixtures/http/answer.json.gz");
    let (got, request) = post(PATIENT, |mut stream| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", GZIP.len());
        stream.write_all(&[head.as_bytes(), GZIP].concat()).unwrap();
    })
    .await;
    assert_eq!(got, Ok(answer(200, r#"{"errCode":0}"#)));
    assert!(request.contains("gzip"), "{request}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let (got, _) = post(PATIENT, |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
        // Until the other side has had enough.
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    })
    .await;
    let Err(TransportFault::TooLong(text)) = got else { panic!("{got:?}") };
    assert!(text.contains("8388608"), "{text}");
}

#[tokio::test]
async fn a_slow_answer_times_out() {
    let (got, _) = post(Duration::from_millis(100), |mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").unwrap();
        // Until the other side has left.
        let _ = stream.read(&mut [0]);
    })
    .await;
    assert!(matches!(got, Err(TransportFault::TimedOut(_))), "{got:?}");
}

#[test]
fn what_cannot_be_reached_is_refused() {
    for url in ["", "127.0.0.1:10002", "ftp://example.com", "http://", "nonsense"] {
        let reach = Reach { url: url.into(), timeout: PATIENT, ..Reach::default() };
        assert!(matches!(HTTP::new(&reach), Err(BadReach::Address(_))), "{url}");
    }
    let url = "https://127.0.0.1".to_owned();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let trusting = |file: &str| Reach {
        url: url.clone(),
        timeout: PATIENT,
        ca_file: Some(here.join(file)),
        proxy: None,
    };
    assert!(matches!(HTTP::new(&trusting("Cargo.toml")), Err(BadReach::NoCertificates)));
    assert!(matches!(HTTP::new(&trusting("no-such-file")), Err(BadReach::Unreadable { .. })));
}
