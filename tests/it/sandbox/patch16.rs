//! What the released line does otherwise than the main line.

use std::time::Duration;

use campaignd::sandbox::Profile;
use serde_json::{Value, json};

use super::asking::{Desk, text};

const BATCH: &str = "/msg/batch_send_msg";
const SEND: &str = "/msg/send_msg";

async fn opt(desk: &Desk, id: &str, option: u8) {
    desk.data("/user/set_global_msg_recv_opt", json!({"userID": id, "globalRecvMsgOpt": option})).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_word_for_word() {
    let long = |bytes: usize| json!({"recvID": "u00001", "content": {"content": "x".repeat(bytes)}});
    let cases: [(Value, [(i64, &str); 2]); 10] = [
        (json!({"recvID": "nobody"}), [(1004, "userID not found"); 2]),
        (json!({"recvID": "u00001", "sendID": "nobody"}), [(1004, "userID not found"), (0, "")]),
        (
            json!({"recvID": "u00001", "sessionType": 4}),
            [(0, ""), (1001, "notification msg must have correct session type and content type")],
        ),
        (json!({"recvID": "u00009", "sendID": "notice"}), [(1302, ""), (1302, "BlockedByPeer")]),
        (json!({"recvID": "u00009", "sendID": "imAdmin"}), [(0, ""); 2]),
        (
            json!({"sessionType": 3, "groupID": "nowhere"}),
            [(1004, "groupID not found"), (1004, "mongo: no documents in result")],
        ),
        (
            json!({"sessionType": 3, "groupID": "g1001", "sendID": "u00020"}),
            [(1203, ""), (1203, "NotInGroupYetError")],
        ),
        (json!({"recvID": "u00001", "contentType": 118}), [(0, ""), (1001, "")]),
        (
            long(1_000_000),
            [(0, ""), (500, "kafka: invalid configuration (Attempt to produce message larger")],
        ),
        (long(9 << 20), [(0, ""), (8, "grpc: received message larger than max")]),
    ];
    for (index, profile) in [Profile::Main, Profile::Patch16].into_iter().enumerate() {
        let desk = Desk::new(profile).await;
        desk.data("/friend/add_black", json!({"ownerUserID": "u00009", "blackUserID": "notice"})).await;
        for (change, expected) in &cases {
            let (code, words) = expected[index];
            let answer = desk.answer(SEND, text(change.clone())).await;
            let told = answer["errDlt"].as_str().unwrap();
            let fits = told == words || (words.len() > 30 && told.starts_with(words));
            assert!(answer["errCode"] == code && fits, "{profile:?}: {code} {words}: {answer}");
            if code == 0 {
                let modify = answer["data"].as_object().unwrap().contains_key("modify");
                assert_eq!(modify, profile == Profile::Patch16, "{answer}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn opting_out_comes_back_as_a_result_without_ids() {
    let desk = Desk::new(Profile::Patch16).await;
    opt(&desk, "u00001", 1).await;
    let (results, failed) = desk.batch(&["u00001", "u00002"]).await;
    let empty = json!({"serverMsgID": "", "clientMsgID": "", "sendTime": 0, "recvID": "u00001"});
    assert_eq!((&results[0], results.len(), failed.len()), (&empty, 2, 0));
    let single = desk.data(SEND, text(json!({"recvID": "u00001"}))).await;
    let empty = json!({"serverMsgID": "", "clientMsgID": "", "sendTime": 0, "modify": null});
    assert_eq!(single, empty);
    assert_eq!(desk.data("/msg/check_msg_is_send_success", json!({})).await, json!({"status": 2}));
    assert_eq!(desk.fates(), ["u00002 stored"]);
}

#[tokio::test(start_paused = true)]
async fn an_option_sticks_for_those_just_written_to() {
    let desk = Desk::new(Profile::Patch16).await;
    let got = async || !desk.batch(&["u00001"]).await.0[0]["serverMsgID"].as_str().unwrap().is_empty();
    assert!(got().await);
    opt(&desk, "u00001", 1).await;
    assert!(got().await, "it was just written to");
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(!got().await);
    opt(&desk, "u00001", 0).await;
    assert!(!got().await, "it was just refused");
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(got().await);
    // Long after the last message an option counts at once.
    tokio::time::sleep(Duration::from_secs(301)).await;
    opt(&desk, "u00001", 1).await;
    assert!(!got().await);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_unknown_for_a_while() {
    let desk = Desk::new(Profile::Patch16).await;
    desk.data("/user/user_register", json!({"users": [{"userID": "new"}]})).await;
    assert_eq!(desk.batch(&["new"]).await.1, [json!("new")]);
    let known = desk.data("/user/account_check", json!({"checkUserIDs": ["new"]})).await;
    assert_eq!(known["results"][0]["accountStatus"], 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(desk.batch(&["new"]).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_live_side_by_side_and_are_said_again_when_they_are_bad() {
    let (desk, mut other) = (Desk::new(Profile::Patch16).await, Desk::new(Profile::Patch16).await);
    other.world = desk.world.clone();
    let foreign = other.refusal("/msg/get_server_time", json!({})).await;
    // Both worlds have the same seed, so the token is known; of another world it is not.
    assert_eq!(foreign.0, 0);
    other.log_in().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    desk.data("/msg/get_server_time", json!({})).await;
    other.data("/msg/get_server_time", json!({})).await;
    for (token, code) in [("nonsense", 1503), ("eyJa.b.c", 1505)] {
        let request =
            campaignd::sandbox::world::Request { path: BATCH, operation_id: Some("op"), token: Some(token) };
        let campaignd::sandbox::world::Outcome::Answered(answer) =
            desk.world.handle(request, Default::default()).await
        else {
            panic!("no answer")
        };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["errCode"], code);
        assert!(answer["errDlt"].as_str().unwrap().contains(token), "{answer}");
    }
}
