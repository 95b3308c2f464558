//! What the examples share: a server to talk to, real or embedded.

use ftrack_hub::{Session, SessionBuilder};
use hub_emulator::Emulator;
use nats_server::{NatsServer, ServerConfig};

/// How to get a server of NATS.
pub use nats_server::HOW as NATS_HOW;

/// A server for an example.
pub struct Server {
    /// Stops when dropped.
    emulator: Option<Emulator>,
    url: String,
}

impl Server {
    /// The server that `FTRACK_SERVER` names, or else a hub embedded in this process.
    ///
    /// # Errors
    ///
    /// When the embedded hub cannot start.
    pub async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        if let Some(url) = std::env::var("FTRACK_SERVER").ok().filter(|url| !url.is_empty()) {
            return Ok(Self { emulator: None, url });
        }
        let emulator = Emulator::start().await?;
        let url = emulator.ftrack_url();
        Ok(Self { emulator: Some(emulator), url })
    }

    /// Whether the server is the embedded hub.
    pub fn is_embedded(&self) -> bool {
        self.emulator.is_some()
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A session with the server: with `FTRACK_API_USER` and `FTRACK_API_KEY` for a real one, made up for the
    /// embedded one.
    ///
    /// # Errors
    ///
    /// When a variable is missing.
    pub fn session(&self) -> Result<SessionBuilder, ftrack_hub::Error> {
        if self.emulator.is_some() {
            return Ok(Session::builder(&self.url, "jane.doe", "any-key-will-do"));
        }
        Session::from_env()
    }
}

/// NATS for an example.
pub struct Nats {
    /// Stops when dropped.
    _server: Option<NatsServer>,
    urls: Vec<String>,
}

impl Nats {
    /// The servers that `NATS_URL` names, with commas between them, or else a server started for this process, with a
    /// store that goes with it. `None` where none is installed.
    ///
    /// # Errors
    ///
    /// When the server does not start.
    pub async fn find() -> Result<Option<Self>, Box<dyn std::error::Error>> {
        if let Some(urls) = std::env::var("NATS_URL").ok().filter(|urls| !urls.is_empty()) {
            return Ok(Some(Self { _server: None, urls: urls.split(',').map(str::to_owned).collect() }));
        }
        if NatsServer::find().is_none() {
            return Ok(None);
        }
        let server = NatsServer::start(ServerConfig::default()).await?;
        Ok(Some(Self { urls: vec![server.url()], _server: Some(server) }))
    }

    /// The servers' addresses.
    pub fn urls(&self) -> Vec<String> {
        self.urls.clone()
    }
}

/// The programs in the README and the guides, compiled and run as doctests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/guides/ftrack.md")]
    struct FtrackGuide;
    #[doc = include_str!("../docs/guides/recipes.md")]
    struct Recipes;
    #[doc = include_str!("../docs/guides/imodelhub.md")]
    struct IModelHubGuide;
    #[doc = include_str!("../docs/guides/migrate-javascript.md")]
    struct FromJavaScript;
    #[doc = include_str!("../docs/guides/migrate-python.md")]
    struct FromPython;
    #[doc = include_str!("../docs/guides/migrate-imodelhub-client.md")]
    struct FromIModelHubClient;
    #[doc = include_str!("../docs/guides/migrate-webhooks.md")]
    struct ToWebhooks;
    #[doc = include_str!("../docs/guides/scale.md")]
    struct ScaleGuide;
    #[doc = include_str!("../docs/guides/reliability.md")]
    struct ReliabilityGuide;
    #[doc = include_str!("../crates/imodelhub-events/README.md")]
    struct IModelHubReadme;
    #[doc = include_str!("../crates/event-bridge/README.md")]
    struct BridgeReadme;
    #[doc = include_str!("../docs/protocols/expressions.md")]
    struct Expressions;
}
