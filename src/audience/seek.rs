//! Looking for one id in a list by its bytes, where these tell: in a list of millions that is a hundred times
//! faster than to read it.

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt, path::Path};

use memchr::memmem::Finder;
use rayon::prelude::*;

use super::{
    lines::MAX_BYTES,
    rows::{Found, Rows},
};
use crate::campaign::source::{Encoding, ListFile, ListFormat};

/// How much is looked through at a time, in bytes: it stays in the processor's cache.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks between two looks at what was found.
const BLOCKS_AT_ONCE: usize = 64;
/// An id that stands in more places, as "1" does among numbers, is found sooner by reading the list.
const MOST_PLACES: usize = 1_000;

/// Whether a list names an id; None: only reading it tells. What else is wrong with the list is not looked
/// at.
pub fn seek(path: &Path, list: &ListFile, id: &str) -> io::Result<Option<bool>> {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",\\".contains(&byte));
    if !is_plain || list.is_compressed() || list.encoding != Encoding::UTF8 {
        return Ok(None);
    }
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let seeker = Seeker { list, id, file, finder: Finder::new(id) };
    seeker.seek()
}

struct Seeker<'a> {
    list: &'a ListFile,
    id: &'a str,
    file: File,
    finder: Finder<'a>,
}

/// What a block shows.
#[derive(Default)]
struct Block {
    /// Where the id stands, and how many quotes stand in the block before it.
    places: Vec<(u64, usize)>,
    quotes: usize,
    /// An id may be written otherwise than by its letters.
    has_escapes: bool,
}

impl Seeker<'_> {
    fn seek(&self) -> io::Result<Option<bool>> {
        let mut start = [0; 2];
        self.read(0, &mut start)?;
        if [b"\x1F\x8B", b"\xFF\xFE", b"\xFE\xFF"].contains(&&start) {
            return Ok(None);
        }
        let header = if self.is_csv() { self.line_around(0)?.1 } else { Vec::new() };
        if header.contains(&b'"') {
            return Ok(None);
        }
        let count = usize::try_from(self.file.metadata()?.len().div_ceil(BLOCK_BYTES as u64));
        let count = count.map_err(io::Error::other)?;
        let (mut quotes, mut places, mut has_escapes) = (0, 0, false);
        for first in (0..count).step_by(BLOCKS_AT_ONCE) {
            let some = first..(first + BLOCKS_AT_ONCE).min(count);
            let blocks = some.into_par_iter().map_init(Vec::new, |buffer, number| self.block(number, buffer));
            for block in blocks.collect::<io::Result<Vec<Block>>>()? {
                places += block.places.len();
                if places > MOST_PLACES {
                    return Ok(None);
                }
                for (place, quotes_before) in block.places {
                    let (start, line) = self.line_around(place)?;
                    // Inside of a quoted field a line is not what it seems.
                    if self.is_csv() && ((quotes + quotes_before) % 2 == 1 || line.contains(&b'"')) {
                        return Ok(None);
                    }
                    let is_header = self.is_csv() && start == 0;
                    if !is_header && self.names(&header, &line)? {
                        return Ok(Some(true));
                    }
                }
                quotes += block.quotes;
                has_escapes |= block.has_escapes;
            }
        }
        Ok(if has_escapes { None } else { Some(false) })
    }

    fn is_csv(&self) -> bool {
        matches!(self.list.format, ListFormat::CSV { .. })
    }

    /// Looks through the block of this number, and as far behind it as an id that begins in it may reach.
    fn block(&self, number: usize, buffer: &mut Vec<u8>) -> io::Result<Block> {
        let offset = number as u64 * BLOCK_BYTES as u64;
        buffer.resize(BLOCK_BYTES + self.id.len() - 1, 0);
        let length = self.read(offset, buffer)?;
        let text = &buffer[..length];
        let own = &text[..length.min(BLOCK_BYTES)];
        let mut block = Block {
            has_escapes: matches!(self.list.format, ListFormat::NDJSON { .. })
                && memchr::memchr(b'\\', own).is_some(),
            ..Block::default()
        };
        let mut counted = 0;
        for place in self.finder.find_iter(text).take(MOST_PLACES + 1) {
            if self.is_csv() {
                block.quotes += quotes_in(&text[counted..place]);
                counted = place;
            }
            block.places.push((offset + place as u64, block.quotes));
        }
        if self.is_csv() {
            block.quotes += quotes_in(&own[counted..]);
        }
        Ok(block)
    }

    /// Fills the buffer as far as the file goes; gives how far that is.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        loop {
            match self.file.read_at(&mut buffer[length..], offset + length as u64) {
                Ok(0) => return Ok(length),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The line in which a byte stands, with its end, and where it begins.
    fn line_around(&self, offset: u64) -> io::Result<(u64, Vec<u8>)> {
        let from = offset.saturating_sub(MAX_BYTES as u64);
        let mut bytes = vec![0; MAX_BYTES * 2];
        let length = self.read(from, &mut bytes)?;
        let at = (offset - from) as usize;
        let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', &bytes[at..length]).map_or(length, |end| at + end + 1);
        Ok((from + start as u64, bytes[start..end].to_vec()))
    }

    /// Whether a line names the id.
    fn names(&self, header: &[u8], line: &[u8]) -> io::Result<bool> {
        let text = [header, line].concat();
        let wanted = BTreeSet::new();
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
        let Ok(mut rows) = Rows::new(text, self.list, &wanted)? else { return Ok(false) };
        Ok(match rows.next()? {
            Found::Row { id, .. } => id == self.id,
            Found::Bad { .. } | Found::End => false,
        })
    }
}

