//! Mail: one message to all recipients, over a checked connection, encrypted or not at all.

mod error;
mod starttls;
mod stream;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Severity;
use url::Url;
use uuid::Uuid;

use super::channels::{AttemptResult, Outcome, Settings};
use super::message::Message;
use super::outbound::{Destination, Outbound, OutboundError};
use crate::domain::text::clean;
use error::SmtpError;
use stream::SmtpStream;

const DEFAULT_PORT: u16 = 587;
/// The host name used in SMTP if the server's own is unknown.
const UNKNOWN_HOST: &str = "pika.invalid";

/// The texts of a mail.
pub(super) struct MailTexts<'a> {
    pub(super) subject: &'a str,
    pub(super) plain: &'a str,
    pub(super) html: &'a str,
}

/// Sends a mail.
pub(super) async fn send(
    outbound: &Outbound,
    settings: &Settings,
    message: &Message,
    texts: &MailTexts<'_>,
) -> Outcome {
    let sent = tokio::time::timeout(outbound.request_timeout(), deliver(outbound, settings, message, texts));
    match sent.await.unwrap_or(Err(SmtpError::Outbound(OutboundError::Timeout))) {
        Ok(None) => Outcome::told(None),
        Ok(Some(refused)) => {
            Outcome { error: Some(clean(&settings.redact(&refused))), ..Outcome::told(None) }
        }
        Err(SmtpError::Outbound(error)) => Outcome::from(&error),
        Err(error) => {
            let (result, is_final) = classify(&error);
            Outcome::failed(result, is_final, clean(&settings.redact(&error.to_string())))
        }
    }
}

fn classify(error: &SmtpError) -> (AttemptResult, bool) {
    match error {
        SmtpError::Outbound(_) => (AttemptResult::Connect, false),
        SmtpError::Unusable(_) => (AttemptResult::Unusable, true),
        SmtpError::NoStartTls => (AttemptResult::Rejected, true),
        SmtpError::Greeting(400..500) => (AttemptResult::Server, false),
        SmtpError::Greeting(_) => (AttemptResult::Rejected, false),
        SmtpError::Login(_) => (AttemptResult::Auth, true),
        SmtpError::Smtp(error) if error.is_permanent() => (AttemptResult::Rejected, true),
        SmtpError::Smtp(error) if error.is_transient() => (AttemptResult::Server, false),
        SmtpError::Smtp(error) if error.is_client() => (AttemptResult::Unusable, true),
        SmtpError::Smtp(_) => (AttemptResult::Connect, false),
    }
}

/// Returns which recipients were refused, if others were accepted.
async fn deliver(
    outbound: &Outbound,
    settings: &Settings,
    message: &Message,
    texts: &MailTexts<'_>,
) -> Result<Option<String>, SmtpError> {
    let host = own_host(&message.public_url);
    let mail = Envelope::of(settings)?;
    let bytes = compose(&mail, message, texts, &host)?;
    let hello = ClientId::Domain(host);
    let stream = open(outbound, settings, &hello).await?;
    let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?;
    log_in(&mut connection, settings).await?;
    let refused = hand_over(&mut connection, &mail, &bytes).await?;
    // The server has accepted the mail by now; how it handles QUIT changes nothing.
    drop(connection.quit().await);
    Ok(refused)
}

