//! YAML text to a spanned tree. The only file that knows YAML's syntax.
//!
//! Everything that YAML can do to surprise a person is a problem here rather than a surprise later:
//! a second document, tags, merge keys, tabs, keys that stand twice, aliases that explode. Any input
//! of up to [`MAX_BYTES`] is read or refused in bounded time and memory.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Code, Entry, Node, Problem, Span, Value, fields::Report};

/// The largest file read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting read.
pub const MAX_DEPTH: usize = 64;
/// How many values anchors and aliases may copy, all together.
pub const MAX_COPIED_NODES: usize = 10_000;
/// How many bytes of text anchors and aliases may copy, all together.
const MAX_COPIED_BYTES: usize = MAX_BYTES;

/// Reads one document, or tells everything that keeps it from being read.
pub fn parse(file_name: &str, bytes: &[u8]) -> Result<Node, Vec<Problem>> {
    let mut report = Report::new(file_name);
    let node = text_of(bytes, &mut report).and_then(|text| Builder::new(text, &mut report).document());
    match node {
        Some(node) if !report.has_error() => Ok(node),
        _ => Err(report.into_problems()),
    }
}

/// The text in the bytes, when a person can have written it.
fn text_of<'a>(bytes: &'a [u8], report: &mut Report) -> Option<&'a str> {
    if bytes.len() > MAX_BYTES {
        let hint = "put long lists of recipients into a file of their own (recipients: [{file: …}])";
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", bytes.len());
        report.error(Span::default(), Code::TooLarge, "", message, Some(hint.to_owned()));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            // What stands before the fault is good text, so its lines can be counted.
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let span = place_after(before.trim_start_matches('\u{feff}'));
            let hint = "save the file as UTF-8".to_owned();
            report.error(span, Code::NotText, "", "the file is not UTF-8 text", Some(hint));
            return None;
        }
    };
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if let Some(at) = text.find(control) {
        let code = text[at..].chars().next().map_or(0, u32::from);
        let message = format!("the text has a control character (U+{code:04X}) here");
        report.error(place_after(&text[..at]), Code::NotText, "", message, None);
        return None;
    }
    Some(text)
}

/// The place of the character that follows `before`.
fn place_after(before: &str) -> Span {
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = count(before.bytes().filter(|byte| *byte == b'\n').count()) + 1;
    let column = count(before[line_start..].chars().count()) + 1;
    Span { line, column, end_column: column + 1 }
}

/// A count that fits since no file is longer than [`MAX_BYTES`].
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Builds the tree from the parser's events. A broken place is reported and replaced by something
/// harmless, so that the rest is looked at too.
struct Builder<'a, 'r> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    report: &'r mut Report,
    /// The length of each line in characters.
    line_lengths: Vec<u32>,
    /// Tabs among the leading white space of a line, the first of each.
    tabs: Vec<Span>,
    /// First and last lines of scalars that go on over several; a tab inside of them is text.
    long_scalars: Vec<(u32, u32)>,
    anchors: HashMap<usize, Anchored>,
    copied_nodes: usize,
    copied_bytes: usize,
}

/// A value that aliases may repeat.
struct Anchored {
    node: Node,
    weight: Weight,
}

/// What copying a value costs.
#[derive(Clone, Copy)]
struct Weight {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A collection whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    Sequence(Vec<Node>),
    /// The entries so far, their keys, and the key that waits for its value (with whether the
    /// entry is kept).
    Mapping {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        waiting: Option<Key>,
    },
}

struct Key {
    text: String,
    span: Span,
    kept: bool,
}

