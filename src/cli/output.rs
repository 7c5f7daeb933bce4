//! Where commands write: data on stdout, everything else on stderr. Whoever stops reading has had
//! enough, which is no error.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Write},
};

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};

use super::{Exit, Failure};
use crate::settings::{self, Settings};

/// What a cell without a value shows.
pub const NOTHING: &str = "–";

/// Writes data. When nobody reads any more the command ends, and ends well.
pub fn write(text: &str) -> Result<(), Failure> {
    write_bytes(text.as_bytes())
}

/// Writes data that need not be text.
pub fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::new(Exit::Good, error)),
        other => other.context("the output cannot be written").map_err(Failure::from),
    }
}

/// Tells a person something besides the data.
pub fn say(text: impl Display) {
    // When even stderr is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "campaignd: {text}");
}

/// Whether what goes to stdout may have colours.
pub fn colours() -> bool {
    io::stdout().is_terminal() && !settings::no_colour()
}

/// How values look to whoever reads the table.
#[derive(Debug, Clone)]
pub struct Look {
    /// The zone in which times are shown.
    pub zone: TimeZone,
    pub colours: bool,
    /// Columns of the terminal; None: there is none, and lines are as long as they are.
    pub width: Option<u16>,
}

impl Look {
    /// The look on stdout as it is now.
    pub fn new(settings: &Settings) -> Look {
        Look {
            zone: settings.zone.clone().unwrap_or(TimeZone::UTC),
            colours: colours(),
            // The table asks the terminal, where stdout is one.
            width: comfy_table::Table::new().width(),
        }
    }

    /// A time of the ledger as people read it; other texts stay as they are.
    pub fn time(&self, text: &str) -> String {
        match text.parse::<Timestamp>() {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => text.to_owned(),
        }
    }

    /// The zone's name.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// A heading between parts.
    pub fn heading(&self, text: &str) -> String {
        if self.colours { format!("\n\x1b[1m{text}\x1b[0m\n") } else { format!("\n{text}\n") }
    }
}
