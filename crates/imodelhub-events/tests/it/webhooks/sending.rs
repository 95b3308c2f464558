//! Sending as the platform does.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use imodelhub_events::webhooks::{ReceiverBuilder, SIGNATURE, SigningKeys, WebhookReceiver};
use serde_json::json;

pub(super) const SECRET: &str = "marked-secret-of-more-than-32-characters";

pub(super) fn keys() -> SigningKeys {
    SigningKeys::new([SECRET]).unwrap()
}

pub(super) fn receiver(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> WebhookReceiver {
    change(WebhookReceiver::builder(keys())).build().unwrap()
}

/// A named version, by message id.
pub(super) fn body(id: &str) -> String {
    json!({
        "content": {"imodelId": crate::support::IMODEL, "versionId": id, "changesetIndex": "7"},
        "eventType": "iModels.namedVersionCreated.v1",
        "enqueuedDateTime": "11/3/2023 8:07:01 PM",
        "messageId": id,
        "webhookId": "7da4ba7e-3a35-4d97-a1b0-6d453aa97493",
    })
    .to_string()
}

pub(super) fn signed(body: String) -> Request<Full<Bytes>> {
    Request::post("/webhooks")
        .header("Content-Type", "application/json; charset=utf-8")
        .header(SIGNATURE, keys().sign(body.as_bytes()))
        .body(Full::from(body))
        .unwrap()
}

/// Sends an event, and says with which status it was answered.
pub(super) async fn send(receiver: &WebhookReceiver, id: &str) -> StatusCode {
    receiver.answer(signed(body(id))).await.status()
}

/// The time in the bodies.
pub(super) fn when_sent() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_042_021)
}
