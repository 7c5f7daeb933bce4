//! What each code of a problem means: one page for each, for people at a terminal and for
//! `docs/problems.md`.
//!
//! Knows: the form of a page in `explanations/`. Must never know: how a problem is found. The form:
//!
//! ````text
//! What it means, in one or more paragraphs.
//!
//! **Why.** Why it is a problem.
//!
//! **Wrong:**
//!
//! ```yaml
//! what has this problem
//! ```
//!
//! **Right:**
//!
//! ```yaml
//! the same without it
//! ```
//! ````
//!
//! An example is a part of a campaign file (`yaml`), a whole settings file (`yaml settings`), or commands
//! beside a folder `campaigns` with a good `hello.yaml` (`sh`). A test reads or runs each.

use super::Code;

/// What a code means, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    pub code: Code,
    pub what: &'static str,
    pub why: &'static str,
    pub wrong: Example,
    pub right: Example,
}

/// Something that has a problem, or has it no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    pub kind: ExampleKind,
    /// Whole lines.
    pub text: &'static str,
}

/// What an example is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleKind {
    /// Top-level keys of a campaign file, whose others are good.
    Campaign,
    /// A whole settings file.
    Settings,
    /// Commands of a shell.
    Commands,
}

impl Explanation {
    /// The explanation of a code. What its page does not have is empty; a test sees to it that each has
    /// all.
    pub fn of(code: Code) -> Explanation {
        let (what, rest) = split(code.page(), "**Why.**");
        let (why, rest) = split(rest, "**Wrong:**");
        let (wrong, right) = split(rest, "**Right:**");
        Explanation { code, what, why, wrong: Example::of(wrong), right: Example::of(right) }
    }

    /// As it stands in the terminal.
    pub fn for_terminal(&self) -> String {
        let example = |name: &str, example: Example| {
            let lines: String = example.text.lines().map(|line| format!("    {line}\n")).collect();
            format!("{name}{}:\n\n{lines}", example.kind.place())
        };
        format!(
            "{}: {}\n\n{}\n\nWhy: {}\n\n{}\n{}",
            self.code,
            self.code.title(),
            self.what,
            self.why,
            example("Wrong", self.wrong),
            example("Right", self.right),
        )
    }
}

impl Example {
    /// The fenced block in a part of a page.
    fn of(part: &'static str) -> Example {
        let (_, block) = split(part, "```");
        let (kind, rest) = split(block, "\n");
        let kind = match kind {
            "sh" => ExampleKind::Commands,
            "yaml settings" => ExampleKind::Settings,
            _ => ExampleKind::Campaign,
        };
        Example { kind, text: rest.trim_end_matches('`') }
    }
}

impl ExampleKind {
    /// Where it stands, where that is not a campaign file.
    fn place(self) -> &'static str {
        match self {
            ExampleKind::Campaign => "",
            ExampleKind::Settings => ", in the settings file",
            ExampleKind::Commands => ", done by commands",
        }
    }
}

/// All pages as one, `docs/problems.md`.
pub fn page() -> String {
    let mut page = "# Problems\n\nWhat `campaignd check` finds wrong in campaign files (C) and settings files (S), and \
                    what to do. `campaignd explain CODE`\nshows one of them. A code never changes its meaning. This \
                    page is made by `campaignd explain --markdown`.\n"
        .to_owned();
    for code in Code::ALL {
        page += &format!("\n## {code}: {}\n\n{}", code.title(), code.page());
    }
    page
}

/// What stands before a mark and what after it, without blank space around; all of it stands before a mark
/// that is not there.
fn split(text: &'static str, mark: &str) -> (&'static str, &'static str) {
    let (before, after) = text.split_once(mark).unwrap_or((text, ""));
    (before.trim(), after.trim())
}
