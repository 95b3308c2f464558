//! NATS, core and JetStream: a real server behind a relay, real time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::Event;
use event_core::transport::Transport;
use nats_server::{NatsServer, RawClient, Relay, ServerConfig};
use tokio::sync::Mutex;
use transport_nats::{JetStream, NatsTransport};

use crate::rig::event;
use crate::subject::{Bench, OTHER_TOPIC, Subject, TOPIC};
use crate::verdict::{Broken, Verdict};

/// The transport to a server of its own, and somebody else who publishes there.
pub struct Nats {
    transport: Arc<dyn Transport>,
    relay: Relay,
    other: Mutex<RawClient>,
    _server: NatsServer,
}

/// What the stream does not take.
const NOT_TAKEN: &str = "not-taken";

/// Why it cannot be judged here.
pub(super) fn missing() -> Option<&'static str> {
    let required = std::env::var("NATS_SERVER").is_ok_and(|value| value == "required");
    (!required && NatsServer::find().is_none()).then_some(nats_server::HOW)
}

fn broken(error: &std::io::Error) -> Broken {
    Broken::promise(format!("the server does not do its part: {error}"))
}

impl Nats {
    /// Core NATS.
    pub async fn core() -> Verdict<Bench> {
        let (server, other) =
            serve(ServerConfig::default().without_jetstream()).await.map_err(|e| broken(&e))?;
        Self::over(server, other, None).await
    }

    /// JetStream, with a stream in memory that does not take everything.
    pub async fn jetstream() -> Verdict<Bench> {
        let (server, mut other) = serve(ServerConfig::default()).await.map_err(|error| broken(&error))?;
        let stream = serde_json::json!({
            "name": "CONFORMANCE",
            "subjects": [format!("events.{TOPIC}"), format!("events.{OTHER_TOPIC}")],
            "storage": "memory",
            "num_replicas": 1,
        });
        let stream = stream.to_string();
        let create = other.request("$JS.API.STREAM.CREATE.CONFORMANCE", stream.as_bytes());
        let answer = create.await.map_err(|error| broken(&error))?;
        if answer.contains("\"error\"") {
            return Err(Broken::promise(answer));
        }
        let jetstream = JetStream::new("CONFORMANCE").ack_wait(Duration::from_secs(4));
        Self::over(server, other, Some(jetstream)).await
    }

    async fn over(server: NatsServer, other: RawClient, jetstream: Option<JetStream>) -> Verdict<Bench> {
        let relay = Relay::start(server.address()).await.map_err(|error| broken(&error))?;
        let mut builder = NatsTransport::builder([relay.url()]).window(64);
        if let Some(jetstream) = jetstream {
            builder = builder.jetstream(jetstream);
        }
        let transport = Arc::new(builder.build()?);
        Ok(Arc::new(Self { transport, relay, other: Mutex::new(other), _server: server }))
    }
}

async fn serve(config: ServerConfig) -> std::io::Result<(NatsServer, RawClient)> {
    let server = NatsServer::start(config).await?;
    let other = RawClient::connect(&server.address()).await?;
    Ok((server, other))
}

#[async_trait]
impl Subject for Nats {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        let subject = format!("events.{}", event.topic());
        self.other.lock().await.publish(&subject, &event.to_json()).await.map_err(|error| broken(&error))
    }

    async fn cut(&self) -> Verdict {
        self.relay.cut();
        Ok(())
    }

    async fn refuse_connections(&self, refuse: bool) -> Verdict {
        self.relay.refuse(refuse);
        if refuse {
            self.relay.cut();
        }
        Ok(())
    }

    fn attempts(&self) -> Verdict<u64> {
        Ok(self.relay.accepted())
    }

    async fn withhold(&self, withhold: bool) -> Verdict {
        self.relay.hold(withhold);
        Ok(())
    }

    fn refused_event(&self, _refuse: bool) -> Verdict<Event> {
        if self.transport.capabilities().durable {
            return Ok(event(0)?.to_builder().topic(NOT_TAKEN).build()?);
        }
        Err(Broken::Missing(crate::Tool::RefuseEvents))
    }
}
