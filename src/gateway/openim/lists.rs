//! The server's lists of people, page by page.

use super::{OpenIM, PAGE, Unrecorded, wire};
use crate::{
    campaign::RecipientID,
    gateway::{ReadFault, UserPage},
    run::reply::Reason,
};

impl OpenIM {
    /// Ordinary users, without admins, robots and the sender.
    pub(super) async fn list_users(
        &self,
        sender: Option<&str>,
        page_number: u32,
    ) -> Result<UserPage, ReadFault> {
        let body = wire::UsersBody { pagination: wire::Pagination { page_number, show_number: PAGE } };
        let data: wire::UsersData = self.read(wire::USERS, &Unrecorded(self), 0, &body).await?;
        let left_out = [sender, Some(self.account.admin_user_id.as_str())];
        user_page(data, |user| {
            user.level.is_none_or(|level| level < 2) && !left_out.contains(&Some(user.user_id.as_str()))
        })
    }

    pub(super) async fn list_members(
        &self,
        group: &RecipientID,
        page_number: u32,
    ) -> Result<UserPage, ReadFault> {
        let pagination = wire::Pagination { page_number, show_number: PAGE };
        let body = wire::MembersBody { group_id: group, pagination };
        let data: wire::MembersData = self.read(wire::MEMBERS, &Unrecorded(self), 0, &body).await?;
        user_page(wire::UsersData { total: data.total, users: data.members }, |_| true)
    }
}

/// A page of users without those who are not wanted. An answer that neither counts nor lists is no list:
/// another program answers, and nobody may be taken for everybody.
fn user_page(data: wire::UsersData, is_wanted: impl Fn(&wire::User) -> bool) -> Result<UserPage, ReadFault> {
    if data.total.is_none() && data.users.is_none() {
        return Err(ReadFault(Reason::new("unreadable", "the answer is no list of users")));
    }
    let users = data.users.unwrap_or_default();
    let listed = users.len() as u64;
    let id = |user: wire::User| match RecipientID::new(user.user_id) {
        Ok(id) => Some(id),
        Err(reason) => {
            tracing::warn!(%reason, "the provider lists a user whose id cannot be used");
            None
        }
    };
    Ok(UserPage {
        users: users.into_iter().filter(is_wanted).filter_map(id).collect(),
        listed,
        total: data.total,
        more: listed >= u64::from(PAGE),
    })
}
