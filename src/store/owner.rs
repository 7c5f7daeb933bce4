//! Who works on a ledger: one daemon at a time, told by a lock on a file beside it. The system lets
//! go of the lock when its process ends, however it ends, so there is no stale one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// The lock, held while this lives.
#[derive(Debug)]
pub struct Owner {
    _file: File,
}

/// Why a ledger cannot be owned.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error("another daemon works on this ledger: {owner}")]
    Taken { owner: String },
    #[error("cannot lock the ledger by {path}: {error}")]
    Failed { path: String, error: io::Error },
}

/// The lock's file: the ledger's name and `.owner`.
fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".owner");
    name.into()
}

impl Owner {
    /// Takes the ledger at `database` for a daemon that describes itself as `who`.
    pub fn take(database: &Path, who: &str) -> Result<Owner, OwnError> {
        let path = lock_path(database);
        let failed = |error| OwnError::Failed { path: path.display().to_string(), error };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OwnError::Taken { owner: read_owner(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        file.write_all(who.as_bytes()).map_err(failed)?;
        Ok(Owner { _file: file })
    }

    /// Which daemon works on the ledger now, if one does.
    pub fn of(database: &Path) -> Option<String> {
        let mut file = File::open(lock_path(database)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_owner(&mut file)),
            _ => None,
        }
    }
}

fn read_owner(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(500).read_to_string(&mut text) {
        Ok(length) if length > 0 => text.trim().to_owned(),
        _ => "it has not said its name yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_owns_a_ledger_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("campaignd.db");
        assert_eq!(Owner::of(&database), None);
        let first = Owner::take(&database, "process 1").unwrap();
        let second = Owner::take(&database, "process 2").unwrap_err();
        assert_eq!(second.to_string(), "another daemon works on this ledger: process 1");
        assert_eq!(Owner::of(&database).as_deref(), Some("process 1"));
        drop(first);
        assert_eq!(Owner::of(&database), None);
        Owner::take(&database, "process 2").unwrap();
    }
}
