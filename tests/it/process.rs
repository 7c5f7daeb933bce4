//! The real daemon and a real server, each in its own process, over HTTP: what is recorded against what
//! was taken, also when one of them is killed in the middle.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::{
    desk::{Desk, Process},
    office::{Office, numbered, run_of, soon},
};

/// The request of the provider's own documentation, without its recipients.
const DOCUMENTATION: &str = r#"message:
  sendID: "3473643418"
  senderNickname: Alice
  senderFaceURL: http://example.com/a.png
  senderPlatformID: 2
  contentType: 101
  content: {content: "hello!!"}
  sessionType: 1
  isOnlineOnly: false
  notOfflinePush: false
  offlinePushInfo: {title: "1213", desc: "", ex: ex, iOSPushSound: default, iOSBadgeCount: true}
  ex: ex
"#;

#[test]
fn what_is_recorded_is_what_was_taken() {
    let office = Office::open(&["--users", "20000"], "");
    let at = soon(3);
    let desk = &office.desk;
    desk.write(
        "campaigns/documentation.yaml",
        &format!("{DOCUMENTATION}recvIDs: [\"9948077346\", \"9371245179\"]\nschedules: [{{at: {at}}}]\n"),
    );
    let hello = "message: {contentType: text, content: {content: \"hello!!\"}}\n";
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    desk.write("campaigns/lists/all.txt", &numbered(1, 20_000));
    desk.write(
        "campaigns/list.yaml",
        &format!(
            "{hello}recipients: [{{file: lists/all.txt}}]\nschedules: [{{at: {at}}}]\n\
         delivery: {{batchSize: 500, limits: {{recipients: 5000/s}}}}\n"
        ),
    );
    desk.write("campaigns/everyone.yaml", &format!("{hello}isSendAll: true\nschedules: [{{at: {at}}}]\n"));
    let daemon = desk.serve();
    for _ in 0..3 {
        daemon.hear(" completed: ");
    }
    daemon.stop();
    assert_eq!(office.compare("documentation"), BTreeMap::from([("accepted".to_owned(), 2)]));
    assert_eq!(office.compare("list"), BTreeMap::from([("accepted".to_owned(), 20_000)]));
    // Neither admins nor the sender.
    let everyone = office.compare("everyone");
    assert_eq!(everyone, BTreeMap::from([("accepted".to_owned(), 20_000)]));
    let mut times: Vec<i64> = office.taken("list").into_values().flatten().collect();
    times.sort_unstable();
    let most = times
        .iter()
        .enumerate()
        .map(|(place, at)| place + 1 - times.partition_point(|other| *other <= at - 1_000));
    assert!(most.max().unwrap() <= 5_000);
}

#[test]
fn faults_have_truthful_outcomes() {
    let office = Office::open(
        &["--users", "1000", "--refuse", "u00007,u00333", "--err-code", "1507x1", "--cut-after", "20x1"],
        "    batchSize: 50\n    concurrency: 1\n",
    );
    let desk = &office.desk;
    desk.write("campaigns/list.txt", &numbered(1, 400));
    desk.write(
        "campaigns/faulty.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
             schedules: [{{at: {}}}]\ndelivery: {{onUnknown: hold}}\n",
            soon(2)
        ),
    );
    let daemon = desk.serve();
    daemon.hear(" completed: ");
    daemon.stop();
    // A refused token costs nothing. Of the cut call nobody knows; those who fail for no reason that can
    // be read stay unknown, whether they were in the cut call or not.
    let counts = office.compare("faulty");
    let unknown = counts.get("unknown").copied().unwrap_or_default();
    assert!((50..=52).contains(&unknown), "{counts:?}");
    assert_eq!(counts["accepted"], 400 - unknown);
}

#[test]
fn whoever_is_not_registered_is_refused() {
    let office = Office::open(&["--users", "10"], "");
    office.desk.write(
        "campaigns/strangers.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001, stranger, u00011]\n\
             schedules: [{{at: {}}}]\n",
            soon(2)
        ),
    );
    let daemon = office.desk.serve();
    daemon.hear(" completed: ");
    daemon.stop();
    assert!(!office.desk.path("campaignd.db-wal").exists(), "a stopped daemon closes its ledger");
    let expected = [("accepted", 1), ("refused", 2)].map(|(outcome, count)| (outcome.to_owned(), count));
    assert_eq!(office.compare("strangers"), BTreeMap::from(expected));
}

