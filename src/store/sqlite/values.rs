//! Values as they stand in the ledger's columns.

use jiff::Timestamp;
use rusqlite::types::ValueRef;

use super::super::{StoreError, Stored};
use crate::campaign::{CampaignID, RecipientID};

/// A time out of the ledger.
pub fn time(ms: i64) -> Stored<Timestamp> {
    Timestamp::from_millisecond(ms).map_err(|_| StoreError::Corrupt(format!("a time of {ms} ms")))
}

/// A time out of the ledger, where there is one.
pub fn optional_time(ms: Option<i64>) -> Stored<Option<Timestamp>> {
    ms.map(time).transpose()
}

/// An id out of the ledger.
pub fn campaign_id(text: &str) -> Stored<CampaignID> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("a campaign called {text:?}")))
}

/// A recipient out of the ledger.
pub fn recipient(value: ValueRef<'_>) -> Stored<RecipientID> {
    let text = value.as_str().unwrap_or_default();
    RecipientID::new(text).map_err(|_| StoreError::Corrupt(format!("a recipient called {text:?}")))
}

/// Recipients out of the ledger.
pub fn recipients(json: &str) -> Stored<Vec<RecipientID>> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("a list of recipients: {error}")))
}

/// What goes into a column of JSON.
pub fn json(value: &impl serde::Serialize) -> Stored<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}
