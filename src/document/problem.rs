//! Problems: what is wrong in a file, where, and what to do about it.
//!
//! Knows: severities, stable codes, the order of a report. Must never know: how a problem is
//! found, or how it is printed.

use serde::Serialize;

use super::Span;

/// Whether a problem rejects its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is not taken.
    Error,
    /// The file is taken; `check --strict` makes it count.
    Warning,
}

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// Path of the file as the user named it, or relative to the campaigns folder.
    pub file: String,
    /// From 1; 0 when the problem belongs to the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0 when the problem belongs to the file as a whole.
    pub column: u32,
    /// Exclusive; equal to `column` when there is nothing to underline.
    #[serde(skip)]
    pub end_column: u32,
    pub code: Code,
    /// The key path inside the document, `schedules[1].cron`; empty for the document itself.
    pub path: String,
    /// What is wrong, as one sentence without a final stop.
    pub message: String,
    /// What to do, when we know.
    pub hint: Option<String>,
}

impl Problem {
    /// The place of the problem as a span.
    pub fn span(&self) -> Span {
        Span { line: self.line, column: self.column, end_column: self.end_column }
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        /// The stable code of a kind of problem; its number never changes meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`: ", $title, ".")] $name,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as people see it, `C012`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)* }
            }

            /// What the code means, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// Its page in `explanations/`, in Markdown.
            pub(super) fn page(self) -> &'static str {
                match self { $(Code::$name => include_str!(concat!("explanations/", $code, ".md")),)* }
            }
        }
    };
}

// The one table: each has its page in `explanations/`, whose form is told in `explanation.rs`.
codes! {
    Unreadable = "C001", "the file cannot be read";
    NotText = "C002", "the file is not UTF-8 text";
    TooLarge = "C003", "the file is too large";
    Syntax = "C004", "the YAML syntax is broken";
    TooDeep = "C005", "values are nested too deeply or aliases explode";
    SeveralDocuments = "C006", "more than one YAML document";
    DuplicateKey = "C007", "a key stands twice";
    Forbidden = "C008", "a YAML feature that is not allowed here (tab, tag, merge key)";
    UnknownKey = "C009", "an unknown key";
    MissingKey = "C010", "a required key is missing";
    WrongType = "C011", "a value of the wrong type";
    BadValue = "C012", "a value that is not allowed";
    QuoteIt = "C013", "an id that YAML would change";
    BadID = "C014", "an id the provider cannot have";
    NotSupported = "C015", "a key that is not supported yet";
    BadCron = "C020", "a cron expression that cannot be read";
    NeverFires = "C021", "a schedule that never fires";
    NoZone = "C022", "no time zone";
    UnknownZone = "C023", "an unknown time zone";
    SkippedTime = "C024", "a local time that a clock change skips";
    PastSchedule = "C025", "a schedule whose time has passed";
    TooLong = "C026", "an estimated duration beyond finishWithin";
    AudienceChoice = "C030", "not exactly one audience";
    ListFile = "C031", "a list file that cannot be used";
    Expectation = "C032", "an expectation that cannot be met";
    Unexcludable = "C033", "a delivery to `*` that is to leave somebody out, or to count";
    UnknownGateway = "C040", "an unknown gateway";
    Message = "C041", "a message the provider would refuse or damage";
    Content = "C042", "content that does not fit its contentType";
    SendTime = "C043", "a sendTime, which schedules nothing";
    Template = "C044", "a template that cannot be filled in";
    DuplicateID = "C050", "two files with one campaign id";
    LiteralSecret = "S001", "a secret written literally";
    Settings = "S002", "a setting that is not allowed";
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = NoSuchCode;

    /// Reads a code as people type it, in capitals or not.
    fn from_str(text: &str) -> Result<Code, NoSuchCode> {
        let code = Code::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(text));
        code.copied().ok_or(NoSuchCode)
    }
}

/// The text is the code of no problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such problem code")]
pub struct NoSuchCode;

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Puts problems in the order people read them: by file, then by place, then by code.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        (&a.file, a.line, a.column, a.code, &a.path).cmp(&(&b.file, b.line, b.column, b.code, &b.path))
    });
}

/// Whether any of these rejects its file.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
