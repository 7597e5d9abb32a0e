//! Agents as people see them.

use pika_protocol::{Register, limits};

use super::TimestampMs;
use super::id::{AgentId, AgentKey, EnrollmentId};
use super::name::{NameError, parse_name, parse_optional, visible};
use super::refused::{Refused, check_text};

/// An agent and what is known about its machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Key within the database.
    pub key: AgentKey,
    /// Public id.
    pub id: AgentId,
    /// What people call it: an administrator's name where there is one, else the agent's own.
    pub name: String,
    /// The agent's own name.
    pub reported_name: String,
    /// An administrator's labels.
    pub tags: Vec<String>,
    /// An administrator's words.
    pub note: String,
    /// The machine's host name.
    pub hostname: String,
    /// The address that the agent reports.
    pub ip: String,
    /// The address that the server sees.
    pub remote_address: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// The agent's version.
    pub version: String,
    /// The token that it was first enrolled with; `None` where that is forgotten.
    pub enrollment_id: Option<EnrollmentId>,
    /// Whether it is connected, or was so recently that a reconnect is still awaited.
    pub online: bool,
    /// Its secret was revoked: nobody gets in as this agent until it is enrolled again.
    pub is_revoked: bool,
    /// Two machines use its identity; `None` where that has not been seen lately.
    pub identity_conflict: Option<IdentityConflict>,
    /// Server's clock minus agent's clock, in milliseconds, as last measured.
    pub clock_offset_ms: i64,
    /// When the agent was last heard.
    pub last_seen_at: Option<TimestampMs>,
    /// When the agent was enrolled.
    pub created_at: TimestampMs,
    /// When the agent last registered or was changed.
    pub updated_at: TimestampMs,
}

/// Connections with one identity that keep taking over from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConflict {
    /// When that was last seen.
    pub detected_at: TimestampMs,
    /// Where the connections came from, each address once.
    pub addresses: Vec<String>,
}

/// How long a conflict is shown after it was last seen.
const CONFLICT_SHOWN_MS: i64 = 3_600_000;

impl IdentityConflict {
    /// Whether it is over, as far as anybody can tell.
    pub fn is_over(&self, now: TimestampMs) -> bool {
        CONFLICT_SHOWN_MS <= now.saturating_sub(self.detected_at)
    }
}

/// Which agents are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Only those online, or only those offline.
    pub online: Option<bool>,
    /// Only those with this text in a name or an address, without regard to case; all where it is empty.
    pub search: String,
    /// Only those with this tag; all where it is empty.
    pub tag: String,
    /// Only those that this token has let in.
    pub enrollment_id: Option<EnrollmentId>,
}

/// What administrators say about an agent, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentLabels {
    /// Shown instead of the agent's own name; that one where it is empty.
    pub name: String,
    /// Labels, each once.
    pub tags: Vec<String>,
    /// Free text.
    pub note: String,
}

/// Most characters of an administrator's name for an agent.
pub const NAME_CHARS_MAX: usize = 255;
/// Most tags of one agent.
pub const TAGS_MAX: usize = 32;
/// Most characters of a tag.
pub const TAG_CHARS_MAX: usize = 64;
/// Most characters of a note.
pub const NOTE_CHARS_MAX: usize = 10_000;

/// A label that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct LabelError {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl AgentLabels {
    /// Checks what an administrator has written. Tags that are there twice are kept once.
    ///
    /// # Errors
    /// Names the field that is too long, or has characters that no name may have.
    pub fn new(name: &str, tags: &[String], note: String) -> Result<Self, LabelError> {
        let refuse = |field, message| Err(LabelError { field, message });
        let named = |field| move |error: NameError| LabelError { field, message: error.to_string() };
        let name = parse_optional(name, NAME_CHARS_MAX).map_err(named("name"))?;
        let mut unique: Vec<String> = Vec::new();
        for tag in tags {
            let tag = parse_name(tag, TAG_CHARS_MAX).map_err(named("tags"))?;
            if !unique.contains(&tag) {
                unique.push(tag);
            }
            if TAGS_MAX < unique.len() {
                return refuse("tags", format!("must be at most {TAGS_MAX}"));
            }
        }
        // PostgreSQL keeps no NUL.
        if NOTE_CHARS_MAX < note.chars().count() || note.contains('\0') {
            return refuse("note", format!("must be at most {NOTE_CHARS_MAX} characters of text"));
        }
        Ok(Self { name, tags: unique, note })
    }
}

