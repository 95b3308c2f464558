//! Sending what waits, and sending it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::envelope::Delivery;
use super::fault::WebhookAction;
use crate::imodelhub::Hub;

/// Deliveries under way at a time.
const AT_ONCE: usize = 64;

/// How a delivery is sent again. The platform documents that it does after 5 s, and neither pauses nor numbers: the
/// others are the emulator's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resending {
    /// How long an answer is waited for.
    pub(crate) patience: Duration,
    /// How often a delivery is sent at most.
    pub(crate) attempts: u32,
    /// The pause after the first failure; each further one is twice as long, up to a minute.
    pub(crate) pause: Duration,
}

impl Default for Resending {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), attempts: 5, pause: Duration::from_secs(1) }
    }
}

const LONGEST: Duration = Duration::from_secs(60);

/// Sends what is told to webhooks, until the service stops.
pub(in crate::imodelhub) async fn deliver(hub: Arc<Hub>, stop: CancellationToken, tracker: TaskTracker) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let told = hub.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        while let Some(delivery) = hub.configure_quietly(|service| service.webhooks.next()) {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let (hub, stop) = (Arc::clone(&hub), stop.clone());
            tracker.spawn(async move {
                let _permit = permit;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = send(&hub, &delivery) => {}
                }
            });
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = told => {}
        }
    }
}

/// Sends one until it is acknowledged, or for as often as it is to be.
async fn send(hub: &Hub, delivery: &Delivery) {
    let Resending { attempts, mut pause, .. } = hub.config.resending;
    for attempt in 1..=attempts {
        let fault = hub.configure_quietly(|service| service.webhooks.take_fault());
        let acknowledged = once(hub, delivery, fault, attempt > 1).await;
        if acknowledged && fault == Some(WebhookAction::Repeat) {
            once(hub, delivery, None, true).await;
        }
        if acknowledged && fault != Some(WebhookAction::LoseAnswer) {
            return hub.count(|stats| stats.webhooks_acknowledged += 1);
        }
        if attempt < attempts {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
        if !hub.configure_quietly(|service| service.webhooks.wants(&delivery.webhook)) {
            break;
        }
    }
    hub.count(|stats| stats.webhooks_given_up += 1);
}

/// One attempt; whether it was acknowledged.
async fn once(hub: &Hub, delivery: &Delivery, fault: Option<WebhookAction>, again: bool) -> bool {
    let Some(request) = delivery.request(fault) else { return false };
    hub.count(|stats| {
        stats.webhooks_sent += 1;
        stats.webhooks_resent += u64::from(again);
        stats.faults_applied += u64::from(fault.is_some());
    });
    let answer = timeout(hub.config.resending.patience, hub.config.poster.post(request)).await;
    let acknowledged = matches!(answer, Ok(Ok(status)) if status.is_success());
    if !acknowledged {
        hub.count(|stats| stats.webhooks_refused += 1);
        tracing::debug!(webhook = %delivery.webhook, ?answer, "a webhook was not acknowledged");
    }
    acknowledged
}
