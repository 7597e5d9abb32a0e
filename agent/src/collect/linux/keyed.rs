//! Files of lines that begin with a key: `pgmajfault 17`, `MemTotal:  16316412 kB`, `size  4  123`.

/// Returns the rest of the first line with this key, without surrounding white space.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        rest.starts_with([' ', '\t', ':']).then(|| rest.trim_start_matches(':').trim())
    })
}

/// Returns the number that follows a key.
pub(super) fn number(text: &str, key: &str) -> Option<u64> {
    value(text, key)?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[test]
fn keys_are_whole_words() {
    let text =
        "pgmajfault_x 1\npgmajfault 17\nCached:   90 kB\nsize                            4    123\nempty\n";
    assert_eq!(number(text, "pgmajfault"), Some(17));
    assert_eq!(value(text, "Cached"), Some("90 kB"));
    assert_eq!(value(text, "size").and_then(|value| value.split_ascii_whitespace().nth(1)), Some("123"));
    assert_eq!((number(text, "empty"), number(text, "none"), number(text, "pgmaj")), (None, None, None));
}
