//! Campaigns through `netease`, a call each, with the daemon and the server in processes of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::office::{Office, free_port};

/// The same application by each of its calls; the first host of the first cannot be reached.
fn gateways() -> String {
    let gateway = |name: &str, secret: &str, rest: &str| {
        format!(
            "  {name}:\n    kind: netease\n    url: [{}http://127.0.0.1:PORT/nimserver]\n    appKey: sandbox\n    \
             appSecret: {{file: {secret}}}\n    settle: 2s\n    defaults: {{from: notice}}\n{rest}",
            if name == "batch" {
                format!("http://127.0.0.1:{}/nimserver, ", free_port())
            } else {
                String::new()
            },
        )
    };
    [
        gateway("batch", "secret", "    call: batch\n    concurrency: 1\n"),
        gateway("single", "secret", "    call: single\n"),
        gateway("attach", "secret", "    call: attach\n"),
        gateway("looked", "secret", "    replayWithin: off\n"),
        gateway("banners", "secret", "    replayWithin: off\n"),
        gateway("wrong", "wrong", ""),
    ]
    .concat()
}

fn numbered(from: u32, to: u32) -> String {
    (from..=to).map(|number| format!("u{number:05}\n")).collect()
}

fn counts(outcomes: BTreeMap<String, String>) -> BTreeMap<String, usize> {
    outcomes.into_values().fold(BTreeMap::new(), |mut counts, outcome| {
        *counts.entry(outcome).or_default() += 1;
        counts
    })
}

fn all(outcome: &str, count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(outcome.to_owned(), count)])
}

