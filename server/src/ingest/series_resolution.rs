//! Series resolution: gets keys for disks and interfaces that an agent reports for the first time.

use pika_protocol::DiskMetrics;
use pika_shared::chain;

use super::shared::Shared;
use crate::domain::id::AgentKey;
use crate::domain::sample::SeriesKeys;
use crate::store::{Error, ReportedDisk, retry};

/// Disks and interfaces that have no key yet.
#[derive(Clone, Debug, Default)]
pub(super) struct UnknownSeries {
    pub(super) disks: Vec<DiskMetrics>,
    pub(super) interfaces: Vec<String>,
}

impl UnknownSeries {
    pub(super) fn is_empty(&self) -> bool {
        self.disks.is_empty() && self.interfaces.is_empty()
    }
}

/// What became of new disks and interfaces.
pub(super) enum Resolution {
    /// These have keys now. The others are too many for one agent.
    Keys(SeriesKeys),
    /// The database does not want them, and asking again would not help: the agent was deleted, for example.
    Refused,
}

/// Asks the database, for as long as it is away.
pub(super) async fn resolve_series<'a>(
    shared: &Shared,
    agent: AgentKey,
    unknown: &'a UnknownSeries,
) -> Resolution {
    let reported = |disk: &'a DiskMetrics| ReportedDisk {
        mount_point: &disk.mount_point,
        device: &disk.device,
        fs_type: &disk.fs_type,
    };
    let disks: Vec<_> = unknown.disks.iter().map(reported).collect();
    let interfaces: Vec<_> = unknown.interfaces.iter().map(String::as_str).collect();
    let resolved = retry(
        || async {
            let _turn = shared.admission.acquire().await;
            shared.store.series_keys(agent, &disks, &interfaces, shared.clock.now()).await
        },
        Error::is_temporary,
        |error, failures| {
            if failures == 1 {
                tracing::warn!(error = %chain(error), "new disks or interfaces could not be given keys; trying again");
            }
        },
    );
    match resolved.await {
        Ok(keys) => Resolution::Keys(keys),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the database refuses to give keys to new disks or interfaces");
            Resolution::Refused
        }
    }
}
