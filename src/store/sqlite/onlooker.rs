//! Seeing from outside whether the ledger was written: a connection of its own that only reads, and asks for
//! nothing but that.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{super::Onlooker, Stored, error::opened};

struct Outsider(Connection);

/// An onlooker of the ledger at `path`.
pub fn open(path: &Path) -> Stored<Box<dyn Onlooker>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| opened(path, error))?;
    // Whoever is told that it is busy asks the writer.
    connection.busy_timeout(Duration::ZERO).map_err(|error| opened(path, error))?;
    Ok(Box::new(Outsider(connection)))
}

impl Onlooker for Outsider {
    fn mark(&mut self) -> Stored<i64> {
        let mut statement = self.0.prepare_cached("PRAGMA data_version")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}
