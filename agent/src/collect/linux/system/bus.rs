//! The number of failed units, from systemd over the system's message bus (D-Bus).
//!
//! Nothing but the constants below is ever sent: a login without data, a greeting, and one question. No name and no
//! method comes from outside. Answers are bounded in size and time, and one connection is kept.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Maximum time for a question.
const TIMEOUT: Duration = Duration::from_millis(400);

/// Maximum size of a message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Maximum number of messages before the answer; the bus greets with some of its own.
const MESSAGES_MAX: usize = 16;

/// The login: a byte that carries the credentials, and the mechanism that needs no more than these.
const LOGIN: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/// A call of a method.
struct Call {
    serial: u32,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
    destination: &'static str,
    arguments: &'static [&'static str],
}

/// The greeting, which the bus demands.
const HELLO: Call = Call {
    serial: 1,
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
    destination: "org.freedesktop.DBus",
    arguments: &[],
};

/// The question.
const FAILED_UNITS: Call = Call {
    serial: 2,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.DBus.Properties",
    member: "Get",
    destination: "org.freedesktop.systemd1",
    arguments: &["org.freedesktop.systemd1.Manager", "NFailedUnits"],
};

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// The bus must not start systemd in order to answer.
const NO_AUTO_START: u8 = 2;

/// The connection to the bus.
pub(super) struct SystemBus {
    path: PathBuf,
    connection: Option<UnixStream>,
}

impl SystemBus {
    pub(super) fn new(path: PathBuf) -> SystemBus {
        SystemBus { path, connection: None }
    }

    /// Returns the number; `None` if there is no bus, no systemd, or no answer in time.
    pub(super) fn failed_units(&mut self) -> Option<i32> {
        let until = Instant::now() + TIMEOUT;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(until).ok()?,
        };
        let answer = ask(&mut connection, &FAILED_UNITS, until).ok()?;
        // After an error or a timeout the connection is closed: a late answer must not be taken for the next one.
        self.connection = Some(connection);
        answer.and_then(|body| parse_number(&body))
    }

    fn connect(&self, until: Instant) -> io::Result<UnixStream> {
        let mut connection = UnixStream::connect(&self.path)?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        connection.write_all(LOGIN)?;
        let mut lines = Vec::new();
        while !lines.ends_with(b"\r\n") || lines.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let mut byte = [0];
            read_exact(&mut connection, &mut byte, until)?;
            lines.push(byte[0]);
            if 512 < lines.len() {
                return Err(unexpected());
            }
        }
        if !lines.starts_with(b"DATA\r\nOK ") {
            return Err(unexpected());
        }
        ask(&mut connection, &HELLO, until)?.ok_or_else(unexpected)?;
        Ok(connection)
    }
}

/// The body of an answer.
struct Body {
    is_little_endian: bool,
    bytes: Vec<u8>,
}

/// Sends a call and returns the answer; `None` if it is an error.
fn ask(connection: &mut UnixStream, call: &Call, until: Instant) -> io::Result<Option<Body>> {
    connection.write_all(&encode(call))?;
    for _ in 0..MESSAGES_MAX {
        let mut head = [0; 16];
        read_exact(connection, &mut head, until)?;
        let is_little_endian = head[0] == b'l';
        let word = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            let word = if is_little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
            usize::try_from(word).map_err(|_| unexpected())
        };
        let (body_bytes, field_bytes) = (word(4)?, word(12)?);
        if MESSAGE_BYTES_MAX < body_bytes || MESSAGE_BYTES_MAX < field_bytes {
            return Err(unexpected());
        }
        // The fields are padded to eight bytes, like the head.
        let mut fields = vec![0; field_bytes.next_multiple_of(8)];
        read_exact(connection, &mut fields, until)?;
        let mut bytes = vec![0; body_bytes];
        read_exact(connection, &mut bytes, until)?;
        match head[1] {
            METHOD_RETURN => return Ok(Some(Body { is_little_endian, bytes })),
            ERROR => return Ok(None),
            _ => {}
        }
    }
    Err(unexpected())
}

/// Reads until the buffer is full or time is up.
fn read_exact(connection: &mut UnixStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => buffer = buffer.split_at_mut(n).1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A variant that holds a 32-bit number: the length and text of its type, padding, the number.
fn parse_number(body: &Body) -> Option<i32> {
    let [1, b'u', 0, 0, number @ ..] = body.bytes.as_slice() else { return None };
    let number: [u8; 4] = number.try_into().ok()?;
    let number = if body.is_little_endian { u32::from_le_bytes(number) } else { u32::from_be_bytes(number) };
    i32::try_from(number).ok()
}

/// Encodes a call whose arguments are texts, in little-endian order.
fn encode(call: &Call) -> Vec<u8> {
    let mut body = Vec::new();
    for argument in call.arguments {
        push_text(&mut body, argument);
    }
    let mut message = vec![b'l', METHOD_CALL, NO_AUTO_START, 1];
    push_number(&mut message, body.len());
    message.extend(call.serial.to_le_bytes());
    let mut fields = Vec::new();
    for (code, kind, text) in
        [(1, b'o', call.path), (2, b's', call.interface), (3, b's', call.member), (6, b's', call.destination)]
    {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend([code, 1, kind, 0]);
        push_text(&mut fields, text);
    }
    if !call.arguments.is_empty() {
        fields.resize(fields.len().next_multiple_of(8), 0);
        let signature = vec![b's'; call.arguments.len()];
        fields.extend([8, 1, b'g', 0, signature.len().to_le_bytes()[0]]);
        fields.extend(signature);
        fields.push(0);
    }
    push_number(&mut message, fields.len());
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

/// Pushes a text with its length before and a zero after it, at a multiple of four bytes.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    push_number(bytes, text.len());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn unexpected() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests;
