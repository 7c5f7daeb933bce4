//! Opening a run: its audience is gathered, sorted, cut into chunks and stored, then sealed.

use std::{collections::HashMap, io};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::{Parts, assignment::Assignment};
use crate::{
    audience::{Gatherer, ListFault, Member, Members, Side, read_list},
    campaign::{Audience, Dialect, Message, RecipientID, Source},
    gateway::{Gateway, ReadFault},
    run::{
        RunEvent, RunID, RunState,
        chunk::{Chunk, Cutter},
        reply::Reason,
    },
    store::{Store, StoreError, Stored},
};

/// How many members are written in one transaction.
const MEMBERS_A_PART: usize = 20_000;
/// Passes over the provider's users until one finds nobody new.
const PASSES: u32 = 3;
/// How long a page that failed is waited for.
const PAGE_RETRY: SignedDuration = SignedDuration::from_secs(2);

/// Why a run was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningFault {
    #[error(transparent)]
    List(#[from] ListFault),
    #[error("the audience cannot be sorted: {0}")]
    Sorting(#[from] io::Error),
    #[error("the provider's users could not be listed in time: {0}")]
    Users(ReadFault),
    #[error("the provider's users could not be listed in time")]
    TooMany,
    #[error("page {0} of the provider's users is the one before it again")]
    Repeated(u32),
    #[error("the provider's users changed in each of {PASSES} passes over them")]
    Unstable,
    #[error("the audience has {size} recipients; expected are {min} to {max}")]
    Unexpected { size: u64, min: u64, max: u64 },
    #[error("there is no gateway {0:?} in the settings any more")]
    NoGateway(String),
    /// Nothing is wrong with the audience; the ledger refused.
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

/// Opens the run and seals it. Gives its state, which is paused when its campaign is.
///
/// Gathering wants one of the `places`, because it needs memory; an audience that its file names, none.
pub async fn open(
    parts: &Parts,
    places: &Semaphore,
    assignment: &Assignment,
) -> Result<RunState, OpeningFault> {
    let name = &assignment.campaign.gateway;
    let post = parts.gateways.0.get(name).ok_or_else(|| OpeningFault::NoGateway(name.clone()))?;
    let gathered = gather(parts, places, assignment, post.gateway.as_ref()).await?;
    store(parts, assignment, gathered).await
}

/// Who the run is for, sorted, with those who are excluded.
enum Gathered {
    /// They fit into memory.
    Few(Vec<Member>),
    Many(Members),
}

async fn gather(
    parts: &Parts,
    places: &Semaphore,
    assignment: &Assignment,
    gateway: &dyn Gateway,
) -> Result<Gathered, OpeningFault> {
    let campaign = &assignment.campaign;
    if let Some(named) = &assignment.only_to {
        return Ok(Gathered::Few(few(named)));
    }
    match &campaign.audience {
        Audience::Named(ids) | Audience::Groups(ids) if campaign.exclude.is_empty() => {
            Ok(Gathered::Few(few(ids)))
        }
        audience => {
            // Nobody closes it; if somebody did, the audience would be gathered all the same.
            let _place = places.acquire().await;
            let mut gatherer = Gatherer::new(&parts.spill_folder);
            let lists: Vec<(Source, Side)> = match audience {
                Audience::Named(ids) | Audience::Groups(ids) => {
                    vec![(Source::IDs(ids.clone()), Side::Include)]
                }
                Audience::Union(sources) => sources.iter().map(|s| (s.clone(), Side::Include)).collect(),
                Audience::Everyone => {
                    everyone(parts, assignment, gateway, &mut gatherer).await?;
                    Vec::new()
                }
            };
            let excluded = campaign.exclude.iter().map(|source| (source.clone(), Side::Exclude));
            let sources: Vec<_> = lists.into_iter().chain(excluded).collect();
            let members = read_sources(parts, assignment, sources, gatherer).await?;
            Ok(Gathered::Many(members))
        }
    }
}

fn few(ids: &[RecipientID]) -> Vec<Member> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| Member { id, excluded: false }).collect()
}

