//! The scope of a rule or a silence: agents by tag or by name, mount points and interfaces by pattern.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Maximum entries of a list in a scope.
pub const ENTRIES_MAX: usize = 1_000;
/// Maximum patterns of a list.
pub const PATTERNS_MAX: usize = 32;
/// Maximum length of a pattern, in characters.
pub const PATTERN_CHARS_MAX: usize = 255;

/// How agents are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScopeKind {
    /// All agents.
    #[default]
    All,
    /// Agents with any of the tags.
    Tags,
    /// The listed agents.
    Agents,
}

/// A set of agents. Evaluated anew each time, so that a new agent is included at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// How agents are chosen.
    pub kind: ScopeKind,
    /// With `tags`: agents with any of them.
    pub tags: Vec<String>,
    /// With `agents`: these agents.
    pub agent_ids: Vec<Uuid>,
    /// Except agents with any of these tags.
    pub except_tags: Vec<String>,
    /// Except these agents.
    pub except_agent_ids: Vec<Uuid>,
}

impl Scope {
    /// Returns whether an agent is included.
    pub fn has(&self, id: Uuid, tags: &[String]) -> bool {
        let is_chosen = match self.kind {
            ScopeKind::All => true,
            ScopeKind::Tags => self.tags.iter().any(|tag| tags.contains(tag)),
            ScopeKind::Agents => self.agent_ids.contains(&id),
        };
        let is_excepted =
            self.except_agent_ids.contains(&id) || self.except_tags.iter().any(|tag| tags.contains(tag));
        is_chosen && !is_excepted
    }

    /// Returns whether all agents are included.
    pub fn is_everybody(&self) -> bool {
        self.kind == ScopeKind::All && self.except_tags.is_empty() && self.except_agent_ids.is_empty()
    }
}

/// A set of mount points or interfaces, by patterns with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SeriesFilter {
    /// Names must match any of these.
    pub include: Vec<String>,
    /// Names must match none of these.
    pub exclude: Vec<String>,
    /// Excluded types of file systems.
    pub fs_types_exclude: Vec<String>,
}

impl Default for SeriesFilter {
    fn default() -> Self {
        Self { include: vec!["*".to_owned()], exclude: Vec::new(), fs_types_exclude: Vec::new() }
    }
}

impl SeriesFilter {
    /// Returns whether a mount point or interface is included.
    pub fn has(&self, name: &str, fs_type: &str) -> bool {
        let matches = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
        matches(&self.include, name)
            && !matches(&self.exclude, name)
            && !matches(&self.fs_types_exclude, fs_type)
    }
}

/// Returns whether a text matches a pattern, in which `*` matches anything and `?` one character. Takes time at most
/// proportional to the product of their lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The position of the last star, and of what it matches so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((position, reached)) => {
                    star = Some((position, reached + 1));
                    p = position + 1;
                    t = reached + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match() {
        for (pattern, text, expected) in [
            ("*", "/", true),
            ("/var/*", "/var/lib", true),
            ("/var/*", "/var", false),
            ("eth?", "eth0", true),
            ("eth?", "eth10", false),
            ("*a*b", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("", "", true),
            ("", "x", false),
            ("ü?", "üé", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// A slow but obvious implementation.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            (Some(('?', rest)), Some((_, others))) => reference(rest, others),
            (Some((c, rest)), Some((d, others))) => c == d && reference(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn patterns_agree_with_the_reference(pattern in "[ab*?]{0,7}", text in "[ab]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), reference(&p, &t));
        }
    }

    #[test]
    fn a_scope_includes_what_it_names_except_exceptions() {
        let (web, db) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let prod = vec!["prod".to_owned()];
        let by_tag = Scope { kind: ScopeKind::Tags, tags: prod.clone(), ..Scope::default() };
        assert!(by_tag.has(web, &prod) && !by_tag.has(web, &[]));
        let by_name = Scope { kind: ScopeKind::Agents, agent_ids: vec![web], ..Scope::default() };
        assert!(by_name.has(web, &[]) && !by_name.has(db, &prod));
        let but = Scope { except_tags: prod.clone(), except_agent_ids: vec![db], ..Scope::default() };
        assert!(but.has(web, &[]) && !but.has(web, &prod) && !but.has(db, &[]));
    }
}
