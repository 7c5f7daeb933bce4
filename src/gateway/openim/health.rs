//! Whether the server works, and whether it would let a sender send: by requests that only read.

use super::{Journal, OpenIM, Pending, ReadEnd, ReadFault, sender, wire};
use crate::{
    campaign::{Message, RecipientID},
    run::reply::Reason,
};

impl OpenIM {
    /// Asks for the server's time, which its message service answers: it fails when that is down.
    pub(super) async fn ask_time(&self) -> Result<(), ReadFault> {
        let nothing = serde_json::Map::new();
        self.read::<wire::ServerTimeData>(wire::SERVER_TIME, &Unrecorded(self), 0, &nothing).await.map(drop)
    }

    /// A sender who is not registered is how a batch fails for everyone, without a reason.
    pub(super) async fn ask_sender(
        &self,
        message: &Message,
        journal: &dyn Journal,
    ) -> Result<Option<Reason>, ReadFault> {
        let Some(id) = sender(message).and_then(|id| RecipientID::new(id).ok()) else { return Ok(None) };
        let body = wire::AccountCheckBody { user_ids: &[&id] };
        let data: wire::AccountCheckData = self.read(wire::ACCOUNT_CHECK, journal, 1, &body).await?;
        let statuses = data.results.unwrap_or_default();
        let missing = statuses.iter().any(|status| status.user_id == id.as_str() && status.unregistered());
        let why = || Reason::new("1004", format!("the sender {:?} is not registered", id.as_str()));
        Ok(missing.then(why))
    }
}

/// Requests that are about no recipient of a run: they have names, and no record.
pub(super) struct Unrecorded<'a>(pub &'a OpenIM);

impl Journal for Unrecorded<'_> {
    fn begin(&self, _recipients: usize) -> Pending<'_, Result<String, ReadFault>> {
        Box::pin(std::future::ready(Ok(self.0.operation_id())))
    }

    fn end<'a>(&'a self, _operation_id: &'a str, _end: ReadEnd) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
