//! A world: a provider's state, and how it answers requests, as running servers of OpenIM were seen to
//! do.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{
    ADMIN, SECRET,
    answer::{Error, Response},
    archive::{Archive, Partitions},
    faults::{self, EveryNth, Faults, Hang},
    groups::Groups,
    keep::{Change, Keep, KeepError},
    messages,
    netease::NetEase,
    profile::{Profile, Service},
    statuses::Statuses,
    tokens::{LIFETIME, Tokens},
    truth::{Filter, Received, Truth},
    users::Users,
};
use crate::clock::Clock;

/// What a world is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub profile: Profile,
    /// Equal seeds and requests give equal ids.
    pub seed: u64,
    /// How many users `u00001…` are registered.
    pub users: u32,
    /// How many groups `g1001…` there are.
    pub groups: u32,
    /// How many of the users each group has, besides the ordinary sender.
    pub members: u32,
    /// Whether every other id counts as registered too, so that anyone's lists can be rehearsed.
    pub open: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { profile: Profile::Main, seed: 1, users: 1_000, groups: 10, members: 10, open: false }
    }
}

/// A provider that delivers nowhere.
pub struct World {
    pub(super) profile: Profile,
    pub(super) seed: u64,
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub profile: Profile,
    pub seed: u64,
    pub users: Users,
    pub groups: Groups,
    pub tokens: Tokens,
    pub faults: Faults,
    pub truth: Truth,
    pub netease: NetEase,
    pub partitions: Partitions,
    pub archive: Archive,
    pub statuses: Statuses,
    /// Whom the faults that hit every so many-th hit next.
    pub losing: EveryNth,
    pub losing_cache: EveryNth,
    pub failing: EveryNth,
    pub omitting_messages: EveryNth,
    pub omitting_conversations: EveryNth,
    /// Where everything is written down that happens, if anywhere.
    pub keep: Option<Keep>,
    /// It could not be written down.
    pub is_broken: bool,
}

/// A request to the provider; all of them are POSTs.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub path: &'a str,
    pub operation_id: Option<&'a str>,
    pub token: Option<&'a str>,
}

/// What comes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answered(Response),
    /// The connection is closed without a byte.
    Closed,
    /// No connection is made.
    Unreachable,
}

impl World {
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> World {
        let profile = options.profile;
        let state = State {
            profile,
            seed: options.seed,
            users: Users::new(profile, options.users, options.open),
            groups: Groups::new(options.groups, options.users.min(options.members), options.open),
            tokens: Tokens::new(profile),
            faults: Faults::default(),
            truth: Truth::default(),
            netease: NetEase::default(),
            partitions: Partitions::default(),
            archive: Archive::default(),
            statuses: Statuses::default(),
            losing: EveryNth::default(),
            losing_cache: EveryNth::default(),
            failing: EveryNth::default(),
            omitting_messages: EveryNth::default(),
            omitting_conversations: EveryNth::default(),
            keep: None,
            is_broken: false,
        };
        World { profile, seed: options.seed, clock, state: Mutex::new(state) }
    }

