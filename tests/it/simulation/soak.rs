//! A long life on the virtual clock: run after run for months, against a provider that takes everything and
//! remembers nothing, so that what grows is the daemon's.

use campaignd::gateway::{
    Pending,
    openim::OpenIM,
    transport::{Post as Request, RawAnswer, Transport, TransportFault},
};
use serde_json::{Value, json};

use super::*;

/// Campaigns that run by turns.
const CAMPAIGNS: u64 = 100;
/// Recipients of each run.
const RECIPIENTS: u64 = 5;
/// Seconds between two runs of a campaign.
const EVERY_SECONDS: u64 = 20;

/// What is held after so many runs.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub runs: u64,
    pub recipients: u64,
    pub memory_mb: f64,
    pub files: usize,
    pub wal_mb: f64,
    pub ledger_bytes: u64,
}

impl Held {
    /// By how much the ledger has grown since, for a recipient.
    pub fn bytes_a_recipient_since(&self, before: &Held) -> f64 {
        (self.ledger_bytes - before.ledger_bytes) as f64 / (self.recipients - before.recipients).max(1) as f64
    }
}

/// Takes everything; counts the recipients.
#[derive(Default)]
struct TakesAll {
    recipients: std::sync::atomic::AtomicU64,
}

impl Transport for TakesAll {
    fn post<'a>(&'a self, post: Request<'a>) -> Pending<'a, Result<RawAnswer, TransportFault>> {
        let said: Value = serde_json::from_slice(&post.body).unwrap_or_default();
        let data = match post.path {
            "/auth/get_admin_token" => json!({"token": "t", "expireTimeSeconds": 7_776_000}),
            "/msg/batch_send_msg" => {
                let ids = said["recvIDs"].as_array().cloned().unwrap_or_default();
                self.recipients.fetch_add(ids.len() as u64, Ordering::Relaxed);
                let taken =
                    |id: &Value| json!({"serverMsgID": "s", "clientMsgID": "c", "sendTime": 1, "recvID": id});
                json!({"results": ids.iter().map(taken).collect::<Vec<_>>(), "failedIDs": []})
            }
            _ => Value::Null,
        };
        let body = json!({"errCode": 0, "errMsg": "", "errDlt": "", "data": data}).to_string().into_bytes();
        Box::pin(std::future::ready(Ok(RawAnswer { status: 200, body, ..RawAnswer::default() })))
    }
}

/// Serves until there have been so many runs; tells what is held each time so many more are over. The daemon is
/// started again each time, as updates do it, but for its first half.
pub fn soak(runs: u64, every: u64, mut tell: impl FnMut(Held)) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let simulation = Simulation::new(1, folder.path());
        for number in 0..CAMPAIGNS {
            let ids: Vec<String> =
                (0..RECIPIENTS).map(|person| format!("u{:05}", number * RECIPIENTS + person)).collect();
            simulation.write(
                &format!("c{number:03}.yaml"),
                &format!(
                    "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [{}]\n\
                     schedules: [{{every: {EVERY_SECONDS}s}}]\n",
                    ids.join(", ")
                ),
            );
        }
        let provider = Arc::new(TakesAll::default());
        let signals = Arc::new(Signals::default());
        let mut parts = simulation.parts(&signals);
        let gateway = OpenIM::new(sandbox::account(), provider.clone(), simulation.clock.clone());
        let post = parts.gateways.0.get_mut("sandbox").unwrap();
        post.gateway = Arc::new(gateway);
        post.limits = Limits::default();
        let daemon = daemon::serve(parts);
        tokio::pin!(daemon);
        let mut told = 0;
        while told < runs {
            let seconds = every * EVERY_SECONDS / CAMPAIGNS;
            tokio::select! {
                biased;
                ended = &mut daemon => panic!("the daemon ended by itself: {ended:?}"),
                () = tokio::time::sleep(Duration::from_secs(seconds.max(1))) => {}
            }
            let held = simulation.held(provider.recipients.load(Ordering::Relaxed));
            assert!(held.runs > told, "nothing runs any more");
            told = held.runs;
            tell(held);
        }
        signals.stop();
        daemon.await.unwrap();
        use campaignd::store::Store;
        let ledger = simulation.store().verify().unwrap();
        assert!(ledger.is_empty(), "{ledger:?}");
    });
}

impl Simulation {
    fn held(&self, taken: u64) -> Held {
        use std::fs;
        let ledger = rusqlite::Connection::open(&self.database).unwrap();
        let ask = |sql: &str| -> i64 { ledger.query_row(sql, [], |row| row.get(0)).unwrap() };
        let recipients = ask("SELECT coalesce(sum(accepted), 0) FROM run") as u64;
        assert_eq!(recipients, taken, "the ledger does not count what the provider took");
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let wal = self.database.with_file_name("ledger.db-wal");
        Held {
            runs: ask("SELECT count(*) FROM run WHERE finished_at IS NOT NULL") as u64,
            recipients,
            memory_mb: resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0,
            files: fs::read_dir("/proc/self/fd").unwrap().count(),
            wal_mb: fs::metadata(wal).map_or(0.0, |wal| wal.len() as f64 / 1e6),
            ledger_bytes: ask("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                as u64,
        }
    }
}

/// What of it has grown since the first quarter, but for the ledger.
pub fn grown(told: &[Held]) -> Vec<String> {
    let (Some(early), Some(middle), Some(late)) =
        (told.get(told.len() / 4), told.get(told.len() / 2), told.last())
    else {
        return vec!["nothing was told".to_owned()];
    };
    let mut findings = Vec::new();
    if late.memory_mb > early.memory_mb * 1.15 + 4.0 {
        findings.push(format!("memory: {:.1} MB, then {:.1} MB", early.memory_mb, late.memory_mb));
    }
    if late.files > early.files + 4 {
        findings.push(format!("open files: {}, then {}", early.files, late.files));
    }
    if told.iter().any(|held| held.wal_mb > 80.0) {
        findings.push("the WAL".to_owned());
    }
    let (first, second) = (middle.bytes_a_recipient_since(early), late.bytes_a_recipient_since(middle));
    if second > first * 1.1 + 1.0 {
        findings.push(format!("a recipient takes {first:.1} bytes, then {second:.1}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "an example has no tests")]
    use super::*;

    #[test]
    fn run_after_run_nothing_grows_but_the_ledger() {
        let mut told = Vec::new();
        soak(2_000, 200, |held| told.push(held));
        let mut findings = grown(&told);
        // Other tests share this process's memory and files.
        findings.retain(|finding| !finding.starts_with("memory") && !finding.starts_with("open files"));
        assert_eq!(findings, [""; 0]);
    }
}
