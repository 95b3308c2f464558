//! The other end of the wire, in memory and as cheap as can be: it shakes hands, acknowledges every packet without
//! reading it, and sends recorded events under new ids on command.

use async_trait::async_trait;
use event_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use transport_ws::dial::{BoxedIo, Dialer, Endpoint};

/// What fits into the pipe.
const PIPE: usize = 256 * 1024;
const UPDATE: &[u8] = include_bytes!("../../bench/data/ftrack-payload-update.json");
/// The id in it, of which the last digits are replaced.
const ID: &[u8] = b"00000000000000000000000010000000";

/// Dials the other end. What is sent to it is how many events it is to have sent in all.
pub(crate) struct Wire {
    pub(crate) wanted: watch::Receiver<u64>,
}

#[async_trait]
impl Dialer for Wire {
    async fn dial(&self, _: &Endpoint) -> Result<BoxedIo> {
        let (here, there) = duplex(PIPE);
        let wanted = self.wanted.clone();
        tokio::spawn(async move {
            // Ends with the client.
            let _ = serve(BufReader::new(there), wanted).await;
        });
        Ok(Box::new(here))
    }
}

async fn serve(mut stream: BufReader<DuplexStream>, wanted: watch::Receiver<u64>) -> std::io::Result<()> {
    let (mut key, mut line) = (None, String::new());
    while stream.read_line(&mut line).await? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("sec-websocket-key")
        {
            key = Some(value.trim().to_owned());
        }
        line.clear();
    }
    let Some(key) = key else {
        let body = "session:60:60:websocket";
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        return stream.write_all(answer.as_bytes()).await;
    };
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    put(&mut stream, b"1::").await?;
    speak(stream, wanted).await
}

async fn speak(mut stream: BufReader<DuplexStream>, mut wanted: watch::Receiver<u64>) -> std::io::Result<()> {
    let mut event = br#"5:::{"name":"ftrack.event","args":["#.to_vec();
    event.extend_from_slice(UPDATE.trim_ascii_end());
    event.extend_from_slice(b"]}");
    let id = event.windows(ID.len()).position(|window| window == ID).map_or(0, |at| at + 16);
    let (mut sent, mut acknowledged, mut scrap) = (0, 0_u64, Vec::new());
    loop {
        tokio::select! {
            biased;
            length = stream.read_u16() => {
                skip(&mut stream, length?, &mut scrap).await?;
                acknowledged += 1;
                let answer = format!(r#"6:::{acknowledged}+[{{"success":true}}]"#);
                put(&mut stream, answer.as_bytes()).await?;
            }
            changed = wanted.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                while sent < *wanted.borrow() {
                    sent += 1;
                    event[id..id + 16].copy_from_slice(format!("{sent:016}").as_bytes());
                    put(&mut stream, &event).await?;
                }
            }
        }
    }
}

/// Reads past a frame of the client, whose first two bytes are `head`.
async fn skip(stream: &mut BufReader<DuplexStream>, head: u16, scrap: &mut Vec<u8>) -> std::io::Result<()> {
    let length = match head & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    // And its mask.
    scrap.resize(usize::try_from(length + 4).unwrap_or(0), 0);
    stream.read_exact(scrap).await?;
    Ok(())
}

/// Writes a text frame.
async fn put(stream: &mut BufReader<DuplexStream>, text: &[u8]) -> std::io::Result<()> {
    match u8::try_from(text.len()) {
        Ok(length) if length < 126 => stream.write_all(&[0x81, length]).await?,
        _ => {
            let length = u16::try_from(text.len()).map_err(std::io::Error::other)?.to_be_bytes();
            stream.write_all(&[0x81, 126, length[0], length[1]]).await?;
        }
    }
    stream.write_all(text).await
}

/// An error of these programs' own making.
pub(crate) fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, "measure", what)
}
