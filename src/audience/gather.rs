//! Sorting and deduplicating ids in bounded memory: full pieces are sorted and spilled to temporary
//! files, which are merged at the end.

use std::{
    cmp::Ordering,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use super::{
    SourceSet,
    spill::{self, Spill},
};
use crate::campaign::{RecipientID, audience::BadRecipientID, source::Values};

/// How many bytes of ids, values and what is known of them are kept before they are spilled.
const PIECE_BYTES: usize = 8 << 20;
/// The read buffer of each spilled piece.
const MERGE_BUFFER_BYTES: usize = 128 << 10;
/// More pieces than this are merged into one, so that neither files nor buffers are without bound.
const MOST_PIECES: usize = 64;

/// One id of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: RecipientID,
    /// All that name it.
    pub sources: SourceSet,
    /// The first values that a source gave it.
    pub values: Values,
}

/// Gathers ids in any order.
#[derive(Debug)]
pub struct Gatherer {
    spill_folder: PathBuf,
    piece_bytes: usize,
    piece: Piece,
    /// A piece that is sorted and spilled meanwhile; it comes back empty.
    spilling: Option<JoinHandle<io::Result<(File, Piece)>>>,
    /// In the order of their ids' coming.
    spilled: Vec<File>,
}

/// Ids with their values, one after the other, and where each begins.
#[derive(Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The bytes of the id behind what all ids of the piece begin with, so that most comparisons need no
    /// look at the ids.
    key: u64,
    start: u32,
    sources: SourceSet,
    /// Of the values behind the id.
    values_length: u32,
    /// At most [`RecipientID::MAX_BYTES`].
    length: u16,
}

impl Gatherer {
    /// Spills into unnamed files in `spill_folder`.
    pub fn new(spill_folder: &Path) -> Gatherer {
        Gatherer {
            spill_folder: spill_folder.to_owned(),
            piece_bytes: PIECE_BYTES,
            piece: Piece::default(),
            spilling: None,
            spilled: Vec::new(),
        }
    }

    /// Adds an id that a source names; it has been checked.
    pub fn add(&mut self, id: &str, sources: SourceSet, values: &Values) -> io::Result<()> {
        let start = self.piece.bytes.len();
        self.piece.bytes.extend_from_slice(id.as_bytes());
        if !values.0.is_empty() {
            serde_json::to_writer(&mut self.piece.bytes, values)?;
        }
        let values_length = self.piece.bytes.len() - start - id.len();
        self.piece.entries.push(Entry {
            key: 0,
            start: start as u32,
            sources,
            values_length: values_length as u32,
            length: id.len() as u16,
        });
        if self.piece.size() >= self.piece_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Adds all that another has gathered.
    pub fn absorb(&mut self, mut other: Gatherer) -> io::Result<()> {
        if self.piece.entries.is_empty() && self.spilling.is_none() && self.spilled.is_empty() {
            *self = other;
            return Ok(());
        }
        other.collect()?;
        if other.spilled.is_empty() {
            for entry in &other.piece.entries {
                let start = self.piece.bytes.len() as u32;
                self.piece.bytes.extend_from_slice(other.piece.whole(entry));
                self.piece.entries.push(Entry { start, ..*entry });
            }
            return if self.piece.size() >= self.piece_bytes { self.spill() } else { Ok(()) };
        }
        self.spill()?;
        self.collect()?;
        other.spill()?;
        other.collect()?;
        for file in other.spilled {
            self.spilled.push(file);
            self.join_pieces()?;
        }
        Ok(())
    }

    /// Has the piece sorted and spilled, while the next one is filled.
    fn spill(&mut self) -> io::Result<()> {
        if self.piece.entries.is_empty() {
            return Ok(());
        }
        let empty = self.collect()?;
        let (piece, folder) = (std::mem::replace(&mut self.piece, empty), self.spill_folder.clone());
        let work = move || piece.spill(&folder);
        self.spilling = Some(std::thread::Builder::new().name("spill".to_owned()).spawn(work)?);
        Ok(())
    }

    /// Waits for the piece that is being spilled; gives it back empty.
    fn collect(&mut self) -> io::Result<Piece> {
        let Some(spilling) = self.spilling.take() else { return Ok(Piece::default()) };
        let (file, empty) = spilling.join().map_err(|_| io::Error::other("sorting ids has failed"))??;
        self.spilled.push(file);
        self.join_pieces()?;
        Ok(empty)
    }

    /// Merges the pieces into one when there are many.
    fn join_pieces(&mut self) -> io::Result<()> {
        if self.spilled.len() < MOST_PIECES {
            return Ok(());
        }
        let mut merge = Merge::new(std::mem::take(&mut self.spilled), Piece::default())?;
        let mut writer = Spill::new(&self.spill_folder)?;
        while merge.next()? {
            writer.write(&merge.id, merge.sources, &merge.values)?;
        }
        self.spilled.push(writer.end()?);
        Ok(())
    }

    /// Every text that was added, sorted, none twice.
    pub fn texts(mut self) -> io::Result<Texts> {
        self.piece.sort();
        self.collect()?;
        Ok(Texts(Merge::new(self.spilled, self.piece)?))
    }

    /// Every id, sorted, none twice.
    pub fn members(mut self) -> io::Result<Members> {
        self.piece.sort();
        self.collect()?;
        Ok(Members(Merge::new(self.spilled, self.piece)?))
    }
}

/// Texts of any kind that were gathered like ids, with their values, sorted.
#[derive(Debug)]
pub struct Texts(Merge);

impl Iterator for Texts {
    type Item = io::Result<(String, Values)>;

