//! The defaults of parameters that ask for a page.

/// The page that is answered where none is asked for.
pub(super) fn first_page() -> i64 {
    1
}

/// The size of a page where none is asked for.
pub(super) fn default_page_size() -> i64 {
    20
}
