//! OpenIM over its REST API.
//!
//! Knows: which request carries which call, the token, the server's clock. What a message may hold
//! is [`dialect`]'s, names on the wire are [`wire`]'s, what an answer means is [`classify`]'s, and
//! sockets are [`http`](super::http)'s.

pub mod classify;
mod content;
pub mod dialect;
mod health;
mod lists;
mod look;
mod question;
mod server_clock;
pub mod settings;
mod token;
mod wire;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

use self::{
    dialect::OpenIMDialect,
    health::Unrecorded,
    server_clock::ServerClock,
    token::{Token, TokenHolder},
};
use super::{
    Addressees, Addressing, Call, Gateway, Journal, Look, Pending, ReadEnd, ReadFault, RequestPreview,
    UserPage,
    http::{BadReach, HTTP, Reach},
    reached::Reached,
    scrub::{MASK, Scrub},
    transport::{Header, Post, RawAnswer, Transport, TransportFault, no_answer},
};
use crate::{
    campaign::{Dialect, Message, RecipientID},
    clock::Clock,
    run::{
        look::Sighting,
        reply::{Answer, Cause, Reason, Reply},
    },
};

/// Users a page when everyone is listed, and recipients a request when they are explained.
const PAGE: u32 = 500;

/// The longest wait for the server's clock, which is asked once for each token.
const CLOCK_PATIENCE: Duration = Duration::from_secs(5);

/// An account at an OpenIM server and how it is to be used.
#[derive(Debug, Clone)]
pub struct Account {
    /// The server's address, as the settings say it.
    pub url: String,
    pub admin_user_id: String,
    pub secret: SecretString,
    /// Fields of messages that do not say them.
    pub defaults: Map<String, Value>,
    /// Calls under way at once, at most.
    pub concurrency: u32,
    /// Recipients a call when the campaign does not say.
    pub batch_size: u32,
    /// Of one call.
    pub timeout: Duration,
}

/// A gateway to an OpenIM server, or to what speaks like one.
pub struct OpenIM {
    account: Account,
    dialect: OpenIMDialect,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    delivers: bool,
    token: TokenHolder,
    server_clock: ServerClock,
    reached: Reached,
    /// Numbers the requests that nobody else has named.
    requests: AtomicU64,
}

impl OpenIM {
    /// A gateway to the server at the account's address. `ca_file`: certificates that are trusted
    /// besides the system's.
    pub fn over_http(
        account: Account,
        ca_file: Option<PathBuf>,
        proxy: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<OpenIM, BadReach> {
        let reach = Reach { url: account.url.clone(), timeout: account.timeout, ca_file, proxy };
        Ok(OpenIM::new(account, Arc::new(HTTP::new(&reach)?), clock))
    }

    /// A gateway that speaks over any transport.
    pub fn new(account: Account, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> OpenIM {
        let dialect = OpenIMDialect::new(account.defaults.clone(), account.batch_size, account.concurrency);
        OpenIM {
            account,
            dialect,
            transport,
            token: TokenHolder::new(Arc::clone(&clock)),
            clock,
            delivers: true,
            server_clock: ServerClock::default(),
            reached: Reached::default(),
            requests: AtomicU64::new(0),
        }
    }

    /// The same, known to reach nobody.
    pub fn delivering_nowhere(self) -> OpenIM {
        OpenIM { delivers: false, ..self }
    }

    /// A name for a request of our own, for the server's log.
    fn operation_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("campaignd-{}-{number}", self.clock.now().as_millisecond())
    }

    async fn post(
        &self,
        path: &str,
        operation_id: &str,
        token: Option<&Token>,
        body: Vec<u8>,
    ) -> Result<RawAnswer, TransportFault> {
        let named = Header::open("operationID", operation_id);
        let token = token.map(|token| Header::secret("token", token.expose()));
        let headers = [named].into_iter().chain(token).collect();
        self.transport.post(Post { path, content_type: "application/json", headers, body }).await
    }

    async fn token(&self) -> Result<Arc<Token>, Answer> {
        self.token.get(async || self.fetch_token().await).await
    }

    /// Fetches a token and looks at the server's clock. Nothing of a call has left before it is
    /// there, so whatever goes wrong here, nothing was done.
    async fn fetch_token(&self) -> Result<Token, Answer> {
        let secret = self.account.secret.expose_secret();
        let body = wire::AdminTokenBody { secret, user_id: &self.account.admin_user_id };
        let operation_id = self.operation_id();
        let raw = match self.post(wire::ADMIN_TOKEN, &operation_id, None, encode(&body)).await {
            Ok(raw) => raw,
            Err(fault) => return Err(token_failure(no_answer(fault))),
        };
        let data: wire::AdminTokenData =
            classify::read(&raw, &Scrub { secrets: &[secret] }).map_err(token_failure)?;
        let token = Token::new(data.token, self.clock.now(), data.expire_time_seconds);
        // Where it cannot be had, the last known one stays.
        let _ = tokio::time::timeout(CLOCK_PATIENCE, self.learn_clock(&token)).await;
        Ok(token)
    }

    async fn learn_clock(&self, token: &Token) {
        let before = self.clock.now();
        let operation_id = self.operation_id();
        let asked = self.post(wire::SERVER_TIME, &operation_id, Some(token), b"{}".to_vec()).await;
        let Ok(raw) = asked else { return };
        if let Ok(data) = classify::read::<wire::ServerTimeData>(&raw, &Scrub { secrets: &[] }) {
            token.has_worked();
            self.server_clock.learn(data.server_time, before, &*self.clock);
        }
    }

    /// Looks at the server's clock again where ours was set since. Where it cannot be had, nothing
    /// is concluded from it until the next token.
    async fn mind_clock(&self) {
        if !self.server_clock.is_stale(&*self.clock) {
            return;
        }
        self.server_clock.doubt();
        if let Ok(token) = self.token().await {
            let _ = tokio::time::timeout(CLOCK_PATIENCE, self.learn_clock(&token)).await;
        }
    }

    /// Drops a refused token. A token that never worked is not helped by another: the server is
    /// out of order, and asking for one after the other would not mend it.
    async fn mind_token(&self, token: &Arc<Token>, answer: Answer) -> Answer {
        match answer.reply {
            Reply::NothingDone(Cause::Token, reason) => {
                self.token.drop_refused(token).await;
                let cause = if token.ever_worked() { Cause::Token } else { Cause::Outage };
                Answer { reply: Reply::NothingDone(cause, reason), ..answer }
            }
            Reply::Answered(_) => {
                token.has_worked();
                answer
            }
            _ => answer,
        }
    }

    /// What must not be seen in what the server says.
    fn secrets<'a>(&'a self, token: &'a Token) -> [&'a str; 2] {
        [token.expose(), self.account.secret.expose_secret()]
    }