/// The operation ids of a campaign's calls that send, with how many recipients each had.
fn calls(office: &Office, campaign: &str) -> Vec<(String, i64)> {
    let run = office.desk.review().newest_run(campaign).unwrap().unwrap();
    let ledger = rusqlite::Connection::open(office.desk.path("campaignd.db")).unwrap();
    let mut statement = ledger
        .prepare(
            "SELECT operation_id, recipients FROM attempt_log WHERE run = ?1 AND kind = 'send' ORDER BY attempt",
        )
        .unwrap();
    let rows = statement.query_map([run], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn each_call_reaches_whom_it_says_although_the_first_host_is_down() {
    let office = Office::open(&gateways());
    office.desk.write("campaigns/501.txt", &numbered(1, 501));
    office.desk.write("campaigns/101.txt", &(numbered(1, 100) + "U00101\nu00101\n"));
    for (id, campaign) in [
        ("batch", "gateway: batch\nmessage: {type: 0, body: {msg: batch}}\nrecipients: [{file: 501.txt}]\n"),
        (
            "ids",
            "gateway: batch\nmessage: {type: 0, body: {msg: withids}, returnMsgid: true}\nrecipients: [{file: 101.txt}]\n",
        ),
        ("single", "gateway: single\nmessage: {type: 0, body: {msg: single}}\nrecvIDs: [U00001, u00002]\n"),
        ("attach", "gateway: attach\nmessage: {attach: {event: attach}}\nrecvIDs: [u00001, ghost]\n"),
        ("broadcast", "gateway: single\nmessage: {body: {banner: broadcast}}\nisSendAll: true\n"),
        (
            "native",
            "gateway: single\nmessage: {body: {banner: native}}\nisSendAll: true\ndelivery: {native: true}\n",
        ),
    ] {
        office.write(id, campaign);
    }
    let daemon = office.desk.serve();
    for _ in 0..6 {
        daemon.hear(" completed: ");
    }
    daemon.stop();
    // 501 people are two calls, and 101 are two where each gets an id; each batch has a name of its own.
    assert_eq!(counts(office.compare("batch", "batch")), all("accepted", 501));
    assert_eq!(counts(office.compare("ids", "withids")), all("accepted", 101));
    for (campaign, sizes) in [("batch", [1, 500]), ("ids", [1, 100])] {
        let calls = calls(&office, campaign);
        let names: BTreeSet<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.len() == 2 && names.iter().all(|name| name.len() == 32), "{calls:?}");
        let mut found: Vec<i64> = calls.iter().map(|(_, size)| *size).collect();
        found.sort_unstable();
        assert_eq!(found, sizes);
    }
    let deliveries = office.desk.json(&["deliveries", "--campaign", "ids"]);
    let ids: BTreeSet<u64> = deliveries
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["server_msg_id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(ids.len(), 101);
    // Accounts are kept in lower case.
    assert_eq!(counts(office.compare("single", "single")), all("accepted", 2));
    let attach = office.compare("attach", "attach");
    assert_eq!((attach["u00001"].as_str(), attach["ghost"].as_str()), ("accepted", "refused unregistered"));
    // The provider's own call to everyone is all there is, whether a campaign asks for it or not.
    for everyone in ["broadcast", "native"] {
        assert_eq!(office.outcomes(everyone), BTreeMap::from([("*".to_owned(), "accepted".to_owned())]));
        assert_eq!(office.taken(everyone), BTreeMap::from([("*".to_owned(), 1)]));
    }
}

/// The verdicts of a campaign's attempts, in their order.
fn attempts(office: &Office, campaign: &str) -> Vec<String> {
    let run = office.desk.review().newest_run(campaign).unwrap().unwrap();
    let ledger = rusqlite::Connection::open(office.desk.path("campaignd.db")).unwrap();
    let mut statement = ledger
        .prepare("SELECT kind || ' ' || verdict FROM attempt_log WHERE run = ?1 ORDER BY attempt")
        .unwrap();
    statement.query_map([run], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_lost_answer_is_asked_for_again_by_the_very_same_request() {
    let office = Office::open(&gateways());
    office.desk.write("campaigns/people.txt", &numbered(1, 30));
    // The answer of the first replay is lost as well.
    office.faults(json!({"dropAnswer": {"times": 2}}));
    let campaign =
        "gateway: batch\nmessage: {type: 0, body: {msg: lost}}\nrecipients: [{file: people.txt}]\n";
    office.write("lost", campaign);
    let daemon = office.desk.serve();
    office.desk.until_newest("lost", |state, accepted| state == "completed" && accepted == 30);
    assert_eq!(counts(office.compare("lost", "lost")), all("accepted", 30));
    assert_eq!(attempts(&office, "lost"), ["send unanswered", "send unanswered", "send answered"]);
    let lost = calls(&office, "lost");
    assert!(lost.iter().all(|call| *call == lost[0]), "{lost:?}");
    // Notifications leave no trace, and yet are not in doubt.
    office.faults(json!({"dropAnswer": {"times": 1}}));
    office.write("note", "gateway: attach\nmessage: {attach: note}\nrecvIDs: [u00001]\n");
    office.desk.until_newest("note", |state, accepted| state == "completed" && accepted == 1);
    assert_eq!(counts(office.compare("note", "note")), all("accepted", 1));
    // Whoever holds has nothing sent that nobody has looked at.
    office.faults(json!({"dropAnswer": {"times": 1}}));
    let held = "gateway: attach\nmessage: {attach: held}\nrecvIDs: [u00001]\ndelivery: {onUnknown: hold}\n";
    office.write("held", held);
    office.desk.until_newest("held", |state, _| state == "completed");
    assert_eq!(counts(office.compare("held", "held")), all("unknown noAnswer", 1));
    assert_eq!(attempts(&office, "held"), ["send unanswered"]);
    daemon.stop();
}

#[test]
fn where_no_replay_is_wanted_the_history_tells_what_became_of_a_lost_answer() {
    let office = Office::open(&gateways());
    office.desk.write("campaigns/people.txt", &numbered(1, 30));
    office.faults(json!({"dropAnswer": {"times": 1}}));
    let campaign =
        "gateway: looked\nmessage: {type: 0, body: {msg: lost}}\nrecipients: [{file: people.txt}]\n";
    office.write("lost", campaign);
    let daemon = office.desk.serve();
    office.desk.until_newest("lost", |state, accepted| state == "completed" && accepted == 30);
    assert_eq!(counts(office.compare("lost", "lost")), all("accepted", 30));
    assert_eq!(calls(&office, "lost").len(), 1);
    // What the provider has said in so many words is no answer that was lost.
    office.faults(json!({"netease": {"codeAfter": {"code": 500, "times": 1}}}));
    office.write("failed", &campaign.replace("looked", "batch").replace("lost", "failed"));
    office.desk.until_newest("failed", |state, accepted| state == "completed" && accepted == 30);
    assert_eq!(counts(office.compare("failed", "failed")), all("accepted", 30));
    assert_eq!(calls(&office, "failed").len(), 1);
    // A broadcast stands in the list of broadcasts.
    office.faults(json!({"dropAnswer": {"times": 1}}));
    office.write("banner", "gateway: banners\nmessage: {body: {banner: lostbanner}}\nisSendAll: true\n");
    office.desk.until_newest("banner", |state, accepted| state == "completed" && accepted == 1);
    assert_eq!(counts(office.compare("banner", "lostbanner")), all("accepted", 1));
    assert_eq!(attempts(&office, "banner"), ["send unanswered", "look answered"]);
    daemon.stop();
}

#[test]
fn what_goes_wrong_is_told_by_its_name() {
    let office = Office::open(&gateways());
    office.faults(
        json!({"netease": {"unregister": "list", "bigIds": true, "codeAsText": true, "antispam": "casino"}}),
    );
    let with_ids = "message: {type: 0, body: {msg: MARK}, returnMsgid: true}\n";
    let to = "recvIDs: [u00001, ghost1, ghost2]\n";
    office.write("strangers", &format!("gateway: batch\n{}{to}", with_ids.replace("MARK", "strangers")));
    office.write("spam", "gateway: single\nmessage: {type: 0, body: {msg: casino}}\nrecvIDs: [u00001]\n");
    office.write(
        "sender",
        "gateway: batch\nmessage: {from: nobody, type: 0, body: {msg: sender}}\nrecvIDs: [u00001]\n",
    );
    let daemon = office.desk.serve();
    for id in ["strangers", "spam", "sender"] {
        office.desk.until_newest(id, |state, _| ["completed", "failed"].contains(&state));
    }
    let strangers = office.compare("strangers", "strangers");
    assert_eq!(strangers["u00001"], "accepted");
    assert_eq!(strangers["ghost1"], "refused unregistered");
    assert_eq!(calls(&office, "strangers").len(), 1, "they are not asked again");
    let deliveries = office.desk.json(&["deliveries", "--recipient", "u00001", "--campaign", "strangers"]);
    let id: u64 = deliveries[0]["server_msg_id"].as_str().unwrap().parse().unwrap();
    assert!(id > 1 << 53);
    assert_eq!(counts(office.compare("spam", "casino")), all("refused antispam", 1));
    assert_eq!(counts(office.compare("sender", "sender")), all("failed 414", 1));
    // An hour off, and then a wrong secret.
    office.faults(json!({"netease": {"clockAheadS": 3_600}}));
    office.write("clock", "gateway: batch\nmessage: {type: 0, body: {msg: clock}}\nrecvIDs: [u00001]\n");
    office.desk.until_newest("clock", |state, _| state == "completed");
    assert_eq!(counts(office.compare("clock", "clock")), all("accepted", 1));
    // One name for both attempts.
    let clock = calls(&office, "clock");
    assert!(clock.len() >= 2 && clock.iter().all(|call| *call == clock[0]), "{clock:?}");
    office.faults(json!({}));
    office.write("wrong", "gateway: wrong\nmessage: {type: 0, body: {msg: wrong}}\nrecvIDs: [u00001]\n");
    daemon.hear("checksum");
    daemon.stop();
    assert_eq!(office.taken("wrong"), BTreeMap::new());
}

/// The request that the vendor's documentation is written after, to the byte.
#[test]
fn a_batch_is_a_form_in_the_documented_order() {
    let settings = "gateways:\n  yunxin: {kind: netease, url: \"https://api.yunxinapi.com/nimserver\", appKey: \
         a011, appSecret: {env: S}}\n";
    let campaign = "message:\n  from: campaign_bot\n  type: 0\n  body: {msg: \"春季活动 10% off & more\"}\n  option: \
         '{\"push\":true,\"history\":true}'\n  ext: {cid: c42}\n  returnMsgid: true\nrecvIDs: [u1001, U1002]\n\
         timezone: Asia/Shanghai\nschedules: [{at: 2099-11-11T09:00}]\n";
    let desk = crate::desk::Desk::new(settings, &[("c.yaml", campaign)]);
    let requests = desk.json(&["preview", "c"]);
    assert_eq!(requests[0]["url"], "https://api.yunxinapi.com/nimserver/msg/sendBatchMsg.action");
    assert_eq!(requests[0]["headers"]["CheckSum"], Value::from("***"));
    let expected = "fromAccid=campaign_bot&toAccids=%5B%22u1001%22%2C%22u1002%22%5D&type=0&body=%7B%22msg%22%3A%22%E6\
         %98%A5%E5%AD%A3%E6%B4%BB%E5%8A%A8+10%25+off+%26+more%22%7D&option=%7B%22push%22%3Atrue%2C%22history%22%3Atrue\
         %7D&ext=%7B%22cid%22%3A%22c42%22%7D&returnMsgid=true";
    assert_eq!(requests[0]["body"], Value::from(expected));
}

#[test]
fn a_suppressed_account_is_left_alone_however_it_is_written() {
    let office = Office::open(&gateways());
    let campaign =
        "gateway: batch\nmessage: {type: 0, body: {msg: quiet}}\nrecvIDs: [u00001, U00002, U00003]\n";
    office.desk.write("optout.txt", "U00002\n");
    let daemon = office.desk.serve();
    assert_eq!(office.desk.ends(&["suppress", "add", "U00001"], 0).out, "suppressed 1\n");
    office.desk.ends(&["suppress", "import", "optout.txt"], 0);
    office.desk.ends(&["suppress", "add", "U00003"], 0);
    office.desk.ends(&["suppress", "remove", "U00003"], 0);
    office.write("quiet", campaign);
    office.desk.until_newest("quiet", |state, _| state == "completed");
    let outcomes = office.compare("quiet", "quiet");
    let of = |id: &str| outcomes[id].as_str();
    assert_eq!((of("u00001"), of("u00002")), ("excluded suppressed", "excluded suppressed"));
    assert_eq!(of("u00003"), "accepted");
    daemon.stop();
}