    fn next(&mut self) -> Option<io::Result<(String, Values)>> {
        let read = |merge: &mut Merge| -> io::Result<Option<(String, Values)>> {
            if !merge.next()? {
                return Ok(None);
            }
            let text = String::from_utf8(merge.id.clone()).map_err(|_| damaged())?;
            Ok(Some((text, merge.values()?)))
        };
        read(&mut self.0).transpose()
    }
}

fn damaged() -> io::Error {
    io::Error::other("a spilled id came back damaged")
}

impl Piece {
    fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    fn id(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..usize::from(entry.length)]
    }

    fn values(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize + usize::from(entry.length)..][..entry.values_length as usize]
    }

    /// The id with its values.
    fn whole(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..usize::from(entry.length) + entry.values_length as usize]
    }

    /// Writes it, sorted, to a file of its own.
    fn spill(mut self, folder: &Path) -> io::Result<(File, Piece)> {
        self.sort();
        let mut writer = Spill::new(folder)?;
        for entry in &self.entries {
            writer.write(self.id(entry), entry.sources, self.values(entry))?;
        }
        self.bytes.clear();
        self.entries.clear();
        Ok((writer.end()?, self))
    }

    /// Sorts by id and joins equal ones; the first values count.
    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        let common = self.common_length(&entries);
        for entry in &mut entries {
            entry.key = key(&self.id(entry)[common..]);
        }
        entries.sort_unstable_by(|a, b| {
            let by_id = a.key.cmp(&b.key).then_with(|| self.id(a).cmp(self.id(b)));
            by_id.then(a.start.cmp(&b.start))
        });
        entries.dedup_by(|later, earlier| {
            let equal = later.key == earlier.key && self.id(later) == self.id(earlier);
            if equal {
                let sources = earlier.sources.with(later.sources);
                if earlier.values_length == 0 {
                    *earlier = *later;
                }
                earlier.sources = sources;
            }
            equal
        });
        self.entries = entries;
    }

    /// How many bytes all ids begin with alike.
    fn common_length(&self, entries: &[Entry]) -> usize {
        let Some(first) = entries.first() else { return 0 };
        let first = self.id(first);
        entries.iter().fold(first.len(), |common, entry| {
            let id = self.id(entry);
            let common = common.min(id.len());
            if id[..common] == first[..common] {
                return common;
            }
            id.iter().zip(first).take_while(|(a, b)| a == b).count()
        })
    }
}

