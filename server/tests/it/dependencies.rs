//! The workspace's dependencies: compatible licences, one registry, one implementation of TLS.
//!
//! Checking for known vulnerabilities needs the network and is done with `cargo audit`, see server/README.md.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Permissive licences, as SPDX identifiers. Of several offered by a crate, one is enough.
const LICENCES: [&str; 9] =
    ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Unlicense", "Zlib"];

/// Crates with another licence, and why that is acceptable.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    ("progenitor-client", "MPL-2.0", "unchanged, in the example of a client only"),
    ("progenitor-impl", "MPL-2.0", "unchanged, generates the example of a client"),
];

/// Banned crates: Pika uses rustls with ring for TLS, and nothing else.
const BANNED: [(&str, &str); 8] = [
    ("aws-lc-rs", "ring is the only provider of cryptography for TLS"),
    ("aws-lc-sys", "ring is the only provider of cryptography for TLS"),
    ("boring", "rustls is the only TLS"),
    ("native-tls", "rustls is the only TLS"),
    ("openssl", "rustls is the only TLS"),
    ("openssl-sys", "rustls is the only TLS"),
    ("s2n-tls", "rustls is the only TLS"),
    ("webpki-roots", "the system's authorities are trusted, and those that the configuration names"),
];

/// Crates of which there must be only one version.
const ONCE: [&str; 5] = ["ring", "rustls", "rustls-webpki", "tokio", "tokio-rustls"];

/// Returns all packages for this kind of machine, with their manifests.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host()])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    match metadata["packages"].take() {
        Value::Array(packages) => packages,
        _ => panic!("cargo metadata names no packages"),
    }
}

fn host() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// Names and versions in `Cargo.lock`, for all kinds of machines.
fn locked() -> BTreeMap<String, Vec<String>> {
    let mut versions = BTreeMap::<String, Vec<String>>::new();
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let mut name = String::new();
    for line in include_str!("../../../Cargo.lock").lines() {
        if let Some(found) = value(line, "name") {
            name = found;
        } else if let Some(version) = value(line, "version") {
            versions.entry(name.clone()).or_default().push(version);
        }
    }
    versions
}

#[test]
fn every_licence_is_allowed() {
    let mut refused = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none");
        let is_excepted = EXCEPTIONS.iter().any(|(excepted, of, _)| *excepted == name && *of == licence);
        if !is_excepted && !is_allowed(licence) {
            refused.push(format!("{name}: {licence}"));
        }
    }
    assert!(refused.is_empty(), "licences that are not in LICENCES: {refused:?}");
}

/// Returns whether an SPDX expression can be satisfied with the licences allowed. `AND` binds more tightly than `OR`;
/// some old manifests write `/` for `OR`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = expression.split_whitespace().collect();
    let mut words = words.as_slice();
    any(&mut words) && words.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut is_met = all(words);
    while let Some(("OR", rest)) = split(words) {
        *words = rest;
        is_met |= all(words);
    }
    is_met
}

fn all(words: &mut &[&str]) -> bool {
    let mut is_met = one(words);
    while let Some(("AND", rest)) = split(words) {
        *words = rest;
        is_met &= one(words);
    }
    is_met
}

fn one(words: &mut &[&str]) -> bool {
    let Some((word, rest)) = split(words) else {
        return false;
    };
    *words = rest;
    if word == "(" {
        let is_met = any(words);
        let Some((")", rest)) = split(words) else {
            return false;
        };
        *words = rest;
        return is_met;
    }
    // An exception allows more than the licence.
    if let Some(("WITH", [_, rest @ ..])) = split(words) {
        *words = rest;
    }
    LICENCES.contains(&word)
}

fn split<'a, 'b>(words: &'b [&'a str]) -> Option<(&'a str, &'b [&'a str])> {
    words.split_first().map(|(word, rest)| (*word, rest))
}

#[test]
fn licence_expressions_are_parsed() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        "MIT AND ISC OR GPL-3.0",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "GPL-3.0 OR MPL-2.0",
        "",
        "MIT ISC",
        "(MIT",
    ] {
        assert!(!is_allowed(refused), "{refused}");
    }
}

/// No repositories or other registries: what is in `Cargo.lock` was published and stays available.
#[test]
fn everything_comes_from_one_registry() {
    let is_ours = |package: &Value| package["name"].as_str().unwrap().starts_with("pika-");
    for package in packages() {
        let source = package["source"].as_str().unwrap_or("a folder");
        assert!(
            is_ours(&package) || source.starts_with("registry+"),
            "{} comes from {source}",
            package["name"]
        );
    }
    let lock = include_str!("../../../Cargo.lock");
    let mut sources: Vec<_> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    sources.sort_unstable();
    sources.dedup();
    assert_eq!(sources.len(), 1, "{sources:?}");
}

#[test]
fn there_is_one_implementation_of_tls() {
    let locked = locked();
    for (banned, reason) in BANNED {
        assert!(
            !locked.contains_key(banned),
            "{banned} has come in (cargo tree --invert {banned}): {reason}"
        );
    }
    for name in ONCE {
        assert_eq!(locked.get(name).map(Vec::len), Some(1), "versions of {name}: {:?}", locked.get(name));
    }
}
