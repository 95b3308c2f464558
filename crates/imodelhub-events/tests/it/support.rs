//! What several tests need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hub_emulator::Emulator;
use imodelhub_events::{AccessToken, AccessTokenProvider, Environment, IModelHubClient, IModelId, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";

pub(crate) fn imodel() -> IModelId {
    IModelId::new(IMODEL).unwrap()
}

/// Gives `marked-jwt-1`, `marked-jwt-2`, ... and tells the emulator which one is good.
#[derive(Clone)]
pub(crate) struct Tokens {
    emulator: Arc<Emulator>,
    given: Arc<AtomicUsize>,
}

impl Tokens {
    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl AccessTokenProvider for Tokens {
    async fn access_token(&self, _refused: bool) -> Result<AccessToken> {
        let token = format!("marked-jwt-{}", self.given.fetch_add(1, Ordering::SeqCst) + 1);
        self.emulator.accept_token(token.as_str());
        Ok(AccessToken::bearer(token))
    }
}

pub(crate) fn client(emulator: &Arc<Emulator>) -> (IModelHubClient, Tokens) {
    let tokens = Tokens { emulator: Arc::clone(emulator), given: Arc::new(AtomicUsize::new(0)) };
    let environment = Environment::Url(emulator.imodelhub_url());
    (IModelHubClient::builder(environment, tokens.clone()).build().unwrap(), tokens)
}

/// A notebook that handlers write into and tests wait on.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    changed: Arc<Notify>,
}

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.lines.lock().push(line.into());
        self.changed.notify_waiters();
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let lines = self.lines.lock().clone();
            if lines.len() >= count {
                return lines;
            }
            changed.await;
        }
    }
}
