//! Lags, losses and outages, as running servers had them, and the truth under all of them.

use std::time::Duration;

use campaignd::sandbox::Profile;
use serde_json::{Value, json};

use super::asking::{Desk, End, text};

const BATCH: &str = "/msg/batch_send_msg";
const SEND: &str = "/msg/send_msg";

/// `u00001…` up to this number.
fn users(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("u{number:05}")).collect()
}

fn borrowed(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

/// How many of the conversations of `notice` with these have something in them now.
async fn visible(desk: &Desk, ids: &[String]) -> usize {
    let conversations: Vec<String> = ids.iter().map(|id| format!("si_notice_{id}")).collect();
    let seqs = desk.seqs("notice", &borrowed(&conversations)).await;
    conversations.iter().filter(|id| seqs[*id]["maxSeq"] != 0).count()
}

#[tokio::test(start_paused = true)]
async fn each_partition_is_late_by_itself_and_none_overtakes_in_it() {
    let desk = Desk::new(Profile::Main).await;
    let ids = users(400);
    desk.faults(json!({"storeLateMs": 1_000, "partitionLateMs": [0, 0, 0, 60_000]}));
    desk.batch(&borrowed(&ids)).await;
    assert_eq!(visible(&desk, &ids).await, 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = visible(&desk, &ids).await;
    assert!((300..400).contains(&early), "{early}: one partition of eight waits");
    assert_eq!(desk.fates().iter().filter(|fate| fate.ends_with("waiting")).count(), 400 - early);
    // What comes later, when nothing is late any more, still waits behind it.
    desk.faults(json!({}));
    desk.batch(&borrowed(&ids)).await;
    assert_eq!(visible(&desk, &ids).await, early);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(visible(&desk, &ids).await, 400);
    assert!(desk.fates().iter().all(|fate| fate.ends_with("stored")));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_stays_lost_and_is_told_by_the_truth_alone() {
    let desk = Desk::new(Profile::Main).await;
    desk.faults(json!({"loseEvery": 2}));
    let (results, failed) = desk.batch(&["u00001", "u00002"]).await;
    assert_eq!((results.len(), failed.len()), (2, 0));
    assert_eq!(desk.fates(), ["u00001 stored", "u00002 lost"]);
    assert_eq!(visible(&desk, &users(2)).await, 1);
    // A server that is killed loses what was not stored yet; its tokens stay good.
    desk.faults(json!({"storeLateMs": 5_000}));
    desk.batch(&["u00003"]).await;
    desk.faults(json!({"loseWaiting": true}));
    tokio::time::sleep(Duration::from_secs(10)).await;
    desk.batch(&["u00003"]).await;
    assert_eq!(desk.fates()[2..], ["u00003 lost", "u00003 stored"]);
    assert_eq!(desk.places("notice", "si_notice_u00003").await, Some(vec![1]));
    // Online only: nothing keeps it.
    desk.data(BATCH, text(json!({"recvIDs": ["u00004"], "isOnlineOnly": true}))).await;
    assert_eq!(desk.fates()[4], "u00004 passed");
    assert_eq!(desk.places("notice", "si_notice_u00004").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_again_is_one_message_at_two_places() {
    let desk = Desk::new(Profile::Patch16).await;
    desk.batch(&["u00001", "u00002"]).await;
    desk.faults(json!({"storeAgain": 1}));
    let pulled = super::asking::pull("notice", "si_notice_u00002", 1, 9, 9);
    let data = desk.data("/msg/pull_msg_by_seq", pulled).await;
    let messages = data["msgs"]["si_notice_u00002"]["Msgs"].as_array().unwrap().clone();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["serverMsgID"], messages[1]["serverMsgID"]);
    assert_eq!((&messages[0]["seq"], &messages[1]["seq"]), (&json!(1), &json!(2)));
    assert_eq!(desk.fates().len(), 2, "to the truth it is one");
    assert_eq!(desk.places("notice", "si_notice_u00001").await, Some(vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a_backup_lets_places_go_back() {
    let desk = Desk::new(Profile::Main).await;
    desk.batch(&["u00001"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    desk.batch(&["u00001"]).await;
    desk.batch(&["u00001"]).await;
    assert_eq!(desk.places("notice", "si_notice_u00001").await, Some(vec![1, 2, 3]));
    desk.faults(json!({"restoreBackupOfMsAgo": 30_000}));
    assert_eq!(desk.places("notice", "si_notice_u00001").await, Some(vec![1]));
    desk.batch(&["u00001"]).await;
    assert_eq!(desk.places("notice", "si_notice_u00001").await, Some(vec![1, 2]));
    assert_eq!(desk.fates().len(), 4, "people have what they got");
}

#[tokio::test(start_paused = true)]
async fn a_failed_id_may_be_stored() {
    let desk = Desk::new(Profile::Patch16).await;
    desk.faults(json!({"failStoredEvery": 3}));
    let (results, failed) = desk.batch(&["u00001", "u00002", "u00003"]).await;
    assert_eq!((results.len(), failed), (2, vec![json!("u00003")]));
    desk.batch(&["u00004", "u00005"]).await;
    assert_eq!(desk.refusal(SEND, text(json!({"recvID": "u00006"}))).await.0, 500);
    assert_eq!(desk.fates().len(), 6);
    assert_eq!(visible(&desk, &users(6)).await, 6);
}

#[tokio::test(start_paused = true)]
async fn the_message_service_down_fails_everyone_at_once() {
    for (profile, code) in [(Profile::Main, 500), (Profile::Patch16, 14)] {
        let desk = Desk::new(profile).await;
        let ids = users(500);
        desk.faults(json!({"messageServiceDown": {"times": 4}}));
        let before = desk.now();
        let answer = desk.answer(BATCH, text(json!({"recvIDs": ids}))).await;
        assert_eq!((&answer["errCode"], &answer["data"]["results"]), (&json!(0), &Value::Null));
        assert_eq!(answer["data"]["failedUserIDs"].as_array().unwrap().len(), 500);
        assert_eq!(desk.now() - before, 3, "in 3 ms");
        assert_eq!(desk.refusal(SEND, text(json!({"recvID": "u00001"}))).await.0, code);
        assert_eq!(desk.refusal("/msg/get_server_time", json!({})).await.0, code);
        let path = "/msg/get_conversations_has_read_and_max_seq";
        assert_eq!(desk.refusal(path, json!({"userID": "notice", "conversationIDs": []})).await.0, code);
        assert!(desk.fates().is_empty());
        desk.batch(&["u00001"]).await;
        // Other parts answered all the while.
        desk.faults(json!({"messageServiceDown": {"times": 1}}));
        desk.data("/user/account_check", json!({"checkUserIDs": ["u00001"]})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_message_service_killed_in_a_batch_has_stored_one_that_failed() {
    let desk = Desk::new(Profile::Patch16).await;
    desk.faults(json!({"messageServiceKilled": {"recipients": 60, "times": 1}}));
    let ids = users(500);
    let (results, failed) = desk.batch(&borrowed(&ids)).await;
    assert_eq!((results.len(), failed.len()), (60, 440));
    assert_eq!((desk.fates().len(), visible(&desk, &ids).await), (61, 61));
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_stopped_has_served_a_prefix() {
    let desk = Desk::new(Profile::Patch16).await;
    desk.faults(json!({"cutAfter": {"recipients": 160, "times": 1}, "latencyMs": 1}));
    let ids = users(500);
    assert_eq!(desk.end_of("op", BATCH, text(json!({"recvIDs": ids}))).await, End::Closed);
    let served: Vec<String> = ids[..160].iter().map(|id| format!("{id} stored")).collect();
    assert_eq!(desk.fates(), served);
}

#[tokio::test(start_paused = true)]
async fn hanging_comes_before_the_work_or_after_it() {
    let desk = Desk::new(Profile::Patch16).await;
    let body = || text(json!({"recvIDs": ["u00001"]}));
    desk.faults(json!({"hang": {"times": 1}}));
    assert_eq!(desk.end_of("op", BATCH, body()).await, End::Silence);
    assert_eq!(desk.fates().len(), 0, "for ever");
    desk.faults(json!({"hang": {"times": 1, "afterWork": true}}));
    assert_eq!(desk.end_of("op", BATCH, body()).await, End::Silence);
    assert_eq!(desk.fates().len(), 1, "after the work");
    // It goes on when nobody waits any more.
    desk.faults(json!({"hang": {"times": 1, "forMs": 170_000}}));
    assert_eq!(desk.end_of("op", BATCH, body()).await, End::Silence);
    assert_eq!(desk.fates().len(), 1);
    tokio::time::sleep(Duration::from_secs(111)).await;
    assert_eq!(desk.fates().len(), 2);
    let before = desk.now();
    desk.faults(json!({"hang": {"times": 1, "forMs": 12_000}}));
    assert!(matches!(desk.end_of("op", BATCH, body()).await, End::Answered(_)));
    assert_eq!(desk.now() - before, 12_000);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_cache_answers_late_and_untruly() {
    let fault = json!({"cacheHangs": {"times": 2, "forMs": 35_000, "loseEvery": 5}});
    for (profile, code, results) in [(Profile::Main, 500, 0), (Profile::Patch16, 0, 10)] {
        let desk = Desk::new(profile).await;
        desk.faults(fault.clone());
        let before = desk.now();
        let answer = desk.answer(BATCH, text(json!({"recvIDs": users(10)}))).await;
        assert_eq!((answer["errCode"].as_i64(), desk.now() - before), (Some(code), 35_000));
        assert_eq!(answer["data"]["results"].as_array().map_or(0, Vec::len), results);
        let lost = desk.fates().iter().filter(|fate| fate.ends_with("lost")).count();
        assert_eq!((desk.fates().len(), lost), (results, results / 5));
        assert_eq!(desk.refusal(SEND, text(json!({"recvID": "u00001"}))).await, (500, "i/o timeout".into()));
        assert_eq!(desk.fates().last().unwrap(), "u00001 stored", "though stored");
    }
}

#[tokio::test(start_paused = true)]
async fn without_auth_nothing_is_answered_and_tokens_come_and_go() {
    for (profile, down, unknown) in [(Profile::Main, 500, 1507), (Profile::Patch16, 14, 1505)] {
        let mut desk = Desk::new(profile).await;
        desk.faults(json!({"authDown": {"times": 3}}));
        for path in ["/auth/get_admin_token", BATCH, "/user/get_users"] {
            assert_eq!(desk.refusal(path, json!({})).await.0, down, "{path}");
        }
        for (fault, code) in [("expireTokens", 1501), ("forgetTokens", unknown)] {
            let mut faults = json!({});
            faults[fault] = json!(true);
            desk.faults(faults);
            assert_eq!(desk.refusal("/msg/get_server_time", json!({})).await.0, code);
            desk.log_in().await;
            desk.data("/msg/get_server_time", json!({})).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_omit_silently() {
    let desk = Desk::new(Profile::Main).await;
    for _ in 0..4 {
        desk.batch(&["u00001"]).await;
    }
    desk.faults(json!({"omitMessagesEvery": 3}));
    assert_eq!(desk.places("notice", "si_notice_u00001").await, Some(vec![1, 2, 4]));
    desk.faults(json!({"omitConversationsEvery": 1}));
    assert_eq!(desk.places("notice", "si_notice_u00001").await, None);
    assert_eq!(desk.seqs("notice", &["si_notice_u00001"]).await, json!({}));
}
