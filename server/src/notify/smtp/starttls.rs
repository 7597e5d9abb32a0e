//! The dialogue before TLS. It is read one byte at a time, so that nothing an attacker appends to the answer to
//! STARTTLS is taken for something said over TLS.

use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::SmtpError;
use crate::notify::outbound::{Connection, OutboundError};

/// Maximum size of a reply, in bytes.
const REPLY_BYTES_MAX: usize = 8_192;

/// Requests TLS. What follows on the connection is the handshake.
pub(super) async fn ask(connection: &mut Box<dyn Connection>, hello: &ClientId) -> Result<(), SmtpError> {
    expect(&read_reply(connection).await?, 220)?;
    say(connection, &format!("EHLO {hello}\r\n")).await?;
    let reply = read_reply(connection).await?;
    expect(&reply, 250)?;
    let offers = |line: &str| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
    if !reply.lines().any(offers) {
        return Err(SmtpError::NoStartTls);
    }
    say(connection, "STARTTLS\r\n").await?;
    expect(&read_reply(connection).await?, 220)
}

async fn say(connection: &mut Box<dyn Connection>, line: &str) -> Result<(), OutboundError> {
    connection.write_all(line.as_bytes()).await.map_err(OutboundError::Broken)?;
    connection.flush().await.map_err(OutboundError::Broken)
}

/// Reads all lines of a reply: the last one has a space after the code.
async fn read_reply(connection: &mut Box<dyn Connection>) -> Result<String, OutboundError> {
    let mut reply = Vec::new();
    let mut line_start = 0;
    while reply.len() < REPLY_BYTES_MAX {
        let byte = connection.read_u8().await.map_err(OutboundError::Broken)?;
        reply.push(byte);
        if byte == b'\n' {
            if reply.get(line_start + 3) != Some(&b'-') {
                break;
            }
            line_start = reply.len();
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn expect(reply: &str, code: u16) -> Result<(), SmtpError> {
    match reply.get(..3).and_then(|digits| digits.parse::<u16>().ok()).unwrap_or_default() {
        found if found == code => Ok(()),
        found => Err(SmtpError::Greeting(found)),
    }
}
