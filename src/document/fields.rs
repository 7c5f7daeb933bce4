//! Typed looks at a document's tree that collect problems instead of stopping at the first: an
//! accessor that fails reports why, with the place and the path, and gives None.

use std::{fmt::Display, ops::RangeInclusive};

use serde_json::{Map, Number};

use super::{
    Code, Entry, Node, Problem, Severity, Span, Value,
    nearest::did_you_mean,
    plain::{Plain, canonical},
    problem,
};

/// The most problems that are told of one file.
const MAX_PROBLEMS: usize = 1_000;

/// The problems of one file, as they are found.
#[derive(Debug)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
    has_error: bool,
    untold: usize,
}

impl Report {
    pub fn new(file: impl Into<String>) -> Report {
        Report { file: file.into(), problems: Vec::new(), has_error: false, untold: 0 }
    }

    /// Adds an error.
    pub fn error(
        &mut self,
        span: Span,
        code: Code,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(Severity::Error, span, code, path, message.into(), hint);
    }

    /// Adds a problem of either severity.
    pub fn add(
        &mut self,
        severity: Severity,
        span: Span,
        code: Code,
        path: &str,
        message: String,
        hint: Option<String>,
    ) {
        self.has_error |= severity == Severity::Error;
        if self.problems.len() >= MAX_PROBLEMS {
            self.untold += 1;
            return;
        }
        self.problems.push(Problem {
            severity,
            file: self.file.clone(),
            line: span.line,
            column: span.column,
            end_column: span.end_column,
            code,
            path: path.to_owned(),
            message,
            hint,
        });
    }

    /// Whether anything so far rejects the file.
    pub fn has_error(&self) -> bool {
        self.has_error
    }

    /// All problems in the order people read them.
    pub fn into_problems(mut self) -> Vec<Problem> {
        problem::sort(&mut self.problems);
        if let (Some(last), 1..) = (self.problems.last(), self.untold) {
            let severity = if self.has_error { Severity::Error } else { Severity::Warning };
            let message = format!("{} more problems are not listed", self.untold);
            let (span, code) = (last.span(), last.code);
            self.problems.push(Problem {
                severity,
                file: self.file,
                line: span.line,
                column: span.column,
                end_column: span.end_column,
                code,
                path: String::new(),
                message,
                hint: None,
            });
        }
        self.problems
    }
}

/// One value, with the path that leads to it.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    pub node: &'a Node,
    /// `schedules[1].cron`; empty for the document itself.
    pub path: String,
    /// Where its key stands, if it has one.
    pub key_span: Option<Span>,
}