/// Lists, sorts and spills where blocking is allowed.
async fn read_sources(
    parts: &Parts,
    assignment: &Assignment,
    sources: Vec<(Source, Side)>,
    mut gatherer: Gatherer,
) -> Result<Members, OpeningFault> {
    let (folder, path) = (parts.folder.clone(), assignment.path.clone());
    let (gateways, name) = (parts.gateways.clone(), assignment.campaign.gateway.clone());
    let work = move || -> Result<Members, OpeningFault> {
        let check = |id: &str| match gateways.0.get(&name) {
            Some(post) => Dialect::check_recipient(post.gateway.dialect(), id),
            None => Ok(()),
        };
        for (source, side) in sources {
            match source {
                Source::IDs(ids) => {
                    for id in &ids {
                        gatherer.add(id, side)?;
                    }
                }
                Source::File(list) => {
                    let list_path = folder.list_path(&path, &list.path);
                    read_list(&list_path, &list.format, &check, &mut |id| gatherer.add(id, side))?;
                }
            }
        }
        Ok(gatherer.members()?)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| io::Error::other(error.to_string()))?
}

/// Pages through everyone the provider knows until a pass finds nobody new. A page that fails is
/// asked for again while the run may still start.
async fn everyone(
    parts: &Parts,
    assignment: &Assignment,
    gateway: &dyn Gateway,
    gatherer: &mut Gatherer,
) -> Result<(), OpeningFault> {
    let mut known = std::collections::HashSet::new();
    for pass in 1..=PASSES {
        let before = known.len();
        let mut page_number = 1;
        let mut page_before = Vec::new();
        loop {
            let page = page(parts, assignment, gateway, &assignment.message, page_number).await?;
            // A list without an end is given up: so is one whose pages do not go on.
            if page.more && parts.clock.now() > assignment.start_by {
                return Err(OpeningFault::TooMany);
            }
            if !page.users.is_empty() && page.users == page_before {
                return Err(OpeningFault::Repeated(page_number));
            }
            for id in &page.users {
                if known.insert(fingerprint(id)) {
                    gatherer.add(id, Side::Include)?;
                }
            }
            if !page.more {
                break;
            }
            page_number += 1;
            page_before = page.users;
        }
        if pass > 1 && known.len() == before {
            return Ok(());
        }
    }
    Err(OpeningFault::Unstable)
}

