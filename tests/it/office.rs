//! A desk beside which a provider works: a sandbox server in a process of its own, reached over HTTP.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::desk::{Desk, Process};

/// A desk whose gateway is a sandbox server of its own.
pub struct Office {
    pub desk: Desk,
    pub port: u16,
    pub server: Option<Process>,
}

/// Asks the own endpoints of the sandbox that listens on this port.
#[track_caller]
pub fn ask(port: u16, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 20"), "{head}\n{body}");
    body.to_owned()
}

impl Office {
    pub fn open(sandbox: &[&str], gateway: &str) -> Office {
        Office::on(&std::env::temp_dir(), sandbox, gateway)
    }

    /// An office whose desk stands in this folder.
    pub fn on(place: &Path, sandbox: &[&str], gateway: &str) -> Office {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "listen: off\ntimezone: Asia/Shanghai\ndefaultGateway: openim\ngateways:\n  openim:\n    kind: openim\n    \
             url: http://127.0.0.1:{port}\n    adminUserID: imAdmin\n    secret: {{file: secret}}\n    defaults: \
             {{sendID: notice, senderNickname: Notice, senderPlatformID: 2}}\n{gateway}"
        );
        let desk = Desk::on(place, &settings, &[]);
        desk.write("secret", "openIM123\n");
        let server = Some(Office::start(&desk, port, sandbox));
        Office { desk, port, server }
    }

    pub fn start(desk: &Desk, port: u16, sandbox: &[&str]) -> Process {
        let listen = format!("127.0.0.1:{port}");
        let args = [&["sandbox", "--listen", &listen], sandbox].concat();
        Process::start(desk.command(&args), "ready on")
    }

    /// Asks the sandbox's own endpoints.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        ask(self.port, method, path, body)
    }

    /// How often each recipient got a message of this campaign, by the sandbox's truth, and when.
    pub fn taken(&self, campaign: &str) -> BTreeMap<String, Vec<i64>> {
        let received: Vec<Value> = serde_json::from_str(&self.ask("GET", "/sandbox/received", "")).unwrap();
        let mut taken: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let marker = format!("-{campaign}@");
        for message in received {
            if message["operationID"].as_str().unwrap().contains(&marker) {
                let recipient = message["recipient"].as_str().unwrap().to_owned();
                taken.entry(recipient).or_default().push(message["receivedAt"].as_i64().unwrap());
            }
        }
        taken
    }

    /// The outcome of each recipient of a campaign, by the ledger.
    pub fn outcomes(&self, campaign: &str) -> BTreeMap<String, String> {
        let deliveries = self.desk.json(&["deliveries", "--campaign", campaign]);
        let deliveries = deliveries.as_array().unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let outcomes: BTreeMap<_, _> =
            deliveries.iter().map(|row| (text(row, "recipient"), text(row, "outcome"))).collect();
        assert_eq!(outcomes.len(), deliveries.len(), "a recipient stands there twice");
        outcomes
    }

    /// The ledger against the truth: nobody twice, everyone accepted got it, nobody else but the unknown.
    /// Gives how many have each outcome.
    #[track_caller]
    pub fn compare(&self, campaign: &str) -> BTreeMap<String, usize> {
        self.compare_beside(campaign, "")
    }

    /// The same; this account is sent messages only to see them come.
    #[track_caller]
    pub fn compare_beside(&self, campaign: &str, probe: &str) -> BTreeMap<String, usize> {
        let (mut taken, outcomes) = (self.taken(campaign), self.outcomes(campaign));
        taken.remove(probe);
        let twice: Vec<_> = taken.iter().filter(|(_, times)| times.len() > 1).collect();
        assert!(twice.is_empty(), "got it twice: {twice:?}");
        let mut counts = BTreeMap::new();
        for (recipient, outcome) in &outcomes {
            let got = taken.contains_key(recipient);
            assert!(
                outcome == "unknown" || got == (outcome == "accepted"),
                "{recipient} {outcome}, got it: {got}"
            );
            *counts.entry(outcome.clone()).or_default() += 1;
        }
        assert!(taken.keys().all(|recipient| outcomes.contains_key(recipient)), "got it without a record");
        self.desk.ends(&["db", "verify"], 0);
        counts
    }
}

#[expect(clippy::disallowed_methods, reason = "a real process goes by the computer's clock")]
pub fn soon(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = Timestamp::from_second(now.as_secs() as i64).unwrap() + SignedDuration::from_secs(seconds);
    at.to_zoned(TimeZone::get("Asia/Shanghai").unwrap()).strftime("%FT%T").to_string()
}

/// The newest run of a campaign, once it is there.
pub fn run_of(office: &Office, campaign: &str) -> String {
    office.desk.review().newest_run(campaign).unwrap().unwrap()
}

pub fn numbered(from: u32, to: u32) -> String {
    (from..=to).map(|number| format!("u{number:05}\n")).collect()
}
