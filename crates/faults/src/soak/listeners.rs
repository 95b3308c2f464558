//! The load on the iModelHub side: listeners under a lock, and others that come and go.

use std::sync::Arc;
use std::time::Duration;

use imodelhub_events::{
    AccessToken, Environment, EventType, HubEvent, IModelHubClient, IModelId, Listener, SubscriptionGap,
};
use parking_lot::Mutex;

use super::load::Run;
use super::server::{Ask, IMODEL, LOCK, Services};
use crate::figures::Broken;
use crate::scenes::stage::broken;

/// Listeners, each on a subscription of its own.
pub(super) const LISTENERS: usize = 2;
const EVERY: Duration = Duration::from_millis(250);

/// Those who listen to the end. Dropped, they stop.
pub(super) struct Listening {
    _listeners: Vec<Listener>,
}

impl Listening {
    pub(super) async fn begin(run: &Arc<Run>, services: &Arc<Services>) -> Result<Self, Broken> {
        let environment = Environment::Url(services.urls.imodelhub.clone());
        let client = IModelHubClient::builder(environment, AccessToken::bearer("any-jwt"))
            .long_poll(Duration::from_secs(10))
            .request_timeout(Duration::from_secs(5))
            .build()
            .map_err(broken("build a client"))?;
        let imodel = IModelId::new(IMODEL).map_err(broken("name the iModel"))?;
        let mut listeners = Vec::new();
        for receiver in 0..LISTENERS {
            listeners.push(listen(run, &client, &imodel, receiver).await?);
        }
        run.tasks.spawn(publish(Arc::clone(run), Arc::clone(services)));
        run.tasks.spawn(come_and_go(Arc::clone(run), client, imodel));
        Ok(Self { _listeners: listeners })
    }
}

async fn listen(
    run: &Arc<Run>,
    client: &IModelHubClient,
    imodel: &IModelId,
    receiver: usize,
) -> Result<Listener, Broken> {
    let subscription =
        client.create_subscription(imodel, &[EventType::Version]).await.map_err(broken("subscribe"))?;
    let (seen, told) = (Arc::clone(run), Arc::clone(run));
    // What was handled last: whatever came later, or was under a lock then, may be in the queue that goes with an
    // expired subscription.
    let last = Arc::new(Mutex::new(run.now()));
    let newest = Arc::clone(&last);
    let handler = move |event: HubEvent| {
        let n = event.body()["VersionName"].as_str().and_then(|n| n.parse().ok());
        let taken = n.map(|n| {
            seen.imodel.lock().seen(n, receiver);
            *newest.lock() = seen.now();
        });
        // What cannot be read is given back, and comes again.
        async move { taken.ok_or("the body is not what was published") }
    };
    client
        .create_listener(&subscription)
        .recreate_expired(true)
        .on_gap(move |_: &SubscriptionGap| {
            let from = last.lock().saturating_sub(LOCK);
            told.imodel.lock().gap(receiver, from, told.now());
        })
        .handle(handler)
        .await
        .map_err(broken("listen"))
}

async fn publish(run: Arc<Run>, services: Arc<Services>) {
    let mut n = 0;
    while run.pause(EVERY).await {
        n += 1;
        run.imodel.lock().sent(n, run.now());
        // Into at least the queues of those who listen to the end.
        if services.ask(&Ask::Publish { n }).await.is_ok_and(|queues| queues >= LISTENERS) {
            let now = run.now();
            run.imodel.lock().acknowledged(n, now);
        }
    }
}

/// Subscriptions with a listener, and single reads, that come and go.
async fn come_and_go(run: Arc<Run>, client: IModelHubClient, imodel: IModelId) {
    while run.pause(Duration::from_secs(2)).await {
        let created = client.create_subscription(&imodel, &[EventType::Version]).await;
        let Some(subscription) = run.ended("imodelhub subscribe", created) else { continue };
        let read = client.get_event(&subscription, Some(Duration::from_secs(1))).await;
        run.ended("imodelhub read", read);
        let stream = client.create_listener(&subscription).stream().await;
        if let Some(mut stream) = run.ended("imodelhub listen", stream) {
            let next = tokio::time::timeout(Duration::from_secs(2), stream.next()).await;
            if let Ok(Some(Ok(event))) = next {
                event.ack();
            }
        }
        run.ended("imodelhub unsubscribe", client.delete_subscription(&subscription).await);
    }
}
