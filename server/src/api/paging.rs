//! Default page parameters.

/// The default page number.
pub(super) fn first_page() -> i64 {
    1
}

/// The default page size.
pub(super) fn default_page_size() -> i64 {
    20
}
