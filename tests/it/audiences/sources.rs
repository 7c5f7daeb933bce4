//! One campaign for each kind of source: what a server in a process of its own took against what the source
//! says.

use std::{collections::BTreeSet, io::Write, path::Path};

use crate::{
    desk::{Desk, Said},
    office::Office,
};

const MESSAGE: &str =
    "message: {contentType: text, content: {content: hi}}\nschedules: [{at: 2099-11-11T09:00}]\n";

fn compressed(path: &Path, content: &[u8]) {
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
}

fn numbered(from: u32, to: u32) -> BTreeSet<String> {
    (from..=to).map(|number| format!("u{number:05}")).collect()
}

/// Sends a campaign whose file has just been written: until the daemon has seen it, there is no such one.
pub fn send(desk: &Desk, name: &str) -> Said {
    let say = || desk.say(&["send", name, "--yes", "--wait"]);
    (0..500).map(|_| say()).find(|said| said.code != 4).expect("the daemon never sees the file")
}

/// Sends a campaign with this audience and gives who got it, by the server's truth. The ledger must say the
/// same.
#[track_caller]
fn sent(office: &Office, name: &str, audience: &str) -> BTreeSet<String> {
    let desk = &office.desk;
    desk.write(&format!("campaigns/{name}.yaml"), &format!("{MESSAGE}{audience}\n"));
    desk.ends(&["check", "--strict", &format!("campaigns/{name}.yaml")], 0);
    let said = send(desk, name);
    assert_eq!(said.code, 0, "{}", said.err);
    office.compare(name);
    office.taken(name).into_keys().collect()
}

