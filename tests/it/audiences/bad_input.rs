//! What goes wrong with an audience outside of campaignd: each is a clear problem or outcome, and no partial send.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpListener,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
};

use super::{
    sources::{MESSAGE, compressed, numbered, send, sent},
    suppressing::outcomes,
};
use crate::{desk::Desk, office::Office};

fn office() -> Office {
    let office = Office::open(&["--users", "20", "--groups", "1"], "");
    std::fs::create_dir(office.desk.path("campaigns/lists")).unwrap();
    office
}

/// Each campaign has a name of its own: of one that is changed the daemon may still have the old file.
static CAMPAIGNS: AtomicU32 = AtomicU32::new(0);

/// A run of this audience does not start, is missed for this reason, and nobody got anything.
#[track_caller]
fn is_missed(office: &Office, audience: &str, why: &str) {
    let desk = &office.desk;
    let name = format!("bad-{}", CAMPAIGNS.fetch_add(1, Ordering::Relaxed));
    desk.write(&format!("campaigns/{name}.yaml"), &format!("{MESSAGE}lateness: {{max: 5s}}\n{audience}\n"));
    assert_eq!(send(desk, &name).code, 1);
    is_failed(desk, &name, why);
    assert!(office.taken(&name).is_empty(), "it was sent in part");
    assert!(office.outcomes(&name).is_empty());
}

#[track_caller]
fn is_failed(desk: &Desk, campaign: &str, why: &str) {
    let run = &desk.json(&["runs", campaign])[0];
    assert_eq!((&run["state"], &run["audience"]), (&"failed".into(), &0.into()), "{run}");
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.starts_with("audience: ") && reason.contains(why), "{reason}");
}

#[test]
fn a_missing_file() {
    let office = office();
    let _daemon = office.desk.serve();
    is_missed(
        &office,
        "recipients: [{ids: [u00001]}, {file: lists/none.txt}]",
        "none.txt cannot be read: No such file",
    );
    // It is told before, too.
    let checked = office.desk.ends(&["check", "--strict"], 3);
    assert!(checked.out.contains("lists/none.txt"), "{}", checked.out);
}

#[test]
fn a_wrong_column() {
    let office = office();
    let _daemon = office.desk.serve();
    office.desk.write("campaigns/lists/a.csv", "user,name\nu00001,Li\n");
    let audience = "recipients: [{file: lists/a.csv, column: userID}]";
    is_missed(&office, audience, "a.csv has no column \"userID\"; it has user, name");
}

#[test]
fn a_half_copied_file() {
    let office = office();
    let desk = &office.desk;
    let _daemon = desk.serve();
    let lists = desk.path("campaigns/lists");
    compressed(&lists.join("cut.txt.gz"), b"u00001\nu00002\n");
    let whole = std::fs::read(lists.join("cut.txt.gz")).unwrap();
    std::fs::write(lists.join("cut.txt.gz"), &whole[..whole.len() - 4]).unwrap();
    is_missed(&office, "recipients: [{file: lists/cut.txt.gz}]", "its compressed data is cut short");
    desk.write("campaigns/lists/cut.csv", "userID,name\nu00001,Li\nu00002");
    let audience = "recipients: [{file: lists/cut.csv, column: userID}]";
    is_missed(&office, audience, "cut.csv:3: the line has 1 fields, the header 2");
    // Where nothing in the file tells, `expect` does.
    desk.write("campaigns/lists/cut.txt", "u00001\nu00002\n");
    let audience = "recipients: [{file: lists/cut.txt}]\nexpect: {min: 3}";
    is_missed(&office, audience, "the audience has 2 recipients; expected are 3 to");
}

