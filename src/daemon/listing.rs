//! Listing people at the provider: everyone, or the members of a group, page by page, until a pass over
//! all pages finds nobody new.
//!
//! While it is paged a list changes: whoever comes or goes shifts the others from page to page, and one of
//! them is missed. So it is read again until a pass that nothing disturbed confirms what is known.

use std::io;

use jiff::SignedDuration;

use super::gathering::{Gathering, OpeningFault, blocking};
use crate::{
    audience::{Gatherer, SourceSet},
    campaign::{RecipientID, source::Values},
    gateway::{ReadFault, UserPage},
};

/// Passes over the provider's list until one finds nobody new.
const PASSES: usize = 3;
/// How long a page that failed is waited for.
const PAGE_RETRY: SignedDuration = SignedDuration::from_secs(2);

/// Whom the provider lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed<'a> {
    Everyone,
    MembersOf(&'a RecipientID),
}

/// Gathers everyone whom the provider lists, as of these sources. Gives how many they are.
pub async fn list(
    gathering: &Gathering,
    listed: Listed<'_>,
    sources: SourceSet,
) -> Result<(Gatherer, u64), OpeningFault> {
    let mut known = Gatherer::new(&gathering.spill_folder);
    for pass in 1..=PASSES {
        let read = read_pass(gathering, listed, pass, &mut known).await?;
        if read.users == 0 {
            return Err(OpeningFault::Nobody(name(listed)));
        }
        let whose = gathering.clone();
        let compared = blocking(move || compare(&whose, known, pass, sources)).await??;
        let undisturbed = read.is_whole && compared.in_pass == read.users;
        if pass > 1 && compared.new == 0 && undisturbed {
            return Ok((compared.labelled, compared.all));
        }
        known = compared.known;
        tracing::info!(
            pass,
            users = compared.all,
            new = compared.new,
            undisturbed,
            "the list of {} is read again",
            name(listed)
        );
    }
    Err(OpeningFault::Unstable { what: name(listed), passes: PASSES })
}

fn name(listed: Listed<'_>) -> String {
    match listed {
        Listed::Everyone => "the provider's users".to_owned(),
        Listed::MembersOf(group) => format!("the members of {group}"),
    }
}

/// What one pass over all pages has seen.
struct Pass {
    /// Users named, repetitions counted.
    users: u64,
    /// Whether the pages held as many as the provider counts, the same number from first to last.
    is_whole: bool,
}

async fn read_pass(
    gathering: &Gathering,
    listed: Listed<'_>,
    pass: usize,
    known: &mut Gatherer,
) -> Result<Pass, OpeningFault> {
    let (mut users, mut seen) = (0, 0);
    let mut totals: Option<(u64, u64)> = None;
    let mut page_before = Vec::new();
    for page_number in 1.. {
        let page = page(gathering, listed, page_number).await?;
        // A list without an end is given up: so is one whose pages do not go on.
        if page.more && gathering.clock.now() > gathering.give_up_at {
            return Err(OpeningFault::TooMany(name(listed)));
        }
        if !page.users.is_empty() && page.users == page_before {
            return Err(OpeningFault::Repeated { what: name(listed), page: page_number });
        }
        for id in &page.users {
            known.add(id.as_str(), SourceSet::of(pass), &Values::default())?;
        }
        users += page.users.len() as u64;
        seen += page.listed;
        if let Some(total) = page.total {
            totals = Some((totals.map_or(total, |(first, _)| first), total));
        }
        if !page.more {
            break;
        }
        page_before = page.users;
    }
    Ok(Pass { users, is_whole: totals.is_none_or(|(first, last)| first == last && seen >= last) })
}

/// What is known after a pass.
struct Compared {
    /// All passes together, sorted, for the next one to add to.
    known: Gatherer,
    /// Of them those whom somebody asks for, as of the sources that are listed.
    labelled: Gatherer,
    all: u64,
    /// Different ids of this pass, and those that no pass before has seen.
    in_pass: u64,
    new: u64,
}

fn compare(gathering: &Gathering, known: Gatherer, pass: usize, sources: SourceSet) -> io::Result<Compared> {
    let (first, this) = (SourceSet::of(0), SourceSet::of(pass));
    let new = || Gatherer::new(&gathering.spill_folder);
    let mut compared = Compared { known: new(), labelled: new(), all: 0, in_pass: 0, new: 0 };
    for member in known.members()? {
        let member = member?;
        compared.all += 1;
        compared.in_pass += u64::from(member.sources.meets(this));
        compared.new += u64::from(member.sources == this);
        compared.known.add(member.id.as_str(), first, &Values::default())?;
        if pass > 1 && gathering.keeps(member.id.as_str()) {
            compared.labelled.add(member.id.as_str(), sources, &Values::default())?;
        }
    }
    Ok(compared)
}

/// One page, asked for again while it fails and there is time.
async fn page(gathering: &Gathering, listed: Listed<'_>, page_number: u32) -> Result<UserPage, OpeningFault> {
    let mut give_up_at = None;
    loop {
        let asked: Result<UserPage, ReadFault> = match listed {
            Listed::Everyone => gathering.gateway.users(&gathering.campaign.message, page_number).await,
            Listed::MembersOf(group) => gathering.gateway.members(group, page_number).await,
        };
        let fault = match asked {
            Ok(page) => return Ok(page),
            Err(fault) => fault,
        };
        let again_at = gathering.clock.now() + PAGE_RETRY;
        let give_up_at = *give_up_at.get_or_insert_with(|| {
            let patience = gathering.page_patience.and_then(|patience| again_at.checked_add(patience).ok());
            patience.map_or(gathering.give_up_at, |at| at.min(gathering.give_up_at))
        });
        if again_at > give_up_at {
            return Err(OpeningFault::Unlisted { what: name(listed), fault });
        }
        (gathering.tell)(&format!(
            "page {page_number} of {} cannot be read and is asked for again: {fault}",
            name(listed)
        ));
        tokio::time::sleep(PAGE_RETRY.unsigned_abs()).await;
    }
}
