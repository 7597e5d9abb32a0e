//! The agent's id and secret, obtained by enrollment and kept in `identity.json`.

use std::io;
use std::path::{Path, PathBuf};

use pika_shared::KeyPin;
use pika_shared::token::{self, TokenKind};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::files::Dir;

/// Name of the file within the state directory.
const FILE_NAME: &str = "identity.json";

/// Name of the file with the secret of an enrollment that has not succeeded yet.
const PENDING_FILE_NAME: &str = "enrollment.json";

/// An enrolled agent.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The agent's public id.
    pub id: String,
    /// The agent's secret. Never logged, never part of a URL.
    pub secret: SecretString,
    /// The secret that replaces `secret` once the server has confirmed it. The server may have replaced it already.
    pub next_secret: Option<SecretString>,
    /// The server at which the agent was enrolled, as given by the user.
    pub server: String,
    /// The server's key if the enrollment token contained it; it is trusted instead of the authorities.
    pub key_pin: Option<KeyPin>,
}

/// `identity.json` as stored on disk.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    id: String,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_secret: Option<String>,
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_pin: Option<String>,
}

/// `enrollment.json` as stored on disk.
#[derive(Deserialize, Serialize)]
struct Pending {
    secret: String,
    /// A secret is for one server only.
    server: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum IdentityError {
    #[error(
        "this machine is not enrolled: {} does not exist. Create an enrollment token (pika-server enrollment create, or POST /api/enrollments), then run: \
         PIKA_ENROLLMENT_TOKEN=... pika-agent enroll --server https://your-server",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("this machine is already enrolled ({} exists); --replace gives it a new identity", path.display())]
    Exists { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged; `pika-agent enroll --replace` creates a new one", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("the key's pin in {} is damaged; `pika-agent enroll --replace` creates a new one", path.display())]
    DamagedPin { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the operating system provides no random numbers")]
    Random { source: getrandom::Error },
    #[error("cannot encode the identity")]
    Encode { source: serde_json::Error },
}

impl Identity {
    /// Reads the identity from `state_dir`.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn load(state_dir: &Path) -> Result<Identity, IdentityError> {
        let path = state_dir.join(FILE_NAME);
        let text = match Dir::open(state_dir).and_then(|dir| dir.read(FILE_NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IdentityError::Missing { path });
            }
            Err(source) => return Err(IdentityError::Read { path, source }),
        };
        match serde_json::from_slice::<File>(&text) {
            Ok(File { id, secret, next_secret, server, key_pin }) => Ok(Identity {
                id,
                secret: secret.into(),
                next_secret: next_secret.map(SecretString::from),
                server,
                // An unreadable pin must not be ignored, or any authority would be trusted.
                key_pin: match key_pin.map(|pin| KeyPin::parse(&pin)).transpose() {
                    Ok(key_pin) => key_pin,
                    Err(_) => return Err(IdentityError::DamagedPin { path }),
                },
            }),
            Err(source) => Err(IdentityError::Damaged { path, source }),
        }
    }

    /// Generates the secret for an enrollment at `server` and stores it before the token is used, so that an attempt
    /// whose response is lost can be repeated: returns the same secret until [`store`](Identity::store) is called.
    ///
    /// # Errors
    /// If there is an identity that may not be replaced, or `state_dir` cannot be written to.
    pub fn prepare(state_dir: &Path, server: &str, replace: Replace) -> Result<SecretString, IdentityError> {
        let unusable = |source| IdentityError::Write { path: state_dir.to_owned(), source };
        let dir = Dir::create(state_dir).map_err(unusable)?;
        if replace == Replace::No && dir.has(FILE_NAME).map_err(unusable)? {
            return Err(IdentityError::Exists { path: state_dir.join(FILE_NAME) });
        }
        let path = state_dir.join(PENDING_FILE_NAME);
        let pending = dir.read(PENDING_FILE_NAME).ok();
        let pending = pending.and_then(|text| serde_json::from_slice::<Pending>(&text).ok());
        if let Some(pending) = pending.filter(|pending| pending.server == server) {
            return Ok(pending.secret.into());
        }
        let pending = Pending { secret: new_secret()?.expose_secret().to_owned(), server: server.to_owned() };
        let text = serde_json::to_vec(&pending).map_err(|source| IdentityError::Encode { source })?;
        dir.replace(PENDING_FILE_NAME, &text).map_err(|source| IdentityError::Write { path, source })?;
        Ok(pending.secret.into())
    }

    /// Generates the next secret, unless a rotation is pending, and stores it before the server learns it, so that
    /// whichever secret the server knows is stored here.
    ///
    /// # Errors
    /// If `state_dir` cannot be written to.
    pub fn prepare_rotation(&mut self, state_dir: &Path) -> Result<(), IdentityError> {
        if self.next_secret.is_none() {
            self.next_secret = Some(new_secret()?);
            self.store(state_dir)?;
        }
        Ok(())
    }

