use std::io::Write;

use super::*;
use crate::campaign::source::ListFormat;

/// What a list of this name and content gives: its ids with their values, or what is said about it.
struct Case<'a> {
    name: &'a str,
    column: Option<&'a str>,
    encoding: Encoding,
    on_bad_line: OnBadLine,
    wanted: &'a [&'a str],
}

const TXT: Case<'_> = Case {
    name: "list.txt",
    column: None,
    encoding: Encoding::UTF8,
    on_bad_line: OnBadLine::Problem,
    wanted: &[],
};
const CSV: Case<'_> = Case { name: "list.csv", column: Some("userID"), ..TXT };
const NDJSON: Case<'_> = Case { name: "list.ndjson", column: Some("userID"), ..TXT };

impl Case<'_> {
    fn read(&self, content: &[u8]) -> (Result<ListReading, String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(self.name);
        std::fs::write(&path, content).unwrap();
        let list = ListFile {
            path: self.name.to_owned(),
            format: ListFormat::of(self.name, self.column).unwrap(),
            encoding: self.encoding,
            on_bad_line: self.on_bad_line,
        };
        fn no_colon(id: &str) -> Result<Cow<'_, str>, String> {
            match id.contains(':') {
                true => Err("a colon".to_owned()),
                false => RecipientID::check(id).map(|()| id.into()).map_err(|error| error.to_string()),
            }
        }
        let columns = self.wanted.iter().map(|name| (*name).to_owned()).collect();
        let order = ListOrder { columns: &columns, recipient: &no_colon, ..ListOrder::ids(&path, &list) };
        let mut taken = Vec::new();
        let read = read_list(&order, &mut |id, values| {
            let values: String = values.0.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            taken.push(format!("{id}{values}"));
            Ok(())
        });
        let folder = folder.path().display().to_string();
        (read.map_err(|fault| fault.to_string().replace(&format!("{folder}/"), "")), taken)
    }

    #[track_caller]
    fn check(&self, content: &[u8], expected: Result<&[&str], &str>) {
        let (read, taken) = self.read(content);
        assert_eq!(
            read.map(|_| taken.iter().map(String::as_str).collect::<Vec<_>>()),
            expected.map(<[_]>::to_vec).map_err(str::to_owned)
        );
    }

    /// Reads past bad lines: what was taken, and which lines were not.
    #[track_caller]
    fn check_skipping(self, content: &[u8], taken: &[&str], bad: &[(u64, &str)]) {
        let (read, found) = Case { on_bad_line: OnBadLine::Skip, ..self }.read(content);
        let reading = read.unwrap();
        assert_eq!(found, taken);
        let told: Vec<_> = reading.first_bad_lines.iter().map(|bad| (bad.line, bad.what.as_str())).collect();
        assert_eq!((told.as_slice(), reading.bad_lines), (bad, bad.len() as u64));
    }
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_are_ids() {
    TXT.check(b"u1\nu2\r\n\n  u3  ", Ok(&["u1", "u2", "u3"]));
    TXT.check(b"\xEF\xBB\xBFu1\n", Ok(&["u1"]));
    TXT.check(b"", Ok(&[]));
    TXT.check(b"u1\nu\x07\n", Err("list.txt:2: the id has a control character or white space at its ends"));
    TXT.check(
        b"u1\n\xFF\xFE\n",
        Err("list.txt:2: the line is not UTF-8 text (if a spreadsheet wrote it, try `encoding: gb18030`)"),
    );
    TXT.check(b"u1\na:b\n", Err("list.txt:2: a colon"));
    TXT.check(&[b'x'; 70_000], Err("list.txt:1: the line is longer than 64 KiB"));
    TXT.check(b"\xFF\xFEu\x001\x00", Err("list.txt:1: the file is UTF-16 text: save it as UTF-8"));
    let long = [b"u1\n".as_slice(), &[b'x'; 70_000], b"\nu2\n"].concat();
    TXT.check_skipping(&long, &["u1", "u2"], &[(2, "the line is longer than 64 KiB")]);
}