    fn understand(&self, raw: &RawAnswer, call: &Call, token: &Token) -> Answer {
        let secrets = self.secrets(token);
        let scrub = Scrub { secrets: &secrets };
        match &call.to {
            Addressees::Users(users) => classify::batch(raw, users, &scrub),
            Addressees::User(one) | Addressees::Group(one) => classify::single(raw, one, &scrub),
            Addressees::Unlisted(star) => classify::everyone(raw, star, &scrub),
        }
    }
}

impl Gateway for OpenIM {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn delivers(&self) -> bool {
        self.delivers
    }

    fn stamps_send_time(&self, message: &Message) -> Option<String> {
        // Where it could not be recognised by it, there is no need for one.
        let recognisable = look::unrecognisable(message).is_none();
        sender(message).filter(|_| recognisable).map(str::to_owned)
    }

    fn clock_offset(&self) -> SignedDuration {
        self.server_clock.offset()
    }

    fn preview(&self, call: &Call) -> RequestPreview {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        RequestPreview {
            method: "POST".into(),
            url: format!("{}{}", self.account.url.trim_end_matches('/'), wire::send_path(&call.to)),
            headers: vec![
                header("Content-Type", "application/json"),
                header("operationID", &call.operation_id),
                header("token", MASK),
            ],
            body: serde_json::to_value(wire::SendBody(call)).unwrap_or_default(),
        }
    }

