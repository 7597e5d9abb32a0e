//! The body of a response, passed on in small pieces, which counts as being answered until the last one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::connection::Answering;

/// Maximum size of a piece. Passed-on pieces count as sent, so they must be small.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// The body of a response.
pub(super) struct AnswerBody<B> {
    body: B,
    /// The part of the last frame that has not been passed on yet.
    rest: Bytes,
    answering: Answering,
    is_live: bool,
}

impl<B> AnswerBody<B> {
    /// A live stream lasts as long as its client reads it; any other response has to be read in time.
    pub(super) fn new(body: B, answering: Answering, is_live: bool) -> Self {
        Self { body, rest: Bytes::new(), answering, is_live }
    }
}

impl<B: Body<Data = Bytes> + Unpin> AnswerBody<B> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let piece = self.poll_piece(cx);
        if self.is_live {
            match &piece {
                Poll::Pending => self.answering.wait_for_news(),
                // The next frame is polled when the client has taken this one, or it fits into the buffer.
                Poll::Ready(_) => self.answering.wait_for_client(),
            }
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
