//! What SQLite's errors mean for the ledger.

use std::path::Path;

use rusqlite::ErrorCode;

use super::super::StoreError;

/// An error of the first touch, where the file itself may be the trouble.
pub fn opened(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        _ if path.is_dir() => StoreError::NotALedger { path: path.display().to_string() },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::NotALedger { path: path.display().to_string() }
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::ReadOnly(format!("{}: {error}", path.display()))
        }
        _ => error.into(),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreError::ReadOnly(error.to_string())
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Failed(format!("{error}; the system's log tells what is wrong with its disk"))
            }
            _ => StoreError::Failed(error.to_string()),
        }
    }
}
