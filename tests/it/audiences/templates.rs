//! Messages with variables: each gets their own, whatever happens to the list or the daemon meanwhile.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sources::send;
use crate::office::Office;

const CAMPAIGN: &str = "\
message: {contentType: text, content: {content: 'Hi {{ name | default(\"you\") }}!'}, ex: '{\"tier\":\"{{tier}}\"}'}
recipients: [{file: lists/people.csv, column: userID}, {ids: [u00001, u00009]}]
schedules: [{at: 2099-11-11T09:00}]
";

/// The content that each recipient got, by the server's truth.
fn contents(office: &Office) -> BTreeMap<String, String> {
    let received: Vec<Value> = serde_json::from_str(&office.ask("GET", "/sandbox/received", "")).unwrap();
    let content = |message: &Value| message["content"]["content"].as_str().unwrap_or_default().to_owned();
    let all =
        received.iter().map(|message| (message["recipient"].as_str().unwrap().to_owned(), content(message)));
    let contents: BTreeMap<String, String> = all.collect();
    assert_eq!(contents.len(), received.len(), "somebody got it twice");
    contents
}

fn office(sandbox: &[&str], list: &str) -> Office {
    let office = Office::open(sandbox, "");
    std::fs::create_dir(office.desk.path("campaigns/lists")).unwrap();
    office.desk.write("campaigns/lists/people.csv", list);
    office
}

#[test]
fn each_gets_their_own_message_and_equal_ones_share_batches() {
    let list = "userID,name,tier\nu00001,\"Li \"\"Lei\"\"\",gold\nu00002,{{tier}},gold\nu00003,,gold\nu00004,,gold\n";
    let office = office(&["--users", "20"], list);
    let desk = &office.desk;
    let _daemon = desk.serve();
    let campaign = CAMPAIGN.replace("{{tier}}", "{{ tier | default(\"none\") }}");
    desk.write("campaigns/greet.yaml", &campaign);
    desk.ends(&["check", "--strict"], 0);
    let preview = desk.json(&["preview", "greet", "--to", "u00001"]);
    assert_eq!(preview[0]["body"]["content"]["content"], "Hi Li \"Lei\"!");
    assert_eq!(preview[0]["body"]["ex"], "{\"tier\":\"gold\"}");
    assert_eq!(preview[0]["body"]["recvIDs"], serde_json::json!(["u00001"]));
    let said = send(desk, "greet");
    assert_eq!(said.code, 0, "{}", said.err);
    let expected = [
        ("u00001", "Hi Li \"Lei\"!"),
        ("u00002", "Hi {{tier}}!"),
        ("u00003", "Hi you!"),
        ("u00004", "Hi you!"),
        ("u00009", "Hi you!"),
    ];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(id, content)| ((*id).to_owned(), (*content).to_owned())).collect();
    assert_eq!(contents(&office), expected);
    // Two alone, two with one tier, one without: four calls.
    let attempts = desk.json(&["show", "greet"])["attempts"].as_array().unwrap().len();
    assert_eq!(attempts, 4);
    desk.ends(&["db", "verify"], 0);
    // A test send knows what the list says of whom it names, and of whom it says nothing.
    office.ask("DELETE", "/sandbox/received", "");
    desk.ends(&["send", "greet", "--to", "u00001,u00007", "--wait"], 0);
    let got = contents(&office);
    assert_eq!((got["u00001"].as_str(), got["u00007"].as_str()), ("Hi Li \"Lei\"!", "Hi you!"));
}

#[test]
fn a_changed_list_and_a_killed_daemon_change_no_promise() {
    let rows: String = (1..=30).map(|number| format!("u{number:05},name {number},t\n")).collect();
    let office = office(&["--users", "40", "--latency-ms", "40"], &format!("userID,name,tier\n{rows}"));
    let desk = &office.desk;
    let daemon = desk.serve();
    desk.write(
        "campaigns/greet.yaml",
        &CAMPAIGN
            .replace(", {ids: [u00001, u00009]}", "")
            .replace("schedules", "delivery: {concurrency: 1}\nschedules"),
    );
    let made = (0..500).map(|_| desk.say(&["send", "greet", "--yes"])).find(|said| said.code != 4).unwrap();
    let run = made.out.trim().to_owned();
    desk.until(&run, |_, accepted| accepted >= 3);
    daemon.kill();
    desk.write("campaigns/lists/people.csv", "userID,name,tier\nu00001,somebody else,t\n");
    let _daemon = desk.serve();
    desk.until(&run, |state, _| state == "completed");
    let got = contents(&office);
    assert_eq!(got.len(), 30);
    for number in 1..=30 {
        assert_eq!(got[&format!("u{number:05}")], format!("Hi name {number}!"));
    }
    desk.ends(&["db", "verify"], 0);
}

#[test]
fn a_row_that_cannot_be_filled_in_keeps_the_run_from_starting() {
    let office = office(&["--users", "20"], "userID,name,tier\nu00001,Li,gold\nu00002,Han,\n");
    let desk = &office.desk;
    let _daemon = desk.serve();
    desk.write("campaigns/greet.yaml", &CAMPAIGN.replace(", {ids: [u00001, u00009]}", ""));
    assert_eq!(send(desk, "greet").code, 1);
    let run = &desk.json(&["runs", "greet"])[0];
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("the message for u00002: there is no value for tier"), "{reason}");
    desk.write("campaigns/lists/people.csv", "userID,name\nu00001,Li\n");
    let checked = desk.say(&["check"]);
    assert!(checked.out.contains("C044") && checked.out.contains("`tier` is no column"), "{}", checked.out);
    desk.ends(&["send", "greet", "--yes", "--again", "--wait"], 1);
    let run = &desk.json(&["runs", "greet"])[0];
    assert!(run["reason"].as_str().unwrap().contains("`tier` is no column"), "{run}");
    assert!(contents(&office).is_empty());
}
