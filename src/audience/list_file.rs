//! Reading a list file, line by line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use crate::campaign::{RecipientID, audience::ListFormat};

/// The longest line of a list, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: String, error: io::Error },
    #[error("{path}:{line}: {what}")]
    BadLine { path: String, line: u64, what: String },
    #[error("{path} has no column {column:?}; it has {columns}")]
    NoColumn { path: String, column: String, columns: String },
    /// Whoever takes the ids could not.
    #[error("the audience cannot be sorted: {0}")]
    Taking(io::Error),
}

/// Hands every id of the list to `take`. `check` tells why the provider cannot have an id.
pub fn read_list(
    path: &Path,
    format: &ListFormat,
    check: &dyn Fn(&str) -> Result<(), String>,
    take: &mut dyn FnMut(&RecipientID) -> io::Result<()>,
) -> Result<(), ListFault> {
    let name = path.display().to_string();
    let unreadable = |error| ListFault::Unreadable { path: name.clone(), error };
    // A pipe would be waited for without end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut reader = BufReader::with_capacity(256 << 10, file);
    if reader.fill_buf().map_err(unreadable)?.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    let mut accept = |line: u64, text: &str| {
        let bad = |what| ListFault::BadLine { path: name.clone(), line, what };
        let id = RecipientID::new(text).map_err(|error| bad(error.to_string()))?;
        check(id.as_str()).map_err(bad)?;
        take(&id).map_err(ListFault::Taking)
    };
    match format {
        ListFormat::Lines => read_lines(&name, reader, &mut accept),
        ListFormat::CSV { column } => read_csv(&name, reader, column, &mut accept),
    }
}

type Accept<'a> = dyn FnMut(u64, &str) -> Result<(), ListFault> + 'a;

fn read_lines(name: &str, mut reader: impl BufRead, accept: &mut Accept<'_>) -> Result<(), ListFault> {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let length = reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| ListFault::Unreadable { path: name.to_owned(), error })?;
        if length == 0 {
            break;
        }
        let bad = |what: &str| ListFault::BadLine { path: name.to_owned(), line, what: what.to_owned() };
        if length as u64 == MAX_LINE_BYTES {
            return Err(bad("the line is longer than 64 KiB"));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("the line is not UTF-8 text"))?.trim();
        if !text.is_empty() {
            accept(line, text)?;
        }
    }
    Ok(())
}

fn read_csv(
    name: &str,
    reader: impl BufRead,
    column: &str,
    accept: &mut Accept<'_>,
) -> Result<(), ListFault> {
    let mut csv = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
    let fault = |error: csv::Error| {
        let line = error.position().map_or(0, csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Io(error) => ListFault::Unreadable { path: name.to_owned(), error },
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => ListFault::BadLine {
                path: name.to_owned(),
                line,
                what: format!("the line has {len} fields, the header {expected_len}"),
            },
            csv::ErrorKind::Utf8 { .. } => ListFault::BadLine {
                path: name.to_owned(),
                line,
                what: "the line is not UTF-8 text".to_owned(),
            },
            other => ListFault::BadLine { path: name.to_owned(), line, what: format!("{other:?}") },
        }
    };
    let header = csv.headers().map_err(fault)?;
    let place = header.iter().position(|field| field == column).ok_or_else(|| ListFault::NoColumn {
        path: name.to_owned(),
        column: column.to_owned(),
        columns: header.iter().collect::<Vec<_>>().join(", "),
    })?;
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(fault)? {
        let line = record.position().map_or(0, csv::Position::line);
        accept(line, record.get(place).unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of a list with this content, or what is said about it.
    #[track_caller]
    fn check(content: &[u8], column: Option<&str>, expected: Result<&[&str], &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, content).unwrap();
        let format = match column {
            None => ListFormat::Lines,
            Some(column) => ListFormat::CSV { column: column.to_owned() },
        };
        let no_colon = |id: &str| if id.contains(':') { Err("a colon".to_owned()) } else { Ok(()) };
        let mut ids = Vec::new();
        let result = read_list(&path, &format, &no_colon, &mut |id| {
            ids.push(id.to_string());
            Ok(())
        });
        let told = result
            .map(|()| ids)
            .map_err(|fault| fault.to_string().replace(&path.display().to_string(), "list"));
        assert_eq!(
            told,
            expected.map(|ids| ids.iter().map(|id| id.to_string()).collect()).map_err(str::to_owned)
        );
    }

    #[test]
    fn lines_are_ids() {
        check(b"u1\nu2\r\n\n  u3  ", None, Ok(&["u1", "u2", "u3"]));
        check(b"\xEF\xBB\xBFu1\n", None, Ok(&["u1"]));
        check(b"", None, Ok(&[]));
        check(b"u1\nu\x07\n", None, Err("list:2: the id has a control character or white space at its ends"));
        check(b"u1\n\xFF\xFE\n", None, Err("list:2: the line is not UTF-8 text"));
        check(b"u1\na:b\n", None, Err("list:2: a colon"));
        check(&[b'x'; 70_000], None, Err("list:1: the line is longer than 64 KiB"));
    }

    #[test]
    fn a_column_holds_ids() {
        check(b"name,userID\n\"Li, Lei\",u1\nHan,u2\n", Some("userID"), Ok(&["u1", "u2"]));
        check(b"\xEF\xBB\xBFuserID\r\nu1\r\n", Some("userID"), Ok(&["u1"]));
        check(b"name\nx\n", Some("userID"), Err("list has no column \"userID\"; it has name"));
        check(b"userID,n\nu1,1\nu2\n", Some("userID"), Err("list:3: the line has 1 fields, the header 2"));
        check(b"userID,n\nu1,1\n,2\n", Some("userID"), Err("list:3: the id is empty"));
    }

    #[test]
    fn a_list_that_is_no_file_is_told() {
        let fault = read_list(Path::new("/dev/zero"), &ListFormat::Lines, &|_| Ok(()), &mut |_| Ok(()));
        assert_eq!(fault.unwrap_err().to_string(), "/dev/zero cannot be read: it is no regular file");
    }

    #[test]
    fn a_missing_list_is_told() {
        let missing = Path::new("/nonexistent/list.txt");
        let fault = read_list(missing, &ListFormat::Lines, &|_| Ok(()), &mut |_| Ok(())).unwrap_err();
        assert!(fault.to_string().starts_with("/nonexistent/list.txt cannot be read: "));
    }
}
