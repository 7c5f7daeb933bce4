//! Taking recipients out of a batch that waits, because they must not be asked any more.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{StoreError, Stored},
    batches::{self, Deliveries, PendingBatch},
};
use crate::{
    campaign::RecipientID,
    run::{
        delivery::{Delivery, DeliveryEvent},
        reply::Reason,
    },
};

/// Excludes recipients of a batch, each for its reason. Gives what is left of it, if anyone is.
pub fn take_out(
    connection: &Connection,
    run: i64,
    mut batch: PendingBatch,
    held: Vec<(RecipientID, Reason)>,
    now: Timestamp,
) -> Stored<Option<PendingBatch>> {
    let mut deliveries = Deliveries::of_batch(connection, run, batch.number, batch.attempts, now)?;
    // Of several reasons the first counts, so it comes last into the map.
    let mut held: HashMap<RecipientID, Reason> = held.into_iter().rev().collect();
    let before = batch.recipients.len();
    let mut left = Vec::with_capacity(before);
    for recipient in batch.recipients {
        let Some(reason) = held.remove(&recipient) else {
            left.push(recipient);
            continue;
        };
        let Ok(Delivery::Decided(outcome)) = Delivery::Pending.after(DeliveryEvent::HeldBack(reason)) else {
            return Err(StoreError::Corrupt("somebody is held back and not decided".to_owned()));
        };
        deliveries.add(&recipient, &outcome)?;
    }
    connection
        .prepare_cached("UPDATE run SET pending = pending - ?2, excluded = excluded + ?2 WHERE id = ?1")?
        .execute(params![run, (before - left.len()) as i64])?;
    batch.recipients = left;
    if batch.recipients.is_empty() {
        connection.prepare_cached("DELETE FROM batch WHERE id = ?1")?.execute([batch.id])?;
        return Ok(None);
    }
    batches::shrink(connection, &batch)?;
    Ok(Some(batch))
}
