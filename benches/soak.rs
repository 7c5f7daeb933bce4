//! Hours of ordinary work of the built daemon beside a sandbox server: it grows in nothing but its ledger, and
//! that by as much for a recipient at the end as at the beginning.
//!
//! `cargo bench --bench soak -- [SECONDS] [EVERY]`, by default an hour, told each minute. Thirty small
//! campaigns each five seconds, two of 2,000 recipients each minute, a file edited and an answer lost each time
//! that is told. It panics where something has grown since a quarter of the time was over.

#[path = "../tests/it/desk.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod desk;
#[path = "../tests/it/office.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod office;

use std::{fs, time::Duration};

use desk::{Desk, Process};
use office::{Office, numbered};

/// How much more memory than at a quarter is no growth: what an allocator keeps differs by as much.
const MEMORY_SLACK: f64 = 1.15;
/// How much the WAL may hold: what begins it over, and what a reader holds back meanwhile.
const LONGEST_WAL_MB: f64 = 80.0;

/// What the daemon holds at an instant.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_mb: f64,
    files: usize,
    threads: usize,
    wal_mb: f64,
    runs: i64,
    recipients: i64,
    ledger_bytes: i64,
    processor_seconds: f64,
}

impl Held {
    fn by(desk: &Desk, daemon: &Process) -> Held {
        let of_process = |name: &str| format!("/proc/{}/{name}", daemon.id());
        let count = |name: &str| fs::read_dir(of_process(name)).unwrap().count();
        let status = fs::read_to_string(of_process("status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident_kb: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        let stat = fs::read_to_string(of_process("stat")).unwrap();
        // User and system time, in hundredths of a second.
        let ticks: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse().unwrap())
            .collect();
        let ledger = rusqlite::Connection::open(desk.path("campaignd.db")).unwrap();
        let ask = |sql: &str| -> i64 { ledger.query_row(sql, [], |row| row.get(0)).unwrap() };
        Held {
            memory_mb: resident_kb / 1_024.0,
            files: count("fd"),
            threads: count("task"),
            wal_mb: fs::metadata(desk.path("campaignd.db-wal")).map_or(0.0, |wal| wal.len() as f64 / 1e6),
            runs: ask("SELECT count(*) FROM run"),
            recipients: ask("SELECT coalesce(sum(audience), 0) FROM run"),
            ledger_bytes: ask("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"),
            processor_seconds: ticks.iter().sum::<f64>() / 100.0,
        }
    }

    /// How much the ledger has grown since, for a recipient.
    fn bytes_a_recipient_since(&self, before: &Held) -> f64 {
        (self.ledger_bytes - before.ledger_bytes) as f64 / (self.recipients - before.recipients).max(1) as f64
    }
}

fn campaign(minute: u64, recipients: &str, every: &str) -> String {
    format!(
        "message: {{contentType: text, content: {{content: \"{minute}\"}}}}\n{recipients}\n\
         schedules: [{{every: {every}}}]\noverlap: queue\n"
    )
}

fn write_campaigns(desk: &Desk, minute: u64) {
    for number in 0..30 {
        let ids = format!("recvIDs: [u{:05}, u{:05}, nobody]", 1 + number, 100 + number);
        desk.write(&format!("campaigns/small{number}.yaml"), &campaign(0, &ids, "5s"));
    }
    for number in 0..2 {
        let list = "recipients: [{file: list.txt}]";
        desk.write(&format!("campaigns/large{number}.yaml"), &campaign(minute, list, "1m"));
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (seconds, every) = (numbers.next().unwrap_or(3_600), numbers.next().unwrap_or(60).max(1));
    let office = Office::open(
        &["--users", "2000"],
        "    concurrency: 4\n    settle: 5s\n    probe: u02000\n    limits: {recipients: 20000/s}\n",
    );
    office.desk.write("campaigns/list.txt", &numbered(1, 1_999));
    write_campaigns(&office.desk, 0);
    let daemon = office.desk.serve();
    let mut told: Vec<Held> = Vec::new();
    for minute in 1..=seconds / every {
        std::thread::sleep(Duration::from_secs(every));
        let held = Held::by(&office.desk, &daemon);
        let before = told.last().copied().unwrap_or(Held { ledger_bytes: 0, recipients: 0, ..held });
        println!(
            "{:>6} s: {} runs, {} recipients, {:.1} MB, {} files, {} threads, WAL {:.1} MB, \
             ledger {:.1} MB, +{:.1} bytes a recipient, {:.1} s of processor",
            minute * every,
            held.runs,
            held.recipients,
            held.memory_mb,
            held.files,
            held.threads,
            held.wal_mb,
            held.ledger_bytes as f64 / 1e6,
            held.bytes_a_recipient_since(&before),
            held.processor_seconds
        );
        told.push(held);
        write_campaigns(&office.desk, minute);
        office.ask("PUT", "/sandbox/faults", r#"{"dropAnswer": {"times": 1}}"#);
        // The truth of so many messages is nothing that is looked at here.
        office.ask("DELETE", "/sandbox/received", "");
    }
    judge(&told);
    daemon.stop();
    office.desk.ends(&["db", "verify"], 0);
    println!("nothing has grown but the ledger, and it by the same for a recipient");
}

#[track_caller]
fn judge(told: &[Held]) {
    let (Some(early), Some(middle), Some(late)) =
        (told.get(told.len() / 4), told.get(told.len() / 2), told.last())
    else {
        return;
    };
    assert!(late.runs > early.runs, "nothing runs any more");
    assert!(late.memory_mb < early.memory_mb * MEMORY_SLACK + 4.0, "memory grows: {early:?} {late:?}");
    assert!(late.files <= early.files + 8, "open files grow: {early:?} {late:?}");
    assert!(late.threads <= early.threads + 8, "threads grow: {early:?} {late:?}");
    assert!(told.iter().all(|held| held.wal_mb < LONGEST_WAL_MB), "the WAL grows");
    let (first, second) = (middle.bytes_a_recipient_since(early), late.bytes_a_recipient_since(middle));
    assert!(
        second < first * 1.1 + 1.0,
        "a recipient takes more and more: {first:.1}, then {second:.1} bytes"
    );
}
