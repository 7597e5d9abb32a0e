//! `pika-bench ingest`.

use super::database::{database_url, execute};
use super::{bench, number, report};

/// A role that may only create databases, as an operator would give to a benchmark; removed on drop.
struct OrdinaryRole {
    name: String,
    url: String,
}

impl OrdinaryRole {
    fn create() -> Self {
        let name = format!("pika_bench_role_{}", std::process::id());
        execute(&format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD '{name}'"));
        let url = database_url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (_, address) = rest.rsplit_once('@').unwrap();
        Self { url: format!("{scheme}://{name}:{name}@{address}"), name }
    }
}

impl Drop for OrdinaryRole {
    fn drop(&mut self) {
        execute(&format!("DROP ROLE {}", self.name));
    }
}

#[test]
fn everything_that_was_sent_is_stored_once() {
    let role = OrdinaryRole::create();
    let (url, name) = (role.url.clone(), format!("pika_bench_test_{}", std::process::id()));
    let output = bench(&[
        "ingest",
        "--json",
        "--storm",
        "--database-url",
        &url,
        "--database",
        &name,
        "--agents=8",
        "--interval-ms=200",
        "--warm-up-seconds=1",
        "--steady-seconds=3",
        "--saturation-seconds=2",
        "--saturation-agents=4",
        "--saturation-samples-per-frame=10",
        "--saturation-frames-in-flight=2",
        "--ceiling-connections=2",
        "--ceiling-transaction-rows=1000",
    ]);
    let report = report(&output);
    assert_eq!(number(&report, "/agents"), 8.0);
    assert_eq!(number(&report, "/rowsPerSample"), 10.0);
    assert!(0.0 < number(&report, "/rows/sent"));
    assert_eq!(report["rows"]["sent"], report["rows"]["stored"]);
    for none in ["/rows/missing", "/rows/duplicates", "/rows/alteredSeries", "/refusals", "/disconnects"] {
        assert_eq!(number(&report, none), 0.0, "{none}: {report}");
    }
    for phase in ["steady", "saturation"] {
        for rate in ["offered", "acknowledged", "stored"] {
            let path = format!("/{phase}/{rate}RowsPerSecond");
            assert!(0.0 < number(&report, &path), "{path}: {report}");
        }
        let latency =
            ["p50Ms", "p99Ms", "maxMs"].map(|name| number(&report, &format!("/{phase}/ack/{name}")));
        assert!(0.0 < latency[0] && latency[0] <= latency[1] && latency[1] <= latency[2], "{latency:?}");
        for program in ["server", "bench"] {
            let of = |name: &str| number(&report, &format!("/{phase}/{program}/{name}"));
            assert!(0.0 <= of("cpuSeconds") && 0.0 <= of("cpuSecondsPerMillionRows"));
            assert!(0.0 < of("memoryMaxKib"), "{report}");
            of("memorySlopeKibPerHour");
        }
        // Null if the database is on another machine.
        assert!(report[phase].get("database").is_some(), "{report}");
    }
    assert!(0.0 < number(&report, "/serverMemoryPeakKib"));
    assert!(0.0 < number(&report, "/connected/serverMemoryKib"));
    let (registered, acknowledged) =
        (number(&report, "/storm/registeredSeconds"), number(&report, "/storm/acknowledgedSeconds"));
    assert!(0.0 < registered && registered <= acknowledged, "{report}");
    assert_eq!(number(&report, "/ceiling/connections"), 2.0);
    assert!(0.0 < number(&report, "/ceiling/rows"));
    let ratio =
        number(&report, "/saturation/storedRowsPerSecond") / number(&report, "/ceiling/rowsPerSecond");
    assert!((number(&report, "/ratio") - ratio).abs() < 1e-6, "{report}");
}

#[test]
fn a_server_that_is_missing_is_named() {
    let output = bench(&["ingest", "--database-url", &database_url(), "--server", "/nowhere/pika-server"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("/nowhere/pika-server does not exist"), "{errors}");
}
