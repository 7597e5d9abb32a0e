//! Suggestions for unknown names.

/// Minimum similarity of a suggested name, from 0 to 1.
const ALIKE_MIN: f64 = 0.6;

/// Returns the known name that contains all words of `name` (or longer ones), or is most similar, ignoring case.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let name = name.to_lowercase();
    let words = |name: &str| name.split(['_', '.']).map(str::to_lowercase).collect::<Vec<_>>();
    let meant = words(&name);
    let has_all_words = |known: &&str| {
        let mut others = words(known).into_iter();
        meant.iter().all(|word| others.any(|other| other.starts_with(word)))
    };
    // The shortest has no suffix.
    known.clone().filter(has_all_words).min_by_key(|known| known.len()).or_else(|| {
        let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase());
        let likenesses = known.map(|known| (known, likeness(known)));
        let (known, likeness) = likenesses.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        (ALIKE_MIN <= likeness).then_some(known)
    })
}
