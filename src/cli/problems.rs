//! Problems for the eyes of people (with the source line and a caret), of programs (JSON), and of
//! GitHub (annotations on a pull request).
//!
//! Knows: how problems look. Must never know: how they are found. A line that may hold a secret is
//! never shown.

use std::fmt::Write;

use crate::document::{Code, Problem, Severity};

/// How problems are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Human { colours: bool },
    JSON,
    GitHub,
}

/// Writes the problems of any number of files in their order. `source_of` gives the text of a file
/// by the name in its problems, where there is one to show.
pub fn write(problems: &[Problem], format: Format, source_of: &dyn Fn(&str) -> Option<String>) -> String {
    match format {
        Format::Human { colours } => human(problems, colours, source_of),
        Format::JSON => {
            let mut text = serde_json::to_string_pretty(problems).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::GitHub => problems.iter().map(github).collect(),
    }
}

fn human(problems: &[Problem], colours: bool, source_of: &dyn Fn(&str) -> Option<String>) -> String {
    let paint = |code: &str, text: &str| {
        if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    // The source of one file is fetched once, since its problems stand together.
    let mut source: (&str, Option<String>) = ("", None);
    for problem in problems {
        if source.0 != problem.file {
            source = (&problem.file, source_of(&problem.file));
        }
        let (severity, colour) = match problem.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let place = match problem.line {
            0 => printable(&problem.file),
            line => format!("{}:{line}:{}", printable(&problem.file), problem.column),
        };
        let label = paint(colour, &format!("{severity}[{}]", problem.code));
        let path = match problem.path.as_str() {
            "" => String::new(),
            path => format!("{}: ", printable(path)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}: {label} {path}{}", paint("1", &place), printable(&problem.message));
        if let Some(text) = &source.1
            && let Some((line, caret)) = excerpt(problem, problems, text)
        {
            let number = problem.line.to_string();
            let margin = " ".repeat(number.len());
            let _ = writeln!(out, " {number} | {line}");
            if let Some(caret) = caret {
                let _ = writeln!(out, " {margin} | {}", paint(colour, &caret));
            }
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "   hint: {}", printable(hint));
        }
    }
    out
}

/// The most characters of a source line that are shown.
const WIDEST: usize = 100;

/// The source line of a problem and the caret below it, cut around the place; a line that may hold
/// a secret is replaced.
fn excerpt(problem: &Problem, all: &[Problem], text: &str) -> Option<(String, Option<String>)> {
    let index = (problem.line as usize).checked_sub(1)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split('\n').skip(index.saturating_sub(1));
    let before = if index > 0 { lines.next().unwrap_or_default() } else { "" };
    let line = lines.next()?.trim_end_matches('\r');
    let told = |other: &Problem| {
        // A key of a gateway that is not known may be one for a secret, misspelt.
        let is_key = other.code == Code::UnknownKey && other.path.starts_with("gateways.");
        let is_secret = other.code == Code::LiteralSecret || is_key;
        is_secret && other.file == problem.file && other.line == problem.line
    };
    if all.iter().any(told) || secret_goes_on(before) || names_secret(line) {
        return Some(("(not shown: a secret may stand here)".to_owned(), None));
    }
    if line.trim().is_empty() {
        return None;
    }
    let column = (problem.column as usize).max(1) - 1;
    let length = (problem.end_column.saturating_sub(problem.column) as usize).max(1);
    let first = if line.chars().count() <= WIDEST { 0 } else { column.saturating_sub(WIDEST / 2) };
    let shown: String = line.chars().skip(first).take(WIDEST).collect();
    let skipped = if first > 0 { "…" } else { "" };
    let rest = if line.chars().count() > first + WIDEST { "…" } else { "" };
    let width =
        |from: usize, count: usize| -> usize { shown.chars().skip(from).take(count).map(columns).sum() };
    let indent = skipped.len().min(1) + width(0, column - first);
    let carets = width(column - first, length).max(1);
    let shown = format!("{skipped}{}{rest}", printable(&shown.replace('\t', " ")));
    Some((shown, Some(format!("{}{}", " ".repeat(indent), "^".repeat(carets)))))
}

/// What follows the keys of a line, in lower case, under which a secret may stand.
fn after_secret_keys(lower: &str) -> impl Iterator<Item = &str> {
    let words = ["secret", "password", "token"].into_iter();
    let places = words.flat_map(|word| lower.match_indices(word).map(|(at, word)| at + word.len()));
    places.filter_map(|at| {
        let rest = lower[at..].trim_start_matches(['"', '\'']).trim_start();
        rest.strip_prefix(':').map(str::trim)
    })
}

/// Whether a line may hold a secret: it has a key for one, and not the place where one lies.
fn names_secret(line: &str) -> bool {
    // One that is not closed is not told from the text behind it.
    let place = |value: &str| {
        let starts = ["{env:", "{file:", "{credential:"].iter().any(|start| value.starts_with(start));
        starts && value.contains('}')
    };
    after_secret_keys(&line.to_ascii_lowercase()).any(|value| !place(value))
}

/// Whether a secret may go on in the line that follows.
fn secret_goes_on(line: &str) -> bool {
    after_secret_keys(&line.to_ascii_lowercase()).any(|value| !value.ends_with('}'))
}

/// How many columns of a terminal a character takes: two for the wide ones of East Asia and for
/// pictures, none for marks that stand on others.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0x20d0..=0x20ff | 0xfeff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text without characters that would steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `::error file=…,line=…::…`, escaped as GitHub wants it.
fn github(problem: &Problem) -> String {
    let message = |text: &str| printable(&text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"));
    let property = |text: &str| message(text).replace(':', "%3A").replace(',', "%2C");
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = match problem.line {
        0 => String::new(),
        line => format!(",line={line},col={}", problem.column),
    };
    let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!(
        "::{severity} file={}{place},title={}::{}\n",
        property(&problem.file),
        problem.code,
        message(&format!("{}{hint}", problem.message)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Span, fields::Report};

    const TEXT: &str = "\u{feff}a: 1\r\n名前: 多めの値\n  secret: hunter2\n";

    fn problems() -> Vec<Problem> {
        let mut report = Report::new("campaigns/a,b.yaml");
        report.error(Span::default(), Code::Syntax, "", "as a whole", None);
        let span = |line, column, end_column| Span { line, column, end_column };
        report.error(span(1, 4, 5), Code::BadValue, "a", "too\nmuch", Some("less: 100%".to_owned()));
        report.error(span(2, 5, 9), Code::BadValue, "名前", "wide", None);
        report.error(span(3, 11, 18), Code::LiteralSecret, "secret", "literal", None);
        report.into_problems()
    }

    #[test]
    fn people_see_the_line_and_a_caret() {
        let text = write(&problems(), Format::Human { colours: false }, &|_| Some(TEXT.to_owned()));
        insta::assert_snapshot!(text, @r#"
        campaigns/a,b.yaml: error[C004] as a whole
        campaigns/a,b.yaml:1:4: error[C012] a: too�much
         1 | a: 1
           |    ^
           hint: less: 100%
        campaigns/a,b.yaml:2:5: error[C012] 名前: wide
         2 | 名前: 多めの値
           |       ^^^^^^^^
        campaigns/a,b.yaml:3:11: error[S001] secret: literal
         3 | (not shown: a secret may stand here)
        "#);
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        let check = |line: &str, code: Code, path: &str, shown: bool| {
            let mut report = Report::new("campaignd.yaml");
            report.error(Span { line: 1, column: 1, end_column: 2 }, code, path, "wrong", None);
            let text =
                write(&report.into_problems(), Format::Human { colours: false }, &|_| Some(line.to_owned()));
            assert_eq!(text.contains("hunter2"), shown, "{text}");
        };
        check("x: hunter2", Code::BadValue, "x", true);
        check("x: hunter2", Code::UnknownKey, "x", true);
        check("secret: {file: hunter2}", Code::BadValue, "gateways.a.secret", true);
        check("secret: {file: hunter2} # so", Code::BadValue, "gateways.a.secret", true);
        // Misspelt; or not closed.
        check("sceret: hunter2", Code::UnknownKey, "gateways.a.sceret", false);
        check("secret: {file: \"hunter2", Code::Syntax, "", false);
        check("secret: hunter2", Code::Syntax, "", false);
        check("appSecret : 'hunter2", Code::Syntax, "", false);
    }

    #[test]
    fn colours_are_only_paint() {
        let plain = write(&problems(), Format::Human { colours: false }, &|_| Some(TEXT.to_owned()));
        let painted = write(&problems(), Format::Human { colours: true }, &|_| Some(TEXT.to_owned()));
        let mut bare = painted.replace("\x1b[0m", "");
        for code in ["1", "1;31", "1;33"] {
            bare = bare.replace(&format!("\x1b[{code}m"), "");
        }
        assert_ne!(painted, plain);
        assert_eq!(bare, plain);
    }

    #[test]
    fn github_gets_annotations() {
        let text = write(&problems()[..2], Format::GitHub, &|_| None);
        insta::assert_snapshot!(text, @r#"
        ::error file=campaigns/a%2Cb.yaml,title=C004::as a whole
        ::error file=campaigns/a%2Cb.yaml,line=1,col=4,title=C012::too%0Amuch (less: 100%25)
        "#);
    }

    #[test]
    fn programs_get_the_documented_fields() {
        let text = write(&problems()[1..2], Format::JSON, &|_| None);
        insta::assert_snapshot!(text, @r#"
        [
          {
            "severity": "error",
            "file": "campaigns/a,b.yaml",
            "line": 1,
            "column": 4,
            "code": "C012",
            "path": "a",
            "message": "too\nmuch",
            "hint": "less: 100%"
          }
        ]
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let mut report = Report::new("x");
        let span = Span { line: 1, column: 500_000, end_column: 500_001 };
        report.error(span, Code::BadValue, "", "here", None);
        let line = "x".repeat(499_999) + "Y" + &"x".repeat(499_999);
        let text = write(&report.into_problems(), Format::Human { colours: false }, &|_| Some(line.clone()));
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.len() < 500, "{}", text.len());
        let at = |line: &str, wanted: char| line.chars().position(|c| c == wanted);
        assert_eq!(at(lines[1], 'Y'), at(lines[2], '^'));
    }
}
