//! A world that keeps its truth in a file goes on from it, wherever the process was killed.

use std::{path::Path, sync::Arc, time::Duration};

use campaignd::sandbox::{Filter, Options, Profile, World};
use serde_json::json;

use super::asking::{Desk, text};

/// The desk of a world that goes on from a file, with the token of the one before.
async fn reopen(before: Desk, path: &Path, profile: Profile) -> Desk {
    let options = Options { profile, users: 600, ..Options::default() };
    let world = World::new(&options, Arc::new(before.clock)).keeping(path).unwrap();
    Desk { world: Arc::new(world), ..before }
}

/// Everything that the truth tells, in words.
fn truth(desk: &Desk) -> Vec<String> {
    let mut rows = Vec::new();
    desk.world.received(&Filter::default(), |received| {
        let mut row = Vec::new();
        received.write_json(&mut row);
        rows.push(String::from_utf8(row).unwrap());
    });
    rows
}

#[tokio::test(start_paused = true)]
async fn a_world_goes_on_where_it_was_killed() {
    for profile in [Profile::Main, Profile::Patch16] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth");
        let mut desk = reopen(Desk::new(profile).await, &path, profile).await;
        desk.log_in().await;
        desk.data("/user/user_register", json!({"users": [{"userID": "new"}]})).await;
        desk.data("/friend/add_black", json!({"ownerUserID": "u00009", "blackUserID": "notice"})).await;
        let shy = json!({"userID": "u00008", "globalRecvMsgOpt": 1});
        desk.data("/user/set_global_msg_recv_opt", shy).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        desk.batch(&["u00001", "new", "nobody"]).await;
        desk.end_of("single", "/msg/send_msg", text(json!({"recvID": "u00001"}))).await;
        desk.data("/msg/send_msg", text(json!({"sessionType": 3, "groupID": "g1001"}))).await;
        let revoke = json!({"conversationID": "si_notice_u00001", "seq": 1, "userID": "imAdmin"});
        desk.data("/msg/revoke_msg", revoke).await;
        desk.faults(json!({"storeAgain": 1}));
        desk.faults(json!({"loseEvery": 1}));
        desk.batch(&["u00002"]).await;
        desk.faults(json!({"storeLateMs": 60_000}));
        desk.batch(&["u00003"]).await;
        let before = truth(&desk);
        let places = async |desk: &Desk| {
            let ids =
                ["si_notice_u00001", "si_new_notice", "sg_g1001", "si_notice_u00002", "si_notice_u00003"];
            let pulled = super::asking::pull("notice", "si_notice_u00001", 1, 9, 9);
            (desk.seqs("notice", &ids).await, desk.data("/msg/pull_msg_by_seq", pulled).await)
        };
        let seen = places(&desk).await;

        let desk = reopen(desk, &path, profile).await;
        // The main line had in its memory what was not stored yet.
        let lost = |row: &String| row.replace(r#""fate":"waiting""#, r#""fate":"lost""#);
        let expected =
            if profile == Profile::Main { before.iter().map(lost).collect() } else { before.clone() };
        assert_eq!(truth(&desk), expected, "{profile:?}");
        assert_eq!(places(&desk).await, seen);
        let status = desk.end_of("single", "/msg/check_msg_is_send_success", json!({})).await;
        assert_eq!(
            status,
            super::asking::End::Answered(
                json!({"errCode": 0, "errMsg": "", "errDlt": "", "data": {"status": 2}})
            )
        );
        assert_eq!(desk.refusal("/msg/send_msg", text(json!({"recvID": "u00009"}))).await.0, 1302);
        // Ids go on as well: no message has another's.
        desk.batch(&["u00001", "new"]).await;
        let rows = truth(&desk);
        let mut ids: Vec<&str> =
            rows.iter().map(|row| row.split_once(r#""serverMsgID":""#).unwrap().1).collect();
        ids.iter_mut().for_each(|id| *id = &id[..32]);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((rows.len(), ids.len()), (before.len() + 2, before.len() + 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_was_being_written_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth");
    let mut desk = reopen(Desk::new(Profile::Main).await, &path, Profile::Main).await;
    desk.log_in().await;
    desk.batch(&["u00001"]).await;
    let whole = std::fs::read(&path).unwrap();
    desk.batch(&["u00002"]).await;
    let more = std::fs::read(&path).unwrap();
    for length in whole.len()..more.len() {
        std::fs::write(&path, &more[..length]).unwrap();
        desk = reopen(desk, &path, Profile::Main).await;
        assert_eq!(desk.fates(), ["u00001 stored"], "{length}");
        desk.batch(&["u00003"]).await;
        desk = reopen(desk, &path, Profile::Main).await;
        assert_eq!(desk.fates(), ["u00001 stored", "u00003 stored"], "{length}");
    }
    for nonsense in ["nonsense\n", "{\"unheardOf\":{}}\n"] {
        std::fs::write(&path, nonsense).unwrap();
        let world = World::new(&Options::default(), Arc::new(desk.clock));
        let error = world.keeping(&path).err().unwrap().to_string();
        assert!(error.contains("at byte 0"), "{error}");
    }
}
