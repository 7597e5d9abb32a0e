//! The advisory locks by which servers exclude each other. The numbers are arbitrary; they are kept in one place so
//! that no two are the same.

/// Held while migrating, so that two servers starting at once do not both do it.
pub(super) const MIGRATION: i64 = 0x7069_6b61_0001;

/// Held by the one server that does the maintenance.
pub(super) const MAINTENANCE: i64 = 0x7069_6b61_0002;

/// Held while users are changed, so that concurrent changes cannot demote the last two administrators, nor give two
/// users names that look alike.
pub(super) const USERS: i64 = 0x7069_6b61_0003;

/// Held while the Community edition's policies are compared and changed.
pub(super) const POLICIES: i64 = 0x7069_6b61_0004;

/// Held by the one server that evaluates alert rules, for the transaction of an evaluation.
pub(super) const ALERTING: i64 = 0x7069_6b61_0005;
