//! Writes down what agents had to drop.

use pika_shared::chain;

use super::shared::Shared;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentKey;
use crate::store::{Error, retry};

/// Keeps a gap, for as long as it takes the database to be there. One that the database does not want is logged and let
/// go: asking again would not help.
pub(super) async fn record_gap(shared: &Shared, agent: AgentKey, gap: SampleGap) {
    let recorded = retry(
        || shared.store.insert_gap(agent, &gap),
        Error::is_temporary,
        |error, failures| {
            if failures == 1 {
                tracing::warn!(error = %chain(error), "a gap could not be written down; trying again");
            }
        },
    );
    if let Err(error) = recorded.await {
        tracing::error!(error = %chain(&error), "the database refuses to write a gap down");
    }
}
