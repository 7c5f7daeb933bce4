//! `campaignd db verify`: whether the ledger's rows say what its counters say.

use crate::{
    cli::{
        Ended, Exit,
        output::{self, Look},
        table::{Column, Format, FormatArgs, Kind, write},
    },
    settings::Settings,
    store::sqlite::review::{Cell, Review, Rows},
};

/// Count every row again and compare it with the counters. Exit code 1: they disagree.
#[derive(Debug, clap::Args)]
#[command(after_help = "The daemon may go on meanwhile.\n\n\
    Examples:\n  campaignd db verify\n  campaignd db verify --format json")]
pub struct VerifyArgs {
    #[command(flatten)]
    format: FormatArgs,
}

const LAYOUT: &[Column] = &[
    Column::new("RUN", Kind::Name, |row, _| row.text("run")),
    Column::new("WHAT", Kind::Text, |row, _| row.text("what")),
    Column::new("COUNTED", Kind::Number, |row, _| row.text("counted")),
    Column::new("RECORDED", Kind::Number, |row, _| row.text("recorded")),
];

pub fn run(args: &VerifyArgs, settings: &Settings) -> Ended {
    let review = Review::open(&settings.database)?;
    let found = review.verify()?;
    let result = Rows {
        columns: ["run", "what", "counted", "recorded"].map(str::to_owned).to_vec(),
        rows: found
            .iter()
            .map(|one| {
                let (counted, recorded) = (Cell::Integer(one.counted), Cell::Integer(one.recorded));
                vec![Cell::Text(one.run.clone()), Cell::Text(one.what.clone()), counted, recorded]
            })
            .collect(),
    };
    let runs = review.run_count()?;
    let summary = format!("runs counted again: {runs}, discrepancies: {}", found.len());
    match args.format.format {
        Format::Table if found.is_empty() => output::write(&format!("{summary}\n"))?,
        format => {
            write(format, LAYOUT, &Look::new(settings), &result, "")?;
            output::say(summary);
        }
    }
    Ok(if found.is_empty() { Exit::Good } else { Exit::Failed })
}
