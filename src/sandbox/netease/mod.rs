//! NetEase's side of the sandbox: the provider's own server API, and an application's
//! `sendMsgToAll.action` beside it, as their documentation and published sessions tell.
//!
//! Knows: the order of checks, what is remembered for how long. Where nobody knows what the provider
//! does, a fault switches it. Must never know: how our gateways read its answers.

mod account;
pub mod faults;
mod form;
mod history;
mod quota;
mod sending;
mod to_all;
pub mod transport;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::{account::Signed, form::Form, quota::Quotas};
use super::{
    answer::Response,
    faults::{self as openim_faults, Hang},
    truth::{Fate, Filter},
    users::Users,
    world::{Outcome, State, World},
};

/// The application's key, and its secret.
pub const APP: &str = "sandbox";
/// What all paths begin with.
pub const PREFIX: &str = "/nimserver";
/// How long a success is given again for the same `RequestId`.
const REMEMBERED_MS: i64 = 60_000;
/// The most answers that are remembered.
const MOST_REMEMBERED: usize = 1_000_000;

/// The most accounts that are created.
const MOST_CREATED: usize = 100_000;

/// The paths that send.
pub const SEND: &str = "/nimserver/msg/sendMsg.action";
pub const SEND_BATCH: &str = "/nimserver/msg/sendBatchMsg.action";
pub const SEND_ATTACH: &str = "/nimserver/msg/sendBatchAttachMsg.action";
pub const BROADCAST: &str = "/nimserver/msg/broadcastMsg.action";
pub const SEND_TO_ALL: &str = "/nimserver/msg/sendMsgToAll.action";

/// A request to the provider.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub content_type: Option<String>,
    pub app_key: Option<String>,
    pub nonce: Option<String>,
    pub cur_time: Option<String>,
    pub check_sum: Option<String>,
    pub request_id: Option<String>,
}

/// By what a request that comes again is known: its path and `RequestId`.
type Key = (String, String);

impl Request {
    fn key(&self) -> Option<Key> {
        self.request_id.as_ref().map(|id| (self.path.clone(), id.clone()))
    }
}

/// What the provider holds besides what every provider here does.
#[derive(Debug)]
pub struct NetEase {
    next_id: i64,
    /// By path and `RequestId`: until when, and what was answered.
    remembered: HashMap<Key, (i64, Response)>,
    /// Requests that hang before they are worked on.
    under_way: HashSet<Key>,
    /// Told when one of those is over.
    one_over: Arc<Notify>,
    quotas: Quotas,
    /// All that was accepted, which is the truth.
    messages: Vec<history::Message>,
    /// Messages before this one are listed no more.
    listed_from: usize,
    accepted: u64,
    broadcasts: VecDeque<history::Broadcast>,
    /// Accounts that were created, besides the users there are.
    created: BTreeSet<String>,
}

impl Default for NetEase {
    fn default() -> NetEase {
        NetEase {
            // Beyond 32 bits, which catches clients that have no more.
            next_id: 310_020_040_500_000,
            remembered: HashMap::new(),
            under_way: HashSet::new(),
            one_over: Arc::default(),
            quotas: Quotas::default(),
            messages: Vec::new(),
            listed_from: 0,
            accepted: 0,
            broadcasts: VecDeque::new(),
            created: BTreeSet::new(),
        }
    }
}

impl NetEase {
    /// Lists nothing any more of what was received until now. It can still be read back.
    pub fn forget_received(&mut self) {
        self.listed_from = self.messages.len();
    }
}

/// An error of the provider, told with HTTP 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub code: i64,
    pub desc: String,
}

impl Refused {
    pub fn new(code: i64, desc: impl Into<String>) -> Refused {
        Refused { code, desc: desc.into() }
    }
}

/// What a request that works needs.
pub(super) struct Desk<'a> {
    pub netease: &'a mut NetEase,
    pub users: &'a Users,
    pub faults: &'a openim_faults::Faults,
    pub request_id: &'a str,
    /// Unix milliseconds by the provider's clock.
    pub now_ms: i64,
    /// The same by the computer's.
    pub begun_at: i64,
}

/// The paths that send.
const SENDING: [&str; 5] = [SEND, SEND_BATCH, SEND_ATTACH, BROADCAST, SEND_TO_ALL];

/// Whether a path sends.
pub fn sends(path: &str) -> bool {
    SENDING.contains(&path)
}

impl World {
    /// Shows every message that NetEase's side accepted and the filter wants, as JSON objects.
    pub fn received_by_netease(&self, filter: &Filter, fate: Option<Fate>, mut show: impl FnMut(&str)) {
        let state = self.state();
        let wanted = |want: &Option<String>, is: &str| want.as_deref().is_none_or(|want| want == is);
        for message in state.netease.messages.iter().skip(state.netease.listed_from) {
            let own = message.fate(self.now_ms());
            if wanted(&filter.sender, &message.from)
                && wanted(&filter.recipient, &message.to)
                && fate.is_none_or(|fate| fate == own)
            {
                show(&message.shown(own).to_string());
            }
        }
    }