impl<'a> Cursor<'a> {
    /// At the document itself.
    pub fn root(node: &'a Node) -> Cursor<'a> {
        Cursor { node, path: String::new(), key_span: None }
    }

    /// Where a problem with this value is shown: a scalar itself, else the key that leads there.
    pub fn place(&self) -> Span {
        match (&self.node.value, self.key_span) {
            (Value::Scalar { text, plain }, Some(key)) if *plain && text.is_empty() => key,
            (Value::Scalar { .. }, _) | (_, None) => self.node.span,
            (_, Some(key)) => key,
        }
    }

    /// Reports an error about this value.
    pub fn error(&self, report: &mut Report, code: Code, message: impl Into<String>, hint: Option<&str>) {
        report.error(self.place(), code, &self.path, message, hint.map(str::to_owned));
    }

    /// Reports a warning about this value.
    pub fn warning(&self, report: &mut Report, code: Code, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        report.add(Severity::Warning, self.place(), code, &self.path, message.into(), hint);
    }

    /// Reports that this is not what is wanted here.
    fn wrong_type(&self, report: &mut Report, wanted: &str) {
        let message = format!("{} is wanted here, this is {}", wanted, kind_of(self.node));
        self.error(report, Code::WrongType, message, None);
    }

    /// The value under a key of a mapping, if there is one.
    pub fn entry(&self, entry: &'a Entry) -> Cursor<'a> {
        Cursor { node: &entry.value, path: join(&self.path, &entry.key), key_span: Some(entry.key_span) }
    }

    /// The mapping here, whose keys must be among `known`; those that are not are reported.
    pub fn fields(&self, report: &mut Report, known: &'static [&'static str]) -> Option<Fields<'a>> {
        let entries = self.mapping(report)?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if report.problems.len() >= MAX_PROBLEMS {
                report.untold += 1;
                report.has_error = true;
                continue;
            }
            let hint = did_you_mean(&entry.key, known.iter().copied())
                .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
            let message = format!("`{}` is not a known key", entry.key);
            report.error(entry.key_span, Code::UnknownKey, &self.entry(entry).path, message, Some(hint));
        }
        Some(Fields { cursor: self.clone(), entries, known })
    }

    /// The entries of the mapping here, whatever their keys.
    pub fn mapping(&self, report: &mut Report) -> Option<&'a [Entry]> {
        match &self.node.value {
            Value::Mapping(entries) => Some(entries),
            _ => {
                self.wrong_type(report, "a mapping (`key: value`)");
                None
            }
        }
    }

    /// The items of the list here.
    pub fn items(&self, report: &mut Report) -> Option<Vec<Cursor<'a>>> {
        match &self.node.value {
            Value::Sequence(items) => Some(self.children(items)),
            _ => {
                self.wrong_type(report, "a list");
                None
            }
        }
    }

    /// The items of the list here, or the one value that stands instead of a list.
    pub fn one_or_more(&self) -> Vec<Cursor<'a>> {
        match &self.node.value {
            Value::Sequence(items) => self.children(items),
            _ => vec![self.clone()],
        }
    }

    fn children(&self, items: &'a [Node]) -> Vec<Cursor<'a>> {
        let child = |(index, node)| Cursor { node, path: format!("{}[{index}]", self.path), key_span: None };
        items.iter().enumerate().map(child).collect()
    }

    /// The text here, as it was written; not null.
    pub fn text(&self, report: &mut Report) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain } if !(*plain && Plain::of(text) == Plain::Null) => Some(text),
            _ => {
                self.wrong_type(report, "a text");
                None
            }
        }
    }

    /// The id here: quoted, or so that YAML leaves it alone. All digits is taken digit for digit.
    pub fn id(&self, report: &mut Report) -> Option<&'a str> {
        let Value::Scalar { text, plain } = &self.node.value else {
            self.wrong_type(report, "an id");
            return None;
        };
        let changed_to = match Plain::of(text) {
            _ if !plain => return Some(text),
            Plain::Text if text.contains(|c| matches!(c, '\u{ff10}'..='\u{ff19}')) => {
                let message = format!("`{}` has full-width digits", shorten(text));
                let hint = format!("write {}, or quote it when it is meant", halved(text));
                self.error(report, Code::QuoteIt, message, Some(&hint));
                return None;
            }
            Plain::Text => return Some(text),
            Plain::Null => "null, which is no id",
            Plain::Boolean(_) => "a boolean",
            Plain::Integer if !text.starts_with('-') => return Some(text),
            Plain::Integer | Plain::Float | Plain::OddNumber => "a number, not an id",
        };
        let (message, hint) = if text.is_empty() {
            ("an id is missing here".to_owned(), "write the id".to_owned())
        } else {
            (format!("YAML reads `{text}` as {changed_to}"), format!("quote it: \"{text}\""))
        };
        self.error(report, Code::QuoteIt, message, Some(&hint));
        None
    }

    /// The boolean here, `true` or `false`.
    pub fn boolean(&self, report: &mut Report) -> Option<bool> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(true),
            Value::Scalar { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.wrong_type(report, "true or false");
                None
            }
        }
    }

    /// The whole number here, within a range.
    pub fn whole(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        let Value::Scalar { text, plain: true } = &self.node.value else {
            self.wrong_type(report, "a whole number");
            return None;
        };
        if Plain::of(text) != Plain::Integer {
            self.wrong_type(report, "a whole number");
            return None;
        }
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("{text} is not between {} and {}", range.start(), range.end());
            self.error(report, Code::BadValue, message, None);
        }
        number
    }

    /// One of a few words.
    pub fn word(&self, report: &mut Report, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(report)?;
        let word = words.iter().copied().find(|word| *word == text);
        if word.is_none() {
            let hint = did_you_mean(text, words.iter().copied());
            let message = format!("`{}` is not one of: {}", shorten(text), words.join(", "));
            self.error(report, Code::BadValue, message, hint.as_deref());
        }
        word
    }

    /// The text here, read by `parse`; its error becomes the problem.
    pub fn parsed<T, E: Display>(
        &self,
        report: &mut Report,
        code: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(report)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(report, code, format!("`{}`: {error}", shorten(text)), None);
                None
            }
        }
    }

    /// The value here as JSON by the YAML 1.2 core schema. A plain number that would not come out
    /// as it was written is a problem.
    pub fn json(&self, report: &mut Report) -> Option<serde_json::Value> {
        match &self.node.value {
            Value::Sequence(items) => {
                let values: Vec<_> = self.children(items).iter().map(|item| item.json(report)).collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(serde_json::Value::Array)
            }
            Value::Mapping(entries) => self.json_object(report, entries).map(serde_json::Value::Object),
            Value::Scalar { text, plain: false } => Some(serde_json::Value::String(text.clone())),
            Value::Scalar { text, plain: true } => match Plain::of(text) {
                Plain::Null => Some(serde_json::Value::Null),
                Plain::Boolean(value) => Some(serde_json::Value::Bool(value)),
                Plain::Text => Some(serde_json::Value::String(text.clone())),
                Plain::Integer => self.json_integer(report, text),
                Plain::Float => self.json_float(report, text),
                Plain::OddNumber => {
                    self.odd_number(report, text);
                    None
                }
            },
        }
    }

    /// The entries of a mapping as a JSON object.
    pub fn json_object(
        &self,
        report: &mut Report,
        entries: &'a [Entry],
    ) -> Option<Map<String, serde_json::Value>> {
        let fields: Vec<_> =
            entries.iter().map(|entry| Some((entry.key.clone(), self.entry(entry).json(report)?))).collect();
        fields.into_iter().collect()
    }

    fn json_integer(&self, report: &mut Report, text: &str) -> Option<serde_json::Value> {
        let number = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
        if number.is_err() {
            let hint = format!("quote it: \"{text}\"");
            let message = format!("the number {} is too large to be kept exactly", shorten(text));
            self.error(report, Code::BadValue, message, Some(&hint));
        }
        number.ok().map(serde_json::Value::Number)
    }

    fn json_float(&self, report: &mut Report, text: &str) -> Option<serde_json::Value> {
        let number = text.parse::<f64>().ok().filter(|number| number.to_string() == text);
        let number = number.and_then(Number::from_f64);
        if number.is_none() {
            self.odd_number(report, text);
        }
        number.map(serde_json::Value::Number)
    }

    fn odd_number(&self, report: &mut Report, text: &str) {
        let text = shorten(text);
        let meant = canonical(&text).map_or(String::new(), |number| format!(", or write it as {number}"));
        let message = format!("`{text}` is a number to some readers of YAML and a text to others");
        self.error(report, Code::QuoteIt, message, Some(&format!("quote it: \"{text}\"{meant}")));
    }
}

