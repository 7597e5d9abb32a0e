//! Who this agent is to its server: the id and the secret that enrollment brought, kept in `identity.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::files;

/// Name of the file within the state directory.
const FILE_NAME: &str = "identity.json";

/// An enrolled agent.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The agent's public id.
    pub id: String,
    /// What proves that this is the agent with that id. Never logged, never part of a URL.
    pub secret: SecretString,
    /// The server at which the agent was enrolled, as the person wrote it.
    pub server: String,
}

/// `identity.json` as it lies on disk.
#[derive(Deserialize, Serialize)]
struct File {
    id: String,
    secret: String,
    server: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum IdentityError {
    #[error(
        "this machine is not enrolled: {} does not exist. Make an enrollment token in the console, then run: \
         PIKA_ENROLLMENT_TOKEN=... pika-agent enroll --server https://your-server",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("this machine is already enrolled ({} exists); --replace gives it a new identity", path.display())]
    Exists { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged; `pika-agent enroll --replace` makes a new one", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot encode the identity")]
    Encode { source: serde_json::Error },
}

impl Identity {
    /// Reads the identity that lies in `state_dir`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(state_dir: &Path) -> Result<Identity, IdentityError> {
        let path = state_dir.join(FILE_NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::Missing { path });
            }
            Err(source) => return Err(IdentityError::Read { path, source }),
        };
        match serde_json::from_str::<File>(&text) {
            Ok(File { id, secret, server }) => Ok(Identity { id, secret: secret.into(), server }),
            Err(source) => Err(IdentityError::Damaged { path, source }),
        }
    }

    /// Makes sure that an identity can be stored in `state_dir` before a token is spent on it: makes the
    /// directory, and refuses when there is an identity already and `replace` is not asked for.
    ///
    /// # Errors
    /// When there is an identity, or the directory cannot be made.
    pub fn prepare(state_dir: &Path, replace: Replace) -> Result<(), IdentityError> {
        let path = state_dir.join(FILE_NAME);
        if replace == Replace::No && path.exists() {
            return Err(IdentityError::Exists { path });
        }
        files::create_private_dir(state_dir)
            .map_err(|source| IdentityError::Write { path: state_dir.to_owned(), source })?;
        // A read-only directory must be found out now, not when the server has already used the token up.
        let probe = state_dir.join("identity.probe");
        files::write_atomically(&probe, b"")
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|source| IdentityError::Write { path, source })
    }

    /// Stores the identity in `state_dir`, atomically and with mode 0600.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let path = state_dir.join(FILE_NAME);
        let file = File {
            id: self.id.clone(),
            secret: self.secret.expose_secret().to_owned(),
            server: self.server.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|source| IdentityError::Encode { source })?;
        text.push(b'\n');
        files::write_atomically(&path, &text).map_err(|source| IdentityError::Write { path, source })
    }
}

/// Whether an existing identity may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Replace {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_comes_back_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        assert!(matches!(Identity::load(&state_dir), Err(IdentityError::Missing { .. })));
        Identity::prepare(&state_dir, Replace::No).unwrap();

        let identity = Identity {
            id: "a".to_owned(),
            secret: "s3cret".to_owned().into(),
            server: "http://x".to_owned(),
        };
        identity.store(&state_dir).unwrap();
        let loaded = Identity::load(&state_dir).unwrap();
        assert_eq!((loaded.id.as_str(), loaded.server.as_str()), ("a", "http://x"));
        assert_eq!(loaded.secret.expose_secret(), "s3cret");
        assert!(!format!("{loaded:?}").contains("s3cret"));

        assert!(matches!(Identity::prepare(&state_dir, Replace::No), Err(IdentityError::Exists { .. })));
        Identity::prepare(&state_dir, Replace::Yes).unwrap();
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "the probe is gone");
    }

    #[test]
    fn a_damaged_identity_is_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(IdentityError::Damaged { .. })));
    }
}
