//! Who may do what: every operation of the API, tried by every kind of caller.
//!
//! A new operation needs one line in [`expectation`]; without it the test fails with a message.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::ADMIN_PASSWORD;
use crate::support::{TestDatabase, TestServer};

const PASSWORD: &str = "a password of eight or more";
/// An id that nothing has, so that a permitted call is answered with 404 and changes nothing.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
/// Stands for the caller's own id.
const OWN_ID: &str = "own";

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Everybody, without logging in.
    Public,
    /// Logged-in users, and tokens with `read`.
    Read,
    /// Administrators, and their tokens with `read`.
    ReadAdministration,
    /// Administrators, and their tokens with this scope.
    Write(&'static str),
    /// Logged-in users, and tokens with this scope.
    Everybody(&'static str),
    /// Logged-in users, but no tokens.
    Session,
    /// Logged-in administrators, but no tokens.
    AdministratorSession,
}
use Class::{AdministratorSession, Everybody, Public, Read, ReadAdministration, Session, Write};

/// Returns who may call an operation, and values for its parameters and its body.
#[rustfmt::skip]
fn expectation(operation_id: &str) -> Option<(Class, &'static str, Value)> {
    let none = Value::Null;
    let far = now() + 60_000;
    Some(match operation_id {
        "getHealth" | "getReadiness" => (Public, NOBODY, none),
        "connectAgent" => (Public, NOBODY, none),
        "login" => (Public, NOBODY, json!({"username": "nobody", "password": "wrong"})),
        "loginWithToken" => (Public, NOBODY, json!({"token": "wrong"})),
        "logout" => (Session, NOBODY, none),
        "getAccountInfo" => (Read, NOBODY, none),
        "getPreferences" => (Session, NOBODY, none),
        "setPreferences" => (Session, NOBODY, json!({"preferences": {}})),
        "listSessions" => (Session, NOBODY, none),
        "deleteSession" => (Session, NOBODY, none),
        "beginTotp" => (Session, NOBODY, json!({"password": "wrong"})),
        "confirmTotp" => (Session, NOBODY, json!({"code": "000000"})),
        "removeTotp" => (Session, NOBODY, json!({"password": "wrong", "code": "000000"})),
        "listApiTokens" => (Session, NOBODY, none),
        "createApiToken" => (Session, NOBODY, json!({"name": "x", "scopes": ["read"]})),
        "deleteApiToken" => (Session, NOBODY, none),
        "listUsers" => (ReadAdministration, NOBODY, none),
        "createUser" => (Write("users:write"), NOBODY, json!({"username": "x"})),
        "getUser" => (ReadAdministration, NOBODY, none),
        "updateUser" => (Write("users:write"), NOBODY, json!({"nickname": "x"})),
        "deleteUser" => (Write("users:write"), NOBODY, none),
        "setUserStatus" => (Write("users:write"), NOBODY, json!({"status": 0})),
        "changePassword" => (Session, OWN_ID, json!({"oldPassword": "wrong", "newPassword": PASSWORD})),
        "resetPassword" => (AdministratorSession, NOBODY, json!({})),
        "resetUserTotp" => (AdministratorSession, NOBODY, none),
        "listUserApiTokens" => (AdministratorSession, NOBODY, none),
        "getAuditLog" => (ReadAdministration, NOBODY, none),
        "updateAgent" => (Write("agents:write"), NOBODY, json!({"name": "x", "tags": [], "note": ""})),
        "updateAgents" => (Write("agents:write"), NOBODY, json!({"ids": [NOBODY], "addTags": ["x"]})),
        "deleteAgent" | "revokeAgentSecret" => (Write("agents:write"), NOBODY, none),
        "createAgentEnrollment" => (Write("agents:write"), NOBODY, json!({})),
        "listAgentGaps" | "getAgentPresence" | "followEvents" => (Read, NOBODY, none),
        "listAgents" | "listOnlineAgents" | "getAgent" => (Read, NOBODY, none),
        "getAgentMetrics" | "getMetrics" | "getSparklines" | "getFleetMetrics" | "getFleetRanking" | "getLatestAgentMetrics" | "getLatestFleetMetrics" => (Read, NOBODY, none),
        "listMetricTypes" => (Read, NOBODY, none),
        "createEnrollment" => (Write("agents:write"), NOBODY, json!({"name": "x", "expiresAt": far, "maxUses": 1})),
        "listEnrollments" | "getEnrollment" => (ReadAdministration, NOBODY, none),
        "deleteEnrollment" => (Write("agents:write"), NOBODY, none),
        "getRetention" => (Read, NOBODY, none),
        "previewRetention" => (Read, NOBODY, json!({"rawMs": 1, "oneMinuteMs": 1, "oneHourMs": 1, "oneDayMs": 1})),
        "setRetention" => (Write("settings:write"), NOBODY, json!({"rawMs": 1, "oneMinuteMs": 1, "oneHourMs": 1, "oneDayMs": 1})),
        "listAlertChannelKinds" => (Read, NOBODY, none),
        "listAlertChannels" | "getAlertChannel" | "listAlertDeliveries" => (ReadAdministration, NOBODY, none),
        "createAlertChannel" | "updateAlertChannel" => (Write("channels:write"), NOBODY, json!({"name": "x", "kind": "x"})),
        "deleteAlertChannel" | "testAlertChannel" | "retryAlertDelivery" => (Write("channels:write"), NOBODY, none),
        "setAlertChannelStatus" => (Write("channels:write"), NOBODY, json!({"enabled": false})),
        "testNewAlertChannel" | "previewAlertChannel" => (Write("channels:write"), NOBODY, json!({"channel": {"name": "x", "kind": "x"}})),
        "getSystemInfo" | "getStorage" | "getIngest" => (Read, NOBODY, none),
        "listAlerts" | "listPendingAlerts" | "getAlertSummary" | "getAlert" | "listAlertEvents" => (Read, NOBODY, none),
        "acknowledgeAlert" => (Everybody("alerts:acknowledge"), NOBODY, json!({})),
        "unacknowledgeAlert" | "unsnoozeAlert" => (Everybody("alerts:acknowledge"), NOBODY, none),
        "snoozeAlert" => (Everybody("alerts:acknowledge"), NOBODY, json!({"until": far})),
        "addAlertNote" => (Everybody("alerts:acknowledge"), NOBODY, json!({"note": "x"})),
        "acknowledgeAlerts" => (Everybody("alerts:acknowledge"), NOBODY, json!({"alertIds": [NOBODY]})),
        "listAlertRules" | "getAlertRule" | "listAlertMetrics" => (Read, NOBODY, none),
        "testAlertRule" => (Read, NOBODY, offline_rule()),
        "backtestAlertRule" => (Read, NOBODY, json!({"rule": offline_rule(), "start": now() - 60_000, "end": now()})),
        // Creates none: an empty name is invalid.
        "createAlertRule" => (Write("alerts:write"), NOBODY, json!({"name": "", "conditions": [{"kind": "offline", "severity": "info"}]})),
        "updateAlertRule" => (Write("alerts:write"), NOBODY, offline_rule()),
        "deleteAlertRule" | "resetAlertRule" => (Write("alerts:write"), NOBODY, none),
        "setAlertRuleStatus" => (Write("alerts:write"), NOBODY, json!({"enabled": true})),
        "listAlertSilences" | "getAlertSilence" => (Read, NOBODY, none),
        "createAlertSilence" => (Write("alerts:write"), NOBODY, json!({"kind": "silence", "name": "x"})),
        "updateAlertSilence" => (Write("alerts:write"), NOBODY, json!({"kind": "silence", "name": "x", "endsAt": far})),
        "previewAlertSilence" => (Read, NOBODY, json!({"kind": "silence", "name": "x", "endsAt": far})),
        "deleteAlertSilence" => (Write("alerts:write"), NOBODY, none),
        "getAlertSettings" => (Read, NOBODY, none),
        "setAlertSettings" => (Write("settings:write"), NOBODY, json!({"language": "xx", "timeZone": "UTC", "fleetMin": 3,
            "fleetPercent": 20, "tagPercent": 80, "historyKeepMs": 86_400_000, "version": 1})),
        _ => return None,
    })
}

fn offline_rule() -> Value {
    json!({"name": "x", "conditions": [{"kind": "offline", "severity": "info"}]})
}

/// The required query parameters of an operation.
fn query(operation_id: &str) -> &'static str {
    match operation_id {
        "getAgentMetrics" => "?type=cpu",
        "getMetrics" => "?type=cpu&agentId=00000000-0000-4000-8000-000000000000",
        "getSparklines" | "getFleetMetrics" | "getFleetRanking" => "?metric=load1",
        _ => "",
    }
}

