//! The rows of a list: each line, or CSV record, as an id with the values of the columns that are wanted.
//!
//! CSV is split here, strictly as RFC 4180 says: readers that forgive take everything behind a quote that
//! is not closed for one field, and so lose people in silence.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead},
};

use serde_json::Value;

use super::lines::{Line, Lines, MAX_BYTES};
use crate::campaign::source::{Encoding, ListFile, ListFormat, Values};

/// How many names of columns of an NDJSON list are kept, for people.
const MOST_COLUMNS: usize = 200;

/// What was found next.
#[derive(Debug, PartialEq)]
pub enum Found<'a> {
    Row {
        line: u64,
        id: Cow<'a, str>,
        values: Values,
    },
    /// A line that cannot be used, and why; what follows can be read on.
    Bad {
        line: u64,
        what: String,
    },
    End,
}

/// The header of a CSV list does not fit.
#[derive(Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// The list has these columns instead.
    NoColumn(Vec<String>),
    Bad(String),
}

/// Reads the rows of a list.
pub struct Rows<'a, R> {
    lines: Lines<R>,
    encoding: Encoding,
    format: &'a ListFormat,
    wanted: &'a BTreeSet<String>,
    /// Of CSV: where the id stands, and where the values that are wanted stand.
    places: Places,
    /// The columns that were seen.
    columns: BTreeSet<String>,
    raw: Vec<u8>,
    text: String,
    fields: Fields,
}

#[derive(Debug, Default)]
struct Places {
    count: usize,
    id: usize,
    values: Vec<(String, usize)>,
}

