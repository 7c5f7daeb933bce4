//! Gathering an audience from its sources: ids, list files, what the provider lists. It is complete, or
//! there is a fault that says why not.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    aside::aside,
    assignment::SUPPRESSED,
    listing::{self, Listed},
};
use crate::{
    audience::{Gatherer, ListFault, ListOrder, ListReading, Members, SourceSet, read_list, seek},
    campaign::{
        Audience, Campaign, RecipientID, Source,
        source::{ListFile, Values},
    },
    clock::Clock,
    gateway::{Gateway, ReadFault},
    run::source::{Side, SourceRecord},
    store::StoreError,
};

/// Where a list lies, or that it leads out of the folder.
pub type ListPath = dyn Fn(&str) -> io::Result<PathBuf> + Send + Sync;
/// Is told something.
pub type Tell = dyn Fn(&str) + Send + Sync;

/// How long a list that changed while it was read is left alone.
const LIST_RETRY: Duration = Duration::from_secs(1);
/// Who copies a file empties it first: a list that is empty, and has been for less, may be on its way.
const EMPTY_MS: i64 = 2_000;

/// Whom a delivery to `*` is recorded for.
static STAR: [RecipientID; 1] = [RecipientID::unlisted()];

/// Why an audience could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningFault {
    #[error(transparent)]
    List(#[from] ListFault),
    #[error("the audience cannot be sorted: {0}")]
    Sorting(#[from] io::Error),
    #[error("{what} could not be listed in time: {fault}")]
    Unlisted { what: String, fault: ReadFault },
    #[error("{0} could not be listed in time")]
    TooMany(String),
    #[error("the provider names nobody when it is asked for {0}")]
    Nobody(String),
    #[error("its sources name nobody: {}", .0.join(", "))]
    Empty(Vec<String>),
    #[error("page {page} of {what} is the one before it again")]
    Repeated { what: String, page: u32 },
    #[error("{what} changed, or were not all listed, in each of {passes} passes over them")]
    Unstable { what: String, passes: usize },
    #[error("the audience has {size} recipients; expected are {min} to {max}")]
    Unexpected { size: u64, min: u64, max: u64 },
    #[error("{SUPPRESSED}")]
    Suppressed,
    #[error("`{name}` is no column of the audience's lists; they have {}", .columns.join(", "))]
    NoColumn { name: String, columns: Vec<String> },
    #[error("the message for {recipient}: {what}")]
    Message { recipient: String, what: String },
    #[error("there is no gateway {0:?} in the settings any more")]
    NoGateway(String),
    /// Nothing is wrong with the audience; the ledger refused.
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

/// Whose audience is gathered, and with what.
#[derive(Clone)]
pub struct Gathering {
    pub campaign: Arc<Campaign>,
    pub gateway: Arc<dyn Gateway>,
    /// Where a list of the campaign lies.
    pub list_path: Arc<ListPath>,
    pub spill_folder: PathBuf,
    pub clock: Arc<dyn Clock>,
    /// When it is too late to go on.
    pub give_up_at: Timestamp,
    /// How long a page of the provider's may fail where somebody waits for it; None: as long as there is time.
    pub page_patience: Option<SignedDuration>,
    /// Tells whoever waits why it takes longer.
    pub tell: Arc<Tell>,
    /// The columns whose values are wanted.
    pub columns: Arc<BTreeSet<String>>,
    /// Whom alone to gather, where it is asked after one person.
    pub sought: Option<RecipientID>,
    /// Of a test send: the ids that it names, of whom the lists may say something. Nobody else is gathered,
    /// and nothing is excluded.
    pub named: Option<Vec<RecipientID>>,
}

/// An audience that is complete.
pub struct Gathered {
    /// Everyone whom any source names, also those who are only excluded.
    pub members: Members,
    /// The sources in the order of their numbers.
    pub sources: Vec<SourceRecord>,
    /// The columns that its list files have.
    pub columns: BTreeSet<String>,
}

impl Gathered {
    /// The sources of one side.
    pub fn side(sources: &[SourceRecord], side: Side) -> SourceSet {
        let numbers = sources.iter().enumerate().filter(|(_, source)| source.side == side);
        numbers.fold(SourceSet::default(), |set, (number, _)| set.with(SourceSet::of(number)))
    }
}

/// One source of a campaign, of whatever kind.
enum From<'a> {
    IDs(&'a [RecipientID]),
    File(&'a ListFile),
    Listed(Listed<'a>),
}

impl<'a> From<'a> {
    fn source(source: &'a Source) -> From<'a> {
        match source {
            Source::IDs(ids) => From::IDs(ids),
            Source::File(list) => From::File(list),
            Source::MembersOf(group) => From::Listed(Listed::MembersOf(group)),
        }
    }
}

/// The sources of a campaign: their names, sides and kinds.
fn sources<'a>(campaign: &'a Campaign, named: Option<&'a [RecipientID]>) -> Vec<(String, Side, From<'a>)> {
    if let Some(named) = named {
        let lists = match &campaign.audience {
            Audience::Union(sources) => sources.as_slice(),
            Audience::Named(_) | Audience::Groups(_) | Audience::Everyone | Audience::Unlisted => &[],
        };
        let lists = lists.iter().filter(|source| matches!(source, Source::File(_)));
        let lists = lists.map(|source| (source.to_string(), Side::Include, From::source(source)));
        return lists.chain([("--to".to_owned(), Side::Include, From::IDs(named))]).collect();
    }
    let ids = |key: &str, ids| vec![(key.to_owned(), Side::Include, From::IDs(ids))];
    let mut all = match &campaign.audience {
        Audience::Named(named) => ids("recvIDs", named),
        Audience::Groups(groups) => ids("groupIDs", groups),
        Audience::Everyone => {
            vec![("isSendAll".to_owned(), Side::Include, From::Listed(Listed::Everyone))]
        }
        Audience::Unlisted => ids(RecipientID::UNLISTED, &STAR),
        Audience::Union(sources) => {
            sources.iter().map(|source| (source.to_string(), Side::Include, From::source(source))).collect()
        }
    };
    let excluded = campaign.exclude.iter();
    all.extend(excluded.map(|source| (source.to_string(), Side::Exclude, From::source(source))));
    all
}

impl Gathering {
    /// Whether an id is to be gathered.
    pub fn keeps(&self, id: &str) -> bool {
        let is_named = |named: &Vec<RecipientID>| named.iter().any(|known| known.as_str() == id);
        self.sought.as_ref().is_none_or(|sought| sought.as_str() == id)
            && self.named.as_ref().is_none_or(is_named)
    }

    /// Gathers everyone whom the campaign's sources name.
    pub async fn gather(&self) -> Result<Gathered, OpeningFault> {
        let mut gatherer = Gatherer::new(&self.spill_folder);
        let mut records = Vec::new();
        let mut columns = BTreeSet::new();
        for (number, (name, side, from)) in
            sources(&self.campaign, self.named.as_deref()).into_iter().enumerate()
        {
            let sources = SourceSet::of(number);
            let mut record =
                SourceRecord { side, name, sha256: None, ids: 0, bad_lines: 0, first_bad_lines: Vec::new() };
            match from {
                From::IDs(ids) => {
                    for id in ids.iter().filter(|id| self.keeps(id.as_str())) {
                        gatherer.add(id.as_str(), sources, &Values::default())?;
                    }
                    record.ids = ids.len() as u64;
                }
                From::File(list) => {
                    let wanted = if side == Side::Include { self.columns.clone() } else { Arc::default() };
                    let (gathered, reading) = self.read(list, sources, wanted).await?;
                    gatherer = absorb(gatherer, gathered).await?;
                    if side == Side::Include {
                        columns.extend(reading.columns);
                    }
                    record.sha256 = Some(reading.sha256);
                    record.ids = reading.rows;
                    record.bad_lines = reading.bad_lines;
                    record.first_bad_lines = reading.first_bad_lines;
                }
                From::Listed(listed) => {
                    let (gathered, count) = listing::list(self, listed, sources).await?;
                    gatherer = absorb(gatherer, gathered).await?;
                    record.ids = count;
                }
            }
            records.push(record);
        }
        Ok(Gathered { members: members(gatherer).await?, sources: records, columns })
    }

    /// Reads a list, again when it changes meanwhile.
    async fn read(
        &self,
        named: &ListFile,
        sources: SourceSet,
        columns: Arc<BTreeSet<String>>,
    ) -> Result<(Gatherer, ListReading), OpeningFault> {
        loop {
            let (gathering, list, columns) = (self.clone(), named.clone(), columns.clone());
            let wanted = Wanted::default();
            let is_wanted = wanted.0.clone();
            let work = move || {
                let path = (gathering.list_path)(&list.path)
                    .map_err(|error| ListFault::Unreadable { path: list.path.clone(), error })?;
                let mut gatherer = Gatherer::new(&gathering.spill_folder);
                let dialect = gathering.gateway.dialect();
                // An id is sought by its bytes where the provider takes no other way to write it. Whatever goes wrong
                // here, reading it tells.
                let as_written = |id: &RecipientID| {
                    let capitals = id.as_str().to_ascii_uppercase();
                    dialect.canonical(&capitals) == capitals
                };
                if let Some(sought) = gathering.sought.as_ref().filter(|id| as_written(id))
                    && let Ok(Some(found)) = seek(&path, &list, sought.as_str())
                {
                    if found {
                        gatherer
                            .add(sought.as_str(), sources, &Values::default())
                            .map_err(ListFault::Taking)?;
                    }
                    return Ok((gatherer, ListReading::default()));
                }
                let order = ListOrder {
                    path: &path,
                    list: &list,
                    columns: &columns,
                    recipient: &|id| dialect.recipient_name(id),
                    is_wanted: &|| {
                        is_wanted.load(Ordering::Relaxed) && gathering.clock.now() <= gathering.give_up_at
                    },
                };
                let read = read_list(&order, &mut |id, values| match gathering.keeps(id) {
                    true => gatherer.add(id, sources, &values),
                    false => Ok(()),
                });
                read.map(|reading| (gatherer, reading))
            };
            let read = blocking(work).await?;
            let now = self.clock.now();
            let why = match &read {
                Err(ListFault::Changed { path }) => format!("{path} changed while it was read"),
                Ok((_, reading))
                    if reading.is_empty()
                        && (0..EMPTY_MS).contains(&(now.as_millisecond() - reading.modified_at_ms)) =>
                {
                    format!("{} is empty and was just written", named.path)
                }
                _ => return Ok(read?),
            };
            if now > self.give_up_at {
                return Ok(read?);
            }
            (self.tell)(&format!("{why}: it is read again"));
            tokio::time::sleep(LIST_RETRY).await;
        }
    }
}

/// Whether somebody waits: until this is dropped.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Does what may block, as reading, sorting and merging on a disk do, where that is allowed.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(|| aside(work)).await.map_err(|error| io::Error::other(error.to_string()))?
}

/// Joins what two have gathered.
async fn absorb(mut all: Gatherer, more: Gatherer) -> io::Result<Gatherer> {
    let work = move || all.absorb(more).map(|()| all);
    blocking(work).await?
}

async fn members(gatherer: Gatherer) -> io::Result<Members> {
    blocking(move || gatherer.members()).await?
}
