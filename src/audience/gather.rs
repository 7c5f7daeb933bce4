//! Sorting and deduplicating ids in bounded memory: full pieces are sorted and spilled to temporary
//! files, which are merged at the end.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use super::{SourceSet, merge::Merge, piece::Piece, spill::Spill};
use crate::campaign::{RecipientID, audience::BadRecipientID, source::Values};

/// How many bytes of ids, values and what is known of them are kept before they are spilled.
const PIECE_BYTES: usize = 8 << 20;
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
        self.piece.add(id, sources, values)?;
        if self.piece.size() >= self.piece_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Adds all that another has gathered.
    pub fn absorb(&mut self, mut other: Gatherer) -> io::Result<()> {
        if self.piece.is_empty() && self.spilling.is_none() && self.spilled.is_empty() {
            *self = other;
            return Ok(());
        }
        other.collect()?;
        if other.spilled.is_empty() {
            self.piece.absorb(&other.piece);
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
        if self.piece.is_empty() {
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
            Ok(Some((text, values(&merge.values)?)))
        };
        read(&mut self.0).transpose()
    }
}

/// Values as they were spilled.
fn values(json: &[u8]) -> io::Result<Values> {
    match json {
        [] => Ok(Values::default()),
        json => serde_json::from_slice(json).map_err(|_| damaged()),
    }
}

fn damaged() -> io::Error {
    io::Error::other("a spilled id came back damaged")
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
        Ok(Some(Member { id, sources: self.0.sources, values: values(&self.0.values)? }))
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