#[test]
fn a_file_that_is_written_meanwhile() {
    let office = office();
    let desk = &office.desk;
    let daemon = desk.serve();
    let path = desk.path("campaigns/lists/slow.txt");
    let rows: String = (1..=600_000).map(|number| format!("u{:05}\n", number % 20 + 1)).collect();
    std::fs::write(&path, &rows).unwrap();
    // A folder in which something is written is not read before it is quiet.
    desk.write("campaigns/slow.yaml", &format!("{MESSAGE}recipients: [{{file: lists/slow.txt}}]\n"));
    desk.patiently(|| desk.ends(&["status"], 0).out.contains("slow"));
    let (done, is_done) = mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        // Half of the list, then all of it, again and again.
        while is_done.try_recv().is_err() {
            std::fs::write(&path, &rows.as_bytes()[..rows.len() / 2 + 3]).unwrap();
            std::fs::write(&path, &rows).unwrap();
        }
    });
    let said = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(desk, "slow"));
        daemon.hear("slow.txt changed while it was read: it is read again");
        done.send(()).unwrap();
        sending.join().unwrap()
    });
    writer.join().unwrap();
    assert_eq!(said.code, 0, "{}", said.err);
    office.compare("slow");
    assert_eq!(office.taken("slow").into_keys().collect::<BTreeSet<_>>(), numbered(1, 20));
}

