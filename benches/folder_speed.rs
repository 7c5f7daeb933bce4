//! The folder's speed with 10,000 campaign files: how long the first scan takes beside `sha256sum` of the
//! same files, one edit until it is in force, an idle daemon, and the same edit beside 10,000 bad files.
//!
//! `cargo bench --bench folder_speed` (about two and a half minutes).

#[path = "../tests/it/desk.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod desk;

use std::{process::Command, time::Duration};

use campaignd::{
    clock::{Clock, SystemClock},
    store::sqlite::review::Review,
};
use desk::{Desk, Process};

const FILES: usize = 10_000;
/// How long the daemon is watched doing nothing.
const IDLE: Duration = Duration::from_secs(60);
/// How many edits are made, each beside no bad file and beside as many bad ones.
const EDITS: usize = 15;
/// So long after it was written a file counts as it was read.
const SETTLED: Duration = Duration::from_secs(12);
const SETTINGS: &str = "listen: off\ntimezone: UTC\ngateways: {sandbox: {kind: sandbox}}\n";

fn text(words: &str) -> String {
    format!(
        "message: {{contentType: text, content: {{content: {words}}}}}\nrecvIDs: [u00001]\n\
         schedules: [{{at: 2099-01-01T00:00}}]\n"
    )
}

fn main() {
    let clock = SystemClock::new();
    let seconds = |work: &mut dyn FnMut()| {
        let start = clock.steady();
        work();
        clock.steady().duration_since(start).as_secs_f64()
    };
    let desk = Desk::new(SETTINGS, &[]);
    for number in 0..FILES {
        desk.write(&format!("campaigns/c{number:05}.yaml"), &text(&format!("hello{number}")));
    }
    let mut sums = || {
        let mut command = Command::new("sh");
        command.args(["-c", "sha256sum campaigns/*.yaml >/dev/null"]).current_dir(desk.path(""));
        assert!(command.status().unwrap().success());
    };
    // What was written just now is read once more, which is no part of a start nor of an edit.
    std::thread::sleep(SETTLED);
    // Once before, so that both find the files in memory.
    sums();
    let summed = seconds(&mut sums);
    let mut daemon = None;
    let first = seconds(&mut || daemon = Some(desk.serve()));
    if let Some(daemon) = daemon.take() {
        daemon.stop();
    }
    let again = seconds(&mut || daemon = Some(desk.serve()));
    let daemon = daemon.unwrap();
    println!("{FILES} files: sha256sum {summed:.2} s");
    println!(
        "  first start to ready {first:.2} s: {:.2} s beyond it (every file is a new revision)",
        first - summed
    );
    println!("  second start to ready {again:.2} s: {:.2} s beyond it", again - summed);

    let review = desk.review();
    let mut edits = 0..;
    let mut edit = || edit(&desk, &review, &clock, edits.next().unwrap());
    println!(
        "  the first edit to effect: {:.0} ms (150 ms of them waiting for the folder to be quiet)",
        edit()
    );
    let beside_none = Edits::new((0..EDITS).map(|_| edit()));
    let before = cpu_seconds(&daemon);
    std::thread::sleep(IDLE);
    let share = (cpu_seconds(&daemon) - before) / IDLE.as_secs_f64();
    println!("  idle: {:.2} % of a core", share * 100.0);

    for number in 0..FILES {
        desk.write(&format!("campaigns/bad{number:05}.yaml"), "message: [\n");
    }
    desk.patiently(|| review.problems().unwrap().rows.len() == FILES);
    std::thread::sleep(SETTLED);
    println!("  the first beside {FILES} bad files: {:.0} ms", edit());
    let beside_bad = Edits::new((0..EDITS).map(|_| edit()));
    println!("  each of {EDITS} edits to effect, beside no bad file: {beside_none}");
    println!("  {}beside {FILES} bad files: {beside_bad}", " ".repeat(27));
    daemon.stop();
}

/// How long each of some edits took, in milliseconds.
struct Edits(Vec<f64>);

impl Edits {
    fn new(took: impl Iterator<Item = f64>) -> Edits {
        let mut took: Vec<f64> = took.collect();
        took.sort_by(f64::total_cmp);
        Edits(took)
    }
}

impl std::fmt::Display for Edits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Edits(took) = self;
        write!(formatter, "{:.0} ms (median), {:.0} ms (worst)", took[took.len() / 2], took[took.len() - 1])
    }
}

/// Milliseconds from the end of an edit until its revision is in force; the quiet that is waited for is
/// within.
fn edit(desk: &Desk, review: &Review, clock: &SystemClock, round: usize) -> f64 {
    let wanted = text(&format!("edit{round}"));
    desk.write("campaigns/c00042.yaml", &wanted);
    let start = clock.steady();
    loop {
        let mut newest = None;
        let take = |_: &[String], cells: Vec<campaignd::store::sqlite::review::Cell>| {
            newest = newest.take().or(cells.last().map(campaignd::store::sqlite::review::Cell::text));
            Ok::<(), campaignd::store::StoreError>(())
        };
        review.revisions("c00042", take).unwrap();
        let took = clock.steady().duration_since(start).as_secs_f64() * 1_000.0;
        if newest.as_deref() == Some(&wanted) {
            return took;
        }
        assert!(took < 60_000.0, "the edit never takes effect");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Processor time that the daemon has had.
fn cpu_seconds(daemon: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
