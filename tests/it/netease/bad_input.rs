//! What people and servers get wrong, each told by its name: before anything is sent where it can be known then, as an
//! outcome where it cannot. The daemon and the server are processes.

use serde_json::{Value, json};

use super::office::Office;
use crate::desk::{Desk, Process};

/// Both kinds, with the settings behind the address.
fn gateways(rest: &str) -> String {
    format!(
        "  own:\n    kind: netease\n    url: http://127.0.0.1:PORT/nimserver\n    appKey: sandbox\n    defaults: \
         {{from: notice}}\n{rest}  to-all:\n    kind: netease-send-to-all\n    url: \
         http://127.0.0.1:PORT/nimserver/msg/sendMsgToAll.action\n    encoding: json\n    appKey: sandbox\n{rest}"
    )
}

const RIGHT: &str = "    appSecret: {file: secret}\n";

/// A campaign of each kind, called like it, to one person.
fn write_both(office: &Office, message: &str) {
    for gateway in ["own", "to-all"] {
        let campaign = format!("gateway: {gateway}\nmessage: {message}\nrecvIDs: [u00001]\n");
        office.write(gateway, &campaign.replace("MARK", gateway));
    }
}

/// Waits for the end of both, and tells each one's outcome with its reason.
fn ends(office: &Office) -> [String; 2] {
    ["own", "to-all"].map(|gateway| {
        office.desk.until_newest(gateway, |state, _| ["completed", "failed"].contains(&state));
        office.compare(gateway, gateway);
        let row = &office.desk.json(&["deliveries", "--campaign", gateway])[0];
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("outcome"), text("reason_code"), text("reason")).trim().to_owned()
    })
}

fn serve_both(office: &Office, message: &str) -> Process {
    write_both(office, message);
    office.desk.serve()
}

/// What `check` says of a campaign on one gateway of these settings, and how it exits.
fn checked(settings: &str, campaign: &str) -> (i32, String) {
    let schedules = "timezone: Asia/Shanghai\nschedules: [{at: 2099-11-11T09:00}]\n";
    let desk =
        Desk::new(&format!("gateways:\n  g: {settings}\n"), &[("c.yaml", &format!("{campaign}{schedules}"))]);
    let said = desk.say(&["check"]);
    (said.code, said.out + &said.err)
}

const OWN: &str =
    "{kind: netease, url: \"https://a/nimserver\", appKey: a, appSecret: {env: S}, defaults: {from: bot}}";
const TO_ALL: &str = "{kind: netease-send-to-all, url: \"https://a/x\", auth: none, encoding: json, body: string, bodyMaxChars: 200}";

#[test]
fn a_wrong_secret_uses_nobody_up_and_is_told() {
    let office = Office::open(&gateways("    appSecret: {file: wrong}\n"));
    let daemon = serve_both(&office, "{type: 0, body: {msg: MARK}}");
    for gateway in ["own", "to-all"] {
        office.desk.until_newest(gateway, |state, _| state == "paused");
        let run = office.desk.review().newest_run(gateway).unwrap().unwrap();
        let shown = office.desk.ends(&["show", &run], 0).out;
        assert!(shown.contains("breaker") && shown.contains("checksum"), "{shown}");
        assert_eq!(office.taken(gateway).len() + office.outcomes(gateway).len(), 0);
    }
    assert!(office.desk.ends(&["status"], 0).out.contains("checksum"));
    // With the right one it goes on.
    daemon.stop();
    office.desk.write("wrong", "sandbox\n");
    let daemon = office.desk.serve();
    assert_eq!(ends(&office), ["accepted", "accepted"]);
    daemon.stop();
}

#[test]
fn a_clock_an_hour_off_is_followed() {
    let office = Office::open(&gateways(RIGHT));
    office.faults(json!({"netease": {"clockAheadS": -3_600}}));
    let daemon = serve_both(&office, "{type: 0, body: {msg: MARK}}");
    let told = daemon.hear("the provider's clock is not ours; it is followed");
    assert!(told.contains("offset_s=-36") || told.contains("offset_s=-35"), "{told}");
    assert_eq!(ends(&office), ["accepted", "accepted"]);
    daemon.stop();
}

#[test]
fn json_that_a_form_endpoint_does_not_see_is_told_with_the_encoding() {
    // Where it can be known: this kind's API takes forms alone, and a form holds texts.
    let with_encoding = OWN.replace("defaults", "encoding: json, defaults");
    let (code, told) = checked(&with_encoding, "message: {type: 0, body: {msg: x}}\nrecvIDs: [u1]\n");
    assert!(code == 3 && told.contains("encoding"), "{told}");
    let object = TO_ALL.replace("json", "form").replace("string", "object");
    let (code, told) = checked(&object, "message: {type: 0, body: {msg: x}}\nrecvIDs: [u1]\n");
    assert!(code == 3 && told.contains("a form holds texts alone"), "{told}");
    // Where it cannot: the documentation's example posts JSON to an address that takes forms.
    let office = Office::open(&gateways(RIGHT).replace("sendMsgToAll.action", "sendMsg.action"));
    let daemon = serve_both(&office, "{from: notice, type: 0, body: {msg: MARK}}");
    let [own, to_all] = ends(&office);
    assert_eq!(own, "accepted");
    let expected = "failed 414 from is empty; it was sent as JSON: does this endpoint want `encoding: form`?";
    assert_eq!(to_all, expected);
    daemon.stop();
}

