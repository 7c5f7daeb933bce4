//! Requests to the byte, as `preview` shows them.

use crate::desk::Desk;

/// A gateway of kind `netease-send-to-all` with these settings besides, and one campaign.
#[track_caller]
fn preview(settings: &str, campaign: &str) -> serde_json::Value {
    let settings = format!(
        "gateways:\n  community:\n    kind: netease-send-to-all\n    url: \
         https://im.example.com/nimserver/msg/sendMsgToAll.action\n    appKey: 0a1b2c3d\n    appSecret: \
         {{env: S}}\n{settings}"
    );
    let schedules = "timezone: Asia/Shanghai\nschedules: [{at: 2099-11-11T09:00}]\n";
    let desk = Desk::new(&settings, &[("c.yaml", &format!("{campaign}{schedules}"))]);
    let requests = desk.json(&["preview", "c"]);
    let [request] = requests.as_array().unwrap().as_slice() else { panic!("{requests}") };
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], "https://im.example.com/nimserver/msg/sendMsgToAll.action");
    let headers = request["headers"].as_object().unwrap();
    assert_eq!(headers["AppKey"], "0a1b2c3d");
    for masked in ["Nonce", "CurTime", "CheckSum"] {
        assert_eq!(headers[masked], "***");
    }
    request.clone()
}

/// The body, as it goes over the wire.
#[track_caller]
fn body(settings: &str, campaign: &str) -> String {
    let request = preview(settings, campaign);
    let (body, content_type) = (&request["body"], request["headers"]["Content-Type"].as_str().unwrap());
    match body.as_str() {
        Some(form) => {
            assert_eq!(content_type, "application/x-www-form-urlencoded;charset=utf-8");
            form.to_owned()
        }
        None => {
            assert_eq!(content_type, "application/json; charset=utf-8");
            body.to_string()
        }
    }
}

const SELECTED: &str = "message: {from: campaign_bot, areaid: \"370700\", enterptypeid: \"3\", type: 0, \
     body: {msg: hello}, markRead: 0}\n";

#[test]
fn selectors_in_a_form() {
    let expected = "from=campaign_bot&areaid=370700&enterptypeid=3&type=0&body=%7B%22msg%22%3A%22hello%22%7D\
         &markRead=0";
    assert_eq!(body("    encoding: form\n", SELECTED), expected);
}

#[test]
fn a_list_in_json() {
    let campaign = "message: {from: campaign_bot, type: 0, body: {msg: hello}}\nrecvIDs: [u1001]\n";
    let expected =
        r#"{"body":"{\"msg\":\"hello\"}","from":"campaign_bot","two":[{"appregisterid":"u1001"}],"type":0}"#;
    assert_eq!(body("    encoding: json\n", campaign), expected);
}

/// The first request of the documentation: text, a sender, an empty extension.
#[test]
fn the_documentations_text() {
    let campaign = "message: {from: adminuuid1, type: 0, body: '{\"msg\":\"hello\"}', ext: '\"\"', markRead: 0}\n\
         isSendAll: true\n";
    let json = r#"{"body":"{\"msg\":\"hello\"}","ext":"\"\"","from":"adminuuid1","markRead":0,"type":0}"#;
    assert_eq!(body("    encoding: json\n", campaign), json);
    let doubly = r#"{"body":"\"{\\\"msg\\\":\\\"hello\\\"}\"","ext":"\"\"","from":"adminuuid1","markRead":0,"type":0}"#;
    assert_eq!(body("    encoding: json\n    body: doubleEncoded\n", campaign), doubly);
}

/// The second request of the documentation: a content card as an object, `type` as a text, `two[]`.
#[test]
fn the_documentations_content_card() {
    let campaign = "message:\n  type: 2\n  body: {contentinfoid: \"1\", contenttitle: 春季, covermedia: \
         \"https://example.com/a.png\", contentcode: 1022, clicks: 4, memo: null}\nrecvIDs: \
         [531c506e48a340e5bff7eb72c6504250, yucx_test_10400]\n";
    let settings = "    encoding: json\n    body: object\n    bodyMaxChars: off\n    scalars: string\n";
    let expected = concat!(
        r#"{"body":{"clicks":4,"contentcode":1022,"contentinfoid":"1","contenttitle":"春季","#,
        r#""covermedia":"https://example.com/a.png","memo":null},"#,
        r#""two":[{"appregisterid":"531c506e48a340e5bff7eb72c6504250"},"#,
        r#"{"appregisterid":"yucx_test_10400"}],"type":"2"}"#
    );
    assert_eq!(body(settings, campaign), expected);
    // The same in a form: lists are JSON text in one field.
    let form = body("    encoding: form\n    bodyMaxChars: off\n", campaign);
    assert!(form.starts_with("type=2&body=%7B%22clicks%22%3A4"), "{form}");
    let two = "&two=%5B%7B%22appregisterid%22%3A%22531c506e48a340e5bff7eb72c6504250%22%7D%2C%7B%22\
         appregisterid%22%3A%22yucx_test_10400%22%7D%5D";
    assert!(form.ends_with(two), "{form}");
}

#[test]
fn another_endpoint_lists_plain_ids_elsewhere_and_wants_a_header() {
    let settings = "    encoding: json\n    recipients: {field: to, item: $id}\n    headers: {X-Key: {env: K}, X-App: news}\n";
    let campaign = "message: {type: 0, body: {}}\nrecvIDs: [b, a]\n";
    let request = preview(settings, campaign);
    assert_eq!(request["body"].to_string(), r#"{"body":"{}","to":["a","b"],"type":0}"#);
    assert_eq!((&request["headers"]["X-Key"], &request["headers"]["X-App"]), (&"***".into(), &"news".into()));
}

#[test]
fn a_test_send_of_a_selected_campaign_names_its_people_and_selects_nobody() {
    let settings = "gateways:\n  community: {kind: netease-send-to-all, url: \"https://im.example.com/x\", \
         encoding: form, auth: none}\n";
    let campaign = format!("{SELECTED}timezone: Asia/Shanghai\nschedules: [{{at: 2099-11-11T09:00}}]\n");
    let desk = Desk::new(settings, &[("c.yaml", &campaign)]);
    let said = desk.ends(&["preview", "c", "--to", "u1"], 0);
    assert!(said.out.contains("&two=%5B%7B%22appregisterid%22%3A%22u1%22%7D%5D"), "{}", said.out);
    assert!(!said.out.contains("areaid") && !said.out.contains("AppKey"), "{}", said.out);
}

#[test]
fn a_new_campaign_of_either_kind_checks_clean() {
    for kind in [
        "{kind: netease, url: \"https://im.example.com/nimserver\", appKey: a, appSecret: {env: S}}",
        "{kind: netease-send-to-all, url: \"https://im.example.com/x\", encoding: json, auth: none}",
    ] {
        let desk = Desk::new(&format!("gateways: {{n: {kind}}}\n"), &[]);
        desk.ends(&["new", "short"], 0);
        desk.ends(&["new", "long", "--gateway", "n", "--all"], 0);
        desk.ends(&["check", "--strict"], 0);
    }
}
