//! The REST side, spoken: one call, authenticated, its answer read.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event_core::{Error, ErrorKind, Result, Retry};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use transport_longpoll::HttpExchange;
use transport_longpoll::auth::{Authorization, QueueAuth, SharedAuth};
use transport_longpoll::exchange::{Request, Response};

use crate::service_error::ServiceError;
use crate::token::Access;
use crate::wsg::{Call, Method};

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// The service's REST side.
pub(crate) struct Service {
    base: String,
    exchange: Arc<dyn HttpExchange>,
    access: SharedAuth<Access>,
    timeout: Duration,
    wall_clock: fn() -> SystemTime,
    /// What answers are asked for.
    accept: Option<&'static str>,
}

impl Service {
    pub(crate) fn new(
        base: String,
        exchange: Arc<dyn HttpExchange>,
        access: Access,
        timeout: Duration,
        wall_clock: fn() -> SystemTime,
    ) -> Self {
        let access = SharedAuth::new(access).wall_clock(wall_clock);
        Self { base, exchange, access, timeout, wall_clock, accept: None }
    }

    /// The same, asking for answers of this type.
    #[cfg(feature = "webhooks")]
    pub(crate) fn accepting(mut self, accept: &'static str) -> Self {
        self.accept = Some(accept);
        self
    }

    pub(crate) fn wall_clock(&self) -> fn() -> SystemTime {
        self.wall_clock
    }

    pub(crate) fn exchange(&self) -> Arc<dyn HttpExchange> {
        Arc::clone(&self.exchange)
    }

    /// Makes a call. A refused token is replaced once; nothing else is repeated, since a call whose answer was lost
    /// may have been obeyed.
    pub(crate) async fn call(&self, op: &'static str, call: &Call) -> Result<Bytes> {
        let mut token = self.access.authorization(None).await?;
        let mut refusals = 0;
        loop {
            match self.once(op, call, &token).await {
                Err(error) if error.retry() == Retry::AfterReauth && token.may_be_replaced(refusals) => {
                    refusals += 1;
                    token = self.access.authorization(Some(&token)).await?;
                }
                // A fresh token was refused, too.
                Err(error) if error.retry() == Retry::AfterReauth => {
                    return Err(error.with_retry(Retry::Never));
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self, op: &'static str, call: &Call, token: &Authorization) -> Result<Bytes> {
        let method = match call.method {
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
            #[cfg(feature = "webhooks")]
            Method::Get => http::Method::GET,
            #[cfg(feature = "webhooks")]
            Method::Patch => http::Method::PATCH,
        };
        let mut request = Request::new(method, format!("{}{}", self.base, call.path), self.timeout);
        let unsendable = |_| {
            Error::new(
                ErrorKind::InvalidCredentials,
                op,
                "the access token has characters that HTTP does not allow",
            )
        };
        let mut authorization = HeaderValue::from_str(token.value.expose()).map_err(unsendable)?;
        authorization.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, authorization);
        if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
            request.headers.insert(CORRELATION, id);
        }
        if let Some(accept) = self.accept {
            request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(body) = &call.body {
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request.body = Bytes::copy_from_slice(body);
        }
        // The exchange keeps the time itself; should one not do so, this ends it.
        let limit = self.timeout + Duration::from_secs(1);
        let Ok(answer) = tokio::time::timeout(limit, self.exchange.exchange(request)).await else {
            let message = format!(
                "{}: no answer within {:?}; it may have been obeyed all the same",
                self.base, self.timeout
            );
            return Err(Error::new(ErrorKind::Timeout, op, message));
        };
        let response = answer.map_err(|error| error.into_error(op, &self.base))?;
        read(op, response)
    }
}

fn read(op: &'static str, response: Response) -> Result<Bytes> {
    let status = response.status;
    if status.is_success() {
        return Ok(response.body);
    }
    if status.is_redirection() {
        // The service sends whoever is not logged in to a login page.
        let login = response.body.windows(15).any(|window| window == b"ims.bentley.com");
        let (kind, message) = if login {
            (ErrorKind::Unauthenticated, "the service asks to log in; the access token is not good for it")
        } else {
            (
                ErrorKind::InvalidUrl,
                "the service redirects, which is not followed with credentials; check the service URL",
            )
        };
        let retry = if login { Retry::AfterReauth } else { Retry::Never };
        return Err(Error::new(kind, op, message).with_retry(retry));
    }
    let retry_after =
        response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(ServiceError::read(status.as_u16(), &response.body)
        .into_error(op, retry_after.map(Duration::from_secs)))
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("base", &self.base).finish_non_exhaustive()
    }
}
