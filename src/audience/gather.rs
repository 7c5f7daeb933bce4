//! Sorting and deduplicating ids in bounded memory: full pieces are sorted and spilled to temporary
//! files, which are merged at the end.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::campaign::{RecipientID, audience::BadRecipientID};

/// How many bytes of ids are kept before they are spilled.
const PIECE_BYTES: usize = 16 << 20;
/// The read buffer of each spilled piece.
const MERGE_BUFFER_BYTES: usize = 128 << 10;

/// Whether a source adds to the audience or takes away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Include,
    Exclude,
}

/// One recipient of an audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: RecipientID,
    /// Named by an exclusion as well.
    pub excluded: bool,
}

/// Gathers ids in any order.
#[derive(Debug)]
pub struct Gatherer {
    spill_folder: PathBuf,
    piece_bytes: usize,
    piece: Piece,
    spilled: Vec<File>,
}

/// Ids one after the other, and where each begins.
#[derive(Debug, Default)]
struct Piece {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    /// At most [`RecipientID::MAX_BYTES`].
    length: u16,
    sides: u8,
}

const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;

impl Gatherer {
    /// Spills into unnamed files in `spill_folder`.
    pub fn new(spill_folder: &Path) -> Gatherer {
        Gatherer {
            spill_folder: spill_folder.to_owned(),
            piece_bytes: PIECE_BYTES,
            piece: Piece::default(),
            spilled: Vec::new(),
        }
    }

    /// Adds one id of a source.
    pub fn add(&mut self, id: &RecipientID, side: Side) -> io::Result<()> {
        let sides = match side {
            Side::Include => INCLUDED,
            Side::Exclude => EXCLUDED,
        };
        let (start, length) = (self.piece.bytes.len(), id.as_str().len());
        self.piece.entries.push(Entry { start: start as u32, length: length as u16, sides });
        self.piece.bytes.extend_from_slice(id.as_str().as_bytes());
        if self.piece.bytes.len() >= self.piece_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.piece.sort();
        let mut writer = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.spill_folder)?);
        for entry in &self.piece.entries {
            writer.write_all(&entry.length.to_le_bytes())?;
            writer.write_all(&[entry.sides])?;
            writer.write_all(self.piece.id(entry))?;
        }
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.spilled.push(file);
        self.piece.bytes.clear();
        self.piece.entries.clear();
        Ok(())
    }

    /// The members, sorted, none twice. Those who are only excluded are none.
    pub fn members(mut self) -> io::Result<Members> {
        self.piece.sort();
        let mut sources: Vec<Source> = self
            .spilled
            .into_iter()
            .map(|file| Source::Spilled(BufReader::with_capacity(MERGE_BUFFER_BYTES, file)))
            .collect();
        sources.push(Source::Kept { piece: self.piece, next: 0 });
        let mut members = Members { sources, heads: BinaryHeap::new() };
        for source in 0..members.sources.len() {
            members.advance(source)?;
        }
        Ok(members)
    }
}

impl Piece {
    fn id(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..usize::from(entry.length)]
    }

    /// Sorts by id and joins equal ones.
    fn sort(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|a, b| self.id(a).cmp(self.id(b)));
        entries.dedup_by(|later, earlier| {
            let equal = self.id(later) == self.id(earlier);
            if equal {
                earlier.sides |= later.sides;
            }
            equal
        });
        self.entries = entries;
    }
}

/// The sorted members of an audience.
#[derive(Debug)]
pub struct Members {
    sources: Vec<Source>,
    /// The next id of each source that has one: (id, sides, source), the smallest on top.
    heads: BinaryHeap<Reverse<(Vec<u8>, u8, usize)>>,
}

#[derive(Debug)]
enum Source {
    Spilled(BufReader<File>),
    Kept { piece: Piece, next: usize },
}

impl Source {
    fn next(&mut self) -> io::Result<Option<(Vec<u8>, u8)>> {
        match self {
            Source::Kept { piece, next } => {
                let entry = piece.entries.get(*next);
                *next += 1;
                Ok(entry.map(|entry| (piece.id(entry).to_vec(), entry.sides)))
            }
            Source::Spilled(reader) => {
                let mut head = [0; 3];
                match reader.read_exact(&mut head) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    other => other?,
                }
                let mut id = vec![0; usize::from(u16::from_le_bytes([head[0], head[1]]))];
                reader.read_exact(&mut id)?;
                Ok(Some((id, head[2])))
            }
        }
    }
}

impl Members {
    fn advance(&mut self, source: usize) -> io::Result<()> {
        if let Some((id, sides)) = self.sources[source].next()? {
            self.heads.push(Reverse((id, sides, source)));
        }
        Ok(())
    }

    fn next_member(&mut self) -> io::Result<Option<Member>> {
        while let Some(Reverse((id, mut sides, source))) = self.heads.pop() {
            self.advance(source)?;
            while let Some(Reverse((other, more, source))) = self.heads.peek() {
                if *other != id {
                    break;
                }
                sides |= *more;
                let source = *source;
                self.heads.pop();
                self.advance(source)?;
            }
            if sides & INCLUDED != 0 {
                let damaged = |_| io::Error::other("a spilled id came back damaged");
                let text = String::from_utf8(id).map_err(damaged)?;
                let id = RecipientID::new(text)
                    .map_err(|_: BadRecipientID| io::Error::other("a spilled id came back damaged"))?;
                return Ok(Some(Member { id, excluded: sides & EXCLUDED != 0 }));
            }
        }
        Ok(None)
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
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_are_sorted_once_each_and_exclusions_win(
            ids in prop::collection::vec((0u32..300, any::<bool>()), 0..400), piece_bytes in 8usize..2_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut gatherer = Gatherer { piece_bytes, ..Gatherer::new(folder.path()) };
            let mut expected: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
            for (number, exclude) in ids {
                let id = RecipientID::new(format!("u{number}")).unwrap();
                gatherer.add(&id, if exclude { Side::Exclude } else { Side::Include }).unwrap();
                expected.entry(id.to_string()).or_default().insert(exclude);
            }
            let members: Vec<_> = gatherer.members().unwrap().map(|member| member.unwrap()).collect();
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|(_, sides)| sides.contains(&false))
                .map(|(id, sides)| Member { id: RecipientID::new(id).unwrap(), excluded: sides.contains(&true) })
                .collect();
            prop_assert_eq!(members, expected);
        }
    }
}
