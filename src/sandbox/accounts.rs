//! The calls about accounts and groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Error, Response},
    faults,
    keep::Change,
    users::User,
    world::{Pagination, World, bind},
};

/// The calls that list people, page by page.
pub const USERS: &str = "/user/get_users";
pub const MEMBERS: &str = "/group/get_group_member_list";

impl World {
    /// Answers a call about accounts or groups; None: it is no such call.
    pub(super) fn account_call(&self, path: &str, body: &[u8]) -> Option<Result<Response, Error>> {
        Some(match path {
            USERS => self.get_users(body),
            "/user/get_all_users_uid" => self.get_all_users_uid(body),
            "/user/account_check" => self.account_check(body),
            "/user/get_users_info" => self.get_users_info(body),
            "/user/user_register" => self.user_register(body),
            "/user/set_global_msg_recv_opt" => self.set_receive_option(body),
            "/friend/add_black" => self.add_black(body),
            MEMBERS => self.group_member_list(body),
            "/group/get_group_member_user_id" => self.group_members(body),
            _ => return None,
        })
    }

    fn get_users(&self, body: &[u8]) -> Result<Response, Error> {
        let (skip, take) = self.page(USERS, body)?;
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
            let at = self.now_ms();
            state.note(&Change::Registered { id: user.id.as_str().into(), at });
            if !state.users.register(&user.id, at) {
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
        let now = self.now_ms();
        let known = state.truth.wrote_to_since(&id, now - self.profile.option_sticks_ms());
        state.change(&Change::ReceiveOption { id: id.into(), option, at: now, known });
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
        self.state().change(&Change::Blocked { owner: owner.into(), blocked: blocked.into() });
        Ok(Response::done())
    }

    fn group_member_list(&self, body: &[u8]) -> Result<Response, Error> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "groupID")]
            group: String,
        }
        let (skip, take) = self.page(MEMBERS, body)?;
        let Body { group } = bind(body)?;
        let state = self.state();
        let all = state.groups.members(&group);
        let row = |id: &String| json!({"groupID": group, "userID": id, "nickname": id, "roleLevel": 20});
        let members: Vec<Value> = all.iter().skip(skip).take(take).map(row).collect();
        let members = if members.is_empty() { Value::Null } else { members.into() };
        Ok(Response::data(&json!({"total": all.len(), "members": members})))
    }

    /// How many of a list to skip and to take. Faults hit no page that is the first.
    fn page(&self, path: &str, body: &[u8]) -> Result<(usize, usize), Error> {
        let (skip, take) = page(body)?;
        if skip == 0 {
            return Ok((skip, take));
        }
        let faults = &mut self.state().faults;
        if faults::take(&mut faults.repeat_pages, path).is_some() {
            return Ok((0, take));
        }
        let moved = faults::take(&mut faults.move_pages, path).map_or(0, |fault| fault.by);
        Ok((skip.saturating_add(moved), take))
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

/// How many to skip and to take.
fn page(body: &[u8]) -> Result<(usize, usize), Error> {
    #[derive(Deserialize)]
    struct Body {
        pagination: Option<Pagination>,
    }
    let Body { pagination } = bind(body)?;
    let pagination = pagination.ok_or_else(|| Error::args("pagination is empty"))?;
    if pagination.page_number < 1 {
        return Err(Error::args("pageNumber is invalid"));
    }
    Ok(pagination.skip_and_take())
}
