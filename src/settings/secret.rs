//! How secrets are fetched: the environment, a file, a credential of systemd.

use std::{
    io::{self, Read},
    path::Path,
};

use secrecy::SecretString;

use crate::gateway::secret::SecretSource;

/// The longest secret read from a file.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a secret could not be fetched. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable {0}, which holds a secret, is not set or is no text")]
    NotSet(String),
    #[error("the {0}, which holds a secret, cannot be read: {1}")]
    Unreadable(SecretSource, io::Error),
    #[error(
        "the credential {0} cannot be had: only a service manager hands out credentials (LoadCredential=)"
    )]
    NoCredentials(String),
    #[error("the {0} holds an empty secret")]
    Empty(SecretSource),
}

/// Fetches the secret. Line breaks at its end are no part of it.
#[expect(clippy::disallowed_methods, reason = "the settings read the environment")]
pub fn fetch(source: &SecretSource) -> Result<SecretString, SecretError> {
    let text = match source {
        SecretSource::Env(name) => std::env::var(name).map_err(|_| SecretError::NotSet(name.clone()))?,
        SecretSource::File(path) => read(source, path)?,
        SecretSource::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
            read(source, &Path::new(&folder).join(name))?
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(SecretError::Empty(source.clone()));
    }
    Ok(SecretString::from(text))
}

fn read(source: &SecretSource, path: &Path) -> Result<String, SecretError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|error| SecretError::Unreadable(source.clone(), error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_holds_a_secret_without_its_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let source = SecretSource::File(folder.path().join("secret"));
        assert!(matches!(fetch(&source), Err(SecretError::Unreadable(..))));
        std::fs::write(folder.path().join("secret"), "openIM123 \r\n").unwrap();
        let secret = fetch(&source).unwrap();
        assert_eq!(secret.expose_secret(), "openIM123 ");
        assert!(!format!("{secret:?}").contains("openIM123"));
        std::fs::write(folder.path().join("secret"), "\n").unwrap();
        assert!(matches!(fetch(&source), Err(SecretError::Empty(_))));
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = fetch(&SecretSource::Env("CAMPAIGND_NEVER_SET".to_owned())).unwrap_err();
        assert!(error.to_string().contains("CAMPAIGND_NEVER_SET"));
    }
}
