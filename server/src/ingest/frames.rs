//! Sends, receives and refuses the frames of one connection.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_protocol::message::Refusal;
use pika_protocol::{ErrorCode, Register, ServerMessage};
use poem::web::websocket::{CloseCode, Message as Frame, WebSocketStream};
use tokio::time::timeout;

use super::decode::{self, DecodeError, Decoded, Message};
use super::refusals::Refusals;
use crate::domain::TimestampMs;
use crate::domain::refused::Refused;

/// An agent that does not accept an answer within this time is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent that does not finish the close handshake within this time was already gone.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum refusals of one frame reported to the agent individually.
const REFUSALS_PER_FRAME_MAX: usize = 8;

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The agent closed it or it broke.
    Gone,
    /// The server closes it.
    Close(CloseCode, &'static str),
}

pub(super) type Flow = Result<(), End>;

/// An item of the stream: `None` at its end.
pub(super) type Received = Option<io::Result<Frame>>;

/// Limits on the size of frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    pub(super) frame_bytes_max: usize,
    /// For everything received before the agent is registered.
    pub(super) register_bytes_max: usize,
    pub(super) samples_per_frame_max: usize,
}

/// The stream, and what was refused on it.
pub(super) struct Frames {
    stream: WebSocketStream,
    pub(super) refusals: Refusals,
    limits: FrameLimits,
    /// A frame that arrived while nobody could process it.
    held: Received,
}

impl Frames {
    pub(super) fn new(stream: WebSocketStream, refusals: Refusals, limits: FrameLimits) -> Self {
        Self { stream, refusals, limits, held: None }
    }

    pub(super) async fn send(&mut self, message: &ServerMessage) -> Flow {
        // These types always serialize.
        let text = serde_json::to_string(message).unwrap_or_default();
        self.send_frame(Frame::Text(text)).await
    }

    pub(super) async fn ping(&mut self) -> Flow {
        self.send_frame(Frame::Ping(Vec::new())).await
    }

    async fn send_frame(&mut self, frame: Frame) -> Flow {
        match timeout(SEND_TIMEOUT, self.stream.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    pub(super) async fn refuse(&mut self, seq: Option<u64>, refused: Refused) -> Flow {
        self.refusals.add(&refused);
        let refusal = Refusal { code: refused.code, message: refused.message, seq };
        self.send(&ServerMessage::Error(refusal)).await
    }

    pub(super) async fn refuse_all(&mut self, seq: Option<u64>, refused: Vec<Refused>) -> Flow {
        for (index, refused) in refused.into_iter().enumerate() {
            if index < REFUSALS_PER_FRAME_MAX {
                self.refuse(seq, refused).await?;
            } else {
                self.refusals.add(&refused);
            }
        }
        Ok(())
    }

    /// Receives the next frame. Cancel safe.
    pub(super) async fn next(&mut self) -> Received {
        match self.held.take() {
            Some(frame) => Some(frame),
            None => self.stream.next().await,
        }
    }

    /// Completes when the agent has hung up. A frame that arrives before that is kept for [`Frames::next`].
    pub(super) async fn hung_up(&mut self) {
        while self.held.is_none() {
            match self.stream.next().await {
                Some(Ok(Frame::Close(_))) | None => return,
                Some(Err(error)) if !is_too_large(&error) => return,
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                frame => self.held = frame,
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reads one frame before the agent is known. Returns `None` for a frame other than `register`, which is answered
    /// here, and the inner error for a `register` that cannot be decoded.
    pub(super) async fn read_register(
        &mut self,
        now: impl Fn() -> TimestampMs,
    ) -> Result<Option<Result<(Register, Option<TimestampMs>), Refused>>, End> {
        let frame = self.next().await;
        let Some(text) = self.text_of(frame).await? else {
            return Ok(None);
        };
        match self.decode(&text, now()) {
            Ok(decoded) => match decoded.message {
                Message::Register(register) => return Ok(Some(Ok((*register, decoded.timestamp)))),
                Message::Heartbeat | Message::Samples { .. } | Message::Gap(_) => {
                    let refused =
                        Refused::new(ErrorCode::NotRegistered, "the first message must be register");
                    self.refuse(decoded.seq, refused).await?;
                }
            },
            Err(error) if error.is_register => return Ok(Some(Err(error.refused))),
            Err(error) => self.refuse(error.seq, error.refused).await?,
        }
        Ok(None)
    }

    /// Decodes the text of a frame.
    pub(super) fn decode(&self, text: &str, now: TimestampMs) -> Result<Decoded, DecodeError> {
        decode::decode(text, now, self.limits.samples_per_frame_max)
    }

    /// Tells the agent that it is being read more slowly because it exceeds a limit. Not sent every time, which would
    /// only add to the load.
    pub(super) async fn slow_down(&mut self, limit: &str) -> Flow {
        let message = format!("more than {limit}; reading more slowly, nothing is lost");
        let refused = Refused::new(ErrorCode::TooFast, message);
        if self.refusals.add(&refused) {
            let refusal = Refusal { code: refused.code, message: refused.message, seq: None };
            return self.send(&ServerMessage::Error(refusal)).await;
        }
        Ok(())
    }

    /// Returns the text of a frame; `None` if it carries none.
    pub(super) async fn text_of(&mut self, frame: Received) -> Result<Option<String>, End> {
        match frame {
            Some(Ok(Frame::Text(text))) => Ok(Some(text)),
            Some(Ok(Frame::Binary(_))) => {
                self.refuse(None, Refused::new(ErrorCode::BinaryFrame, "frames are JSON text")).await?;
                Ok(None)
            }
            // Pongs are sent by the WebSocket library.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(None),
            Some(Ok(Frame::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => {
                let message = if is_too_large(&error) {
                    format!("a frame may have {} bytes at most", self.limits.frame_bytes_max)
                } else if error.kind() == io::ErrorKind::QuotaExceeded {
                    let bytes_max = self.limits.register_bytes_max;
                    format!("an agent may send {bytes_max} bytes at most before it is registered")
                } else {
                    return Err(End::Gone);
                };
                self.refuse(None, Refused::new(ErrorCode::FrameTooLarge, message)).await?;
                Err(End::Close(CloseCode::Size, "frame too large"))
            }
        }
    }

    /// Returns whether the agent answers the close frame it was sent. One that has vanished does not; at best the
    /// network, or a machine that has restarted since, answers with an error.
    pub(super) async fn is_close_answered(&mut self) -> bool {
        let answered = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Frame::Close(_))) | None => return true,
                    Some(Err(_)) => return false,
                    // Sent before the agent saw the close frame; not acknowledged, so not lost.
                    Some(Ok(_)) => {}
                }
            }
        };
        timeout(CLOSE_TIMEOUT, answered).await.unwrap_or(false)
    }

    pub(super) async fn close(&mut self, end: End) {
        if let End::Close(code, reason) = end
            && self.send_frame(Frame::Close(Some((code, reason.to_owned())))).await.is_err()
        {
            tracing::trace!("the agent was gone before the close frame was sent");
        }
        self.refusals.log_totals();
    }
}

/// poem passes the WebSocket library's errors on as text; a test checks this against the library.
fn is_too_large(error: &io::Error) -> bool {
    error.to_string().starts_with("Space limit exceeded")
}