    fn prepare(&self) -> Pending<'_, Result<(), Box<Answer>>> {
        Box::pin(async move {
            self.mind_clock().await;
            self.token().await.map(drop).map_err(Box::new)
        })
    }

    fn send<'a>(&'a self, call: &'a Call) -> Pending<'a, Answer> {
        Box::pin(async move {
            let token = match self.token().await {
                Ok(token) => token,
                Err(answer) => return nothing_left(answer),
            };
            let body = encode(&wire::SendBody(call));
            let path = wire::send_path(&call.to);
            match self.post(path, &call.operation_id, Some(&token), body).await {
                Ok(raw) => {
                    let answer = self.mind_token(&token, self.understand(&raw, call, &token)).await;
                    self.reached.judge(path, answer)
                }
                Err(fault) => no_answer(fault),
            }
        })
    }

    fn explain<'a>(
        &'a self,
        message: &'a Message,
        recipients: &'a [RecipientID],
        journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<(RecipientID, Reason)>, ReadFault>> {
        Box::pin(async move {
            let mut explained = Vec::new();
            // Whoever failed did so for a reason that their account does not tell.
            if look::is_notification(message) {
                return Ok(explained);
            }
            // The server refuses a list with an id twice.
            let distinct: Vec<&RecipientID> =
                recipients.iter().collect::<BTreeSet<_>>().into_iter().collect();
            for ids in distinct.chunks(PAGE as usize) {
                let body = wire::AccountCheckBody { user_ids: ids };
                let data: wire::AccountCheckData =
                    self.read(wire::ACCOUNT_CHECK, journal, ids.len(), &body).await?;
                let statuses = data.results.unwrap_or_default();
                let missing: BTreeSet<&str> = statuses
                    .iter()
                    .filter(|status| status.unregistered())
                    .map(|status| status.user_id.as_str())
                    .collect();
                let (missing, known): (Vec<&RecipientID>, Vec<&RecipientID>) =
                    ids.iter().partition(|id| missing.contains(id.as_str()));
                let unregistered = Reason::new("1004", "no such user is registered");
                explained.extend(missing.into_iter().map(|id| (id.clone(), unregistered.clone())));
                if known.is_empty() {
                    continue;
                }
                let body = wire::UsersInfoBody { user_ids: &known };
                let data: wire::UsersInfoData =
                    self.read(wire::USERS_INFO, journal, known.len(), &body).await?;
                let users = data.users.unwrap_or_default();
                let closed: BTreeSet<&str> = users
                    .iter()
                    .filter(|user| user.receive_option == Some(1))
                    .map(|user| user.user_id.as_str())
                    .collect();
                let opted_out = Reason::new(classify::OPTED_OUT, "the recipient refuses messages");
                let closed = known.into_iter().filter(|id| closed.contains(id.as_str()));
                explained.extend(closed.map(|id| (id.clone(), opted_out.clone())));
            }
            Ok(explained)
        })
    }

    fn can_be_asked(&self, message: &Message, addressing: Addressing) -> Result<(), Reason> {
        if addressing == Addressing::Unlisted {
            return Err(Reason::new("cannotBeAsked", "nobody is named whose conversation could be read"));
        }
        look::unrecognisable(message).map_or(Ok(()), Err)
    }

    fn look<'a>(
        &'a self,
        look: &'a Look,
        journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Vec<Sighting>, ReadFault>> {
        Box::pin(async move {
            self.can_be_asked(&look.message, look.addressing).map_err(ReadFault)?;
            self.look_up(look, journal).await
        })
    }

    fn works(&self) -> Pending<'_, Result<(), ReadFault>> {
        Box::pin(self.ask_time())
    }

    fn check_sender<'a>(
        &'a self,
        message: &'a Message,
        journal: &'a dyn Journal,
    ) -> Pending<'a, Result<Option<Reason>, ReadFault>> {
        Box::pin(self.ask_sender(message, journal))
    }

    fn users<'a>(
        &'a self,
        message: &'a Message,
        page_number: u32,
    ) -> Pending<'a, Result<UserPage, ReadFault>> {
        Box::pin(self.list_users(sender(message), page_number))
    }

    fn members<'a>(
        &'a self,
        group: &'a RecipientID,
        page_number: u32,
    ) -> Pending<'a, Result<UserPage, ReadFault>> {
        Box::pin(self.list_members(group, page_number))
    }
}

fn sender(message: &Message) -> Option<&str> {
    message.0.get("sendID").and_then(Value::as_str)
}

/// JSON of a value whose keys are strings and whose numbers are finite, which cannot fail.
fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// A token that was not given refuses no message: the call has not left, and may be made later.
fn nothing_left(answer: Answer) -> Answer {
    match answer.reply {
        Reply::Rejected(reason) => Answer { reply: Reply::NothingDone(Cause::Outage, reason), ..answer },
        _ => answer,
    }
}

/// What a failure to get a token means for the call that needed it: it never left.
fn token_failure(answer: Answer) -> Answer {
    let explain = |reason: Reason| Reason::new(reason.code, format!("no admin token: {}", reason.text));
    let reply = match answer.reply {
        Reply::NothingDone(Cause::Token, reason) | Reply::Unanswered(reason) => {
            Reply::NothingDone(Cause::Outage, explain(reason))
        }
        Reply::NothingDone(cause, reason) => Reply::NothingDone(cause, explain(reason)),
        Reply::Rejected(reason) => Reply::Rejected(explain(reason)),
        Reply::Answered(_) => {
            Reply::NothingDone(Cause::Outage, Reason::new("unreadable", "an answer to another question"))
        }
    };
    Answer { reply, ..answer }
}

#[cfg(test)]
mod tests;