    /// Answers a request to NetEase's API.
    pub async fn handle_netease(self: &Arc<World>, request: Request, body: Bytes) -> Outcome {
        let path = request.path.clone();
        let latency = self.state().faults.latency();
        if !latency.is_zero() && sends(&path) {
            tokio::time::sleep(latency).await;
        }
        let mut outcome = match self.wait_for_twin(&request).await {
            Some(refused) => refused,
            None => {
                let hang = openim_faults::take(&mut self.state().faults.hang, &path);
                match hang {
                    None => self.answer_netease(&request, &body),
                    Some(Hang { for_ms, after_work, .. }) => {
                        self.hang(request, body, for_ms, after_work).await
                    }
                }
            }
        };
        if let Outcome::Answered(response) = &mut outcome {
            response.date = Some(self.netease_date());
        }
        self.slowly(&path, outcome)
    }

    /// A request that comes while another with its `RequestId` is under way waits for the end of that, or is
    /// refused.
    async fn wait_for_twin(&self, request: &Request) -> Option<Outcome> {
        let key = request.key()?;
        loop {
            let one_over = {
                let state = self.state();
                let faults = &state.faults.netease;
                if faults.forgets_requests || !state.netease.under_way.contains(&key) {
                    return None;
                }
                if faults.repeated_is_431 {
                    return Some(Outcome::Answered(refusal(&Refused::new(431, ""), faults.code_as_text)));
                }
                Arc::clone(&state.netease.one_over).notified_owned()
            };
            one_over.await;
        }
    }

    /// Answers after so many milliseconds, or never. Work that comes late is done although nobody waits for its end.
    async fn hang(
        self: &Arc<World>,
        request: Request,
        body: Bytes,
        for_ms: Option<u64>,
        after_work: bool,
    ) -> Outcome {
        let done = after_work.then(|| self.answer_netease(&request, &body));
        let Some(millis) = for_ms else { return std::future::pending().await };
        let pause = tokio::time::sleep(Duration::from_millis(millis));
        if let Some(outcome) = done {
            pause.await;
            return outcome;
        }
        let world = Arc::clone(self);
        self.state().netease.under_way.extend(request.key());
        let late = tokio::spawn(async move {
            pause.await;
            let outcome = world.answer_netease(&request, &body);
            let netease = &mut world.state().netease;
            if let Some(key) = request.key() {
                netease.under_way.remove(&key);
            }
            netease.one_over.notify_waiters();
            outcome
        });
        late.await.unwrap_or(Outcome::Closed)
    }

    fn answer_netease(&self, request: &Request, body: &[u8]) -> Outcome {
        let mut state = self.state();
        let state = &mut *state;
        let path = request.path.as_str();
        if openim_faults::take(&mut state.faults.unreachable, path).is_some() {
            return Outcome::Unreachable;
        }
        if let Some(fault) = openim_faults::take(&mut state.faults.http_status, path) {
            return Outcome::Answered(Response::html(fault.status));
        }
        if path == "/nimserver/health/liveness.action" {
            return Outcome::Answered(Response::text(200, "ok"));
        }
        if request.method != "POST" {
            return Outcome::Answered(Response::text(405, "method not allowed"));
        }
        let dropped = openim_faults::take(&mut state.faults.drop_answer, path).is_some();
        let outcome = self.judge_netease(state, request, body);
        if dropped { Outcome::Closed } else { outcome }
    }

    /// Whether the request is one of the application's, and what comes of it.
    fn judge_netease(&self, state: &mut State, request: &Request, body: &[u8]) -> Outcome {
        let path = request.path.as_str();
        let begun_at = self.now_ms();
        let now_ms = begun_at + state.faults.netease.clock_ahead_s.saturating_mul(1_000);
        let as_text = state.faults.netease.code_as_text;
        let refuse = |refused: Refused| Outcome::Answered(refusal(&refused, as_text));
        let unsigned = path == SEND_TO_ALL && state.faults.netease.unsigned;
        if !unsigned && let Err(refused) = Signed::of(request).check(now_ms) {
            return refuse(refused);
        }
        if state.faults.netease.suspended {
            return refuse(Refused::new(403, "app is forbidden"));
        }
        let key = request.key();
        if let Some(remembered) = key.as_ref().and_then(|key| state.netease.remembered.get(key))
            && remembered.0 > begun_at
            && !state.faults.netease.forgets_requests
        {
            return if state.faults.netease.repeated_is_431 {
                refuse(Refused::new(431, ""))
            } else {
                Outcome::Answered(remembered.1.clone())
            };
        }
        if !state.netease.quotas.admit(path, begun_at, &state.faults.netease) {
            return refuse(Refused::new(416, "query too fast"));
        }
        if let Some(fault) = openim_faults::take(&mut state.faults.netease.code_before, path) {
            return refuse(Refused::new(fault.code, fault.desc));
        }
        let after = openim_faults::take(&mut state.faults.netease.code_after, path);
        let truncated = openim_faults::take(&mut state.faults.netease.truncate, path);
        let plan = state.faults.clone();
        let mut desk = Desk {
            netease: &mut state.netease,
            users: &state.users,
            faults: &plan,
            request_id: request.request_id.as_deref().unwrap_or_default(),
            now_ms,
            begun_at,
        };
        let answered = match desk.work(request, body) {
            Ok(Some(answered)) => answered,
            Ok(None) => return Outcome::Answered(Response::text(404, "404 page not found")),
            Err(refused) => return refuse(refused),
        };
        let answered = if as_text { with_text_code(answered) } else { answered };
        let response = Response::json(200, &answered);
        if let Some(key) = key.filter(|_| sends(path)) {
            state.netease.remembered.retain(|_, (until, _)| *until > begun_at);
            if state.netease.remembered.len() < MOST_REMEMBERED {
                state.netease.remembered.insert(key, (begun_at + REMEMBERED_MS, response.clone()));
            }
        }
        match (after, truncated) {
            (Some(fault), _) => refuse(Refused::new(fault.code, fault.desc)),
            (None, Some(truncate)) => {
                let mut response = response;
                response.body.truncate(truncate.bytes.unwrap_or(response.body.len() / 2));
                Outcome::Answered(response)
            }
            (None, None) => Outcome::Answered(response),
        }
    }