#[derive(Clone, Debug)]
enum Caller {
    Nobody,
    /// With a credential that is expired, or for something else.
    Worthless(String),
    /// With a new session for every request, since some end it.
    Session {
        is_admin: bool,
        id: String,
    },
    /// With a token of these scopes.
    Token {
        is_admin: bool,
        id: String,
        scopes: Vec<&'static str>,
        token: String,
    },
}

/// The verdict on a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unauthorized,
    Forbidden,
    Allowed,
}

fn expected(class: Class, caller: &Caller) -> Verdict {
    let (is_admin, scopes) = match caller {
        _ if class == Public => return Verdict::Allowed,
        Caller::Nobody | Caller::Worthless(_) => return Verdict::Unauthorized,
        Caller::Session { is_admin, .. } => (*is_admin, None),
        Caller::Token { is_admin, scopes, .. } => (*is_admin, Some(scopes)),
    };
    let has = |scope: &str| scopes.is_none_or(|scopes| scopes.contains(&scope));
    let is_allowed = match class {
        Public => true,
        Read => has("read"),
        ReadAdministration => is_admin && has("read"),
        Write(scope) => is_admin && has(scope),
        Everybody(scope) => has(scope),
        Session => scopes.is_none(),
        AdministratorSession => is_admin && scopes.is_none(),
    };
    if is_allowed { Verdict::Allowed } else { Verdict::Forbidden }
}

