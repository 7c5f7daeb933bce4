//! An opening that ends in the middle: the next start opens anew, and everyone stands there once.

use rusqlite::Connection;

use super::SETTINGS;
use crate::desk::Desk;

const IDS: u32 = 400_000;

/// Nobody is asked soon: what is looked at is who waits.
const LARGE: &str = "\
message: {contentType: text, content: {content: hi}}
recipients: [{file: lists/a.txt}]
exclude: [{file: lists/out.txt}]
schedules: [{at: 2099-11-11T09:00}]
lateness: {max: 10m}
delivery: {limits: {recipients: 1/h}}
";

fn ids(from: u32, step: usize) -> String {
    (from..=IDS).step_by(step).map(|number| format!("u{number:07}\n")).collect()
}

#[test]
fn a_daemon_that_is_killed_while_it_opens_opens_anew() {
    let desk = Desk::new(SETTINGS, &[("large.yaml", LARGE)]);
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    desk.write("campaigns/lists/a.txt", &ids(1, 1));
    desk.write("campaigns/lists/out.txt", &ids(4, 4));
    let daemon = desk.serve();
    let said = desk.ends(&["send", "large", "--yes"], 0).out;
    let run =
        said.split_whitespace().find(|word| word.contains('@')).unwrap().trim_end_matches(':').to_owned();
    let ledger = Connection::open(desk.path("campaignd.db")).unwrap();
    let standing = || {
        let sql = "SELECT state, audience, pending, excluded FROM run_summary WHERE run = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        ledger.query_row(sql, [&run], read).unwrap()
    };
    let opening = || -> (String, i64, i64, i64) { standing() };
    desk.patiently(|| opening().1 > 0);
    daemon.kill();
    let (state, part, ..) = opening();
    assert_eq!(state, "pending", "it was sealed with {part} before it was killed");
    assert!((1..i64::from(IDS)).contains(&part), "{part}");

    let daemon = desk.serve();
    desk.patiently(|| opening().0 != "pending");
    let (_, audience, pending, excluded) = opening();
    let out = i64::from(IDS / 4);
    assert_eq!((audience, excluded), (i64::from(IDS), out));
    daemon.stop();
    // The gateway's first call may have left.
    let sql = "SELECT (SELECT count(*) FROM waiting_log) + (SELECT count(*) FROM delivery_log),
        (SELECT count(*) FROM (SELECT recipient FROM waiting_log UNION SELECT recipient FROM delivery_log))";
    let rows: (i64, i64) = ledger.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(rows, (i64::from(IDS), i64::from(IDS)));
    assert!(pending <= i64::from(IDS) - out);
    desk.ends(&["db", "verify"], 0);
}
