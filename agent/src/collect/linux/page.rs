//! The size of a page of memory, in which the kernel counts some of it.

use std::fs;

use crate::collect::Roots;

/// The type of the entry with the size in a process's auxiliary vector.
const AT_PAGESZ: usize = 6;

/// Returns the size in bytes, from the auxiliary vector: pairs of words.
pub(super) fn page_bytes(roots: &Roots) -> u64 {
    let vector = fs::read(roots.proc.join("self/auxv")).unwrap_or_default();
    let words: Vec<usize> = vector
        .chunks_exact(size_of::<usize>())
        .filter_map(|word| Some(usize::from_ne_bytes(word.try_into().ok()?)))
        .collect();
    let entry = words.chunks_exact(2).find(|entry| entry[0] == AT_PAGESZ);
    entry
        .and_then(|entry| u64::try_from(entry[1]).ok())
        .filter(|bytes| bytes.is_power_of_two())
        .unwrap_or(4096)
}

#[cfg(test)]
#[test]
fn this_machine_has_pages() {
    assert!(4096 <= page_bytes(&Roots::default()));
    assert_eq!(page_bytes(&Roots::below("/nowhere")), 4096);
}
