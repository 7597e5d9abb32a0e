//! The schema `grafana`: views and functions with human names, for Grafana, `psql` and whoever else reads along.
//!
//! They follow from the same declarations as tables and rollups, and are made anew, all in one transaction, when what a
//! server would make differs from what is there. PostgreSQL keeps changes from relations that views depend on, so what
//! changes those removes the schema first.

mod functions;
pub(super) mod role;
mod views;

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;

use super::rollup::Definition;
use super::rollup::build::{BuildError, transact};
use crate::domain::tier::Tier;

const SCHEMA: &str = include_str!("../../../sql/grafana/schema.sql");

/// What the schema was made by, as its comment says.
const MADE_BY: &str =
    "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'grafana'";
/// What others have made of the schema's objects, and what goes with them.
const DEPENDENTS: &str = "SELECT DISTINCT pg_describe_object('pg_class'::regclass, dependent.oid, 0) \
     FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid AND classid = 'pg_rewrite'::regclass \
     JOIN pg_class AS dependent ON dependent.oid = ev_class \
     LEFT JOIN pg_class AS class ON refclassid = 'pg_class'::regclass AND class.oid = refobjid \
     LEFT JOIN pg_proc AS proc ON refclassid = 'pg_proc'::regclass AND proc.oid = refobjid \
     JOIN pg_namespace AS schema ON schema.oid = coalesce(class.relnamespace, proc.pronamespace) \
     WHERE nspname = 'grafana' AND dependent.relnamespace <> schema.oid";
pub(super) const STATEMENTS: &[&str] = &[MADE_BY, DEPENDENTS];

/// Makes the schema what it should be, and lets the role read it where there is that role.
pub(super) async fn bring(client: &Client, definition: &Definition) -> Result<(), BuildError> {
    let sql = sql(definition);
    let ours = MadeBy::this(&sql);
    let found = client.query_opt(MADE_BY, &[]).await?;
    let found = found.map(|row| MadeBy::parse(row.get::<_, Option<&str>>(0).unwrap_or_default()));
    match &found {
        Some(found) if *found == ours => {}
        // Of two releases that run beside each other the older one does not take away what the newer one has added.
        Some(found) if ours.version < found.version => {
            tracing::info!("leaving the schema grafana as a newer release has made it");
        }
        _ => {
            announce(client).await?;
            let comment = format!("COMMENT ON SCHEMA grafana IS '{}'", ours.comment());
            transact(client, &format!("DROP SCHEMA IF EXISTS grafana CASCADE; {sql}; {comment}")).await?;
            tracing::info!("made the schema grafana");
        }
    }
    Ok(role::grant(client).await?)
}

/// Removes the schema, so that what it depends on can be changed.
pub(super) async fn remove(client: &Client) -> Result<(), BuildError> {
    announce(client).await?;
    transact(client, "DROP SCHEMA IF EXISTS grafana CASCADE").await
}

/// Says what of others' will go with the schema.
async fn announce(client: &Client) -> Result<(), tokio_postgres::Error> {
    for row in client.query(DEPENDENTS, &[]).await? {
        let dependent: String = row.get(0);
        tracing::warn!(%dependent, "is removed with the schema grafana, on which it depends");
    }
    Ok(())
}

/// All that makes the schema.
fn sql(definition: &Definition) -> String {
    let mut statements = vec![SCHEMA.replace("{without_minutes}", &without_minutes(definition))];
    for table in definition.tables() {
        statements.extend(views::series(table));
        let tiers = Tier::ALL.into_iter().filter(|tier| tier.is_of(table));
        statements.extend(tiers.map(|tier| views::samples(table, tier)));
        statements.push(functions::by_series(table));
        statements.push(functions::of_fleet(table));
    }
    statements.push(views::freshness(definition));
    statements.join(";\n")
}

/// Returns the tables without buckets of one minute, separated by commas.
fn without_minutes(definition: &Definition) -> String {
    let tables = definition.tables().iter().filter(|table| !Tier::OneMinute.is_of(table));
    tables.map(|table| table.name).collect::<Vec<_>>().join(",")
}

/// What a schema was made by.
#[derive(Debug, PartialEq, Eq)]
struct MadeBy {
    /// The release, in numbers.
    version: Vec<u32>,
    hash: String,
}

impl MadeBy {
    fn this(sql: &str) -> Self {
        let hash = Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { version: version(env!("CARGO_PKG_VERSION")), hash }
    }

    fn comment(&self) -> String {
        let version: Vec<String> = self.version.iter().map(ToString::to_string).collect();
        format!("SQL for people, made by Pika {} {}", version.join("."), self.hash)
    }

    /// Reads a comment; one that is none is of a release before all others.
    fn parse(comment: &str) -> Self {
        let mut words = comment.rsplit(' ');
        let hash = words.next().unwrap_or_default().to_owned();
        Self { version: version(words.next().unwrap_or_default()), hash }
    }
}

fn version(text: &str) -> Vec<u32> {
    text.split(['.', '-']).map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_what_made_the_schema() {
        let made_by = MadeBy::this("CREATE SCHEMA grafana");
        assert_eq!(MadeBy::parse(&made_by.comment()), made_by);
        assert!(MadeBy::parse("somebody's own").version < made_by.version);
        assert!(version("0.9.1") < version("0.10.0"));
    }
}
