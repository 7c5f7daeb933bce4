//! Filling in messages that have variables: each recipient's when the audience is opened, so that a row
//! that cannot be filled in keeps the run from starting, and those with the same message share batches.

use std::{io, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    assignment::Assignment,
    gathering::{OpeningFault, blocking},
};
use crate::{
    audience::{Gatherer, Member, SourceSet},
    campaign::{Campaign, Dialect, RecipientID, source::Values},
    gateway::Gateway,
    run::chunk::{Chunk, Cutter},
};

/// Hexadecimal digits that stand for a message.
const DIGEST: usize = 32;

/// Adds each member under its message, so that equal messages come after each other.
pub(super) async fn fill(
    assignment: &Assignment,
    gateway: &Arc<dyn Gateway>,
    members: Vec<Member>,
    mut into: Gatherer,
) -> Result<Gatherer, OpeningFault> {
    let (campaign, gateway) = (Arc::clone(&assignment.campaign), Arc::clone(gateway));
    let work = move || {
        for member in members {
            add(&campaign, gateway.dialect(), &member, &mut into)?;
        }
        Ok(into)
    };
    blocking(work).await?
}

/// Adds one member under its message.
pub fn add(
    campaign: &Campaign,
    dialect: &dyn Dialect,
    member: &Member,
    into: &mut Gatherer,
) -> Result<(), OpeningFault> {
    let message = campaign
        .message_for(&member.values, dialect)
        .map_err(|what| OpeningFault::Message { recipient: member.id.to_string(), what })?;
    // What was parsed can be written.
    let bytes = serde_json::to_vec(&message.0).map_err(io::Error::other)?;
    let mut key: String =
        Sha256::digest(bytes).iter().take(DIGEST / 2).map(|byte| format!("{byte:02x}")).collect();
    key += member.id.as_str();
    Ok(into.add(&key, SourceSet::of(0), &member.values)?)
}

/// Cuts those who come sorted by message. Gives the chunks that are full, and how many have come.
pub fn cut(
    cutter: &mut Cutter,
    filled: impl Iterator<Item = io::Result<(String, Values)>>,
) -> io::Result<(Vec<Chunk>, usize)> {
    let (mut chunks, mut count) = (Vec::new(), 0);
    for one in filled {
        let (key, values) = one?;
        let (digest, id) = key.split_at_checked(DIGEST).ok_or_else(damaged)?;
        chunks.extend(cutter.message(digest.as_bytes(), &values));
        chunks.extend(cutter.push(RecipientID::new(id).map_err(|_| damaged())?));
        count += 1;
    }
    Ok((chunks, count))
}

fn damaged() -> io::Error {
    io::Error::other("a spilled message came back damaged")
}
