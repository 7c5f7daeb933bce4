//! How punctual and how frugal the daemon is: campaigns that are all due in the same second beside
//! tokio-cron-scheduler alone with as many jobs, an idle daemon with 10,000 campaigns spread over a day, and the
//! plan of a year.
//!
//! `cargo bench --bench on_time` (about six minutes; `-- lateness`, `-- idle` or `-- plan` for a part of it).

#[path = "../tests/it/desk.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod desk;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use campaignd::{
    clock::{Clock, SystemClock},
    daemon::{self, Parts, Post, Posts, Signals},
    folder::DiskFolder,
    limits::Limits,
    sandbox,
    store::{
        Ledger,
        sqlite::{SqliteStore, review::Review},
    },
};
use desk::{Desk, Process};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio_cron_scheduler::{Job, JobScheduler};

const SETTINGS: &str = "listen: off\ntimezone: UTC\ngateways: {sandbox: {kind: sandbox}}\n";
/// How long the daemon is watched doing nothing.
const IDLE: Duration = Duration::from_secs(240);
/// The scheduler's channels: with their own size it loses jobs.
const CHANNEL: usize = 100_000;

fn main() {
    // Cargo adds `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wants = |part: &str| wanted.as_ref().is_none_or(|wanted| wanted == part);
    if wants("lateness") {
        for count in [1_000, 10_000] {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            println!("{count} campaigns due at once: {}", runtime.block_on(ours(count)));
            println!("  tokio-cron-scheduler alone: {}", runtime.block_on(theirs(count)));
        }
    }
    if wants("idle") {
        idle(10_000);
    }
    if wants("plan") {
        plan(1_000);
    }
}

fn campaign(schedule: &str) -> String {
    format!(
        "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001]\nschedules: [{schedule}]\n"
    )
}

/// A whole second, when all has been read.
fn soon(clock: &SystemClock, count: usize) -> Timestamp {
    let second = clock.now().as_second() + 10 + count as i64 / 500;
    Timestamp::from_second(second).unwrap()
}

/// How late runs are handed to those who open and send them: decided, committed, on their way.
async fn ours(count: usize) -> String {
    let desk = Desk::new(SETTINGS, &[]);
    let clock = SystemClock::new();
    let due = soon(&clock, count);
    let text = campaign(&format!("{{at: {}}}", due.strftime("%FT%T")));
    for number in 0..count {
        desk.write(&format!("campaigns/c{number:05}.yaml"), &text);
    }
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let options = sandbox::world::Options { users: 10, groups: 1, open: true, ..Default::default() };
    let world = Arc::new(sandbox::world::World::new(&options, clock.clone()));
    let gateway = Arc::new(sandbox::gateway(world, sandbox::account(), clock.clone()));
    let post =
        Post { gateway, limits: Limits::default(), settle: SignedDuration::from_mins(10), probe: None };
    let store = SqliteStore::open(&desk.path("campaignd.db"), clock.now()).unwrap();
    let signals = Arc::new(Signals::default());
    let parts = Parts {
        clock: clock.clone(),
        ledger: Ledger::threaded(Box::new(store)).unwrap(),
        folder: Arc::new(DiskFolder::new(&desk.path("campaigns"))),
        gateways: Posts(BTreeMap::from([("sandbox".to_owned(), post)])),
        default_zone: Some(TimeZone::UTC),
        default_gateway: Some("sandbox".to_owned()),
        crowd: daemon::CROWD,
        spill_folder: desk.path(""),
        signals: signals.clone(),
    };
    let daemon = tokio::spawn(daemon::serve(parts));
    signals.readied().await;
    assert!(clock.now() < due, "the campaigns were due before they were read");
    let review = Review::open(&desk.path("campaignd.db")).unwrap();
    while review.runs_over().unwrap() < count as i64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lateness = *signals.lateness.borrow();
    let within = |percent| lateness.percentile_ms(percent).map_or("more".to_owned(), |ms| ms.to_string());
    signals.stop();
    daemon.await.unwrap().unwrap();
    format!("0 lost, handed over within {} ms (median), {} ms (p99)", within(50), within(99))
}

/// How late a scheduler that keeps nothing calls its jobs.
async fn theirs(count: usize) -> String {
    let clock = SystemClock::new();
    let due = soon(&clock, count);
    let line = due.to_zoned(TimeZone::UTC).strftime("%-S %-M %-H %-d %-m *").to_string();
    let late: Arc<Mutex<Vec<i64>>> = Arc::default();
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL).await.unwrap();
    for _ in 0..count {
        let late = late.clone();
        let called =
            move |_, _| late.lock().unwrap().push(clock.now().duration_since(due).as_micros() as i64);
        scheduler.add(Job::new(line.as_str(), called).unwrap()).await.unwrap();
    }
    let was_early = clock.now() < due;
    scheduler.start().await.unwrap();
    let end = due + SignedDuration::from_secs(5);
    while clock.now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut late = late.lock().unwrap().clone();
    late.sort_unstable();
    if late.is_empty() || !was_early {
        return format!("{} of {count} called, in time to begin: {was_early}", late.len());
    }
    let percentile = |percent: usize| late[(late.len() - 1) * percent / 100] as f64 / 1_000.0;
    format!(
        "{} lost, called after {:.1} ms (median), {:.1} ms (p99)",
        count.saturating_sub(late.len()),
        percentile(50),
        percentile(99)
    )
}

/// The processor's share of a daemon whose campaigns are due one by one, all day long.
fn idle(count: usize) {
    let desk = Desk::new(SETTINGS, &[]);
    for number in 0..count {
        let second = number * 86_400 / count;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let line = format!("{{cron: \"{second} {minute} {hour} * * *\"}}");
        desk.write(&format!("campaigns/c{number:05}.yaml"), &campaign(&line));
    }
    let daemon = desk.serve();
    // Until files that were written just now have been read once more.
    std::thread::sleep(Duration::from_secs(15));
    let before = cpu_seconds(&daemon);
    std::thread::sleep(IDLE);
    let share = (cpu_seconds(&daemon) - before) / IDLE.as_secs_f64();
    daemon.stop();
    println!("{count} campaigns spread over a day: {:.3} % of a core", share * 100.0);
}

/// Processor time that the daemon has had.
fn cpu_seconds(daemon: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// How long the plan of a year takes.
fn plan(count: usize) {
    let desk = Desk::new(SETTINGS, &[]);
    let zones = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"];
    for number in 0..count {
        let line = format!("{{cron: \"{} {} * * *\"}}", number % 60, number % 24);
        let text = format!("{}timezone: {}\n", campaign(&line), zones[number % zones.len()]);
        desk.write(&format!("campaigns/c{number:04}.yaml"), &text);
    }
    let clock = SystemClock::new();
    for format in ["table", "json"] {
        let start = clock.steady();
        let said = desk.ends(&["plan", "--for", "365d", "--format", format], 0);
        let took = clock.steady().duration_since(start).as_secs_f64();
        println!(
            "the plan of {count} campaigns for a year, as {format}: {took:.2} s, {} MB",
            said.out.len() / 1_000_000
        );
    }
}
