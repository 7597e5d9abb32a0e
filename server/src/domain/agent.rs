//! Agents and their labels.

use pika_protocol::{MachineFacts, Register, limits};

use super::TimestampMs;
use super::id::{AgentId, AgentKey, EnrollmentId};
use super::name::{NameError, parse_name, parse_optional, visible};
use super::refused::{Refused, check_text};

/// An agent and what is known about its machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The key within the database.
    pub key: AgentKey,
    /// The public id.
    pub id: AgentId,
    /// The displayed name: the one set by an administrator, otherwise the agent's own.
    pub name: String,
    /// The name that the agent reports.
    pub reported_name: String,
    /// The tags set by administrators.
    pub tags: Vec<String>,
    /// The note written by administrators.
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
    /// What the machine is, as the agent reports; its clock is corrected.
    pub facts: MachineFacts,
    /// The token that it was first enrolled with, if known.
    pub enrollment_id: Option<EnrollmentId>,
    /// Whether it is connected, or disconnected for less than the grace period.
    pub online: bool,
    /// Whether its secret was revoked: nobody can connect as this agent until it is enrolled again.
    pub is_revoked: bool,
    /// Set if two machines were recently seen using its identity.
    pub identity_conflict: Option<IdentityConflict>,
    /// The last measured difference of the server's clock and the agent's clock, in milliseconds.
    pub clock_offset_ms: i64,
    /// When the agent last sent something.
    pub last_seen_at: Option<TimestampMs>,
    /// When the agent was enrolled.
    pub created_at: TimestampMs,
    /// When the agent last registered or was changed.
    pub updated_at: TimestampMs,
}

/// Connections with the same identity that keep replacing each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityConflict {
    /// When this was last detected.
    pub detected_at: TimestampMs,
    /// The addresses of the connections, without duplicates.
    pub addresses: Vec<String>,
}

/// How long a conflict is shown after it was last detected, in milliseconds.
const CONFLICT_SHOWN_MS: i64 = 3_600_000;

impl IdentityConflict {
    /// Returns whether the conflict is no longer shown.
    pub fn is_over(&self, now: TimestampMs) -> bool {
        CONFLICT_SHOWN_MS <= now.saturating_sub(self.detected_at)
    }
}

/// A filter for agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Only online agents, or only offline ones.
    pub online: Option<bool>,
    /// Only agents with this text in a name or an address, ignoring case; empty for all.
    pub search: String,
    /// Only agents with this tag; empty for all.
    pub tag: String,
    /// Only agents enrolled with this token.
    pub enrollment_id: Option<EnrollmentId>,
}

/// Validated labels of an agent, set by administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentLabels {
    /// The name to show; empty for the agent's own.
    pub name: String,
    /// The tags, without duplicates.
    pub tags: Vec<String>,
    /// The note.
    pub note: String,
}

/// Maximum length of an agent's name set by an administrator, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Maximum number of tags of an agent.
pub const TAGS_MAX: usize = 32;
/// Maximum length of a tag, in characters.
pub const TAG_CHARS_MAX: usize = 64;
/// Maximum length of a note, in characters.
pub const NOTE_CHARS_MAX: usize = 10_000;

/// The error for an invalid label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct LabelError {
    /// The name of the field.
    pub field: &'static str,
    /// The reason.
    pub message: String,
}

impl AgentLabels {
    /// Validates labels. Duplicate tags are removed.
    ///
    /// # Errors
    /// If a field is too long or contains characters that are not allowed.
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
        // PostgreSQL cannot store NUL.
        if NOTE_CHARS_MAX < note.chars().count() || note.contains('\0') {
            return refuse("note", format!("must be at most {NOTE_CHARS_MAX} characters of text"));
        }
        Ok(Self { name, tags: unique, note })
    }
}

/// The validated description that an agent sends when it registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDescription {
    /// The name shown to people.
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
    /// What the machine is, by the agent's clock.
    pub facts: MachineFacts,
}

impl AgentDescription {
    /// Validates the description of an agent that enrolls.
    ///
    /// # Errors
    /// If a field is empty, too long or contains characters that are not allowed.
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
            facts: checked_facts(&register.facts)?,
        })
    }

    /// Like [`Self::reported`], for an enrolled agent: characters that are not allowed are removed instead of refused,
    /// so that a newer rule for names does not lock it out.
    ///
    /// # Errors
    /// If a field is empty or too long.
    pub fn reported_again(register: &Register) -> Result<Self, Refused> {
        Self::reported(&Register {
            name: visible(&register.name),
            hostname: visible(&register.hostname),
            ip: visible(&register.ip),
            os: visible(&register.os),
            arch: visible(&register.arch),
            version: visible(&register.version),
            facts: Box::new(visible_facts(&register.facts)),
            ..Register::default()
        })
    }
}

fn checked_facts(facts: &MachineFacts) -> Result<MachineFacts, Refused> {
    let text = |field: &str, value: &Option<String>| {
        let Some(value) = value else { return Ok(None) };
        let value = parse_optional(value, limits::NAME_CHARS_MAX)
            .map_err(|error| Refused::out_of_range(format!("facts.{field} {error}")))?;
        check_text(format!("facts.{field}"), &value, 0, limits::NAME_CHARS_MAX)?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    };
    let within = |field: &str, is_within: bool| {
        if is_within { Ok(()) } else { Err(Refused::out_of_range(format!("facts.{field} is out of range"))) }
    };
    let MachineFacts { cpu_count, memory_bytes, booted_at, .. } = *facts;
    let count_max = limits::CORE_COUNT_MAX.unsigned_abs();
    within("cpuCount", cpu_count.is_none_or(|count| (1..=count_max).contains(&count)))?;
    within("memoryBytes", memory_bytes.is_none_or(|bytes| i64::try_from(bytes).is_ok()))?;
    within("bootedAt", booted_at.is_none_or(|at| 0 <= at))?;
    Ok(MachineFacts {
        os_name: text("osName", &facts.os_name)?,
        kernel: text("kernel", &facts.kernel)?,
        cpu_model: text("cpuModel", &facts.cpu_model)?,
        virtualization: text("virtualization", &facts.virtualization)?,
        ..*facts
    })
}

fn visible_facts(facts: &MachineFacts) -> MachineFacts {
    let text = |value: &Option<String>| value.as_deref().map(visible);
    MachineFacts {
        os_name: text(&facts.os_name),
        kernel: text(&facts.kernel),
        cpu_model: text(&facts.cpu_model),
        virtualization: text(&facts.virtualization),
        ..*facts
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
