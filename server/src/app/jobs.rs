//! Background jobs: preparing and maintaining the database.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::{Clock, chain};
use secrecy::SecretString;
use tokio::sync::watch;

use super::error::AppError;
use super::maintenance::{self, Warnings};
use crate::alerting;
use crate::auth::{Auth, AuthError, FIRST_ADMIN};
use crate::config::Config;
use crate::domain::tier::DAY_MS;
use crate::notify::Notifier;
use crate::readiness::Readiness;
use crate::store::{self, MigrateError, Store, retry};
use crate::telemetry::{FIGURES_INTERVAL, Instruments};

/// How often rollups and retention are maintained.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);
/// How often ended sessions, API tokens and enrollment tokens, old entries of the audit log and expired series are
/// deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long silences are kept after their end, in milliseconds.
const SILENCES_KEPT_MS: i64 = 30 * DAY_MS;

/// Prepares the database, then maintains it. Returns only on error.
#[expect(clippy::too_many_arguments, reason = "what the server consists of")]
pub(super) async fn prepare_and_maintain(
    config: &Config,
    clock: &Clock,
    store: &Store,
    auth: &Auth,
    notifier: &Notifier,
    instruments: &Arc<Instruments>,
    readiness: &Readiness,
    announce_password: fn(&str, &SecretString),
) -> Result<(), AppError> {
    migrate(store, clock).await?;
    create_first_admin(config, auth, announce_password).await?;
    keep_builtin_alert_rules(store, clock).await?;
    seal(auth, notifier).await;
    readiness.set_ready();
    tracing::info!(address = %config.server.addr, "ready");
    let maintain = maintain(config, clock, store, instruments);
    let evaluate = async {
        if config.alerting.enabled {
            let (completed, evaluated) = watch::channel(None);
            let run = alerting::run(config, store.clone(), clock.clone(), Arc::clone(instruments), completed);
            let (never, _) = tokio::join!(Box::pin(run), Box::pin(notifier.beat(evaluated)));
            never
        } else {
            std::future::pending().await
        }
    };
    match tokio::join!(maintain, evaluate, remember_ingest(instruments)) {}
}

/// Remembers the counts of ingest, for the rates that the API shows.
async fn remember_ingest(instruments: &Instruments) -> Infallible {
    let mut ticks = tokio::time::interval(FIGURES_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        instruments.remember_ingest();
    }
}

/// Periodically rolls up, drops and deletes what is due.
async fn maintain(config: &Config, clock: &Clock, store: &Store, instruments: &Instruments) -> Infallible {
    let mut sweeps = tokio::time::interval(SWEEP_INTERVAL);
    let mut maintenance = tokio::time::interval(MAINTENANCE_INTERVAL);
    maintenance.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut warnings = Warnings::default();
    loop {
        tokio::select! {
            _ = sweeps.tick() => sweep(config, clock, store).await,
            _ = maintenance.tick() => maintenance::round(store, clock, instruments, &mut warnings).await,
        }
    }
}

/// Deletes what has expired.
async fn sweep(config: &Config, clock: &Clock, store: &Store) {
    let now = clock.now();
    let swept = [
        ("sessions", store.delete_expired_sessions(now).await),
        ("API tokens", store.delete_expired_api_tokens(now).await),
        ("enrollment tokens", store.delete_ended_enrollments(now).await),
        ("audit log", store.delete_audit_log_before(now - config.auth.audit_retention_ms).await),
        ("presence", store.delete_old_presence(now).await),
        ("alerts", store.delete_old_alerts(now).await),
        ("silences", store.delete_alert_silences_before(now - SILENCES_KEPT_MS).await),
        ("deliveries", store.delete_old_deliveries(now).await),
        ("disks and interfaces", store.delete_expired_series(now).await),
        ("history of servers and storage", store.delete_old_history(now).await),
    ];
    for (what, result) in swept {
        match result {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, what, "deleted what has expired"),
            Err(error) => {
                tracing::warn!(error = %chain(&error), what, "cannot delete what has expired");
            }
        }
    }
}

/// Stores the built-in alert rules.
async fn keep_builtin_alert_rules(store: &Store, clock: &Clock) -> Result<(), AppError> {
    let kept = retry(
        || store.keep_builtin_alert_rules(clock.now()),
        store::Error::is_temporary,
        |error, failures| warn_unavailable(error, failures),
    );
    kept.await.map_err(AppError::AlertRules)
}

/// Seals secrets that are not sealed with the current key. Those that cannot be sealed now are sealed at the next
/// startup.
async fn seal(auth: &Auth, notifier: &Notifier) {
    let sealed = [("second factors", auth.seal_totp_secrets().await), ("channels", notifier.reseal().await)];
    for (what, result) in sealed {
        match result {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, what, "sealed secrets with the current key"),
            Err(error) => tracing::warn!(error = %chain(&error), what, "cannot seal secrets"),
        }
    }
}

async fn migrate(store: &Store, clock: &Clock) -> Result<(), AppError> {
    let migrated = retry(
        || store.migrate(clock.now()),
        MigrateError::is_temporary,
        |error, failures| warn_unavailable(error, failures),
    );
    let migrated = migrated.await.map_err(AppError::Migrate)?;
    for migration in &migrated.applied {
        tracing::info!(%migration, "applied a migration");
    }
    if let Some(advice) = migrated.database.update_advice() {
        tracing::warn!("{advice}");
    }
    tracing::info!(
        postgres = %migrated.database.postgres_version,
        timescaledb = %migrated.database.timescaledb_version,
        edition = %migrated.database.edition,
        "the database is ready"
    );
    Ok(())
}

async fn create_first_admin(
    config: &Config,
    auth: &Auth,
    announce_password: fn(&str, &SecretString),
) -> Result<(), AppError> {
    let created = retry(
        || auth.create_first_admin(&config.auth.admin_password),
        |error| matches!(error, AuthError::Store(error) if error.is_temporary()),
        |error, failures| warn_unavailable(error, failures),
    );
    if let Some(password) = created.await.map_err(AppError::FirstAdmin)? {
        announce_password(FIRST_ADMIN, &password);
    }
    Ok(())
}

fn warn_unavailable(error: &dyn std::error::Error, failures: u64) {
    if failures.is_power_of_two() {
        tracing::warn!(error = %chain(error), failures, "waiting for the database");
    }
}
