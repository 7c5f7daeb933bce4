//! The calls by which messages are looked up, as running servers answered them.

use std::time::Duration;

use campaignd::sandbox::Profile;
use serde_json::{Value, json};

use super::asking::{Desk, pull, text};

const BOTH: [Profile; 2] = [Profile::Main, Profile::Patch16];
const OA: i64 = 1_400;

fn notification(recipient: &str) -> Value {
    let content = json!({"notificationName": "N", "notificationType": 1, "text": "<t>"});
    text(json!({"sendID": "announcer", "contentType": OA, "content": content, "recvIDs": [recipient]}))
}

#[tokio::test(start_paused = true)]
async fn places_and_times_of_all_kinds_of_conversations() {
    for profile in BOTH {
        let desk = Desk::new(profile).await;
        desk.batch(&["u00001"]).await;
        let first = desk.now();
        tokio::time::sleep(Duration::from_secs(7)).await;
        desk.batch(&["u00001", "A"]).await;
        desk.data("/msg/batch_send_msg", notification("nobody")).await;
        desk.data("/msg/send_msg", text(json!({"sessionType": 3, "groupID": "g1001"}))).await;
        let ids = ["si_notice_u00001", "si_A_notice", "sn_announcer_nobody", "sg_g1001", "si_notice_nobody"];
        let seq = |seq: i64, at: i64| json!({"maxSeq": seq, "hasReadSeq": 0, "maxSeqTime": at});
        let now = first + 7_000;
        let expected = json!({
            "si_notice_u00001": seq(2, now),
            // Unregistered, so nothing was sent: a positive nothing.
            "si_A_notice": seq(0, 0),
            "sn_announcer_nobody": seq(1, now),
            "sg_g1001": seq(1, now),
            "si_notice_nobody": seq(0, 0),
        });
        assert_eq!(desk.seqs("notice", &ids).await, expected);
        let path = "/msg/get_conversations_has_read_and_max_seq";
        assert_eq!(desk.refusal(path, json!({"userID": "", "conversationIDs": []})).await.0, 1001);
        let own = desk.data("/msg/newest_seq", json!({"userID": "u00001"})).await;
        assert_eq!(own["maxSeqs"], json!({"si_notice_u00001": 2, "sg_g1001": 1}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pull_tells_those_who_may_read_and_is_silent_to_all_others() {
    let desk = Desk::new(Profile::Main).await;
    desk.batch(&["u00001"]).await;
    desk.data("/msg/batch_send_msg", notification("u00001")).await;
    desk.data("/msg/send_msg", text(json!({"sessionType": 3, "groupID": "g1001", "sendID": "imAdmin"})))
        .await;
    for (user, conversation, seen) in [
        ("notice", "si_notice_u00001", true),
        ("u00001", "si_notice_u00001", true),
        ("imAdmin", "si_notice_u00001", false),
        ("announcer", "sn_announcer_u00001", false),
        ("imAdmin", "sn_announcer_u00001", false),
        ("u00001", "sn_announcer_u00001", true),
        ("notice", "sg_g1001", true),
        ("u00011", "sg_g1001", false),
        // It sent it, and is no member.
        ("imAdmin", "sg_g1001", false),
        ("notice", "si_notice_nobody", false),
    ] {
        let expected = seen.then(|| vec![1]);
        assert_eq!(desk.places(user, conversation).await, expected, "{user} {conversation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pulled_message_is_what_was_sent() {
    let desk = Desk::new(Profile::Patch16).await;
    let change = json!({"recvID": "u00001", "sendTime": 17, "ex": "{\"k\":\"é\"}", "senderNickname": "N",
        "senderFaceURL": "F", "senderPlatformID": 2, "content": {"z": 1, "content": "<hi>"}});
    let answer = desk.data("/msg/send_msg", text(change)).await;
    let data = desk.data("/msg/pull_msg_by_seq", pull("notice", "si_notice_u00001", 1, 1, 10)).await;
    let there = &data["msgs"]["si_notice_u00001"];
    let message = json!({
        "sendID": "notice", "recvID": "u00001", "groupID": "", "clientMsgID": answer["clientMsgID"],
        "serverMsgID": answer["serverMsgID"], "senderPlatformID": 2, "senderNickname": "N",
        "senderFaceURL": "F", "sessionType": 1, "msgFrom": 200, "contentType": 101,
        // {"content":"\u003chi\u003e","z":1}
        "content": "eyJjb250ZW50IjoiXHUwMDNjaGlcdTAwM2UiLCJ6IjoxfQ==",
        "seq": 1, "sendTime": 17, "createTime": desk.now(), "status": 2, "isRead": false, "options": {},
        "offlinePushInfo": null, "atUserIDList": null, "attachedInfo": "", "ex": "{\"k\":\"é\"}",
    });
    assert_eq!(there, &json!({"Msgs": [message], "isEnd": true, "endSeq": 0}));
    assert_eq!(data["notificationMsgs"], Value::Null);
    // Taken back, it keeps its place and its time.
    let revoke = json!({"conversationID": "si_notice_u00001", "seq": 1, "userID": "imAdmin"});
    desk.data("/msg/revoke_msg", revoke.clone()).await;
    let data = desk.data("/msg/pull_msg_by_seq", pull("notice", "si_notice_u00001", 1, 1, 10)).await;
    let message = &data["msgs"]["si_notice_u00001"]["Msgs"][0];
    assert_eq!((&message["contentType"], &message["sendTime"]), (&json!(2_101), &json!(17)));
    assert_eq!(
        desk.refusal("/msg/revoke_msg", json!({"seq": 9, "conversationID": "x", "userID": ""})).await.0,
        1004
    );
}

#[tokio::test(start_paused = true)]
async fn a_range_longer_than_its_number_shows_its_newest() {
    let desk = Desk::new(Profile::Main).await;
    for _ in 0..12 {
        desk.batch(&["u00001"]).await;
    }
    for (begin, end, num, order, expected, is_end) in [
        (1, 12, 5, 1, Some(8..=12), false),
        (1, 12, 100, 0, Some(1..=12), true),
        (3, 7, 100, 0, Some(3..=7), false),
        (3, 99, 2, 0, Some(11..=12), true),
        (13, 20, 100, 0, None, false),
        (5, 4, 100, 0, None, false),
        (1, 12, 0, 0, None, false),
    ] {
        let mut body = pull("notice", "si_notice_u00001", begin, end, num);
        body["order"] = json!(order);
        let data = desk.data("/msg/pull_msg_by_seq", body.clone()).await;
        let there = data["msgs"].get("si_notice_u00001");
        let seqs = there.map(|there| {
            assert_eq!(there["isEnd"], is_end, "{body}");
            let messages = there["Msgs"].as_array().unwrap();
            messages.iter().map(|message| message["seq"].as_i64().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(seqs, expected.map(Iterator::collect), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_single_messages_that_got_through_have_a_status() {
    let desk = Desk::new(Profile::Main).await;
    let status = async |operation_id: &str| {
        let super::asking::End::Answered(answer) =
            desk.end_of(operation_id, "/msg/check_msg_is_send_success", json!({})).await
        else {
            panic!("no answer")
        };
        answer["data"]["status"].as_i64().unwrap()
    };
    desk.end_of("one", "/msg/send_msg", text(json!({"recvID": "u00001"}))).await;
    desk.end_of("refused", "/msg/send_msg", text(json!({"recvID": "nobody"}))).await;
    desk.end_of("many", "/msg/batch_send_msg", text(json!({"recvIDs": ["u00001"]}))).await;
    desk.faults(json!({"dropAnswer": {"times": 1}}));
    desk.end_of("cut", "/msg/send_msg", text(json!({"recvID": "u00001"}))).await;
    for (operation_id, expected) in [("one", 2), ("refused", 0), ("many", 0), ("never", 0), ("cut", 2)] {
        assert_eq!(status(operation_id).await, expected, "{operation_id}");
    }
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(status("one").await, 0, "a day later");
}

#[tokio::test(start_paused = true)]
async fn a_search_is_late_and_sees_no_notifications() {
    let desk = Desk::new(Profile::Main).await;
    desk.batch(&["u00001", "u00002"]).await;
    desk.data("/msg/batch_send_msg", notification("u00001")).await;
    let search = async |change: Value| {
        let mut body = json!({"pagination": {"pageNumber": 1, "showNumber": 10}});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let data = desk.data("/msg/search_msg", body).await;
        let rows = data["chatLogs"].as_array().cloned().unwrap_or_default();
        assert_eq!(data["chatLogs"].is_null(), rows.is_empty());
        let id = |row: &Value| row["chatLog"]["recvID"].as_str().unwrap().to_owned();
        (rows.iter().map(id).collect::<Vec<_>>(), data["chatLogsNum"].as_i64().unwrap())
    };
    let nobody: Vec<String> = Vec::new();
    assert_eq!(search(json!({})).await, (nobody.clone(), 0), "not yet");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let both = ["u00001".to_owned(), "u00002".to_owned()];
    for (change, expected, count) in [
        (json!({}), &both[..], 2),
        (json!({"recvID": "u00002"}), &both[1..], 1),
        (json!({"sendID": "announcer"}), &[], 0),
        (json!({"sendTime": "2026-11-11"}), &both[..], 2),
        (json!({"sendTime": "2026-11-10"}), &[], 0),
        (json!({"pagination": {"pageNumber": 2, "showNumber": 1}}), &both[1..], 2),
        (json!({"pagination": null}), &[], 2),
    ] {
        assert_eq!(search(change.clone()).await, (expected.to_vec(), count), "{change}");
    }
    assert_eq!(desk.refusal("/msg/search_msg", json!({"sendTime": "yesterday"})).await.0, 1001);
}
