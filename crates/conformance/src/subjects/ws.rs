//! Socket.IO over a websocket, to the embedded emulator: real sockets, real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use event_core::dialect::Dialect;
use event_core::transport::{Acknowledgement, Transport};
use event_core::{Error, ErrorKind, Event, SubscriptionSpec};
use hub_emulator::Emulator;
use serde_json::{Value, json};
use transport_ws::dial::{BoxedIo, TcpDialer};
use transport_ws::{Dialer, Endpoint, WsTransport};

use crate::subject::{Bench, Subject};
use crate::verdict::{Broken, Verdict};

const SUBSCRIBE: &str = "ftrack.meta.subscribe";
const UNSUBSCRIBE: &str = "ftrack.meta.unsubscribe";

/// The websocket transport, and the ftrack side of an emulator.
pub struct Websocket {
    emulator: Emulator,
    transport: Arc<dyn Transport>,
    dials: Arc<AtomicU64>,
}

impl Websocket {
    /// Starts an emulator on a free port.
    pub async fn start() -> Verdict<Bench> {
        let emulator = Emulator::builder()
            .without_imodelhub()
            .start()
            .await
            .map_err(|error| Broken::promise(format!("the emulator does not start: {error}")))?;
        let address = emulator.ftrack_addr();
        let endpoint = Endpoint::new(address.ip().to_string(), address.port(), false);
        let dials = Arc::new(AtomicU64::new(0));
        let dialer = CountingDialer { inner: TcpDialer::default(), dials: Arc::clone(&dials) };
        let transport = WsTransport::builder(endpoint, "ftrack.event")
            .secret_header("ftrack-user", "ann")
            .secret_header("ftrack-api-key", "her-key")
            .window(32)
            .dialer(dialer)
            .build()?;
        Ok(Arc::new(Self { emulator, transport: Arc::new(transport), dials }))
    }
}

#[async_trait]
impl Subject for Websocket {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        let published = self.emulator.publish(event);
        published.map(drop).map_err(|error| Broken::promise(format!("the emulator does not route: {error}")))
    }

    fn dialect(&self) -> Arc<dyn Dialect> {
        Arc::new(ByEvent)
    }

    async fn cut(&self) -> Verdict {
        self.emulator.cut_all();
        Ok(())
    }

    async fn refuse_connections(&self, refuse: bool) -> Verdict {
        if refuse {
            self.emulator.stop().await;
            return Ok(());
        }
        let restarted = self.emulator.restart().await;
        restarted.map_err(|error| Broken::promise(format!("the emulator does not restart: {error}")))
    }

    fn attempts(&self) -> Verdict<u64> {
        // A refused attempt ends with its first dial.
        Ok(self.dials.load(Ordering::SeqCst))
    }

    async fn withhold(&self, _withhold: bool) -> Verdict {
        // Frames leave, and acknowledgements arrive, only while the link is read.
        Ok(())
    }

    fn refused_event(&self, _refuse: bool) -> Verdict<Event> {
        Ok(meta(SUBSCRIBE, &json!({"subscriber": {"id": "x"}, "subscription": "topic="}))?)
    }
}

struct CountingDialer {
    inner: TcpDialer,
    dials: Arc<AtomicU64>,
}

#[async_trait]
impl Dialer for CountingDialer {
    async fn dial(&self, endpoint: &Endpoint) -> event_core::Result<BoxedIo> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        self.inner.dial(endpoint).await
    }
}

/// As much of the service's dialect as the behaviours need.
struct ByEvent;

fn meta(topic: &str, data: &Value) -> event_core::Result<Event> {
    Event::builder(topic).source_field("id", "conformance-hub").data(data).build()
}

impl Dialect for ByEvent {
    fn subscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        let expression = spec.expression.as_ref()?.to_string();
        let data = json!({"subscriber": spec.subscriber.metadata(), "subscription": expression});
        meta(SUBSCRIBE, &data).ok()
    }

    fn unsubscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        meta(UNSUBSCRIBE, &json!({"subscriber": spec.subscriber.metadata()})).ok()
    }

    fn acknowledged(&self, acknowledgement: &Acknowledgement) -> event_core::Result<()> {
        let answer = acknowledgement.data.as_ref().and_then(|data| data.to_value().ok());
        match answer {
            Some(answer) if answer["success"] == Value::Bool(false) => {
                Err(Error::new(ErrorKind::Refused, "publish", answer["message"].to_string()))
            }
            _ => Ok(()),
        }
    }
}
