//! The client that manages webhooks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::network::{Proxy, ProxySetting};
use event_core::{Error, ErrorKind, Result, Secret};
use transport_longpoll::HttpExchange;
use transport_longpoll::exchange::Tls;

use super::rest::{self, created, webhook, webhooks};
use super::types::WebhookEventType;
use crate::environment::Environment;
use crate::reach::Reach;
use crate::service::Service;
use crate::token::AccessTokenProvider;

/// What the platform's API is asked for.
const ACCEPT: &str = "application/vnd.bentley.itwin-platform.v2+json";

/// Manages webhooks, by the second version of the platform's API. A clone is the same client.
///
/// Only service applications may use that, with a token of the scope `itwin-platform`.
///
/// # What is undocumented
///
/// - The form of the answers to creating and changing one. They are read with and without an envelope, and what is not in
///   there is asked for.
/// - Whether a long list comes in pages. The first answer is what [`list`](Self::list) returns.
/// - How often and for how long the platform sends again what a callback refused, and whether it deactivates the webhook
///   of one that does not answer: look at [`Webhook::active`] now and then.
///
/// Nothing is repeated when an answer is lost, because it may have been obeyed.
#[derive(Clone)]
pub struct WebhookClient(Arc<Service>);

/// Describes a client.
#[must_use = "a builder does nothing until it is built"]
pub struct WebhookClientBuilder {
    reach: Reach,
}

/// Whose events a webhook gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebhookScope {
    /// Those of the whole account.
    Account,
    /// Those of the iTwin with this id.
    ITwin(String),
    /// What this version does not know, as the platform spells it, with its id.
    Other(String, Option<String>),
}

/// A webhook to be created.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub(super) callback_url: String,
    pub(super) scope: WebhookScope,
    pub(super) event_types: Vec<WebhookEventType>,
    pub(super) secret: Option<Secret>,
}

/// A webhook, as the platform describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Whose events it gets; `None` if the platform does not say.
    pub scope: Option<WebhookScope>,
    /// Whether events are sent.
    pub active: bool,
    /// Where they are sent.
    pub callback_url: String,
    /// The types of events it gets.
    pub event_types: Vec<WebhookEventType>,
    /// When it was created, where that can be read.
    pub created: Option<SystemTime>,
    /// When it was changed, where that can be read.
    pub modified: Option<SystemTime>,
}

/// A webhook that was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreatedWebhook {
    /// The webhook. It is not active yet.
    pub webhook: Webhook,
    /// Its secret: the one that was given, or the one that the platform made. It is told only once.
    pub secret: Secret,
}

impl NewWebhook {
    /// Sends events of these types to a callback, which must be `https`, for an account or an iTwin.
    pub fn new(
        callback_url: impl Into<String>,
        scope: WebhookScope,
        event_types: impl IntoIterator<Item = WebhookEventType>,
    ) -> Self {
        let (callback_url, event_types) = (callback_url.into(), event_types.into_iter().collect());
        Self { callback_url, scope, event_types, secret: None }
    }

    /// The secret that events are signed with, of 32 characters at least. Default: the platform makes one.
    pub fn secret(mut self, secret: impl Into<Secret>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

impl WebhookClient {
    /// Starts describing a client. Of [`Environment::Url`], the platform's `/webhooks` is below the URL.
    pub fn builder(environment: Environment, provider: impl AccessTokenProvider) -> WebhookClientBuilder {
        WebhookClientBuilder { reach: Reach::new(environment, provider) }
    }

    /// Creates a webhook. It is inactive: [`activate`](Self::activate) it when its receiver is ready.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty list of types, a scope without its id or a secret that is too short,
    /// before anything is sent, and for what the platform finds invalid; those of the platform, whose words
    /// [`service_error`](crate::service_error) has.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a webhook behind; it sends nothing unless it is activated.
    pub async fn create(&self, new: &NewWebhook) -> Result<CreatedWebhook> {
        let call = rest::create(new)?;
        let answer = self.0.call("create webhook", &call).await?;
        let (id, secret) = created(&answer)?;
        let secret = secret.or_else(|| new.secret.clone()).ok_or_else(|| {
            let message = format!(
                "the answer has no secret; delete the webhook {id}, and create one with a secret of yours"
            );
            Error::new(ErrorKind::Protocol, "create webhook", message)
        })?;
        let webhook = match webhook(&answer) {
            Ok(webhook) if !webhook.callback_url.is_empty() => webhook,
            _ => self.get(&id).await?,
        };
        Ok(CreatedWebhook { webhook, secret })
    }

    /// All webhooks.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn list(&self) -> Result<Vec<Webhook>> {
        webhooks(&self.0.call("list webhooks", &rest::list()).await?)
    }

    /// One webhook.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is none with this id; those of the platform.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn get(&self, id: &str) -> Result<Webhook> {
        webhook(&self.0.call("get webhook", &rest::get(id)?).await?)
    }

    /// Begins to send events.
    ///
    /// # Errors
    ///
    /// As [`WebhookClient::get`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn activate(&self, id: &str) -> Result<()> {
        self.0.call("activate webhook", &rest::set_active(id, true)?).await.map(drop)
    }

    /// Stops sending events. Whether those of the time until it is activated again are sent then is undocumented.
    ///
    /// # Errors
    ///
    /// As [`WebhookClient::get`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn deactivate(&self, id: &str) -> Result<()> {
        self.0.call("deactivate webhook", &rest::set_active(id, false)?).await.map(drop)
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    ///
    /// As [`WebhookClient::get`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happened.
    pub async fn delete(&self, id: &str) -> Result<()> {
        self.0.call("delete webhook", &rest::delete(id)?).await.map(drop)
    }
}

impl WebhookClientBuilder {
    /// How long a call may take. Default 25 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.reach.request_timeout = timeout;
        self
    }

    /// How TLS is spoken. Default: rustls with the platform's certificates, where it is compiled in.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.reach.tls = tls;
        self
    }

    /// Connects through this proxy, whatever the environment says, as [`ClientBuilder::proxy`](crate::ClientBuilder::proxy).
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy>,
        Error: From<P::Error>,
    {
        self.reach.through(proxy);
        self
    }

    /// Which proxy leads to the platform. Default [`ProxySetting::environment`].
    pub fn proxy_setting(mut self, setting: ProxySetting) -> Self {
        self.reach.proxy = Some(Ok(setting));
        self
    }

    /// What speaks HTTP, instead of reqwest; TLS and proxies are its own affair then.
    pub fn exchange(mut self, exchange: impl HttpExchange) -> Self {
        self.reach.exchange = Some(Arc::new(exchange));
        self
    }

    /// The clock by which tokens expire, for tests whose time is paused. Default the system's.
    pub fn wall_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.reach.wall_clock = clock;
        self
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] (also of a proxy), [`ErrorKind::Tls`] when TLS cannot be set up.
    pub fn build(self) -> Result<WebhookClient> {
        let base = self.reach.environment.platform()?;
        Ok(WebhookClient(Arc::new(self.reach.service(base)?.accepting(ACCEPT))))
    }
}

impl fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookClient").field("service", &self.0).finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookClientBuilder")
            .field("environment", &self.reach.environment)
            .finish_non_exhaustive()
    }
}
