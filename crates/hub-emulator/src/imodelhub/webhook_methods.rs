//! What users of the library can set about webhooks, and do to them.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::webhooks::{Poster, WebhookFault};
use crate::error::{Error, ErrorKind};
use crate::{Builder, Emulator};

/// Webhooks.
impl Builder {
    /// How often a webhook is sent until it is acknowledged, and the pause after the first time, which doubles up to a
    /// minute. Default 5 times, 1 s: the platform documents neither.
    pub fn webhook_resending(mut self, attempts: u32, pause: Duration) -> Self {
        self.imodelhub.resending.attempts = attempts;
        self.imodelhub.resending.pause = pause;
        self.at_least_one(attempts as usize, "webhook_resending");
        self
    }

    /// How long the answer of a callback is waited for, before the webhook is sent again. Default 5 s, as documented.
    pub fn webhook_patience(mut self, patience: Duration) -> Self {
        self.imodelhub.resending.patience = patience;
        self.positive(patience, "webhook_patience");
        self
    }

    /// Posts to callbacks in this way, and so to any URL: into the process without a socket, or with TLS. It gives the
    /// status of the answer. Default: over HTTP, to this machine only.
    pub fn webhook_poster<Fut>(
        mut self,
        post: impl Fn(http::Request<Bytes>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output = http::StatusCode> + Send + 'static,
    {
        self.imodelhub.poster = Poster::by(post);
        self
    }
}

/// Webhooks.
///
/// Those of [`Emulator::imodelhub_url`]`/webhooks` are told of the iModel events that are published, where the platform
/// has documented ones that succeed them: a `VersionEvent`, an `iModelDeletedEvent` and a global `iModelCreatedEvent`.
impl Emulator {
    /// Tells an event to the active webhooks that want its type, and says how many these are. With an iTwin, those of
    /// other iTwins are not told. They are sent in the background: wait for
    /// [`Stats::webhooks_acknowledged`](super::Stats::webhooks_acknowledged).
    pub fn publish_webhook_event(&self, event_type: &str, itwin_id: Option<&str>, content: &Value) -> usize {
        self.imodelhub.tell(event_type, itwin_id, content)
    }

    /// Makes something go wrong with deliveries to come; the oldest fault that waits hits the next one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidFault`]: 1,000 faults wait already.
    pub fn add_webhook_fault(&self, fault: WebhookFault) -> Result<(), Error> {
        if self.imodelhub.configure(|service| service.webhooks.add_fault(fault)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidFault, "1,000 faults wait already"))
    }

    /// Forgets all of them; says how many were waiting.
    pub fn clear_webhook_faults(&self) -> usize {
        self.imodelhub.configure(|service| service.webhooks.clear_faults())
    }
}
