//! Campaigns through `netease-send-to-all`, each shape of it, with the daemon and the server in processes
//! of their own.

use std::collections::BTreeMap;

use serde_json::json;

use super::office::Office;

/// The server in both encodings.
const GATEWAYS: &str = "  json:
    kind: netease-send-to-all
    url: http://127.0.0.1:PORT/nimserver/msg/sendMsgToAll.action
    encoding: json
    appKey: sandbox
    appSecret: {file: secret}
    body: object
    concurrency: 1
  form:
    kind: netease-send-to-all
    url: http://127.0.0.1:PORT/nimserver/msg/sendMsgToAll.action
    encoding: form
    appKey: sandbox
    appSecret: {file: secret}
  double:
    kind: netease-send-to-all
    url: http://127.0.0.1:PORT/nimserver/msg/sendMsgToAll.action
    encoding: json
    appKey: sandbox
    appSecret: {file: secret}
    body: doubleEncoded
    scalars: string
  wrong:
    kind: netease-send-to-all
    url: http://127.0.0.1:PORT/nimserver/msg/sendMsgToAll.action
    encoding: form
    appKey: sandbox
    appSecret: {file: wrong}
";

fn numbered(from: u32, to: u32) -> String {
    (from..=to).map(|number| format!("u{number:05}\n")).collect()
}

fn counts(outcomes: BTreeMap<String, String>) -> BTreeMap<String, usize> {
    outcomes.into_values().fold(BTreeMap::new(), |mut counts, outcome| {
        *counts.entry(outcome).or_default() += 1;
        counts
    })
}

#[test]
fn each_shape_reaches_whom_it_says() {
    let office = Office::open(GATEWAYS);
    office.desk.write("campaigns/people.txt", &numbered(1, 1_200));
    let shapes = [
        (
            "card",
            "gateway: json\nmessage: {type: 2, body: {contenttitle: card}}\nrecipients: [{file: people.txt}]\n",
        ),
        (
            "form",
            "gateway: form\nmessage: {from: notice, type: 0, body: {msg: form}}\nrecvIDs: [u00001, u00002]\n",
        ),
        ("double", "gateway: double\nmessage: {type: 0, body: {msg: double}}\nrecvIDs: [u00001]\n"),
        (
            "selected",
            "gateway: form\nmessage: {areaid: \"370100\", enterptypeid: \"3\", type: 0, body: {msg: selected}}\n",
        ),
        ("all", "gateway: json\nmessage: {type: 0, body: {msg: everybody}}\nisSendAll: true\n"),
        (
            "native",
            "gateway: json\nmessage: {type: 0, body: {msg: native}}\nisSendAll: true\ndelivery: {native: true}\n",
        ),
    ];
    for (id, campaign) in shapes {
        office.write(id, campaign);
    }
    let daemon = office.desk.serve();
    for _ in shapes {
        daemon.hear(" completed: ");
    }
    daemon.stop();
    assert_eq!(counts(office.compare("card", "card")), BTreeMap::from([("accepted".to_owned(), 1_200)]));
    assert_eq!(counts(office.compare("form", "form")), BTreeMap::from([("accepted".to_owned(), 2)]));
    assert_eq!(counts(office.compare("double", "double")), BTreeMap::from([("accepted".to_owned(), 1)]));
    // One delivery to whom the server alone knows.
    for (id, mark, people) in
        [("selected", "selected", 333), ("all", "everybody", 2_000), ("native", "native", 2_000)]
    {
        assert_eq!(office.outcomes(id), BTreeMap::from([("*".to_owned(), "accepted".to_owned())]));
        let taken = office.taken(mark);
        assert_eq!(taken.len(), people, "{id}");
        assert!(taken.values().all(|times| *times == 1));
    }
    // Its one id is everybody's.
    let deliveries = office.desk.json(&["deliveries", "--campaign", "form"]);
    let id = |row: usize| deliveries[row]["server_msg_id"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(id(0) == id(1) && id(0) > u64::from(u32::MAX));
}

#[test]
fn what_goes_wrong_is_told_and_nobody_gets_it_twice() {
    let office = Office::open(GATEWAYS);
    office.desk.write("campaigns/people.txt", &numbered(1, 300));
    let list = "recipients: [{file: people.txt}]\ndelivery: {batchSize: 100}\n";
    // One call is refused before any work, the next one loses its answer.
    office.faults(json!({"dropAnswer": {"times": 1}, "netease": {
        "codeBefore": {"code": 503, "desc": "busy", "times": 1}, "antispam": "casino"}}));
    office.write("lost", &format!("gateway: json\nmessage: {{type: 0, body: {{msg: lost}}}}\n{list}"));
    let daemon = office.desk.serve();
    daemon.hear(" completed: ");
    let lost = counts(office.compare("lost", "lost"));
    // How many lay in the call that lost its answer is the breaker's choice.
    assert_eq!(lost.values().sum::<usize>(), 300);
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["accepted", "unknown noAnswer"]);
    office.write("spam", "gateway: json\nmessage: {type: 0, body: {msg: casino}}\nrecvIDs: [u00001]\n");
    daemon.hear(" completed: ");
    assert_eq!(
        counts(office.compare("spam", "casino")),
        BTreeMap::from([("refused antispam".to_owned(), 1)])
    );
    // An hour off: the provider's clock is learnt, and the same goes out.
    office.faults(json!({"netease": {"clockAheadS": 3_600}}));
    office.write("clock", "gateway: form\nmessage: {type: 0, body: {msg: clock}}\nrecvIDs: [u00001]\n");
    daemon.hear("the provider's clock is not ours");
    daemon.hear(" completed: ");
    assert_eq!(counts(office.compare("clock", "clock")), BTreeMap::from([("accepted".to_owned(), 1)]));
    // An unregistered sender fails the run; a wrong secret fails nobody.
    office.faults(json!({}));
    office.write(
        "sender",
        "gateway: form\nmessage: {from: nobody, type: 0, body: {msg: sender}}\nrecvIDs: [u00001]\n",
    );
    daemon.hear("nobody not register");
    assert_eq!(counts(office.compare("sender", "sender")), BTreeMap::from([("failed 414".to_owned(), 1)]));
    office.write("wrong", "gateway: wrong\nmessage: {type: 0, body: {msg: wrong}}\nrecvIDs: [u00001]\n");
    daemon.hear("checksum");
    daemon.stop();
    assert_eq!(office.taken("wrong"), BTreeMap::new());
    assert_eq!(office.outcomes("wrong"), BTreeMap::new());
}