#[test]
fn one_campaign_for_each_source_reaches_whom_it_names() {
    let office = Office::open(&["--users", "1200", "--groups", "3"], "");
    let desk = &office.desk;
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    let _daemon = desk.serve();

    desk.write(
        "campaigns/lists/a.csv",
        "\u{FEFF}name,userID\r\n\"Li, \"\"Lei\"\"\",u00001\r\nHan,u00002\r\n\"x\ny\",u00002\r\n",
    );
    assert_eq!(sent(&office, "csv", "recipients: [{file: lists/a.csv, column: userID}]"), numbered(1, 2));

    desk.write("campaigns/lists/a.txt", "u00005\r\n\n  u00006 \nu00005\n");
    assert_eq!(sent(&office, "txt", "recipients: [{file: lists/a.txt}]"), numbered(5, 6));

    desk.write(
        "campaigns/lists/a.ndjson",
        "{\"userID\":\"u00007\",\"n\":1}\n{\"n\":2,\"userID\":\"u00008\"}\n",
    );
    assert_eq!(
        sent(&office, "ndjson", "recipients: [{file: lists/a.ndjson, column: userID}]"),
        numbered(7, 8)
    );

    let many: String = numbered(1, 900).into_iter().map(|id| id + "\n").collect();
    compressed(&desk.path("campaigns/lists/a.csv.gz"), format!("userID\n{many}").as_bytes());
    assert_eq!(
        sent(&office, "gzip", "recipients: [{file: lists/a.csv.gz, column: userID}]"),
        numbered(1, 900)
    );

    let (chinese, _, _) = encoding_rs::GB18030.encode("姓名,用户\r\n李雷,u00011\r\n韩梅梅,u00012\r\n");
    std::fs::write(desk.path("campaigns/lists/b.csv"), chinese).unwrap();
    assert_eq!(
        sent(&office, "gb18030", "recipients: [{file: lists/b.csv, column: 用户, encoding: gb18030}]"),
        numbered(11, 12)
    );

    // Groups of the sandbox have the sender and the first ten users.
    let mut members = numbered(1, 10);
    members.insert("notice".to_owned());
    assert_eq!(sent(&office, "members", "recipients: [{membersOf: g1001}]"), members);

    // More than two pages of users; left out are the group, a compressed list, and an id.
    assert_eq!(
        sent(
            &office,
            "everyone",
            "isSendAll: true\nexclude: [{membersOf: g1002}, {file: lists/a.csv.gz, column: userID}, {ids: [u01200]}]"
        ),
        numbered(901, 1199)
    );
    let shown = desk.ends(&["show", "everyone"], 0).out;
    for part in ["isSendAll", "membersOf g1002", "lists/a.csv.gz"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn a_group_of_thousands_is_paged_to_its_end() {
    let office = Office::open(&["--users", "3000", "--groups", "2", "--members", "2750"], "");
    let _daemon = office.desk.serve();
    let mut members = numbered(1, 2_750);
    members.insert("notice".to_owned());
    assert_eq!(sent(&office, "members", "recipients: [{membersOf: g1001}]"), members);
    assert_eq!(
        sent(&office, "others", "isSendAll: true\nexclude: [{membersOf: g1002}]"),
        numbered(2_751, 3_000)
    );
}

#[test]
fn bad_lines_are_left_out_where_the_file_says_so_and_are_told() {
    let office = Office::open(&["--users", "20"], "");
    let desk = &office.desk;
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    let _daemon = desk.serve();
    desk.write("campaigns/lists/a.csv", "userID,n\nu00001,1\nu00002\n,3\nu00004,\"x\nu00005,5\n");
    let audience = "recipients: [{file: lists/a.csv, column: userID, onBadLine: skip}]";
    let got = sent(&office, "skip", audience);
    assert_eq!(got, BTreeSet::from(["u00001".to_owned(), "u00005".to_owned()]));
    let shown = desk.ends(&["show", "skip"], 0).out;
    for line in [
        "lists/a.csv:3: the line has 1 fields, the header 2",
        "lists/a.csv:4: the id is empty",
        "lists/a.csv:5: a quote (\") is opened and not closed",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let digest = desk.json(&["show", "skip"])["sources"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 64);
}

#[test]
fn an_audience_that_is_not_complete_is_sent_to_nobody() {
    let office = Office::open(&["--users", "20"], "");
    let desk = &office.desk;
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    let _daemon = desk.serve();
    let cut = desk.path("campaigns/lists/cut.txt.gz");
    compressed(&cut, b"u00001\nu00002\n");
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 4]).unwrap();
    desk.write("campaigns/lists/bad.txt", "u00001\nu:2\n");
    desk.write("campaigns/lists/column.csv", "user\nu00001\n");
    for (name, audience, told) in [
        ("missing", "recipients: [{file: lists/none.txt}]", "none.txt cannot be read: No such file"),
        ("cut", "recipients: [{file: lists/cut.txt.gz}]", "its compressed data is cut short"),
        ("bad", "recipients: [{file: lists/bad.txt}]", "bad.txt:2: OpenIM registers no id with a colon"),
        (
            "column",
            "recipients: [{file: lists/column.csv, column: userID}]",
            "has no column \"userID\"; it has user",
        ),
        (
            "group",
            "recipients: [{ids: [u00001]}, {membersOf: g7777}]",
            "names nobody when it is asked for the members of g7777",
        ),
        ("not-out", "isSendAll: true\nexclude: [{membersOf: g7777}]", "the members of g7777"),
        (
            "expected",
            "recipients: [{ids: [u00001]}]\nexpect: {min: 2}",
            "the audience has 1 recipients; expected are 2",
        ),
    ] {
        desk.write(&format!("campaigns/{name}.yaml"), &format!("{MESSAGE}{audience}\n"));
        assert_eq!(send(desk, name).code, 1);
        let run = &desk.json(&["runs", name])[0];
        assert_eq!(run["state"], "failed", "{run}");
        let reason = run["reason"].as_str().unwrap();
        assert!(reason.starts_with("audience: ") && reason.contains(told), "{reason}");
        assert_eq!(run["audience"], 0);
        assert!(office.taken(name).is_empty());
    }
}
