//! The role that reads the schema, and nothing else.

use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::Client;

use crate::store::{Error, Store};

const ROLE: &str = include_str!("../../../../sql/grafana/role.sql");
const GRANT: &str = include_str!("../../../../sql/grafana/grant.sql");
/// Ends statements of the role that have run for longer than this many milliseconds.
pub(in crate::store) const END_LONG_STATEMENTS: &str = "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = 'pika_grafana' AND state = 'active' \
         AND query_start < clock_timestamp() - $1 * interval '1 millisecond'";
/// For how long they may run. The role's own setting is a quarter of it, but nobody has to keep to that.
const STATEMENT_MS_MAX: f64 = 60_000.0;

pub(in crate::store) const STATEMENTS: &[&str] = &[END_LONG_STATEMENTS];

impl Store {
    /// Makes the role that reads the schema `grafana`, or gives it another password.
    ///
    /// # Errors
    /// When the database is away, or does not let the server make roles.
    pub async fn make_grafana_role(&self, password: &SecretString) -> Result<(), Error> {
        let mut connection = self.dedicated_connection().await?;
        // In one transaction. What PostgreSQL may write to its log is no password.
        let statements = format!("{}{GRANT}", grafana_role(&verifier(password)));
        connection.client().batch_execute(&statements).await?;
        Ok(())
    }
}

/// The statements that make the role: for somebody else to run. In place of a password they have what PostgreSQL keeps of one.
pub fn grafana_role_statements(password: &SecretString) -> String {
    format!("{}\n{GRANT}", grafana_role(&verifier(password)))
}

fn grafana_role(password: &str) -> String {
    ROLE.replace("'{password}'", &format!("'{password}'"))
}

fn verifier(password: &SecretString) -> String {
    postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes())
}

/// Lets the role read the schema, where there is that role.
pub(super) async fn grant(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(GRANT).await
}

/// Ends the role's statements that take too long; answers how many there were.
pub(in crate::store) async fn end_long_statements(client: &Client) -> Result<i64, tokio_postgres::Error> {
    Ok(client.query_one(END_LONG_STATEMENTS, &[&STATEMENT_MS_MAX]).await?.get(0))
}
