//! Changes the tags of many agents at once.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::agent::AgentLabels;
use crate::domain::audit::Action;
use crate::domain::permission::Permission;
use crate::domain::text::clean;
use crate::ingest::AgentChange;
use crate::store::TagsError;

/// Tags of many agents.
#[derive(Debug)]
pub struct AgentTagsApi;

/// Tag changes for many agents.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AgentsUpdate {
    /// The agents' ids. Unknown ones are ignored.
    #[oai(validator(min_items = "1", max_items = "1000"))]
    ids: Vec<Uuid>,
    /// Tags to add where missing (1–64 characters). No agent may have more than 32.
    #[serde(default)]
    #[oai(default)]
    add_tags: Vec<String>,
    /// Tags to remove where present.
    #[serde(default)]
    #[oai(default)]
    remove_tags: Vec<String>,
}

/// The result of changing tags.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AgentsUpdated {
    /// The ids of the agents that were changed; the others already matched.
    ids: Vec<Uuid>,
}

impl From<TagsError> for ApiError {
    fn from(error: TagsError) -> Self {
        match error {
            TagsError::TooMany(_) => ApiError::unprocessable("addTags", &error.to_string()),
            TagsError::Store(error) => error.into(),
        }
    }
}

fn tags(field: &str, tags: &[String]) -> Result<Vec<String>, ApiError> {
    let labels = AgentLabels::new("", tags, String::new());
    Ok(labels.map_err(|error| ApiError::unprocessable(field, &error.message))?.tags)
}

#[OpenApi(prefix_path = "/api/agents", tag = "Tag::Agents")]
impl AgentTagsApi {
    /// Tag many agents
    ///
    /// For administrators. Either all agents are changed or none.
    #[oai(path = "/bulk", method = "post", operation_id = "updateAgents")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AgentsUpdate>,
    ) -> Result<Json<AgentsUpdated>, ApiError> {
        let caller = auth.require(Permission::WriteAgents)?;
        let Body(AgentsUpdate { ids, add_tags, remove_tags }) = body;
        let (add, remove) = (tags("addTags", &add_tags)?, tags("removeTags", &remove_tags)?);
        if let Some(both) = add.iter().find(|tag| remove.contains(tag)) {
            return Err(ApiError::unprocessable(
                "addTags",
                &format!("{} is also in removeTags", clean(both)),
            ));
        }
        let event = caller.event(Action::AgentUpdated).with(json!({"addTags": add, "removeTags": remove}));
        let changed = context.store.change_tags(&ids, &add, &remove, &event).await?;
        for agent in &changed {
            context.sockets.announce_agent(*agent, AgentChange::Updated);
        }
        tracing::info!(count = changed.len(), user = clean(&caller.user.username), "changed agents' tags");
        Ok(Json(AgentsUpdated { ids: changed.into_iter().map(|id| id.0).collect() }))
    }
}
