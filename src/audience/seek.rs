//! Looking for one id in a list by its bytes, where these tell: in a list of millions that is a hundred times
//! faster than to read it.

use std::{collections::BTreeSet, fs::File, io, os::unix::fs::FileExt, path::Path};

use memchr::memmem::Finder;

use super::{
    lines::MAX_BYTES,
    rows::{Found, Rows},
};
use crate::campaign::source::{Encoding, ListFile, ListFormat};

/// How much is looked through at a time, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

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

impl Seeker<'_> {
    fn seek(&self) -> io::Result<Option<bool>> {
        let is_csv = matches!(self.list.format, ListFormat::CSV { .. });
        let is_objects = matches!(self.list.format, ListFormat::NDJSON { .. });
        let header = if is_csv { self.line_around(0)?.1 } else { Vec::new() };
        if header.contains(&b'"') {
            return Ok(None);
        }
        let overlap = self.id.len() - 1;
        let mut block = vec![0; BLOCK_BYTES + overlap];
        let (mut offset, mut kept, mut quotes, mut escapes) = (0, 0, 0, false);
        loop {
            let length = self.file.read_at(&mut block[kept..], offset + kept as u64)?;
            let text = &block[..kept + length];
            if offset == 0
                && (text.starts_with(b"\x1F\x8B")
                    || text.starts_with(b"\xFF\xFE")
                    || text.starts_with(b"\xFE\xFF"))
            {
                return Ok(None);
            }
            for place in self.finder.find_iter(text) {
                let (start, line) = self.line_around(offset + place as u64)?;
                if is_csv {
                    // Inside of a quoted field a line is not what it seems.
                    let before = (start.saturating_sub(offset)) as usize;
                    let open = quotes + memchr::memchr_iter(b'"', &text[..before.min(text.len())]).count();
                    if open % 2 == 1 || start < offset || line.contains(&b'"') {
                        return Ok(None);
                    }
                    if start == 0 {
                        continue;
                    }
                }
                if self.names(&header, &line)? {
                    return Ok(Some(true));
                }
            }
            if length == 0 {
                return Ok(if is_objects && escapes { None } else { Some(false) });
            }
            // What is kept is looked through again.
            let done = text.len().saturating_sub(overlap);
            if is_csv {
                quotes += memchr::memchr_iter(b'"', &text[..done]).count();
            }
            escapes |= is_objects && memchr::memchr(b'\\', text).is_some();
            offset += done as u64;
            kept = text.len() - done;
            block.copy_within(done..done + kept, 0);
        }
    }

    /// The line in which a byte stands, with its end, and where it begins.
    fn line_around(&self, offset: u64) -> io::Result<(u64, Vec<u8>)> {
        let from = offset.saturating_sub(MAX_BYTES as u64);
        let mut bytes = vec![0; MAX_BYTES * 2];
        let mut length = 0;
        loop {
            match self.file.read_at(&mut bytes[length..], from + length as u64)? {
                0 => break,
                read => length += read,
            }
        }
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
        // Over the end of a block.
        let long = "u1\n".repeat(BLOCK_BYTES / 3) + "u12345\n" + &"u1\n".repeat(9);
        assert_eq!(sought("a.txt", None, long.as_bytes(), "u12345"), Some(true));
        assert_eq!(sought("a.txt", None, long.as_bytes(), "u1234"), Some(false));
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
