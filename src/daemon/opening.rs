//! Opening a run: its audience is gathered, sorted, cut into chunks and stored, then sealed.

use std::{io, sync::Arc};

use jiff::Timestamp;
use tokio::{sync::Semaphore, task::JoinHandle};

pub use super::gathering::OpeningFault;
use super::{
    Parts,
    aside::aside,
    assignment::Assignment,
    filling,
    gathering::{Gathered, Gathering, blocking},
    judging::{Asked, Judged},
};
use crate::{
    audience::{Gatherer, Member, Members, SourceSet},
    campaign::{Audience, RecipientID, source::Values},
    gateway::Gateway,
    run::{
        RunEvent, RunID, RunState,
        chunk::{Chunk, Cutter},
        reply::Reason,
        screen::Screen,
        source::{Side, SourceRecord},
    },
    store::{Ledger, Store, Stored},
};

/// How many members are written in one transaction.
const MEMBERS_A_PART: usize = 10_000;
/// How many rows of an opening that was cut short are thrown away in one.
const ROWS_A_PART: u32 = 500;

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
        return store(parts, assignment, &post.gateway, named).await;
    }
    // Nobody closes it; if somebody did, the audience would be gathered all the same.
    let _place = places.acquire().await;
    let Gathered { members, sources, columns } = gathering(parts, assignment, &post.gateway).gather().await?;
    if let Some(template) = &assignment.campaign.template
        && let Some(name) = template.columns().difference(&columns).next()
    {
        return Err(OpeningFault::NoColumn { name: name.clone(), columns: columns.into_iter().collect() });
    }
    for source in sources.iter().filter(|source| source.bad_lines > 0) {
        tracing::warn!(
            run = %assignment.run, "{}: {} bad lines are left out. See: campaignd show {}",
            source.name, source.bad_lines, assignment.run
        );
    }
    let named = sources.iter().filter(|source| source.side == Side::Include);
    if named.clone().all(|source| source.ids == 0) {
        return Err(OpeningFault::Empty(named.map(|source| source.name.clone()).collect()));
    }
    let included = Gathered::side(&sources, Side::Include);
    let excluded = Gathered::side(&sources, Side::Exclude);
    let opening = Opening { members: From::Many(members), sources, included, excluded };
    store(parts, assignment, &post.gateway, opening).await
}

