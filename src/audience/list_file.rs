//! Reading a list file: plain or compressed, to its end, with its digest; and whether it stayed the same
//! meanwhile.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::rows::{BadHeader, Found, Rows};
use crate::campaign::{
    RecipientID,
    source::{BadLine, Encoding, ListFile, OnBadLine, Values},
};

/// The read buffer, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// How many bad lines of a list are told one by one; all are counted.
const MOST_BAD_LINES: usize = 100;
/// After so many rows it is asked whether anybody still wants them.
const ROWS_A_LOOK: u64 = 4_096;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{path}:{line}: {what}")]
    BadLine { path: String, line: u64, what: String },
    #[error("{path} has no column {column:?}; {instead}")]
    NoColumn { path: String, column: String, instead: String },
    /// What was read is neither what it was nor what it is: it is to be read again.
    #[error("{path} changed while it was read")]
    Changed { path: String },
    #[error("{path} was not read to its end in time")]
    TooLong { path: String },
    /// Whoever takes the ids could not.
    #[error("the audience cannot be sorted: {0}")]
    Taking(io::Error),
}

/// What a list was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReading {
    /// Of its bytes as they are on disk, in hexadecimal digits.
    pub sha256: String,
    /// Ids taken, repetitions counted.
    pub rows: u64,
    /// Lines passed over, of which the first hundred are told.
    pub bad_lines: u64,
    pub first_bad_lines: Vec<BadLine>,
    /// The columns that its rows have.
    pub columns: BTreeSet<String>,
    /// When somebody last wrote into it, in Unix milliseconds.
    pub modified_at_ms: i64,
}

impl ListReading {
    /// Whether nothing stood in it.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.bad_lines == 0
    }
}

/// The name of a recipient, checked, of how it is written in a list.
pub type RecipientName<'a> = dyn for<'t> Fn(&'t str) -> Result<Cow<'t, str>, String> + 'a;

/// How a list is to be read.
pub struct ListOrder<'a> {
    pub path: &'a Path,
    pub list: &'a ListFile,
    /// The columns whose values are wanted beside the ids.
    pub columns: &'a BTreeSet<String>,
    /// The name of a recipient as the provider keeps it; why it cannot have such an id. Millions are asked for.
    pub recipient: &'a RecipientName<'a>,
    /// Whether anybody still waits for the list.
    pub is_wanted: &'a dyn Fn() -> bool,
}

impl<'a> ListOrder<'a> {
    /// An order for ids alone, of any provider, however long it takes.
    pub fn ids(path: &'a Path, list: &'a ListFile) -> ListOrder<'a> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        fn checked(id: &str) -> Result<Cow<'_, str>, String> {
            RecipientID::check(id).map(|()| id.into()).map_err(|error| error.to_string())
        }
        let recipient = &checked;
        ListOrder { path, list, columns: NONE, recipient, is_wanted: &|| true }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn unreadable(&self, error: io::Error) -> ListFault {
        ListFault::Unreadable { path: self.name(), error }
    }

    fn bad(&self, line: u64, what: impl Into<String>) -> ListFault {
        ListFault::BadLine { path: self.name(), line, what: what.into() }
    }
}

/// Hands every id of the list to `take`, with its values.
pub fn read_list(
    order: &ListOrder<'_>,
    take: &mut dyn FnMut(&str, Values) -> io::Result<()>,
) -> Result<ListReading, ListFault> {
    let unreadable = |error| order.unreadable(error);
    let before = std::fs::metadata(order.path).map_err(unreadable)?;
    // A pipe would be waited for without end.
    if !before.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    let file = File::open(order.path).map_err(unreadable)?;
    let mut digesting = Digesting { file, digest: Sha256::new() };
    let read = read_from(order, &mut digesting, take);
    // Whatever was wrong with it may come of the change.
    if std::fs::metadata(order.path).map_or(true, |after| stamp(&after) != stamp(&before)) {
        return Err(ListFault::Changed { path: order.name() });
    }
    let sha256 = digesting.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let modified_at_ms = before.mtime().saturating_mul(1_000).saturating_add(before.mtime_nsec() / 1_000_000);
    Ok(ListReading { sha256, modified_at_ms, ..read? })
}

