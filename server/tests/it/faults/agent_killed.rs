//! The agent's process is killed while it takes samples, with the server available or not.

use std::time::Duration;

use tempfile::TempDir;

use crate::support::account::stored;
use crate::support::process::{AgentProcess, Spool, enroll_agent};
use crate::support::{Proxy, Random, TestDatabase, TestServer, eventually};

const AGENTS: usize = 3;
const ROUNDS: u64 = 4;

#[tokio::test]
async fn an_agent_killed_while_spooling_sends_everything_once() {
    let mut random = Random::announced();
    let context = format!("PIKA_TEST_SEED={}", random.seed());
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let proxy = Proxy::start(&server.url("")).await;
    let mut enrolled = Vec::new();
    for _ in 0..AGENTS {
        let state = tempfile::tempdir().unwrap();
        let id = enroll_agent(&server, state.path()).await;
        enrolled.push((state, id));
    }
    for round in 0..ROUNDS {
        let is_server_there = round % 2 == 1;
        if is_server_there {
            proxy.restore();
        } else {
            proxy.cut();
        }
        let start = |(state, _): &(TempDir, String)| AgentProcess::start(&proxy.address(), state.path());
        let agents: Vec<_> = enrolled.iter().map(start).collect();
        samples_are_spooled(&enrolled, &context).await;
        if is_server_there {
            // What is sent from here on is lost.
            proxy.stall();
            samples_are_spooled(&enrolled, &context).await;
        }
        for agent in agents {
            tokio::time::sleep(Duration::from_millis(random.below(400))).await;
            agent.kill().await;
        }
        proxy.cut();
        for (state, id) in &enrolled {
            let account = Spool::read(state.path()).account();
            let rows = stored(&database.url, id).await;
            account.check(&account.acknowledged, &rows, is_whole, &context);
        }
    }

    proxy.restore();
    let agents: Vec<_> = enrolled
        .iter()
        .map(|(state, id)| {
            let spooled = Spool::read(state.path());
            (AgentProcess::start(&proxy.address(), state.path()), state, id, spooled)
        })
        .collect();
    for (mut agent, state, id, spooled) in agents {
        eventually(&format!("all is acknowledged ({context}): {}", agent.log()), || async {
            let now = Spool::read(state.path());
            (now.has_forgotten(spooled.last_id()) && spooled.last_id() < now.last_id()).then_some(())
        })
        .await;
        assert!(agent.terminate().await.success());
        let after = Spool::read(state.path());
        let kept = after.samples.range(..=spooled.last_id());
        assert!(kept.eq(spooled.samples.iter()), "{context}: {after:?} instead of {spooled:?}");
        let numbers: Vec<u64> = after.samples.keys().copied().collect();
        let expected: Vec<u64> = (1..=after.last_id()).collect();
        assert_eq!(numbers, expected, "{context}: gaps elsewhere than at kills");
        after.account().check_all_stored(&stored(&database.url, id).await, is_whole, &context);
    }
    server.stop().await.unwrap();
}

/// Waits until every agent has spooled one more sample.
async fn samples_are_spooled(enrolled: &[(TempDir, String)], context: &str) {
    let last_ids = || enrolled.iter().map(|(state, _)| Spool::read(state.path()).last_id()).collect();
    let before: Vec<u64> = last_ids();
    eventually(&format!("samples are spooled ({context})"), || async {
        let now: Vec<u64> = last_ids();
        before.iter().zip(now).all(|(before, now)| *before < now).then_some(())
    })
    .await;
}

/// The number of disks and interfaces depends on the machine.
fn is_whole([cpu, memory, load, _, _]: &[i64; 5]) -> bool {
    [cpu, memory, load] == [&1; 3]
}
