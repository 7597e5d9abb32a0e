//! Series resolution: gets keys for disks, interfaces and the like that an agent reports for the first time.

use pika_shared::chain;

use super::shared::Shared;
use crate::domain::id::AgentKey;
use crate::domain::series::{ReportedSeries, SeriesKeys};
use crate::store::{Error, retry};

/// What became of new series.
pub(super) enum Resolution {
    /// These have keys now. The others are too many for one agent.
    Keys(Box<SeriesKeys>),
    /// The database does not want them, and asking again would not help: the agent was deleted, for example.
    Refused,
}

/// Asks the database, for as long as it is away.
pub(super) async fn resolve_series(shared: &Shared, agent: AgentKey, unknown: &ReportedSeries) -> Resolution {
    let resolved = retry(
        || async {
            let _turn = shared.admission.acquire().await;
            shared.store.series_keys(agent, unknown, shared.clock.now()).await
        },
        Error::is_temporary,
        |error, failures| {
            if failures == 1 {
                tracing::warn!(error = %chain(error), "new disks or interfaces could not be given keys; trying again");
            }
        },
    );
    match resolved.await {
        Ok(keys) => Resolution::Keys(Box::new(keys)),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the database refuses to give keys to new disks or interfaces");
            Resolution::Refused
        }
    }
}
