//! Opening a run: its audience is gathered, sorted, cut into chunks and stored, then sealed.

use std::{collections::HashMap, io, sync::Arc};

use jiff::Timestamp;
use tokio::sync::Semaphore;

pub use super::gathering::OpeningFault;
use super::{
    Parts,
    assignment::Assignment,
    gathering::{Gathered, Gathering},
};
use crate::{
    audience::{Member, Members, SourceSet},
    campaign::{Audience, RecipientID, source::Values},
    gateway::Gateway,
    run::{
        RunEvent, RunID, RunState,
        chunk::{Chunk, Cutter},
        reply::Reason,
        source::{Side, SourceRecord},
    },
    store::{Store, Stored},
};

/// How many members are written in one transaction.
const MEMBERS_A_PART: usize = 20_000;

/// Opens the run and seals it. Gives its state, which is paused when its campaign is.
///
/// Gathering wants one of the `places`, because it needs memory; an audience that its file names, none.
pub async fn open(
    parts: &Parts,
    places: &Semaphore,
    assignment: &Assignment,
) -> Result<RunState, OpeningFault> {
    if assignment.is_unlisted() && !assignment.campaign.delivery.ignore_suppressions {
        let now = parts.clock.now();
        if parts.ledger.call(move |store| store.any_suppressed(now)).await? {
            return Err(OpeningFault::Suppressed);
        }
    }
    let name = &assignment.campaign.gateway;
    let post = parts.gateways.0.get(name).ok_or_else(|| OpeningFault::NoGateway(name.clone()))?;
    if let Some(named) = few(assignment) {
        return store(parts, assignment, named).await;
    }
    // Nobody closes it; if somebody did, the audience would be gathered all the same.
    let _place = places.acquire().await;
    let Gathered { members, sources, .. } = gathering(parts, assignment, &post.gateway).gather().await?;
    for source in sources.iter().filter(|source| source.bad_lines > 0) {
        tracing::warn!(
            run = %assignment.run, "{}: {} bad lines are left out. See: campaignd show {}",
            source.name, source.bad_lines, assignment.run
        );
    }
    let included = Gathered::side(&sources, Side::Include);
    let excluded = Gathered::side(&sources, Side::Exclude);
    store(parts, assignment, Opening { members: From::Many(members), sources, included, excluded }).await
}

fn gathering(parts: &Parts, assignment: &Assignment, gateway: &Arc<dyn Gateway>) -> Gathering {
    let (folder, path) = (parts.folder.clone(), assignment.path.clone());
    Gathering {
        name: assignment.run.to_string(),
        campaign: Arc::clone(&assignment.campaign),
        gateway: Arc::clone(gateway),
        list_path: Arc::new(move |list| folder.list_path(&path, list)),
        spill_folder: parts.spill_folder.clone(),
        clock: Arc::clone(&parts.clock),
        give_up_at: assignment.start_by,
        columns: Arc::default(),
    }
}

/// Who the run is for, sorted, and what that came from.
struct Opening {
    members: From,
    sources: Vec<SourceRecord>,
    included: SourceSet,
    excluded: SourceSet,
}

enum From {
    /// They fit into memory.
    Few(Vec<Member>),
    Many(Members),
}

/// The audience, where nothing needs to be gathered.
fn few(assignment: &Assignment) -> Option<Opening> {
    let campaign = &assignment.campaign;
    let star = [RecipientID::unlisted()];
    let ids = match (&assignment.only_to, &campaign.audience) {
        (Some(named), _) => named.as_slice(),
        (None, Audience::Unlisted) => &star,
        (None, Audience::Named(ids) | Audience::Groups(ids)) if campaign.exclude.is_empty() => ids,
        (None, _) => return None,
    };
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let included = SourceSet::of(0);
    let member = |id| Member { id, sources: included, values: Values::default() };
    Some(Opening {
        members: From::Few(ids.into_iter().map(member).collect()),
        sources: Vec::new(),
        included,
        excluded: SourceSet::default(),
    })
}

/// Writes the audience in parts and seals it, when it has the size that is expected.
async fn store(parts: &Parts, assignment: &Assignment, opening: Opening) -> Result<RunState, OpeningFault> {
    let mut cutter = Cutter::new(&assignment.run, assignment.batch_size());
    let Opening { members, sources, included, excluded } = opening;
    let sides = (included, excluded);
    let mut source = match members {
        From::Few(members) => {
            let part = held_back(parts, members).await?.cut(&mut cutter, sides, true);
            return seal(parts, assignment, part, sources, Before::Nothing).await;
        }
        From::Many(members) => members,
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
        let part = held_back(parts, members).await?.cut(&mut cutter, sides, is_last);
        if is_last {
            return seal(parts, assignment, part, sources, before).await;
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
    /// Cuts those who are to be asked; of the last part, all. `sides`: the sources that name the
    /// audience, and those that exclude.
    fn cut(mut self, cutter: &mut Cutter, sides: (SourceSet, SourceSet), is_last: bool) -> Part {
        let mut part = Part { chunks: Vec::new(), excluded: Vec::new(), included: 0 };
        let (included, excluded) = sides;
        for member in self.members.into_iter().filter(|member| member.sources.meets(included)) {
            let named = || Reason::new("exclude", "named by `exclude`");
            match self.held.remove(&member.id).or_else(|| member.sources.meets(excluded).then(named)) {
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
    sources: Vec<SourceRecord>,
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
            store.run_sources(&run, &sources)?;
            store.run_event(&run, RunEvent::Sealed, None, now)
        })
        .await?;
    Ok(sealed)
}
