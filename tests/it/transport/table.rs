//! Every way in which a request can go wrong on its way, provoked on sockets, with what each proves:
//! that nothing was done, or nothing at all. And that none of them makes a second request.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use campaignd::gateway::{
    http::{HTTP, Reach},
    transport::{Post, Transport, TransportFault},
};
use flate2::{Compression, write::GzEncoder};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{read_request, request};

/// What follows for whoever asked.
fn meaning(transport: &HTTP, body: &[u8]) -> impl Future<Output = String> {
    let post = Post { body: body.to_vec(), ..request(b"") };
    async move {
        match transport.post(post).await {
            Ok(answer) => format!("answered {} with {} bytes", answer.status, answer.body.len()),
            Err(TransportFault::NeverConnected(_)) => "nothing done".to_owned(),
            Err(TransportFault::TimedOut(_)) => "unanswered: slow".to_owned(),
            Err(TransportFault::Lost(_)) => "unanswered: lost".to_owned(),
            Err(TransportFault::TooLong(_)) => "unanswered: too long".to_owned(),
        }
    }
}

/// Longer than any socket's buffers.
const LONG: usize = 16 << 20;
const SHORT: usize = 10;
const PATIENT: Duration = Duration::from_secs(30);
const IMPATIENT: Duration = Duration::from_millis(300);

/// Lets the other side see a reset instead of an end.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until the other side has left.
fn wait(mut stream: TcpStream) {
    while stream.read(&mut [0; 1 << 16]).is_ok_and(|bytes| bytes > 0) {}
}

/// Reads the request and then says this.
fn say(mut stream: TcpStream, answer: &[u8]) -> TcpStream {
    read_request(&mut stream);
    // Whoever has heard enough may leave.
    let _ = stream.write_all(answer);
    stream
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn say_gzip(stream: TcpStream, body: &[u8]) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    say(stream, &[head.as_bytes(), body].concat());
}

/// Says the beginning of an answer, then the same again and again until the other side has left.
fn say_for_ever(stream: TcpStream, beginning: &[u8], again: &[u8]) {
    let mut stream = say(stream, beginning);
    while stream.write_all(again).is_ok() {}
}

/// The same, one piece whenever the other side has waited a little.
fn drip_for_ever(stream: TcpStream, beginning: &[u8], again: &[u8]) {
    let mut stream = say(stream, beginning);
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    // The other side says nothing more, so each read is a pause, until it ends because they have left.
    while stream.read(&mut [0]).is_err() && stream.write_all(again).is_ok() {}
}

/// What the socket does, once, to the one connection it takes.
type Serve = fn(TcpStream);

