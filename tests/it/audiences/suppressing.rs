//! People who must never be written to.

use super::SETTINGS;
use crate::desk::Desk;

const HELLO: &str = "\
message: {contentType: text, content: {content: hi}}
recvIDs: [u00001, u00002, u00003]
schedules: [{at: 2099-11-11T09:00}]
";

/// The recipients of a campaign's newest run with their outcomes and reasons.
pub fn outcomes(desk: &Desk, run: &str) -> Vec<String> {
    let rows = desk.json(&["deliveries", "--run", run]);
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let (recipient, outcome) = (text(row, "recipient"), text(row, "outcome"));
            format!("{recipient} {outcome} {} {}", text(row, "reason_code"), text(row, "reason"))
                .trim()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_suppression_wins_over_campaigns_and_test_sends() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    let _daemon = desk.serve();
    desk.write("optout.csv", "name,userID\n\"Li, Lei\",u00003\nHan,u00900\n");
    let said = desk.ends(&["suppress", "add", "u00001", "--reason", "asked us to stop"], 0);
    assert_eq!(said.out, "suppressed 1\n");
    let import = ["suppress", "import", "optout.csv", "--column", "userID", "--why", "app", "--until", "30d"];
    assert_eq!(desk.ends(&import, 0).out, "suppressed 2\n");
    assert_eq!(desk.ends(&import, 0).out, "suppressed 0, 2 were already\n");
    let run = desk.ends(&["send", "hello", "--yes", "--wait"], 0).out;
    let run =
        run.split_whitespace().find(|word| word.contains('@')).unwrap().trim_end_matches(':').to_owned();
    assert_eq!(
        outcomes(&desk, &run),
        ["u00001 excluded suppressed asked us to stop", "u00002 accepted", "u00003 excluded suppressed app"]
    );
    let test = desk.ends(&["send", "hello", "--to", "u00003", "--wait"], 0).out;
    let test =
        test.split_whitespace().find(|word| word.contains('@')).unwrap().trim_end_matches(':').to_owned();
    assert_eq!(outcomes(&desk, &test), ["u00003 excluded suppressed app"]);

    assert_eq!(desk.ends(&["suppress", "remove", "u00001", "u00003"], 0).out, "not suppressed any more: 2\n");
    desk.ends(&["suppress", "remove", "u00001"], 4);
    let rows = desk.json(&["suppress", "list"]);
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["added_at", "expires_at", "reason", "recipient", "who"]);
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let again = desk.ends(&["send", "hello", "--yes", "--again", "--wait"], 0).out;
    assert!(again.contains('@'), "{again}");
}

#[test]
fn a_long_import_is_recorded_as_begun_and_as_done() {
    let desk = Desk::new(SETTINGS, &[]);
    let _daemon = desk.serve();
    desk.write("long.txt", &(1..=4_500).map(|number| format!("u{number:05}\n")).collect::<String>());
    assert_eq!(desk.ends(&["suppress", "import", "long.txt"], 0).out, "suppressed 4500\n");
    let ledger = rusqlite::Connection::open(desk.path("campaignd.db")).unwrap();
    let mut statement = ledger
        .prepare("SELECT action || ': ' || target FROM action_log WHERE action LIKE 'suppress%'")
        .unwrap();
    let acts: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(acts, ["suppress begun: long.txt", "suppress: long.txt"]);
    assert_eq!(desk.ends(&["suppress", "import", "long.txt"], 0).out, "suppressed 0, 4500 were already\n");
}

#[test]
fn an_import_that_is_killed_is_told_of_until_it_is_done_again() {
    const IDS: i64 = 300_000;
    let desk = Desk::new(SETTINGS, &[]);
    let _daemon = desk.serve();
    desk.write("long.txt", &(1..=IDS).map(|number| format!("u{number:06}\n")).collect::<String>());
    let import = ["suppress", "import", "long.txt"];
    let mut child = desk.command(&import).spawn().unwrap();
    let ledger = rusqlite::Connection::open(desk.path("campaignd.db")).unwrap();
    let count =
        || ledger.query_row("SELECT count(*) FROM suppression", [], |row| row.get::<_, i64>(0)).unwrap();
    desk.patiently(|| count() > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let part = count();
    assert!((1..IDS).contains(&part), "{part} are suppressed");
    let told = "the import of long.txt, begun";
    assert!(desk.ends(&["status"], 0).out.contains(told));
    assert!(desk.ends(&["suppress", "list"], 0).err.contains(told));
    assert_eq!(desk.ends(&import, 0).out, format!("suppressed {}, {part} were already\n", IDS - part));
    assert_eq!(count(), IDS);
    assert!(!desk.ends(&["status"], 0).out.contains(told));
    assert!(!desk.ends(&["suppress", "list"], 0).err.contains(told));
}

#[test]
fn a_bad_list_suppresses_nobody() {
    let desk = Desk::new(SETTINGS, &[]);
    desk.ends(&["suppress", "add", "u00001"], 4);
    let _daemon = desk.serve();
    desk.write("bad.txt", "u00001\n\x07\n");
    let said = desk.ends(&["suppress", "import", "bad.txt"], 3);
    assert!(said.err.contains("bad.txt:2: "), "{}", said.err);
    assert_eq!(desk.json(&["suppress", "list"]).as_array().unwrap().len(), 0);
    desk.ends(&["suppress", "add", "u00001", "--expires", "yesterday"], 2);
}
