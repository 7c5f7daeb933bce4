//! The kinds of gateways that there are: a new one is one line here.

use crate::{
    gateway::{kind::Kind, netease, openim},
    sandbox,
};

/// Every kind, those that deliver first.
pub const KINDS: &[&dyn Kind] = &[
    &openim::settings::OpenIMKind,
    &netease::im::settings::IMKind,
    &netease::send_to_all::settings::SendToAllKind,
    &sandbox::settings::SandboxKind,
];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}
