//! Services in memory, one behind each transport, and clients of them.

use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::transport::Capabilities;
use event_core::{Event, EventHub};
use hub_emulator::{Builder, Emulator};
use imodelhub_events::{AccessToken, Environment, EventSubscription, EventType, IModelHubClient, IModelId};
use serde_json::json;
use transport_longpoll::LongPollTransport;
use transport_longpoll::auth::{Authorization, FixedAuth};

use super::stage::{self, broken};
use crate::figures::Broken;

/// Longer than any scene.
const LONG: Duration = Duration::from_secs(365 * 24 * 3_600);
const IMODEL: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";

/// A service that pushes: the bus in memory, or the ftrack side of an emulator over websockets.
pub(crate) struct Pushing {
    pub(crate) service: Service,
    window: usize,
}

pub(crate) enum Service {
    Bus(MemoryHub),
    Ftrack(Box<Emulator>),
}

impl Pushing {
    /// One of each, on which so many publishes of a client may be in flight.
    pub(crate) async fn each(window: usize) -> Result<[Self; 2], Broken> {
        Ok([Self::bus(window), Self::ftrack(window).await?])
    }

    /// The bus.
    pub(crate) fn bus(window: usize) -> Self {
        let capabilities = MemoryHub::new().transport();
        let mut capabilities: Capabilities = event_core::transport::Transport::capabilities(&capabilities);
        capabilities.window = Some(window);
        Self { service: Service::Bus(MemoryHub::with_capabilities(capabilities)), window }
    }

    /// The emulator.
    pub(crate) async fn ftrack(window: usize) -> Result<Self, Broken> {
        let emulator = stage::emulator(Builder::without_imodelhub).await?;
        Ok(Self { service: Service::Ftrack(Box::new(emulator)), window })
    }

    /// The transport's name.
    pub(crate) fn name(&self) -> &'static str {
        match self.service {
            Service::Bus(_) => "memory",
            Service::Ftrack(_) => "ws",
        }
    }

    /// A client, not connected yet.
    pub(crate) fn client(&self, user: &str) -> Result<EventHub, Broken> {
        match &self.service {
            Service::Bus(bus) => EventHub::builder(bus.transport()).build().map_err(broken("build a hub")),
            Service::Ftrack(emulator) => {
                let session = stage::session(emulator, user, |builder| builder.window(self.window))?;
                Ok(session.event_hub().engine().clone())
            }
        }
    }

    /// A client that is connected.
    pub(crate) async fn connected(&self, user: &str) -> Result<EventHub, Broken> {
        let hub = self.client(user)?;
        hub.connect().await.map_err(broken("connect"))?;
        Ok(hub)
    }

    /// Gives an event to everybody who wants it.
    pub(crate) fn inject(&self, event: &Event) -> Result<(), Broken> {
        match &self.service {
            Service::Bus(bus) => bus.inject(event),
            Service::Ftrack(emulator) => drop(emulator.publish(event).map_err(broken("route"))?),
        }
        Ok(())
    }

    /// Ends every connection, without a word.
    pub(crate) fn cut(&self) {
        match &self.service {
            Service::Bus(bus) => bus.cut(),
            Service::Ftrack(emulator) => drop(emulator.cut_all()),
        }
    }

    /// Connections now.
    pub(crate) fn connections(&self) -> usize {
        match &self.service {
            Service::Bus(bus) => bus.links(),
            Service::Ftrack(emulator) => emulator.state().connections,
        }
    }

    /// Withholds every acknowledgement from now on.
    pub(crate) fn withhold(&self) -> Result<(), Broken> {
        match &self.service {
            Service::Bus(bus) => bus.hold_acknowledgements(true),
            Service::Ftrack(emulator) => {
                let action = hub_emulator::ftrack::Action::WithholdAcks { count: 0 };
                emulator.ftrack_faults().fire(action).map_err(broken("fire"))?;
            }
        }
        Ok(())
    }

    /// The topic of replies.
    pub(crate) fn reply_topic(&self) -> &'static str {
        match self.service {
            Service::Bus(_) => "reply",
            Service::Ftrack(_) => "ftrack.meta.reply",
        }
    }
}

/// A service with queues: the iModelHub side of an emulator, and its client.
pub(crate) struct Queues {
    pub(crate) emulator: Emulator,
    pub(crate) client: IModelHubClient,
    pub(crate) imodel: IModelId,
}

impl Queues {
    /// With locks of a minute and tokens that do not expire.
    pub(crate) async fn start(seed: u64) -> Result<Self, Broken> {
        let emulator = stage::emulator(|builder| {
            builder.without_ftrack().sas_lifetime(LONG).subscription_idle(LONG).seed(seed)
        })
        .await?;
        let environment = Environment::Url(emulator.imodelhub_url());
        let client = IModelHubClient::builder(environment, AccessToken::bearer("jwt"))
            .exchange(emulator.imodelhub_http())
            .build()
            .map_err(broken("build a client"))?;
        let imodel = IModelId::new(IMODEL).map_err(broken("name an iModel"))?;
        Ok(Self { emulator, client, imodel })
    }

    /// A subscription, with its queue.
    pub(crate) async fn subscription(&self) -> Result<EventSubscription, Broken> {
        let types = [EventType::Version];
        self.client.create_subscription(&self.imodel, &types).await.map_err(broken("create a subscription"))
    }

    /// Where that queue is.
    pub(crate) async fn address(&self, subscription: &EventSubscription) -> Result<String, Broken> {
        let sas = self.client.get_sas_token(&self.imodel).await.map_err(broken("get a token"))?;
        Ok(format!("{}/Subscriptions/{}", sas.base_address, subscription.id))
    }

    /// A hub over the queues, connected.
    pub(crate) async fn hub(&self) -> Result<EventHub, Broken> {
        let sas = self.client.get_sas_token(&self.imodel).await.map_err(broken("get a token"))?;
        let auth = FixedAuth::new(Authorization::new(sas.token));
        let transport = LongPollTransport::builder(self.emulator.imodelhub_http(), auth)
            .build()
            .map_err(broken("build a transport"))?;
        EventHub::builder(transport).connect().await.map_err(broken("connect"))
    }

    /// Puts event `n` into every queue.
    pub(crate) fn publish(&self, n: u64) {
        self.emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!({ "n": n })));
    }
}

/// Event `n` on the topic `t`.
pub(crate) fn event(n: u64) -> Result<Event, Broken> {
    Event::builder("t").id(format!("e{n}")).data(&json!({ "n": n })).build().map_err(broken("make an event"))
}

/// The number of an event.
pub(crate) fn number(event: &Event) -> u64 {
    event.data_value()["n"].as_u64().unwrap_or(u64::MAX)
}
