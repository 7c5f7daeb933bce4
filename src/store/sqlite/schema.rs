//! The ledger's file and its schema: made, recognised, brought up to date.

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    super::{StoreError, Stored},
    error::opened,
};

/// The migrations, oldest first; never changed once released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
    include_str!("schema_13.sql"),
    include_str!("schema_14.sql"),
    include_str!("schema_15.sql"),
    include_str!("schema_16.sql"),
];

/// A group may review the ledger.
const FILE_MODE: u32 = 0o640;

/// Makes an empty file that a group may read, where there is none.
pub fn make_file(path: &Path) -> Stored<()> {
    let refused = |error: std::io::Error| StoreError::ReadOnly(format!("{}: {error}", path.display()));
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE)).map_err(refused),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

/// How many migrations the ledger at `path` has had, none when it is empty. Refuses what is not ours, and
/// what a newer campaignd has written, before anything is changed.
pub fn check_schema(connection: &Connection, path: &Path) -> Stored<usize> {
    // One statement, so that a ledger is seen before or after another process makes it.
    let (found, tables, ours): (i64, i64, bool) = connection
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), count(*),
                coalesce(max(name = 'ledger' AND type = 'table'), 0)
             FROM sqlite_schema",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(|error| opened(path, error))?;
    match usize::try_from(found) {
        Ok(0) if tables == 0 => Ok(0),
        Ok(applied @ 1..) if ours && applied <= MIGRATIONS.len() => Ok(applied),
        Ok(1..) if ours => Err(StoreError::NewerSchema { found, known: MIGRATIONS.len() as i64 }),
        _ => Err(StoreError::NotALedger { path: path.display().to_string() }),
    }
}

pub fn migrate(connection: &mut Connection, path: &Path, now: Timestamp) -> Stored<()> {
    let transaction =
        Transaction::new(connection, TransactionBehavior::Immediate).map_err(|error| opened(path, error))?;
    let found = check_schema(&transaction, path)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
    }
    transaction.execute(
        "INSERT OR IGNORE INTO ledger (one, identity, created_at) VALUES (1, lower(hex(randomblob(4))), ?1)",
        [now.as_millisecond()],
    )?;
    transaction.commit()?;
    Ok(())
}
