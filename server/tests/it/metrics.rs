//! Metrics of several agents in one answer, and the interval of samples.

use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(several_agents_are_answered_like_each_alone, the_sample_interval_is_reported);

async fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

async fn several_agents_are_answered_like_each_alone(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut one, one_id, _) = server.enroll("web-1").await;
    let (mut other, other_id, _) = server.enroll("web-2").await;
    let end = now() / 1_000 * 1_000;
    let range = format!("start={}&end={end}&points=60", end - 60_000);
    one.store(1, json!([sample(end - 30_000), sample(end - 20_000)])).await;
    other.store(1, json!([sample(end - 10_000)])).await;

    let mut alone = Vec::new();
    for (id, family) in [(&other_id, "disk"), (&other_id, "cpu"), (&one_id, "disk"), (&one_id, "cpu")] {
        alone.push(get(&server, &format!("/api/agents/{id}/metrics?type={family}&{range}")).await);
    }
    let nobody = "00000000-0000-4000-8000-000000000000";
    let agents = format!("agentId={other_id}&agentId={nobody}&agentId={one_id}&agentId={one_id}");
    let path = format!("/api/metrics?{agents}&type=disk&type=cpu&type=cpu&{range}");
    assert_eq!(get(&server, &path).await["items"], json!(alone));

    let items = get(&server, &format!("{path}&metric=usagePercent")).await["items"].clone();
    let series: Vec<_> =
        items.as_array().unwrap().iter().map(|item| item["series"].as_array().unwrap().len()).collect();
    assert_eq!(series, [2, 1, 2, 1], "two disks and one processor each");

    let many = format!("&agentId={nobody}").repeat(51);
    for (query, status) in [
        (format!("type=cpu&{range}"), 400),
        (format!("agentId={one_id}&{range}"), 400),
        (format!("type=cpu{many}"), 400),
        (format!("agentId={one_id}&type=everything"), 400),
        (format!("agentId={one_id}&type=cpu&points=0"), 422),
        (format!("agentId={nobody}&type=cpu"), 200),
    ] {
        let answer = server.get(&format!("/api/metrics?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    server.stop().await.unwrap();
}

async fn the_sample_interval_is_reported(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let start = now() - 600_000;
    // Every five seconds, then none for two minutes, then every ten seconds.
    let times = (0..10).map(|i| start + 5_000 * i).chain((0..40).map(|i| start + 170_000 + 10_000 * i));
    agent.store(1, json!(times.map(sample).collect::<Vec<_>>())).await;
    for family in ["cpu", "disk", "network", "load", "memory"] {
        let distance = async |query: String| {
            let path = format!("/api/agents/{id}/metrics?type={family}&start={start}&{query}");
            get(&server, &path).await["sampleIntervalMs"].clone()
        };
        assert_eq!(distance(format!("end={}&points=10", start + 60_000)).await, 5_000, "{family}");
        assert_eq!(distance("points=600".to_owned()).await, 10_000, "{family}");
        assert_eq!(distance(format!("end={}&interval=raw", start + 60_000)).await, 5_000, "{family}");
        assert_eq!(distance(format!("end={}&interval=1000", start + 1)).await, Value::Null, "{family}");
    }
    server.stop().await.unwrap();
}
