//! The WebSocket endpoint of agents.

use poem::Request;
use poem::web::Data;
use poem::web::websocket::{BoxWebSocketUpgraded, WebSocket};
use poem_openapi::OpenApi;
use secrecy::SecretString;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{ApiContext, ApiError, Tag};
use crate::http::{self, Connection};
use crate::ingest::{Peer, Probation};

/// Size of the read buffer of one agent's connection: a sample fits, and ten thousand idle agents cost little.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Size of the buffer that gathers answers.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// The WebSocket endpoint of agents.
#[derive(Debug)]
pub struct SocketApi;

#[OpenApi(tag = "Tag::Agents")]
impl SocketApi {
    /// Connect an agent
    ///
    /// Upgrades to a WebSocket that carries JSON text frames `{"type": …, "data": …}`. The first frame is `register`,
    /// with an enrollment token in `data.token`, or with the agent's own secret there or in the header
    /// `Authorization: Bearer`.
    #[oai(path = "/ws/agent", method = "get", operation_id = "connectAgent")]
    #[expect(clippy::unused_async, reason = "the macro awaits it")]
    async fn connect(
        &self,
        context: Data<&ApiContext>,
        connection: Data<&Connection>,
        request: &Request,
        socket: WebSocket,
    ) -> Result<BoxWebSocketUpgraded, ApiError> {
        let bearer_token = http::bearer_token(request).map(|token| SecretString::from(token.to_owned()));
        let peer = Peer { address: http::peer_address(request), bearer_token };
        let sockets = context.sockets.clone();
        let probation = begin_probation(connection.0, sockets.register_bytes_max());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(sockets.outbound_bytes_max())
            .max_message_size(Some(sockets.frame_bytes_max()))
            .max_frame_size(Some(sockets.frame_bytes_max()));
        Ok(socket
            .config(config)
            .on_upgrade(move |stream| async move { sockets.serve(stream, peer, probation).await })
            .boxed())
    }
}

/// Until its agent is registered, a connection may send only little, and gives way to others.
fn begin_probation(connection: &Connection, bytes_max: usize) -> Probation {
    connection.begin_probation(bytes_max);
    let ended = connection.clone();
    Probation { displaced: connection.displaced(), bytes_max, end: Box::new(move || ended.end_probation()) }
}