impl<'a, R: BufRead> Rows<'a, R> {
    /// Reads the header, where there is one.
    pub fn new(
        reader: R,
        list: &'a ListFile,
        wanted: &'a BTreeSet<String>,
    ) -> io::Result<Result<Rows<'a, R>, BadHeader>> {
        let mut rows = Rows {
            lines: Lines::new(reader),
            encoding: list.encoding,
            format: &list.format,
            wanted,
            places: Places::default(),
            columns: BTreeSet::new(),
            raw: Vec::new(),
            text: String::new(),
            fields: Fields::default(),
        };
        let header = match &list.format {
            ListFormat::CSV { column } => rows.header(column)?,
            ListFormat::Lines | ListFormat::NDJSON { .. } => Ok(()),
        };
        Ok(header.map(|()| rows))
    }

    /// The columns that were seen: of CSV all, of NDJSON those of the rows so far.
    pub fn into_columns(self) -> BTreeSet<String> {
        self.columns
    }

    fn header(&mut self, column: &str) -> io::Result<Result<(), BadHeader>> {
        match self.record()? {
            Record::Read => {}
            Record::End => return Ok(Err(BadHeader::NoColumn(Vec::new()))),
            Record::Bad { what, .. } => return Ok(Err(BadHeader::Bad(what))),
        }
        let names: Vec<String> = self.fields.iter().map(str::to_owned).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        let mut used = self.wanted.iter().map(String::as_str).chain([column]);
        if let Some(twice) = used.find(|name| names.iter().filter(|other| other == name).count() > 1) {
            return Ok(Err(BadHeader::Bad(format!("the header has the column {twice:?} twice"))));
        }
        let Some(id) = place(column) else { return Ok(Err(BadHeader::NoColumn(names))) };
        let values = self.wanted.iter().filter_map(|name| Some((name.clone(), place(name)?))).collect();
        self.places = Places { count: names.len(), id, values };
        self.columns.extend(names);
        Ok(Ok(()))
    }

    /// The next row or bad line.
    pub fn next(&mut self) -> io::Result<Found<'_>> {
        match self.format {
            ListFormat::Lines => self.next_line(),
            ListFormat::CSV { .. } => self.next_record(),
            ListFormat::NDJSON { column } => self.next_object(column.as_deref()),
        }
    }

    fn next_line(&mut self) -> io::Result<Found<'_>> {
        match self.text_line()? {
            Record::Read => {
                let id = Cow::Borrowed(self.text.trim());
                Ok(Found::Row { line: self.lines.number(), id, values: Values::default() })
            }
            Record::Bad { line, what } => Ok(Found::Bad { line, what }),
            Record::End => Ok(Found::End),
        }
    }

    fn next_record(&mut self) -> io::Result<Found<'_>> {
        match self.record()? {
            Record::Read => {}
            Record::Bad { line, what } => return Ok(Found::Bad { line, what }),
            Record::End => return Ok(Found::End),
        }
        let breaks = self.raw.iter().rev().skip(1).filter(|byte| **byte == b'\n').count() as u64;
        let line = self.lines.number() - breaks;
        let (found, expected) = (self.fields.ends.len(), self.places.count);
        if found != expected {
            self.only_the_first_line_is_bad();
            return Ok(Found::Bad {
                line,
                what: format!("the line has {found} fields, the header {expected}"),
            });
        }
        let value = |place: usize| Some(self.fields.get(place)).filter(|text| !text.is_empty());
        let named = self
            .places
            .values
            .iter()
            .filter_map(|(name, place)| Some((name.clone(), value(*place)?.to_owned())));
        let values = Values(named.collect());
        Ok(Found::Row { line, id: Cow::Borrowed(self.fields.get(self.places.id)), values })
    }

    /// Reads one CSV record, which may have line breaks inside of quotes, and splits it.
    fn record(&mut self) -> io::Result<Record> {
        self.raw.clear();
        let mut first = 0;
        let mut quotes = 0;
        loop {
            let before = self.raw.len();
            let line = self.lines.next(&mut self.raw)?;
            let unclosed = quotes % 2 == 1;
            match line {
                Line::End if !unclosed => return Ok(Record::End),
                Line::Long if !unclosed => return Ok(Record::long(self.lines.number())),
                Line::End | Line::Long => {
                    return Ok(self.unclosed(first));
                }
                Line::Text => {}
            }
            if before == 0 {
                first = self.lines.number();
            }
            quotes += memchr::memchr_iter(b'"', &self.raw[before..]).count();
            if quotes % 2 == 1 && self.raw.len() > MAX_BYTES {
                return Ok(self.unclosed(first));
            }
            if quotes % 2 == 0 {
                if self.raw.trim_ascii().is_empty() {
                    self.raw.clear();
                    continue;
                }
                break;
            }
        }
        if let Err(what) = decode(self.encoding, &self.raw, &mut self.text) {
            self.only_the_first_line_is_bad();
            return Ok(Record::Bad { line: first, what });
        }
        match self.fields.split(self.text.trim_end_matches(['\r', '\n']), quotes > 0) {
            Ok(()) => Ok(Record::Read),
            Err(what) => {
                self.only_the_first_line_is_bad();
                Ok(Record::Bad { line: first, what: what.to_owned() })
            }
        }
    }

    fn unclosed(&mut self, first: u64) -> Record {
        self.only_the_first_line_is_bad();
        Record::Bad { line: first, what: "a quote (\") is opened and not closed".to_owned() }
    }

    /// Has the lines of a bad record read again, but for its first: they may be good.
    fn only_the_first_line_is_bad(&mut self) {
        let first = self.raw.iter().position(|byte| *byte == b'\n').map_or(self.raw.len(), |end| end + 1);
        self.lines.give_back(&self.raw[first..]);
    }

    fn next_object(&mut self, column: Option<&str>) -> io::Result<Found<'_>> {
        match self.text_line()? {
            Record::Read => {}
            Record::Bad { line, what } => return Ok(Found::Bad { line, what }),
            Record::End => return Ok(Found::End),
        }
        let line = self.lines.number();
        Ok(match self.object(column) {
            Ok((id, values)) => Found::Row { line, id: Cow::Owned(id), values },
            Err(what) => Found::Bad { line, what },
        })
    }

    fn object(&mut self, column: Option<&str>) -> Result<(String, Values), String> {
        let value: Value = serde_json::from_str(self.text.trim())
            .map_err(|error| format!("the line is not JSON: {error}"))?;
        let Some(column) = column else {
            let id = scalar(&value)?.ok_or("the line is null, not an id")?;
            return Ok((id, Values::default()));
        };
        let Value::Object(object) = value else { return Err("the line is no JSON object".to_owned()) };
        if self.columns.len() < MOST_COLUMNS {
            self.columns.extend(
                object.keys().filter(|key| !self.columns.contains(*key)).cloned().collect::<Vec<_>>(),
            );
        }
        let id = object.get(column).ok_or_else(|| format!("the object has no {column:?}"))?;
        let id = scalar(id)?.ok_or_else(|| format!("{column:?} is null"))?;
        let mut values = BTreeMap::new();
        for name in self.wanted {
            let value =
                object.get(name).map(scalar).transpose().map_err(|what| format!("{name:?}: {what}"))?;
            if let Some(text) = value.flatten().filter(|text| !text.is_empty()) {
                values.insert(name.clone(), text);
            }
        }
        Ok((id, Values(values)))
    }

    /// The next line that is not blank, as text.
    fn text_line(&mut self) -> io::Result<Record> {
        loop {
            self.raw.clear();
            match self.lines.next(&mut self.raw)? {
                Line::End => return Ok(Record::End),
                Line::Long => return Ok(Record::long(self.lines.number())),
                Line::Text if self.raw.trim_ascii().is_empty() => {}
                Line::Text => {
                    return Ok(match decode(self.encoding, &self.raw, &mut self.text) {
                        Ok(()) => Record::Read,
                        Err(what) => Record::Bad { line: self.lines.number(), what },
                    });
                }
            }
        }
    }
}