/// The first eight bytes as a number that sorts as they do.
fn key(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

/// Sorted pieces that are merged. After [`Merge::next`] has said so, the fields hold the next id.
#[derive(Debug)]
struct Merge {
    tracks: Vec<Track>,
    /// The tracks that have a head, as a heap: the smallest id on top, of equal ones the earliest track.
    heap: Vec<usize>,
    id: Vec<u8>,
    sources: SourceSet,
    values: Vec<u8>,
}

/// One piece that is read, and what comes next in it.
#[derive(Debug)]
struct Track {
    from: From,
    id: Vec<u8>,
    sources: SourceSet,
    values: Vec<u8>,
}

#[derive(Debug)]
enum From {
    Spilled(BufReader<File>),
    Kept { piece: Piece, next: usize },
}

impl Track {
    fn new(from: From) -> Track {
        Track { from, id: Vec::new(), sources: SourceSet::default(), values: Vec::new() }
    }

    /// Reads the next head; whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        self.id.clear();
        self.values.clear();
        match &mut self.from {
            From::Kept { piece, next } => {
                let Some(entry) = piece.entries.get(*next) else { return Ok(false) };
                *next += 1;
                self.id.extend_from_slice(piece.id(entry));
                self.values.extend_from_slice(piece.values(entry));
                self.sources = entry.sources;
            }
            From::Spilled(reader) => match spill::read(reader, &mut self.id, &mut self.values)? {
                Some(sources) => self.sources = sources,
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl Merge {
    fn values(&self) -> io::Result<Values> {
        match self.values.as_slice() {
            [] => Ok(Values::default()),
            values => serde_json::from_slice(values).map_err(|_| damaged()),
        }
    }

    fn new(spilled: Vec<File>, piece: Piece) -> io::Result<Merge> {
        let readers = spilled.into_iter().map(|file| BufReader::with_capacity(MERGE_BUFFER_BYTES, file));
        let mut tracks: Vec<Track> = readers.map(|reader| Track::new(From::Spilled(reader))).collect();
        tracks.push(Track::new(From::Kept { piece, next: 0 }));
        let mut heap = Vec::with_capacity(tracks.len());
        for (number, track) in tracks.iter_mut().enumerate() {
            if track.advance()? {
                heap.push(number);
            }
        }
        let (id, values, sources) = (Vec::new(), Vec::new(), SourceSet::default());
        let mut merge = Merge { tracks, heap, id, sources, values };
        merge.heap.sort_by(|a, b| order(&merge.tracks, *a, *b));
        Ok(merge)
    }

    /// Goes to the next id; whether there is one.
    fn next(&mut self) -> io::Result<bool> {
        let Some(top) = self.heap.first() else { return Ok(false) };
        let track = &mut self.tracks[*top];
        std::mem::swap(&mut self.id, &mut track.id);
        std::mem::swap(&mut self.values, &mut track.values);
        self.sources = track.sources;
        self.advance_top()?;
        while let Some(top) = self.heap.first() {
            let track = &mut self.tracks[*top];
            if track.id != self.id {
                break;
            }
            self.sources = self.sources.with(track.sources);
            if self.values.is_empty() {
                std::mem::swap(&mut self.values, &mut track.values);
            }
            self.advance_top()?;
        }
        Ok(true)
    }

    /// Reads on in the top track and puts it where it belongs now.
    fn advance_top(&mut self) -> io::Result<()> {
        if !self.tracks[self.heap[0]].advance()? {
            self.heap.swap_remove(0);
        }
        let mut place = 0;
        loop {
            let children =
                [2 * place + 1, 2 * place + 2].into_iter().filter(|child| *child < self.heap.len());
            let Some(least) = children.min_by(|a, b| order(&self.tracks, self.heap[*a], self.heap[*b]))
            else {
                return Ok(());
            };
            if order(&self.tracks, self.heap[place], self.heap[least]) == Ordering::Less {
                return Ok(());
            }
            self.heap.swap(place, least);
            place = least;
        }
    }
}

fn order(tracks: &[Track], a: usize, b: usize) -> Ordering {
    tracks[a].id.cmp(&tracks[b].id).then(a.cmp(&b))
}

/// The sorted ids of an audience.
#[derive(Debug)]
pub struct Members(Merge);

impl Members {
    fn next_member(&mut self) -> io::Result<Option<Member>> {
        if !self.0.next()? {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.0.id).map_err(|_| damaged())?;
        let id = RecipientID::new(text).map_err(|_: BadRecipientID| damaged())?;
        Ok(Some(Member { id, sources: self.0.sources, values: self.0.values()? }))
    }
}

impl Iterator for Members {
    type Item = io::Result<Member>;

    fn next(&mut self) -> Option<io::Result<Member>> {
        self.next_member().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn values(number: usize) -> Values {
        match number % 3 {
            0 => Values::default(),
            _ => Values(BTreeMap::from([("n".to_owned(), number.to_string())])),
        }
    }

    proptest! {
        #[test]
        fn members_are_sorted_once_each_with_all_their_sources(
            ids in prop::collection::vec((0u32..300, 0usize..4), 0..600), piece_bytes in 40usize..4_000,
            absorbed in 0usize..600,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let new = || Gatherer { piece_bytes, ..Gatherer::new(folder.path()) };
            let (mut gatherer, mut other) = (new(), new());
            let mut expected: BTreeMap<String, (SourceSet, Values)> = BTreeMap::new();
            for (place, (number, source)) in ids.iter().enumerate() {
                let id = format!("u{number}");
                let (sources, values) = (SourceSet::of(*source), values(place));
                let into = if place < absorbed { &mut gatherer } else { &mut other };
                into.add(&id, sources, &values).unwrap();
                let (known, first) = expected.entry(id).or_default();
                *known = known.with(sources);
                if first.0.is_empty() {
                    *first = values;
                }
            }
            gatherer.absorb(other).unwrap();
            let members: Vec<_> = gatherer.members().unwrap().map(|member| member.unwrap()).collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(id, (sources, values))| Member { id: RecipientID::new(id).unwrap(), sources, values })
                .collect();
            prop_assert_eq!(members, expected);
        }
    }
}
