//! How often one person may be written to.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::limits::Rate;

/// Who is left alone because of what they have had: nobody, unless the campaign says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caps {
    pub cap: Option<Cap>,
    /// Nobody gets it who had this campaign within this time.
    pub not_again_within: Option<SignedDuration>,
}

/// Nobody gets it who had so many messages within the rate's window already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    pub per_recipient: Rate,
    /// The labels of the campaigns whose messages count; without any, all campaigns count.
    pub across: BTreeMap<String, String>,
}

impl Caps {
    pub fn is_empty(&self) -> bool {
        self.cap.is_none() && self.not_again_within.is_none()
    }
}