    /// The same, going on from what a file keeps, and keeping there what happens. The main line has
    /// what waits to be stored in its memory alone, and has lost it.
    pub fn keeping(self, path: &Path) -> Result<World, KeepError> {
        {
            let mut state = self.state();
            let keep = Keep::open(path, &mut state)?;
            state.keep = Some(keep);
            if self.profile == Profile::Main {
                state.change(&Change::WaitingLost { at: self.now_ms() });
            }
        }
        Ok(self)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that are still to come.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Replaces the faults. What is to happen at once happens now.
    pub fn set_faults(&self, mut faults: Faults) {
        let now = self.now_ms();
        let mut state = self.state();
        if std::mem::take(&mut faults.expire_tokens) {
            state.change(&Change::TokensExpired { at: now });
        }
        if std::mem::take(&mut faults.forget_tokens) {
            state.change(&Change::TokensForgotten);
        }
        if std::mem::take(&mut faults.lose_waiting) {
            state.change(&Change::WaitingLost { at: now });
        }
        if let count @ 1.. = std::mem::take(&mut faults.store_again) {
            state.change(&Change::StoredAgain { count, at: now });
        }
        if let Some(ago) = faults.restore_backup_of_ms_ago.take() {
            state.change(&Change::Restored { then: now.saturating_sub_unsigned(ago), at: now });
        }
        state.faults = faults;
    }

    /// Shows every accepted message that the filter wants, in the order of the requests.
    pub fn received(&self, filter: &Filter, show: impl FnMut(Received<'_>)) {
        self.state().truth.each(self.seed, filter, self.clock.now().as_millisecond(), show);
    }

    /// Shows nothing any more of what was received until now. It stays stored.
    pub fn forget_received(&self) {
        let mut state = self.state();
        state.change(&Change::ReceivedForgotten);
        state.netease.forget_received();
    }

    /// Answers a request as the server does: its checks in their order, then the work. Work that was
    /// begun goes on when nobody waits for its end.
    pub async fn handle(self: &Arc<World>, request: Request<'_>, body: Bytes) -> Outcome {
        let outcome = self.handle_sometime(request, body).await;
        self.slowly(request.path, outcome)
    }

    /// An answer that comes slowly, where that is to be.
    pub(super) fn slowly(&self, path: &str, mut outcome: Outcome) -> Outcome {
        if let Outcome::Answered(response) = &mut outcome {
            let drip = faults::take(&mut self.state().faults.drip, path);
            response.drip = drip.map(|drip| Duration::from_millis(drip.pause_ms));
        }
        outcome
    }

    async fn handle_sometime(self: &Arc<World>, request: Request<'_>, body: Bytes) -> Outcome {
        let hang = faults::take(&mut self.state().faults.hang, request.path);
        let Some(Hang { for_ms, after_work, .. }) = hang else { return self.serve(request, body).await };
        let pause = async move {
            match for_ms {
                Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                None => std::future::pending().await,
            }
        };
        if after_work {
            let outcome = self.serve(request, body).await;
            pause.await;
            return outcome;
        }
        let world = Arc::clone(self);
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (path, operation_id, token) =
            (request.path.to_owned(), text(request.operation_id), text(request.token));
        if for_ms.is_none() {
            return std::future::pending().await;
        }
        let late = tokio::spawn(async move {
            pause.await;
            let request =
                Request { path: &path, operation_id: operation_id.as_deref(), token: token.as_deref() };
            world.serve(request, body).await
        });
        late.await.unwrap_or(Outcome::Closed)
    }

    async fn serve(self: &Arc<World>, request: Request<'_>, mut body: Bytes) -> Outcome {
        match self.before_work(request) {
            Ok(()) => {}
            Err(outcome) => return outcome,
        }
        body.truncate(self.profile.longest_request());
        let operation_id = request.operation_id.unwrap_or_default();
        match request.path {
            messages::BATCH_SEND | messages::SEND => {
                messages::send(Arc::clone(self), request.path, operation_id, body).await
            }
            path => Outcome::Answered(self.answer(path, operation_id, &body)),
        }
    }

    fn before_work(&self, request: Request<'_>) -> Result<(), Outcome> {
        let mut state = self.state();
        if state.is_broken {
            return Err(Outcome::Unreachable);
        }
        let faults = &mut state.faults;
        if faults::take(&mut faults.unreachable, request.path).is_some() {
            return Err(Outcome::Unreachable);
        }
        if let Some(fault) = faults::take(&mut faults.http_status, request.path) {
            return Err(Outcome::Answered(Response::html(fault.status)));
        }
        if let Some(fault) = faults::take(&mut faults.throttle, request.path) {
            let error = Error::new(429, "too many requests, please try again later", "");
            let response = Response { retry_after: fault.retry_after, ..Response::json(429, &error) };
            return Err(Outcome::Answered(response));
        }
        let refuse = |error: Error| Err(Outcome::Answered(error.response()));
        if request.operation_id.is_none_or(str::is_empty) {
            return refuse(Error::args("header must have operationID"));
        }
        if faults::take(&mut state.faults.auth_down, request.path).is_some() {
            return refuse(self.profile.unreachable(Service::Auth));
        }
        let token_free = ["/auth/get_admin_token", "/auth/parse_token"];
        if !token_free.iter().any(|path| request.path.starts_with(path)) {
            let Some(token) = request.token.filter(|token| !token.is_empty()) else {
                return refuse(Error::args("header must have token"));
            };
            if let Err(error) = state.tokens.check(token, self.clock.now()) {
                return refuse(error);
            }
        }
        if let Some(fault) = faults::take(&mut state.faults.err_code, request.path) {
            return refuse(Error::new(fault.code, "SandboxFault", "on demand"));
        }
        // Those that send find out themselves, one recipient after another.
        if ![messages::BATCH_SEND, messages::SEND].contains(&request.path)
            && faults::take(&mut state.faults.message_service_down, request.path).is_some()
        {
            return refuse(self.profile.unreachable(Service::Message));
        }
        Ok(())
    }

    fn answer(&self, path: &str, operation_id: &str, body: &[u8]) -> Response {
        let answer = match path {
            "/auth/get_admin_token" => self.admin_token(body),
            "/auth/parse_token" => self.parse_token(body),
            "/msg/get_server_time" => Ok(Response::data(&json!({"serverTime": self.now_ms()}))),
            path => {
                let answer = self.account_call(path, body).or_else(|| self.look_up(path, operation_id, body));
                answer.unwrap_or_else(|| Ok(Response::text(404, "404 page not found")))
            }
        };
        answer.unwrap_or_else(|error| error.response())
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn admin_token(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            secret: String,
            #[serde(rename = "userID")]
            user_id: String,
        }
        let body: Body = bind(body)?;
        if body.secret != SECRET {
            return Err(Error::new(1002, "NoPermissionError", "secret invalid"));
        }
        if body.user_id != ADMIN {
            let detail = format!("userID is error., userID={}, adminUserID=[{ADMIN}]", body.user_id);
            return Err(Error::args(detail));
        }
        let mut state = self.state();
        let now = self.clock.now();
        state.note(&Change::TokenIssued { at: now.as_millisecond() });
        let token = state.tokens.issue(self.seed, now);
        Ok(Response::data(&json!({"token": token, "expireTimeSeconds": LIFETIME.as_secs()})))
    }

    fn parse_token(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            token: String,
        }
        let body: Body = bind(body)?;
        let expires_at = self.state().tokens.check(&body.token, self.clock.now())?;
        Ok(Response::data(
            &json!({"userID": ADMIN, "platformID": 10, "expireTimeSeconds": expires_at.as_second()}),
        ))
    }
}

/// Reads the body of the calls that answer a bad one with HTTP 200.
pub(super) fn bind<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::args(error.to_string()))
}

/// Which page is wanted, of how many rows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pagination {
    pub page_number: i32,
    pub show_number: i32,
}

impl Pagination {
    /// How many to skip and to take; a page before the first is the first.
    pub fn skip_and_take(&self) -> (usize, usize) {
        let take = usize::try_from(self.show_number).unwrap_or(0);
        let page = usize::try_from(self.page_number).unwrap_or(0).max(1);
        ((page - 1).saturating_mul(take), take)
    }
}
