//! Sessions with the built program, as people and scripts have them: what is printed, how it ends.
//! Golden where people read it, keys where programs do.

use std::{io::Write, path::Path, process::Stdio};

use serde_json::Value;

use crate::desk::{Desk, Process};

const SETTINGS: &str = "\
listen: off
timezone: Asia/Shanghai
defaultGateway: sandbox
gateways:
  sandbox: {kind: sandbox, limits: {recipients: 50000/day, headroom: 10%}}
";

const HELLO: &str = "\
labels: {team: growth}
message: {contentType: text, content: {content: \"hello!!\"}}
recvIDs: [u00001, u00002, u00003]
exclude: [{ids: [u00003]}]
schedules: [{at: 2099-11-11T09:00}]
";

/// The session as people see it: the command, what it printed, how it ended.
fn session(desk: &Desk, commands: &[&[&str]]) -> String {
    let mut text = String::new();
    for args in commands {
        let said = desk.say(args);
        text += &format!("$ campaignd {}\n{}", args.join(" "), said.out);
        text.extend(said.err.lines().map(|line| format!("! {line}\n")));
        text += &format!("[{}]\n\n", said.code);
    }
    tidy(&text)
}

/// A session without what differs from one to the next: times, process ids, how late something was, and
/// the blanks that this takes.
fn tidy(text: &str) -> String {
    let host = campaignd::settings::who().split_once('@').unwrap().1.to_owned();
    let text = text.replace(&format!("alice@{host}"), "alice@host");
    let text = ["9999-99-99 99:99:99", "9999-99-99T99:99:99.999Z", "99999999T999999Z", "xxxxxxxx-"]
        .iter()
        .fold(text, |text, pattern| mask(&text, pattern));
    let text = mask(&text, &"x".repeat(32));
    text.lines().map(|line| without_measures(line) + "\n").collect()
}

fn without_measures(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let mut tidied: Vec<&str> = Vec::with_capacity(words.len());
    for (place, word) in words.iter().enumerate() {
        let measured = words.get(place + 1).is_some_and(|unit| *unit == "ms" || *unit == "s");
        let process = place > 0 && words[place - 1] == "process";
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        tidied.push(match is_number && (measured || process) {
            true if process => "N",
            true => "N.N",
            false => word,
        });
    }
    let mut line = tidied.join(" ").replace("N.N ms", "N.N s");
    if line.contains("N.N s") || line.contains(" LATE ") {
        while line.contains("   ") {
            line = line.replace("   ", "  ");
        }
    }
    line
}

/// Replaces what looks like the pattern, in which `9` is a digit and `x` a hexadecimal one.
fn mask(text: &str, pattern: &str) -> String {
    let fits = |c: u8, p: u8| match p {
        b'9' => c.is_ascii_digit(),
        b'x' => c.is_ascii_hexdigit(),
        other => c == other,
    };
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let candidate = rest.as_bytes().get(..pattern.len());
        // The far future of a fixture stays as it is.
        let found = candidate.is_some_and(|found| {
            found.iter().zip(pattern.bytes()).all(|(c, p)| fits(*c, p)) && !found.starts_with(b"2099")
        });
        let width = if found {
            out.push_str(&pattern.replace(['9', 'x'], "·"));
            pattern.len()
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[width..];
    }
    out
}

/// Compares a session with the one on record.
#[track_caller]
fn golden(name: &str, session: &str) {
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(name, session);
    });
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted(columns: &[String]) -> Vec<&str> {
    let mut columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    columns.sort_unstable();
    columns
}

#[test]
fn every_command_explains_itself() {
    let desk = Desk::new(SETTINGS, &[]);
    let said = desk.ends(&[], 2);
    assert!(said.err.contains("Usage: campaignd"), "{}", said.err);
    let names = said.err.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = names
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 12, "{names:?}");
    for name in names.into_iter().filter(|name| !["help", "db", "sandbox"].contains(name)) {
        let help = desk.ends(&[name, "--help"], 0).out;
        assert!(help.contains("Example"), "{name}: {help}");
    }
    desk.ends(&["db", "verify", "--help"], 0);
    desk.ends(&["statis"], 2);
}

