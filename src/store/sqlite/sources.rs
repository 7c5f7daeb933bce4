//! What the audiences of runs came from.

use rusqlite::{Connection, params};

use super::{super::Stored, json, runs};
use crate::run::{RunID, source::SourceRecord};

pub fn write(connection: &Connection, run: &RunID, sources: &[SourceRecord]) -> Stored<()> {
    let (id, ..) = runs::standing(connection, run.as_str())?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO run_source (run, number, side, name, sha256, ids, bad_lines, first_bad_lines)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (number, source) in sources.iter().enumerate() {
        insert.execute(params![
            id,
            number as i64,
            source.side.as_str(),
            source.name,
            source.sha256,
            source.ids,
            source.bad_lines,
            json(&source.first_bad_lines)?,
        ])?;
    }
    Ok(())
}
