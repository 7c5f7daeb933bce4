//! Reading campaign files with the settings of now.

use std::sync::Arc;

use jiff::Timestamp;

use super::Parts;
use crate::campaign::{
    Campaign,
    file::{Context, read},
};

/// What a campaign file is read against.
pub fn context(parts: &Parts, now: Timestamp) -> Context<'_> {
    Context {
        now,
        default_zone: parts.default_zone.clone(),
        default_gateway: parts.default_gateway.clone(),
        gateways: &parts.gateways,
        list_file: None,
        dates: None,
    }
}

/// The campaign of a revision that was good when it was applied. Its id is the campaign's, whatever
/// its file is called now.
pub fn read_revision(parts: &Parts, path: &str, yaml: &[u8], id: &str) -> Option<Arc<Campaign>> {
    let (campaign, problems) = read(path, yaml, &context(parts, parts.clock.now()));
    if campaign.is_none() {
        let first = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
        tracing::error!(campaign = id, "its revision in force does not fit the settings any more: {first}");
    }
    let mut campaign = campaign?;
    campaign.id = id.parse().ok()?;
    Some(Arc::new(campaign))
}
