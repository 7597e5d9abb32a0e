//! Converts snake case, as in Rust and SQL, to camel case, as in JSON, at compile time.

/// Returns the length of [`camel_case`] in bytes.
pub(crate) const fn camel_case_len(name: &str) -> usize {
    let name = name.as_bytes();
    let (mut len, mut index) = (0, 0);
    while index < name.len() {
        if name[index] != b'_' {
            len += 1;
        }
        index += 1;
    }
    len
}

/// Returns the name in camel case, as bytes.
pub(crate) const fn camel_case<const LEN: usize>(name: &str) -> [u8; LEN] {
    let name = name.as_bytes();
    let mut camel_case = [0; LEN];
    let (mut len, mut index) = (0, 0);
    while index < name.len() {
        if name[index] != b'_' {
            let begins_word = 0 < index && name[index - 1] == b'_';
            camel_case[len] = if begins_word { name[index].to_ascii_uppercase() } else { name[index] };
            len += 1;
        }
        index += 1;
    }
    camel_case
}

/// Converts an identifier to camel case: `disk_io` becomes `diskIo`.
macro_rules! camel_case {
    ($name:ident) => {{
        const NAME: &str = stringify!($name);
        const BYTES: [u8; $crate::family::camel_case::camel_case_len(NAME)] =
            $crate::family::camel_case::camel_case(NAME);
        const CAMEL_CASE: &str = match str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!("identifiers are ASCII"),
        };
        CAMEL_CASE
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_joined() {
        assert_eq!(camel_case!(load1), "load1");
        assert_eq!(camel_case!(disk_io), "diskIo");
        assert_eq!(camel_case!(received_bytes_total), "receivedBytesTotal");
    }
}
