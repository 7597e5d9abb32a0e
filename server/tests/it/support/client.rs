//! A bare WebSocket agent that sends what a test tells it to.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pika_shared::Clock;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// No answer takes longer than this.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Registrations that are retried use a shorter timeout.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct AgentClient {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl AgentClient {
    /// Connects, with the secret in the header if there is one.
    pub(crate) async fn connect(address: &str, secret: Option<&str>) -> Self {
        let authorization = secret.map(|secret| format!("Bearer {secret}"));
        let headers = authorization.iter().map(|value| ("Authorization", value.as_str()));
        Self::try_connect(address, &headers.collect::<Vec<_>>()).await.unwrap()
    }

    /// Connects with these headers, or returns the status of the refusal.
    pub(crate) async fn try_connect(address: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = upgrade(address, None);
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects and registers, if that is possible now.
    pub(crate) async fn try_register(address: &str, secret: &str, hostname: &str) -> Option<Self> {
        let registered = async {
            let (stream, _) = tokio_tungstenite::connect_async(upgrade(address, Some(secret))).await.ok()?;
            let mut client = Self { stream };
            client.try_send_text(&register_message(hostname, None).to_string()).await;
            (client.receive().await?["type"] == "register_ack").then_some(client)
        };
        tokio::time::timeout(REGISTER_TIMEOUT, registered).await.ok()?
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// Sends the first part of a fragmented message.
    pub(crate) async fn send_part(&mut self, text: &str) {
        let data = text.as_bytes().to_vec();
        let frame = Frame::message(data, OpCode::Data(Data::Text), false);
        self.stream.send(Message::Frame(frame)).await.unwrap();
    }

    /// Sends although the connection may be closed. Returns whether it was sent.
    pub(crate) async fn try_send_text(&mut self, text: &str) -> bool {
        self.stream.send(Message::text(text)).await.is_ok()
    }

    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::binary(bytes)).await.unwrap();
    }

    /// Receives the next text message; `None` if the connection has ended.
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        loop {
            let next =
                tokio::time::timeout(RECEIVE_TIMEOUT, self.stream.next()).await.expect("no message in time");
            match next {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Receives the next message of this type, skipping others.
    pub(crate) async fn receive_type(&mut self, message_type: &str) -> Value {
        let received = async {
            loop {
                let message =
                    self.receive().await.unwrap_or_else(|| panic!("closed instead of {message_type}"));
                if message["type"] == message_type {
                    return message;
                }
            }
        };
        // Pings and other messages must not keep a test waiting for ever.
        tokio::time::timeout(RECEIVE_TIMEOUT, received)
            .await
            .unwrap_or_else(|_| panic!("no {message_type} in time"))
    }

    /// Returns the code of the close frame.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            let next =
                tokio::time::timeout(RECEIVE_TIMEOUT, self.stream.next()).await.expect("not closed in time");
            match next {
                Some(Ok(Message::Close(frame))) => {
                    // Sends the answer.
                    drop(
                        tokio::time::timeout(RECEIVE_TIMEOUT, self.stream.next())
                            .await
                            .expect("not hung up in time"),
                    );
                    return frame.map(|frame| frame.code.into());
                }
                Some(Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a close frame and waits until the server has processed it.
    pub(crate) async fn hang_up(&mut self) {
        drop(self.stream.close(None).await);
        self.closed().await;
    }

    /// Sends a close frame.
    pub(crate) async fn close(mut self) {
        drop(self.stream.close(None).await);
    }

    /// Sends samples and waits until they are acknowledged.
    pub(crate) async fn store(&mut self, seq: u64, samples: Value) {
        self.send(&batch(seq, samples)).await;
        loop {
            let ack = self.receive_type("ack").await;
            if ack["data"]["seq"] == seq {
                return;
            }
        }
    }
}

fn upgrade(address: &str, secret: Option<&str>) -> Request {
    let mut request = format!("ws://{address}/ws/agent").into_client_request().unwrap();
    if let Some(secret) = secret {
        let value = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
        request.headers_mut().insert("Authorization", value);
    }
    request
}

pub(crate) fn register_message(hostname: &str, token: Option<&str>) -> Value {
    let mut message = json!({
        "type": "register",
        "timestamp": now(),
        "data": {"name": hostname, "hostname": hostname, "ip": "192.0.2.1", "os": "linux", "arch": "amd64", "version": "1.0.0"}
    });
    if let Some(token) = token {
        message["data"]["token"] = json!(token);
    }
    message
}

pub(crate) fn batch(seq: u64, samples: Value) -> Value {
    json!({"type": "batch", "seq": seq, "timestamp": now(), "data": {"samples": samples}})
}

/// A sample of all families.
pub(crate) fn sample(timestamp: i64) -> Value {
    json!({
        "timestamp": timestamp,
        "cpu": {"usagePercent": 45.5, "coreCount": 8, "userPercent": 30.25, "systemPercent": 15.25},
        "memory": {"total": 1000, "used": 400, "free": 100, "usagePercent": 40, "available": 600},
        "disks": [
            {"mountPoint": "/", "device": "/dev/sda1", "fstype": "ext4", "total": 100, "used": 50, "free": 50, "usagePercent": 50},
            {"mountPoint": "/data", "device": "/dev/sdb1", "fstype": "xfs", "total": 200, "used": 20, "free": 180, "usagePercent": 10}
        ],
        "networks": [{"interface": "eth0", "bytesRecvTotal": 5000, "bytesSentTotal": 7000,
                      "bytesRecvDelta": 500, "bytesSentDelta": 1000, "intervalMs": 5000}],
        "load": {"load1": 0.5, "load5": 0.25, "load15": 0.125}
    })
}

pub(crate) fn now() -> i64 {
    Clock::system().now()
}