/// A mapping whose keys have been compared with the known ones.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    pub cursor: Cursor<'a>,
    entries: &'a [Entry],
    known: &'static [&'static str],
}

impl<'a> Fields<'a> {
    /// The value under a known key, if it stands there.
    pub fn get(&self, key: &str) -> Option<Cursor<'a>> {
        debug_assert!(self.known.contains(&key), "{key} is asked for and not among the known keys");
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.cursor.entry(entry))
    }

    /// The value under a known key; its absence is a problem.
    pub fn require(&self, report: &mut Report, key: &str, hint: &str) -> Option<Cursor<'a>> {
        let found = self.get(key);
        if found.is_none() {
            let message = format!("`{key}` is missing");
            let path = join(&self.cursor.path, key);
            report.error(self.cursor.place(), Code::MissingKey, &path, message, Some(hint.to_owned()));
        }
        found
    }

    /// The known keys that stand here among those asked for.
    pub fn present(&self, keys: &[&'static str]) -> Vec<(&'static str, Cursor<'a>)> {
        keys.iter().filter_map(|key| Some((*key, self.get(key)?))).collect()
    }

    /// Reports the keys of `keys` that stand here with anything but the value that is their default.
    pub fn not_supported(&self, report: &mut Report, keys: &[(&str, Option<&str>)]) {
        for (key, default) in keys {
            let Some(cursor) = self.get(key) else { continue };
            let is_default = match &cursor.node.value {
                Value::Scalar { text, .. } => default.is_some_and(|default| default == text),
                _ => false,
            };
            if !is_default {
                not_supported(report, &cursor, key, *default);
            }
        }
    }
}

/// Reports that what a key asks for is not built yet.
pub fn not_supported(report: &mut Report, cursor: &Cursor<'_>, what: &str, default: Option<&str>) {
    let hint = match default {
        Some(default) => format!("leave it out, or write its default: {default}"),
        None => "leave it out".to_owned(),
    };
    let span = cursor.key_span.unwrap_or(cursor.node.span);
    let message = format!("`{what}` is not supported yet");
    report.error(span, Code::NotSupported, &cursor.path, message, Some(hint));
}

/// The text with plain digits for full-width ones, cut so that a hint stays readable.
fn halved(text: &str) -> String {
    let digit = |c: char| match c {
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10).unwrap_or(c),
        other => other,
    };
    shorten(&text.chars().map(digit).collect::<String>())
}

/// The path of a key inside of the mapping at `path`.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a node is, in words.
fn kind_of(node: &Node) -> String {
    match &node.value {
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Scalar { text, plain: false } => format!("the text \"{}\"", shorten(text)),
        Value::Scalar { text, .. } if text.is_empty() => "nothing".to_owned(),
        Value::Scalar { text, .. } => format!("`{}`", shorten(text)),
    }
}

