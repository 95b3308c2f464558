//! Who asks: access tokens, from a provider that can give fresh ones, and the short-lived tokens for the queues.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event_core::{Error, ErrorKind, Result, Secret};
use parking_lot::Mutex;
use transport_longpoll::auth::{Authorization, QueueAuth};

use crate::service::Service;
use crate::wsg::Scope;

/// What is sent with every REST call.
#[derive(Clone)]
pub struct AccessToken {
    header: Secret,
    expires: Option<SystemTime>,
}

impl AccessToken {
    /// A JWT, sent as `Bearer`.
    pub fn bearer(jwt: impl Into<Secret>) -> Self {
        Self { header: Secret::new(format!("Bearer {}", jwt.into().expose())), expires: None }
    }

    /// A name and password, sent as `Basic`; an iModelBank may ask for it.
    pub fn basic(user: &str, password: impl Into<Secret>) -> Self {
        let login = STANDARD.encode(format!("{user}:{}", password.into().expose()));
        Self { header: Secret::new(format!("Basic {login}")), expires: None }
    }

    /// The same token, known to expire: it is replaced a minute before.
    pub fn expiring(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("header", &self.header).field("expires", &self.expires).finish()
    }
}

/// Gives access tokens, fresh ones when asked. Asked by one call at a time.
#[async_trait]
pub trait AccessTokenProvider: Send + Sync + 'static {
    /// A token that is good now. `refused` says that the service has just refused the last one: then another is
    /// wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthenticated`] when there is no other; a transient error to be asked again.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; the next call begins anew.
    async fn access_token(&self, refused: bool) -> Result<AccessToken>;
}

/// One token for ever.
#[async_trait]
impl AccessTokenProvider for AccessToken {
    async fn access_token(&self, refused: bool) -> Result<AccessToken> {
        if refused {
            let message = "the service refused the access token, and there is no other; give a provider that refreshes it";
            return Err(Error::new(ErrorKind::Unauthenticated, "authenticate", message));
        }
        Ok(self.clone())
    }
}

/// Asks a provider on behalf of the REST calls.
pub(crate) struct Access(pub(crate) Arc<dyn AccessTokenProvider>);

#[async_trait]
impl QueueAuth for Access {
    async fn authorization(&self, refused: Option<&Authorization>) -> Result<Authorization> {
        let token = self.0.access_token(refused.is_some()).await?;
        let mut authorization = Authorization::new(token.header);
        authorization.expires = token.expires;
        Ok(authorization)
    }
}

/// The token for the queues of one iModel, or of the global events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SasToken {
    /// Where the queues are.
    pub base_address: String,
    /// The token itself, sent as it is.
    pub token: Secret,
    /// When it expires, read from its `se` member.
    pub expires: Option<SystemTime>,
}

/// Asks the service for such tokens on behalf of the queues.
pub(crate) struct SasSource {
    service: Arc<Service>,
    scope: Scope,
    base: Mutex<Option<String>>,
}

impl SasSource {
    pub(crate) fn new(service: Arc<Service>, scope: Scope) -> Self {
        Self { service, scope, base: Mutex::new(None) }
    }

    /// A fresh token.
    pub(crate) async fn fetch(&self) -> Result<SasToken> {
        let answer = self.service.call("get SAS token", &self.scope.sas()).await?;
        let instance = self.scope.read(self.scope.sas_class(), &answer)?;
        let text = |key: &str| {
            let value = instance
                .properties
                .get(key)
                .and_then(serde_json::Value::as_str)
                .filter(|text| !text.is_empty());
            value.ok_or_else(|| {
                let message = format!("the service's answer has no {key}; is the service URL right?");
                Error::new(ErrorKind::Protocol, "get SAS token", message)
            })
        };
        let base_address = text("BaseAddress")?.trim_end_matches('/').to_owned();
        let authorization = Authorization::sas(text("EventServiceSASToken")?);
        *self.base.lock() = Some(base_address.clone());
        Ok(SasToken { base_address, token: authorization.value, expires: authorization.expires })
    }

    /// Where the queues are, once a token was fetched.
    pub(crate) fn base(&self) -> Option<String> {
        self.base.lock().clone()
    }

    /// Whether the queues are there.
    pub(crate) fn is_at(&self, base: &str) -> bool {
        self.base.lock().as_deref() == Some(base)
    }
}

#[async_trait]
impl QueueAuth for SasSource {
    async fn authorization(&self, _refused: Option<&Authorization>) -> Result<Authorization> {
        let sas = self.fetch().await?;
        let mut authorization = Authorization::new(sas.token);
        authorization.expires = sas.expires;
        Ok(authorization)
    }
}
