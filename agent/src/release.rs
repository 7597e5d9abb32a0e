//! Judging a release that somebody has downloaded, before it replaces this program: signed with the release key, whole,
//! and not older. Nothing is downloaded or replaced here.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// The public key of releases that was given when this program was built: 32 bytes in base64.
pub const RELEASE_KEY: Option<&str> = option_env!("PIKA_RELEASE_PUBLIC_KEY");

/// The file with the checksums, one line `HASH  NAME` per file.
const SUMS: &str = "SHA256SUMS";
/// The file with the ed25519 signature of [`SUMS`], in base64.
const SIGNATURE: &str = "SHA256SUMS.sig";
/// The file with the release's version.
const VERSION: &str = "VERSION";

/// Maximum size of the files that are read as a whole, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Maximum size of all files together, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a release is refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ReleaseError {
    #[error("this pika-agent was built without a release key, so it cannot tell who made the files")]
    NoKey,
    #[error("the release key of this pika-agent is not a key")]
    Key,
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{name} is larger than {bytes_max} bytes")]
    TooLarge { name: String, bytes_max: u64 },
    #[error("the signature of {SUMS} is not that of the release key")]
    Signature,
    #[error("{SUMS} is not a list of checksums")]
    Malformed,
    #[error("{name} is not listed in {SUMS}")]
    Unlisted { name: &'static str },
    #[error("{name} is not the file that was signed")]
    Changed { name: String },
    #[error("{VERSION} does not hold a version")]
    NoVersion,
    #[error("version {found} is older than this one, {own}")]
    Older { found: Version, own: Version },
}

/// The version of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// Parses three numbers with dots between them.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(Version(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Checks the files of a release in `dir`: the signature of the checksums by `key`, the checksum of every listed file that
/// is there, and that the release is not older than `own`. Returns its version.
///
/// # Errors
/// If there is no key, or the release is refused.
pub fn verify(dir: &Path, key: Option<&str>, own: Version) -> Result<Version, ReleaseError> {
    let key = STANDARD.decode(key.ok_or(ReleaseError::NoKey)?.trim()).map_err(|_| ReleaseError::Key)?;
    let sums = read(dir, SUMS)?;
    let signature = STANDARD.decode(read(dir, SIGNATURE)?.trim()).map_err(|_| ReleaseError::Signature)?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(sums.as_bytes(), &signature)
        .map_err(|_| ReleaseError::Signature)?;
    let listed = parse(&sums)?;
    if !listed.iter().any(|(_, name)| *name == VERSION) {
        return Err(ReleaseError::Unlisted { name: VERSION });
    }
    for (hash, name) in listed {
        match hash_of(dir, name) {
            Ok(found) if found == hash.to_ascii_lowercase() => {}
            Ok(_) => return Err(ReleaseError::Changed { name: name.to_owned() }),
            // Programs of other machines are not needed.
            Err(ReleaseError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && name != VERSION => {}
            Err(error) => return Err(error),
        }
    }
    let found = Version::parse(read(dir, VERSION)?.trim()).ok_or(ReleaseError::NoVersion)?;
    if found < own {
        return Err(ReleaseError::Older { found, own });
    }
    Ok(found)
}

/// Returns hash and name of every line. Names are of files in the same directory.
fn parse(sums: &str) -> Result<Vec<(&str, &str)>, ReleaseError> {
    let line = |line| {
        let (hash, name) = str::split_once(line, "  ").or_else(|| str::split_once(line, " *"))?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_name = !name.is_empty() && !name.contains('/') && name != "..";
        (is_hash && is_name).then_some((hash, name))
    };
    sums.lines().map(|text| line(text).ok_or(ReleaseError::Malformed)).collect()
}

fn open(dir: &Path, name: &str, bytes_max: u64) -> Result<io::Take<File>, ReleaseError> {
    let path = dir.join(name);
    let file = File::open(&path).map_err(|source| ReleaseError::Read { path, source })?;
    Ok(file.take(bytes_max + 1))
}

fn read(dir: &Path, name: &str) -> Result<String, ReleaseError> {
    let mut text = String::new();
    let n_bytes = open(dir, name, TEXT_BYTES_MAX)?
        .read_to_string(&mut text)
        .map_err(|source| ReleaseError::Read { path: dir.join(name), source })?;
    if usize::try_from(TEXT_BYTES_MAX).is_ok_and(|max| max < n_bytes) {
        return Err(ReleaseError::TooLarge { name: name.to_owned(), bytes_max: TEXT_BYTES_MAX });
    }
    Ok(text)
}

fn hash_of(dir: &Path, name: &str) -> Result<String, ReleaseError> {
    let mut file = open(dir, name, FILE_BYTES_MAX)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n_bytes =
            file.read(&mut buffer).map_err(|source| ReleaseError::Read { path: dir.join(name), source })?;
        if n_bytes == 0 {
            break;
        }
        hash.update(&buffer[..n_bytes]);
    }
    if file.limit() == 0 {
        return Err(ReleaseError::TooLarge { name: name.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