/// What changes when somebody writes into a file, or puts another one in its place.
fn stamp(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

/// A file whose bytes are digested as they are read.
struct Digesting {
    file: File,
    digest: Sha256,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

fn read_from(
    order: &ListOrder<'_>,
    digesting: &mut Digesting,
    take: &mut dyn FnMut(&str, Values) -> io::Result<()>,
) -> Result<ListReading, ListFault> {
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, digesting);
    let start = raw.fill_buf().map_err(|error| order.unreadable(error))?;
    if start.starts_with(b"\x1F\x8B") || order.list.is_compressed() {
        let reader = BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw));
        read_text(order, reader, take).map_err(|fault| match fault {
            ListFault::Unreadable { path, error } if error.kind() == io::ErrorKind::UnexpectedEof => {
                ListFault::Unreadable { path, error: io::Error::other("its compressed data is cut short") }
            }
            other => other,
        })
    } else {
        read_text(order, raw, take)
    }
}

fn read_text(
    order: &ListOrder<'_>,
    mut reader: impl BufRead,
    take: &mut dyn FnMut(&str, Values) -> io::Result<()>,
) -> Result<ListReading, ListFault> {
    let unreadable = |error| order.unreadable(error);
    pass_over_mark(order, &mut reader)?;
    let rows = Rows::new(reader, order.list, order.columns).map_err(unreadable)?;
    let mut rows = rows.map_err(|bad| match bad {
        BadHeader::NoColumn(names) => ListFault::NoColumn {
            path: order.name(),
            column: order.list.column().unwrap_or_default().to_owned(),
            instead: match names.is_empty() {
                true => "it is empty".to_owned(),
                false => format!("it has {}", names.join(", ")),
            },
        },
        BadHeader::Bad(what) => order.bad(1, what),
    })?;
    let mut reading = ListReading::default();
    for count in 1u64.. {
        if count.is_multiple_of(ROWS_A_LOOK) && !(order.is_wanted)() {
            return Err(ListFault::TooLong { path: order.name() });
        }
        let (line, what) = match rows.next().map_err(unreadable)? {
            Found::End => break,
            Found::Bad { line, what } => (line, what),
            Found::Row { line, id, values } => match (order.recipient)(&id) {
                Ok(recipient) => {
                    reading.rows += 1;
                    take(&recipient, values).map_err(ListFault::Taking)?;
                    continue;
                }
                Err(what) => (line, what),
            },
        };
        match order.list.on_bad_line {
            OnBadLine::Problem => return Err(order.bad(line, what)),
            OnBadLine::Skip => {
                reading.bad_lines += 1;
                if reading.first_bad_lines.len() < MOST_BAD_LINES {
                    reading.first_bad_lines.push(BadLine { line, what });
                }
            }
        }
    }
    reading.columns = rows.into_columns();
    Ok(reading)
}

/// Passes over the mark that tells an encoding, where it tells the right one.
fn pass_over_mark(order: &ListOrder<'_>, reader: &mut impl BufRead) -> Result<(), ListFault> {
    let start = reader.fill_buf().map_err(|error| order.unreadable(error))?;
    if start.starts_with(b"\xFF\xFE") || start.starts_with(b"\xFE\xFF") {
        return Err(order.bad(1, "the file is UTF-16 text: save it as UTF-8"));
    }
    let marks: [(&[u8], Encoding); 2] =
        [(b"\xEF\xBB\xBF", Encoding::UTF8), (b"\x84\x31\x95\x33", Encoding::GB18030)];
    if let Some((mark, encoding)) = marks.into_iter().find(|(mark, _)| start.starts_with(mark)) {
        if encoding != order.list.encoding {
            let name = encoding.name();
            return Err(
                order.bad(1, format!("the file begins with the mark of {name}: write `encoding: {name}`"))
            );
        }
        reader.consume(mark.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
