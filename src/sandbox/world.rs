//! A world: a provider's state, and how it answers requests, as a running server of OpenIM's main
//! line was seen to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ADMIN, SECRET,
    answer::{Error, Response},
    faults::{self, Faults},
    groups::Groups,
    messages,
    tokens::{LIFETIME, Tokens},
    truth::{Filter, Received, Truth},
    users::{User, Users},
};
use crate::clock::Clock;

/// What a world is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Equal seeds and requests give equal ids.
    pub seed: u64,
    /// How many users `u00001…` are registered.
    pub users: u32,
    /// How many groups `g1001…` there are.
    pub groups: u32,
    /// Whether every other id counts as registered too, so that anyone's lists can be rehearsed.
    pub open: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { seed: 1, users: 1_000, groups: 10, open: false }
    }
}

/// A provider that delivers nowhere.
pub struct World {
    pub(super) seed: u64,
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub users: Users,
    pub groups: Groups,
    pub tokens: Tokens,
    pub faults: Faults,
    pub truth: Truth,
    /// Messages accepted so far.
    pub accepted: u64,
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
        let state = State {
            users: Users::new(options.users, options.open),
            groups: Groups::new(options.groups, options.users, options.open),
            tokens: Tokens::default(),
            faults: Faults::default(),
            truth: Truth::default(),
            accepted: 0,
        };
        World { seed: options.seed, clock, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that are still to come.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Replaces the faults.
    pub fn set_faults(&self, mut faults: Faults) {
        let mut state = self.state();
        if std::mem::take(&mut faults.expire_tokens) {
            state.tokens.expire_all(self.clock.now());
        }
        state.faults = faults;
    }

    /// Shows every stored message that the filter wants, in the order of the requests.
    pub fn received(&self, filter: &Filter, show: impl FnMut(Received<'_>)) {
        self.state().truth.each(self.seed, filter, self.clock.now().as_millisecond(), show);
    }

    /// Forgets what was received.
    pub fn forget_received(&self) {
        self.state().truth.forget();
    }

    /// Answers a request as the server does: its checks in their order, then the work. Work that was
    /// begun goes on when nobody waits for its end.
    pub async fn handle(self: &Arc<World>, request: Request<'_>, body: Bytes) -> Outcome {
        match self.before_work(request) {
            Ok(()) => {}
            Err(outcome) => return outcome,
        }
        match request.path {
            messages::BATCH_SEND | messages::SEND => {
                messages::send(Arc::clone(self), request.path, request.operation_id.unwrap_or_default(), body)
                    .await
            }
            path => Outcome::Answered(self.answer(path, &body)),
        }
    }

    fn before_work(&self, request: Request<'_>) -> Result<(), Outcome> {
        let mut state = self.state();
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
        let token_free = ["/auth/get_admin_token", "/auth/parse_token"];
        if !token_free.iter().any(|path| request.path.starts_with(path)) {
            let Some(token) = request.token.filter(|token| !token.is_empty()) else {
                return refuse(Error::args("header must have token"));
            };
            if let Err(error) = state.tokens.check(token, self.clock.now()) {
                return refuse(error);
            }
        }
        match faults::take(&mut state.faults.err_code, request.path) {
            Some(fault) => refuse(Error::new(fault.code, "SandboxFault", "on demand")),
            None => Ok(()),
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> Response {
        let answer = match path {
            "/auth/get_admin_token" => self.admin_token(body),
            "/auth/parse_token" => self.parse_token(body),
            "/msg/get_server_time" => Ok(Response::data(&json!({"serverTime": self.now_ms()}))),
            "/user/get_users" => self.get_users(body),
            "/user/get_all_users_uid" => self.get_all_users_uid(body),
            "/user/account_check" => self.account_check(body),
            "/user/get_users_info" => self.get_users_info(body),
            "/user/user_register" => self.user_register(body),
            "/user/set_global_msg_recv_opt" => self.set_receive_option(body),
            "/friend/add_black" => self.add_black(body),
            "/group/get_group_member_user_id" => self.group_members(body),
            _ => return Response::text(404, "404 page not found"),
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
        let token = self.state().tokens.issue(self.seed, self.clock.now());
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

    fn get_users(&self, body: &[u8]) -> Result<Response, Error> {
        let (skip, take) = page(body)?;
        let state = self.state();
        let row = |user: User<'_>| {
            json!({"userID": user.id, "nickname": user.id, "faceURL": "", "ex": "", "createTime": 0,
                "appMangerLevel": user.level, "globalRecvMsgOpt": user.receive_option})
        };
        let users: Vec<Value> = state.users.ordinary_page(skip, take).into_iter().map(row).collect();
        let users = if users.is_empty() { Value::Null } else { users.into() };
        Ok(Response::data(&json!({"total": state.users.ordinary_count(), "users": users})))
    }

    fn get_all_users_uid(&self, body: &[u8]) -> Result<Response, Error> {
        let (skip, take) = page(body)?;
        let state = self.state();
        let ids: Vec<_> = state.users.all().skip(skip).take(take).collect();
        let ids = if ids.is_empty() { Value::Null } else { json!(ids) };
        Ok(Response::data(&json!({"total": state.users.ordinary_count() + 2, "userIDs": ids})))
    }

    fn account_check(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "checkUserIDs")]
            ids: Vec<String>,
        }
        let Body { ids } = bind(body)?;
        let distinct: std::collections::HashSet<&String> = ids.iter().collect();
        if distinct.len() < ids.len() {
            return Err(Error::args("userID repeated"));
        }
        let state = self.state();
        let status = |id: &String| json!({"userID": id, "accountStatus": u8::from(state.users.exists(id))});
        let results: Vec<Value> = ids.iter().map(status).collect();
        Ok(Response::data(&json!({"results": results})))
    }

    fn get_users_info(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "userIDs")]
            ids: Vec<String>,
        }
        let Body { ids } = bind(body)?;
        let state = self.state();
        let info = |id: &String| {
            let level = state.users.level(id)?;
            let option = state.users.receive_option(id);
            Some(json!({"userID": id, "nickname": id, "appMangerLevel": level, "globalRecvMsgOpt": option}))
        };
        let users: Vec<Value> = ids.iter().filter_map(info).collect();
        Ok(Response::data(&json!({"usersInfo": users})))
    }

    fn user_register(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            users: Vec<Newcomer>,
        }
        #[derive(Deserialize)]
        struct Newcomer {
            #[serde(rename = "userID")]
            id: String,
        }
        let Body { users } = bind(body)?;
        if users.iter().any(|user| user.id.is_empty() || user.id.contains(':')) {
            return Err(Error::args("userID is invalid"));
        }
        let mut state = self.state();
        for user in &users {
            if !state.users.register(&user.id) {
                return Err(Error::new(1102, "RegisteredAlreadyError", "userID registered already"));
            }
        }
        Ok(Response::done())
    }

    fn set_receive_option(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "userID")]
            id: String,
            #[serde(rename = "globalRecvMsgOpt")]
            option: u8,
        }
        let Body { id, option } = bind(body)?;
        let mut state = self.state();
        if !state.users.exists(&id) {
            return Err(Error::not_found("userID not found"));
        }
        state.users.set_receive_option(&id, option);
        Ok(Response::done())
    }

    fn add_black(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "ownerUserID")]
            owner: String,
            #[serde(rename = "blackUserID")]
            blocked: String,
        }
        let Body { owner, blocked } = bind(body)?;
        self.state().users.block(&owner, &blocked);
        Ok(Response::done())
    }

    fn group_members(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "groupID")]
            group: String,
        }
        let Body { group } = bind(body)?;
        let state = self.state();
        let members = state.groups.members(&group);
        let members = if members.is_empty() { Value::Null } else { json!(members) };
        Ok(Response::data(&json!({"userIDs": members})))
    }
}

/// Reads the body of the calls that answer a bad one with HTTP 200.
fn bind<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::args(error.to_string()))
}

/// How many to skip and to take.
fn page(body: &[u8]) -> Result<(usize, usize), Error> {
    #[derive(Deserialize)]
    struct Body {
        pagination: Option<Pagination>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Pagination {
        page_number: i32,
        show_number: i32,
    }
    let Body { pagination } = bind(body)?;
    let pagination = pagination.ok_or_else(|| Error::args("pagination is empty"))?;
    if pagination.page_number < 1 {
        return Err(Error::args("pageNumber is invalid"));
    }
    let take = usize::try_from(pagination.show_number).unwrap_or(0);
    Ok(((pagination.page_number as usize - 1).saturating_mul(take), take))
}