    /// The header `Date` by the provider's clock.
    fn netease_date(&self) -> String {
        let ahead = self.state().faults.netease.clock_ahead_s;
        let at = jiff::Timestamp::from_millisecond(self.now_ms() + ahead.saturating_mul(1_000));
        at.unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
}

fn refusal(refused: &Refused, as_text: bool) -> Response {
    let mut body = json!({"code": refused.code});
    if !refused.desc.is_empty() {
        body["desc"] = refused.desc.as_str().into();
    }
    Response::json(200, &if as_text { with_text_code(body) } else { body })
}

fn with_text_code(mut body: Value) -> Value {
    body["code"] = body["code"].to_string().into();
    body
}

impl Desk<'_> {
    /// Does what is asked; None when there is no such path.
    fn work(&mut self, request: &Request, body: &[u8]) -> Result<Option<Value>, Refused> {
        let content_type = request.content_type.as_deref();
        if request.path == SEND_TO_ALL {
            return self.send_to_all(content_type, body).map(Some);
        }
        let form = Form::read(content_type, body, &self.faults.netease);
        match request.path.as_str() {
            SEND => self.send(&form),
            SEND_BATCH => self.send_batch(&form),
            SEND_ATTACH => self.send_attach(&form),
            BROADCAST => self.broadcast(&form),
            "/nimserver/msg/delMsgOneWay.action" => self.delete_one_way(&form),
            "/nimserver/history/querySessionMsg.action" => self.session(&form),
            "/nimserver/history/queryBroadcastMsg.action" => self.broadcasts(&form),
            "/nimserver/history/queryBroadcastMsgById.action" => self.broadcast_of(&form),
            "/nimserver/history/delBroadcastMsgById.action" => self.forget_broadcast(&form),
            "/nimserver/user/create.action" => self.create_user(&form),
            "/nimserver/user/getUinfos.action" => self.users_info(&form),
            _ => return Ok(None),
        }
        .map(Some)
    }

    fn next_id(&mut self) -> i64 {
        self.netease.next_id += 1;
        // Beyond what a float holds, which catches clients that read numbers as such.
        if self.faults.netease.big_ids { self.netease.next_id + (1 << 53) } else { self.netease.next_id }
    }

    /// Whether an account exists; accounts are kept in lower case.
    fn exists(&self, accid: &str) -> bool {
        let accid = accid.to_ascii_lowercase();
        !self.faults.refuse.contains(&accid)
            && (self.users.exists(&accid)
                || self.netease.created.contains(&accid)
                || to_all::DOCUMENTED.contains(&accid.as_str()))
    }

    fn create_user(&mut self, form: &Form) -> Result<Value, Refused> {
        let accid = form.required("accid")?.to_ascii_lowercase();
        let is_good = accid.len() <= 32
            && accid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_@.-".contains(&byte));
        if !is_good {
            return Err(Refused::new(414, "bad accid"));
        }
        if self.exists(&accid) {
            return Err(Refused::new(414, "already register"));
        }
        let name = form.get("name").unwrap_or_default();
        let info = json!({"token": form.get("token").unwrap_or(&accid), "accid": accid, "name": name});
        if self.netease.created.len() < MOST_CREATED {
            self.netease.created.insert(accid);
        }
        Ok(json!({"code": 200, "info": info}))
    }

    fn users_info(&mut self, form: &Form) -> Result<Value, Refused> {
        let accids = form.list("accids")?;
        if let Some(stranger) = accids.iter().find(|accid| !self.exists(accid)) {
            return Err(Refused::new(414, format!("{stranger} not register")));
        }
        let info = |accid: &String| json!({"accid": accid.to_ascii_lowercase(), "name": accid});
        Ok(json!({"code": 200, "uinfos": accids.iter().map(info).collect::<Vec<_>>()}))
    }
}