#[test]
fn a_new_campaign_is_written_once() {
    let desk = Desk::new(SETTINGS, &[]);
    golden(
        "a_new_campaign_is_written_once",
        &session(
            &desk,
            &[
                &["new", "new-year"],
                &["new", "new-year"],
                &["new", "New Year"],
                &["new", "other", "--gateway", "sandbx"],
                &["new", "other", "--gateway", "sandbox", "--all"],
                &["check"],
            ],
        ),
    );
}

#[test]
fn a_check_tells_everything_and_how_it_ends() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    desk.write("campaigns/copy.yaml", &format!("id: hello\n{HELLO}"));
    desk.write("campaigns/late.yaml", &HELLO.replace("2099", "2001"));
    desk.write("campaigns/bad.yaml", "message: {contentType: text}\nrecvIDs: [012]\nschedules: []\n");
    golden(
        "a_check_tells_everything_and_how_it_ends",
        &session(
            &desk,
            &[
                &["check"],
                &["check", "campaigns/hello.yaml", "./campaigns/hello.yaml", "campaignd.yaml"],
                &["check", "campaigns/late.yaml"],
                &["check", "campaigns/late.yaml", "--strict", "--format", "github"],
                &["check", "campaigns/hello.yaml", "nowhere"],
                &["--config", "nowhere.yaml", "check"],
            ],
        ),
    );
    let said = desk.ends(&["check", "--format", "json"], 3);
    let list: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!(keys(&list[0]), ["code", "column", "file", "hint", "line", "message", "path", "severity"]);
}