impl<'a, 'r> Builder<'a, 'r> {
    fn new(text: &'a str, report: &'r mut Report) -> Builder<'a, 'r> {
        let mut line_lengths = Vec::new();
        let mut tabs = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            line_lengths.push(count(line.trim_end_matches('\r').chars().count()));
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            if let Some(tab) = line[..indent].find('\t').filter(|_| !line.trim().is_empty()) {
                let column = count(tab) + 1;
                tabs.push(Span { line: count(index) + 1, column, end_column: column + 1 });
            }
        }
        Builder {
            parser: Parser::new_from_str(text),
            report,
            line_lengths,
            tabs,
            long_scalars: Vec::new(),
            anchors: HashMap::new(),
            copied_nodes: 0,
            copied_bytes: 0,
        }
    }

    fn document(mut self) -> Option<Node> {
        let mut stack: Vec<Open> = Vec::new();
        let mut root = None;
        let mut documents = 0;
        loop {
            let (event, span) = match self.parser.next_event() {
                Some(Ok((event, span))) => (event, self.span(span)),
                Some(Err(error)) => {
                    self.syntax(&error);
                    return None;
                }
                None => break,
            };
            let done = match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => continue,
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let hint = "one file holds one document: move what follows `---` into its own file";
                        let message = "a second YAML document begins here";
                        self.error(span, Code::SeveralDocuments, message, hint);
                        return None;
                    }
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span);
                    let plain = style == ScalarStyle::Plain;
                    let node = Node { span, value: Value::Scalar { text: text.into_owned(), plain } };
                    (node, anchor)
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span);
                    stack.push(Open { span, anchor, inside: Inside::Sequence(Vec::new()) });
                    if !self.deep_enough(stack.len(), span) {
                        return None;
                    }
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), span);
                    let inside = Inside::Mapping { entries: Vec::new(), keys: HashSet::new(), waiting: None };
                    stack.push(Open { span, anchor, inside });
                    if !self.deep_enough(stack.len(), span) {
                        return None;
                    }
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Open { span, anchor, inside } = stack.pop()?;
                    let value = match inside {
                        Inside::Sequence(items) => Value::Sequence(items),
                        Inside::Mapping { entries, .. } => Value::Mapping(entries),
                    };
                    (Node { span, value }, anchor)
                }
                Event::Alias(anchor) => (self.alias(anchor, span, stack.len())?, 0),
            };
            let (node, anchor) = done;
            if anchor > 0 && !self.keep_anchored(anchor, &node) {
                return None;
            }
            match stack.last_mut() {
                None => root = Some(node),
                Some(open) => self.put(open, node),
            }
        }
        self.refuse_tabs(u32::MAX);
        let empty =
            |node: &Node| matches!(&node.value, Value::Scalar { text, plain: true } if text.is_empty());
        if root.as_ref().is_none_or(empty) && !self.report.has_error() {
            let message = "the document is empty";
            self.report.error(Span::default(), Code::Syntax, "", message, None);
            return None;
        }
        root
    }

    /// Puts a finished value into the collection around it.
    fn put(&mut self, open: &mut Open, node: Node) {
        match &mut open.inside {
            Inside::Sequence(items) => items.push(node),
            Inside::Mapping { entries, keys, waiting } => match waiting.take() {
                Some(Key { text, span, kept }) => {
                    if kept {
                        entries.push(Entry { key: text, key_span: span, value: node });
                    }
                }
                None => *waiting = Some(self.key(node, keys)),
            },
        }
    }

    /// Takes a value as the key of an entry.
    fn key(&mut self, node: Node, keys: &mut HashSet<String>) -> Key {
        let Node { span, value } = node;
        let Value::Scalar { text, plain } = value else {
            self.error(span, Code::Syntax, "a list or mapping cannot be a key", "write the key as one word");
            return Key { text: String::new(), span, kept: false };
        };
        if text == "<<" && plain {
            let hint = "write out what it should merge, or use an alias (`*name`) for a whole value";
            self.error(span, Code::Forbidden, "merge keys (`<<`) are not read", hint);
            return Key { text, span, kept: false };
        }
        if !keys.insert(text.clone()) {
            let message = format!("the key `{text}` stands twice");
            self.error(span, Code::DuplicateKey, message, "keep one of them");
            return Key { text, span, kept: false };
        }
        Key { text, span, kept: true }
    }

    /// The value that an alias repeats, at the alias's place.
    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Option<Node> {
        let Some(Anchored { node, weight }) = self.anchors.get(&anchor) else {
            self.error(span, Code::Syntax, "the alias repeats a value that it is part of", "write it out");
            return None;
        };
        let (mut node, weight) = (node.clone(), *weight);
        node.span = span;
        (self.deep_enough(depth + weight.depth, span) && self.spend(weight, span)).then_some(node)
    }

    /// Keeps a value for later aliases.
    fn keep_anchored(&mut self, anchor: usize, node: &Node) -> bool {
        let weight = weigh(node);
        let affordable = self.spend(weight, node.span);
        if affordable {
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight });
        }
        affordable
    }

    fn spend(&mut self, weight: Weight, span: Span) -> bool {
        self.copied_nodes += weight.nodes;
        self.copied_bytes += weight.bytes;
        let affordable = self.copied_nodes <= MAX_COPIED_NODES && self.copied_bytes <= MAX_COPIED_BYTES;
        if !affordable {
            let message = format!("anchors and aliases copy more than {MAX_COPIED_NODES} values");
            let hint = "write the values out, or put long lists into a file of their own";
            self.error(span, Code::TooDeep, message, hint);
        }
        affordable
    }

    fn deep_enough(&mut self, depth: usize, span: Span) -> bool {
        if depth > MAX_DEPTH {
            let message = format!("values are nested more than {MAX_DEPTH} deep");
            self.error(span, Code::TooDeep, message, "a bracket may be missing further up");
        }
        depth <= MAX_DEPTH
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.error(span, Code::Forbidden, "tags (`!…`) are not read", "quote text, leave the tag out");
        }
    }

    /// Reports tabs that indent, up to a line.
    fn refuse_tabs(&mut self, last_line: u32) -> bool {
        let mut scalars = self.long_scalars.iter().peekable();
        let mut found = false;
        for tab in std::mem::take(&mut self.tabs).into_iter().filter(|tab| tab.line <= last_line) {
            while scalars.next_if(|(_, last)| *last < tab.line).is_some() {}
            if scalars.peek().is_none_or(|(first, _)| tab.line <= *first) {
                let hint = Some("indent with spaces".to_owned());
                self.report.error(tab, Code::Forbidden, "", "a tab indents this line", hint);
                found = true;
            }
        }
        found
    }

    /// Reports what the parser could not read, unless a tab explains it better.
    fn syntax(&mut self, error: &saphyr_parser::ScanError) {
        let line = count(error.marker().line());
        if self.refuse_tabs(line) {
            return;
        }
        let (mut line, mut column) = self.place(error.marker());
        let mut hint = None;
        // What the parser misses below the last text is missing right behind it.
        let last = self.line_lengths.iter().rposition(|length| *length > 0);
        if let Some(last) = last.filter(|last| line > count(*last) + 1) {
            (line, column) = (count(last) + 1, self.line_lengths[last] + 1);
            hint = Some("a bracket, a brace or a quote may not be closed".to_owned());
        }
        let span = Span { line, column, end_column: column };
        let message = format!("this cannot be read as YAML: {}", error.info());
        self.report.error(span, Code::Syntax, "", message, hint);
    }

    fn error(&mut self, span: Span, code: Code, message: impl Into<String>, hint: &str) {
        self.report.error(span, code, "", message, Some(hint.to_owned()));
    }

    /// The parser counts lines from 1 and columns from 0, in characters. What is missing at the end of a file
    /// stands behind its last character.
    fn place(&self, marker: &saphyr_parser::Marker) -> (u32, u32) {
        let (line, last) = (count(marker.line()), count(self.line_lengths.len()));
        if line > last {
            (last, self.line_lengths.last().copied().unwrap_or(0) + 1)
        } else {
            (line, count(marker.col()) + 1)
        }
    }

    fn span(&mut self, span: saphyr_parser::Span) -> Span {
        let (line, column) = self.place(&span.start);
        let last_line = count(span.end.line());
        let end_column = if last_line > line {
            // The end of something that starts a line below its last one is of that line's start.
            if span.start.index() < span.end.index() {
                self.long_scalars.push((line, last_line));
            }
            self.line_lengths.get(line as usize - 1).copied().unwrap_or(0) + 1
        } else {
            count(span.end.col()) + 1
        };
        Span { line, column, end_column: end_column.max(column) }
    }
}