fn quotes_in(text: &[u8]) -> usize {
    memchr::memchr_iter(b'"', text).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audience::{ListOrder, read_list};

    /// What the bytes tell of an id.
    fn sought(name: &str, column: Option<&str>, content: &[u8], id: &str) -> Option<bool> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        seek(&path, &ListFile::new(name, column).unwrap(), id).unwrap()
    }

    #[test]
    fn an_id_is_found_where_it_stands_as_one() {
        for (id, expected) in [("u1", true), ("u12", true), ("u2", false), ("12", false), ("u", false)] {
            assert_eq!(sought("a.txt", None, b"\xEF\xBB\xBFu1\r\n u12 \nu123", id), Some(expected), "{id}");
            let csv = b"name,userID\nu2,u1\nu,u12\n";
            assert_eq!(sought("a.csv", Some("userID"), csv, id), Some(expected), "{id}");
            let objects = b"{\"userID\":\"u1\",\"n\":\"u2\"}\n{\"userID\":\"u12\"}\n";
            assert_eq!(sought("a.ndjson", Some("userID"), objects, id), Some(expected), "{id}");
        }
        assert_eq!(sought("a.csv", Some("userID"), b"userID,n\nu1,\"x\nu2,\"\n", "u2"), None);
        assert_eq!(sought("a.ndjson", None, b"\"\\u0061\"\n", "a"), None);
        assert_eq!(sought("a.txt.gz", None, b"u1\n", "u1"), None);
        // In so many places that reading is faster.
        assert_eq!(sought("a.txt", None, "u1\n".repeat(MOST_PLACES + 1).as_bytes(), "u"), None);
    }

    #[test]
    fn an_id_is_found_wherever_blocks_and_their_groups_end() {
        let csv = |text: &str, id| sought("a.csv", Some("userID"), text.as_bytes(), id);
        let row = "\"x\",u1\n";
        let in_blocks = (0..10).map(|shift| (BLOCK_BYTES, shift));
        for (end, shift) in in_blocks.chain([(BLOCK_BYTES * BLOCKS_AT_ONCE, 3)]) {
            // The id begins so many bytes before the end.
            let head = "n,userID\n\"y\",u1\n";
            let before = end - shift - head.len() - 1;
            let fill = "x".repeat(before % row.len());
            let text = format!("{head}{}{fill},u12345\n{}", row.repeat(before / row.len()), row.repeat(9));
            assert_eq!(csv(&text, "u12345"), Some(true), "{shift}");
            assert_eq!(csv(&text, "u1234"), Some(false), "{shift}");
            // An open quote is told of by what stands in any block before.
            assert_eq!(csv(&text.replacen('"', "", 1), "u12345"), None, "{shift}");
            let lines = text.replace(',', "\n");
            assert_eq!(sought("a.txt", None, lines.as_bytes(), "u12345"), Some(true), "{shift}");
        }
    }

    proptest! {
        #[test]
        fn what_the_bytes_tell_is_what_reading_tells(
            rows in prop::collection::vec(("[ab]{1,2}", "[ab]{0,2}|\"[ab\n,]{0,4}\""), 0..12), id in "[ab]{1,2}",
        ) {
            let text: String = rows.iter().map(|(id, name)| format!("{name},{id}\n")).collect();
            let text = format!("name,userID\n{text}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.csv");
            std::fs::write(&path, &text).unwrap();
            let list = ListFile::new("a.csv", Some("userID")).unwrap();
            let mut found = false;
            let read = read_list(&ListOrder::ids(&path, &list), &mut |other, _| {
                found |= other == id;
                Ok(())
            });
            if read.is_ok() && let Some(told) = seek(&path, &list, &id).unwrap() {
                prop_assert_eq!(told, found, "{}", text);
            }
        }
    }
}
