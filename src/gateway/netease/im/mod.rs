//! NetEase Yunxin's own server API.
//!
//! Knows: which call carries which message, and how long an identical request is answered again. What a
//! message may hold is [`dialect`]'s, what an answer means is [`answer`]'s, reading back is [`look`]'s.

pub mod answer;
mod broadcasts;
pub mod dialect;
mod look;
mod pace;
mod parameters;
pub mod settings;
mod window;
mod wire;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::SignedDuration;

use self::{dialect::IMDialect, pace::Pace};
use super::{caller::Caller, signer::VALIDITY};
use crate::{
    campaign::{Dialect, Message, RecipientID},
    clock::Clock,
    gateway::{
        Addressing, Call, Gateway, Journal, Look, Pending, ReadFault, RequestPreview, UserPage, scrub::Scrub,
        transport::no_answer,
    },
    run::{
        look::Sighting,
        provider_clock::ProviderClock,
        reply::{Answer, Reason},
    },
};

/// A gateway to the provider, or to what speaks like it.
pub struct IM {
    /// The first host's address, for people.
    url: String,
    dialect: IMDialect,
    caller: Caller,
    clock: Arc<dyn Clock>,
    /// How long one call may take.
    timeout: Duration,
    /// For how long an identical request is taken to be answered again.
    replay_within: Option<SignedDuration>,
    /// Of requests that read.
    pace: Mutex<Pace>,
}

impl IM {
    pub fn new(
        url: String,
        dialect: IMDialect,
        caller: Caller,
        clock: Arc<dyn Clock>,
        timeout: Duration,
        replay_within: Option<SignedDuration>,
    ) -> IM {
        let pace = Mutex::new(Pace::new(clock.steady()));
        IM { url, dialect, caller, clock, timeout, replay_within, pace }
    }
}

impl Gateway for IM {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn delivers(&self) -> bool {
        true
    }

    /// The provider gives every message its own time.
    fn stamps_send_time(&self, _message: &Message) -> Option<String> {
        None
    }

    fn clock_offset(&self) -> SignedDuration {
        self.caller.clock_offset()
    }

    fn provider_clock(&self) -> ProviderClock {
        self.caller.provider_clock()
    }

    fn recall_clock(&self, known: ProviderClock) {
        self.caller.recall_clock(known);
    }

    fn prepare(&self) -> Pending<'_, Result<(), Box<Answer>>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The provider answers a repeated id again instead of sending twice, for a minute.
    fn names_batches(&self) -> bool {
        true
    }

    fn replays_within(&self) -> Option<SignedDuration> {
        self.replay_within
    }

    fn preview(&self, call: &Call) -> RequestPreview {
        let request = wire::send(call, self.dialect.call);
        RequestPreview {
            method: "POST".into(),
            url: format!("{}{}", self.url, request.path),
            headers: self.caller.shown_headers(wire::FORM, Some(&call.operation_id)),
            body: request.form.into(),
        }
    }

    fn send<'a>(&'a self, call: &'a Call) -> Pending<'a, Answer> {
        self.send_again(call, VALIDITY)
    }

    fn send_again<'a>(&'a self, call: &'a Call, heard_within: SignedDuration) -> Pending<'a, Answer> {
        Box::pin(async move {
            let request = wire::send(call, self.dialect.call);
            let (body, id) = (request.form.as_bytes(), Some(call.operation_id.as_str()));
            let host = &call.written_to;
            let posted = self.caller.post(request.path, wire::FORM, body, id, heard_within, host).await;
            let raw = match posted {
                Ok(raw) => raw,
                Err(fault) => return no_answer(fault),
            };
            let secrets = self.caller.secrets();
            let answer = answer::understand(&raw, call, request.path, &Scrub { secrets: &secrets });
            self.caller.judge(request.path, &raw, answer)
        })
    }

    /// An answer tells of everyone, or the history is asked.
    fn explain<'a>(
        &'a self,
        _message: &'a Message,
        _recipients: &'a [RecipientID],
        _journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<(RecipientID, Reason)>, ReadFault>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn can_be_asked(&self, message: &Message, addressing: Addressing) -> Result<(), Reason> {
        look::can_be_asked(message, addressing, self.dialect.call)
    }

    fn look<'a>(
        &'a self,
        look: &'a Look,
        journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<Sighting>, ReadFault>> {
        Box::pin(self.read_history(look, journal))
    }

    fn users<'a>(&'a self, _: &'a Message, _: u32) -> Pending<'a, Result<UserPage, ReadFault>> {
        let reason = Reason::new("noUserList", "NetEase lists no accounts");
        Box::pin(std::future::ready(Err(ReadFault(reason))))
    }
}
