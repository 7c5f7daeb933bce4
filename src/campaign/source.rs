//! Where recipients, and those who are left out, come from.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::RecipientID;

/// The most sources of an audience, and as many of its exclusions.
pub const MOST_SOURCES: usize = 16;

/// One source of recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    IDs(Vec<RecipientID>),
    File(ListFile),
    /// The members of a group of the provider.
    MembersOf(RecipientID),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::IDs(ids) => write!(formatter, "ids ({})", ids.len()),
            Source::File(list) => formatter.write_str(&list.path),
            Source::MembersOf(group) => write!(formatter, "membersOf {group}"),
        }
    }
}

/// A list of recipients in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// As written: relative to the campaign file, inside the campaigns folder.
    pub path: String,
    pub format: ListFormat,
    pub encoding: Encoding,
    pub on_bad_line: OnBadLine,
}

/// How a list file is read; its name's ending says which. Each may be compressed (`.gz` behind it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFormat {
    /// `.txt`: one id a line, empty lines skipped.
    Lines,
    /// `.csv` with a header: the ids stand in this column.
    CSV { column: String },
    /// `.ndjson`: an object a line with the id under this key, or without a key just an id.
    NDJSON { column: Option<String> },
}

/// Why a list's name does not tell how to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadListName {
    #[error(
        "its ending does not tell how to read it: use a .csv, .txt or .ndjson file, each may end in .gz besides"
    )]
    Ending,
    #[error("a .csv file needs `column`: the header of the column that holds the ids")]
    NoColumn,
    #[error("a .txt file has one id a line and no columns")]
    NoColumns,
}

/// How a list's text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    UTF8,
    /// What spreadsheets in China write; GBK and GB 2312 are parts of it.
    GB18030,
}

impl Encoding {
    /// Its name in a campaign file.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::UTF8 => "utf-8",
            Encoding::GB18030 => "gb18030",
        }
    }
}

/// What a line that cannot be used does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadLine {
    /// No run starts.
    #[default]
    Problem,
    /// It is left out, counted and listed.
    Skip,
}

impl ListFormat {
    /// How to read a list of this name, whose ids stand in this column.
    pub fn of(name: &str, column: Option<&str>) -> Result<ListFormat, BadListName> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
        let column = column.map(str::to_owned);
        if plain.ends_with(".csv") {
            Ok(ListFormat::CSV { column: column.ok_or(BadListName::NoColumn)? })
        } else if plain.ends_with(".ndjson") {
            Ok(ListFormat::NDJSON { column })
        } else if !plain.ends_with(".txt") {
            Err(BadListName::Ending)
        } else if column.is_some() {
            Err(BadListName::NoColumns)
        } else {
            Ok(ListFormat::Lines)
        }
    }
}

impl ListFile {
    /// A list of this name, read as people expect when they say nothing more.
    pub fn new(path: &str, column: Option<&str>) -> Result<ListFile, BadListName> {
        let (encoding, on_bad_line) = (Encoding::default(), OnBadLine::default());
        Ok(ListFile { path: path.to_owned(), format: ListFormat::of(path, column)?, encoding, on_bad_line })
    }

    /// Whether its name says that it is compressed.
    pub fn is_compressed(&self) -> bool {
        self.path.to_ascii_lowercase().ends_with(".gz")
    }

    /// The column that holds the ids, where there are columns.
    pub fn column(&self) -> Option<&str> {
        match &self.format {
            ListFormat::Lines => None,
            ListFormat::CSV { column } => Some(column),
            ListFormat::NDJSON { column } => column.as_deref(),
        }
    }
}

/// A line that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    /// For people.
    pub what: String,
}

/// What the columns of a list say about one recipient; empty cells say nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(pub BTreeMap<String, String>);
