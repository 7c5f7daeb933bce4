//! A piece of an audience in memory: ids in any order, then sorted, none twice.

use std::{fs::File, io, path::Path};

use super::{SourceSet, spill::Spill};
use crate::campaign::source::Values;

/// Ids with their values, one after the other, and where each begins.
#[derive(Debug, Default)]
pub struct Piece {
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

impl Piece {
    /// Adds an id, with its values behind it in JSON.
    pub fn add(&mut self, id: &str, sources: SourceSet, values: &Values) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(id.as_bytes());
        if !values.0.is_empty() {
            serde_json::to_writer(&mut self.bytes, values)?;
        }
        let values_length = self.bytes.len() - start - id.len();
        self.entries.push(Entry {
            key: 0,
            start: start as u32,
            sources,
            values_length: values_length as u32,
            length: id.len() as u16,
        });
        Ok(())
    }

    /// Adds all of another.
    pub fn absorb(&mut self, other: &Piece) {
        for entry in &other.entries {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(other.whole(entry));
            self.entries.push(Entry { start, ..*entry });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In bytes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The id at this place, which there must be.
    pub fn id_at(&self, place: usize) -> &[u8] {
        self.id(&self.entries[place])
    }

    /// The values of the id at this place, which there must be.
    pub fn values_at(&self, place: usize) -> &[u8] {
        self.values(&self.entries[place])
    }

    /// The sources of the id at this place, if there is one.
    pub fn sources_at(&self, place: usize) -> Option<SourceSet> {
        self.entries.get(place).map(|entry| entry.sources)
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
    pub fn spill(mut self, folder: &Path) -> io::Result<(File, Piece)> {
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
    pub fn sort(&mut self) {
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
