//! Groups `g1001…`, each with the ordinary sender and the first numbered users.

use std::collections::HashMap;

use super::{ADMIN, SENDER, answer::Error, profile::Profile, users::numbered_id};

#[derive(Debug)]
pub struct Groups {
    open: bool,
    members: HashMap<String, Vec<String>>,
}

impl Groups {
    /// So many groups, each with so many numbered users.
    pub fn new(count: u32, members: u32, open: bool) -> Groups {
        let members = || {
            let numbered = (1..=members).map(numbered_id);
            std::iter::once(SENDER.to_owned()).chain(numbered).collect()
        };
        let groups = (0..count).map(|number| (format!("g{}", 1_001 + number), members()));
        Groups { open, members: groups.collect() }
    }

    /// The members of a group; an unknown one has none.
    pub fn members(&self, group: &str) -> &[String] {
        self.members.get(group).map_or(&[], Vec::as_slice)
    }

    /// Whether an account may send into a group.
    pub fn check_sender(&self, profile: Profile, group: &str, sender: &str) -> Result<(), Error> {
        let Some(members) = self.members.get(group) else {
            return if self.open { Ok(()) } else { Err(profile.no_such_group()) };
        };
        if sender == ADMIN || members.iter().any(|member| member == sender) {
            Ok(())
        } else {
            Err(profile.raised(1203, "NotInGroupYetError", ""))
        }
    }
}
