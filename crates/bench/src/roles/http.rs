//! Long polling: our client in both modes, and a bare reqwest loop as the floor.

use std::time::Duration;

use async_trait::async_trait;
use imodelhub_events::{AccessToken, Environment, EventSubscription, EventType, IModelHubClient, IModelId};
use interop::Failure;
use serde_json::{Value, json};

use crate::party::{self, Party, Stretch, failed, number, text};

/// How long a poll may wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The size of a recorded event of a pushed changeset.
const BODY: usize = 280;

/// See the module.
#[derive(Default)]
pub(super) struct Http {
    ready: Option<Ready>,
}

struct Ready {
    client: IModelHubClient,
    imodel: IModelId,
    subscription: EventSubscription,
    url: String,
}

impl Http {
    fn ready(&self) -> Result<&Ready, Failure> {
        self.ready.as_ref().ok_or_else(|| Failure::new("connect it first"))
    }

    async fn connect(&mut self, url: &str) -> Result<Value, Failure> {
        // The bare reqwest wants one; no TLS is spoken.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let environment = Environment::Url(url.to_owned());
        let client = IModelHubClient::builder(environment, AccessToken::bearer("jwt")).build()?;
        let imodel = IModelId::new(uuid::Uuid::new_v4().to_string())?;
        let subscription = client.create_subscription(&imodel, &[EventType::ChangeSetPostPush]).await?;
        self.ready = Some(Ready { client, imodel, subscription, url: url.to_owned() });
        Ok(json!({}))
    }

    /// Has the emulator queue events.
    async fn queue(&self, count: u64) -> Result<Value, Failure> {
        let ready = self.ready()?;
        let imodel = ready.imodel.as_str();
        let mut event = json!({
            "EventTopic": imodel,
            "FromEventSubscriptionId": "b7b2f3c8-5d2e-4a57-9e1b-0c7d9a4f1e62",
            "ToEventSubscriptionId": "",
            "BriefcaseId": 2,
            "ChangeSetId": "0123456789abcdef0123456789abcdef01234567",
            "ChangeSetIndex": "1",
            "Filler": "",
        });
        let short = BODY.saturating_sub(event.to_string().len());
        event["Filler"] = json!("x".repeat(short));
        let body = json!({ "type": "ChangeSetPostPushEvent", "count": count, "body": event });
        let address = format!("{}/admin/imodels/{imodel}/events", ready.url);
        let request = reqwest::Client::new().post(address).body(body.to_string());
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        Ok(json!({ "answer": answer.status().as_u16() }))
    }

    async fn receive(&self, count: u64) -> Result<Value, Failure> {
        let Ready { client, subscription, .. } = self.ready()?;
        let stretch = Stretch::begin();
        for _ in 0..count {
            let event = client.get_event(subscription, Some(TIMEOUT)).await?;
            std::hint::black_box(event.ok_or_else(|| Failure::new("no event"))?.imodel()?);
        }
        Ok(stretch.end(count))
    }

    async fn peek(&self, count: u64) -> Result<Value, Failure> {
        let Ready { client, subscription, .. } = self.ready()?;
        let stretch = Stretch::begin();
        for _ in 0..count {
            let locked = client.peek_event(subscription, Some(TIMEOUT)).await?;
            let locked = locked.ok_or_else(|| Failure::new("no event"))?;
            std::hint::black_box(locked.event().imodel()?);
            locked.delete().await?;
        }
        Ok(stretch.end(count))
    }

    /// Nothing but the requests and their bodies.
    async fn bare(&self, count: u64, peek: bool) -> Result<Value, Failure> {
        let Ready { client, imodel, subscription, .. } = self.ready()?;
        let sas = client.get_sas_token(imodel).await?;
        let (base, id) = (sas.base_address.trim_end_matches('/'), &subscription.id);
        let head = format!("{base}/Subscriptions/{id}/messages/head?timeout=60");
        let http = reqwest::Client::builder().build().map_err(failed)?;
        let stretch = Stretch::begin();
        for _ in 0..count {
            let request = if peek { http.post(&head) } else { http.delete(&head) };
            let request = request.header("authorization", sas.token.expose());
            let answer = request.send().await.map_err(failed)?;
            if !matches!(answer.status().as_u16(), 200 | 201) {
                return Err(Failure::new(format!("the queue answered {}", answer.status())));
            }
            let lock = answer.headers().get("location").and_then(|at| at.to_str().ok()).map(str::to_owned);
            std::hint::black_box(answer.bytes().await.map_err(failed)?);
            if peek {
                let lock = lock.ok_or_else(|| Failure::new("no lock"))?;
                let request = http.delete(lock).header("authorization", sas.token.expose());
                request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
            }
        }
        Ok(stretch.end(count))
    }
}

#[async_trait]
impl Party for Http {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "connect" => self.connect(text(args, "url")?).await,
            "queue" => self.queue(number(args, "count")?).await,
            "receive" => self.receive(number(args, "count")?).await,
            "peek" => self.peek(number(args, "count")?).await,
            "bare" => self.bare(number(args, "count")?, false).await,
            "bare_peek" => self.bare(number(args, "count")?, true).await,
            _ => party::unknown(what),
        }
    }
}
