//! Where secrets lie. To fetch them is the settings' business.

use std::{fmt, path::PathBuf};

/// Where a secret lies. To print it is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// The first line of a file; relative to the working directory or absolute.
    File(PathBuf),
    /// A credential that the service manager hands over (`LoadCredential=`).
    Credential(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env(name) => write!(formatter, "environment variable {name}"),
            SecretSource::File(path) => write!(formatter, "file {}", path.display()),
            SecretSource::Credential(name) => write!(formatter, "credential {name}"),
        }
    }
}
