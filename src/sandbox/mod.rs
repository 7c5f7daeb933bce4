//! The sandbox: a provider that delivers nowhere. It answers as an OpenIM server does, in this
//! process or as a server, with faults on demand, and keeps its own truth of what it took.
//!
//! Knows: the provider's rules, as running servers were seen to obey them. Must never know: how our
//! gateway reads its answers; the two share no code, so that one can find the other's mistakes.

mod accounts;
mod answer;
mod archive;
pub mod command;
pub mod faults;
mod groups;
mod ids;
mod keep;
mod lookup;
mod messages;
pub mod netease;
mod order;
mod profile;
pub mod server;
pub mod settings;
mod statuses;
mod tokens;
pub mod transport;
pub mod truth;
mod users;
pub mod world;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

pub use self::{
    faults::Faults,
    profile::Profile,
    truth::{Fate, Filter, Received},
    world::{Options, World},
};
use crate::{
    clock::Clock,
    gateway::openim::{Account, OpenIM},
};

/// The account of an ordinary sender that every world has.
pub const SENDER: &str = "notice";
/// The account that may send notifications, which every world has.
pub const NOTIFIER: &str = "announcer";
/// The admin that every world has.
pub const ADMIN: &str = "imAdmin";
/// The admin's secret.
pub const SECRET: &str = "openIM123";

/// A gateway to a world in this process, which says of itself that it delivers nowhere.
pub fn gateway(world: Arc<World>, account: Account, clock: Arc<dyn Clock>) -> OpenIM {
    let transport = transport::InProcess::new(world).waiting(account.timeout);
    OpenIM::new(account, Arc::new(transport), clock).delivering_nowhere()
}

/// The account that a gateway to a sandbox uses when the settings say nothing.
pub fn account() -> Account {
    Account {
        url: "sandbox:".into(),
        admin_user_id: ADMIN.into(),
        secret: SECRET.into(),
        defaults: defaults(),
        concurrency: 4,
        batch_size: 100,
        timeout: Duration::from_secs(60),
    }
}

/// The fields of messages that do not say them, so that the shortest campaign works.
pub fn defaults() -> Map<String, Value> {
    Map::from_iter([
        ("sendID".to_owned(), SENDER.into()),
        ("senderNickname".to_owned(), "Notice".into()),
        ("senderPlatformID".to_owned(), 2.into()),
    ])
}