    /// Makes the next secret the only one if the server has confirmed it, and returns whether it has.
    pub fn confirm(&mut self, secret: Option<&str>) -> bool {
        let next = self.next_secret.as_ref().map(|secret| secret.expose_secret());
        let is_confirmed = next.is_some() && next == secret;
        if is_confirmed && let Some(next) = self.next_secret.take() {
            self.secret = next;
        }
        is_confirmed
    }

    /// Returns whether both are the same agent with the same secrets.
    pub fn is_same(&self, other: &Identity) -> bool {
        let next = |identity: &Identity| identity.next_secret.as_ref().map(|s| s.expose_secret().to_owned());
        self.id == other.id
            && self.secret.expose_secret() == other.secret.expose_secret()
            && next(self) == next(other)
    }

    /// Stores the identity in `state_dir`, atomically and with mode 0600.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn store(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let path = state_dir.join(FILE_NAME);
        let file = File {
            id: self.id.clone(),
            secret: self.secret.expose_secret().to_owned(),
            next_secret: self.next_secret.as_ref().map(|secret| secret.expose_secret().to_owned()),
            server: self.server.clone(),
            key_pin: self.key_pin.map(|pin| pin.to_string()),
        };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|source| IdentityError::Encode { source })?;
        text.push(b'\n');
        let write = || {
            let dir = Dir::open(state_dir)?;
            dir.replace(FILE_NAME, &text)?;
            // If it remains, the next enrollment asks for this same agent, which is harmless.
            drop(dir.remove(PENDING_FILE_NAME));
            Ok(())
        };
        write().map_err(|source| IdentityError::Write { path, source })
    }
}

/// Generates a secret.
fn new_secret() -> Result<SecretString, IdentityError> {
    token::generate(TokenKind::AgentSecret).map_err(|source| IdentityError::Random { source })
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
    use std::fs;

    use super::*;

    #[test]
    fn an_identity_comes_back_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        assert!(matches!(Identity::load(&state_dir), Err(IdentityError::Missing { .. })));
        let secret = Identity::prepare(&state_dir, "http://x", Replace::No).unwrap();
        let again = Identity::prepare(&state_dir, "http://x", Replace::No).unwrap();
        assert_eq!(secret.expose_secret(), again.expose_secret(), "another try is the same agent");
        assert_eq!(secret.expose_secret().len(), "pika_agent_".len() + 43);
        let other = Identity::prepare(&state_dir, "http://y", Replace::No).unwrap();
        assert_ne!(
            secret.expose_secret(),
            other.expose_secret(),
            "one server's secret is not shown to another"
        );

        let identity = Identity {
            id: "a".to_owned(),
            secret: "s3cret".to_owned().into(),
            next_secret: None,
            server: "http://x".to_owned(),
            key_pin: None,
        };
        identity.store(&state_dir).unwrap();
        let loaded = Identity::load(&state_dir).unwrap();
        assert_eq!((loaded.id.as_str(), loaded.server.as_str()), ("a", "http://x"));
        assert_eq!(loaded.secret.expose_secret(), "s3cret");
        assert!(!format!("{loaded:?}").contains("s3cret"));

        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "the enrollment is over");
        let refused = Identity::prepare(&state_dir, "http://x", Replace::No);
        assert!(matches!(refused, Err(IdentityError::Exists { .. })));
        let replaced = Identity::prepare(&state_dir, "http://x", Replace::Yes).unwrap();
        assert_ne!(replaced.expose_secret(), secret.expose_secret(), "a new identity");
    }

    #[test]
    fn a_secret_is_replaced_when_the_server_has_confirmed_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = Identity {
            id: "a".to_owned(),
            secret: "old".to_owned().into(),
            next_secret: None,
            server: "http://x".to_owned(),
            key_pin: None,
        };
        assert!(!identity.confirm(None), "nothing is to be replaced");
        identity.prepare_rotation(dir.path()).unwrap();
        let mut loaded = Identity::load(dir.path()).unwrap();
        assert!(
            loaded.is_same(&identity),
            "both secrets are on the disk before the server hears of the new one"
        );
        loaded.prepare_rotation(dir.path()).unwrap();
        assert!(loaded.is_same(&identity), "another try has the same secret");
        assert!(!loaded.confirm(None) && !loaded.confirm(Some("something else")));
        assert_eq!(loaded.secret.expose_secret(), "old");
        let next = loaded.next_secret.clone().unwrap();
        assert!(loaded.confirm(Some(next.expose_secret())));
        assert_eq!(
            (loaded.secret.expose_secret(), loaded.next_secret.is_none()),
            (next.expose_secret(), true)
        );
    }

    #[test]
    fn a_damaged_identity_is_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(matches!(Identity::load(dir.path()), Err(IdentityError::Damaged { .. })));
    }
}