/// What went wrong, the request's length, how long is waited, what the socket does, what it means.
const CASES: &[(&str, usize, Duration, Serve, &str)] = &[
    (
        "reset before the request",
        LONG,
        PATIENT,
        |stream| {
            stream.peek(&mut [0]).unwrap();
            reset(&stream);
        },
        "unanswered: lost",
    ),
    (
        "reset while the request is read",
        LONG,
        PATIENT,
        |mut stream| {
            stream.read_exact(&mut [0; 100_000]).unwrap();
            reset(&stream);
        },
        "unanswered: lost",
    ),
    (
        "reset after the request was read",
        SHORT,
        PATIENT,
        |mut stream| {
            read_request(&mut stream);
            reset(&stream);
        },
        "unanswered: lost",
    ),
    ("closed before the request", SHORT, PATIENT, drop, "unanswered: lost"),
    (
        "closed while the request is read",
        LONG,
        PATIENT,
        |mut stream| stream.read_exact(&mut [0; 100_000]).unwrap(),
        "unanswered: lost",
    ),
    (
        "closed after the request was read",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"")),
        "unanswered: lost",
    ),
    (
        "its own half closed, and the request read to its end",
        LONG,
        PATIENT,
        |stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            wait(stream);
        },
        "unanswered: lost",
    ),
    (
        "half open: a long request is not read",
        LONG,
        IMPATIENT,
        // Open until this process ends, and nobody reads.
        std::mem::forget,
        "unanswered: slow",
    ),
    ("no answer at all", SHORT, IMPATIENT, wait, "unanswered: slow"),
    (
        "no end of the headers",
        SHORT,
        IMPATIENT,
        |stream| wait(say(stream, b"HTTP/1.1 200 OK\r\nX: ")),
        "unanswered: slow",
    ),
    (
        "headers that drip",
        SHORT,
        IMPATIENT,
        |stream| drip_for_ever(stream, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        "unanswered: slow",
    ),
    (
        "a body that does not come",
        SHORT,
        IMPATIENT,
        |stream| wait(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")),
        "unanswered: slow",
    ),
    (
        "a body that drips",
        SHORT,
        IMPATIENT,
        |stream| drip_for_ever(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        "unanswered: slow",
    ),
    (
        "one promise to go on after the other",
        SHORT,
        IMPATIENT,
        |stream| drip_for_ever(stream, b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "unanswered: slow",
    ),
    (
        "headers without end",
        SHORT,
        PATIENT,
        |stream| say_for_ever(stream, b"HTTP/1.1 200 OK\r\nX: ", &[b'x'; 1 << 16]),
        "unanswered: lost",
    ),
    ("no HTTP", SHORT, PATIENT, |stream| drop(say(stream, b"220 mail ready\r\n\r\n")), "unanswered: lost"),
    ("cut in the status", SHORT, PATIENT, |stream| drop(say(stream, b"HTTP/1.1 20")), "unanswered: lost"),
    (
        "cut in the headers",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-")),
        "unanswered: lost",
    ),
    (
        "cut in the body",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"err")),
        "unanswered: lost",
    ),
    (
        "cut in a chunk",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"err")),
        "unanswered: lost",
    ),
    (
        "cut between chunks",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")),
        "unanswered: lost",
    ),
    (
        "reset in the body",
        SHORT,
        PATIENT,
        |stream| reset(&say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"err")),
        "unanswered: lost",
    ),
    (
        "a length beyond all numbers",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}")),
        "unanswered: lost",
    ),
    (
        "a length below zero",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")),
        "unanswered: lost",
    ),
    (
        "two lengths",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
        "unanswered: lost",
    ),
    (
        "a length that no memory has, and little behind it",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}")),
        "unanswered: lost",
    ),
    (
        "a length that no memory has, and all of it",
        SHORT,
        PATIENT,
        |stream| {
            say_for_ever(
                stream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
                &[b'x'; 1 << 16],
            );
        },
        "unanswered: too long",
    ),
    (
        "a body without end",
        SHORT,
        PATIENT,
        |stream| say_for_ever(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &[b'x'; 1 << 16]),
        "unanswered: too long",
    ),
    (
        "chunks without end",
        SHORT,
        PATIENT,
        |stream| {
            let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
            say_for_ever(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk);
        },
        "unanswered: too long",
    ),
    (
        "a gzip bomb",
        SHORT,
        PATIENT,
        |stream| say_gzip(stream, &gzip(&vec![0; 64 << 20])),
        "unanswered: too long",
    ),
    ("gzip that is none", SHORT, PATIENT, |stream| say_gzip(stream, b"{\"errCode\":0}"), "unanswered: lost"),
    (
        "gzip that is cut",
        SHORT,
        PATIENT,
        |stream| {
            let whole = gzip(b"{\"errCode\":0,\"errMsg\":\"\"}");
            say_gzip(stream, &whole[..whole.len() - 9]);
        },
        "unanswered: lost",
    ),
    // What comes back whole is an answer, and judged as such.
    (
        "a good answer",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
        "answered 200 with 2 bytes",
    ),
    (
        "an old one that ends with the connection",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.0 200 OK\r\n\r\n{}")),
        "answered 200 with 2 bytes",
    ),
    (
        "nothing to say",
        SHORT,
        PATIENT,
        |stream| drop(say(stream, b"HTTP/1.1 204 No Content\r\n\r\n")),
        "answered 204 with 0 bytes",
    ),
    ("moved", SHORT, PATIENT, |stream| redirect(stream, "301 Moved"), "answered 301 with 0 bytes"),
    ("found", SHORT, PATIENT, |stream| redirect(stream, "302 Found"), "answered 302 with 0 bytes"),
    ("see another", SHORT, PATIENT, |stream| redirect(stream, "303 See Other"), "answered 303 with 0 bytes"),
    (
        "moved for now",
        SHORT,
        PATIENT,
        |stream| redirect(stream, "307 Temporary"),
        "answered 307 with 0 bytes",
    ),
    (
        "moved for good",
        SHORT,
        PATIENT,
        |stream| redirect(stream, "308 Permanent"),
        "answered 308 with 0 bytes",
    ),
    (
        "asked to log in",
        SHORT,
        PATIENT,
        |stream| {
            drop(say(stream, b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"))
        },
        "answered 401 with 0 bytes",
    ),
    (
        "asked again",
        SHORT,
        PATIENT,
        |stream| {
            drop(say(
                stream,
                b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            ))
        },
        "answered 408 with 0 bytes",
    ),
];

/// Sends the client back to where it is.
fn redirect(stream: TcpStream, status: &str) {
    let location = stream.local_addr().unwrap();
    let answer = format!("HTTP/1.1 {status}\r\nLocation: http://{location}/y\r\nContent-Length: 0\r\n\r\n");
    say(stream, answer.as_bytes());
}

/// Serves one connection, then tells how many more came.
fn serve_once(listener: TcpListener, serve: impl FnOnce(TcpStream)) -> usize {
    let (stream, _) = listener.accept().unwrap();
    serve(stream);
    more_of(&listener)
}

/// How many connections wait that nobody has taken.
fn more_of(listener: &TcpListener) -> usize {
    listener.set_nonblocking(true).unwrap();
    std::iter::from_fn(|| listener.accept().ok()).count()
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn http(url: String, timeout: Duration) -> HTTP {
    HTTP::new(&Reach { url, timeout, ..Reach::default() }).unwrap()
}

#[tokio::test]
async fn once_connected_only_a_whole_answer_says_anything() {
    for (what, length, timeout, serve, expected) in CASES {
        let (listener, address) = listen();
        let server = std::thread::spawn(move || serve_once(listener, serve));
        let client = http(format!("http://{address}"), *timeout);
        let got = meaning(&client, &vec![b'x'; *length]).await;
        // Closes its connections, for which the socket may wait.
        drop(client);
        let more = tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
        assert_eq!((got.as_str(), more), (*expected, 0), "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_while_it_is_made_may_count_as_none() {
    let (listener, address) = listen();
    let server = std::thread::spawn(move || serve_once(listener, |stream| reset(&stream)));
    let client = http(format!("http://{address}"), PATIENT);
    // Whoever has noticed it first; either is true.
    let got = meaning(&client, b"x").await;
    assert!(["nothing done", "unanswered: lost"].contains(&got.as_str()), "{got}");
    assert_eq!(server.join().unwrap(), 0);
}

#[tokio::test]
async fn without_a_connection_nothing_was_done() {
    let (listener, address) = listen();
    drop(listener);
    assert_eq!(meaning(&http(format!("http://{address}"), PATIENT), b"x").await, "nothing done", "refused");

    // Nobody takes the connections that wait, and there is no room for another.
    let (listener, address) = listen();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, IMPATIENT) {
        waiting.push(stream);
    }
    assert_eq!(meaning(&http(format!("http://{address}"), IMPATIENT), b"x").await, "nothing done", "no room");
    drop(listener);
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// The server's side of a connection with the fixture's certificate.
fn secure(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let certificate = CertificateDer::from_pem_file(fixture("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("localhost-key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

/// What is wrong, whom the client trusts, the server's name, and as in [`CASES`].
type SecureCase = (&'static str, Option<&'static str>, &'static str, Duration, Serve, &'static str);

#[tokio::test]
async fn without_a_safe_connection_nothing_was_done() {
    let good: Serve = |stream| {
        let mut stream = secure(stream);
        let mut heard = Vec::new();
        let mut byte = [0];
        // An untrusting client ends it here.
        while !heard.ends_with(b"\r\n\r\nx") && stream.read_exact(&mut byte).is_ok() {
            heard.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    };
    let trusted = Some("localhost.pem");
    let cases: [SecureCase; 8] = [
        ("it works", trusted, "localhost", PATIENT, good, "answered 200 with 2 bytes"),
        ("nobody trusts it", Some("ca.pem"), "localhost", PATIENT, good, "nothing done"),
        ("it has another name", trusted, "127.0.0.2", PATIENT, good, "nothing done"),
        (
            "it speaks in clear",
            trusted,
            "localhost",
            PATIENT,
            |mut stream| {
                stream.read_exact(&mut [0; 5]).unwrap();
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
                wait(stream);
            },
            "nothing done",
        ),
        ("it closes at once", trusted, "localhost", PATIENT, drop, "nothing done"),
        (
            "it resets in the handshake",
            trusted,
            "localhost",
            PATIENT,
            |mut stream| {
                stream.read_exact(&mut [0; 5]).unwrap();
                reset(&stream);
            },
            "nothing done",
        ),
        ("it never answers", trusted, "localhost", IMPATIENT, wait, "nothing done"),
        (
            "it closes when it has the request",
            trusted,
            "localhost",
            PATIENT,
            |stream| {
                let mut stream = secure(stream);
                stream.read_exact(&mut [0; 20]).unwrap();
            },
            "unanswered: lost",
        ),
    ];
    for (what, trusts, host, timeout, serve, expected) in cases {
        let listener =
            TcpListener::bind(if host == "127.0.0.2" { "127.0.0.2:0" } else { "127.0.0.1:0" }).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve_once(listener, serve));
        let url = format!("https://{host}:{port}");
        let reach = Reach { url, timeout, ca_file: trusts.map(fixture), proxy: None };
        let client = HTTP::new(&reach).unwrap();
        let got = meaning(&client, b"x").await;
        drop(client);
        let more = tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
        assert_eq!((got.as_str(), more), (expected, 0), "{what}");
    }
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_has_passed_nothing_on() {
    for answer in ["HTTP/1.1 407 Log in\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n\r\n", ""]
    {
        let (listener, address) = listen();
        let server = std::thread::spawn(move || {
            serve_once(listener, |mut stream| {
                let mut asked = [0; 7];
                stream.read_exact(&mut asked).unwrap();
                assert_eq!(&asked, b"CONNECT");
                stream.write_all(answer.as_bytes()).unwrap();
            })
        });
        let reach = Reach {
            url: "https://im.example.com".into(),
            timeout: PATIENT,
            ca_file: Some(fixture("ca.pem")),
            proxy: Some(format!("http://{address}")),
        };
        assert_eq!(meaning(&HTTP::new(&reach).unwrap(), b"x").await, "nothing done", "{answer:?}");
        assert_eq!(server.join().unwrap(), 0);
    }
}

#[tokio::test]
async fn a_connection_kept_alive_may_end_under_the_next_request() {
    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    // What the server does after its first answer, and what the second request may then mean.
    let new_connection = "answered 200 with 2 bytes";
    let lost = "unanswered: lost";
    let cases: [(&str, Serve, &[&str]); 4] = [
        // Whether the client has noticed it in time.
        ("closed before it", drop, &[new_connection, lost]),
        ("reset before it", |stream| reset(&stream), &[new_connection, lost]),
        ("closed when it came", |stream| drop(say(stream, b"")), &[lost]),
        (
            "reset when it came",
            |mut stream| {
                read_request(&mut stream);
                reset(&stream);
            },
            &[lost],
        ),
    ];
    for (what, then, expected) in cases {
        let (listener, address) = listen();
        let client = http(format!("http://{address}"), PATIENT);
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            then(say(stream, GOOD));
            // Others are served as well, until one comes that says nothing.
            let others = std::iter::from_fn(|| {
                let (stream, _) = listener.accept().unwrap();
                (stream.peek(&mut [0]).unwrap() > 0).then(|| drop(say(stream, GOOD)))
            });
            others.count()
        });
        assert_eq!(meaning(&client, b"x").await, "answered 200 with 2 bytes", "{what}");
        let got = meaning(&client, b"x").await;
        assert!(expected.contains(&got.as_str()), "{what}: {got}");
        drop(TcpStream::connect(address).unwrap());
        let heard = server.join().unwrap();
        assert_eq!(heard, usize::from(got == new_connection), "{what}: asked once, whatever came of it");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_nobodys() {
    let (listener, address) = listen();
    let client = http(format!("http://{address}"), PATIENT);
    let server = std::thread::spawn(move || {
        let two =
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let (stream, _) = listener.accept().unwrap();
        let first = say(stream, two);
        let (stream, _) = listener.accept().unwrap();
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{ }");
        drop(first);
    });
    assert_eq!(meaning(&client, b"x").await, "answered 200 with 2 bytes");
    assert_eq!(meaning(&client, b"x").await, "answered 200 with 3 bytes", "not the one that was left over");
    server.join().unwrap();
}
