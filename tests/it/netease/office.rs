//! A desk whose gateways are NetEase's side of a sandbox server in its own process.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::Value;

use crate::{
    desk::{Desk, Process},
    office,
};

/// How often each recipient got a message that holds this mark, by the truth of the sandbox on this port.
pub fn taken(port: u16, mark: &str) -> BTreeMap<String, usize> {
    let received: Vec<Value> =
        serde_json::from_str(&office::ask(port, "GET", "/sandbox/received", "")).unwrap();
    let mut taken = BTreeMap::new();
    for message in received.iter().filter(|message| message["content"].to_string().contains(mark)) {
        *taken.entry(message["recipient"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    taken
}

/// The outcome and reason of each recipient of a campaign, by the ledger.
pub fn outcomes(desk: &Desk, campaign: &str) -> BTreeMap<String, String> {
    let deliveries = desk.json(&["deliveries", "--campaign", campaign]);
    let outcome = |row: &Value| match row["reason_code"].as_str() {
        Some(code) => format!("{} {code}", row["outcome"].as_str().unwrap()),
        None => row["outcome"].as_str().unwrap().to_owned(),
    };
    let rows = deliveries.as_array().unwrap();
    rows.iter().map(|row| (row["recipient"].as_str().unwrap().to_owned(), outcome(row))).collect()
}

/// A desk, its server, and what both say.
pub struct Office {
    pub desk: Desk,
    pub port: u16,
    _server: Process,
}

/// Below those that the system gives to whoever asks for any, so that nobody else takes one in between.
const PORTS: Range<u16> = 20_000..30_000;

/// A port that nobody listens on, another each time.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % 100 * 100;
    let ports =
        || PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(ports).find(is_free).unwrap()
}

impl Office {
    /// `gateways`: the part of the settings behind `gateways:`, where `PORT` is the server's.
    pub fn open(gateways: &str) -> Office {
        let port = free_port();
        let gateways = gateways.replace("PORT", &port.to_string());
        let settings = format!("listen: off\ntimezone: Asia/Shanghai\ngateways:\n{gateways}");
        let desk = Desk::new(&settings, &[]);
        desk.write("secret", "sandbox\n");
        desk.write("wrong", "wrong\n");
        let listen = format!("127.0.0.1:{port}");
        let server = desk.command(&["sandbox", "--listen", &listen, "--users", "2000"]);
        Office { port, _server: Process::start(server, "ready on"), desk }
    }

    /// A campaign of this id that is due now.
    pub fn write(&self, id: &str, campaign: &str) {
        let at = office::soon(2);
        self.desk.write(&format!("campaigns/{id}.yaml"), &format!("{campaign}schedules: [{{at: {at}}}]\n"));
    }

    /// Asks the sandbox's own endpoints.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        office::ask(self.port, method, path, body)
    }

    pub fn faults(&self, plan: Value) {
        self.ask("PUT", "/sandbox/faults", &plan.to_string());
    }

    pub fn taken(&self, mark: &str) -> BTreeMap<String, usize> {
        taken(self.port, mark)
    }

    pub fn outcomes(&self, campaign: &str) -> BTreeMap<String, String> {
        outcomes(&self.desk, campaign)
    }

    /// The ledger against the truth: nobody twice; who was accepted got it, who was not did not; of the
    /// unknown nobody knows.
    #[track_caller]
    pub fn compare(&self, campaign: &str, mark: &str) -> BTreeMap<String, String> {
        let (taken, outcomes) = (self.taken(mark), self.outcomes(campaign));
        for (recipient, times) in &taken {
            assert_eq!(*times, 1, "{recipient} got it {times} times");
            assert!(outcomes.contains_key(recipient), "{recipient} got it without a record");
        }
        for (recipient, outcome) in &outcomes {
            let got = taken.contains_key(recipient);
            assert!(
                outcome.starts_with("unknown") || got == (outcome == "accepted"),
                "{recipient} {outcome}, got it: {got}"
            );
        }
        self.desk.ends(&["db", "verify"], 0);
        outcomes
    }
}
