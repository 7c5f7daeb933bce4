//! How fast an audience of millions is opened, as ratios within one run: against `sort -u` on the same file,
//! with the memory that the daemon takes for it, and how late small campaigns start meanwhile.
//!
//! `cargo bench --bench audience` (about two minutes for ten million ids; `-- --ids 1000000` for fewer).

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use campaignd::{
    clock::{Clock, SystemClock},
    daemon,
    folder::DiskFolder,
    limits::Limits,
    sandbox,
    store::{
        Ledger,
        sqlite::{SqliteStore, review::Review},
    },
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// Small campaigns that start while the audience is opened.
const SMALL: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let ids: u64 = after("--ids").map_or(10_000_000, |text| text.parse().unwrap());
    let lists = tempfile::tempdir_in(".").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    write_ids(&lists.path().join("all.txt"), ids, 1);
    write_ids(&lists.path().join("out.txt"), ids, 2);
    write_ids(&lists.path().join("half.txt"), ids / 2, 1);

    let start = clock.steady();
    let mut sort = Command::new("sort");
    sort.arg("-u").arg("-o").args(["sorted.txt", "all.txt"]).current_dir(lists.path()).env("LC_ALL", "C");
    assert!(sort.status().unwrap().success());
    let sorted = clock.steady().duration_since(start).as_secs_f64();
    println!("sort -u: {ids} ids in {sorted:.1} s, {:.0}/s", ids as f64 / sorted);

    let all = ("all", "recipients: [{file: lists/all.txt}]");
    let half = ("half", "recipients: [{file: lists/half.txt}]\nexclude: [{file: lists/out.txt}]");
    for ((name, audience), what) in
        [(all, format!("{ids} ids")), (half, format!("{} ids, {ids} excluded", ids / 2))]
    {
        let folder = place(lists.path(), name, audience);
        let daemon = Daemon::start(folder.path());
        let took = open(folder.path(), name);
        println!(
            "{what}: opened in {took:.1} s = {:.2} of the speed of sort -u on {ids} ids; at most {} MiB",
            sorted / took,
            daemon.most_memory_kib() / 1024
        );
    }

    let folder = place(lists.path(), all.0, all.1);
    explain(folder.path(), ids, clock.as_ref());
    drop(folder);
    // As many calls at once as campaigns, so that none waits for a provider that is busy with the others; and as many
    // as a gateway allows that says nothing.
    for calls in [SMALL, 4] {
        let folder = place(lists.path(), all.0, all.1);
        let settings = SETTINGS.replace("kind: sandbox", &format!("kind: sandbox, concurrency: {calls}"));
        std::fs::write(folder.path().join("campaignd.yaml"), settings).unwrap();
        beside_small_ones(folder.path(), ids, calls);
    }
    handed_over(place(lists.path(), all.0, all.1).path(), ids);
}

fn write_small_ones(folder: &Path) {
    for number in 0..SMALL {
        let text = format!(
            "{MESSAGE}\nrecvIDs: [u00001, u00002]\nschedules: [{{every: 2s}}]\nlateness: {{max: 1m}}\n"
        );
        std::fs::write(folder.join(format!("campaigns/small-{number}.yaml")), text).unwrap();
    }
}