fn gathering(parts: &Parts, assignment: &Assignment, gateway: &Arc<dyn Gateway>) -> Gathering {
    let (folder, path) = (parts.folder.clone(), assignment.path.clone());
    let run = assignment.run.clone();
    let template = assignment.campaign.template.as_ref();
    let columns = template.map(|template| template.columns().clone()).unwrap_or_default();
    Gathering {
        campaign: Arc::clone(&assignment.campaign),
        gateway: Arc::clone(gateway),
        list_path: Arc::new(move |list| folder.list_path(&path, list)),
        spill_folder: parts.spill_folder.clone(),
        clock: Arc::clone(&parts.clock),
        give_up_at: assignment.start_by,
        page_patience: None,
        tell: Arc::new(move |what| tracing::warn!(%run, "{what}")),
        columns: Arc::new(columns),
        sought: None,
        named: assignment.only_to.clone(),
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
    // What the lists say of those who are named fills in their message.
    let reads_lists = campaign.template.as_ref().is_some_and(|template| !template.columns().is_empty());
    let ids = match (&assignment.only_to, &campaign.audience) {
        (Some(_), _) if reads_lists => return None,
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
async fn store(
    parts: &Parts,
    assignment: &Assignment,
    gateway: &Arc<dyn Gateway>,
    opening: Opening,
) -> Result<RunState, OpeningFault> {
    let Opening { members, sources, included, excluded } = opening;
    let sides = (included, excluded);
    let mut cutter = Cutter::new(assignment.batch_size());
    let mut filled = assignment.campaign.template.as_ref().map(|_| Gatherer::new(&parts.spill_folder));
    let (source, pace) = match members {
        From::Few(members) => (Source::Few(members.into_iter()), Pace::AtOnce),
        From::Many(members) => (Source::Many(members), Pace::Patient),
    };
    let ledger = Paced { ledger: &parts.ledger, pace };
    let (screen, ahead) = (assignment.screen(), Some(source.read_ahead()));
    let mut judging = Judging { parts, assignment, ledger, screen, sides, ahead };
    let mut writing = Writing { parts, assignment, ledger, before: Before::Nothing };
    if ledger.pace == Pace::Patient {
        throw_away(&parts.ledger, &assignment.run).await?;
    }
    let (mut judged, mut is_last) = judging.next().await?;
    loop {
        let part = match filled.take() {
            None => Part::cut(judged, &mut cutter, is_last),
            Some(gatherer) => {
                let Judged { asked, excluded } = judged;
                filled = Some(filling::fill(assignment, gateway, asked, gatherer).await?);
                Part { excluded, ..Part::default() }
            }
        };
        if !is_last {
            // While a part is written, the next one is judged, and that behind it is read.
            let (next, written) = tokio::join!(judging.next(), writing.write(part));
            written?;
            (judged, is_last) = next?;
            continue;
        }
        let Some(gatherer) = filled else { return writing.seal(part, sources).await };
        writing.write(part).await?;
        let mut messages = blocking(move || gatherer.texts()).await??;
        loop {
            let (chunks, cutter_back, messages_back) = blocking(move || {
                let chunks = filling::cut(&mut cutter, messages.by_ref().take(MEMBERS_A_PART));
                (chunks, cutter, messages)
            })
            .await?;
            (cutter, messages) = (cutter_back, messages_back);
            let (mut chunks, count) = chunks?;
            let is_last = count < MEMBERS_A_PART;
            if is_last {
                chunks.extend(cutter.finish());
            }
            let part = Part { chunks, excluded: Vec::new(), included: count as u64 };
            if is_last {
                return writing.seal(part, sources).await;
            }
            writing.write(part).await?;
        }
    }
}

/// Throws away what an opening that was cut short, or failed, has left: in parts, between which others have their turn.
pub async fn throw_away(ledger: &Ledger, run: &RunID) -> Stored<()> {
    loop {
        let run = run.clone();
        if ledger.call_loosely(move |store| store.run_unopen_part(&run, ROWS_A_PART)).await? {
            return Ok(());
        }
    }
}

/// Where members come from.
enum Source {
    Few(std::vec::IntoIter<Member>),
    Many(Members),
}

/// A part, and what comes behind it.
type Read = (io::Result<Vec<Member>>, Source);

/// The next part.
enum Ahead {
    /// It was at hand.
    Here(Read),
    /// It is being read.
    Coming(JoinHandle<io::Result<Read>>),
}

impl Source {
    fn part(&mut self) -> io::Result<Vec<Member>> {
        let members = match self {
            Source::Few(members) => return Ok(members.take(MEMBERS_A_PART).collect()),
            Source::Many(members) => members,
        };
        let mut part = Vec::with_capacity(MEMBERS_A_PART);
        for member in members.take(MEMBERS_A_PART) {
            part.push(member?);
        }
        Ok(part)
    }

    /// Reads the next part: where blocking is allowed, if it comes from disk.
    fn read_ahead(mut self) -> Ahead {
        match self {
            Source::Few(_) => Ahead::Here((self.part(), self)),
            Source::Many(_) => {
                Ahead::Coming(tokio::task::spawn_blocking(|| aside(move || (self.part(), self))))
            }
        }
    }
}

/// Whether others wait for the writing of an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It is small.
    AtOnce,
    /// It lets others pass, and the disk need not have it before the run is sealed.
    Patient,
}

#[derive(Clone, Copy)]
struct Paced<'a> {
    ledger: &'a Ledger,
    pace: Pace,
}

impl Paced<'_> {
    async fn call<R: Send + 'static>(
        self,
        work: impl FnOnce(&mut dyn Store) -> Stored<R> + Send + 'static,
    ) -> Stored<R> {
        match self.pace {
            Pace::AtOnce => self.ledger.call(work).await,
            Pace::Patient => self.ledger.call_loosely(work).await,
        }
    }
}

