//! `pika-bench agent`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{bench, number, report};

/// As much of `node_exporter` as the bench needs, for machines without it.
const EXPORTER: &str = r"
const flag = process.argv.find((argument) => argument.startsWith('--web.listen-address='));
const [host, port] = flag.split('=')[1].split(':');
require('http').createServer((request, response) => response.end('up 1\n')).listen(Number(port), host);
";

fn node() -> String {
    let directories = std::env::var_os("PATH").unwrap();
    let node = std::env::split_paths(&directories).map(|directory| directory.join("node"));
    let node = node.into_iter().find(|path| path.is_file());
    node.expect("node is missing: run ./test.sh, which installs it").to_str().unwrap().to_owned()
}

/// Puts it into a directory.
pub(crate) fn exporter(directory: &Path) -> PathBuf {
    let exporter = directory.join("node_exporter");
    std::fs::write(&exporter, format!("#!{}\n{EXPORTER}", node())).unwrap();
    std::fs::set_permissions(&exporter, std::fs::Permissions::from_mode(0o755)).unwrap();
    exporter
}

#[test]
fn both_programs_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let exporter = exporter(directory.path());
    let output = bench(&[
        "agent",
        "--json",
        "--node-exporter",
        exporter.to_str().unwrap(),
        "--interval-ms=1000",
        "--warm-up-seconds=2",
        "--duration-seconds=4",
    ]);
    let report = report(&output);
    assert_eq!(number(&report, "/intervalMs"), 1_000.0);
    for program in ["agent", "nodeExporter"] {
        let of = |name: &str| number(&report, &format!("/{program}/{name}"));
        for some in ["memoryStartKib", "memoryEndKib", "memoryMaxKib", "binaryBytes", "reports"] {
            assert!(0.0 < of(some), "{program} {some}: {report}");
        }
        assert!(of("memoryStartKib") <= of("memoryMaxKib") && of("memoryEndKib") <= of("memoryMaxKib"));
        assert!(0.0 <= of("cpuSeconds") && 0.0 <= of("cpuSecondsPerHour"));
        of("memorySlopeKibPerHour");
    }
    // Null where the short time has cost too little to tell.
    assert!(report.get("cpuRatio").is_some(), "{report}");
}

#[test]
fn a_missing_exporter_is_named_with_its_package() {
    let output = bench(&["agent", "--node-exporter", "/nowhere/node_exporter"]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("/nowhere/node_exporter is not there"), "{errors}");
    assert!(errors.contains("apt-get install prometheus-node-exporter"), "{errors}");
}
