//! Records the samples that agents had to drop.

use pika_shared::chain;

use super::shared::Shared;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentKey;
use crate::store::{Error, retry};

/// Records a gap, retrying until the database is available. A gap that the database rejects is logged and dropped:
/// retrying would not help.
pub(super) async fn record_gap(shared: &Shared, agent: AgentKey, gap: SampleGap) {
    let recorded = retry(
        || shared.store.insert_gap(agent, &gap),
        Error::is_temporary,
        |error, failures| {
            if failures == 1 {
                tracing::warn!(error = %chain(error), "a gap could not be recorded; retrying");
            }
        },
    );
    if let Err(error) = recorded.await {
        tracing::error!(error = %chain(&error), "the database rejected a gap");
    }
}
