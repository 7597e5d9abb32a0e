//! Tests of mail with a small server that keeps every line, over real TLS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::notify::channels::AttemptResult;
use crate::notify::message::{Language, Sample, sample_notices};
use crate::notify::outbound::OutboundOptions;

/// The server's encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Implicit,
    StartTls,
    /// It offers STARTTLS, and an attacker has appended to its answer.
    Injected,
    None,
}

/// A mail server: the commands it got, and its answers to commands with these prefixes instead of success.
struct MailServer {
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An authority, and a server's configuration with a certificate of it for `mail.example`.
fn authority() -> (RootCertStore, Arc<ServerConfig>) {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["mail.example".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(pika_shared::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (roots, Arc::new(config))
}

impl MailServer {
    async fn start(
        security: Security,
        tls: Arc<ServerConfig>,
        answers: HashMap<&'static str, &'static str>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls));
                if security == Security::Implicit {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        drop(talk(stream, "", true, &kept, &answers).await);
                    }
                    continue;
                }
                let offer = if security == Security::None { "" } else { "250-STARTTLS\r\n" };
                let Some(mut stream) = talk(stream, offer, true, &kept, &answers).await else {
                    continue;
                };
                let answer: &[u8] = match security {
                    Security::Injected => b"220 go\r\n250 injected\r\n",
                    _ => b"220 go\r\n",
                };
                stream.write_all(answer).await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    drop(talk(stream, "", false, &kept, &answers).await);
                }
            }
        });
        Self { port, lines, task }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn said(&self, start: &str) -> Option<String> {
        self.lines().into_iter().find(|line| line.starts_with(start))
    }
}

/// Talks until the end, or until TLS should begin: then the connection is returned.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    offer: &str,
    greets: bool,
    kept: &Mutex<Vec<String>>,
    answers: &HashMap<&'static str, &'static str>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 mail.example\r\n").await.ok()?;
    }
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches("\r\n").to_owned();
        kept.lock().unwrap().push(line.clone());
        if is_data {
            if line == "." {
                is_data = false;
                let answer = answers.get("END").copied().unwrap_or("250 taken");
                stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
            }
            continue;
        }
        if line == "STARTTLS" {
            return Some(stream.into_inner());
        }
        let known = answers.iter().find(|(start, _)| line.starts_with(*start)).map(|(_, answer)| *answer);
        let answer = match (known, line.split(' ').next().unwrap_or_default()) {
            (Some(answer), _) => answer.to_owned(),
            (None, "EHLO") => format!("250-mail.example\r\n{offer}250-SMTPUTF8\r\n250 AUTH PLAIN LOGIN"),
            (None, "AUTH") => "235 welcome".to_owned(),
            (None, "DATA") => "354 go on".to_owned(),
            (None, _) => "250 yes".to_owned(),
        };
        is_data = answer.starts_with("354");
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

fn outbound(roots: RootCertStore, allowed: &[&str]) -> Outbound {
    let options = OutboundOptions {
        allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
        http_proxy: String::new(),
        request_timeout: Duration::from_secs(10),
        tls: Some(Arc::new(pika_shared::tls::client_trusting(roots).unwrap())),
    };
    let resolve = |_| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) }) as BoxFuture<'static, _>;
    Outbound::resolving(options, Box::new(resolve)).unwrap()
}

fn settings(port: u16, security: &str) -> Settings {
    let plain = json!({"host": "mail.example", "port": port, "security": security, "username": "pika",
        "from": "pika@pika.example", "to": ["ops@pika.example", "on-call@pika.example"]});
    Settings {
        plain: plain.as_object().unwrap().clone(),
        secrets: [("password".to_owned(), "hunter2hunter2".into())].into(),
        body_template: None,
    }
}

async fn send_with(outbound: &Outbound, settings: &Settings, subject: &str) -> Outcome {
    let message = Message {
        language: Language::English,
        time_zone: TimeZone::UTC,
        public_url: "https://pika.example".to_owned(),
        channel: "ops".to_owned(),
        key: Uuid::from_u128(7),
        sent_at: 1_795_534_320_000,
        due_at: 1_795_534_320_000,
        is_test: false,
        notices: sample_notices(Sample::Firing, 1_795_534_320_000),
    };
    let texts =
        MailTexts { subject, plain: "Disk full.\nDo something.", html: "<b>Disk full.</b>\nDo something." };
    send(outbound, settings, &message, &texts).await
}

#[tokio::test]
async fn a_mail_arrives_complete() {
    for (security, name) in [(Security::Implicit, "implicit"), (Security::StartTls, "starttls")] {
        let (roots, tls) = authority();
        let server = MailServer::start(security, tls, HashMap::new()).await;
        let outbound = outbound(roots, &["127.0.0.1/32"]);
        let outcome = send_with(&outbound, &settings(server.port, name), "[critical] 磁盘 🦫").await;
        assert_eq!(outcome, Outcome::told(None), "{name}");
        let lines = server.lines();
        let text = lines.join("\n");
        assert_eq!(lines.iter().filter(|line| line.starts_with("MAIL FROM:<pika@pika.example>")).count(), 1);
        assert_eq!(lines.iter().filter(|line| line.starts_with("RCPT TO:")).count(), 2);
        for line in [
            "From: Pika <pika@pika.example>",
            "To: ops@pika.example, on-call@pika.example",
            "Date: Tue, 24 Nov 2026 15:32:00 +0000",
            "Message-ID: <00000000-0000-0000-0000-000000000007@pika.example>",
            "References: <alert-01935f00-0000-7000-8000-000000000001@pika.example>",
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "--pika-00000000000000000000000000000007--",
            "<html><body><b>Disk full.</b><br>",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.contains("Subject: [critical] =?utf-8?b?"), "{text}");
        let login = lines.iter().position(|line| line.starts_with("AUTH")).unwrap();
        let encrypted = lines.iter().position(|line| line == "STARTTLS").map_or(0, |index| index + 1);
        assert!(encrypted <= login, "no password before TLS: {text}");
    }
}

