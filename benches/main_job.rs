//! The main job's speed, as ratios within one run: what the HTTP client can do when nothing is
//! recorded, what the ledger can do when nothing is sent, and what the whole path does of the lower of
//! the two. The provider is the sandbox server in a process of its own, with no latency.
//!
//! `cargo bench --bench main_job` (about two minutes; `-- speed`, `-- memory`, `-- start` or `-- lateness` for a part
//! of it). Printed besides: the memory that an audience costs, how soon a start goes on with a run of 10 million, and how late campaigns start of which
//! 1,000 or 10,000 are due in the same second.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use campaignd::{
    campaign::{Message, RecipientID},
    clock::{Clock, SystemClock},
    daemon::{self, Parts, Post, Posts, Signals},
    folder::DiskFolder,
    gateway::{
        Addressees, Call, Gateway,
        openim::{Account, OpenIM},
    },
    limits::Limits,
    run::{
        RunEvent, RunID, Trigger,
        chunk::Cutter,
        inquiry::Doubt,
        look::Addressing,
        reply::{Receipt, Reply, Verdict},
        settlement::settle,
    },
    sandbox,
    store::{
        AttemptEnd, Intent, Ledger, NewRevision, NewRun, StoreError,
        sqlite::{SqliteStore, review::Review},
    },
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Recipients of each measurement.
const RECIPIENTS: usize = 400_000;
/// Times that the three are measured one after another: machines are noisy.
const ROUNDS: usize = 5;
/// What campaigns say.
const MESSAGE: &str = "message: {contentType: text, content: {content: hello}}\n";
/// What the file says of a campaign whose run is made by hand.
const SOME_DAY: &str = "recvIDs: [u1]\nschedules: [{at: 2099-01-01T00:00}]\n";
/// Calls under way at once.
const CONCURRENCY: u32 = 8;

fn main() {
    if let Some(address) = argument_after("--provider") {
        return provide(&address);
    }
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wants = |part: &str| wanted.as_ref().is_none_or(|wanted| wanted == part);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if let Some(recipients) = argument_after("--memory-of") {
            memory_of(recipients.parse().unwrap()).await;
        }
        if wants("memory") {
            memory();
        }
        if wants("speed") {
            speed().await;
        }
        if wants("start") {
            start(10_000_000).await;
        }
        if wants("lateness") {
            for campaigns in [1_000, 10_000] {
                lateness(campaigns).await;
            }
        }
    });
}

async fn speed() {
    let _warm_up = client_ceiling(100, 50_000).await;
    for batch_size in [100, 500] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let client = client_ceiling(batch_size, RECIPIENTS).await;
            let ledger = ledger_ceiling(batch_size, RECIPIENTS).await;
            let whole = whole_path(batch_size, RECIPIENTS).await.per_second;
            rounds.push((whole / client.min(ledger), client, ledger, whole));
        }
        rounds.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, client, ledger, whole) = rounds[ROUNDS / 2];
        let (least, most) = (rounds[0].0, rounds[ROUNDS - 1].0);
        println!(
            "batches of {batch_size}: client {client:.0}/s, ledger {ledger:.0}/s, whole {whole:.0}/s = {ratio:.2} of \
             the lower ceiling (median of {ROUNDS} rounds, {least:.2} to {most:.2})"
        );
    }
}

fn argument_after(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// Each in a process of its own, so that none has the memory that another has left behind.
fn memory() {
    for recipients in ["100000", "1000000", "4000000"] {
        let status =
            Command::new(std::env::current_exe().unwrap()).args(["--memory-of", recipients]).status();
        assert!(status.unwrap().success());
    }
}

async fn memory_of(recipients: usize) {
    let whole = whole_path(500, recipients).await;
    println!("{recipients} recipients: RSS {} MiB at most", whole.peak_kib / 1024);
}

/// The provider's process.
fn provide(address: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::new());
        let options = sandbox::world::Options { users: 10, groups: 1, open: true, ..Default::default() };
        let world = Arc::new(sandbox::world::World::new(&options, clock));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        println!("ready");
        sandbox::server::serve(world, listener, std::future::pending()).await.unwrap();
    });
}

/// A provider that ends with this.
struct Provider {
    process: Child,
    url: String,
}

impl Provider {
    fn start() -> Provider {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--provider", &address])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Provider { process, url: format!("http://{address}") }
    }

