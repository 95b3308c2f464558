//! The iModelHub side. What needs no socket asks the emulator directly, with a paused clock.

mod admin;
mod defects;
mod faults;
mod more_faults;
mod queues;
mod replay;
mod rest;
mod waiting;
mod webhooks;
mod wire;

use bytes::Bytes;
use http::{Request, Response};
use hub_emulator::imodelhub::ConnectionReset;
use hub_emulator::{Builder, Emulator};
use serde_json::{Value, json};

pub(crate) const IMODEL: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";
const HEAD_OF_BODY: usize = 61;

/// An emulator without sockets, and a client of it.
pub(crate) struct Lab {
    pub(crate) emulator: Emulator,
}

/// An iModel's or the global subscription, and the right to use its queue.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) sas: String,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(Emulator::builder()).await
    }

    pub(crate) async fn with(builder: Builder) -> Self {
        Self { emulator: builder.without_ftrack().without_imodelhub().start().await.unwrap() }
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &str,
    ) -> Result<Response<Bytes>, ConnectionReset> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:7001")
            .header("authorization", authorization)
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        self.emulator.imodelhub_exchange(request).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &str,
    ) -> Response<Bytes> {
        self.try_send(method, path, authorization, body).await.unwrap()
    }

    /// A REST request with a good token: status and body.
    pub(crate) async fn rest(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, path, "Bearer jwt", &body).await;
        let json = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), json)
    }

    /// A subscription of the iModel.
    pub(crate) async fn subscribe(&self, types: &[&str]) -> Queue {
        let (status, made) =
            self.rest("POST", &subscriptions(""), &instance(&json!({"EventTypes": types}))).await;
        assert_eq!(status, 200, "{made}");
        let id = after(&made)["instanceId"].as_str().unwrap().to_owned();
        let (base, sas) = self.sas().await;
        let base = base.strip_prefix("http://127.0.0.1:7001").unwrap();
        Queue { path: format!("{base}/Subscriptions/{id}/messages"), id, sas }
    }

    /// Base address and token.
    pub(crate) async fn sas(&self) -> (String, String) {
        let path = subscriptions("").replace("EventSubscription", "EventSAS");
        let (status, made) = self.rest("POST", &path, &json!({"instance": {}})).await;
        assert_eq!(status, 200, "{made}");
        let text = |name: &str| after(&made)["properties"][name].as_str().unwrap().to_owned();
        (text("BaseAddress"), text("EventServiceSASToken"))
    }

    /// Asks for the message in front; `query` such as `?timeout=5`.
    pub(crate) async fn head(&self, method: &str, queue: &Queue, query: &str) -> Response<Bytes> {
        self.send(method, &format!("{}/head{query}", queue.path), &queue.sas, "").await
    }

    /// Settles the message at a `Location`.
    pub(crate) async fn settle(&self, method: &str, queue: &Queue, location: &str) -> u16 {
        self.send(method, location, &queue.sas, "").await.status().as_u16()
    }

    /// Publishes `VersionEvent`s whose body is their number.
    pub(crate) fn publish(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!(number)));
        }
    }
}

pub(crate) fn subscriptions(id: &str) -> String {
    format!("/sv1.1/Repositories/iModel--{IMODEL}/iModelScope/EventSubscription/{id}")
}

pub(crate) fn instance(properties: &Value) -> Value {
    json!({"instance": {"properties": properties}})
}

pub(crate) fn after(answer: &Value) -> &Value {
    &answer["changedInstance"]["instanceAfterChange"]
}

/// What stands in a body wrapped as short as these tests' are.
pub(crate) fn unwrapped(answer: &Response<Bytes>) -> String {
    let body = answer.body();
    assert_eq!((body[0], body[HEAD_OF_BODY]), (0x40, 0x99));
    String::from_utf8(body[HEAD_OF_BODY + 2..].to_vec()).unwrap()
}

pub(crate) fn header(answer: &Response<Bytes>, name: &str) -> String {
    answer.headers().get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

pub(crate) fn properties(answer: &Response<Bytes>) -> Value {
    serde_json::from_str(&header(answer, "brokerproperties")).unwrap()
}