#[tokio::test]
async fn nothing_confidential_is_sent_without_tls() {
    let (roots, tls) = authority();
    let server = MailServer::start(Security::None, Arc::clone(&tls), HashMap::new()).await;
    let allowed = outbound(roots.clone(), &["127.0.0.1/32"]);
    let outcome = send_with(&allowed, &settings(server.port, "starttls"), "x").await;
    assert_eq!((outcome.result, outcome.is_final), (AttemptResult::Rejected, true), "{outcome:?}");
    assert!(server.said("AUTH").is_none() && server.said("MAIL").is_none(), "{:?}", server.lines());

    // What an attacker appends to the answer to STARTTLS is not an answer over TLS.
    let server = MailServer::start(Security::Injected, Arc::clone(&tls), HashMap::new()).await;
    let outcome = send_with(&allowed, &settings(server.port, "starttls"), "x").await;
    assert_eq!(outcome.result, AttemptResult::Connect, "{outcome:?}");
    assert!(server.said("AUTH").is_none(), "{:?}", server.lines());

    // Another authority, another name, and an address that is not allowed.
    let server = MailServer::start(Security::Implicit, Arc::clone(&tls), HashMap::new()).await;
    let (others, _) = authority();
    let stranger = outbound(others, &["127.0.0.1/32"]);
    let outcome = send_with(&stranger, &settings(server.port, "implicit"), "x").await;
    assert_eq!(outcome.result, AttemptResult::Connect, "{outcome:?}");
    let mut other_name = settings(server.port, "implicit");
    other_name.plain.insert("host".to_owned(), json!("other.example"));
    let outcome = send_with(&allowed, &other_name, "x").await;
    assert_eq!(outcome.result, AttemptResult::Connect, "{outcome:?}");
    let closed = outbound(roots, &[]);
    for security in ["implicit", "starttls", "none"] {
        let outcome = send_with(&closed, &settings(server.port, security), "x").await;
        assert_eq!((outcome.result, outcome.is_final), (AttemptResult::RefusedAddress, true), "{security}");
    }
    assert!(server.lines().is_empty(), "{:?}", server.lines());
}

#[tokio::test]
async fn the_servers_answers_decide() {
    use AttemptResult::{Auth, Ok, Rejected, Server};
    for (answers, result, is_final) in [
        (vec![("AUTH", "535 no")], Auth, true),
        (vec![("AUTH", "454 later")], Server, false),
        (vec![("MAIL", "451 later")], Server, false),
        (vec![("MAIL", "550 not you")], Rejected, true),
        (vec![("RCPT", "550 nobody")], Rejected, true),
        (vec![("RCPT TO:<ops@", "550 nobody"), ("RCPT TO:<on-call@", "451 later")], Server, false),
        (vec![("RCPT TO:<ops@", "550 nobody")], Ok, false),
        (vec![("END", "554 spam")], Rejected, true),
        (vec![("END", "451 later")], Server, false),
    ] {
        let (roots, tls) = authority();
        let answers: HashMap<_, _> = answers.into_iter().collect();
        let server = MailServer::start(Security::Implicit, tls, answers.clone()).await;
        let outbound = outbound(roots, &["127.0.0.1/32"]);
        let outcome = send_with(&outbound, &settings(server.port, "implicit"), "x").await;
        assert_eq!((outcome.result, outcome.is_final), (result, is_final), "{answers:?}: {outcome:?}");
        if result == Ok {
            assert!(outcome.error.unwrap().starts_with("1 of 2 recipients refused"), "{answers:?}");
        }
    }
}

#[tokio::test]
async fn a_subject_adds_no_header_and_plain_mail_stays_internal() {
    let (roots, tls) = authority();
    let server = MailServer::start(Security::None, tls, HashMap::new()).await;
    let outbound = outbound(roots, &["127.0.0.1/32"]);
    let mut plain = settings(server.port, "none");
    plain.secrets.clear();
    plain.plain.insert("username".to_owned(), Value::Null);
    plain.plain.insert("to".to_owned(), json!(["grüße@pika.example"]));
    let outcome = send_with(&outbound, &plain, "x\r\nBcc: thief@example.org\r\n\r\nbody").await;
    assert_eq!(outcome, Outcome::told(None));
    assert!(server.said("Bcc").is_none() && server.said("RCPT TO:<thief").is_none(), "{:?}", server.lines());
    assert_eq!(server.said("MAIL FROM").as_deref(), Some("MAIL FROM:<pika@pika.example> SMTPUTF8"));
}