#[test]
fn a_page_of_a_proxy_is_no_answer() {
    let office = Office::open(&gateways(&format!("{RIGHT}    timeout: 3s\n")));
    // A page that says nothing of the request, and one that came in the place of an answer.
    for (status, own_code) in [(502, "http502"), (200, "unreadable")] {
        let path = "/nimserver/msg/";
        office.faults(json!({"httpStatus": {"status": status, "times": 9, "path": path}}));
        let gateway = "to-all";
        let id = format!("page-{status}");
        let campaign =
            format!("gateway: {gateway}\nmessage: {{type: 0, body: {{msg: {id}}}}}\nrecvIDs: [u00001]\n");
        office.write(&id, &campaign);
        let daemon = office.desk.serve();
        office.desk.until_newest(&id, |state, _| state == "completed");
        let row: Value = office.desk.json(&["deliveries", "--campaign", &id])[0].clone();
        assert_eq!(row["outcome"], "unknown");
        assert_eq!(row["reason_code"], own_code);
        assert!(row["reason"].as_str().unwrap().starts_with(&format!("HTTP {status}: ")), "{row}");
        daemon.stop();
    }
    // One that tells that there is no such address refuses the request itself.
    office.faults(json!({"httpStatus": {"status": 404, "times": 9}}));
    let daemon = serve_both(&office, "{type: 0, body: {msg: MARK}}");
    for end in ends(&office) {
        assert_eq!(end, "failed http404 HTTP 404: no such call: is the gateway's url right?");
    }
    daemon.stop();
}

#[test]
fn a_code_that_is_a_text_is_a_code() {
    let office = Office::open(&gateways(RIGHT));
    office.faults(json!({"netease": {"codeAsText": true}}));
    let daemon = serve_both(&office, "{type: 0, body: {msg: MARK}}");
    assert_eq!(ends(&office), ["accepted", "accepted"]);
    daemon.stop();
}

#[test]
fn a_body_that_is_one_character_too_long_in_chinese_is_a_problem() {
    // `{"msg":""}` are ten.
    let long = |count: usize| {
        format!("message: {{from: bot, type: 0, body: {{msg: {}}}}}\nrecvIDs: [u1]\n", "春".repeat(count))
    };
    for (settings, most) in [(OWN, 5_000), (TO_ALL, 200)] {
        assert_eq!(checked(settings, &long(most - 10)).0, 0);
        let (code, told) = checked(settings, &long(most - 9));
        assert_eq!(code, 3);
        assert!(
            told.contains(&format!("{} of {most}", most + 1)) || told.contains(&(most + 1).to_string()),
            "{told}"
        );
        assert!(told.contains("message.body"), "{told}");
        // A face counts for two, as the provider counts.
        let (code, _) = checked(settings, &long(most - 11).replacen('春', "春😀", 1));
        assert_eq!(code, 3);
    }
}

#[test]
fn accounts_in_upper_case_are_those_in_lower_case() {
    let office = Office::open(&gateways(RIGHT));
    let both = "gateway: own\nmessage: {type: 0, body: {msg: case}}\nrecvIDs: [U00001, u00001, U00002]\n";
    office.write("case", both);
    let previewed = office.desk.ends(&["preview", "case"], 0).out;
    assert!(previewed.contains("toAccids=%5B%22u00001%22%2C%22u00002%22%5D"), "{previewed}");
    let daemon = office.desk.serve();
    office.desk.until_newest("case", |state, accepted| state == "completed" && accepted == 2);
    assert_eq!(office.compare("case", "case").into_keys().collect::<Vec<_>>(), ["u00001", "u00002"]);
    daemon.stop();
    // What no account can be called is a problem.
    let (code, told) = checked(OWN, "message: {type: 0, body: {msg: x}}\nrecvIDs: [\"u 1\"]\n");
    assert!(code == 3 && told.contains("u 1"), "{told}");
}

#[test]
fn a_sender_who_is_not_registered_fails_the_run_by_name() {
    let office = Office::open(&gateways(RIGHT));
    let daemon = serve_both(&office, "{from: nobody, type: 0, body: {msg: MARK}}");
    assert_eq!(ends(&office), ["failed 414 nobody not register", "failed 414 nobody not register"]);
    let run = office.desk.review().newest_run("own").unwrap().unwrap();
    let shown = office.desk.ends(&["show", &run], 0).out;
    assert!(shown.contains("failed") && shown.contains("nobody not register"), "{shown}");
    daemon.stop();
}
