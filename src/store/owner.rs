//! Who works on a ledger: one daemon at a time, told by a lock on a file beside it. The system lets
//! go of the lock when its process ends, however it ends, so there is no stale one, and the file that a
//! power loss leaves behind locks nobody out. Where the lock does not hold, because somebody removed the
//! file, or on a file system without locks, the ledger's generation stops the first of two daemons
//! ([`super::generation`]).

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
        let mut file = match File::open(lock_path(database)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            // Whoever may not look must not take it that there is none.
            Err(error) => return Some(format!("unknown, for its lock cannot be looked at: {error}")),
        };
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

    #[test]
    fn a_lock_left_behind_by_a_power_loss_locks_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("campaignd.db");
        // Longer than the next owner's name, of a process whose number another one has by now.
        std::fs::write(lock_path(&database), "process 1 on elsewhere since 2026-11-11 01:00:00 UTC").unwrap();
        assert_eq!(Owner::of(&database), None);
        let _owner = Owner::take(&database, "process 2").unwrap();
        assert_eq!(Owner::of(&database).as_deref(), Some("process 2"));
    }

    #[test]
    fn a_lock_that_cannot_be_looked_at_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("campaignd.db");
        std::os::unix::fs::symlink(lock_path(&database), lock_path(&database)).unwrap();
        assert!(Owner::of(&database).unwrap().starts_with("unknown, for its lock cannot be looked at"));
        let refused = Owner::take(&database, "process 1").unwrap_err().to_string();
        assert!(refused.starts_with("cannot lock the ledger by "), "{refused}");
    }

    #[test]
    fn an_owner_without_a_legible_name_owns_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("campaignd.db");
        let _owner = Owner::take(&database, "process 1").unwrap();
        for name in [&b""[..], b"\xff\xfe"] {
            std::fs::write(lock_path(&database), name).unwrap();
            let second = Owner::take(&database, "process 2").unwrap_err().to_string();
            assert_eq!(second, "another daemon works on this ledger: it has not said its name yet");
        }
    }
}