#[test]
fn a_killed_daemon_goes_on_with_what_was_never_asked() {
    let office =
        Office::open(&["--users", "1000", "--latency-ms", "4"], "    batchSize: 25\n    concurrency: 2\n");
    let desk = &office.desk;
    desk.write("campaigns/list.txt", &numbered(1, 1_000));
    desk.write(
        "campaigns/killed.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
         schedules: [{{at: {}}}]\ndelivery: {{onUnknown: hold}}\n",
            soon(2)
        ),
    );
    let mut daemon = desk.serve();
    let mut unknown_at_most = 0;
    for accepted in [100, 300, 500] {
        desk.until_newest("killed", |_, so_far| so_far >= accepted);
        daemon.kill();
        desk.ends(&["db", "verify"], 0);
        unknown_at_most += 2 * 25;
        daemon = desk.serve();
    }
    daemon.hear(" completed: ");
    daemon.stop();
    let counts = office.compare("killed");
    assert_eq!(counts.values().sum::<usize>(), 1_000);
    assert!(counts.get("unknown").is_some_and(|unknown| *unknown <= unknown_at_most), "{counts:?}");
}

#[test]
fn whoever_is_in_doubt_is_looked_up_until_everyone_has_it_once() {
    let office = Office::open(
        &[
            "--users",
            "1001",
            "--latency-ms",
            "2",
            "--cut-after",
            "20x1",
            "--drop-answer",
            "1",
            "--refuse",
            "u00007",
        ],
        "    batchSize: 25\n    concurrency: 2\n    settle: 2s\n",
    );
    let desk = &office.desk;
    desk.write("campaigns/list.txt", &numbered(1, 1_000));
    desk.write(
        "campaigns/doubt.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
             schedules: [{{at: {}}}]\n",
            soon(2)
        ),
    );
    // Whoever is in doubt at the very end needs something that is sent later.
    desk.write(
        "campaigns/later.yaml",
        "message: {contentType: text, content: {content: later}}\nrecvIDs: [u01001]\nschedules: [{every: 2s}]\n",
    );
    let mut daemon = desk.serve();
    for accepted in [200, 500] {
        desk.until_newest("doubt", |_, so_far| so_far >= accepted);
        daemon.kill();
        desk.ends(&["db", "verify"], 0);
        daemon = desk.serve();
    }
    daemon.hear(" completed: 999 of 1000 accepted");
    daemon.stop();
    // Whoever failed without a reason is asked alone, and then there is one.
    let expected = [("accepted", 999), ("refused", 1)].map(|(outcome, count)| (outcome.to_owned(), count));
    assert_eq!(office.compare("doubt"), BTreeMap::from(expected));
    let looks = desk.review().attempts(&run_of(&office, "doubt"), None).unwrap();
    assert!((0..looks.rows.len()).any(|row| looks.cell(row, "kind").text() == "look"));
}

#[test]
fn a_provider_that_is_killed_in_its_batches_has_everyone_served_once() {
    let sandbox = ["--users", "1000", "--latency-ms", "2", "--profile", "patch16", "--keep", "truth"];
    let mut office = Office::open(&sandbox, "    batchSize: 25\n    concurrency: 2\n    settle: 2s\n");
    office.desk.write("campaigns/list.txt", &numbered(1, 1_000));
    office.desk.write(
        "campaigns/outages.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
             schedules: [{{at: {}}}]\n",
            soon(2)
        ),
    );
    let daemon = office.desk.serve();
    for accepted in [150, 400, 700] {
        office.desk.until_newest("outages", |_, so_far| so_far >= accepted);
        office.server.take().unwrap().kill();
        office.server = Some(Office::start(&office.desk, office.port, &sandbox));
    }
    daemon.hear(" completed: ");
    daemon.stop();
    office.desk.ends(&["db", "verify"], 0);
    assert_eq!(office.compare("outages"), BTreeMap::from([("accepted".to_owned(), 1_000)]));
}

#[test]
fn a_stopped_daemon_waits_for_what_is_in_flight() {
    let office =
        Office::open(&["--users", "1000", "--latency-ms", "4"], "    batchSize: 50\n    concurrency: 2\n");
    let desk = &office.desk;
    desk.write("campaigns/list.txt", &numbered(1, 1_000));
    desk.write(
        "campaigns/stopped.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecipients: [{{file: list.txt}}]\n\
         schedules: [{{at: {}}}]\n",
            soon(2)
        ),
    );
    let daemon = desk.serve();
    desk.until_newest("stopped", |_, accepted| accepted >= 100);
    daemon.stop();
    let rows = desk.review().run(&run_of(&office, "stopped")).unwrap();
    assert_eq!(rows.cell(0, "in_flight").number(), 0);
    assert!(rows.cell(0, "pending").number() > 0, "it was over before it was stopped");
    let daemon = desk.serve();
    daemon.hear(" completed: ");
    daemon.stop();
    assert_eq!(office.compare("stopped"), BTreeMap::from([("accepted".to_owned(), 1_000)]));
}