#[test]
fn a_column_holds_ids() {
    CSV.check(b"name,userID\n\"Li, Lei\",u1\nHan,u2\n", Ok(&["u1", "u2"]));
    CSV.check(b"\xEF\xBB\xBFuserID\r\nu1\r\n", Ok(&["u1"]));
    CSV.check(b"\"userID\",n\r\n\"u1\",\"a \"\"b\"\"\r\nc\"\r\nu2,\r\n", Ok(&["u1", "u2"]));
    CSV.check(b"userID\n\nu1\n\n", Ok(&["u1"]));
    CSV.check(b"name\nx\n", Err("list.csv has no column \"userID\"; it has name"));
    CSV.check(b"", Err("list.csv has no column \"userID\"; it is empty"));
    CSV.check(b"userID,userID\nu1,u2\n", Err("list.csv:1: the header has the column \"userID\" twice"));
    CSV.check(b"userID,n\nu1,1\nu2\n", Err("list.csv:3: the line has 1 fields, the header 2"));
    CSV.check(b"userID,n\nu1,1\n,2\n", Err("list.csv:3: the id is empty"));
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_it_opens() {
    let unclosed = "a quote (\") is opened and not closed";
    CSV.check(b"userID,n\nu1,\"x\nu2,y\n", Err(&format!("list.csv:2: {unclosed}")));
    CSV.check(b"userID,n\nu1,5\"\n", Err(&format!("list.csv:2: {unclosed}")));
    CSV.check(
        b"userID,n\nu1,a\"b\"\n",
        Err("list.csv:2: a quote (\") stands inside of a field that is not quoted"),
    );
    CSV.check(b"userID,n\n\"u1\"x,1\n", Err("list.csv:2: text stands behind a closing quote (\")"));
    CSV.check(b"userID,\"n\nu1,1\n", Err(&format!("list.csv:1: {unclosed}")));
    // Whoever follows is not lost with the line that is.
    CSV.check_skipping(b"userID,n\nu1,\"x\nu2,y\nu3,z\n", &["u2", "u3"], &[(2, unclosed)]);
    let far = format!("userID,n\nu1,\"x\n{}u9,\"y\"\n", "u2,y\n".repeat(20_000));
    let (read, taken) = Case { on_bad_line: OnBadLine::Skip, ..CSV }.read(far.as_bytes());
    assert_eq!((read.unwrap().bad_lines, taken.len(), taken.last().unwrap().as_str()), (1, 20_001, "u9"));
    CSV.check_skipping(
        b"userID,n\nu1,\"x\ny\",1\nu2,2\n",
        &["u2"],
        &[(2, "the line has 3 fields, the header 2"), (3, "a quote (\") is opened and not closed")],
    );
}

#[test]
fn objects_hold_ids_and_values() {
    let case = Case { wanted: &["name", "points"], ..NDJSON };
    case.check(
        b"{\"userID\":\"u1\",\"name\":\"Li \\\"Lei\\\"\",\"points\":5}\n{\"points\":null,\"userID\":9948077346}\n",
        Ok(&["u1 name=Li \"Lei\" points=5", "9948077346"]),
    );
    NDJSON.check(b"{\"userID\":1.5}\n", Err("list.ndjson:1: a number that JSON readers change: quote it"));
    NDJSON.check(b"{\"user\":1}\n", Err("list.ndjson:1: the object has no \"userID\""));
    NDJSON.check(b"[1]\n", Err("list.ndjson:1: the line is no JSON object"));
    Case { column: None, ..NDJSON }.check(b"\"u1\"\n12\n", Ok(&["u1", "12"]));
    NDJSON.check_skipping(
        b"{\"userID\":\"u1\"}\n{\"userID\":\n{\"userID\":\"u3\"}",
        &["u1", "u3"],
        &[(2, "the line is not JSON: EOF while parsing a value at line 1 column 10")],
    );
}

#[test]
fn a_list_may_be_compressed() {
    let list = compressed(b"userID\nu1\nu2\n");
    Case { name: "list.csv.gz", ..CSV }.check(&list, Ok(&["u1", "u2"]));
    // Told by its first bytes too, and written in several members.
    TXT.check(&[compressed(b"u1\n"), compressed(b"u2\n")].concat(), Ok(&["u1", "u2"]));
    let cut = &list[..list.len() - 5];
    Case { name: "list.csv.gz", ..CSV }
        .check(cut, Err("list.csv.gz cannot be read: its compressed data is cut short"));
    let (read, _) = Case { name: "list.txt.gz", ..TXT }.read(b"u1\n");
    assert!(read.unwrap_err().starts_with("list.txt.gz cannot be read: "));
}

#[test]
fn spreadsheets_in_china_write_gb18030() {
    let case = Case { encoding: Encoding::GB18030, wanted: &["姓名"], ..CSV };
    let (content, _, _) = encoding_rs::GB18030.encode("userID,姓名\r\nu1,李雷\r\nu2,𠮷\r\n");
    case.check(&content, Ok(&["u1 姓名=李雷", "u2 姓名=𠮷"]));
    case.check(b"userID,\xD0\xD5\xC3\xFB\nu1,\xFF\xFF\n", Err("list.csv:2: the line is not GB 18030 text"));
    case.check(
        b"\xEF\xBB\xBFuserID\nu1\n",
        Err("list.csv:1: the file begins with the mark of utf-8: write `encoding: utf-8`"),
    );
}

#[test]
fn the_digest_is_that_of_the_bytes_on_disk() {
    let (read, _) = TXT.read(b"u1\n");
    let reading = read.unwrap();
    assert_eq!(reading.sha256, "2cb5099ffe96f39d30715e945adc2cf2dc5d38f7effda571518d0cd1ab9af276");
    assert_eq!(reading.rows, 1);
}

#[test]
fn a_list_that_changes_while_it_is_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    let list = ListFile::new("list.txt", None).unwrap();
    for change in [
        (|path: &Path| {
            std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"u2\n").unwrap()
        }) as fn(&Path),
        |path| {
            let other = path.with_extension("new");
            std::fs::write(&other, "u9\n").unwrap();
            std::fs::rename(other, path).unwrap();
        },
        |path| std::fs::remove_file(path).unwrap(),
    ] {
        std::fs::write(&path, "u1\n").unwrap();
        let mut changed = false;
        let fault = read_list(&ListOrder::ids(&path, &list), &mut |_, _| {
            if !std::mem::replace(&mut changed, true) {
                change(&path);
            }
            Ok(())
        });
        assert!(matches!(fault, Err(ListFault::Changed { .. })), "{fault:?}");
    }
}

#[test]
fn a_list_that_nobody_waits_for_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    std::fs::write(&path, "u1\n".repeat(10_000)).unwrap();
    let list = ListFile::new("list.txt", None).unwrap();
    let order = ListOrder { is_wanted: &|| false, ..ListOrder::ids(&path, &list) };
    assert!(matches!(read_list(&order, &mut |_, _| Ok(())), Err(ListFault::TooLong { .. })));
}

#[test]
fn a_list_that_is_no_file_is_told() {
    let list = ListFile::new("list.txt", None).unwrap();
    let said = |path: &str| {
        read_list(&ListOrder::ids(Path::new(path), &list), &mut |_, _| Ok(())).unwrap_err().to_string()
    };
    assert_eq!(said("/dev/zero"), "/dev/zero cannot be read: it is no regular file");
    assert!(said("/nonexistent/list.txt").starts_with("/nonexistent/list.txt cannot be read: "));
}