/// A text cut so that a message stays readable, on one line.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    if line.chars().count() <= LONGEST && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::yaml;

    /// What an accessor makes of one value, or the code and hint of its problem.
    #[track_caller]
    fn check<T: std::fmt::Debug>(
        yaml: &str,
        read: impl Fn(&Cursor<'_>, &mut Report) -> Option<T>,
        expected: Result<&str, (Code, Option<&str>)>,
    ) {
        let node = yaml::parse("x", format!("a: {yaml}\n").as_bytes()).unwrap();
        let mut report = Report::new("x");
        let cursor = Cursor::root(&node).fields(&mut report, &["a"]).unwrap().get("a").unwrap();
        let value = read(&cursor, &mut report).map(|value| format!("{value:?}"));
        let problems = report.into_problems();
        let problem = problems.first().map(|problem| (problem.code, problem.hint.as_deref()));
        let found = value.as_deref().ok_or_else(|| problem.expect("nothing read, and no problem"));
        assert_eq!(found, expected, "{yaml}");
    }

    #[test]
    fn ids_are_taken_from_the_source_or_not_at_all() {
        let id = |cursor: &Cursor<'_>, report: &mut Report| cursor.id(report).map(str::to_owned);
        for good in [
            "9948077346",
            "0",
            "u001",
            "yucx_test_10400",
            "531c506e48a340e5bff7eb72c6504250",
            "no",
            "1.2.3.4",
            "123456789012345678901234567890",
            "e5",
            "x1f",
        ] {
            check(good, id, Ok(&format!("{good:?}")));
        }
        for odd in [
            "012", "00", "1e5", "12E4", "0x1f", "0o17", "0b1", "12_000", "+5", "-5", "1.0", "1.5", ".5",
            "5.", "~", "null", "true", "False", ".inf", ".nan",
        ] {
            check(odd, id, Err((Code::QuoteIt, Some(&format!("quote it: \"{odd}\"")))));
            check(&format!("'{odd}'"), id, Ok(&format!("{odd:?}")));
        }
        check("", id, Err((Code::QuoteIt, Some("write the id"))));
        check("[a]", id, Err((Code::WrongType, None)));
    }

    #[test]
    fn json_holds_what_was_written() {
        let json =
            |cursor: &Cursor<'_>, report: &mut Report| cursor.json(report).map(|json| json.to_string());
        let good = |yaml: &str, expected: &str| check(yaml, json, Ok(&format!("{expected:?}")));
        good(
            "{a: [1, -2, 1.5, true, null, ~, text, 12:30, '012', 2026-01-01]}",
            r#"{"a":[1,-2,1.5,true,null,null,"text","12:30","012","2026-01-01"]}"#,
        );
        good("18446744073709551615", "18446744073709551615");
        let odd = |yaml: &str, hint: &str| check(yaml, json, Err((Code::QuoteIt, Some(hint))));
        odd("012", "quote it: \"012\", or write it as 12");
        odd("1e5", "quote it: \"1e5\", or write it as 100000");
        odd("0x1f", "quote it: \"0x1f\", or write it as 31");
        odd("1.0", "quote it: \"1.0\", or write it as 1");
        odd("-12_000", "quote it: \"-12_000\", or write it as -12000");
        odd(".inf", "quote it: \".inf\"");
        check(
            "18446744073709551616",
            json,
            Err((Code::BadValue, Some("quote it: \"18446744073709551616\""))),
        );
    }

    #[test]
    fn scalars_are_what_they_look_like() {
        let whole = |cursor: &Cursor<'_>, report: &mut Report| cursor.whole(report, 1..=10);
        check("10", whole, Ok("10"));
        check("11", whole, Err((Code::BadValue, None)));
        check("'10'", whole, Err((Code::WrongType, None)));
        check("1e1", whole, Err((Code::WrongType, None)));
        let boolean = |cursor: &Cursor<'_>, report: &mut Report| cursor.boolean(report);
        check("true", boolean, Ok("true"));
        check("yes", boolean, Err((Code::WrongType, None)));
        check("'true'", boolean, Err((Code::WrongType, None)));
        let word = |cursor: &Cursor<'_>, report: &mut Report| cursor.word(report, &["hold", "resend"]);
        check("hold", word, Ok("\"hold\""));
        check("hodl", word, Err((Code::BadValue, Some("did you mean `hold`?"))));
    }

    #[test]
    fn more_problems_than_anyone_reads_are_counted() {
        let text: String = (0..1_200).map(|number| format!("key{number}: 1\n")).collect();
        let node = yaml::parse("x", text.as_bytes()).unwrap();
        let mut report = Report::new("x");
        let _ = Cursor::root(&node).fields(&mut report, &["a"]);
        let problems = report.into_problems();
        assert_eq!(problems.len(), 1_001);
        assert_eq!(problems[1_000].message, "200 more problems are not listed");
    }
}
