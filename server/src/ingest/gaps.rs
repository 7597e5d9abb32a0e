//! Writes down what agents had to drop.

use std::time::Duration;

use pika_shared::chain;

use super::Shared;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentKey;

/// How long to wait before an absent database is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Keeps a gap, for as long as it takes the database to be there. One that the database does not want is logged and let
/// go: asking again would not help.
pub(super) async fn record_gap(shared: &Shared, agent: AgentKey, gap: SampleGap) {
    let mut is_first_failure = true;
    loop {
        match shared.store.insert_gap(agent, &gap).await {
            Ok(()) => return,
            Err(error) if error.is_temporary() => {
                if std::mem::take(&mut is_first_failure) {
                    tracing::warn!(error = %chain(&error), "a gap could not be written down; trying again");
                }
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "the database refuses to write a gap down");
                return;
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