/// How late the small campaigns' runs are in the hands of those who open and send them, while large audiences are
/// opened one after the other: the daemon works within this process, which alone knows that.
fn handed_over(folder: &Path, ids: u64) {
    write_small_ones(folder);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let first = Timestamp::from_second((clock.now().as_second() + 12) / 2 * 2).unwrap();
    for number in 0..3 {
        let at = (first + SignedDuration::from_secs(4 * number)).strftime("%FT%T");
        let text = format!(
            "{MESSAGE}\nrecipients: [{{file: lists/all.txt}}]\nschedules: [{{at: {at}}}]\n\
             delivery: {{limits: {{recipients: 1/h}}}}\n"
        );
        std::fs::write(folder.join(format!("campaigns/large-{number}.yaml")), text).unwrap();
    }
    let options = sandbox::world::Options { users: 10, groups: 1, open: true, ..Default::default() };
    let world = Arc::new(sandbox::world::World::new(&options, clock.clone()));
    let gateway = Arc::new(sandbox::gateway(world, sandbox::account(), clock.clone()));
    let post = daemon::Post {
        gateway,
        limits: Limits::default(),
        settle: SignedDuration::from_mins(10),
        probe: None,
    };
    let store = SqliteStore::open(&folder.join("campaignd.db"), clock.now()).unwrap();
    let signals = Arc::new(daemon::Signals::default());
    let parts = daemon::Parts {
        clock: clock.clone(),
        ledger: Ledger::threaded(Box::new(store)).unwrap(),
        folder: Arc::new(DiskFolder::new(&folder.join("campaigns"))),
        gateways: daemon::Posts(BTreeMap::from([("sandbox".to_owned(), post)])),
        default_zone: Some(TimeZone::UTC),
        default_gateway: Some("sandbox".to_owned()),
        crowd: daemon::CROWD,
        spill_folder: folder.to_owned(),
        signals: signals.clone(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let daemon = runtime.spawn(daemon::serve(parts));
    runtime.block_on(signals.readied());
    let until = |at: Timestamp| {
        std::thread::sleep(Duration::try_from(at.duration_since(clock.now())).unwrap_or_default());
    };
    until(first - SignedDuration::from_secs(1));
    signals.lateness.send_replace(Default::default());
    let review = Review::open(&folder.join("campaignd.db")).unwrap();
    let open = |number: i64| {
        let due = first + SignedDuration::from_secs(4 * number);
        until(due + SignedDuration::from_secs(1));
        loop {
            let run = review.newest_run(&format!("large-{number}")).unwrap().unwrap();
            if review.run(&run).unwrap().cell(0, "state").text() == "running" {
                return format!("{:.1} s", clock.now().duration_since(due).as_secs_f64());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let seconds: Vec<String> = (0..3).map(open).collect();
    let lateness = *signals.lateness.borrow();
    signals.stop();
    runtime.block_on(daemon).unwrap().unwrap();
    println!(
        "{SMALL} small campaigns due at once, p99 handed over within {} ms while {ids} ids are opened (three times, in {})",
        lateness.percentile_ms(99).map_or("more".to_owned(), |ms| ms.to_string()),
        seconds.join(", ")
    );
}

/// How late small campaigns start that are all due at the same instants, every two seconds: when nothing else goes
/// on, and while the large audience is opened.
fn beside_small_ones(folder: &Path, ids: u64, calls: usize) {
    write_small_ones(folder);
    let _daemon = Daemon::start(folder);
    // The gateway's pace begins with one call.
    std::thread::sleep(Duration::from_secs(5));
    let warm = lateness(folder, 0);
    std::thread::sleep(Duration::from_secs(9));
    let before = lateness(folder, warm.0);
    let (mut meanwhile, mut seconds) = ((0, 0, 0), Vec::new());
    for round in 0..3 {
        let start = lateness(folder, 0).0;
        seconds.push(format!("{:.1} s", open(folder, "all")));
        let late = lateness(folder, start);
        meanwhile = (meanwhile.0, late.1.max(meanwhile.1), late.2 + meanwhile.2);
        if round < 2 {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    println!(
        "{SMALL} small campaigns due at once, {calls} calls at once, p99 late: {} ms in {} runs before, {} ms in {} runs \
         while {ids} ids are opened (three times, in {})",
        before.1,
        before.2,
        meanwhile.1,
        meanwhile.2,
        seconds.join(", ")
    );
}

const SETTINGS: &str =
    "listen: off\ntimezone: UTC\ndefaultGateway: sandbox\ngateways: {sandbox: {kind: sandbox}}\n";

/// A folder of its own with one campaign.
fn place(lists: &Path, name: &str, audience: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(".").unwrap();
    std::fs::create_dir_all(folder.path().join("campaigns/lists")).unwrap();
    for list in ["all.txt", "out.txt", "half.txt"] {
        std::fs::hard_link(lists.join(list), folder.path().join("campaigns/lists").join(list)).unwrap();
    }
    std::fs::write(folder.path().join("campaignd.yaml"), SETTINGS).unwrap();
    write_campaign(folder.path(), name, audience);
    folder
}

const MESSAGE: &str = "message: {contentType: text, content: {content: hi}}";

/// Ids in an order that jumps about, from a file without repetitions. `stride`: every so many-th number.
fn write_ids(path: &Path, count: u64, stride: u64) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let prime = 2_147_483_647;
    for place in 0..count {
        let number = (place * 1_000_003 + 7) % prime * stride;
        writeln!(file, "u{number:010}").unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
}

/// A campaign that sends next to nothing: its opening is what is measured.
fn write_campaign(folder: &Path, name: &str, audience: &str) {
    let text = format!(
        "{MESSAGE}\n{audience}\nschedules: [{{at: 2099-11-11T09:00}}]\nlateness: {{max: 1h}}\n\
         delivery: {{limits: {{recipients: 1/h}}}}\n"
    );
    std::fs::write(folder.join(format!("campaigns/{name}.yaml")), text).unwrap();
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
    command.args(arguments).current_dir(folder).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Daemon {
        let mut child =
            command(folder, &["serve"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().contains("ready: ") {}
        std::thread::spawn(move || lines.for_each(drop));
        Daemon(child)
    }

    fn most_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a campaign and gives the seconds from when its run is made until its audience is sealed.
fn open(folder: &Path, name: &str) -> f64 {
    let said = command(folder, &["send", name, "--yes", "--again"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let run = String::from_utf8(said.stdout).unwrap().trim().to_owned();
    let review = Review::open(&folder.join("campaignd.db")).unwrap();
    let clock = SystemClock::new();
    loop {
        let rows = review.run(&run).unwrap();
        let made_at: Timestamp = rows.cell(0, "occurrence").text().parse().unwrap();
        match rows.cell(0, "state").text().as_str() {
            "pending" => std::thread::sleep(Duration::from_millis(20)),
            "running" | "completed" => return clock.now().duration_since(made_at).as_secs_f64(),
            other => panic!("{other}: {}", rows.cell(0, "reason").text()),
        }
    }
}

/// How long it takes to tell why one id is in, and another out.
fn explain(folder: &Path, ids: u64, clock: &dyn Clock) {
    for (id, standing) in [("u0001000010", "in"), ("v0001000010", "out")] {
        let start = clock.steady();
        let said = command(folder, &["audience", "all", "--explain", id]).output().unwrap();
        let took = clock.steady().duration_since(start).as_millis();
        let out = String::from_utf8(said.stdout).unwrap();
        assert!(out.contains(&format!("is {standing}")), "{out}");
        println!("audience --explain of one who is {standing}, among {ids}: {took} ms");
    }
}

/// Of the small campaigns' runs after this one: the last one's number, the 99th percentile of how late they
/// started in milliseconds, and how many they are.
fn lateness(folder: &Path, after: usize) -> (usize, i64, usize) {
    let review = Review::open(&folder.join("campaignd.db")).unwrap();
    let mut late = Vec::new();
    let mut seen = 0;
    let mut rows = Vec::new();
    let columns = review
        .runs(None, None, |_, cells| -> Result<(), campaignd::store::StoreError> {
            rows.push(cells);
            Ok(())
        })
        .unwrap();
    let place = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (campaign, late_ms) = (place("campaign"), place("late_ms"));
    // The newest comes first.
    for cells in rows.iter().rev() {
        // Those that are decided ahead of their instant have not started.
        if !cells[campaign].text().starts_with("small-") || cells[late_ms].text().is_empty() {
            continue;
        }
        seen += 1;
        if seen > after {
            late.push(cells[late_ms].number());
        }
    }
    late.sort_unstable();
    let percentile = late.get(late.len() * 99 / 100).copied().unwrap_or_default();
    (seen, percentile, late.len())
}
