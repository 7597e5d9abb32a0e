//! Releases that are taken, and what makes them be refused.

use std::fs;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tempfile::TempDir;

use super::*;

const OWN: Version = Version([0, 2, 0]);

/// A release with its key.
struct Release {
    dir: TempDir,
    key: Ed25519KeyPair,
}

impl Release {
    fn new(version: &str) -> Release {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let release = Release { dir: tempfile::tempdir().unwrap(), key };
        release.write("pika-agent-x86_64-linux", b"a program");
        release.write(VERSION, format!("{version}\n").as_bytes());
        release.sign(&["pika-agent-x86_64-linux", VERSION]);
        release
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.dir.path().join(name), content).unwrap();
    }

    /// Lists these files, and one of another machine that is not here.
    fn sign(&self, names: &[&str]) {
        let mut sums = format!("{}  pika-agent-aarch64-linux\n", "0".repeat(64));
        for name in names {
            sums += &format!("{}  {name}\n", hash_of(self.dir.path(), name).unwrap());
        }
        self.sign_text(&sums);
    }

    fn sign_text(&self, sums: &str) {
        self.write(SUMS, sums.as_bytes());
        self.write(SIGNATURE, STANDARD.encode(self.key.sign(sums.as_bytes())).as_bytes());
    }

    fn public_key(&self) -> String {
        STANDARD.encode(self.key.public_key())
    }

    fn verify(&self) -> Result<Version, ReleaseError> {
        verify(self.dir.path(), Some(&self.public_key()), OWN)
    }
}

#[test]
fn a_signed_release_is_taken_unless_it_is_older() {
    for (version, expected) in [("0.2.0", [0, 2, 0]), ("0.10.1", [0, 10, 1]), ("1.0.0", [1, 0, 0])] {
        assert_eq!(Release::new(version).verify().unwrap(), Version(expected));
    }
    for version in ["0.1.9", "0.0.10"] {
        assert!(matches!(Release::new(version).verify(), Err(ReleaseError::Older { .. })), "{version}");
    }
    for version in ["", "1", "1.0", "1.0.0.0", "1.0.x", "v1.0.0"] {
        assert!(matches!(Release::new(version).verify(), Err(ReleaseError::NoVersion)), "{version}");
    }
}

#[test]
fn without_a_key_nothing_is_taken() {
    let release = Release::new("1.0.0");
    assert!(matches!(verify(release.dir.path(), None, OWN), Err(ReleaseError::NoKey)));
    assert!(matches!(verify(release.dir.path(), Some("?"), OWN), Err(ReleaseError::Key)));
    assert!(matches!(verify(release.dir.path(), Some("AAAA"), OWN), Err(ReleaseError::Signature)));
}

#[test]
fn whatever_was_not_signed_is_refused() {
    let other = Release::new("1.0.0").public_key();
    let release = Release::new("1.0.0");
    assert!(matches!(verify(release.dir.path(), Some(&other), OWN), Err(ReleaseError::Signature)));

    release.write("pika-agent-x86_64-linux", b"another program");
    assert!(matches!(release.verify(), Err(ReleaseError::Changed { .. })));

    let release = Release::new("1.0.0");
    release.write(VERSION, b"2.0.0");
    assert!(matches!(release.verify(), Err(ReleaseError::Changed { .. })));

    let release = Release::new("1.0.0");
    let sums = fs::read_to_string(release.dir.path().join(SUMS)).unwrap();
    release.write(SUMS, format!("{sums}{}  agent.sh\n", "1".repeat(64)).as_bytes());
    assert!(matches!(release.verify(), Err(ReleaseError::Signature)));

    let release = Release::new("1.0.0");
    fs::remove_file(release.dir.path().join(SIGNATURE)).unwrap();
    assert!(matches!(release.verify(), Err(ReleaseError::Read { .. })));

    let release = Release::new("1.0.0");
    release.sign(&["pika-agent-x86_64-linux"]);
    assert!(matches!(release.verify(), Err(ReleaseError::Unlisted { .. })));

    let release = Release::new("1.0.0");
    fs::remove_file(release.dir.path().join(VERSION)).unwrap();
    assert!(matches!(release.verify(), Err(ReleaseError::Read { .. })));
}

#[test]
fn a_list_that_leads_elsewhere_or_is_too_long_is_refused() {
    let release = Release::new("1.0.0");
    let hash = "0".repeat(64);
    for line in
        [format!("{hash}  ../x"), format!("{hash}  .."), format!("{hash}  "), hash.clone(), "x".into()]
    {
        release.sign_text(&format!("{line}\n"));
        assert!(matches!(release.verify(), Err(ReleaseError::Malformed)), "{line}");
    }
    release.sign_text(&format!("{hash}  x\n").repeat(1_000));
    assert!(matches!(release.verify(), Err(ReleaseError::TooLarge { .. })));
}
