//! The server: an emulator of both services, which publishes on command as fast as it can.

use async_trait::async_trait;
use hub_emulator::Emulator;
use interop::Failure;
use serde_json::{Value, json};

use crate::party::{self, Party, Stretch, number};
use crate::{payload, usage};

/// Packets and bytes that may wait for a client: a whole round, so that nobody slow is cut.
const QUEUE: (usize, usize) = (4_000_000, 8 << 30);
/// Events published before the writers get a turn.
const TURN: u64 = 32;

/// See the module.
#[derive(Default)]
pub(super) struct Server {
    emulator: Option<Emulator>,
    blasts: u32,
}

impl Server {
    fn emulator(&self) -> Result<&Emulator, Failure> {
        self.emulator.as_ref().ok_or_else(|| Failure::new("start it first"))
    }

    async fn blast(&mut self, count: u64) -> Result<Value, Failure> {
        self.blasts += 1;
        let template = payload::update()?;
        let emulator = self.emulator()?;
        let stretch = Stretch::begin();
        for n in 0..count {
            let published = emulator.publish(payload::numbered(&template, self.blasts, n)?)?;
            if published.recipients == 0 {
                return Err(Failure::new("nobody wants the event"));
            }
            if n % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(stretch.end(count))
    }
}

#[async_trait]
impl Party for Server {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "start" => {
                let descriptors = usage::raise_descriptors();
                let builder = Emulator::builder().queue(QUEUE.0, QUEUE.1);
                let emulator = builder.start().await?;
                let urls = json!({
                    "ftrack": emulator.ftrack_url(),
                    "imodelhub": emulator.imodelhub_url(),
                    "descriptors": descriptors,
                });
                self.emulator = Some(emulator);
                Ok(urls)
            }
            "blast" => self.blast(number(args, "count")?).await,
            "state" => {
                let state = self.emulator()?.state();
                Ok(json!({
                    "received": state.stats.events_received,
                    "deliveries": state.stats.deliveries,
                    "open": state.connections,
                    "subscriptions": state.subscriptions,
                }))
            }
            "wait" => {
                let (received, open) = (args["received"].as_u64(), args["open"].as_u64());
                let subscriptions = args["subscriptions"].as_u64();
                let state = self
                    .emulator()?
                    .wait_for(|state| {
                        received.is_none_or(|wanted| state.stats.events_received >= wanted)
                            && open.is_none_or(|wanted| state.connections as u64 == wanted)
                            && subscriptions.is_none_or(|wanted| state.subscriptions as u64 == wanted)
                    })
                    .await;
                Ok(json!({ "received": state.stats.events_received, "open": state.connections }))
            }
            _ => party::unknown(what),
        }
    }
}
