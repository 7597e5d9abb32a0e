//! Patterns in the configuration: `*` matches any number of characters, everything else matches itself.

/// Returns whether `text` is selected: if `include` is not empty, by one of its patterns; otherwise by not matching any
/// pattern of `exclude`.
pub(crate) fn is_selected(text: &str, include: &[String], exclude: &[String]) -> bool {
    if include.is_empty() { !matches_any(exclude, text) } else { matches_any(include, text) }
}

/// Returns whether one of the patterns matches the whole text.
pub(crate) fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // `split` always yields one part.
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_anything() {
        for (pattern, text, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("veth*", "veth1a2b", true),
            ("veth*", "veth", true),
            ("veth*", "xveth", false),
            ("*", "", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/c", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("a*a", "a", false),
            ("a**b", "axb", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn an_include_list_is_exact() {
        let list = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
        assert!(is_selected("a", &[], &list(&["b"])));
        assert!(!is_selected("b", &[], &list(&["b"])));
        assert!(is_selected("b", &list(&["b"]), &list(&["b"])));
        assert!(!is_selected("a", &list(&["b"]), &[]));
    }
}
