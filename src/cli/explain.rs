//! `campaignd explain`: what a problem code means, why, and what to do.

use anyhow::anyhow;

use super::{Ended, Exit, Failure, output};
use crate::document::{
    Code,
    explanation::{self, Explanation},
};

/// Tell what a problem code means, why it is a problem, with a wrong and a right example.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without a CODE every code is listed.\n\nExamples:\n  campaignd explain C012\n  \
    campaignd explain\n  campaignd explain --markdown > docs/problems.md")]
pub struct ExplainArgs {
    /// The code, as `check` shows it
    code: Option<String>,
    /// Print the explanations of all codes as one page of Markdown
    #[arg(long, conflicts_with = "code")]
    markdown: bool,
}

pub fn run(args: &ExplainArgs) -> Ended {
    let text = match &args.code {
        _ if args.markdown => explanation::page(),
        Some(text) => {
            let code: Code = text.parse().map_err(|error| {
                Failure::new(Exit::NotFound, anyhow!("{text}: {error}; `campaignd explain` lists them"))
            })?;
            Explanation::of(code).for_terminal()
        }
        None => Code::ALL.iter().map(|code| format!("{code}  {}\n", code.title())).collect(),
    };
    output::write(&text)?;
    Ok(Exit::Good)
}
