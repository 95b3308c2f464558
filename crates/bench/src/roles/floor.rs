//! The floors: a bare websocket reader, alone or with one decoding pass, on a current-thread runtime.

use std::borrow::Cow;

use async_trait::async_trait;
use futures_util::SinkExt;
use interop::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::socket::{self, Socket};
use crate::latency::Latencies;
use crate::party::{self, Party, Stretch, failed, number, text};
use crate::payload;

/// How much is made of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Nothing: it is counted.
    Bare,
    /// The envelope, in one pass.
    Envelope,
    /// A tree of everything.
    Value,
}

impl Depth {
    pub(super) fn of(role: &str) -> Self {
        match role {
            "envelope" => Self::Envelope,
            "value" => Self::Value,
            _ => Self::Bare,
        }
    }

    /// Whether the text is an event.
    fn look(self, text: &str) -> Result<bool, Failure> {
        let Some(json) = json_of(text) else { return Ok(false) };
        match self {
            Self::Bare => Ok(true),
            Self::Envelope => Envelope::read(json).map(|envelope| !envelope.topic.is_empty()),
            Self::Value => {
                let value: Value = serde_json::from_str(json).map_err(failed)?;
                Ok(value["args"][0]["topic"].is_string())
            }
        }
    }
}

/// The payload of an event packet: what follows `5:`, the id, `:`, the endpoint and `:`.
fn json_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("5:")?;
    Some(&rest[rest.find('{')?..])
}

/// The envelope floor: every member that dispatch needs, in one pass over the text, all of it borrowed. `source`,
/// `sent` and `data` are not looked into.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// Which event it is.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// What it is about.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Who published it.
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    /// Whom it is for.
    #[serde(borrow)]
    pub target: Option<Cow<'a, str>>,
    /// What it answers.
    #[serde(borrow, rename = "inReplyToEvent")]
    pub in_reply_to: Option<Cow<'a, str>>,
    /// When it was sent.
    #[serde(borrow)]
    pub sent: Option<&'a RawValue>,
    /// What it says.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Packet<'a> {
    #[serde(borrow)]
    args: [Envelope<'a>; 1],
}

impl<'a> Envelope<'a> {
    /// Reads `{"name":..,"args":[{..}]}`.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn read(json: &'a str) -> Result<Self, Failure> {
        let packet: Packet<'a> = serde_json::from_str(json).map_err(failed)?;
        let [envelope] = packet.args;
        Ok(std::hint::black_box(envelope))
    }
}

/// See the module. It also asks and answers: round trips of websocket messages with nothing in between.
pub(super) struct Floor {
    depth: Depth,
    sockets: Vec<Socket>,
    echo: Option<tokio::task::JoinHandle<()>>,
}

impl Floor {
    pub(super) fn new(depth: Depth) -> Self {
        Self { depth, sockets: Vec::new(), echo: None }
    }

    fn socket(&mut self) -> Result<&mut Socket, Failure> {
        self.sockets.first_mut().ok_or_else(|| Failure::new("connect it first"))
    }

    async fn receive(&mut self, count: u64) -> Result<Value, Failure> {
        let depth = self.depth;
        let socket = self.socket()?;
        let stretch = Stretch::begin();
        let mut seen = 0;
        while seen < count {
            let text = socket::next(socket).await?;
            seen += u64::from(depth.look(&text)?);
        }
        Ok(stretch.end(count))
    }

    /// Two round trips for each question, as a request by way of a hub makes them.
    async fn ask(&mut self, count: u64) -> Result<Value, Failure> {
        let depth = self.depth;
        let socket = self.socket()?;
        let event = event_core::Event::builder("bench.ask").data(&payload::question(0)).build()?;
        let json = String::from_utf8_lossy(&event.to_json()).into_owned();
        let frame = Utf8Bytes::from(format!(r#"5:1+::{{"name":"ftrack.event","args":[{json}]}}"#));
        let mut latencies = Latencies::with_capacity(count);
        let stretch = Stretch::begin();
        for _ in 0..count {
            let began = Latencies::now();
            for _ in 0..2 {
                socket.send(Message::Text(frame.clone())).await.map_err(failed)?;
                let text = socket::next(socket).await?;
                depth.look(&text)?;
            }
            latencies.add(began);
        }
        Ok(latencies.report(stretch.end(count)))
    }

    /// Listens, reads what each message says, and sends it back.
    async fn serve(&mut self) -> Result<Value, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let depth = self.depth;
        self.echo = Some(tokio::spawn(async move {
            let Ok((stream, _)) = listener.accept().await else { return };
            let _ = stream.set_nodelay(true);
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            while let Ok(text) = socket::next(&mut socket).await {
                if depth.look(&text).is_err() || socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
        }));
        Ok(json!({ "url": format!("ws://127.0.0.1:{port}") }))
    }

    async fn dial(&mut self, url: &str) -> Result<Value, Failure> {
        let host = url.strip_prefix("ws://").unwrap_or(url);
        let stream = tokio::net::TcpStream::connect(host).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.map_err(failed)?;
        self.sockets = vec![socket];
        Ok(json!({}))
    }
}

#[async_trait]
impl Party for Floor {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "connect" => {
                self.sockets = vec![socket::connect(text(args, "url")?).await?];
                Ok(json!({}))
            }
            "subscribe" => {
                let expression = text(args, "expression")?.to_owned();
                socket::subscribe(self.socket()?, &expression, "floor").await?;
                Ok(json!({}))
            }
            "receive" => self.receive(number(args, "count")?).await,
            "serve" => self.serve().await,
            "dial" => self.dial(text(args, "url")?).await,
            "ask" => self.ask(number(args, "count")?).await,
            _ => party::unknown(what),
        }
    }
}
