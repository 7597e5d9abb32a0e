//! Alert rules, including the built-in ones.

use std::collections::HashMap;

use tokio_postgres::{GenericClient, Row, Transaction};
use uuid::Uuid;

use super::alerts::end_of_rule;
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::alert::builtin;
use crate::domain::alert::rule::{Definition, RULES_MAX, Rule};
use crate::domain::alert::step::EndReason;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};

macro_rules! select_rules {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, enabled, builtin, builtin_version, version, judged_version, definition::text, \
             uses_default_channels, summary, runbook, runbook_url, updated_at, updated_by FROM alert_rules ",
            $rest
        )
    };
}

const LIST: &str = select_rules!("ORDER BY lower(name), id");
const FIND: &str = select_rules!("WHERE id = $1");
const LOCK: &str = select_rules!("WHERE id = $1 FOR UPDATE");
const CHANNELS: &str = "SELECT rule_id, channel_id FROM alert_rule_channels ORDER BY 1, 2";
const COUNT: &str = "SELECT count(*) FROM alert_rules";
const INSERT: &str = "INSERT INTO alert_rules (id, name, enabled, definition, uses_default_channels, summary, runbook, \
         runbook_url, created_at, updated_at, updated_by) \
     VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $9, $10)";
const UPDATE: &str = "UPDATE alert_rules SET name = $2, enabled = $3, definition = $4::text::jsonb, \
         uses_default_channels = $5, summary = $6, runbook = $7, runbook_url = $8, updated_at = $9, updated_by = $10, \
         builtin_version = $11, version = version + 1, \
         judged_version = CASE WHEN $12 THEN version + 1 ELSE judged_version END \
     WHERE id = $1";
const DELETE: &str = "DELETE FROM alert_rules WHERE id = $1";
const DELETE_CHANNELS: &str = "DELETE FROM alert_rule_channels WHERE rule_id = $1";
// Channels that do not exist are ignored: they may have been deleted a moment ago.
const INSERT_CHANNELS: &str = "INSERT INTO alert_rule_channels (rule_id, channel_id) \
     SELECT $1, id FROM alert_channels WHERE id = ANY ($2)";
const INSERT_BUILTIN: &str = "INSERT INTO alert_rules (id, name, enabled, builtin, builtin_version, definition, \
         created_at, updated_at, updated_by) \
     VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $7, '') ON CONFLICT DO NOTHING";
const FOLLOW_BUILTIN: &str = "UPDATE alert_rules SET definition = $2::text::jsonb, builtin_version = $3, \
         version = version + 1, judged_version = version + 1, updated_at = $4 \
     WHERE builtin = $1 AND builtin_version < $3";

pub(super) const STATEMENTS: &[&str] = &[
    LIST,
    FIND,
    LOCK,
    CHANNELS,
    COUNT,
    INSERT,
    UPDATE,
    DELETE,
    DELETE_CHANNELS,
    INSERT_CHANNELS,
    INSERT_BUILTIN,
    FOLLOW_BUILTIN,
];

/// Why a rule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlertRuleError {
    /// There is no such rule.
    #[error("there is no such alert rule")]
    NotFound,
    /// Somebody else has changed it since it was read.
    #[error("the rule was changed in the meantime; read it again")]
    ChangedMeanwhile,
    /// Another rule has the name, in any case.
    #[error("another rule has this name")]
    NameTaken,
    /// It is a built-in rule.
    #[error("a built-in rule cannot be deleted; disable it")]
    Builtin,
    /// It is not a built-in rule, so there is nothing to reset it to.
    #[error("the rule is not a built-in one")]
    NotBuiltin,
    /// The maximum number of rules exists.
    #[error("there are {RULES_MAX} alert rules already")]
    TooMany,
    /// A rule it depends on depends on it.
    #[error("the rules would depend on each other in a cycle")]
    Circle,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<tokio_postgres::Error> for AlertRuleError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Error::from(error) {
            Error::Conflict { constraint } if constraint == "alert_rules_name" => AlertRuleError::NameTaken,
            error => AlertRuleError::Store(error),
        }
    }
}

/// A rule as written by a user.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the fields of Rule")]
pub struct RuleText {
    pub name: String,
    pub enabled: bool,
    pub definition: Definition,
    pub channel_ids: Option<Vec<Uuid>>,
    pub summary: String,
    pub runbook: String,
    pub runbook_url: Option<String>,
}

/// Returns all rules by name. One that cannot be read, because a newer server wrote it, is skipped and logged.
pub(super) async fn list(client: &impl GenericClient) -> Result<Vec<Rule>, tokio_postgres::Error> {
    let mut channels: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for row in client.query(CHANNELS, &[]).await? {
        channels.entry(row.get(0)).or_default().push(row.get(1));
    }
    let rows = client.query(LIST, &[]).await?;
    Ok(rows.iter().filter_map(|row| rule(row, &mut channels)).collect())
}