/// An audience on its way to being cut: who of it is asked.
struct Judging<'a> {
    parts: &'a Parts,
    assignment: &'a Assignment,
    ledger: Paced<'a>,
    screen: Screen<'a>,
    /// The sources that name the audience, and those that exclude.
    sides: (SourceSet, SourceSet),
    /// None after the last part.
    ahead: Option<Ahead>,
}

impl Judging<'_> {
    /// The next part, and whether it is the last.
    async fn next(&mut self) -> Result<(Judged, bool), OpeningFault> {
        let Some(ahead) = self.ahead.take() else { return Ok((Judged::default(), true)) };
        let (members, source) = match ahead {
            Ahead::Here(read) => read,
            Ahead::Coming(read) => read.await.map_err(|error| io::Error::other(error.to_string()))??,
        };
        let members = members?;
        let is_last = members.len() < MEMBERS_A_PART;
        self.ahead = (!is_last).then(|| source.read_ahead());
        let judged = self.held_back(members).await?.judge(&self.screen, self.sides);
        Ok((judged, is_last))
    }

    /// Asks the ledger who of these, sorted, must not be written to.
    async fn held_back(&self, members: Vec<Member>) -> Result<Asked, OpeningFault> {
        let (run, caps, now) = (self.assignment.run.clone(), self.assignment.caps(), self.parts.clock.now());
        Ok(self.ledger.call(move |store| Asked::of(store, members, &run, &caps, now)).await?)
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
#[derive(Default)]
struct Part {
    chunks: Vec<Chunk>,
    excluded: Vec<(RecipientID, Reason)>,
    included: u64,
}

impl Part {
    /// Cuts those who are asked; of the last part, all.
    fn cut(judged: Judged, cutter: &mut Cutter, is_last: bool) -> Part {
        let included = judged.asked.len() as u64;
        let mut chunks: Vec<Chunk> =
            judged.asked.into_iter().filter_map(|member| cutter.push(member.id)).collect();
        if is_last {
            chunks.extend(cutter.finish());
        }
        Part { chunks, excluded: judged.excluded, included }
    }

    fn write(&self, store: &mut dyn Store, run: &RunID, before: Before, now: Timestamp) -> Stored<()> {
        if before == Before::Nothing {
            store.run_unopen(run)?;
        }
        store.run_open_part(run, &self.chunks, &self.excluded, now)
    }
}

/// An audience on its way into the ledger.
struct Writing<'a> {
    parts: &'a Parts,
    assignment: &'a Assignment,
    ledger: Paced<'a>,
    before: Before,
}

impl Writing<'_> {
    async fn write(&mut self, part: Part) -> Result<(), OpeningFault> {
        let size = self.before.size() + part.included;
        let (run, now, before) = (self.assignment.run.clone(), self.parts.clock.now(), self.before);
        // What has been written is thrown away here, and not by the writer.
        let work = move |store: &mut dyn Store| part.write(store, &run, before, now).map(|()| part);
        drop(self.ledger.call(work).await?);
        self.before = Before::Written { size };
        Ok(())
    }

    /// Writes the last part and seals the run, in one transaction. With it all parts before are durable.
    async fn seal(self, part: Part, sources: Vec<SourceRecord>) -> Result<RunState, OpeningFault> {
        let (assignment, before) = (self.assignment, self.before);
        let size = before.size() + part.included;
        if let Some(expect) = assignment.campaign.expect.filter(|_| assignment.only_to.is_none())
            && !(expect.min..=expect.max).contains(&size)
        {
            return Err(OpeningFault::Unexpected { size, min: expect.min, max: expect.max });
        }
        let (run, now) = (assignment.run.clone(), self.parts.clock.now());
        let sealed = self
            .parts
            .ledger
            .call(move |store| {
                part.write(store, &run, before, now)?;
                store.run_sources(&run, &sources)?;
                store.run_event(&run, RunEvent::Sealed, None, now)
            })
            .await?;
        Ok(sealed)
    }
}
