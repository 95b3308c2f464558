//! The receiver as a service of the tower family: for axum, hyper and everything else that serves those.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use event_core::Event;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::gate::{Gate, Passed};
use super::receiver::{Acknowledge, WebhookReceiver};
use super::refusal::Refusal;

/// A [receiver](WebhookReceiver) as a service. A clone is the same receiver.
///
/// It is always ready: what it has no room for, it refuses. Why is in the extensions of such an answer, as a [`Refusal`], for
/// layers that log.
#[derive(Clone, Debug)]
pub struct WebhookService(pub(super) WebhookReceiver);

impl<B> Service<Request<B>> for WebhookService
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = self.0.clone();
        Box::pin(async move { Ok(receiver.answer(request).await) })
    }
}

/// Answers a request.
pub(super) async fn answer<B>(gate: &Arc<Gate>, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    match receive(gate, request).await {
        Ok(()) => Response::new(Full::default()),
        Err(refusal) => {
            gate.count(refusal);
            tracing::debug!(%refusal, "a webhook was refused");
            refused(refusal)
        }
    }
}

async fn receive<B>(gate: &Arc<Gate>, request: Request<B>) -> Result<(), Refusal>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]
    let deadline = Instant::now() + gate.answer_within;
    let (head, body) = request.into_parts();
    gate.rules.head(&head.method, &head.headers)?;
    let body = timeout_at(deadline, read(body, gate.rules.max_body)).await;
    let body = body.map_err(|_| Refusal::Incomplete)??;
    let event = judge(gate, &head.headers, body)?;
    let mut settled = match (gate.pass(event)?, gate.acknowledge) {
        (_, Acknowledge::Accepted) | (Passed::Repeat(None), _) => return Ok(()),
        (Passed::Accepted(settled) | Passed::Repeat(Some(settled)), _) => settled,
    };
    // One that ended without a word was not handled.
    let settled = timeout_at(deadline, settled.wait_for(Option::is_some)).await.map_err(|_| Refusal::Late)?;
    match settled.as_deref() {
        Ok(Some(true)) => Ok(()),
        _ => Err(Refusal::Failed),
    }
}

fn judge(gate: &Gate, headers: &HeaderMap, body: Bytes) -> Result<Event, Refusal> {
    gate.rules.body(headers, body, (gate.wall_clock)())
}

async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::Incomplete),
    }
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{refusal}\n")));
    *answer.status_mut() = refusal.status();
    answer.extensions_mut().insert(refusal);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match refusal.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    answer
}
