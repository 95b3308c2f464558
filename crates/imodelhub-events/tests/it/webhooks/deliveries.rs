//! Many deliveries over HTTP, some of them bad, repeated or slow: `WEBHOOK_DELIVERIES` says how many, 500 if it is not
//! set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use imodelhub_events::webhooks::{SIGNATURE, WebhookReceiver};
use imodelhub_events::{HttpExchange, HubEvent};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use transport_longpoll::exchange::{Request, ReqwestExchange};

use super::sending::{body, keys, receiver};

const SENDERS: usize = 16;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Good,
    /// Its signature is another body's.
    Bad,
    /// It is sent twice.
    Repeated,
    /// Its handler is at work until every request was answered.
    Slow,
}

/// One in a hundred of each kind, and they are spread over the run.
fn kind(n: usize) -> Kind {
    match n % 100 {
        13 => Kind::Bad,
        37 => Kind::Repeated,
        71 => Kind::Slow,
        _ => Kind::Good,
    }
}

struct Sender {
    exchange: ReqwestExchange,
    url: String,
}

impl Sender {
    /// Posts a body until it is answered with something else than "send it again"; says with what, after how long.
    async fn post(&self, body: &str, signature: &str) -> (u16, Duration) {
        loop {
            let mut request = Request::new(Method::POST, self.url.clone(), Duration::from_secs(5));
            request.headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
            request.headers.insert(SIGNATURE, signature.parse().unwrap());
            request.body = Bytes::copy_from_slice(body.as_bytes());
            let begun = Instant::now();
            let status = self.exchange.exchange(request).await.unwrap().status.as_u16();
            if status != 503 {
                return (status, begun.elapsed());
            }
        }
    }
}

type Seen = Arc<Mutex<HashMap<String, usize>>>;

async fn listening(
    receiver: &WebhookReceiver,
    seen: &Seen,
    slow: &Arc<Semaphore>,
) -> imodelhub_events::Listener {
    let (seen, slow) = (Arc::clone(seen), Arc::clone(slow));
    receiver
        .create_listener()
        .concurrency(512)
        .handle(move |event: HubEvent| {
            let (seen, slow) = (Arc::clone(&seen), Arc::clone(&slow));
            async move {
                let id = event.message_id().unwrap().to_owned();
                if kind(id.parse().unwrap()) == Kind::Slow {
                    drop(slow.acquire().await);
                }
                *seen.lock().entry(id).or_default() += 1;
            }
        })
        .await
        .unwrap()
}

async fn serve(receiver: &WebhookReceiver) -> (String, tokio::task::JoinHandle<()>) {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", port.local_addr().unwrap());
    let app: axum::Router = axum::Router::new().route_service("/webhooks", receiver.service());
    (url, tokio::spawn(async move { axum::serve(port, app).await.unwrap() }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_deliveries_are_handled_once_and_exactly_the_bad_ones_are_refused() {
    let count: usize = std::env::var("WEBHOOK_DELIVERIES").map_or(500, |text| text.parse().unwrap());
    assert!(count <= 50_000, "as many slow handlers at a time as there are slow ones");
    let receiver = receiver(|builder| builder);
    let (seen, slow) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let _listener = listening(&receiver, &seen, &slow).await;
    let (url, server) = serve(&receiver).await;
    let sender = Arc::new(Sender { exchange: ReqwestExchange::new().unwrap(), url });
    let senders: Vec<_> = (0..SENDERS)
        .map(|first| {
            let sender = Arc::clone(&sender);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for n in (first..count).step_by(SENDERS) {
                    let body = body(&n.to_string());
                    let signed = if kind(n) == Kind::Bad { format!("{body} ") } else { body.clone() };
                    let signature = keys().sign(signed.as_bytes());
                    let times = if kind(n) == Kind::Repeated { 2 } else { 1 };
                    for _ in 0..times {
                        let (status, lasted) = sender.post(&body, &signature).await;
                        assert_eq!(status, if kind(n) == Kind::Bad { 401 } else { 200 }, "{n}");
                        answers.push(lasted);
                    }
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for sender in senders {
        answers.extend(sender.await.unwrap());
    }
    let of = |wanted: Kind| (0..count).filter(|n| kind(*n) == wanted).count();
    let (bad, repeated, late) = (of(Kind::Bad), of(Kind::Repeated), of(Kind::Slow));
    assert!(receiver.stats().open >= late, "every answer came before the slow handlers were done");
    slow.close();
    while receiver.stats().open > 0 {
        tokio::task::yield_now().await;
    }
    let stats = receiver.stats();
    let wanted = u64::try_from(count - bad).unwrap();
    assert_eq!((stats.accepted, stats.handled, stats.failed), (wanted, wanted, 0));
    assert_eq!((stats.signature_wrong, stats.refused()), (bad as u64, bad as u64));
    assert_eq!(stats.repeats, repeated as u64);
    let seen = seen.lock();
    for n in 0..count {
        let times = seen.get(&n.to_string()).copied().unwrap_or_default();
        assert_eq!(times, usize::from(kind(n) != Kind::Bad), "{n}");
    }
    answers.sort_unstable();
    let at = |percent: usize| answers[(answers.len() - 1) * percent / 100];
    println!(
        "{count} deliveries, {bad} bad, {repeated} repeated, {late} slow: {} handled once, {} refused, {} sent again \
         because of no room; answers: median {:?}, p99 {:?}, longest {:?}",
        seen.len(),
        stats.signature_wrong,
        stats.full,
        at(50),
        at(99),
        at(100)
    );
    assert!(at(100) < Duration::from_secs(5), "the platform would have given up");
    server.abort();
}
