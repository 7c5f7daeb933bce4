//! One campaign for each kind of source: what a server in a process of its own took against what the source
//! says.

use std::{collections::BTreeSet, io::Write, path::Path};

use crate::{
    desk::{Desk, Said},
    office::Office,
};

pub const MESSAGE: &str =
    "message: {contentType: text, content: {content: hi}}\nschedules: [{at: 2099-11-11T09:00}]\n";

pub fn compressed(path: &Path, content: &[u8]) {
    let mut encoder =
        flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
}

pub fn numbered(from: u32, to: u32) -> BTreeSet<String> {
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
pub fn sent(office: &Office, name: &str, audience: &str) -> BTreeSet<String> {
    let desk = &office.desk;
    desk.write(&format!("campaigns/{name}.yaml"), &format!("{MESSAGE}{audience}\n"));
    desk.ends(&["check", "--strict", &format!("campaigns/{name}.yaml")], 0);
    let said = send(desk, name);
    assert_eq!(said.code, 0, "{name}: {}", said.err);
    office.compare(name);
    office.taken(name).into_keys().collect()
}

/// How a list file is written.
struct List {
    /// Also what its campaign is called.
    ending: &'static str,
    column: Option<&'static str>,
    content: fn(&BTreeSet<String>) -> String,
}

/// Each with what real files have: marks, other line breaks, empty lines, repetitions, quotes, other columns.
const LISTS: [List; 4] = [
    List {
        ending: "csv",
        column: Some("用户"),
        content: |ids| {
            let rows: String =
                ids.iter().map(|id| format!("\"Li, \"\"李\"\"\",{id}\r\n\"x\ny\",{id}\r\n")).collect();
            format!("姓名,用户\r\n{rows}")
        },
    },
    List {
        ending: "txt",
        column: None,
        content: |ids| ids.iter().map(|id| format!("{id}\r\n\n  {id} \n")).collect(),
    },
    List {
        ending: "ndjson",
        column: Some("用户"),
        content: |ids| {
            let rows = ids
                .iter()
                .map(|id| format!("{{\"n\":1,\"用户\":\"{id}\",\"姓名\":\"李\"}}\n{{\"用户\":\"{id}\"}}\n"));
            rows.collect()
        },
    },
    // Ids alone.
    List {
        ending: "ids.ndjson",
        column: None,
        content: |ids| ids.iter().map(|id| format!("\"{id}\"\n")).collect(),
    },
];

/// Writes the list as each encoding and, if so, compressed; gives a source for each and its name.
fn list_sources(office: &Office, ids: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for List { ending, column, content } in LISTS {
        for (encoding, zipped) in [("utf-8", false), ("utf-8", true), ("gb18030", false), ("gb18030", true)] {
            let text = content(ids);
            let bytes = match encoding {
                "gb18030" => encoding_rs::GB18030.encode(&text).0.into_owned(),
                // A mark besides, as spreadsheets write it.
                _ => format!("\u{FEFF}{text}").into_bytes(),
            };
            let name = format!("{encoding}{}.{ending}{}", sources.len(), if zipped { ".gz" } else { "" });
            let path = office.desk.path("campaigns/lists").join(&name);
            if zipped {
                compressed(&path, &bytes)
            } else {
                std::fs::write(path, bytes).unwrap()
            }
            let column = column.map_or(String::new(), |column| format!(", column: {column}"));
            sources.push((
                name.replace("..", "."),
                format!("{{file: lists/{name}{column}, encoding: {encoding}}}"),
            ));
        }
    }
    sources
}

#[test]
fn one_campaign_for_each_source_reaches_whom_it_names() {
    let office = Office::open(&["--users", "60", "--groups", "2"], "");
    let desk = &office.desk;
    std::fs::create_dir(desk.path("campaigns/lists")).unwrap();
    let _daemon = desk.serve();
    let of_lists = numbered(5, 8);
    // Groups of the sandbox have the sender and the first ten users.
    let mut members = numbered(1, 10);
    members.insert("notice".to_owned());
    let mut sources: Vec<(String, String, BTreeSet<String>)> = vec![
        ("ids".to_owned(), "{ids: [u00021, u00022, u00021]}".to_owned(), numbered(21, 22)),
        ("members".to_owned(), "{membersOf: g1001}".to_owned(), members),
    ];
    let lists = list_sources(&office, &of_lists);
    sources.extend(lists.into_iter().map(|(name, source)| (name, source, of_lists.clone())));
    let everyone = numbered(1, 60);
    for (name, source, named) in &sources {
        assert_eq!(
            sent(&office, &format!("in-{name}"), &format!("recipients: [{source}]")),
            *named,
            "{name}"
        );
        let audience = format!("isSendAll: true\nexclude: [{source}]");
        let left = everyone.difference(named).cloned().collect();
        assert_eq!(sent(&office, &format!("out-{name}"), &audience), left, "{name} excluded");
    }
    assert_eq!(sent(&office, "named", "recvIDs: [u00031, u00032, u00031]"), numbered(31, 32));
    // All of them together: a union without those who are excluded, whatever names them.
    let union: Vec<&str> = sources.iter().take(14).map(|(_, source, _)| source.as_str()).collect();
    let audience =
        format!("recipients: [{}]\nexclude: [{{ids: [u00021]}}, {{file: lists/o.txt}}]", union.join(", "));
    desk.write("campaigns/lists/o.txt", "u00007\nu00050\n");
    let mut expected = numbered(1, 10);
    expected.extend(["notice".to_owned(), "u00022".to_owned()]);
    expected.remove("u00007");
    assert_eq!(sent(&office, "union", &audience), expected);
    let shown = desk.ends(&["show", "union"], 0).out;
    for part in ["ids (3)", "membersOf g1001", "lists/o.txt"] {
        assert!(shown.contains(part), "{shown}");
    }
    // A group is one recipient.
    let text = MESSAGE.replace("{contentType: text,", "{contentType: text, sessionType: group,");
    desk.write("campaigns/groups.yaml", &format!("{text}groupIDs: [g1001, g1002]\n"));
    assert_eq!(send(desk, "groups").code, 0);
    assert_eq!(office.outcomes("groups").into_keys().collect::<Vec<_>>(), ["g1001", "g1002"]);
    let received: Vec<serde_json::Value> =
        serde_json::from_str(&office.ask("GET", "/sandbox/received", "")).unwrap();
    let groups: Vec<&str> = received.iter().filter_map(|message| message["groupID"].as_str()).collect();
    assert_eq!(groups.len(), 2, "{groups:?}");
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
