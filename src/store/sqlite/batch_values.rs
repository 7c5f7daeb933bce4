//! What fills in the message of a batch: the values of the columns of one of its recipients, by which the
//! message of each comes out the same. They stay when the batch is gone, so that whoever is asked again
//! gets what was promised.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{StoreError, Stored},
    json,
};
use crate::campaign::source::Values;

pub fn write(connection: &Connection, run: i64, batch: u64, values: &Values) -> Stored<()> {
    connection
        .prepare_cached("INSERT INTO batch_values (run, batch, column_values) VALUES (?1, ?2, ?3)")?
        .execute(params![run, batch, json(values)?])?;
    Ok(())
}

pub fn of(connection: &Connection, run: i64, batch: u64) -> Stored<Option<Values>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT column_values FROM batch_values WHERE run = ?1 AND batch = ?2")?
        .query_row(params![run, batch], |row| row.get(0))
        .optional()?;
    let read = |text: String| {
        serde_json::from_str(&text)
            .map_err(|error| StoreError::Corrupt(format!("values of columns: {error}")))
    };
    text.map(read).transpose()
}

/// Gives a batch that was split off the values of the one it came from.
pub fn copy(connection: &Connection, run: i64, from: u64, to: u64) -> Stored<()> {
    connection
        .prepare_cached(
            "INSERT INTO batch_values (run, batch, column_values)
             SELECT run, ?3, column_values FROM batch_values WHERE run = ?1 AND batch = ?2",
        )?
        .execute(params![run, from, to])?;
    Ok(())
}

pub fn remove_all(connection: &Connection, run: i64) -> Stored<()> {
    connection.execute("DELETE FROM batch_values WHERE run = ?1", [run])?;
    Ok(())
}

/// Removes at most so many of a run. Gives how many.
pub fn remove_some(connection: &Connection, run: i64, most: u32) -> Stored<usize> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM batch_values WHERE run = ?1
                AND batch IN (SELECT batch FROM batch_values WHERE run = ?1 LIMIT ?2)",
        )?
        .execute(params![run, most])?)
}
