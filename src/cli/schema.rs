//! `campaignd schema`: the JSON Schemas of the two kinds of files.

use clap::ValueEnum;

use super::{Ended, Exit, output};
use crate::{campaign, settings};

/// Print the JSON Schema (draft 2020-12) of campaign or settings files, for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "An editor finds it by a comment at the top of a campaign file:\n  \
    # yaml-language-server: $schema=campaign.schema.json\n\n\
    Examples:\n  campaignd schema campaign > campaign.schema.json\n  campaignd schema settings")]
pub struct SchemaArgs {
    /// Of which kind of file
    #[arg(value_enum)]
    of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemaOf {
    /// Files of the campaigns folder
    Campaign,
    /// campaignd.yaml
    Settings,
}

pub fn run(args: &SchemaArgs) -> Ended {
    let schema = match args.of {
        SchemaOf::Campaign => campaign::schema::schema(),
        SchemaOf::Settings => settings::schema(),
    };
    output::write(&(serde_json::to_string_pretty(&schema)? + "\n"))?;
    Ok(Exit::Good)
}
