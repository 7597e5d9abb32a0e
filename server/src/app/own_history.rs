//! Writes, once a minute by default, what the server has done, so that Pika's own dashboard needs nothing but the database.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use pika_shared::chain;
use tokio::time::MissedTickBehavior;

use crate::api::ApiContext;
use crate::config::MetricsConfig;
use crate::domain::server_figures::ServerHistory;

/// Where Linux keeps the host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Writes the figures as long as the server runs. What cannot be written is part of the next row.
pub(super) async fn write(
    context: &ApiContext,
    address: Option<SocketAddr>,
    config: &MetricsConfig,
) -> Infallible {
    let server = server_name(address);
    let mut ticks = tokio::time::interval(Duration::from_millis(config.history_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut last = context.reading();
    let mut n_failures: u64 = 0;
    loop {
        ticks.tick().await;
        if !context.readiness.is_ready() {
            continue;
        }
        let reading = context.reading();
        let row = ServerHistory {
            at: context.clock.now(),
            server: server.clone(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: context.started_at,
            figures: reading.since(&last),
        };
        match context.store.add_server_history(&row).await {
            Ok(()) => (last, n_failures) = (reading, 0),
            Err(error) => {
                n_failures += 1;
                if n_failures.is_power_of_two() {
                    tracing::warn!(
                        error = %chain(&error),
                        times = n_failures,
                        "cannot write the server's own figures; retrying"
                    );
                }
            }
        }
    }
}

/// Returns a name that tells the servers of a database from each other.
fn server_name(address: Option<SocketAddr>) -> String {
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = match host.trim() {
        "" => "server",
        host => host,
    };
    address.map_or_else(|| host.to_owned(), |address| format!("{host}:{}", address.port()))
}
