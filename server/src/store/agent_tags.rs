//! Changes the tags of many agents at once.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Error, Store, audit};
use crate::domain::agent::TAGS_MAX;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::AgentId;

/// Agents that already have all added and none of the removed tags stay unchanged.
const CHANGE: &str = "UPDATE agents SET updated_at = $4, tags = \
         ARRAY(SELECT tag FROM unnest(tags) WITH ORDINALITY AS old (tag, n) WHERE tag <> ALL ($3) ORDER BY n) \
         || ARRAY(SELECT tag FROM unnest($2::text[]) WITH ORDINALITY AS new (tag, n) WHERE tag <> ALL (tags) ORDER BY n) \
     WHERE id = ANY ($1) AND (NOT tags @> $2 OR tags && $3) \
     RETURNING id, coalesce(custom_name, name), cardinality(tags)";

pub(super) const STATEMENTS: &[&str] = &[CHANGE];

/// Why no agent's tags were changed.
#[derive(Debug, thiserror::Error)]
pub enum TagsError {
    /// An agent would have too many.
    #[error("the agent {0} would have more than {TAGS_MAX} tags")]
    TooMany(AgentId),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Adds and removes tags of agents, of all of them or of none. Returns which were changed. The event's object is
    /// filled in.
    ///
    /// # Errors
    /// If an agent would have too many tags, or the database is unavailable.
    pub async fn change_tags(
        &self,
        agents: &[Uuid],
        add: &[String],
        remove: &[String],
        event: &AuditEvent,
    ) -> Result<Vec<AgentId>, TagsError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await.map_err(Error::from)?;
        let changed = transaction
            .query(CHANGE, &[&agents, &add, &remove, &event.origin.at])
            .await
            .map_err(Error::from)?;
        let id = |row: &Row| AgentId(row.get(0));
        for row in &changed {
            if usize::try_from(row.get::<_, i32>(2)).is_ok_and(|n_tags| TAGS_MAX < n_tags) {
                return Err(TagsError::TooMany(id(row)));
            }
            let object = Object::new(ObjectKind::Agent, &id(row), row.get::<_, String>(1));
            audit::insert(&transaction, &event.clone().about(object)).await.map_err(Error::from)?;
        }
        transaction.commit().await.map_err(Error::from)?;
        Ok(changed.iter().map(id).collect())
    }
}