fn rule(row: &Row, channels: &mut HashMap<Uuid, Vec<Uuid>>) -> Option<Rule> {
    let id: Uuid = row.get(0);
    let definition = serde_json::from_str(row.get(7));
    let definition = definition
        .inspect_err(|error| tracing::warn!(%id, %error, "an alert rule cannot be read and is skipped"));
    let channel_ids = channels.remove(&id).unwrap_or_default();
    Some(Rule {
        id,
        name: row.get(1),
        enabled: row.get(2),
        builtin: row.get(3),
        builtin_version: row.get(4),
        version: row.get(5),
        judged_version: row.get(6),
        definition: definition.ok()?,
        channel_ids: (!row.get::<_, bool>(8)).then_some(channel_ids),
        summary: row.get(9),
        runbook: row.get(10),
        runbook_url: row.get(11),
        updated_at: row.get(12),
        updated_by: row.get(13),
    })
}

async fn find(client: &impl GenericClient, id: Uuid, sql: &str) -> Result<Option<Rule>, Error> {
    let Some(row) = client.query_opt(sql, &[&id]).await? else {
        return Ok(None);
    };
    let of_rule = client.query(CHANNELS, &[]).await?;
    let of_rule = of_rule.iter().filter(|row| row.get::<_, Uuid>(0) == id).map(|row| row.get(1)).collect();
    Ok(rule(&row, &mut HashMap::from([(id, of_rule)])))
}

/// Returns whether a rule is reachable from its dependencies.
fn has_circle(rules: &[Rule], id: Uuid, depends_on: &[Uuid]) -> bool {
    let (mut seen, mut rest) = (Vec::new(), depends_on.to_vec());
    while let Some(next) = rest.pop() {
        if next == id {
            return true;
        }
        if seen.contains(&next) {
            continue;
        }
        seen.push(next);
        let found = rules.iter().find(|rule| rule.id == next);
        rest.extend(found.into_iter().flat_map(|rule| rule.definition.depends_on.iter().copied()));
    }
    false
}

async fn set_channels(
    transaction: &Transaction<'_>,
    id: Uuid,
    channel_ids: Option<&Vec<Uuid>>,
) -> Result<(), tokio_postgres::Error> {
    transaction.execute(DELETE_CHANNELS, &[&id]).await?;
    if let Some(channel_ids) = channel_ids {
        transaction.execute(INSERT_CHANNELS, &[&id, channel_ids]).await?;
    }
    Ok(())
}

