//! What a webhook says. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use event_core::Secret;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Request, Uri};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fault::WebhookAction;
use crate::imodelhub::clock::us_date;
use crate::imodelhub::topic::Topic;

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// Who does everything here.
const USER: &str = "44444444-4444-4444-8444-444444444444";
/// What stands for the iTwin of an iModel: the emulator knows of none.
pub(super) const ITWIN: &str = "11111111-1111-4111-8111-111111111111";

/// One event for one webhook.
#[derive(Clone, Debug)]
pub(in crate::imodelhub) struct Delivery {
    pub(super) webhook: String,
    pub(super) url: Uri,
    pub(super) secret: Secret,
    pub(super) event_type: String,
    pub(super) itwin: String,
    pub(super) message: String,
    pub(super) content: Value,
    pub(super) enqueued: Duration,
}

impl Delivery {
    /// The request, as it should be, or as a fault makes it. `None` never happens with a URL that was checked.
    pub(super) fn request(&self, fault: Option<WebhookAction>) -> Option<Request<Bytes>> {
        let by = match fault {
            Some(WebhookAction::Stale { by_ms }) => Duration::from_millis(by_ms),
            _ => Duration::ZERO,
        };
        let mut envelope = json!({
            "content": self.content,
            "eventType": self.event_type,
            "enqueuedDateTime": us_date(self.enqueued.saturating_sub(by)),
            "iTwinId": self.itwin,
            "messageId": self.message,
            "webhookId": self.webhook,
        });
        if let Some(WebhookAction::Oversized { bytes }) = fault {
            envelope["padding"] = Value::from("x".repeat(bytes));
        }
        let mut body = envelope.to_string();
        let secret = match fault {
            Some(WebhookAction::BadSignature) => "another secret of more than 32 characters",
            _ => self.secret.expose(),
        };
        let signature = sign(secret, body.as_bytes());
        if fault == Some(WebhookAction::Tampered) {
            body.push(' ');
        }
        let content_type =
            if fault == Some(WebhookAction::ContentType) { "text/plain" } else { "application/json" };
        let mut request = Request::post(self.url.clone()).header(CONTENT_TYPE, content_type);
        if fault != Some(WebhookAction::Unsigned) {
            request = request.header(SIGNATURE, signature);
        }
        request.body(Bytes::from(body)).ok()
    }
}

/// `sha256=` and the HMAC of a body, with the secret as it is written as the key.
fn sign(secret: &str, body: &[u8]) -> String {
    let mut signature = "sha256=".to_owned();
    let key = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    for byte in key.map(|key| key.chain_update(body).finalize().into_bytes()).unwrap_or_default() {
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

/// What the platform says about an event of iModelHub, where that is documented.
pub(super) fn succeeds(topic: &Topic, name: &str, body: &Value) -> Option<(&'static str, Value)> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let imodel = match topic {
        Topic::IModel(id) => id,
        Topic::Global => text("iModelId"),
    };
    Some(match (name, topic) {
        ("iModelDeletedEvent", _) => {
            ("iModels.iModelDeleted.v1", json!({"imodelId": imodel, "userId": USER}))
        }
        ("iModelCreatedEvent", _) => {
            ("iModels.iModelCreated.v1", json!({"imodelId": imodel, "userId": USER}))
        }
        // The global one tells the same a second time.
        ("VersionEvent", Topic::IModel(_)) => (
            "iModels.namedVersionCreated.v1",
            json!({
                "changesetId": text("ChangeSetId"),
                "changesetIndex": "1",
                "imodelId": imodel,
                "userId": USER,
                "versionId": text("VersionId"),
            }),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        assert_eq!(
            sign("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
