//! A provider that repeats every secret in its answers, over and over in other ways; and every command of
//! the built program beside it. In no byte of what is written or said do the secrets stand: not in the
//! ledger and its log, not in the logs at their loudest, not in outputs, not in what is served.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use crate::{desk::Desk, office::soon};

const OPENIM_SECRET: &str = "q7-openim-Secret_zT4";
const NETEASE_SECRET: &str = "h2.netease+Secret=vK9";
const COMMUNITY_SECRET: &str = "community/Secret&xP3";
const KEY: &str = "x-key_Secret~mB6";

/// What the provider has seen.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    paths: BTreeSet<String>,
    /// Tokens given out, check sums and nonces received.
    secrets: BTreeSet<String>,
}

/// Answers every request with a repetition of all that it said, in another way each time.
fn telltale(seen: Arc<Mutex<Seen>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || serve(stream.unwrap(), &seen));
        }
    });
    address
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                let value = value.trim();
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "checksum" | "nonce" => {
                        seen.lock().unwrap().secrets.insert(value.to_owned());
                    }
                    _ => {}
                }
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if lines.read_exact(&mut body).is_err() {
            return;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(&body).into_owned();
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests += 1;
            seen.paths.insert(path.clone());
            seen.requests
        };
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{number}_token_of_the_admin.signature-{number}");
        // A provider knows its own secrets, and what it is told.
        let own = match path.as_str() {
            path if path.contains("sendMsgToAll") => format!("{COMMUNITY_SECRET} {KEY}"),
            path if path.contains("nimserver") => NETEASE_SECRET.to_owned(),
            _ => OPENIM_SECRET.to_owned(),
        };
        let all = format!("{head} {body} {own}");
        let told = serde_json::to_string(&all).unwrap();
        let (status, kind, answer) = match number % 11 {
            _ if path.ends_with("get_admin_token") && !number.is_multiple_of(5) => {
                seen.lock().unwrap().secrets.insert(token.clone());
                let answer = format!(
                    r#"{{"errCode":0,"errMsg":"","errDlt":"","data":{{"token":"{token}","expireTimeSeconds":3600}}}}"#
                );
                ("200 OK", "application/json", answer)
            }
            0 => ("500 Internal Server Error", "text/html", format!("<html>{all}</html>")),
            1 => (
                "200 OK",
                "application/json",
                format!(r#"{{"errCode":500,"errMsg":{told},"errDlt":{told}}}"#),
            ),
            2 => (
                "200 OK",
                "application/json",
                format!(r#"{{"errCode":1507,"errMsg":{told},"errDlt":{told}}}"#),
            ),
            3 => ("200 OK", "application/json", format!(r#"{{"code":414,"desc":{told},"msg":{told}}}"#)),
            4 => ("200 OK", "text/plain", all),
            5 => ("401 Unauthorized", "application/json", format!(r#"{{"errCode":1503,"errMsg":{told}}}"#)),
            6 => {
                let place = format!("http://127.0.0.1:9/{}?token={token}", own.replace(' ', "+"));
                ("302 Found\r\nLocation: ", "text/html", place)
            }
            7 => ("429 Too Many Requests\r\nRetry-After: 1", "text/plain", all),
            8 => (
                "200 OK",
                "application/json",
                format!(r#"{{"errCode":1004,"errMsg":{told},"errDlt":{told}}}"#),
            ),
            9 => ("200 OK", "application/json", format!(r#"{{"code":200,"data":{told},"errCode":0}}"#)),
            // Nothing at all.
            _ => return,
        };
        let status =
            if status.ends_with("Location: ") { format!("{status}{answer}") } else { status.to_owned() };
        let answered = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nX-Told: {}\r\nContent-Length: {}\r\n\r\n{answer}",
            told.replace(['\r', '\n'], " "),
            answer.len()
        );
        if answered.is_err() {
            return;
        }
    }
}

fn settings(provider: SocketAddr, listen: SocketAddr) -> String {
    format!(
        "listen: {listen}\ntimezone: UTC\ndefaultGateway: openim\ngateways:\n  \
         openim:\n    kind: openim\n    url: http://{provider}\n    adminUserID: imAdmin\n    \
         secret: {{file: secret}}\n    timeout: 5s\n    settle: 1s\n    probe: probe\n    \
         defaults: {{sendID: notice, senderNickname: Notice, senderPlatformID: 2}}\n  \
         yunxin:\n    kind: netease\n    url: http://{provider}/nimserver\n    appKey: key\n    \
         appSecret: {{env: YUNXIN}}\n    settle: 1s\n    defaults: {{from: bot}}\n  \
         community:\n    kind: netease-send-to-all\n    url: http://{provider}/msg/sendMsgToAll.action\n    \
         encoding: json\n    appKey: key\n    appSecret: {{env: COMMUNITY}}\n    headers: {{X-Key: {{env: KEY}}}}\n    \
         body: object\n"
    )
}

/// Settings in which a secret stands where none may, or where something beside it is wrong.
fn wrong_settings() -> Vec<(&'static str, String)> {
    let gateway = |rest: &str| {
        format!(
            "gateways:\n  openim:\n    kind: openim\n    adminUserID: imAdmin\n    url: http://127.0.0.1:1\n{rest}\n"
        )
    };
    vec![
        ("literal.yaml", gateway(&format!("    secret: {OPENIM_SECRET}"))),
        ("value.yaml", gateway(&format!("    secret: {{value: {OPENIM_SECRET}}}"))),
        ("list.yaml", gateway(&format!("    secret: [{OPENIM_SECRET}]"))),
        ("unknown-key.yaml", gateway(&format!("    Secret: {OPENIM_SECRET}"))),
        ("twice.yaml", gateway(&format!("    secret: {OPENIM_SECRET}\n    secret: {OPENIM_SECRET}"))),
        ("not-yaml.yaml", gateway(&format!("    secret: {{file: \"{OPENIM_SECRET}\n  : ["))),
        ("tab.yaml", gateway(&format!("\tsecret: {OPENIM_SECRET}"))),
        (
            "address.yaml",
            gateway("    secret: {file: secret}").replace("http://", &format!("http://a:{OPENIM_SECRET}@")),
        ),
        ("token.yaml", format!("token: {OPENIM_SECRET}\n")),
        ("alias.yaml", gateway(&format!("    x: &a {OPENIM_SECRET}\n    secret: *a"))),
    ]
}

/// Whether a file or an output holds any of them: which, and what is around it.
fn holds(bytes: &[u8], secrets: &BTreeSet<String>) -> Option<String> {
    secrets.iter().find_map(|secret| {
        let at = bytes.windows(secret.len()).position(|window| window == secret.as_bytes())?;
        let around = &bytes[at.saturating_sub(80)..(at + secret.len() + 40).min(bytes.len())];
        Some(format!("{secret:?} in {:?}", String::from_utf8_lossy(around)))
    })
}

fn each_file(folder: &Path, look: &mut impl FnMut(&Path, Vec<u8>)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            look(&path, fs::read(&path).unwrap());
        }
    }
}

fn ask(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    // Whoever says too much is not heard to the end.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    // One that is cut says enough.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn no_secret_stands_anywhere() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let provider = telltale(Arc::clone(&seen));
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let desk = Desk::new(&settings(provider, listen), &[]);
    desk.write("secret", &format!("{OPENIM_SECRET}\n"));
    let at = soon(2);
    let hello = "message: {contentType: text, content: {content: hi}}\n";
    for (name, text) in [
        ("people", format!("{hello}recvIDs: [u1, u2, u3]\nschedules: [{{at: {at}}}, {{every: 3s}}]\n")),
        ("everyone", format!("{hello}isSendAll: true\nschedules: [{{every: 4s}}]\n")),
        ("members", format!("{hello}recipients: [{{membersOf: g1}}]\nschedules: [{{every: 4s}}]\n")),
        (
            "yunxin",
            "gateway: yunxin\nmessage: {type: 0, body: {msg: hi}}\nrecvIDs: [a1, a2]\nschedules: [{every: 2s}]\n"
                .to_owned(),
        ),
        (
            "community",
            "gateway: community\nmessage: {from: a, type: 0, body: {contenttitle: hi}}\nrecvIDs: [b1, b2]\n\
             schedules: [{every: 2s}]\n"
                .to_owned(),
        ),
        ("broken", "message: [".to_owned()),
    ] {
        desk.write(&format!("campaigns/{name}.yaml"), &text);
    }
    let command = |args: &[&str]| {
        let mut command = desk.command(args);
        command.env("YUNXIN", NETEASE_SECRET).env("COMMUNITY", COMMUNITY_SECRET).env("KEY", KEY);
        command
    };
    // At its loudest.
    let mut serve = command(&["serve", "--log-level", "trace"]);
    let logs =
        ["stdout", "stderr"].map(|name| fs::File::create(desk.path(&format!("daemon.{name}"))).unwrap());
    let [out, err] = logs;
    let mut daemon = serve.stdout(out).stderr(err).stdin(Stdio::null()).spawn().unwrap();
    desk.patiently(|| {
        let seen = seen.lock().unwrap();
        let called = |word: &str| seen.paths.iter().any(|path| path.contains(word));
        seen.requests > 120
            && ["batch_send_msg", "sendBatchMsg", "sendMsgToAll", "get_users"].iter().all(|word| called(word))
    });
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    // Every page, and the pages of every error: not there, not so, not HTTP, too long.
    let long = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(100_000));
    let wide = format!("GET /readyz HTTP/1.0\r\nX-Long: {}\r\n\r\n", "x".repeat(1_000_000));
    for request in [
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /readyz HTTP/1.0\r\n\r\n",
        "HEAD /readyz HTTP/1.0\r\n\r\n",
        "GET /readyz?token=x HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n",
        "GET /nowhere HTTP/1.0\r\n\r\n",
        "GET /../secret HTTP/1.0\r\n\r\n",
        "DELETE /healthz HTTP/1.0\r\n\r\n",
        "POST /%00 HTTP/1.0\r\n\r\n",
        "POST /readyz HTTP/1.0\r\nContent-Length: 3\r\n\r\nxyz",
        "POST /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "x\r\n\r\n",
        &long,
        &wide,
    ] {
        said.push((request.chars().take(60).collect(), ask(listen, request)));
    }
    let run = desk.review().newest_run("people").unwrap().unwrap();
    for args in [
        vec!["check"],
        vec!["check", "--format", "json"],
        vec!["plan", "--for", "1h"],
        vec!["preview", "people"],
        vec!["preview", "yunxin"],
        vec!["preview", "community"],
        vec!["preview", "community", "--format", "json"],
        vec!["audience", "people", "--list"],
        vec!["status"],
        vec!["status", "--format", "json"],
        vec!["runs"],
        vec!["show", &run],
        vec!["show", &run, "--format", "json"],
        vec!["show", "yunxin"],
        vec!["deliveries"],
        vec!["deliveries", "--format", "csv"],
        vec!["history", "people"],
        vec!["send", "people", "--to", "u1", "--yes"],
        vec!["retry", &run, "--only", "unknown"],
        vec!["reconcile", &run],
        vec!["pause", "--all", "--why", "a look"],
        vec!["resume", "--all"],
        vec!["suppress", "add", "u9", "--reason", "asked"],
        vec!["suppress", "list"],
        vec!["db", "verify"],
        vec!["db", "backup", "backup.db"],
        vec!["db", "unlock"],
        vec!["apply", "--removals"],
        vec!["serve"],
        vec!["schema", "settings"],
        vec!["schema", "campaign"],
        vec!["check", "--format", "github", "--strict"],
        vec!["plan", "--for", "1h", "--audience"],
        vec!["plan", "--format", "json"],
        vec!["preview", "broken"],
        vec!["preview", "everyone"],
        vec!["preview", "members", "--format", "json"],
        vec!["audience", "people", "--count"],
        vec!["audience", "people", "--explain", "u1"],
        vec!["audience", "members", "--list"],
        vec!["runs", "--format", "csv"],
        vec!["show", "nothing"],
        vec!["deliveries", "--outcome", "failed,unknown,refused", "--format", "json"],
        vec!["history", "broken"],
        vec!["send", "yunxin", "--to", "a1", "--yes"],
        vec!["send", "community", "--to", "b1", "--yes"],
        vec!["send", "everyone", "--yes", "--again"],
        vec!["send", "broken", "--yes"],
        vec!["reconcile", &run, "--accepted"],
        vec!["retry", &run, "--only", "failed"],
        vec!["cancel", &run, "--why", "a look"],
        vec!["pause", "people"],
        vec!["suppress", "import", "campaigns/broken.yaml"],
        vec!["suppress", "remove", "u9"],
        vec!["db", "backup", "backup.db"],
        vec!["db", "backup", "campaigns/people.yaml"],
        vec!["sandbox", "--listen", "nowhere"],
        vec!["new", "fresh"],
        vec!["new", "all", "--all"],
        vec!["next", "0 9 * *", "--zone", "UTC"],
        vec!["explain", "S001"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["nonsense"],
    ] {
        let output = command(&args).output().unwrap();
        said.push((format!("{args:?}"), [output.stdout, output.stderr].concat()));
    }
    let mut say = |what: &str, mut command: std::process::Command| {
        let output = command.output().unwrap();
        said.push((what.to_owned(), [output.stdout, output.stderr].concat()));
    };
    // Secrets that cannot be had are named, and no others told.
    for (name, value) in [("YUNXIN", ""), ("COMMUNITY", "\n"), ("KEY", "two\nlines")] {
        for args in [["preview", "people"], ["check", "--strict"]] {
            let mut command = command(&args);
            command.env(name, value);
            say(&format!("without {name}"), command);
        }
    }
    // Secrets that stand where they must not: no message shows the line.
    for (name, wrong) in wrong_settings() {
        desk.write(name, &wrong);
        for args in
            [&["check"][..], &["check", "--format", "json"], &["status"], &["serve"], &["preview", "people"]]
        {
            say(&format!("{name} {args:?}"), command(&[&["--config", name], args].concat()));
        }
        fs::remove_file(desk.path(name)).unwrap();
    }
    // The settings are read again with another secret, and with none.
    for text in ["another\n", ""] {
        desk.write("secret", text);
        let pid = daemon.id().to_string();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        say("after SIGHUP", command(&["status"]));
    }
    desk.write("secret", &format!("{OPENIM_SECRET}\n"));
    let pid = daemon.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    daemon.wait().unwrap();

    let mut secrets = std::mem::take(&mut seen.lock().unwrap().secrets);
    assert!(secrets.iter().any(|secret| secret.starts_with("eyJ")), "no token was given out");
    assert!(secrets.iter().any(|secret| secret.len() == 40), "no check sum came");
    // Nonces of a few characters would be found by chance.
    secrets.retain(|secret| secret.len() > 12);
    secrets.extend([OPENIM_SECRET, NETEASE_SECRET, COMMUNITY_SECRET, KEY].map(str::to_owned));
    let mut found: Vec<String> = said
        .iter()
        .filter_map(|(what, bytes)| Some(format!("{what}: {}", holds(bytes, &secrets)?)))
        .collect();
    let mut bytes = 0;
    each_file(desk.path("campaigns").parent().unwrap(), &mut |path, content| {
        bytes += content.len();
        if path.file_name().unwrap() != "secret" {
            found.extend(holds(&content, &secrets).map(|what| format!("{}: {what}", path.display())));
        }
    });
    assert!(bytes > 100_000, "nothing was written");
    // What the provider said stands there, without them.
    let log = fs::read(desk.path("daemon.stderr")).unwrap();
    assert!(holds(&log, &BTreeSet::from(["***".to_owned()])).is_some(), "nothing was masked");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