impl Store {
    /// Returns all alert rules, by name.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_rules(&self) -> Result<Vec<Rule>, Error> {
        Ok(list(self.connection().await?.client()).await?)
    }

    /// Returns one alert rule.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_rule(&self, id: Uuid) -> Result<Option<Rule>, Error> {
        find(self.connection().await?.client(), id, FIND).await
    }

    /// Creates a rule under a new id. The event's object is filled in.
    ///
    /// # Errors
    /// If its name is taken, there are too many, or the database is unavailable.
    pub async fn create_alert_rule(
        &self,
        text: &RuleText,
        event: AuditEvent,
    ) -> Result<Rule, AlertRuleError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let n_rules: i64 = transaction.query_one(COUNT, &[]).await?.get(0);
        if RULES_MAX <= n_rules {
            return Err(AlertRuleError::TooMany);
        }
        let id = Uuid::now_v7();
        let definition = json(&text.definition);
        let by = event.actor.name().to_owned();
        transaction
            .execute(
                INSERT,
                &[
                    &id,
                    &text.name,
                    &text.enabled,
                    &definition,
                    &text.channel_ids.is_none(),
                    &text.summary,
                    &text.runbook,
                    &text.runbook_url,
                    &event.origin.at,
                    &by,
                ],
            )
            .await?;
        set_channels(&transaction, id, text.channel_ids.as_ref()).await?;
        let rule = find(&transaction, id, FIND).await?.ok_or(AlertRuleError::NotFound)?;
        let object = Object::new(ObjectKind::AlertRule, &id, &text.name);
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(rule)
    }

    /// Changes a rule with `change`, provided that it has this version. Its alerts end if something else, or nothing,
    /// is judged from now on. The event's object is filled in.
    ///
    /// # Errors
    /// If there is no such rule, it has another version, or it cannot be so; when the database is unavailable.
    pub async fn change_alert_rule(
        &self,
        id: Uuid,
        version: Option<i32>,
        change: impl FnOnce(&Rule) -> RuleText + Send,
        event: AuditEvent,
    ) -> Result<Rule, AlertRuleError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let before = find(&transaction, id, LOCK).await?.ok_or(AlertRuleError::NotFound)?;
        if version.is_some_and(|version| version != before.version) {
            return Err(AlertRuleError::ChangedMeanwhile);
        }
        let text = change(&before);
        let follows_builtin = is_builtin(before.builtin.as_deref(), &text.definition);
        if has_circle(&list(&transaction).await?, id, &text.definition.depends_on) {
            return Err(AlertRuleError::Circle);
        }
        let at = event.origin.at;
        let is_other = before.definition.judges_otherwise(&text.definition);
        if before.enabled && !text.enabled {
            end_of_rule(&transaction, id, EndReason::RuleDisabled, at).await?;
        } else if is_other {
            end_of_rule(&transaction, id, EndReason::RuleChanged, at).await?;
        }
        let builtin_version = follows_builtin.then_some(builtin::VERSION);
        let by = event.actor.name().to_owned();
        transaction
            .execute(
                UPDATE,
                &[
                    &id,
                    &text.name,
                    &text.enabled,
                    &json(&text.definition),
                    &text.channel_ids.is_none(),
                    &text.summary,
                    &text.runbook,
                    &text.runbook_url,
                    &at,
                    &by,
                    &builtin_version,
                    &is_other,
                ],
            )
            .await?;
        set_channels(&transaction, id, text.channel_ids.as_ref()).await?;
        let rule = find(&transaction, id, FIND).await?.ok_or(AlertRuleError::NotFound)?;
        let object = Object::new(ObjectKind::AlertRule, &id, &text.name);
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(rule)
    }

    /// Deletes a rule; its alerts end and stay in the history. The event's object is filled in.
    ///
    /// # Errors
    /// If there is no such rule, it is built in, or the database is unavailable.
    pub async fn delete_alert_rule(&self, id: Uuid, event: AuditEvent) -> Result<(), AlertRuleError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let rule = find(&transaction, id, LOCK).await?.ok_or(AlertRuleError::NotFound)?;
        if rule.builtin.is_some() {
            return Err(AlertRuleError::Builtin);
        }
        end_of_rule(&transaction, id, EndReason::RuleDeleted, event.origin.at).await?;
        transaction.execute(DELETE, &[&id]).await?;
        let object = Object::new(ObjectKind::AlertRule, &id, rule.name);
        audit::insert(&transaction, &event.about(object)).await?;
        Ok(transaction.commit().await?)
    }

    /// Adds missing built-in rules, and updates those that nobody has changed.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn keep_builtin_alert_rules(&self, now: TimestampMs) -> Result<(), Error> {
        let connection = self.connection().await?;
        for rule in builtin::rules() {
            let definition = json(&rule.definition);
            let id = Uuid::now_v7();
            let parameters: [super::connection::Parameter<'_>; 7] =
                [&id, &rule.name, &rule.enabled, &rule.key, &builtin::VERSION, &definition, &now];
            connection.execute(INSERT_BUILTIN, &parameters).await?;
            let parameters: [super::connection::Parameter<'_>; 4] =
                [&rule.key, &definition, &builtin::VERSION, &now];
            connection.execute(FOLLOW_BUILTIN, &parameters).await?;
        }
        Ok(())
    }
}

/// Returns whether a rule matches the built-in one with this key.
fn is_builtin(key: Option<&str>, definition: &Definition) -> bool {
    let rules = builtin::rules();
    rules.iter().any(|rule| key == Some(rule.key) && rule.definition == *definition)
}

/// A definition consists of values that JSON has.
fn json(definition: &Definition) -> String {
    serde_json::to_string(definition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::condition::Condition;
    use crate::domain::alert::severity::Severity;

    #[test]
    fn circles_are_found() {
        let id = Uuid::from_u128;
        let rule = |this: u128, depends_on: &[u128]| Rule {
            id: id(this),
            name: String::new(),
            enabled: true,
            builtin: None,
            builtin_version: None,
            version: 1,
            judged_version: 1,
            definition: Definition {
                depends_on: depends_on.iter().copied().map(id).collect(),
                ..Definition::of(Condition::Offline { severity: Severity::Critical })
            },
            channel_ids: None,
            summary: String::new(),
            runbook: String::new(),
            runbook_url: None,
            updated_at: 0,
            updated_by: String::new(),
        };
        let rules = [rule(1, &[2]), rule(2, &[3]), rule(3, &[])];
        assert!(has_circle(&rules, id(3), &[id(1)]));
        assert!(has_circle(&rules, id(3), &[id(3)]));
        assert!(!has_circle(&rules, id(1), &[id(2), id(3), id(9)]));
    }
}
