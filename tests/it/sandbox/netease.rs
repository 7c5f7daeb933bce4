//! NetEase's side of the sandbox, asked by hand: what its documentation tells, and the switches for what it leaves open.

use std::sync::Arc;

use campaignd::{
    clock::{Clock, SystemClock},
    gateway::netease::signer::check_sum,
    sandbox::{
        Faults, Filter, Options, World,
        netease::{APP, Request},
        world::Outcome,
    },
};
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded;charset=utf-8";

struct Asked {
    world: Arc<World>,
}

impl Asked {
    fn new(netease: Value) -> Asked {
        Asked::under(json!({"netease": netease}))
    }

    fn under(faults: Value) -> Asked {
        let world = World::new(&Options { users: 12, ..Options::default() }, Arc::new(SystemClock::new()));
        world.set_faults(serde_json::from_value::<Faults>(faults).unwrap());
        Asked { world: Arc::new(world) }
    }

    async fn post(&self, path: &str, content_type: &str, body: &str) -> Value {
        self.post_as(None, path, content_type, body).await
    }

    async fn post_as(&self, request_id: Option<&str>, path: &str, content_type: &str, body: &str) -> Value {
        let time = SystemClock::new().now().as_second().to_string();
        let request = Request {
            method: "POST".to_owned(),
            path: format!("/nimserver/{path}.action"),
            content_type: Some(content_type.to_owned()),
            app_key: Some(APP.to_owned()),
            nonce: Some("abc".to_owned()),
            check_sum: Some(check_sum(APP, "abc", &time)),
            cur_time: Some(time),
            request_id: request_id.map(str::to_owned),
        };
        match self.world.handle_netease(request, body.to_owned().into()).await {
            Outcome::Answered(response) => serde_json::from_slice(&response.body).unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    /// A form's code and description.
    async fn form(&self, path: &str, body: &str) -> String {
        let answer = self.post(path, FORM, body).await;
        format!("{} {}", answer["code"], answer["desc"].as_str().unwrap_or_default()).trim().to_owned()
    }

    fn copies(&self) -> usize {
        let mut copies = 0;
        self.world.received_by_netease(&Filter::default(), None, |_| copies += 1);
        copies
    }
}

#[tokio::test]
async fn accounts_are_created_once_and_in_lower_case() {
    let asked = Asked::new(json!({}));
    let answer = asked.post("user/create", FORM, "accid=New_One&name=N&token=t").await;
    assert_eq!(answer, json!({"code": 200, "info": {"accid": "new_one", "name": "N", "token": "t"}}));
    assert_eq!(asked.form("user/create", "accid=NEW_ONE").await, "414 already register");
    assert_eq!(asked.form("user/create", "accid=u00001").await, "414 already register");
    assert_eq!(asked.form("user/create", "accid=no+spaces").await, "414 bad accid");
    assert_eq!(asked.form("user/create", "").await, "414 accid is empty");
    let send = "from=notice&ope=0&to=new_one&type=0&body=%7B%22msg%22%3A%22x%22%7D";
    assert_eq!(asked.form("msg/sendMsg", send).await, "200");
    assert_eq!(asked.copies(), 1);
}

#[tokio::test]
async fn a_broadcast_is_listed_until_it_is_deleted() {
    let asked = Asked::new(json!({}));
    let answer = asked.post("msg/broadcastMsg", FORM, "body=x&isOffline=true").await;
    let id = answer["msg"]["broadcastId"].to_string();
    let by_id = format!("broadcastId={id}");
    assert_eq!(asked.form("history/queryBroadcastMsgById", &by_id).await, "200");
    assert_eq!(asked.form("history/delBroadcastMsgById", &by_id).await, "200");
    for path in ["history/queryBroadcastMsgById", "history/delBroadcastMsgById"] {
        assert_eq!(asked.form(path, &by_id).await, "404");
    }
}

#[tokio::test]
async fn what_leaves_no_trace_on_one_side_is_read_back_by_whoever_asks_for_such() {
    let asked = Asked::new(json!({}));
    let send = "from=notice&ope=0&to=u00001&type=0&body=%7B%22msg%22%3A%22x%22%7D";
    let session = "from=notice&to=u00001&begintime=0&endtime=9999999999999&limit=100";
    let sizes = async || {
        let with = format!("{session}&includeNoSenseMsg=true");
        let [without, with] = [session, &with].map(|form| asked.post("history/querySessionMsg", FORM, form));
        [without.await["size"].as_i64().unwrap(), with.await["size"].as_i64().unwrap()]
    };
    for side in ["msgSenderNoSense=1", "msgReceiverNoSense=1"] {
        assert_eq!(asked.form("msg/sendMsg", &format!("{send}&{side}")).await, "200");
    }
    assert_eq!(sizes().await, [0, 2]);
    let answer = asked.post("msg/sendMsg", FORM, send).await;
    assert_eq!(sizes().await, [1, 3]);
    // One of the two deletes it.
    let id = &answer["data"]["msgid"];
    let delete =
        format!("deleteMsgid={id}&timetag={}&type=13&from=notice&to=u00001", answer["data"]["timetag"]);
    assert_eq!(asked.form("msg/delMsgOneWay", &delete).await, "200");
    assert_eq!(sizes().await, [0, 3]);
}

#[tokio::test]
async fn what_is_too_long_has_the_code_that_is_wanted() {
    let long = format!("fromAccid=notice&toAccids=%5B%22u00001%22%5D&type=0&body={}", "x".repeat(5_001));
    let many = format!("fromAccid=notice&toAccids=[{}\"u00001\"]&type=0&body=x", "\"u00002\",".repeat(500));
    for (netease, codes) in
        [(json!({}), ["414", "414"]), (json!({"tooLong": 405, "tooMany": 419}), ["405", "419"])]
    {
        let asked = Asked::new(netease);
        let told = [asked.form("msg/sendBatchMsg", &long).await, asked.form("msg/sendBatchMsg", &many).await];
        assert!(told.iter().zip(codes).all(|(told, code)| told.starts_with(code)), "{told:?}");
    }
}

/// What `sendMsgToAll` with these switches answers to a JSON request, and how many got it.
async fn to_all(switches: Value, body: Value) -> String {
    let asked = Asked::new(json!({"toAll": switches}));
    let answer = asked.post("msg/sendMsgToAll", "application/json", &body.to_string()).await;
    format!("{} {}", answer["code"], asked.copies())
}

#[tokio::test]
async fn the_application_has_a_switch_for_each_open_question() {
    let text = json!({"type": 0, "body": "{\"msg\":\"hello\"}"});
    let with = |more: Value| {
        let mut request = text.clone();
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let check = async |switches: Value, request: Value, expected: &str| {
        assert_eq!(to_all(switches.clone(), request.clone()).await, expected, "{switches} {request}");
    };
    // Nobody is named: everyone, nobody, or an error.
    check(json!({}), text.clone(), "200 12").await;
    check(json!({"emptyAudience": "none"}), text.clone(), "200 0").await;
    check(json!({"emptyAudience": "refused"}), text.clone(), "414 0").await;
    // Two selectors: both, or either.
    let selected = with(json!({"areaid": "370100", "enterptypeid": "3"}));
    check(json!({}), selected.clone(), "200 2").await;
    check(json!({"eitherSelector": true}), selected, "200 8").await;
    // How long, how written.
    check(json!({"bodyLimit": 15}), text.clone(), "200 12").await;
    check(json!({"bodyLimit": 14}), text.clone(), "414 0").await;
    check(json!({"strictType": true}), with(json!({"type": "0"})), "414 0").await;
    check(json!({}), with(json!({"type": "0"})), "200 12").await;
    check(json!({"encodings": "json"}), text.clone(), "200 12").await;
    check(json!({"encodings": "form"}), text.clone(), "414 0").await;
    // Whoever is not registered is dropped without a word.
    let two = with(json!({"two": [{"appregisterid": "u00001"}, "u00002", {"appregisterid": "ghost"}]}));
    check(json!({}), two, "200 2").await;
}

#[tokio::test]
async fn a_request_waits_for_its_twin_or_is_refused() {
    let send = "from=notice&ope=0&to=u00001&type=0&body=%7B%22msg%22%3A%22x%22%7D";
    for (repeated_is_431, codes, copies) in [(false, [200, 200], 1), (true, [200, 431], 1)] {
        let asked = Asked::under(json!({
            "hang": {"forMs": 50, "times": 1},
            "netease": {"repeatedIs431": repeated_is_431},
        }));
        let one = || asked.post_as(Some("5f0c7c1e"), "msg/sendMsg", FORM, send);
        let (first, second) = tokio::join!(one(), one());
        assert_eq!([&first["code"], &second["code"]], codes);
        assert_eq!(asked.copies(), copies);
    }
}