/// What reading one record gave.
enum Record {
    /// It stands in the reader's fields or text.
    Read,
    Bad {
        line: u64,
        what: String,
    },
    End,
}

impl Record {
    fn long(line: u64) -> Record {
        Record::Bad { line, what: "the line is longer than 64 KiB".to_owned() }
    }
}

/// The text of a JSON value that stands for itself; None for null.
fn scalar(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Number(number) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
        Value::Number(_) => Err("a number that JSON readers change: quote it".to_owned()),
        Value::Array(_) | Value::Object(_) => Err("a list or an object instead of a text".to_owned()),
    }
}

/// Writes the text of `raw` into `text`. Lines are decoded one by one: in both encodings a line break is
/// always a line break.
fn decode(encoding: Encoding, raw: &[u8], text: &mut String) -> Result<(), String> {
    text.clear();
    match encoding {
        Encoding::UTF8 => match std::str::from_utf8(raw) {
            Ok(decoded) => text.push_str(decoded),
            Err(_) => {
                return Err(
                    "the line is not UTF-8 text (if a spreadsheet wrote it, try `encoding: gb18030`)"
                        .to_owned(),
                );
            }
        },
        Encoding::GB18030 => {
            match encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(raw) {
                Some(decoded) => text.push_str(&decoded),
                None => return Err("the line is not GB 18030 text".to_owned()),
            }
        }
    }
    Ok(())
}

/// The fields of a CSV record, without quotes and the white space around them.
#[derive(Debug, Default)]
struct Fields {
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
}

impl Fields {
    fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text[start..self.ends[place]].trim()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|place| self.get(place))
    }

    /// Splits a record; `quoted` tells whether there is any quote in it.
    fn split(&mut self, record: &str, quoted: bool) -> Result<(), &'static str> {
        self.text.clear();
        self.ends.clear();
        if !quoted {
            for field in record.split(',') {
                self.text.push_str(field);
                self.ends.push(self.text.len());
            }
            return Ok(());
        }
        let mut rest = record;
        loop {
            rest = match rest.trim_start_matches([' ', '\t']).strip_prefix('"') {
                Some(inside) => self.quoted_field(inside)?,
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    if rest[..end].contains('"') {
                        return Err("a quote (\") stands inside of a field that is not quoted");
                    }
                    self.text.push_str(&rest[..end]);
                    &rest[end..]
                }
            };
            self.ends.push(self.text.len());
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind,
                None => return Ok(()),
            }
        }
    }

    /// Takes a field up to its closing quote; gives what follows, from the comma on.
    fn quoted_field<'r>(&mut self, mut rest: &'r str) -> Result<&'r str, &'static str> {
        loop {
            let (inside, behind) = rest.split_once('"').ok_or("a quote (\") is opened and not closed")?;
            self.text.push_str(inside);
            match behind.strip_prefix('"') {
                Some(behind) => {
                    self.text.push('"');
                    rest = behind;
                }
                None => {
                    let behind = behind.trim_start_matches([' ', '\t']);
                    return match behind.is_empty() || behind.starts_with(',') {
                        true => Ok(behind),
                        false => Err("text stands behind a closing quote (\")"),
                    };
                }
            }
        }
    }
}
