//! The examples in `openapi/README.md` are copied from tested files.

use super::text;

/// An example follows a line with the name of the file it is copied from.
const MARK: &str = "<!-- from ";

#[test]
fn examples_are_taken_from_the_tested_files() {
    let readme = text("README.md");
    let mut examples = 0;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let Some(file) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        assert!(lines.next().is_some_and(|line| line.starts_with("```")), "no example follows {file}");
        let example: Vec<_> =
            lines.by_ref().take_while(|line| !line.starts_with("```")).map(str::trim).collect();
        let source = text(file);
        let source: Vec<_> = source.lines().map(str::trim).collect();
        assert!(
            source.windows(example.len()).any(|window| window == example),
            "the example in openapi/README.md is not what openapi/{file} says:\n{}",
            example.join("\n")
        );
        examples += 1;
    }
    assert!(examples >= 4, "openapi/README.md has only {examples} examples");
}
