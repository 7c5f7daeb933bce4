//! Names that people type: what they mean, and what was meant when there is no such thing.

use std::path::Path;

use anyhow::anyhow;

use super::{Exit, Failure};
use crate::{
    campaign::{RecipientID, audience::BadRecipientID},
    document::nearest::did_you_mean,
    store::sqlite::review::Review,
};

/// How many of the newest runs are offered when a name is misspelt.
const NEWEST_RUNS: u32 = 200;

/// Takes a recipient of the command line.
pub fn recipient(text: &str) -> Result<RecipientID, BadRecipientID> {
    RecipientID::new(text)
}

/// There is no such thing; one with a near name is offered.
pub fn not_found<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Failure {
    let hint = did_you_mean(name, known).map(|hint| format!("; {hint}")).unwrap_or_default();
    Failure::new(Exit::NotFound, anyhow!("there is no {what} {name:?}{hint}"))
}

fn campaigns(review: &Review) -> Result<Vec<String>, Failure> {
    let rows = review.campaigns()?;
    Ok((0..rows.rows.len()).map(|row| rows.cell(row, "campaign").text()).collect())
}

/// The row of `campaign_status` is there; otherwise the failure says which name was meant.
pub fn known_campaign(review: &Review, name: &str) -> Result<(), Failure> {
    let known = campaigns(review)?;
    if known.iter().any(|campaign| campaign == name) {
        return Ok(());
    }
    let problems = review.problems()?;
    let is_its_file = |row: usize| {
        let path = problems.cell(row, "path").text();
        Path::new(&path).file_stem().is_some_and(|stem| stem == name)
    };
    if (0..problems.rows.len()).any(is_its_file) {
        let message =
            format!("the campaign {name} is not in force: its file has problems (`campaignd check`)");
        return Err(Failure::new(Exit::NotFound, anyhow!(message)));
    }
    Err(not_found("campaign", name, known.iter().map(String::as_str)))
}

/// The run is there; otherwise the failure says which name was meant.
pub fn known_run(review: &Review, name: &str) -> Result<(), Failure> {
    if !review.run(name)?.rows.is_empty() {
        return Ok(());
    }
    let rows = review.newest_runs(NEWEST_RUNS)?;
    Err(not_found("run", name, rows.iter().map(String::as_str)))
}

/// The run of this name, or the newest one of the campaign of this name.
pub fn run_or_newest(review: &Review, name: &str) -> Result<String, Failure> {
    if name.contains('@') {
        return known_run(review, name).map(|()| name.to_owned());
    }
    known_campaign(review, name)?;
    let newest = review.newest_run(name)?;
    newest.ok_or_else(|| Failure::new(Exit::NotFound, anyhow!("the campaign {name} has not run yet")))
}
