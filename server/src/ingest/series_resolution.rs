//! Resolves series: gets keys for disks, interfaces and the like that an agent reports for the first time.

use pika_shared::chain;

use super::shared::Shared;
use crate::domain::id::AgentKey;
use crate::domain::series::{ReportedSeries, SeriesKeys};
use crate::store::{Error, retry};

/// The outcome for new series.
pub(super) enum Resolution {
    /// These have keys now. The others exceed the limit of one agent.
    Keys(Box<SeriesKeys>),
    /// The database rejected them, and retrying would not help: the agent was deleted, for example.
    Refused,
}

/// Asks the database, retrying while it is unavailable.
pub(super) async fn resolve_series(shared: &Shared, agent: AgentKey, unknown: &ReportedSeries) -> Resolution {
    let resolved = retry(
        || async {
            let _turn = shared.admission.acquire().await;
            shared.store.series_keys(agent, unknown, shared.clock.now()).await
        },
        Error::is_temporary,
        |error, failures| {
            if failures == 1 {
                tracing::warn!(error = %chain(error), "new disks or interfaces could not be given keys; retrying");
            }
        },
    );
    match resolved.await {
        Ok(keys) => Resolution::Keys(Box::new(keys)),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the database rejected new disks or interfaces");
            Resolution::Refused
        }
    }
}