#[test]
fn a_page_that_repeats_for_ever() {
    let office = Office::open(&["--users", "1500"], "");
    let _daemon = office.desk.serve();
    office.ask("PUT", "/sandbox/faults", r#"{"repeatPages": {"times": 1000000}}"#);
    is_missed(&office, "isSendAll: true", "page 2 of the provider's users is the one before it again");
}

#[test]
fn millions_of_duplicates() {
    let office = office();
    let _daemon = office.desk.serve();
    let rows = "u00003\nu00004\n".repeat(1_000_000);
    compressed(&office.desk.path("campaigns/lists/many.txt.gz"), rows.as_bytes());
    assert_eq!(sent(&office, "many", "recipients: [{file: lists/many.txt.gz}]"), numbered(3, 4));
    let run = &office.desk.json(&["runs", "many"])[0];
    assert_eq!((&run["audience"], &run["accepted"]), (&2.into(), &2.into()));
    assert_eq!(office.desk.json(&["show", "many"])["sources"][0]["ids"], 2_000_000);
}

#[test]
fn an_exclusion_list_that_excludes_everyone() {
    let office = office();
    let _daemon = office.desk.serve();
    office.desk.write("campaigns/lists/out.txt", "u00001\nu00002\nu00003\n");
    let audience = "recvIDs: [u00001, u00002]\nexclude: [{file: lists/out.txt}]";
    // Nobody is left, and everybody is accounted for.
    assert!(sent(&office, "nobody", audience).is_empty());
    let run = &office.desk.json(&["runs", "nobody"])[0];
    assert_eq!(
        (&run["state"], &run["audience"], &run["excluded"]),
        (&"completed".into(), &2.into(), &2.into())
    );
    is_missed(
        &office,
        &format!("{audience}\nexpect: {{min: 1}}"),
        "the audience has 0 recipients; expected are 1 to",
    );
}

#[test]
fn an_id_in_another_letter_case() {
    let office = office();
    let desk = &office.desk;
    let _daemon = desk.serve();
    desk.write("campaigns/lists/out.txt", "U00002\n");
    // To OpenIM it is another id: one that nobody has, and no exclusion of this one.
    let audience = "recvIDs: [u00001, U00001, u00002]\nexclude: [{file: lists/out.txt}]";
    desk.write("campaigns/cased.yaml", &format!("{MESSAGE}{audience}\n"));
    send(desk, "cased");
    let run = desk.review().newest_run("cased").unwrap().unwrap();
    let told = outcomes(desk, &run);
    assert!(told[0].starts_with("U00001 refused"), "{told:?}");
    assert_eq!(told[1..], ["u00001 accepted", "u00002 accepted"]);
    let said = desk.ends(&["audience", "cased", "--explain", "U00002"], 0);
    assert!(said.err.contains("u00002 is named, which is another id: letter case counts"), "{}", said.err);
}

/// An office with a gateway of NetEase besides.
fn office_with_netease() -> Office {
    let gateway = "  yunxin: {kind: netease, url: \"http://127.0.0.1:PORT/nimserver\", appKey: sandbox, appSecret: \
        {file: netease}}\n";
    let office = Office::open(&["--users", "20"], "");
    let desk = &office.desk;
    desk.write("netease", "sandbox\n");
    let settings = std::fs::read_to_string(desk.path("campaignd.yaml")).unwrap();
    desk.write("campaignd.yaml", &format!("{settings}{}", gateway.replace("PORT", &office.port.to_string())));
    std::fs::create_dir_all(desk.path("campaigns/lists")).unwrap();
    office
}

#[test]
fn an_id_of_netease_in_another_letter_case() {
    let office = office_with_netease();
    let desk = &office.desk;
    let _daemon = desk.serve();
    // To NetEase both are one account, in an exclusion too.
    desk.write(
        "campaigns/cased.yaml",
        "gateway: yunxin\nmessage: {from: u00009, type: 0, body: {msg: hi}}\n\
         recipients: [{ids: [U00001, u00001, u00002]}]\nexclude: [{ids: [U00002]}]\nschedules: [{at: 2099-11-11T09:00}]\n",
    );
    let said = send(desk, "cased");
    assert_eq!(said.code, 0, "{}", said.err);
    let run = desk.review().newest_run("cased").unwrap().unwrap();
    assert_eq!(outcomes(desk, &run), ["u00001 accepted", "u00002 excluded exclude named by `exclude`"]);
    let received = office.ask("GET", "/sandbox/received", "");
    assert_eq!(received.matches("\"recipient\"").count(), 1, "{received}");
}

#[test]
fn a_command_takes_an_id_of_netease_in_any_letter_case() {
    let office = office_with_netease();
    let desk = &office.desk;
    let _daemon = desk.serve();
    desk.write("campaigns/lists/all.csv", "userID,name\nU00001,Li\nu00002,Han\n");
    desk.write("campaigns/lists/out.txt", "U00002\n");
    desk.write(
        "campaigns/cased.yaml",
        "gateway: yunxin\nmessage: {from: u00009, type: 0, body: {msg: 'hi {{ name | default(\"you\") }}'}}\n\
         recipients: [{file: lists/all.csv, column: userID}]\nexclude: [{file: lists/out.txt}]\n\
         schedules: [{at: 2099-11-11T09:00}]\n",
    );
    for id in ["U00001", "u00001"] {
        let said = desk.ends(&["audience", "cased", "--explain", id], 0);
        assert_eq!(said.out, "u00001 is in: named by lists/all.csv\n  named by lists/all.csv\n", "{id}");
        assert_eq!(said.err, "", "{id}");
        let preview = desk.ends(&["preview", "cased", "--to", id], 0).out;
        assert!(preview.contains("hi+Li") && preview.contains("u00001"), "{preview}");
    }
    for id in ["U00002", "u00002"] {
        let said = desk.ends(&["audience", "cased", "--explain", id], 0);
        assert!(said.out.starts_with("u00002 is out: exclude: named by `exclude`\n"), "{}", said.out);
    }
    // Nobody is another id than in capitals.
    let said = desk.ends(&["audience", "cased", "--explain", "u00003"], 0);
    assert_eq!(said.out, "u00003 is out: notNamed: no source names it\n");
    assert_eq!(said.err, "");
    assert_eq!(send(desk, "cased").code, 0);
    let seen = |id: &str| {
        let rows = desk.json(&["deliveries", "--recipient", id]);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["campaign"], row["recipient"])).collect::<Vec<_>>()
    };
    assert_eq!(seen("U00001"), ["\"cased\" \"u00001\""]);
    // Of OpenIM it is another id.
    desk.write("campaigns/other.yaml", &format!("{MESSAGE}recvIDs: [u00001]\n"));
    assert_eq!(send(desk, "other").code, 0);
    assert_eq!(seen("U00001"), ["\"cased\" \"u00001\""]);
    assert_eq!(seen("u00001").len(), 2);
    let suppress = |verb: &str| desk.ends(&["suppress", verb, "U00001", "u00005"], 0).out;
    assert_eq!(suppress("add"), "suppressed 2\n");
    assert_eq!(suppress("add"), "suppressed 0, 2 were already\n");
    let said = desk.ends(&["audience", "cased", "--explain", "U00001"], 0);
    assert!(said.out.starts_with("u00001 is out: suppressed: "), "{}", said.out);
    assert_eq!(suppress("remove"), "not suppressed any more: 2\n");
}