    fn gateway(&self, batch_size: u32, clock: Arc<dyn Clock>) -> Arc<OpenIM> {
        let account = Account {
            url: self.url.clone(),
            concurrency: CONCURRENCY,
            batch_size,
            timeout: Duration::from_secs(60),
            ..sandbox::account()
        };
        Arc::new(OpenIM::over_http(account, None, None, clock).unwrap())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ids(count: usize) -> Vec<RecipientID> {
    (0..count).map(|n| RecipientID::new(format!("u{n:09}")).unwrap()).collect()
}

fn message() -> Message {
    let fields = serde_json::json!({
        "sendID": "notice", "senderNickname": "Notice", "senderPlatformID": 2, "contentType": 101,
        "sessionType": 1, "content": {"content": "hello!!"},
    });
    let serde_json::Value::Object(fields) = fields else { unreachable!() };
    Message(fields)
}

/// Recipients a second through the client: requests built, answers parsed, nothing recorded.
async fn client_ceiling(batch_size: usize, recipients: usize) -> f64 {
    let provider = Provider::start();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let gateway = provider.gateway(batch_size as u32, clock.clone());
    let message = Arc::new(message());
    let batches: Arc<Vec<Vec<RecipientID>>> =
        Arc::new(ids(recipients).chunks(batch_size).map(<[_]>::to_vec).collect());
    gateway.prepare().await.unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let start = clock.steady();
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (gateway, message, batches, next) =
                (gateway.clone(), message.clone(), batches.clone(), next.clone());
            tokio::spawn(async move {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(batch) = batches.get(number)
                {
                    let call = Call {
                        operation_id: format!("bench-{number}"),
                        message: message.clone(),
                        to: Addressees::Users(batch.clone()),
                        send_time_ms: Some(number as i64 + 1),
                        written_to: Default::default(),
                    };
                    let answer = gateway.send(&call).await;
                    assert!(matches!(answer.reply, Reply::Answered(_)), "{answer:?}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    recipients as f64 / clock.steady().duration_since(start).as_secs_f64()
}

/// The ledger at this path, as a daemon has it.
fn open_ledger(path: &Path, now: Timestamp) -> Ledger {
    let store = SqliteStore::open(path, now).unwrap().checkpointed_beside(path).unwrap();
    Ledger::threaded(Box::new(store)).unwrap()
}

/// Recipients a second through the ledger: intents and answers committed, nothing sent.
async fn ledger_ceiling(batch_size: usize, recipients: usize) -> f64 {
    let folder = tempfile::tempdir_in(".").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ledger = open_ledger(&folder.path().join("ledger.db"), clock.now());
    let run = sealed_run(&ledger, batch_size as u32, recipients, clock.now()).await;
    let start = clock.steady();
    let workers: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (ledger, run, clock) = (ledger.clone(), run.clone(), clock.clone());
            tokio::spawn(async move {
                loop {
                    let stamp = Some(("notice".to_owned(), clock.now()));
                    let intent = Intent {
                        names_batches: false,
                        run: run.clone(),
                        at: clock.now(),
                        most_recipients: u64::MAX,
                        caps: Default::default(),
                        addressing: Addressing::Users,
                        stamp,
                    };
                    let Some(begun) = ledger.call(move |store| store.batch_begin(&intent)).await.unwrap()
                    else {
                        return;
                    };
                    let receipt = Receipt {
                        server_msg_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
                        client_msg_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
                        send_time_ms: begun.send_time_ms,
                    };
                    let verdicts =
                        begun.recipients.iter().map(|id| (id.clone(), Verdict::Accepted(receipt.clone())));
                    let settlement =
                        settle(&begun.recipients, Reply::Answered(verdicts.collect()), Doubt::Hold).unwrap();
                    let end = AttemptEnd {
                        attempt: begun.attempt,
                        at: clock.now(),
                        http_status: Some(200),
                        provider_code: Some(0),
                        provider_message: None,
                    };
                    ledger.call(move |store| store.batch_settle(&end, &settlement)).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let seconds = clock.steady().duration_since(start).as_secs_f64();
    let counts = ledger.call(move |store| store.run(&run)).await.unwrap().counts;
    assert_eq!(counts.accepted, recipients as u64, "{counts:?}");
    recipients as f64 / seconds
}

async fn sealed_run(ledger: &Ledger, batch_size: u32, recipients: usize, now: Timestamp) -> RunID {
    let campaign: campaignd::campaign::CampaignID = "bench".parse().unwrap();
    let revision = NewRevision {
        campaign: campaign.clone(),
        path: "bench.yaml".to_owned(),
        sha256: String::new(),
        yaml: format!("{MESSAGE}{SOME_DAY}").into_bytes(),
        commit_id: None,
        dirty: None,
        gateway: "openim".to_owned(),
        labels: "{}".to_owned(),
        enabled: true,
        applied_at: now,
        decided_until: now,
    };
    let new = NewRun {
        trigger: Trigger::Manual,
        slot: now,
        due_at: now,
        start_by: now + SignedDuration::from_hours(1),
        finish_by: now + SignedDuration::from_hours(1),
        gateway: "openim".to_owned(),
        only_to: None,
    };
    let run = ledger
        .call(move |store| {
            store.campaign_apply(&revision)?;
            store.run_make(&campaign, &new)
        })
        .await
        .unwrap();
    let mut cutter = Cutter::new(batch_size);
    let mut chunks: Vec<_> = ids(recipients).into_iter().filter_map(|id| cutter.push(id)).collect();
    chunks.extend(cutter.finish());
    for part in chunks.chunks(200) {
        let (run, part) = (run.clone(), part.to_vec());
        ledger.call(move |store| store.run_open_part(&run, &part, &[], now)).await.unwrap();
    }
    let sealed = run.clone();
    ledger.call(move |store| store.run_event(&sealed, RunEvent::Sealed, None, now)).await.unwrap();
    run
}

/// The whole path's speed and memory.
struct Whole {
    per_second: f64,
    peak_kib: u64,
}

/// A campaign file and a list of people become recorded deliveries: recipients a second from the first
/// intent to the last answer.
async fn whole_path(batch_size: usize, recipients: usize) -> Whole {
    let folder = tempfile::tempdir_in(".").unwrap();
    std::fs::create_dir(folder.path().join("campaigns")).unwrap();
    // Line by line: the memory that is measured is not to be this list's.
    let mut list = BufWriter::new(File::create(folder.path().join("campaigns/list.txt")).unwrap());
    for number in 0..recipients {
        writeln!(list, "u{number:09}").unwrap();
    }
    list.into_inner().unwrap();
    let clock = SystemClock::new();
    let at = (clock.now() + SignedDuration::from_secs(2)).strftime("%FT%T");
    write_campaign(
        folder.path(),
        "bench",
        &format!(
            "recipients: [{{file: list.txt}}]\nschedules: [{{at: {at}}}]\ndelivery: {{batchSize: {batch_size}, \
             concurrency: {CONCURRENCY}}}\n"
        ),
    );
    let provider = Provider::start();
    let serving = Serving::start(folder.path(), &provider, batch_size as u32).await;
    let peak = serving.wait_for_runs(1).await;
    serving.stop().await;
    let review = Review::open(&folder.path().join("ledger.db")).unwrap();
    let run = review.run(&review.newest_run("bench").unwrap().unwrap()).unwrap();
    assert_eq!(run.cell(0, "accepted").number(), recipients as i64, "{run:?}");
    let time = |column: &str| run.cell(0, column).text().parse::<Timestamp>().unwrap();
    let seconds = time("finished_at").duration_since(time("started_at")).as_secs_f64();
    Whole { per_second: recipients as f64 / seconds, peak_kib: peak }
}

/// How soon a daemon that starts goes on with a run of so many, of which a killed one has left calls in
/// flight.
async fn start(recipients: usize) {
    let folder = tempfile::tempdir_in(".").unwrap();
    std::fs::create_dir(folder.path().join("campaigns")).unwrap();
    write_campaign(folder.path(), "bench", SOME_DAY);
    let clock = SystemClock::new();
    let ledger = open_ledger(&folder.path().join("ledger.db"), clock.now());
    let run = sealed_run(&ledger, 500, recipients, clock.now()).await;
    let asked = begin_all(&ledger, &run, CONCURRENCY, clock.now()).await;
    ledger.close().await;
    let provider = Provider::start();
    let review = Review::open(&folder.path().join("ledger.db")).unwrap();
    let start = clock.steady();
    let serving = Serving::start(folder.path(), &provider, 500).await;
    let ready = clock.steady().duration_since(start);
    while review.attempt_count(run.as_str()).unwrap() <= i64::from(asked) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = clock.steady().duration_since(start);
    serving.stop().await;
    println!(
        "a run of {recipients}: a start is ready after {} ms, the next batch is asked after {} ms",
        ready.as_millis(),
        asked.as_millis()
    );
}

/// Commits so many intents of a run; gives how many.
async fn begin_all(ledger: &Ledger, run: &RunID, batches: u32, now: Timestamp) -> u32 {
    for _ in 0..batches {
        let addressing = campaignd::run::look::Addressing::Users;
        let stamp = Some(("notice".to_owned(), now));
        let intent = Intent {
            run: run.clone(),
            at: now,
            names_batches: false,
            most_recipients: u64::MAX,
            addressing,
            stamp,
            caps: Default::default(),
        };
        ledger.call(move |store| store.batch_begin(&intent)).await.unwrap().unwrap();
    }
    batches
}

/// How late campaigns start that are due at once.
async fn lateness(campaigns: usize) {
    let folder = tempfile::tempdir_in(".").unwrap();
    std::fs::create_dir(folder.path().join("campaigns")).unwrap();
    let clock = SystemClock::new();
    // Time to read and apply them all.
    let ahead = SignedDuration::from_secs(8 + campaigns as i64 / 500);
    let at = (clock.now() + ahead).strftime("%FT%T");
    for number in 0..campaigns {
        let text = format!("recvIDs: [u{number:05}]\nschedules: [{{at: {at}}}]\n");
        write_campaign(folder.path(), &format!("c{number}"), &text);
    }
    let provider = Provider::start();
    let serving = Serving::start(folder.path(), &provider, 100).await;
    serving.wait_for_runs(campaigns).await;
    let handed_over = *serving.signals.lateness.borrow();
    serving.stop().await;
    let review = Review::open(&folder.path().join("ledger.db")).unwrap();
    let mut late: Vec<i64> = Vec::new();
    review
        .runs(None, None, |columns, row| {
            let place = columns.iter().position(|column| column == "late_ms").unwrap();
            late.push(row[place].number());
            Ok::<(), StoreError>(())
        })
        .unwrap();
    late.sort_unstable();
    let percentile = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!(
        "{campaigns} campaigns due at once: p99 handed over within {:?} ms; first intents, {CONCURRENCY} calls at a time, late by {} ms (median), {} ms (p99), {} ms (most)",
        handed_over.percentile_ms(99),
        percentile(50),
        percentile(99),
        percentile(100)
    );
}

fn write_campaign(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(format!("campaigns/{name}.yaml")), format!("{MESSAGE}{text}")).unwrap();
}

/// A daemon that serves.
struct Serving {
    signals: Arc<Signals>,
    daemon: tokio::task::JoinHandle<()>,
    database: std::path::PathBuf,
}

impl Serving {
    async fn start(folder: &Path, provider: &Provider, batch_size: u32) -> Serving {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let database = folder.join("ledger.db");
        let gateway = provider.gateway(batch_size, clock.clone());
        let post =
            Post { gateway, limits: Limits::default(), settle: SignedDuration::from_mins(10), probe: None };
        let signals = Arc::new(Signals::default());
        let parts = Parts {
            ledger: open_ledger(&database, clock.now()),
            clock,
            folder: Arc::new(DiskFolder::new(&folder.join("campaigns"))),
            gateways: Posts(BTreeMap::from([("openim".to_owned(), post)])),
            default_zone: Some(TimeZone::UTC),
            default_gateway: Some("openim".to_owned()),
            crowd: daemon::CROWD,
            spill_folder: folder.to_owned(),
            signals: signals.clone(),
        };
        let daemon = tokio::spawn(async move { daemon::serve(parts).await.unwrap() });
        signals.readied().await;
        Serving { signals, daemon, database }
    }

    /// Waits until so many runs are over; gives the peak of the memory seen.
    async fn wait_for_runs(&self, runs: usize) -> u64 {
        let review = Review::open(&self.database).unwrap();
        let mut peak = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            peak = peak.max(memory_kib("VmRSS"));
            if review.runs_over().unwrap() >= runs as i64 {
                return peak;
            }
        }
    }

    async fn stop(self) {
        self.signals.stop();
        self.daemon.await.unwrap();
    }
}

fn memory_kib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