#[tokio::test]
async fn every_caller_may_do_exactly_what_is_expected() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let callers = callers(&server).await;
    let description: Value = serde_json::from_str(&pika_server::api::description().unwrap()).unwrap();
    let mut mistakes = Vec::new();
    let mut n_operations = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            n_operations += 1;
            let id = operation["operationId"].as_str().unwrap();
            let Some((class, path_id, body)) = expectation(id) else {
                mistakes.push(format!("{id} ({method} {path}) is new: say in `expectation` who may call it"));
                continue;
            };
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for caller in &callers {
                let (verdict, answer) = ask(&server, caller, id, &method, path, path_id, &body).await;
                let expected = expected(class, caller);
                if verdict != Some(expected) {
                    mistakes.push(format!("{id} by {caller:?}: {answer}, expected {expected:?}"));
                }
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(35 <= n_operations, "{n_operations}");
    server.stop().await.unwrap();
}

async fn callers(server: &TestServer) -> Vec<Caller> {
    let admin_id = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let user_id = server.create_user("user", "user", PASSWORD).await;
    let gone_id = server.create_user("gone", "admin", PASSWORD).await;
    let gone = server.session("gone", PASSWORD).await;
    let gone_token = server.api_token(&gone, &["read"]).await;
    server.post(&format!("/api/users/{gone_id}/status"), json!({"status": 0})).await;
    let (_agent, _, agent_secret) = server.enroll("web-1").await;
    let enrollment_token = server.enrollment_token(1).await;
    let user = server.session("user", PASSWORD).await;
    let all = vec![
        "read",
        "agents:write",
        "users:write",
        "settings:write",
        "alerts:acknowledge",
        "alerts:write",
        "channels:write",
    ];
    let mut callers = vec![
        Caller::Nobody,
        Caller::Worthless(gone),
        Caller::Worthless(gone_token),
        Caller::Worthless(agent_secret),
        Caller::Worthless(enrollment_token),
        Caller::Session { is_admin: false, id: user_id.clone() },
        Caller::Session { is_admin: true, id: admin_id.clone() },
        Caller::Token {
            is_admin: false,
            id: user_id,
            token: server.api_token(&user, &all).await,
            scopes: all.clone(),
        },
    ];
    for scope in &all {
        let token = server.api_token(&server.admin_token, &[scope]).await;
        callers.push(Caller::Token { is_admin: true, id: admin_id.clone(), scopes: vec![scope], token });
    }
    callers
}

/// Returns the verdict on the caller; `None` if the request was malformed, which says nothing about permissions.
async fn ask(
    server: &TestServer,
    caller: &Caller,
    operation_id: &str,
    method: &Method,
    path: &str,
    path_id: &str,
    body: &Value,
) -> (Option<Verdict>, String) {
    let (token, own_id) = match caller {
        Caller::Nobody => (None, NOBODY),
        Caller::Worthless(token) => (Some(token.clone()), NOBODY),
        Caller::Session { is_admin: true, id } => {
            (Some(server.session("admin", ADMIN_PASSWORD).await), id.as_str())
        }
        Caller::Session { is_admin: false, id } => {
            (Some(server.session("user", PASSWORD).await), id.as_str())
        }
        Caller::Token { token, id, .. } => (Some(token.clone()), id.as_str()),
    };
    let id = if path_id == OWN_ID { own_id } else { path_id };
    let path = path.replace("{id}", id);
    assert!(!path.contains('{'), "{path}: this test knows no other parameter than id");
    let body = (!body.is_null()).then(|| body.clone());
    let path = format!("{path}{}", query(operation_id));
    let answer = server.request(method.clone(), &path, token.as_deref(), body).await;
    let told = format!("{} {}", answer.status, answer.body);
    let verdict = match (answer.status, answer.body["code"].as_str()) {
        (401, Some("unauthorized")) => Some(Verdict::Unauthorized),
        (403, Some("forbidden")) => Some(Verdict::Forbidden),
        // An upgrade is all that this one accepts.
        (400, _) if operation_id == "connectAgent" => Some(Verdict::Allowed),
        (400 | 405 | 415 | 500.., _) => None,
        _ => Some(Verdict::Allowed),
    };
    (verdict, told)
}
