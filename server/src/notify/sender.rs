//! Sends messages to a channel by mail or HTTP requests.

use std::time::Duration;

use super::channels::{AttemptResult, Kind, Kinds, Outcome, RenderError, Renderer, Settings, Shown};
use super::message::{Catalogue, Message};
use super::outbound::{Destination, Outbound, OutboundError};
use super::smtp::{self, MailTexts};

/// Minimum time between two requests for one message; between messages the channel's own pace applies.
const REQUEST_SPACING: Duration = Duration::from_millis(200);

/// Sends messages to channels.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    kinds: Kinds,
    renderer: Renderer,
    outbound: Outbound,
}

impl Sender {
    pub(crate) fn new(kinds: Kinds, catalogue: Catalogue, outbound: Outbound) -> Self {
        Self { kinds, renderer: Renderer::new(catalogue), outbound }
    }

    pub(crate) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Sends a message to a channel, and returns the outcome. If a setting has moved, it is retried once with the new
    /// value.
    pub(crate) async fn send(&self, kind: &Kind, settings: &Settings, message: &Message) -> Outcome {
        let outcome = self.send_once(kind, settings, message).await;
        let Some((field, value)) = outcome.moved.clone().filter(|_| !outcome.is_ok()) else {
            return outcome;
        };
        let mut moved = settings.clone();
        moved.plain.insert(field.clone(), value.clone().into());
        let again = self.send_once(kind, &moved, message).await;
        Outcome { moved: Some((field, value)).filter(|_| again.is_ok()), ..again }
    }

    /// Renders what would be sent; a mail is shown as a request, too.
    ///
    /// # Errors
    /// If the settings do not yield a request.
    pub(crate) fn preview(
        &self,
        kind: &Kind,
        settings: &Settings,
        message: &Message,
    ) -> Result<Vec<Shown>, RenderError> {
        if !kind.is_mail() {
            let requests = self.renderer.requests(kind, settings, message)?;
            return Ok(requests.iter().map(|request| Shown::of(settings, request)).collect());
        }
        let texts = self.renderer.texts(kind, message);
        Ok(vec![Shown {
            method: "MAIL".to_owned(),
            url: String::new(),
            headers: [("subject".to_owned(), texts.title)].into(),
            body: texts.plain,
        }])
    }

    /// Strictly checks that a custom template works with a message.
    ///
    /// # Errors
    /// Says where it does not.
    pub(crate) fn try_template(
        &self,
        kind: &Kind,
        settings: &Settings,
        message: &Message,
    ) -> Result<(), RenderError> {
        self.renderer.try_template(kind, settings, message)
    }

    /// Checks that the channel's destinations may be connected to, as far as can be told now.
    ///
    /// # Errors
    /// Names the one that may not.
    pub(crate) async fn check_places(
        &self,
        kind: &Kind,
        settings: &Settings,
    ) -> Result<(), (String, OutboundError)> {
        use super::channels::FieldType;
        for field in &kind.fields {
            let text = settings.text(&field.name);
            let path = || format!("{}.{}", if field.secret { "secrets" } else { "settings" }, field.name);
            let checked = match field.field_type {
                FieldType::Url if !text.is_empty() => self.outbound.check_url(text).await,
                FieldType::Host if !text.is_empty() => {
                    let port = settings.plain.get("port").and_then(serde_json::Value::as_u64);
                    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(587);
                    match Destination::new(text, port) {
                        Ok(destination) => {
                            let is_encrypted = settings.text("security") != "none";
                            self.outbound.check(&destination, is_encrypted).await
                        }
                        Err(error) => Err(error.into()),
                    }
                }
                _ => Ok(()),
            };
            checked.map_err(|error| (path(), error))?;
        }
        Ok(())
    }

    async fn send_once(&self, kind: &Kind, settings: &Settings, message: &Message) -> Outcome {
        if kind.is_mail() {
            let texts = self.renderer.texts(kind, message);
            let texts = MailTexts { subject: &texts.title, plain: &texts.plain, html: &texts.body };
            return smtp::send(&self.outbound, settings, message, &texts).await;
        }
        let (requests, template_error) = match self.renderer.requests(kind, settings, message) {
            Ok(requests) => (requests, None),
            Err(error) if settings.body_template.is_some() => {
                // The alert is sent anyway, in Pika's own form.
                let built_in = Settings { body_template: None, ..settings.clone() };
                match self.renderer.requests(kind, &built_in, message) {
                    Ok(requests) => (requests, Some(error)),
                    Err(error) => return unusable(&error),
                }
            }
            Err(error) => return unusable(&error),
        };
        let mut outcome = Outcome::told(None);
        for (index, request) in requests.iter().enumerate() {
            if 0 < index {
                tokio::time::sleep(REQUEST_SPACING).await;
            }
            outcome = match self.outbound.send(request).await {
                Ok(response) => kind.judge(settings, &response),
                Err(error) => Outcome::from(&error),
            };
            if !outcome.is_ok() {
                return outcome;
            }
        }
        if let Some(error) = template_error {
            outcome.error = Some(format!("sent without the channel's template: {error}"));
        }
        outcome
    }
}

fn unusable(error: &RenderError) -> Outcome {
    Outcome::failed(AttemptResult::Unusable, true, error.to_string())
}