/// Stands for an id when it is only asked whether it has been seen: 128 bits of its digest, so that two
/// ids among billions do not meet.
fn fingerprint(id: &RecipientID) -> u128 {
    use sha2::{Digest, Sha256};
    Sha256::digest(id.as_str()).iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

async fn page(
    parts: &Parts,
    assignment: &Assignment,
    gateway: &dyn Gateway,
    message: &Message,
    page_number: u32,
) -> Result<crate::gateway::UserPage, OpeningFault> {
    loop {
        match gateway.users(message, page_number).await {
            Ok(page) => return Ok(page),
            Err(fault) => {
                let again_at = parts.clock.now() + PAGE_RETRY;
                if again_at > assignment.start_by {
                    return Err(OpeningFault::Users(fault));
                }
                tracing::warn!(run = %assignment.run, page = page_number, %fault, "a page of users failed");
                tokio::time::sleep(PAGE_RETRY.unsigned_abs()).await;
            }
        }
    }
}

/// Writes the audience in parts and seals it, when it has the size that is expected.
async fn store(parts: &Parts, assignment: &Assignment, gathered: Gathered) -> Result<RunState, OpeningFault> {
    let mut cutter = Cutter::new(&assignment.run, assignment.batch_size());
    let mut source = match gathered {
        Gathered::Few(members) => {
            let part = held_back(parts, members).await?.cut(&mut cutter, true);
            return seal(parts, assignment, part, Before::Nothing).await;
        }
        Gathered::Many(members) => members,
    };
    let mut before = Before::Nothing;
    loop {
        // The merge reads from disk, so it is done where blocking is allowed.
        let work = move || (source.by_ref().take(MEMBERS_A_PART).collect::<io::Result<Vec<_>>>(), source);
        let (members, source_back) =
            tokio::task::spawn_blocking(work).await.map_err(|error| io::Error::other(error.to_string()))?;
        source = source_back;
        let members = members?;
        let is_last = members.len() < MEMBERS_A_PART;
        let part = held_back(parts, members).await?.cut(&mut cutter, is_last);
        if is_last {
            return seal(parts, assignment, part, before).await;
        }
        let size = before.size() + part.included;
        let (run, now) = (assignment.run.clone(), parts.clock.now());
        parts.ledger.call(move |store| part.write(store, &run, before, now)).await?;
        before = Before::Written { size };
    }
}

/// Asks the ledger who of these, sorted, must not be written to.
async fn held_back(parts: &Parts, members: Vec<Member>) -> Result<Asked, OpeningFault> {
    let (Some(first), Some(last)) = (members.first(), members.last()) else { return Ok(Asked::default()) };
    let (first, last, now) = (first.id.clone(), last.id.clone(), parts.clock.now());
    let held = parts.ledger.call(move |store| store.suppressed_between(&first, &last, now)).await?;
    Ok(Asked { members, held: held.into_iter().collect() })
}

/// Members, sorted, with those whom the ledger holds back.
#[derive(Default)]
struct Asked {
    members: Vec<Member>,
    held: HashMap<RecipientID, Reason>,
}

impl Asked {
    /// Cuts those who are to be asked; of the last part, all.
    fn cut(mut self, cutter: &mut Cutter, is_last: bool) -> Part {
        let mut part = Part { chunks: Vec::new(), excluded: Vec::new(), included: 0 };
        for member in self.members {
            let excluded = || Reason::new("exclude", "named by `exclude`");
            match self.held.remove(&member.id).or_else(|| member.excluded.then(excluded)) {
                Some(reason) => part.excluded.push((member.id, reason)),
                None => {
                    part.included += 1;
                    part.chunks.extend(cutter.push(member.id));
                }
            }
        }
        if is_last {
            part.chunks.extend(cutter.finish());
        }
        part
    }
}

/// What of an audience has been written before a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing by us: what an opening that was cut short has left is thrown away.
    Nothing,
    Written {
        size: u64,
    },
}

impl Before {
    fn size(self) -> u64 {
        match self {
            Before::Nothing => 0,
            Before::Written { size } => size,
        }
    }
}

/// A part of an audience, ready to be written.
struct Part {
    chunks: Vec<Chunk>,
    excluded: Vec<(RecipientID, Reason)>,
    included: u64,
}

impl Part {
    fn write(&self, store: &mut dyn Store, run: &RunID, before: Before, now: Timestamp) -> Stored<()> {
        if before == Before::Nothing {
            store.run_unopen(run)?;
        }
        store.run_open_part(run, &self.chunks, &self.excluded, now)
    }
}

/// Writes the last part and seals the run, in one transaction.
async fn seal(
    parts: &Parts,
    assignment: &Assignment,
    part: Part,
    before: Before,
) -> Result<RunState, OpeningFault> {
    let size = before.size() + part.included;
    if let Some(expect) = assignment.campaign.expect.filter(|_| assignment.only_to.is_none())
        && !(expect.min..=expect.max).contains(&size)
    {
        return Err(OpeningFault::Unexpected { size, min: expect.min, max: expect.max });
    }
    let (run, now) = (assignment.run.clone(), parts.clock.now());
    let sealed = parts
        .ledger
        .call(move |store| {
            part.write(store, &run, before, now)?;
            store.run_event(&run, RunEvent::Sealed, None, now)
        })
        .await?;
    Ok(sealed)
}