#[test]
fn a_check_reads_stdin_lists_and_settings() {
    let desk = Desk::new(SETTINGS, &[]);
    let stdin = |text: &str| {
        let mut command = desk.command(&["check", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(stdin(HELLO), Some(0));
    assert_eq!(stdin("recvIDs: 1"), Some(3));
    let lists = HELLO.replace(
        "recvIDs: [u00001, u00002, u00003]",
        "recipients: [{file: a.txt}, {file: b.csv, column: id}]",
    );
    desk.write("campaigns/lists.yaml", &lists);
    desk.write("campaigns/b.csv", "name,userID\nAlice,u1\n");
    desk.write("broken.yaml", "gateways: {sandbox: {kind: sandbx}}\n");
    desk.write(
        "openim.yaml",
        "gateways: {im: {kind: openim, url: \"http://127.0.0.1\", adminUserID: a, secret: hunter2}}\n",
    );
    let session = session(
        &desk,
        &[
            &["check"],
            &["check", "broken.yaml"],
            &["check", "openim.yaml"],
            &["--config", "broken.yaml", "check"],
            &["--config", "broken.yaml", "check", "--format", "json"],
            &["--config", "broken.yaml", "status"],
        ],
    );
    assert!(!session.contains("hunter2"));
    golden("a_check_reads_stdin_lists_and_settings", &session);
}

#[test]
fn a_preview_shows_the_requests_and_no_secret() {
    let settings = format!(
        "{SETTINGS}  im: {{kind: openim, url: \"http://127.0.0.1:1\", adminUserID: imAdmin, secret: {{env: NEVER_SET}}, \
         defaults: {{sendID: notice, senderPlatformID: 2}}, limits: {{recipients: 2/s}}}}\n"
    );
    let desk = Desk::new(&settings, &[("hello.yaml", HELLO), ("broken.yaml", "recvIDs: 1\n")]);
    let names: Vec<String> = (1..=5).map(|number| format!("u{number}")).collect();
    let many = HELLO.replace("u00001, u00002, u00003", &names.join(", "));
    desk.write("many.yaml", &format!("gateway: im\n{many}delivery: {{batchSize: 3}}\n"));
    desk.write("all.yaml", &HELLO.replace("recvIDs: [u00001, u00002, u00003]", "isSendAll: true"));
    desk.write(
        "groups.yaml",
        &HELLO
            .replace("recvIDs: [u00001, u00002, u00003]", "groupIDs: [g1, g2]")
            .replace("exclude: [{ids: [u00003]}]\n", "")
            .replace("contentType", "sessionType: group, contentType"),
    );
    let expect = format!("{HELLO}expect: {{min: 3, max: 9}}\n");
    desk.write("expect.yaml", &expect.replace("exclude: [{ids: [u00003]}]", "exclude: [{file: out.txt}]"));
    desk.write("out.txt", "u00001\n");
    let session = session(
        &desk,
        &[
            &["preview", "hello", "--to", "alice", "bob"],
            &["preview", "many.yaml", "--to", "u1"],
            &["preview", "helo"],
            &["preview", "broken"],
            &["preview", "expect.yaml"],
        ],
    );
    let millis = session.split("\"sendTime\": ").nth(1).unwrap().split(',').next().unwrap().len();
    assert_eq!(millis, 13, "{session}");
    let session: Vec<&str> = session.lines().filter(|line| !line.contains("sendTime")).collect();
    golden("a_preview_shows_the_requests_and_no_secret", &session.join("\n"));

    let first = desk.ends(&["preview", "many.yaml"], 0);
    assert_eq!(first.err, "campaignd: requests: 3, recipients: 5; 2 not shown, --most shows more\n");
    let list = desk.json(&["preview", "many.yaml"]);
    let list = list.as_array().unwrap();
    assert_eq!(keys(&list[0]), ["body", "headers", "method", "url"]);
    assert_eq!((&list[0]["method"], &list[0]["headers"]["token"]), (&"POST".into(), &"***".into()));
    let mut asked: Vec<&str> = list
        .iter()
        .flat_map(|request| request["body"]["recvIDs"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    asked.sort_unstable();
    // Batches of three, of which the gateway's limit lets two through at once.
    assert_eq!((list.len(), asked), (3, vec!["u1", "u2", "u3", "u4", "u5"]));
    assert_eq!(desk.json(&["preview", "many.yaml", "--most", "2"]).as_array().unwrap().len(), 2);
    assert_eq!(desk.json(&["preview", "all.yaml"])[0]["body"]["recvIDs"], serde_json::json!(["*"]));
    assert_eq!(desk.json(&["preview", "groups.yaml"])[1]["url"], "sandbox:/msg/send_msg");
    assert!(!desk.path("campaignd.db").exists());
}

#[test]
fn without_a_ledger_there_is_nothing_to_show() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    golden(
        "without_a_ledger_there_is_nothing_to_show",
        &session(&desk, &[&["status"], &["pause", "--all"], &["send", "hello", "--yes"]]),
    );
    desk.ends(&["pause"], 2);
    desk.ends(&["pause", "hello", "--all"], 2);
    assert!(!desk.path("campaignd.db").exists());
}

#[test]
fn a_campaign_is_sent_and_looked_at() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO), ("broken.yaml", "recvIDs: 1\n")]);
    let daemon = desk.serve();
    assert!(daemon.ready.contains("SANDBOX (sandbox delivers nowhere)"), "{}", daemon.ready);
    golden(
        "a_campaign_is_sent_and_looked_at",
        &session(
            &desk,
            &[
                &["runs"],
                &["show", "hello"],
                &["send", "helo", "--yes"],
                &["send", "broken", "--yes"],
                &["send", "hello"],
                &["send", "hello", "--to", "bob", "alice", "--wait", "--why", "does it work?"],
                &["send", "hello", "--yes", "--wait"],
                &["send", "hello", "--yes"],
                &["status"],
                &["runs"],
                &["show", "hello"],
                &["deliveries", "--campaign", "hello", "--outcome", "accepted,excluded", "--since", "1h"],
                &["deliveries", "--recipient", "nobody"],
                &["deliveries", "--outcome", "acepted"],
                &["deliveries", "--campaign", "helo"],
                &["deliveries", "--since", "yesterday"],
                &["db", "verify"],
            ],
        ),
    );
    let run = desk.ends(&["send", "hello", "--yes", "--again", "--wait"], 0).out;
    let run = run.trim();

    let review = desk.review();
    let (runs, attempts) = (review.run(run).unwrap(), review.attempts(run, None).unwrap());
    let list = desk.json(&["runs", "hello"]);
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(
        (&list[0]["run"], &list[0]["audience"], &list[0]["accepted"]),
        (&run.into(), &3.into(), &2.into())
    );
    assert_eq!(keys(&list[0]), sorted(&runs.columns));
    assert_eq!(list[0]["labels"], "{\"team\":\"growth\"}");
    let shown = desk.json(&["show", run]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(keys(&shown["attempts"][0]), sorted(&attempts.columns));
    assert_eq!(keys(&shown["reasons"][0]), ["outcome", "reason", "reason_code", "recipients"]);
    assert_eq!(keys(&desk.json(&["status"])[0]), sorted(&review.campaigns().unwrap().columns));
    assert_eq!(desk.json(&["deliveries", "--run", run]).as_array().unwrap().len(), 3);
    assert_eq!(desk.json(&["deliveries", "--recipient", "nobody"]), serde_json::json!([]));
    let csv = desk.ends(&["runs", "--format", "csv", "--most", "1"], 0).out;
    assert_eq!(csv.lines().next().unwrap(), runs.columns.join(","));
    assert!(csv.lines().nth(1).unwrap().contains("\"{\"\"team\"\":\"\"growth\"\"}\""), "{csv}");
    let none = desk.ends(&["deliveries", "--recipient", "nobody", "--format", "csv"], 0).out;
    assert!(none.starts_with("run,campaign,occurrence,recipient,outcome,"), "{none}");
}

#[test]
fn a_send_that_is_not_accepted_ends_with_1() {
    let sandbox = Desk::new(SETTINGS, &[]);
    let sandbox =
        sandbox.command(&["sandbox", "--listen", "127.0.0.1:0", "--users", "10", "--refuse", "u00002"]);
    let sandbox = Process::start(sandbox, "ready on ");
    let address =
        sandbox.ready.split("http://").nth(1).unwrap().split(':').take(2).collect::<Vec<_>>().join(":");
    let settings = format!(
        "listen: off\ntimezone: UTC\ngateways:\n  im: {{kind: openim, url: \"http://{address}\", adminUserID: imAdmin, \
         secret: {{file: secret}}, defaults: {{sendID: notice, senderPlatformID: 2}}}}\n"
    );
    let desk = Desk::new(&settings, &[("hello.yaml", &format!("gateway: im\n{HELLO}"))]);
    desk.write("secret", "openIM123");
    let _daemon = desk.serve();
    golden(
        "a_send_that_is_not_accepted_ends_with_1",
        &session(
            &desk,
            &[&["send", "hello", "--to", "nobody,u00001", "--wait"], &["deliveries"], &["show", "hello"]],
        ),
    );
}

#[test]
fn doubts_are_looked_up_and_whoever_has_it_not_is_asked_again() {
    // Of two the first gets it, and no answer comes.
    let sandbox = Desk::new(SETTINGS, &[]);
    let sandbox =
        sandbox.command(&["sandbox", "--listen", "127.0.0.1:0", "--users", "10", "--cut-after", "1x1"]);
    let sandbox = Process::start(sandbox, "ready on ");
    let address =
        sandbox.ready.split("http://").nth(1).unwrap().split(':').take(2).collect::<Vec<_>>().join(":");
    let settings = format!(
        "listen: off\ntimezone: UTC\ngateways:\n  im: {{kind: openim, url: \"http://{address}\", adminUserID: imAdmin, \
         secret: {{file: secret}}, defaults: {{sendID: notice, senderPlatformID: 2}}, settle: 1s, probe: u00009}}\n"
    );
    let hello = format!("gateway: im\n{HELLO}delivery: {{onUnknown: hold}}\n");
    let desk = Desk::new(&settings, &[("hello.yaml", &hello)]);
    desk.write("secret", "openIM123");
    let _daemon = desk.serve();
    let mut told = session(
        &desk,
        &[
            &["send", "hello", "--yes", "--wait"],
            &["retry", "hello", "--only", "failed"],
            &["reconcile", "hello", "--accepted"],
            &["reconcile", "hello", "--why", "the line was cut"],
        ],
    );
    desk.until_newest("hello", |_, _| desk.json(&["show", "hello"])["failed"] == 1);
    told += &session(&desk, &[&["deliveries"], &["retry", "hello", "--only", "failed,refused"]]);
    desk.until_newest("hello", |state, accepted| state == "completed" && accepted == 2);
    told += &session(&desk, &[&["deliveries", "--format", "csv"]]);
    golden("doubts_are_looked_up_and_whoever_has_it_not_is_asked_again", &told);
}

#[test]
fn runs_are_held_and_ended_with_and_without_a_daemon() {
    let names: Vec<String> = (1..=500).map(|number| format!("u{number:05}")).collect();
    let slow = HELLO.replace("u00001, u00002, u00003", &names.join(", "))
        + "delivery: {batchSize: 10, limits: {recipients: 10/s}}\n";
    let desk = Desk::new(SETTINGS, &[("slow.yaml", &slow)]);
    let daemon = desk.serve();
    let run = desk.ends(&["send", "slow", "--yes"], 0).out.trim().to_owned();
    desk.until(&run, |_, accepted| accepted > 0);
    let said = desk.ends(&["pause", &run, "--why", "wrong picture"], 0);
    assert_eq!(said.out, format!("paused {run}\n"));
    let paused = desk.json(&["show", &run]);
    assert_eq!((&paused["state"], &paused["reason"]), (&"paused".into(), &"wrong picture".into()));
    desk.ends(&["resume", &run], 0);
    assert_eq!(desk.json(&["show", &run])["state"], "running");
    desk.ends(&["pause", "slow"], 0);
    desk.ends(&["resume", &run], 5);
    desk.ends(&["send", "slow", "--yes", "--again"], 5);
    desk.ends(&["cancel", "slow"], 5);
    desk.ends(&["pause", "slo"], 4);
    desk.ends(&["cancel", "slow@20200101T000000Z"], 4);
    let second = desk.ends(&["serve"], 5);
    assert!(second.err.contains("another daemon works on this ledger: process"), "{}", second.err);
    daemon.stop();

    desk.ends(&["resume", "slow"], 0);
    desk.ends(&["pause", "--all", "--why", "the provider is being moved"], 0);
    assert_eq!(desk.json(&["status"])[0]["state"], "paused");
    let resumed = desk.ends(&["resume", "slow"], 0);
    assert_eq!(
        (resumed.out.as_str(), resumed.err.as_str()),
        ("resumed slow\n", "campaignd: everything is still paused (the provider is being moved)\n")
    );
    desk.ends(&["resume", "--all"], 0);
    desk.ends(&["send", "slow", "--yes", "--again"], 5);
    desk.ends(&["cancel", &run, "--why", "enough"], 0);
    desk.ends(&["cancel", &run], 5);
    let ended = desk.json(&["show", &run]);
    let count = |column: &str| ended[column].as_i64().unwrap();
    assert_eq!((&ended["state"], &ended["reason"]), (&"cancelled".into(), &"enough".into()));
    assert_eq!(count("accepted") + count("excluded") + count("cancelled"), 500, "{ended}");
    assert!(count("cancelled") > 0);
    let page = desk.ends(&["show", "slow"], 0).out;
    let timeline: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "Timeline")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.get(21..))
        .filter(|what| !what.starts_with("first request"))
        .collect();
    let host = campaignd::settings::who().split_once('@').unwrap().1.to_owned();
    golden("runs_are_held_and_ended_with_and_without_a_daemon", &timeline.join("\n").replace(&host, "host"));
    desk.ends(&["db", "verify"], 0);
}

