//! Users: who may log in, and with which role.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::body::Body;
use super::checked::search_text;
use super::done::DoneResponse;
use super::role::RoleName;
use super::security::UserAuth;
use super::user_request::{SortOrder, UserChange, UserRequest, audit_details, parse_sort};
use super::{ApiContext, ApiError, Tag};
use crate::auth::NewPassword;
use crate::domain::audit::Action;
use crate::domain::id::UserId;
use crate::domain::permission::{Credential, Permission};
use crate::domain::user::{Role, User};
use crate::store::Store;

/// Users.
#[derive(Debug)]
pub struct UsersApi;

/// A user.
#[derive(Clone, Debug, Object)]
#[oai(rename = "User", rename_all = "camelCase")]
pub(super) struct UserBody {
    /// The user's id.
    id: Uuid,
    /// The login name, in any case.
    username: String,
    /// The display name.
    nickname: String,
    /// Mail address; empty if none.
    email: String,
    /// Telephone number; empty if none.
    phone: String,
    /// URL of a picture; empty if none.
    avatar: String,
    /// The user's role.
    role: RoleName,
    /// 1 enabled, 0 disabled.
    status: i32,
    /// Whether logging in also takes a code of a second factor.
    totp_enabled: bool,
    /// When the user was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When the user was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

/// A page of users.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct UserPage {
    /// The users.
    items: Vec<UserBody>,
    /// Number of users on all pages.
    total: i64,
    /// The number of this page.
    page: i64,
    /// Users per full page.
    page_size: i64,
}

/// A new user.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
struct UserCreated {
    /// The user.
    user: UserBody,
    /// The generated password; null if one was given or none was set. It is shown only once, here.
    password: Option<String>,
}

/// Whether a user may log in.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct StatusChange {
    /// 1 enabled, 0 disabled.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    status: i32,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The user was created.
    #[oai(status = 201)]
    Created(
        Json<UserCreated>,
        /// The URL of the user.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            username: user.username,
            nickname: user.nickname,
            email: user.email,
            phone: user.phone,
            avatar: user.avatar,
            role: user.role.into(),
            status: i32::from(user.enabled),
            totp_enabled: user.has_totp,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Returns the user of a path, or 404.
pub(super) async fn find(store: &Store, id: Uuid) -> Result<User, ApiError> {
    store.user(UserId(id)).await?.ok_or_else(|| ApiError::not_found("there is no such user"))
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Users")]
impl UsersApi {
    /// List users
    ///
    /// For administrators.
    #[oai(path = "/users", method = "get", operation_id = "listUsers")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Page number, from 1.
        #[oai(
            default = "super::paging::first_page",
            validator(minimum(value = "1"), maximum(value = "1000000"))
        )]
        page: Query<i64>,
        /// Users per page.
        #[oai(
            name = "pageSize",
            default = "super::paging::default_page_size",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        page_size: Query<i64>,
        /// Only users whose username, nickname, mail address or telephone number contains this, in any case.
        #[oai(validator(max_length = 255))]
        search: Query<Option<String>>,
        /// The sort field: `username` (the default), `nickname`, `email`, `role`, `status`, `createdAt` or `updatedAt`;
        /// a leading `-` reverses the order.
        #[oai(validator(max_length = 32))]
        sort: Query<Option<String>>,
        /// `asc` (the default) or `desc`.
        order: Query<Option<SortOrder>>,
    ) -> Result<Json<UserPage>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let (sort, is_descending) = parse_sort(sort.0.as_deref().unwrap_or("username"), order.0)?;
        let search = search_text("search", search.0)?.unwrap_or_default();
        let offset = (page.0 - 1) * page_size.0;
        let (users, total) = context.store.users(&search, sort, is_descending, offset, page_size.0).await?;
        let items = users.into_iter().map(UserBody::from).collect();
        Ok(Json(UserPage { items, total, page: page.0, page_size: page_size.0 }))
    }

    /// Create a user
    ///
    /// For administrators. With an API token, only a user who cannot log in until an administrator has set a password.
    #[oai(path = "/users", method = "post", operation_id = "createUser")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<UserRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteUsers)?;
        let Body(mut request) = body;
        let role = request.role.map_or(Role::User, Role::from);
        if role == Role::Admin || request.password.is_some() {
            caller.may(Permission::ManageCredentials)?;
        }
        let password = match caller.credential {
            Credential::Session { .. } => NewPassword::given_or_generated(request.password.take()),
            Credential::ApiToken(_) => NewPassword::Unusable,
        };
        let event = caller.event(Action::UserCreated).with(json!({"role": role.as_str()}));
        let (user, password) = context.auth.create_user(request.check(role)?, password, event).await?;
        let location = format!("/api/users/{}", user.id);
        let password = password.map(|password| password.expose_secret().to_owned());
        Ok(CreateResponse::Created(Json(UserCreated { user: user.into(), password }), location))
    }

    /// Get a user
    ///
    /// Yourself or, as an administrator, anybody.
    #[oai(path = "/users/:id", method = "get", operation_id = "getUser")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
    ) -> Result<Json<UserBody>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        if caller.user.id.0 != id.0 {
            caller.may(Permission::ReadAdministration)?;
        }
        Ok(Json(find(&context.store, id.0).await?.into()))
    }

    /// Change a user
    ///
    /// As an administrator anybody; otherwise, with a session, yourself except for username and role. The last enabled
    /// administrator cannot be demoted (409).
    #[oai(path = "/users/:id", method = "put", operation_id = "updateUser")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
        body: Body<UserChange>,
    ) -> Result<Json<UserBody>, ApiError> {
        let Body(change) = body;
        let is_own = auth.require(Permission::ManageOwnAccount).is_ok_and(|caller| caller.user.id.0 == id.0);
        let caller = auth.require(match (is_own && change.is_personal(), change.role) {
            (true, _) => Permission::ManageOwnAccount,
            (false, None) => Permission::WriteUsers,
            (false, Some(_)) => Permission::ManageCredentials,
        })?;
        let update = change.check()?;
        let event = caller.event(Action::UserUpdated).with(audit_details(&update));
        Ok(Json(context.store.update_user(UserId(id.0), &update, event).await?.into()))
    }

    /// Delete a user
    ///
    /// For administrators. The user's sessions and API tokens end at once. The last enabled administrator cannot be
    /// deleted (409).
    #[oai(path = "/users/:id", method = "delete", operation_id = "deleteUser")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
    ) -> Result<DoneResponse, ApiError> {
        let caller = auth.require(Permission::WriteUsers)?;
        context.store.delete_user(UserId(id.0), caller.event(Action::UserDeleted)).await?;
        Ok(DoneResponse::NoContent)
    }

    /// Enable or disable a user
    ///
    /// For administrators. The sessions and API tokens of a disabled user end at once, for good. Enabling takes a
    /// session. The last enabled administrator cannot be disabled (409).
    #[oai(path = "/users/:id/status", method = "post", operation_id = "setUserStatus")]
    async fn set_status(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The user's id.
        id: Path<Uuid>,
        body: Body<StatusChange>,
    ) -> Result<Json<UserBody>, ApiError> {
        let is_enabled = body.0.status == 1;
        let caller =
            auth.require(if is_enabled { Permission::ManageCredentials } else { Permission::WriteUsers })?;
        let action = if is_enabled { Action::UserEnabled } else { Action::UserDisabled };
        let user = context.store.set_user_enabled(UserId(id.0), is_enabled, caller.event(action)).await?;
        Ok(Json(user.into()))
    }
}
