//! The queues of one scope: where they are, and whence their tokens come.

use std::sync::Arc;

use event_core::Result;
use parking_lot::Mutex;
use transport_longpoll::address::QueueAddress;
use transport_longpoll::auth::{QueueAuth, SharedAuth};
use transport_longpoll::{HttpExchange, QueueClient};

use crate::service::Service;
use crate::token::{SasSource, SasToken};
use crate::wsg::Scope;

/// The queues of one iModel, or of the global events. They share their tokens.
pub(crate) struct Queues {
    source: Arc<SasSource>,
    auth: Arc<SharedAuth<Arc<SasSource>>>,
    exchange: Arc<dyn HttpExchange>,
    /// Who reads events one by one asks the same queue again and again.
    last: Mutex<Option<Last>>,
}

/// The queue that was asked last, with what it was made from.
struct Last {
    base: String,
    subscription: String,
    queue: QueueClient,
}

impl Queues {
    pub(crate) fn new(service: &Arc<Service>, scope: &Scope) -> Self {
        let source = Arc::new(SasSource::new(Arc::clone(service), scope.clone()));
        let auth = SharedAuth::new(Arc::clone(&source)).wall_clock(service.wall_clock());
        Self { source, auth: Arc::new(auth), exchange: service.exchange(), last: Mutex::new(None) }
    }

    /// A fresh token.
    pub(crate) async fn fetch(&self) -> Result<SasToken> {
        self.source.fetch().await
    }

    /// The queue of a subscription.
    pub(crate) async fn queue(&self, subscription: &str) -> Result<QueueClient> {
        if let Some(queue) = self.asked_last(subscription) {
            return Ok(queue);
        }
        let base = self.base().await?;
        let address = address(&base, subscription)?;
        let queue = QueueClient::new(address, Arc::clone(&self.exchange), self.auth());
        *self.last.lock() = Some(Last { base, subscription: subscription.to_owned(), queue: queue.clone() });
        Ok(queue)
    }

    /// Where the queue of a subscription is, and whence its tokens come.
    pub(crate) async fn parts(&self, subscription: &str) -> Result<(QueueAddress, Arc<dyn QueueAuth>)> {
        Ok((address(&self.base().await?, subscription)?, self.auth()))
    }

    fn asked_last(&self, subscription: &str) -> Option<QueueClient> {
        let last = self.last.lock();
        let known = |last: &&Last| last.subscription == subscription && self.source.is_at(&last.base);
        last.as_ref().filter(known).map(|last| last.queue.clone())
    }

    async fn base(&self) -> Result<String> {
        if let Some(base) = self.source.base() {
            return Ok(base);
        }
        // The answer with the token says where the queues are.
        self.auth.authorization(None).await?;
        Ok(self.source.base().unwrap_or_default())
    }

    fn auth(&self) -> Arc<dyn QueueAuth> {
        Arc::clone(&self.auth) as _
    }
}

fn address(base: &str, subscription: &str) -> Result<QueueAddress> {
    QueueAddress::parse(&format!("{base}/Subscriptions/{subscription}"))
}
