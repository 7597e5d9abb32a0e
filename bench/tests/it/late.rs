//! `pika-bench late`.

use super::database::database_url;
use super::{bench, number, report};

#[test]
fn late_samples_cost_less_than_the_fleets_day() {
    let name = format!("pika_bench_late_{}", std::process::id());
    let output = bench(&[
        "late",
        "--json",
        "--database-url",
        &database_url(),
        "--database",
        &name,
        "--agents=20",
        "--days=1",
        "--interval-ms=300000",
        "--late-agents=2",
        "--backlog-hours=20",
        "--minutes=2",
    ]);
    let report = report(&output);
    assert_eq!(number(&report, "/lateAgents"), 2.0);
    // Samples of two agents, six rows each, and a few that are missing.
    let written = number(&report, "/written/rows");
    assert!((2_000.0..=3_360.0).contains(&written), "{report}");
    // Each sample's minutes, hours and day at least, and far from all that the fleet has reported.
    let rolled = number(&report, "/rolled/rows");
    assert!(written / 2.0 < rolled && rolled < 20.0 * written, "{report}");
    for phase in ["quiet", "written", "rolled"] {
        assert!(0.0 < number(&report, &format!("/{phase}/seconds")), "{report}");
    }
    assert!(0.0 < number(&report, "/rolled/walBytes"), "{report}");
}
