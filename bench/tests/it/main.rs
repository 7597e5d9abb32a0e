//! The benchmarks as programs: small runs whose reports are checked, but never their speed.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod agent;
mod database;
mod fleet;
mod ingest;
mod interruption;
mod late;

use std::process::{Command, Output};

/// Runs the benchmark. `test.sh` first builds the other programs with `cargo build --workspace`.
fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pika-bench")).args(arguments).output().unwrap()
}

/// Returns the report of a run.
///
/// # Panics
/// If the run failed.
fn report(output: &Output) -> serde_json::Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{errors}"))
}

/// Returns a number of the report by its path.
fn number(report: &serde_json::Value, path: &str) -> f64 {
    report.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or_else(|| panic!("no {path}: {report}"))
}
