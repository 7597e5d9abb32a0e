//! `pika-bench consoles`.

use super::database::database_url;
use super::{bench, number, report};

#[test]
fn every_kind_of_request_is_measured() {
    let name = format!("pika_bench_consoles_{}", std::process::id());
    let output = bench(&[
        "consoles",
        "--json",
        "--database-url",
        &database_url(),
        "--database",
        &name,
        "--agents=20",
        "--interval-ms=1000",
        "--consoles=2",
        "--seconds=6",
    ]);
    let report = report(&output);
    assert_eq!((number(&report, "/agents"), number(&report, "/consoles")), (20.0, 2.0));
    let requests = report["requests"].as_array().unwrap();
    for (name, runs_min) in [
        ("stream of events", 2.0),
        ("list of machines", 2.0),
        ("newest values", 2.0),
        ("small charts", 2.0),
        ("number of alerts", 2.0),
        // Of the one console that is on a machine's page.
        ("chart of a machine", 5.0),
        ("newest values of a machine", 1.0),
    ] {
        let request = requests.iter().find(|request| request["name"] == name).unwrap();
        assert!(runs_min <= number(request, "/timing/runs"), "{name}: {request}");
        assert!(0.0 < number(request, "/timing/p50Ms"), "{name}: {request}");
        assert_eq!(number(request, "/refused"), 0.0, "{name}: {request}");
    }
    assert!(0.0 < number(&report, "/eventsKibPerSecond"));
    assert!(0.0 < number(&report, "/server/memoryMaxKibWithout"));
    assert!(0.0 < number(&report, "/server/memoryMaxKibWith"));
    assert!(0.0 < number(&report, "/serverMemoryPeakKib"));
}