async fn open(outbound: &Outbound, settings: &Settings, hello: &ClientId) -> Result<SmtpStream, SmtpError> {
    let port = settings.plain.get("port").and_then(serde_json::Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(DEFAULT_PORT);
    let destination = Destination::new(settings.text("host"), port).map_err(OutboundError::Destination)?;
    match settings.text("security") {
        "none" => Ok(SmtpStream::new(outbound.connect(&destination, false).await?)),
        "implicit" => {
            let connection = outbound.connect(&destination, true).await?;
            Ok(SmtpStream::new(outbound.encrypt(&destination, connection).await?))
        }
        _ => {
            let mut connection = outbound.connect(&destination, true).await?;
            starttls::ask(&mut connection, hello).await?;
            Ok(SmtpStream::greeted(outbound.encrypt(&destination, connection).await?))
        }
    }
}

async fn log_in(connection: &mut AsyncSmtpConnection, settings: &Settings) -> Result<(), SmtpError> {
    let (username, password) = (settings.text("username"), settings.text("password"));
    if username.is_empty() || password.is_empty() {
        return Ok(());
    }
    let credentials = Credentials::new(username.to_owned(), password.to_owned());
    match connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => {
            Err(SmtpError::Login(error.status().map(|code| code.to_string()).unwrap_or_default()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sender and recipients.
struct Envelope {
    from: Address,
    to: Vec<Address>,
}

impl Envelope {
    fn of(settings: &Settings) -> Result<Self, SmtpError> {
        let address = |text: &str| text.parse().map_err(|_| SmtpError::Unusable("an address is invalid"));
        let to = settings.plain.get("to").and_then(serde_json::Value::as_array);
        let to = to.into_iter().flatten().filter_map(serde_json::Value::as_str);
        let to: Vec<Address> = to.map(address).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err(SmtpError::Unusable("there are no recipients"));
        }
        Ok(Self { from: address(settings.text("from"))?, to })
    }
}

/// Transfers the mail. A refused recipient does not keep it from the others.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    mail: &Envelope,
    bytes: &[u8],
) -> Result<Option<String>, SmtpError> {
    let mut parameters = Vec::new();
    let is_ascii = |address: &Address| address.to_string().is_ascii();
    if !is_ascii(&mail.from) || !mail.to.iter().all(is_ascii) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SmtpError::Unusable("the mail server takes no addresses with such characters"));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(Some(mail.from.clone()), parameters)).await?;
    let mut refused = Vec::new();
    for to in &mail.to {
        match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() || error.is_transient() => refused.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    if refused.len() == mail.to.len() {
        // A temporary refusal is retried, so it takes precedence in the error.
        let index = refused.iter().position(Error::is_transient).unwrap_or_default();
        return Err(refused.swap_remove(index).into());
    }
    connection.command(Data).await?;
    let response = connection.message(bytes).await?;
    if response.code().severity != Severity::PositiveCompletion {
        return Err(SmtpError::Greeting(response.code().into()));
    }
    let n_refused = refused.len();
    Ok(refused.first().map(|error| format!("{n_refused} of {} recipients refused: {error}", mail.to.len())))
}

fn compose(
    mail: &Envelope,
    message: &Message,
    texts: &MailTexts<'_>,
    host: &str,
) -> Result<Vec<u8>, SmtpError> {
    let html = format!("<html><body>{}</body></html>", texts.html.replace('\n', "<br>\r\n"));
    let parts = MultiPart::alternative()
        .boundary(format!("pika-{}", message.key.simple()))
        .singlepart(part(ContentType::TEXT_PLAIN, texts.plain.replace('\n', "\r\n")))
        .singlepart(part(ContentType::TEXT_HTML, html));
    let sent_at = UNIX_EPOCH + Duration::from_millis(message.sent_at.max(0).unsigned_abs());
    let mut builder = lettre::Message::builder()
        .from(Mailbox::new(Some("Pika".to_owned()), mail.from.clone()))
        .subject(texts.subject)
        .date(SystemTime::min(sent_at, UNIX_EPOCH + Duration::from_secs(253_402_300_799)))
        .message_id(Some(format!("<{}@{host}>", message.key)))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"));
    for to in &mail.to {
        builder = builder.to(Mailbox::new(None, to.clone()));
    }
    if let [notice] = message.notices.as_slice() {
        let thread = thread_id(notice.alert_id, host);
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let made = builder.multipart(parts).map_err(|_| SmtpError::Unusable("its headers"))?;
    Ok(made.formatted())
}

fn part(content_type: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(content_type).body(text)
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The id that all mails of one alert refer to, so that they are shown as a thread.
fn thread_id(alert_id: Uuid, host: &str) -> String {
    format!("<alert-{alert_id}@{host}>")
}

fn own_host(public_url: &str) -> String {
    let host = Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.filter(|host| !host.starts_with('[')).unwrap_or_else(|| UNKNOWN_HOST.to_owned())
}

#[cfg(test)]
mod tests;
