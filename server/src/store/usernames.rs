//! Usernames: which are available, and the keys by which they are found.

use std::collections::HashSet;

use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::user_rows::{UserError, exclude_others};
use crate::domain::id::UserId;
use crate::domain::name::{Looks, username_key};

const LIST_OTHERS: &str = "SELECT username FROM users WHERE id <> $1";
const LIST_KEYS: &str = "SELECT id, username, username_key FROM users ORDER BY created_at, id";
const CLEAR_KEYS: &str = "UPDATE users SET username_key = NULL WHERE id = ANY($1)";
const SET_KEYS: &str = "UPDATE users SET username_key = new.key FROM unnest($1::uuid[], $2::text[]) AS new (id, key) \
     WHERE users.id = new.id";

pub(super) const STATEMENTS: &[&str] = &[LIST_OTHERS, LIST_KEYS, CLEAR_KEYS, SET_KEYS];

/// Checks that a name is available to a user. The transaction must hold the lock on users.
///
/// # Errors
/// [`UserError::NameTaken`] and [`UserError::NameLooksTaken`].
pub(super) async fn check_username(
    transaction: &Transaction<'_>,
    username: &str,
    id: UserId,
) -> Result<(), UserError> {
    let (key, looks) = (username_key(username), Looks::of(username));
    let others = transaction.query(LIST_OTHERS, &[&id.0]).await?;
    let others: Vec<&str> = others.iter().map(|row| row.get(0)).collect();
    if others.iter().any(|other| username_key(other) == key) {
        return Err(UserError::NameTaken);
    }
    if others.iter().any(|other| Looks::of(other).are_like(&looks)) {
        return Err(UserError::NameLooksTaken);
    }
    Ok(())
}

/// Sets the key by which this server finds each user: for users from before keys existed, and for all where Unicode has
/// changed. If names have become equal, the oldest user keeps the name.
pub(super) async fn set_username_keys(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    exclude_others(&transaction).await?;
    let (mut ids, mut keys, mut seen) = (Vec::<Uuid>::new(), Vec::new(), HashSet::new());
    for row in transaction.query(LIST_KEYS, &[]).await? {
        let (id, username, found): (Uuid, &str, Option<&str>) = (row.get(0), row.get(1), row.get(2));
        let key = username_key(username);
        let key = seen.insert(key.clone()).then_some(key);
        if key.is_none() {
            tracing::error!(user = %id, username, "a user has the name of an older one and cannot log in; rename the user");
        }
        if key.as_deref() != found {
            ids.push(id);
            keys.push(key);
        }
    }
    if !ids.is_empty() {
        // First all are cleared, then each is set: two may have each other's.
        transaction.execute(CLEAR_KEYS, &[&ids]).await?;
        transaction.execute(SET_KEYS, &[&ids, &keys]).await?;
    }
    transaction.commit().await
}