/// Answers every request so, as another application does at the same address.
fn another_application(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let length = answer.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}");
            let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{answer}");
        }
    });
    port
}

#[test]
fn a_server_that_answers_for_another_application() {
    for answer in [
        "<!doctype html><title>Welcome to nginx!</title>",
        r#"{"status": "ok"}"#,
        // Good manners, and still no list: nobody must not pass for everybody.
        r#"{"errCode": 0, "errMsg": "", "data": {"token": "t", "expireTimeSeconds": 1000}}"#,
    ] {
        let port = another_application(answer);
        let office = office();
        let desk = &office.desk;
        let settings = std::fs::read_to_string(desk.path("campaignd.yaml")).unwrap();
        desk.write("campaignd.yaml", &settings.replace(&office.port.to_string(), &port.to_string()));
        let _daemon = desk.serve();
        is_missed(&office, "isSendAll: true", "the provider's users could not be listed in time: ");
        is_missed(
            &office,
            "recipients: [{ids: [u00001]}]\nexclude: [{membersOf: g1001}]",
            "the members of g1001 could not be listed in time: ",
        );
    }
}

#[test]
fn a_template_that_loops() {
    let desk = Desk::new(super::SETTINGS, &[]);
    let endless = "{% for x in range(1000000000) %}{% for y in range(1000000000) %}a{% endfor %}{% endfor %}";
    let heavy = "{{ 'x' * 100000000000 }}";
    let recursive = "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}";
    let included = "{% include 'self' %}";
    for (text, told) in [
        (endless, "no statements"),
        (heavy, "takes too much work"),
        (recursive, "no statements"),
        (included, "no statements"),
    ] {
        let message = serde_json::json!({"contentType": "text", "content": {"content": text}});
        let campaign =
            format!("message: {message}\nrecvIDs: [u00001]\nschedules: [{{at: 2099-11-11T09:00}}]\n");
        desk.write("campaigns/loop.yaml", &campaign);
        let said = desk.ends(&["check"], 3);
        assert!(said.out.contains(told), "{text}: {}", said.out);
    }
    // A value that looks like one is text.
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    desk.write(
        "campaigns/lists/a.csv",
        &format!("userID,name\nu00001,\"{}\"\n", endless.replace('"', "\"\"")),
    );
    desk.write(
        "campaigns/loop.yaml",
        "message: {contentType: text, content: {content: 'Hi {{name}}'}}\n\
         recipients: [{file: lists/a.csv, column: userID}]\nschedules: [{at: 2099-11-11T09:00}]\n",
    );
    let request = desk.json(&["preview", "loop", "--to", "u00001"]);
    assert_eq!(request[0]["body"]["content"]["content"], format!("Hi {endless}"));
}

#[test]
fn a_list_that_is_empty() {
    let office = office();
    let desk = &office.desk;
    let daemon = desk.serve();
    desk.write("campaigns/lists/a.csv", "userID,name\n");
    desk.write("campaigns/lists/b.txt", "\n\n");
    let audience = "recipients: [{file: lists/a.csv, column: userID}, {file: lists/b.txt}]";
    is_missed(&office, audience, "its sources name nobody: lists/a.csv, lists/b.txt");
    // Who copies a list empties it first: one that was just written is looked at again.
    desk.write("campaigns/filled.yaml", &format!("{MESSAGE}recipients: [{{file: lists/c.txt}}]\n"));
    desk.write("campaigns/lists/c.txt", "u00009\n");
    desk.patiently(|| desk.ends(&["status"], 0).out.contains("filled"));
    desk.write("campaigns/lists/c.txt", "");
    let said = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(desk, "filled"));
        daemon.hear("lists/c.txt is empty and was just written: it is read again");
        desk.write("campaigns/lists/c.txt", "u00001\nu00002\n");
        sending.join().unwrap()
    });
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(office.taken("filled").into_keys().collect::<BTreeSet<_>>(), numbered(1, 2));
}