#[test]
fn a_ledger_that_does_not_add_up_is_told() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    let daemon = desk.serve();
    desk.ends(&["send", "hello", "--yes", "--wait"], 0);
    daemon.stop();
    damage(&desk.path("campaignd.db"));
    golden("a_ledger_that_does_not_add_up_is_told", &session(&desk, &[&["db", "verify"]]));
    let said = desk.ends(&["db", "verify", "--format", "json"], 1);
    let list: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!(keys(&list[0]), ["counted", "recorded", "run", "what"]);
}

/// Moves one recipient from one counter to another.
fn damage(ledger: &Path) {
    let connection = rusqlite::Connection::open(ledger).unwrap();
    connection.execute("UPDATE run SET accepted = accepted - 1, failed = failed + 1", []).unwrap();
}

#[test]
fn whoever_stops_reading_ends_nothing_badly() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    let daemon = desk.serve();
    desk.ends(&["send", "hello", "--yes", "--wait"], 0);
    daemon.stop();
    for args in [
        &["schema", "campaign"][..],
        &["schema", "settings"],
        &["status"],
        &["runs", "--format", "json"],
        &["show", "hello"],
        &["deliveries"],
        &["deliveries", "--format", "csv"],
        &["check", "--format", "json"],
        &["preview", "hello"],
        &["db", "verify"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = desk.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn a_campaign_has_a_history() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    desk.serve().stop();
    let edited = HELLO.replace("hello!!", "hello again").replace("[u00003]", "[u00003, u00004]");
    desk.write("campaigns/hello.yaml", &edited);
    desk.serve().stop();
    desk.write("campaigns/hello.yaml", &format!("# the same\n{edited}"));
    let daemon = desk.serve();
    desk.ends(&["send", "hello", "--yes", "--wait"], 0);
    daemon.stop();
    let session = session(
        &desk,
        &[
            &["history", "hello"],
            &["history", "hello", "2"],
            &["history", "hello", "3", "1"],
            &["history", "hello", "9"],
            &["history", "helo"],
        ],
    );
    golden("a_campaign_has_a_history", &session);
    let rows = desk.json(&["history", "hello"]);
    assert_eq!(rows[2]["yaml"], HELLO);
    assert_eq!(rows[0]["revision"], 3);
    assert_eq!(desk.ends(&["show", "hello", "--format", "yaml"], 0).out, format!("# the same\n{edited}"));
}

#[test]
fn a_code_is_explained() {
    let desk = Desk::new(SETTINGS, &[]);
    let session = session(&desk, &[&["explain", "C041"], &["explain", "s001"], &["explain", "C999"]]);
    golden("a_code_is_explained", &session);
    let listed = desk.ends(&["explain"], 0).out;
    assert_eq!(listed.lines().count(), campaignd::document::Code::ALL.len(), "{listed}");
}

#[test]
fn schemas_are_json() {
    let desk = Desk::new(SETTINGS, &[]);
    for of in ["campaign", "settings"] {
        let schema: Value = serde_json::from_str(&desk.ends(&["schema", of], 0).out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{of}");
    }
    desk.ends(&["schema", "other"], 2);
}

#[test]
fn a_typo_in_the_settings_stops_no_pause() {
    let desk = Desk::new(SETTINGS, &[("hello.yaml", HELLO)]);
    desk.serve().stop();
    desk.write("campaignd.yaml", &format!("{SETTINGS}bogus: 1\n"));
    for args in [&["pause", "--all", "--why", "now"] as &[&str], &["status"], &["runs"], &["resume", "--all"]]
    {
        let said = desk.ends(args, 0);
        assert!(said.err.contains("the settings file has problems"), "{}", said.err);
    }
    desk.ends(&["serve"], 3);
}
