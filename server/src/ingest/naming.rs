//! Gets keys for disks and interfaces that an agent reports for the first time.

use std::time::Duration;

use pika_shared::chain;

use super::Shared;
use super::session::UnknownSeries;
use crate::domain::id::AgentKey;
use crate::domain::sample::SeriesKeys;
use crate::store::Error;

/// How long to wait before an absent database is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// What became of new names.
pub(super) enum Named {
    /// These have keys now. The others are too many for one agent.
    Keys(SeriesKeys),
    /// The database does not want them, and asking again would not help: the agent was deleted, for example.
    Refused,
}

/// Asks the database, for as long as it is away.
pub(super) async fn name_series(shared: &Shared, agent: AgentKey, unknown: &UnknownSeries) -> Named {
    let disks: Vec<_> = unknown.disks.iter().collect();
    let interfaces: Vec<_> = unknown.interfaces.iter().map(String::as_str).collect();
    let mut is_first_failure = true;
    loop {
        let named = {
            let _turn = shared.admission.acquire().await;
            shared.store.series_keys(agent, &disks, &interfaces, shared.clock.now()).await
        };
        match named {
            Ok(keys) => return Named::Keys(keys),
            Err(error) if error.is_temporary() => {
                if std::mem::take(&mut is_first_failure) {
                    tracing::warn!(error = %chain(&error), "new disks or interfaces could not be named; trying again");
                }
            }
            Err(error) => {
                log_refusal(&error);
                return Named::Refused;
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

fn log_refusal(error: &Error) {
    tracing::error!(error = %chain(error), "the database refuses to name new disks or interfaces");
}