/// Counts a value and everything inside.
fn weigh(node: &Node) -> Weight {
    let inside = |children: &mut dyn Iterator<Item = Weight>, bytes: usize| {
        children.fold(Weight { nodes: 1, bytes, depth: 1 }, |sum, child| Weight {
            nodes: sum.nodes + child.nodes,
            bytes: sum.bytes + child.bytes,
            depth: sum.depth.max(child.depth + 1),
        })
    };
    match &node.value {
        Value::Scalar { text, .. } => Weight { nodes: 1, bytes: text.len(), depth: 0 },
        Value::Sequence(items) => inside(&mut items.iter().map(weigh), 0),
        Value::Mapping(entries) => {
            let key_bytes = entries.iter().map(|entry| entry.key.len()).sum();
            inside(&mut entries.iter().map(|entry| weigh(&entry.value)), key_bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// The codes and places of the problems of a text.
    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: &[(Code, u32, u32)]) {
        let problems = parse("x.yaml", text.as_ref()).map_or_else(|problems| problems, |_| Vec::new());
        let found: Vec<_> = problems.iter().map(|p| (p.code, p.line, p.column)).collect();
        assert_eq!(found, expected, "{problems:#?}");
    }

    fn scalar(node: &Node) -> (&str, bool) {
        match &node.value {
            Value::Scalar { text, plain } => (text, *plain),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_that_is_missing_at_the_end_stands_behind_the_last_character() {
        let node = parse("x", b"? \n#  a comment").unwrap();
        let Value::Mapping(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!(entries[0].key_span, Span { line: 2, column: 13, end_column: 13 });
    }

    #[test]
    fn what_is_not_closed_is_missing_behind_the_last_text() {
        check("a: [1\n\n\n", &[(Code::Syntax, 1, 6)]);
        // An open quote is told where it opens.
        check("a: 1\nb: \"x\n", &[(Code::Syntax, 2, 4)]);
    }

    #[test]
    fn values_keep_their_text_and_place() {
        let node = parse("x", "\u{feff}a: 012\r\nb:\r\n  - \"多 \\n x\"\r\n  - 你: {y: 0x1f}\r\n".as_bytes())
            .unwrap();
        let Value::Mapping(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!(scalar(&entries[0].value), ("012", true));
        assert_eq!(entries[0].value.span, Span { line: 1, column: 4, end_column: 7 });
        assert_eq!(entries[1].key_span, Span { line: 2, column: 1, end_column: 2 });
        let Value::Sequence(items) = &entries[1].value.value else { panic!("{node:?}") };
        assert_eq!(scalar(&items[0]), ("多 \n x", false));
        assert_eq!(items[0].span, Span { line: 3, column: 5, end_column: 13 });
        let Value::Mapping(inner) = &items[1].value else { panic!("{node:?}") };
        assert_eq!((inner[0].key.as_str(), inner[0].key_span.column), ("你", 5));
        let Value::Mapping(flow) = &inner[0].value.value else { panic!("{node:?}") };
        assert_eq!(flow[0].value.span, Span { line: 4, column: 12, end_column: 16 });
    }

    #[test]
    fn a_value_of_several_lines_ends_with_its_first() {
        let node = parse("x", b"a: |\n  one\n  two\nb: \"one\n  two\"\n").unwrap();
        let Value::Mapping(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!(scalar(&entries[0].value), ("one\ntwo\n", false));
        assert_eq!(entries[1].value.span, Span { line: 4, column: 4, end_column: 8 });
    }

    #[test]
    fn aliases_repeat_values_at_their_own_place() {
        let node = parse("x", b"a: &x [1, 2]\nb: *x\n").unwrap();
        let Value::Mapping(entries) = &node.value else { panic!("{node:?}") };
        assert!(matches!(&entries[1].value.value, Value::Sequence(items) if items.len() == 2));
        assert_eq!(entries[1].value.span.line, 2);
    }

    #[test]
    fn surprises_are_problems() {
        check("a: 1\n---\nb: 2\n", &[(Code::SeveralDocuments, 2, 1)]);
        check("a: 1\n...\nb: 2\n", &[(Code::SeveralDocuments, 3, 1)]);
        check("a: 1\na: 2\nb: {c: 1, c: 2}\n", &[(Code::DuplicateKey, 2, 1), (Code::DuplicateKey, 3, 11)]);
        check("a: &x {b: 1}\nc:\n  <<: *x\n", &[(Code::Forbidden, 3, 3)]);
        check("a: !!str 1\nb: !secret x\n", &[(Code::Forbidden, 1, 4), (Code::Forbidden, 2, 4)]);
        check("a:\n\tb: 1\n", &[(Code::Forbidden, 2, 1)]);
        check("a: [\n\t1]\n", &[(Code::Forbidden, 2, 1)]);
        check("a: |\n  code:\n  \tindented\n", &[]);
        check("? [a]\n: 1\n", &[(Code::Syntax, 1, 3)]);
        check("a: [1\n", &[(Code::Syntax, 1, 6)]);
        check("a: 1\n20%", &[(Code::Syntax, 2, 4)]);
        check("a: *x\n", &[(Code::Syntax, 1, 4)]);
        check("a: &x [*x]\n", &[(Code::Syntax, 1, 8)]);
        check("", &[(Code::Syntax, 0, 0)]);
        check("# nothing\n", &[(Code::Syntax, 0, 0)]);
        check("---\n", &[(Code::Syntax, 0, 0)]);
        check("a: \0\n", &[(Code::NotText, 1, 4)]);
        check(b"ab: 1\nc: \xff\n", &[(Code::NotText, 2, 4)]);
        check("a: ".to_owned() + &"x".repeat(MAX_BYTES), &[(Code::TooLarge, 0, 0)]);
    }

    #[test]
    fn what_explodes_is_refused() {
        check("[".repeat(65) + &"]".repeat(65), &[(Code::TooDeep, 1, 65)]);
        check("[".repeat(64) + &"]".repeat(64), &[]);
        let bomb = (1..20).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
            let repeated = vec![format!("*a{}", level - 1); 10].join(", ");
            text + &format!("a{level}: &a{level} [{repeated}]\n")
        });
        let problems = parse("x", bomb.as_bytes()).unwrap_err();
        assert_eq!(problems[0].code, Code::TooDeep, "{problems:?}");
        let deep = "a: &a ".to_owned() + &"[".repeat(40) + &"]".repeat(40) + "\nb: " + &"[".repeat(40) + "*a";
        assert_eq!(parse("x", deep.as_bytes()).unwrap_err()[0].code, Code::TooDeep);
        let long = format!("a: &a \"{}\"\nb: [*a, *a, *a]\n", "x".repeat(400_000));
        assert_eq!(parse("x", long.as_bytes()).unwrap_err()[0].code, Code::TooDeep);
    }

    #[tokio::test]
    async fn hostile_files_take_no_longer_than_honest_ones() {
        let clock = SystemClock::new();
        let took = |text: String| {
            let start = clock.steady();
            let _ = parse("x", text.as_bytes());
            clock.steady().duration_since(start).as_secs_f64()
        };
        let honest = took("- a: b\n".repeat(MAX_BYTES / 7));
        for pattern in ["[", "{", "? ", "[a, ", "a: ", "&a ", "\"", "a\n", ": ", "a:\n ", "|\n", "x "] {
            let hostile = took(pattern.repeat(MAX_BYTES / pattern.len()));
            assert!(hostile < 10.0 * honest + 1.0, "{pattern:?}: {hostile} s, an honest file {honest} s");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-\\[\\]{}:,?&*!|>'\"%@#<a0. \\n\\t\r]{0,60}") {
            if let Err(problems) = parse("x", text.as_bytes()) {
                prop_assert!(!problems.is_empty());
            }
        }
    }
}