#[test]
fn a_provider_that_comes_back_is_written_to() {
    let mut office = Office::open(&["--users", "100"], "");
    let desk = &office.desk;
    desk.write(
        "campaigns/patient.yaml",
        &format!(
            "message: {{contentType: text, content: {{content: hi}}}}\nrecvIDs: [u00001, u00002]\n\
         schedules: [{{at: {}}}]\n",
            soon(2)
        ),
    );
    office.server.take().unwrap().kill();
    let daemon = office.desk.serve();
    daemon.hear("the provider is out of order, its runs pause");
    for command in [["status", "--format=table"], ["show", "patient"]] {
        let said = office.desk.ends(&command, 0);
        assert!(said.out.contains("is out of order since"), "{}", said.out);
    }
    office.server = Some(Office::start(&office.desk, office.port, &["--users", "100"]));
    daemon.hear(" completed: ");
    daemon.stop();
    assert_eq!(office.compare("patient"), BTreeMap::from([("accepted".to_owned(), 2)]));
}

#[test]
fn a_second_daemon_is_refused_and_told_of_the_first() {
    let office = Office::open(&["--users", "10"], "");
    let daemon = office.desk.serve();
    let said = office.desk.ends(&["serve"], 5);
    assert!(said.err.contains("another daemon works on this ledger: process "), "{}", said.err);
    daemon.stop();
}

#[test]
fn a_hangup_tells_what_has_become_of_the_settings() {
    let settings = "listen: off\ntimezone: UTC\ngateways: {sandbox: {kind: sandbox}}\n";
    let desk = Desk::new(settings, &[]);
    let daemon = desk.serve();
    for (now, told) in [
        (settings.to_owned(), "the settings are in force"),
        (format!("{settings}guard: {{maxRemoved: 0%}}\n"), "guard: from 3 on, more than 0% are held"),
        (settings.replace("UTC", "Asia/Shanghai"), "has changed: a restart takes it"),
        (settings.replace("UTC", "Mars/Olympus"), "the settings in force stay so"),
    ] {
        desk.write("campaignd.yaml", &now);
        daemon.signal("HUP");
        daemon.hear(told);
    }
    daemon.stop();
}

#[test]
fn a_monitor_is_told_that_the_daemon_lives_and_is_ready() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!("listen: {address}\ntimezone: UTC\ngateways: {{sandbox: {{kind: sandbox}}}}\n");
    let desk = Desk::new(&settings, &[]);
    let daemon = desk.serve();
    for (path, expected) in [("/healthz", "200 OK"), ("/readyz", "200 OK"), ("/else", "404 Not Found")] {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.lines().next().unwrap().ends_with(expected), "{path}: {answer}");
    }
    daemon.stop();
}

