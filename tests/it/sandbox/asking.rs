//! Asking a world in held time: it answers at once or after exactly so long.

use std::{sync::Arc, time::Duration};

use campaignd::{
    clock::{Clock, ElapsedClock},
    sandbox::{ADMIN, Faults, Filter, Options, Profile, SECRET, World, world},
};
use serde_json::{Value, json};

/// A world with an admin at work in it.
pub struct Desk {
    pub world: Arc<World>,
    pub clock: ElapsedClock,
    pub token: String,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub enum End {
    Answered(Value),
    Closed,
    /// Nothing came within the minute.
    Silence,
}

impl Desk {
    pub async fn new(profile: Profile) -> Desk {
        let clock = ElapsedClock::starting_at("2026-11-11T00:00:00Z".parse().unwrap());
        let options = Options { profile, users: 600, ..Options::default() };
        let mut desk =
            Desk { world: Arc::new(World::new(&options, Arc::new(clock))), clock, token: String::new() };
        desk.log_in().await;
        desk
    }

    pub async fn log_in(&mut self) {
        let answer = self.data("/auth/get_admin_token", json!({"userID": ADMIN, "secret": SECRET})).await;
        self.token = answer["token"].as_str().unwrap().to_owned();
    }

    pub fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// How a request named `operation_id` ends.
    pub async fn end_of(&self, operation_id: &str, path: &str, body: Value) -> End {
        let request = world::Request { path, operation_id: Some(operation_id), token: Some(&self.token) };
        let answer = self.world.handle(request, body.to_string().into());
        match tokio::time::timeout(Duration::from_secs(60), answer).await {
            Ok(world::Outcome::Answered(answer)) => {
                End::Answered(serde_json::from_slice(&answer.body).unwrap())
            }
            Ok(world::Outcome::Closed | world::Outcome::Unreachable) => End::Closed,
            Err(_) => End::Silence,
        }
    }

    /// The answer with its wrapping.
    pub async fn answer(&self, path: &str, body: Value) -> Value {
        match self.end_of("op", path, body).await {
            End::Answered(answer) => answer,
            end => panic!("{path}: {end:?}"),
        }
    }

    /// What a successful answer holds.
    pub async fn data(&self, path: &str, body: Value) -> Value {
        let answer = self.answer(path, body).await;
        assert_eq!(answer["errCode"], 0, "{answer}");
        answer["data"].clone()
    }

    /// The code and the words of a refusal.
    pub async fn refusal(&self, path: &str, body: Value) -> (i64, String) {
        let answer = self.answer(path, body).await;
        (answer["errCode"].as_i64().unwrap(), answer["errDlt"].as_str().unwrap().to_owned())
    }

    /// Sends a text as `notice` to several, and gives the results and those who failed.
    pub async fn batch(&self, recipients: &[&str]) -> (Vec<Value>, Vec<Value>) {
        let data = self.data("/msg/batch_send_msg", text(json!({"recvIDs": recipients}))).await;
        let list = |list: &Value| list.as_array().cloned().unwrap_or_default();
        (list(&data["results"]), list(&data["failedUserIDs"]))
    }

    pub fn faults(&self, faults: Value) {
        self.world.set_faults(serde_json::from_value::<Faults>(faults).unwrap());
    }

    /// Whoever got something or did not, in the order of the requests.
    pub fn fates(&self) -> Vec<String> {
        let mut fates = Vec::new();
        self.world.received(&Filter::default(), |message| {
            fates.push(format!("{} {}", message.recipient, message.fate.word()));
        });
        fates
    }

    /// Place and time of the newest message of conversations, as someone.
    pub async fn seqs(&self, user: &str, conversations: &[&str]) -> Value {
        let body = json!({"userID": user, "conversationIDs": conversations});
        self.data("/msg/get_conversations_has_read_and_max_seq", body).await["seqs"].clone()
    }

    /// The places that a pull as someone shows; None: it does not tell of the conversation.
    pub async fn places(&self, user: &str, conversation: &str) -> Option<Vec<i64>> {
        let data = self.data("/msg/pull_msg_by_seq", pull(user, conversation, 1, 1_000, 1_000)).await;
        let messages = data["msgs"].get(conversation)?["Msgs"].as_array().unwrap().clone();
        Some(messages.iter().map(|message| message["seq"].as_i64().unwrap()).collect())
    }
}

/// A text of `notice`, with changes.
pub fn text(changes: Value) -> Value {
    let mut body = json!({"sendID": "notice", "contentType": 101, "sessionType": 1,
        "content": {"content": "hi"}});
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body
}

pub fn pull(user: &str, conversation: &str, begin: i64, end: i64, num: i64) -> Value {
    let range = json!({"conversationID": conversation, "begin": begin, "end": end, "num": num});
    json!({"userID": user, "seqRanges": [range], "order": 0})
}
