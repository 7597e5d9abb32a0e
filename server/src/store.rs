//! Everything that is stored: the only module that speaks SQL, and the only one that names `tokio_postgres`.
//!
//! [`Store`] is the facade; each file adds the operations on one kind of thing to it. It knows nothing of HTTP or of
//! the wire protocol.

mod agent_tags;
mod agents;
mod alert_changes;
mod alert_channels;
mod alert_deliveries;
mod alert_evaluation;
mod alert_health;
mod alert_outbox;
mod alert_past;
mod alert_readings;
mod alert_reconcile;
mod alert_rules;
mod alert_settings;
mod alert_silences;
mod alerts;
mod api_tokens;
mod audit;
mod backup;
mod brin;
mod cadence;
mod chart;
mod connection;
mod copy;
mod database;
mod edition;
mod enrollments;
mod error;
mod expiry;
mod fleet;
mod fleet_totals;
mod gaps;
mod grafana;
mod heartbeats;
mod identities;
mod latest;
mod lock;
mod maintenance;
mod metrics;
mod migrate;
mod newest;
mod options;
mod own_history;
mod passwords;
mod pending;
mod preferences;
mod presence;
mod retry;
mod rollup;
mod sample_pages;
mod samples;
mod series;
mod series_names;
mod sessions;
mod set_up;
pub mod statements;
mod storage;
mod storage_report;
mod tables;
mod tls;
mod totp;
mod unsupported;
mod user_rows;
mod usernames;
mod users;
mod watchdog;

pub use agent_tags::TagsError;
pub use agents::{ConnectedAgent, Labelled, Lapse, Speaker, Touch};
pub use alert_changes::ChangedAlert;
pub use alert_channels::{ALERT_CHANNELS_MAX, AlertChannel, AlertChannelError, AlertChannelSettings};
pub use alert_deliveries::{AlertAttempt, AlertDelivery, DeliveryFilter, RetryError};
pub use alert_evaluation::{
    AlertClock, AlertConnection, AlertUpdate, Evaluation, GroupClock, NewAlert, NewAlertEvent, StoredState,
    TargetKey,
};
pub use alert_health::{ChannelHealth, SystemHealth};
pub use alert_outbox::{AlertToTell, AttemptEnd, OutboxBacklog, WaitingMessage};
pub use alert_past::{PastPoints, PastSpan};
pub use alert_reconcile::{OpenAlert, OutboxItem, TellableChannel, WithheldAlert};
pub use alert_rules::{AlertRuleError, RuleText};
pub use alert_silences::AlertSilenceError;
pub use alerts::{AlertDeed, AlertError, AlertFilter, AlertSort, PENDING_MAX};
pub use api_tokens::{API_TOKENS_PER_USER_MAX, ApiTokenError, NewApiToken};
pub use audit::{AuditEntry, AuditFilter};
pub use backup::{
    Backup, BackupError, CopyIn, HistoryTable, KEPT, KeptRow, KeptTable, NOT_KEPT, Part, Restore,
    RestoreError, TableContent, WholeRestore, WholeTarget,
};
pub use chart::ChartConnection;
pub use database::Store;
pub use edition::{DatabaseInfo, Edition};
pub use enrollments::{Enrollment, NewEnrollment};
pub use error::Error;
pub use expiry::HeldBack;
pub use fleet::{AgentSeries, FleetSeries};
pub use fleet_totals::{FleetBucket, FleetRanking, FleetTotals, RankedAgent};
pub use grafana::role::grafana_role_statements;
pub use identities::{Enrolled, Registration};
pub use maintenance::Maintained;
pub use metrics::{MetricBuckets, SeriesBuckets};
pub use migrate::{MigrateError, Migrated};
pub use newest::{LatestMetrics, NewestRow};
pub use options::{DatabaseUrlError, StoreConfig, program_environment};
pub use passwords::UserWithPassword;
pub use pending::Pending;
pub use retry::{Backoff, retry};
pub use rollup::{Definition, RefreshFailure};
pub use sample_pages::SamplePage;
pub use samples::{SampleWriter, Written};
pub use sessions::{NewSession, SESSIONS_PER_USER_MAX, Session};
pub use storage_report::StorageReport;
pub use totp::TotpSecret;
pub use unsupported::UnsupportedDatabase;
pub use user_rows::UserError;
pub use users::{NewUser, UserSort, UserUpdate};
pub use watchdog::{JobProblem, UnhealthyJob};

pub use crate::config::WriteMethod;