#[test]
fn a_backup_in_the_ledgers_place_sends_nothing_until_it_is_unlocked() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let office =
        Office::open(&["--users", "1000", "--latency-ms", "4"], "    batchSize: 25\n    concurrency: 2\n");
    let desk = &office.desk;
    let settings = std::fs::read_to_string(desk.path("campaignd.yaml")).unwrap();
    desk.write("campaignd.yaml", &settings.replace("listen: off", &format!("listen: {address}")));
    desk.write("campaigns/list.txt", &numbered(1, 1_000));
    let hello = "message: {contentType: text, content: {content: hi}}\n";
    desk.write(
        "campaigns/restored.yaml",
        &format!("{hello}recipients: [{{file: list.txt}}]\nschedules: [{{at: {}}}]\n", soon(2)),
    );
    let daemon = desk.serve();
    desk.until_newest("restored", |_, accepted| accepted >= 100);
    let said = desk.ends(&["db", "backup", "backup.db"], 0);
    assert_eq!(said.out, "backup.db\n");
    desk.ends(&["db", "backup", "backup.db"], 5);
    // Of this one the backup knows nothing.
    desk.write("campaigns/later.yaml", &format!("{hello}recvIDs: [u00001]\nschedules: [{{every: 2s}}]\n"));
    daemon.hear(" restored@");
    desk.until_newest("later", |state, _| state == "completed");
    daemon.stop();
    let taken = office.taken("restored").len();
    assert_eq!(taken, 1_000);
    for name in ["campaignd.db-wal", "campaignd.db-shm"] {
        let _ = std::fs::remove_file(desk.path(name));
    }
    std::fs::copy(desk.path("backup.db"), desk.path("campaignd.db")).unwrap();

    let daemon = Process::start(desk.command(&["serve"]), "LOCKED: nothing is sent");
    assert_eq!(desk.json(&["status"])[0]["problem"], "ledgerLocked");
    assert!(desk.ends(&["status"], 0).out.contains("LOCKED    nothing is sent until"));
    let said = desk.ends(&["send", "restored", "--yes", "--again"], 5);
    assert!(said.err.contains("the ledger is locked"), "{}", said.err);
    let answer = ask_http(address, "/readyz");
    assert!(answer.contains(" 503 ") && answer.contains("locked"), "{answer}");
    assert!(ask_http(address, "/healthz").contains(" 200 "));
    let said = desk.ends(&["db", "unlock"], 5);
    for told in
        ["1 open run ends:", "pending become cancelled (restored)", "in flight become unknown", "say --yes"]
    {
        assert!(said.err.contains(told), "{told}: {}", said.err);
    }
    assert_eq!(desk.json(&["status"])[0]["problem"], "ledgerLocked", "it was only told");
    desk.ends(&["db", "unlock", "--yes", "--why", "a disk failed"], 0);
    daemon.hear("ready: ");
    // Its own slots go on from now.
    desk.until_newest("later", |state, _| state == "completed");
    daemon.stop();
    let outcomes = office.outcomes("restored");
    let count = |outcome: &str| outcomes.values().filter(|known| *known == outcome).count();
    assert_eq!(outcomes.len(), 1_000);
    assert!(count("cancelled") > 0 && count("accepted") >= 100, "{outcomes:?}");
    let rows = desk.review().run(&run_of(&office, "restored")).unwrap();
    assert_eq!(
        (rows.cell(0, "state").text(), rows.cell(0, "reason").text()),
        ("cancelled".into(), "restored".into())
    );
    assert_eq!(office.taken("restored").len(), taken);
    assert!(office.taken("restored").values().all(|times| times.len() == 1), "somebody got it twice");
    desk.ends(&["db", "verify"], 0);
    let said = desk.ends(&["db", "unlock"], 0);
    assert!(said.err.contains("not locked"), "{}", said.err);
}

fn ask_http(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn slots_that_came_while_the_ledger_was_a_copy_are_left_out() {
    let office = Office::open(&["--users", "10"], "");
    let desk = &office.desk;
    desk.write(
        "campaigns/often.yaml",
        "message: {contentType: text, content: {content: hi}}\nrecvIDs: [u00001]\nschedules: [{every: 1s}]\n\
         lateness: {max: 1h}\n",
    );
    let daemon = desk.serve();
    desk.until_newest("often", |state, _| state == "completed");
    desk.ends(&["db", "backup", "backup.db"], 0);
    let known = desk.review().newest_run("often").unwrap().unwrap();
    desk.until_newest("often", |state, _| {
        state == "completed" && desk.review().newest_run("often").unwrap().as_ref() != Some(&known)
    });
    daemon.stop();
    let sent: Vec<_> = office.taken("often").into_values().flatten().collect();
    for name in ["campaignd.db", "campaignd.db-wal", "campaignd.db-shm"] {
        let _ = std::fs::remove_file(desk.path(name));
    }
    std::fs::copy(desk.path("backup.db"), desk.path("campaignd.db")).unwrap();
    desk.ends(&["db", "unlock", "--yes"], 0);
    let daemon = desk.serve();
    desk.until_newest("often", |state, _| {
        state == "completed" && desk.review().newest_run("often").unwrap().as_ref() != Some(&known)
    });
    daemon.stop();
    let rows = desk.review().occurrences("often", 1_000).unwrap();
    let reasons: Vec<_> = (0..rows.rows.len()).map(|row| rows.cell(row, "reason").text()).collect();
    assert!(reasons.iter().any(|reason| reason == "restored"), "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason != "catchUp"), "{reasons:?}");
    assert!(office.taken("often").into_values().flatten().count() > sent.len());
}
