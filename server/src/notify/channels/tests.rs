//! Tests every kind's requests byte for byte, and its judgement of answers.
//!
//! `golden/{kind}.txt` holds the requests for a firing alert, a resolved one, a group, and Chinese with four-byte
//! characters where the text is cut. `PIKA_TEST_WRITE_GOLDEN=1` regenerates them.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use super::super::message::{Catalogue, Language, Message, Notice, Sample, sample_notices};
use super::super::outbound::{Request, Response};
use super::*;

const NOW: i64 = 1_795_403_300_000;

/// The settings and the secrets of each kind.
fn settings(kind: &str) -> Settings {
    let (plain, secrets) = match kind {
        "webhook" => (
            json!({"method": "PUT"}),
            json!({"url": "https://receiver.example/hook?x=1", "headers": "X-Team: ops\nAuthorization: Bearer t0ken",
                   "signingSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
        ),
        "smtp" => (
            json!({"host": "mail.example", "username": "pika", "from": "pika@pika.example",
                   "to": ["ops@pika.example", "on-call@pika.example"]}),
            json!({"password": "hunter2hunter2"}),
        ),
        "telegram" => {
            (json!({"chatId": "-1001234567890", "threadId": 42}), json!({"botToken": "123456:ABCdef"}))
        }
        "slack" => (json!({}), json!({"url": "https://hooks.slack.example/services/T000/B000/XXXX"})),
        "discord" => {
            (json!({"threadId": "77"}), json!({"url": "https://discord.example/api/webhooks/1/canary"}))
        }
        "teams" => (json!({}), json!({"url": "https://prod.logic.azure.example/workflows/1?sig=canary"})),
        "ntfy" => (json!({"topic": "ops"}), json!({"token": "tk_canary"})),
        "gotify" => (json!({"server": "https://gotify.example/"}), json!({"token": "Acanary"})),
        "pagerduty" => (json!({}), json!({"routingKey": "0123456789abcdef"})),
        "jsm" => (json!({}), json!({"apiKey": "canary-key"})),
        "dingtalk" => (
            json!({"atMobiles": ["13800000000"]}),
            json!({"accessToken": "canary", "signingSecret": "SEC0123456789"}),
        ),
        "wecom" => (json!({}), json!({"key": "canary-key"})),
        "feishu" => (json!({}), json!({"hookToken": "canary", "signingSecret": "SEC0123456789"})),
        "bark" => (json!({"isCriticalLoud": true}), json!({"deviceKey": "canary"})),
        "serverchan" => (json!({}), json!({"sendKey": "sctp123tcanary"})),
        "matrix" => (
            json!({"homeserver": "https://matrix.example", "roomId": "!a b:matrix.example"}),
            json!({"accessToken": "syt_canary"}),
        ),
        "pushover" => (json!({"isCriticalLoud": true}), json!({"token": "canary-a", "userKey": "canary-u"})),
        other => panic!("{other} has no settings here"),
    };
    let secrets = secrets.as_object().unwrap().iter();
    Settings {
        plain: plain.as_object().unwrap().clone(),
        secrets: secrets.map(|(name, text)| (name.clone(), text.as_str().unwrap().into())).collect(),
        body_template: None,
    }
}

fn message(language: Language, notices: Vec<Notice>) -> Message {
    Message {
        language,
        time_zone: TimeZone::UTC,
        public_url: "https://pika.example".to_owned(),
        channel: "ops".to_owned(),
        key: Uuid::from_u128(7),
        sent_at: NOW,
        due_at: NOW,
        is_test: false,
        notices,
    }
}

/// A message too large for every kind: all names have maximum length and no single-byte characters.
fn overlong() -> Message {
    let mut notices = sample_notices(Sample::Firing, NOW);
    for notice in &mut notices {
        notice.agent.as_mut().unwrap().name = "🦫".repeat(130);
        notice.series = Some("/磁盘<&>\"'".repeat(40));
        notice.runbook = "清理 🧹 & <b>\n".repeat(200);
        notice.rule_summary = "🦫".repeat(300);
        notice.also_firing = vec!["内存🦫".repeat(60); 30];
        notice.rule_name = "磁盘".repeat(32);
    }
    message(Language::Chinese, notices)
}

fn show(request: &Request) -> String {
    let headers: Vec<String> =
        request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = String::from_utf8(request.body.clone()).unwrap();
    format!("{} {}\n{}\n{body}\n", request.method, request.url, headers.concat())
}

#[test]
fn requests_are_what_they_were_byte_for_byte() {
    let renderer = Renderer::new(Catalogue::load().unwrap());
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/channels/golden"));
    for kind in Kinds::load().unwrap().all().iter().filter(|kind| !kind.is_mail()) {
        let mut text = String::new();
        for (name, message) in [
            ("firing", message(Language::English, sample_notices(Sample::Firing, NOW))),
            ("resolved", message(Language::English, sample_notices(Sample::Resolved, NOW))),
            ("group", message(Language::English, sample_notices(Sample::Group, NOW))),
            ("overlong", overlong()),
        ] {
            let requests = renderer.requests(kind, &settings(&kind.kind), &message).unwrap();
            assert_eq!(requests.len(), if kind.is_one_each { message.notices.len() } else { 1 });
            // If many requests are alike, the first ones are enough.
            for request in requests.iter().take(2) {
                serde_json::from_slice::<Value>(&request.body).unwrap();
                text.push_str(&format!("=== {name}\n{}", show(request)));
            }
        }
        let path = folder.join(format!("{}.txt", kind.kind));
        if std::env::var_os("PIKA_TEST_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(golden == text, "{}: not as in {}:\n{text}", kind.kind, path.display());
    }
}

#[test]
fn no_limit_of_a_service_is_exceeded() {
    let renderer = Renderer::new(Catalogue::load().unwrap());
    let kinds = Kinds::load().unwrap();
    let body = |name: &str| -> Value {
        let kind = kinds.get(name).unwrap();
        let requests = renderer.requests(kind, &settings(name), &overlong()).unwrap();
        serde_json::from_slice(&requests[0].body).unwrap()
    };
    let chars = |value: &Value| value.as_str().unwrap().chars().count();
    let bytes = |value: &Value| value.as_str().unwrap().len();
    let utf16 = |value: &Value| value.as_str().unwrap().encode_utf16().count();
    assert!(utf16(&body("telegram")["text"]) <= 4_096);
    let slack = body("slack");
    let blocks = &slack["attachments"][0]["blocks"];
    assert!(chars(&blocks[0]["text"]["text"]) <= 150 && chars(&blocks[1]["text"]["text"]) <= 3_000);
    let embed = &body("discord")["embeds"][0];
    assert!(utf16(&embed["title"]) <= 256 && utf16(&embed["description"]) <= 4_096);
    assert!(bytes(&body("ntfy")["message"]) <= 4_096 && bytes(&body("ntfy")["title"]) <= 1_024);
    assert!(chars(&body("pagerduty")["payload"]["summary"]) <= 1_024);
    assert!(chars(&body("jsm")["message"]) <= 130 && chars(&body("jsm")["description"]) <= 15_000);
    assert!(bytes(&body("wecom")["markdown"]["content"]) <= 4_096);
    assert!(bytes(&body("dingtalk")["markdown"]["text"]) <= 20_000);
    assert!(body("feishu").to_string().len() <= 20_480 && body("teams").to_string().len() <= 28_672);
    assert!(chars(&body("serverchan")["title"]) <= 32);
    assert!(chars(&body("pushover")["title"]) <= 250 && chars(&body("pushover")["message"]) <= 1_024);
    assert!(body("bark").to_string().len() <= 4_096);
}

#[test]
fn every_file_is_a_kind_that_is_tried() {
    let kinds = Kinds::load().unwrap();
    let mut names: Vec<&str> = kinds.all().iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(names, FILES.map(|(name, _)| name), "a file says what it is called");
    names.sort_unstable();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/channels");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    files.sort_unstable();
    assert_eq!(files, names);
    for kind in kinds.all() {
        let settings = settings(&kind.kind);
        let checked = kind.check_settings(&settings.plain).unwrap();
        for (name, secret) in &settings.secrets {
            kind.check_secret(name, secret.expose_secret()).unwrap();
        }
        kind.check_whole(&checked, &settings.secrets.keys().cloned().collect()).unwrap();
        if let Some(required) = kind.fields.iter().find(|field| field.secret && field.required) {
            let without = settings.secrets.keys().filter(|name| **name != required.name).cloned().collect();
            assert!(kind.check_whole(&checked, &without).is_err(), "{}", kind.kind);
        }
    }
}

#[test]
fn invalid_settings_are_refused_by_name() {
    let kinds = Kinds::load().unwrap();
    let check = |kind: &str, settings: Value| {
        kinds.get(kind).unwrap().check_settings(settings.as_object().unwrap()).unwrap_err().to_string()
    };
    assert_eq!(check("telegram", json!({})), "settings.chatId: must be set");
    assert_eq!(check("telegram", json!({"chatId": "1", "x": 1})), "settings.x: is not known");
    assert_eq!(
        check("telegram", json!({"chatId": "1", "botToken": "x"})),
        "settings.botToken: is a secret: give it in secrets"
    );
    assert_eq!(
        check("telegram", json!({"chatId": "1", "threadId": 0})),
        format!("settings.threadId: must be a whole number, 1–{}", i64::MAX)
    );
    assert_eq!(check("gotify", json!({"server": "ftp://x"})), "settings.server: must begin with https://");
    assert_eq!(check("webhook", json!({"method": "GET"})), "settings.method: must be POST or PUT");
    for to in [json!([]), json!(["nobody"]), json!(["a@b.example\r\nBcc: c@d.example"]), json!("a@b.example")]
    {
        let settings = json!({"host": "mail.example", "from": "a@b.example", "to": to});
        assert!(check("smtp", settings).starts_with("settings.to: "));
    }
    let secret = |name: &str, text: &str| kinds.get("webhook").unwrap().check_secret(name, text).is_ok();
    assert!(secret("headers", "X-A: b\nX-C: d"));
    for wrong in ["Host: x", "X-A", "X A: b", "Content-Length: 1", "webhook-id: x", "X-A: b\u{0}"] {
        assert!(!secret("headers", wrong), "{wrong}");
    }
    let smtp = kinds.get("smtp").unwrap();
    let whole = |settings: Value, secrets: &[&str]| {
        let secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
        smtp.check_whole(settings.as_object().unwrap(), &secrets).is_ok()
    };
    assert!(whole(json!({"security": "none"}), &[]));
    assert!(!whole(json!({"security": "none", "username": "x"}), &["password"]));
    assert!(!whole(json!({"username": "x"}), &[]) && !whole(json!({}), &["password"]));
}

#[test]
fn answers_are_judged_as_each_service_means_them() {
    use AttemptResult::{Auth, Ok, RateLimited, Rejected, Server};
    let kinds = Kinds::load().unwrap();
    for (kind, status, body, result, is_final, wait_ms) in [
        ("webhook", 204, "", Ok, false, None),
        ("webhook", 500, "", Server, false, None),
        ("webhook", 408, "", Rejected, false, None),
        ("webhook", 400, "", Rejected, true, None),
        ("webhook", 301, "", Rejected, true, None),
        ("slack", 200, "ok", Ok, false, None),
        ("slack", 200, "no_service", Rejected, false, None),
        ("slack", 404, "channel_not_found", Rejected, true, None),
        ("slack", 429, "", RateLimited, false, None),
        ("discord", 200, r#"{"id":"1"}"#, Ok, false, None),
        ("discord", 429, r#"{"retry_after":0.5,"message":"slow"}"#, RateLimited, false, Some(500)),
        ("discord", 404, r#"{"message":"Unknown Webhook","code":10015}"#, Rejected, true, None),
        ("telegram", 200, r#"{"ok":true,"result":{}}"#, Ok, false, None),
        ("telegram", 200, r#"{"ok":false}"#, Rejected, false, None),
        (
            "telegram",
            429,
            r#"{"ok":false,"error_code":429,"parameters":{"retry_after":31}}"#,
            RateLimited,
            false,
            Some(31_000),
        ),
        ("telegram", 403, r#"{"ok":false,"description":"bot was blocked"}"#, Auth, true, None),
        ("teams", 202, "", Ok, false, None),
        ("teams", 200, "1", Ok, false, None),
        ("teams", 200, "Webhook message delivery failed with error: HTTP error 429", Rejected, false, None),
        ("ntfy", 200, r#"{"id":"x"}"#, Ok, false, None),
        ("ntfy", 403, r#"{"code":40301,"error":"forbidden"}"#, Auth, true, None),
        ("gotify", 200, r#"{"id":25}"#, Ok, false, None),
        ("gotify", 401, r#"{"error":"Unauthorized"}"#, Auth, true, None),
        ("pagerduty", 202, r#"{"status":"success"}"#, Ok, false, None),
        ("pagerduty", 400, r#"{"status":"invalid event","errors":["x"]}"#, Rejected, true, None),
        ("pagerduty", 429, "", RateLimited, false, None),
        ("jsm", 202, r#"{"result":"Request will be processed","requestId":"1"}"#, Ok, false, None),
        ("jsm", 422, r#"{"message":"x"}"#, Rejected, true, None),
        ("dingtalk", 200, r#"{"errcode":0,"errmsg":"ok"}"#, Ok, false, None),
        ("dingtalk", 200, r#"{"errcode":130101,"errmsg":"too fast"}"#, RateLimited, false, Some(600_000)),
        ("dingtalk", 200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, Rejected, true, None),
        ("wecom", 200, r#"{"errcode":0}"#, Ok, false, None),
        ("wecom", 200, r#"{"errcode":45009}"#, RateLimited, false, Some(60_000)),
        ("wecom", 200, r#"{"errcode":93000}"#, Rejected, true, None),
        ("wecom", 200, r#"{"errcode":-1}"#, Rejected, false, None),
        ("feishu", 200, r#"{"code":0,"msg":"success"}"#, Ok, false, None),
        ("feishu", 200, r#"{"code":11232,"msg":"limited"}"#, RateLimited, false, Some(60_000)),
        ("feishu", 200, r#"{"code":19021,"msg":"sign match fail"}"#, Rejected, true, None),
        ("bark", 200, r#"{"code":200}"#, Ok, false, None),
        ("bark", 400, r#"{"code":400,"message":"failed to get device token"}"#, Rejected, true, None),
        ("serverchan", 200, r#"{"code":0}"#, Ok, false, None),
        ("serverchan", 200, r#"{"code":40001,"message":"bad pushtoken"}"#, Rejected, true, None),
        ("matrix", 200, r#"{"event_id":"$1"}"#, Ok, false, None),
        (
            "matrix",
            429,
            r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}"#,
            RateLimited,
            false,
            Some(1_500),
        ),
        ("matrix", 403, r#"{"errcode":"M_FORBIDDEN"}"#, Auth, true, None),
        ("pushover", 200, r#"{"status":1}"#, Ok, false, None),
        ("pushover", 400, r#"{"status":0,"errors":["user key is invalid"]}"#, Rejected, true, None),
        ("pushover", 500, "", Server, false, None),
    ] {
        let response = Response { status, retry_after: None, moved_to: None, body: body.as_bytes().to_vec() };
        let outcome = kinds.get(kind).unwrap().judge(&settings(kind), &response);
        let wait = outcome.retry_after.map(|wait| wait.as_millis());
        assert_eq!(
            (outcome.result, outcome.is_final, wait),
            (result, is_final, wait_ms),
            "{kind} {status} {body}"
        );
    }
    let untested: Vec<_> = kinds.all().iter().filter(|kind| !kind.is_mail()).collect();
    assert_eq!(untested.len(), 16, "a new kind has answers here");
}

#[test]
fn retry_after_is_obeyed_up_to_an_hour_and_a_moved_chat_is_found() {
    let kinds = Kinds::load().unwrap();
    let response = Response {
        status: 429,
        retry_after: Some(Duration::from_secs(90_000)),
        moved_to: None,
        body: Vec::new(),
    };
    let outcome = kinds.get("slack").unwrap().judge(&settings("slack"), &response);
    assert_eq!(outcome.retry_after, Some(Duration::from_secs(3_600)));
    let body = br#"{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-100777}}"#;
    let response = Response { status: 400, retry_after: None, moved_to: None, body: body.to_vec() };
    let outcome = kinds.get("telegram").unwrap().judge(&settings("telegram"), &response);
    assert_eq!(outcome.moved, Some(("chatId".to_owned(), "-100777".to_owned())));
}

#[test]
fn a_webhook_may_say_what_success_is() {
    let kinds = Kinds::load().unwrap();
    let mut settings = settings("webhook");
    settings.plain.insert("successPointer".to_owned(), json!("/status"));
    let judge = |settings: &Settings, body: &str| {
        let response =
            Response { status: 200, retry_after: None, moved_to: None, body: body.as_bytes().to_vec() };
        kinds.get("webhook").unwrap().judge(settings, &response).is_ok()
    };
    assert!(judge(&settings, r#"{"status":"any"}"#) && !judge(&settings, "{}") && !judge(&settings, "ok"));
    settings.plain.insert("successValue".to_owned(), json!("0"));
    assert!(judge(&settings, r#"{"status":0}"#) && !judge(&settings, r#"{"status":1}"#));
}

#[test]
fn secrets_repeated_by_services_are_masked() {
    let kinds = Kinds::load().unwrap();
    let settings = settings("discord");
    let body =
        br#"{"message":"no webhook https://discord.example/api/webhooks/1/canary (api/webhooks/1/canary)"}"#;
    let response = Response { status: 404, retry_after: None, moved_to: None, body: body.to_vec() };
    let error = kinds.get("discord").unwrap().judge(&settings, &response).error.unwrap();
    assert!(error.contains("no webhook") && !error.contains("canary"), "{error}");
}

#[test]
fn a_shown_request_has_no_secrets() {
    let renderer = Renderer::new(Catalogue::load().unwrap());
    for kind in Kinds::load().unwrap().all().iter().filter(|kind| !kind.is_mail()) {
        let settings = settings(&kind.kind);
        let message = message(Language::English, sample_notices(Sample::Firing, NOW));
        for request in renderer.requests(kind, &settings, &message).unwrap() {
            let shown = format!("{:?}", Shown::of(&settings, &request));
            for secret in settings.secrets.values().map(ExposeSecret::expose_secret) {
                assert!(!shown.contains(secret), "{}: {shown}", kind.kind);
            }
        }
    }
}

#[test]
fn a_custom_template_is_rendered_with_available_values() {
    let renderer = Renderer::new(Catalogue::load().unwrap());
    let kinds = Kinds::load().unwrap();
    let kind = kinds.get("webhook").unwrap();
    let mut settings = settings("webhook");
    settings.body_template =
        Some(r#"{"t": {{ title }}, "n": {{ alerts | length }}, "s": {{ alerts[0].severity }} }"#.to_owned());
    let message = message(Language::English, sample_notices(Sample::Group, NOW));
    let requests = renderer.requests(kind, &settings, &message).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&requests[0].body),
        r#"{"t":"20 firing, 5 resolved","n":25,"s":"critical"}"#
    );
    assert!(renderer.try_template(kind, &settings, &message).is_ok());
    settings.body_template = Some("{{ titel }}".to_owned());
    assert!(renderer.try_template(kind, &settings, &message).is_err());
}

/// The example in the specification of Standard Webhooks.
#[test]
fn webhooks_are_signed_as_the_standard_says() {
    let renderer = Renderer::new(Catalogue::load().unwrap());
    let kinds = Kinds::load().unwrap();
    let mut message = message(Language::English, sample_notices(Sample::Firing, NOW));
    message.sent_at = 1_614_265_330_000;
    let mut settings = settings("webhook");
    settings.body_template = Some(r#"{"test": 2432232314}"#.to_owned());
    let requests = renderer.requests(kinds.get("webhook").unwrap(), &settings, &message).unwrap();
    let header = |name: &str| {
        requests[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!(header("webhook-id"), "00000000-0000-0000-0000-000000000007");
    assert_eq!(header("webhook-timestamp"), "1614265330");
    let key = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let content = r#"00000000-0000-0000-0000-000000000007.1614265330.{"test":2432232314}"#;
    let expected = super::super::template::hmac_sha256(&key.unwrap(), content.as_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
    // The specification's own vector.
    let key = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let content = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(
        super::super::template::hmac_sha256(&key.unwrap(), content.as_bytes()),
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}