/// What an agent says about itself when it registers, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDescription {
    /// What people call it.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// The address that the agent reports.
    pub ip: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// The agent's version.
    pub version: String,
}

impl AgentDescription {
    /// What an agent says about itself, as it is kept.
    ///
    /// # Errors
    /// Names the field that is too long or empty, or has characters that no name may have.
    pub fn reported(register: &Register) -> Result<Self, Refused> {
        let checked = |field: &str, value: &str, chars_min| {
            let name = parse_optional(value, limits::NAME_CHARS_MAX)
                .map_err(|error| Refused::out_of_range(format!("{field} {error}")))?;
            check_text(field, &name, chars_min, limits::NAME_CHARS_MAX)?;
            Ok(name)
        };
        let hostname = checked("hostname", &register.hostname, 1)?;
        let name = checked("name", &register.name, 0)?;
        Ok(Self {
            name: if name.is_empty() { hostname.clone() } else { name },
            hostname,
            ip: checked("ip", &register.ip, 0)?,
            os: checked("os", &register.os, 0)?,
            arch: checked("arch", &register.arch, 0)?,
            version: checked("version", &register.version, 0)?,
        })
    }

    /// As [`Self::reported`], of an agent that was let in before: characters that no name may have are left out instead of
    /// refused, so that a rule for names that came later does not end its reports.
    ///
    /// # Errors
    /// Names the field that is too long or empty.
    pub fn reported_again(register: &Register) -> Result<Self, Refused> {
        Self::reported(&Register {
            name: visible(&register.name),
            hostname: visible(&register.hostname),
            ip: visible(&register.ip),
            os: visible(&register.os),
            arch: visible(&register.arch),
            version: visible(&register.version),
            ..Register::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str, tags: &[&str], note: &str) -> Result<AgentLabels, &'static str> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        AgentLabels::new(name, &tags, note.to_owned()).map_err(|error| error.field)
    }

    #[test]
    fn labels_are_trimmed_and_bounded() {
        let kept = labels(" db ", &["prod", " prod ", "Prod", "eu west"], "two\nlines").unwrap();
        assert_eq!(
            (kept.name.as_str(), kept.tags.as_slice()),
            ("db", ["prod", "Prod", "eu west"].map(String::from).as_slice())
        );
        assert_eq!(labels(&"ä".repeat(NAME_CHARS_MAX), &[], "").map(drop), Ok(()));
        assert_eq!(labels(&"x".repeat(NAME_CHARS_MAX + 1), &[], ""), Err("name"));
        assert_eq!(labels("a\nb", &[], ""), Err("name"));
        assert_eq!(labels("", &["u\u{308}", "ü"], "").unwrap().tags, ["ü"]);
        for tag in ["", " ", "a\tb", &"x".repeat(TAG_CHARS_MAX + 1)] {
            assert_eq!(labels("", &[tag], ""), Err("tags"), "{tag:?}");
        }
        let many: Vec<String> = (0..=TAGS_MAX).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(labels("", &many, ""), Err("tags"));
        assert_eq!(labels("", &many[1..], "").map(drop), Ok(()));
        assert_eq!(labels("", &[], "\0"), Err("note"));
        assert_eq!(labels("", &[], &"x".repeat(NOTE_CHARS_MAX + 1)), Err("note"));
    }
}
