//! `async-nats` on its own protocol, as the overhead of a mature client in Rust: bytes of an event to whoever subscribed.

use async_trait::async_trait;
use futures_util::StreamExt;
use interop::Failure;
use serde_json::{Value, json};

use crate::party::{self, Party, Stretch, failed, number, text};
use crate::payload;

/// The subject of the recorded event, as `transport-nats` maps its topic.
const SUBJECT: &str = "events.ftrack.update";
/// Messages between two flushes of the publisher.
const TURN: u64 = 512;
/// What a subscriber may be behind; the library drops what is more.
const BEHIND: usize = 1 << 20;

/// See the module.
#[derive(Default)]
pub(super) struct Nats {
    client: Option<async_nats::Client>,
    subscriber: Option<async_nats::Subscriber>,
    blasts: u32,
}

impl Nats {
    fn client(&self) -> Result<&async_nats::Client, Failure> {
        self.client.as_ref().ok_or_else(|| Failure::new("connect it first"))
    }

    async fn receive(&mut self, count: u64) -> Result<Value, Failure> {
        let subscriber = self.subscriber.as_mut().ok_or_else(|| Failure::new("subscribe first"))?;
        let stretch = Stretch::begin();
        for _ in 0..count {
            let message = subscriber.next().await.ok_or_else(|| Failure::new("the subscription ended"))?;
            std::hint::black_box(message.payload.len());
        }
        Ok(stretch.end(count))
    }

    /// Publishes so many as fast as the server takes them.
    async fn blast(&mut self, count: u64) -> Result<Value, Failure> {
        self.blasts += 1;
        let (template, client) = (payload::update()?, self.client()?);
        let stretch = Stretch::begin();
        for n in 0..count {
            let event = payload::numbered(&template, self.blasts, n)?;
            client.publish(SUBJECT, event.to_json()).await.map_err(failed)?;
            if n % TURN == TURN - 1 {
                client.flush().await.map_err(failed)?;
            }
        }
        client.flush().await.map_err(failed)?;
        Ok(stretch.end(count))
    }
}

#[async_trait]
impl Party for Nats {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "connect" => {
                let options = async_nats::ConnectOptions::new().subscription_capacity(BEHIND);
                self.client = Some(options.connect(text(args, "nats")?).await.map_err(failed)?);
                Ok(json!({}))
            }
            "subscribe" => {
                self.subscriber = Some(self.client()?.subscribe(SUBJECT).await.map_err(failed)?);
                self.client()?.flush().await.map_err(failed)?;
                Ok(json!({}))
            }
            "receive" => self.receive(number(args, "count")?).await,
            "blast" => self.blast(number(args, "count")?).await,
            _ => party::unknown(what),
        }
    }
}