#[test]
fn nothing_goes_past_a_suppression_unless_that_is_meant() {
    let office = Office::open(GATEWAYS);
    office.desk.serve().stop();
    office.desk.ends(&["suppress", "add", "u00007", "--why", "asked for it"], 0);
    let all = "gateway: json\nmessage: {type: 0, body: {msg: MARK}}\nisSendAll: true\n";
    office.write("held", &all.replace("MARK", "held"));
    let meant = format!("{}delivery: {{ignoreSuppressions: true}}\n", all.replace("MARK", "meant"));
    office.write("meant", &meant);
    let daemon = office.desk.serve();
    daemon.hear("somebody is suppressed");
    office.desk.until_newest("meant", |state, _| state == "completed");
    daemon.stop();
    assert_eq!(office.taken("held"), BTreeMap::new());
    assert_eq!(office.outcomes("meant"), BTreeMap::from([("*".to_owned(), "accepted".to_owned())]));
    assert_eq!(office.taken("meant").len(), 2_000);
}

#[test]
fn an_author_may_accept_duplicates_and_nobody_can_ask_for_what_was_not_told() {
    let office = Office::open(GATEWAYS);
    office.faults(json!({"dropAnswer": {"times": 1}}));
    let campaign = "gateway: json\nmessage: {type: 0, body: {msg: again}}\nrecvIDs: [u00001]\n";
    office.write("again", &format!("{campaign}delivery: {{onUnknown: resend}}\n"));
    let daemon = office.desk.serve();
    office.desk.until_newest("again", |state, accepted| state == "completed" && accepted == 1);
    // That is what was accepted with it.
    assert_eq!(office.taken("again"), BTreeMap::from([("u00001".to_owned(), 2)]));
    daemon.stop();
    let schedules = "schedules: [{at: 2099-11-11T09:00}]\n";
    let asking = format!("{campaign}delivery: {{onUnknown: reconcile}}\n{schedules}");
    office.desk.write("campaigns/asking.yaml", &asking);
    let said = office.desk.ends(&["check"], 3);
    assert!((said.out + &said.err).contains("onUnknown"));
}
