//! `sendMsgToAll.action` of an application, and endpoints shaped like it.
//!
//! Its documentation is one page that contradicts itself, so all that is uncertain is a setting
//! ([`profile`]) and nothing is guessed. It answers with one id for everyone, and nobody can be looked
//! up afterwards: what is not answered stays unknown.

pub mod answer;
pub mod dialect;
pub mod profile;
pub mod settings;
mod wire;

use std::sync::Arc;

use jiff::SignedDuration;

use self::{dialect::SendToAllDialect, profile::Profile};
use super::{caller::Caller, signer::VALIDITY};
use crate::{
    campaign::{Dialect, Message, RecipientID},
    gateway::{
        Call, Gateway, Journal, Pending, ReadFault, RequestPreview, UserPage, scrub::Scrub,
        transport::no_answer,
    },
    run::reply::{Answer, Reason},
};

/// A gateway to such an endpoint.
pub struct SendToAll {
    /// The whole address, for people.
    url: String,
    dialect: Arc<SendToAllDialect>,
    caller: Caller,
}

impl SendToAll {
    pub fn new(url: String, dialect: SendToAllDialect, caller: Caller) -> SendToAll {
        SendToAll { url, dialect: Arc::new(dialect), caller }
    }

    fn profile(&self) -> &Profile {
        &self.dialect.profile
    }
}

impl Gateway for SendToAll {
    fn dialect(&self) -> &dyn Dialect {
        self.dialect.as_ref()
    }

    fn delivers(&self) -> bool {
        true
    }

    fn stamps_send_time(&self, _message: &Message) -> Option<String> {
        None
    }

    fn clock_offset(&self) -> SignedDuration {
        self.caller.clock_offset()
    }

    fn prepare(&self) -> Pending<'_, Result<(), Box<Answer>>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn preview(&self, call: &Call) -> RequestPreview {
        let request = wire::request(call, self.profile());
        RequestPreview {
            method: "POST".into(),
            url: self.url.clone(),
            headers: self.caller.shown_headers(request.content_type, None),
            body: request.shown,
        }
    }

    fn send<'a>(&'a self, call: &'a Call) -> Pending<'a, Answer> {
        Box::pin(async move {
            let request = wire::request(call, self.profile());
            let host = &call.written_to;
            let posted =
                self.caller.post("", request.content_type, &request.body, None, VALIDITY, host).await;
            let raw = match posted {
                Ok(raw) => raw,
                Err(fault) => return no_answer(fault),
            };
            let secrets = self.caller.secrets();
            let scrub = Scrub { secrets: &secrets };
            let answer = answer::understand(&raw, call.to.recipients(), self.profile(), &scrub);
            self.caller.judge("", &raw, answer)
        })
    }

    /// There is nothing to read from.
    fn explain<'a>(
        &'a self,
        _message: &'a Message,
        _recipients: &'a [RecipientID],
        _journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<(RecipientID, Reason)>, ReadFault>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn users<'a>(&'a self, _: &'a Message, _: u32) -> Pending<'a, Result<UserPage, ReadFault>> {
        Box::pin(std::future::ready(Err(ReadFault(Reason::new(
            "noUserList",
            "nobody lists this gateway's users",
        )))))
    }
}
